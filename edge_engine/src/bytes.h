/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four memory functions that a freestanding compiler expects from its environment, declared here because a
 * freestanding target has no <string.h>; programs around the engine do have it. Hosts take them from libc, devices
 * from the compiler's runtime library.
 */
#pragma once

#include <stddef.h>

#if __STDC_HOSTED__
#include <string.h>
#else

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
#endif
