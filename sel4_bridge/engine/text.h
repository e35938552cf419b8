/* SPDX-License-Identifier: Apache-2.0 */
/* One line of text put together in a fixed buffer without a C library; what doesn't fit is cut, NUL included. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sb_text {
    char *bytes;
    size_t size; /* bytes with the NUL, > 0 */
    size_t used; /* bytes without the NUL */
};

struct sb_text sb_text_start(char *bytes, size_t size);
void sb_text_char(struct sb_text *text, char byte);
void sb_text_string(struct sb_text *text, const char *string);
/* Bytes of a peer: what isn't printable ASCII becomes '?'. */
void sb_text_name(struct sb_text *text, const char *bytes, size_t size);
void sb_text_decimal(struct sb_text *text, uint64_t value);
void sb_text_hex(struct sb_text *text, uint64_t value);
