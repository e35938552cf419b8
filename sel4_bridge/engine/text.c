/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "text.h"

struct sb_text sb_text_start(char *bytes, size_t size)
{
    bytes[0] = 0;
    return (struct sb_text){bytes, size, 0};
}

void sb_text_char(struct sb_text *text, char byte)
{
    if (text->used + 1 < text->size) {
        text->bytes[text->used++] = byte;
        text->bytes[text->used] = 0;
    }
}

void sb_text_string(struct sb_text *text, const char *string)
{
    for (; *string != 0; string++) {
        sb_text_char(text, *string);
    }
}

void sb_text_name(struct sb_text *text, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && text->used + 1 < text->size; i++) {
        sb_text_char(text, bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?');
    }
}

static void number(struct sb_text *text, uint64_t value, unsigned int base)
{
    char digits[20];
    unsigned int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        sb_text_char(text, digits[--count]);
    }
}

void sb_text_decimal(struct sb_text *text, uint64_t value)
{
    number(text, value, 10);
}

void sb_text_hex(struct sb_text *text, uint64_t value)
{
    sb_text_string(text, "0x");
    number(text, value, 16);
}
