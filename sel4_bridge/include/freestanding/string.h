/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of <string.h> that a freestanding target has here: implemented by Zig's compiler runtime, which
 * sel4_bridge.build links into every protection domain. Host builds use their own <string.h>.
 */
#pragma once

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
