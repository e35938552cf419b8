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

/* What littlefs wants besides (C17, 7.24). */
static inline char *strcpy(char *restrict to, const char *restrict from)
{
    return memcpy(to, from, strlen(from) + 1);
}

static inline char *strchr(const char *text, int wanted)
{
    while (*text != (char)wanted && *text != 0) {
        text++;
    }
    return *text == (char)wanted ? (char *)text : 0;
}

static inline size_t strspn(const char *text, const char *set)
{
    size_t length = 0;
    while (text[length] != 0 && strchr(set, text[length]) != 0) {
        length++;
    }
    return length;
}

static inline size_t strcspn(const char *text, const char *set)
{
    size_t length = 0;
    while (text[length] != 0 && strchr(set, text[length]) == 0) {
        length++;
    }
    return length;
}
