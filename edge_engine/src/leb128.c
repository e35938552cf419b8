/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LEB128 integers (core spec 5.2.2): at most ceil(N/7) bytes; the last one's bits beyond N are zero, or for signed
 * numbers equal to the sign.
 */
#include "compact.h"
#include "reader.h"

EE_COMPACT

static const char unexpected_end[] = "unexpected end";
static const char too_long[] = "integer representation too long";
static const char too_large[] = "integer too large";

bool ee_read_u32_long(struct ee_reader *r, uint32_t *value)
{
    uint32_t result = 0;
    const uint8_t *p = r->p;
    for (uint32_t shift = 0; shift < 35; shift += 7) {
        if (p == r->end) {
            r->problem = unexpected_end;
            return false;
        }
        uint8_t byte = *p++;
        if (shift == 28 && byte > 0x0f) {
            r->problem = byte & 0x80 ? too_long : too_large;
            return false;
        }
        result |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            r->p = p;
            return true;
        }
    }
    __builtin_unreachable(); /* the fifth byte ends the number or fails above */
}

/* A signed number of bits (33..64 or 32) bits. */
static bool read_signed(struct ee_reader *r, uint32_t bits, int64_t *value)
{
    uint64_t result = 0;
    const uint8_t *p = r->p;
    uint32_t shift = 0;
    for (;;) {
        if (p == r->end) {
            r->problem = unexpected_end;
            return false;
        }
        uint8_t byte = *p++;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (shift + 7 >= bits) {
            uint32_t used = bits - shift; /* bits of this byte that belong to the number, the sign included */
            uint8_t sign_and_above = (uint8_t)((byte & 0x7f) >> (used - 1));
            uint8_t all_ones = (uint8_t)(0x7f >> (used - 1));
            if (byte & 0x80) {
                r->problem = too_long;
                return false;
            }
            if (sign_and_above != 0 && sign_and_above != all_ones) {
                r->problem = too_large;
                return false;
            }
        }
        shift += 7;
        if (byte < 0x80) {
            if (shift < 64 && byte & 0x40)
                result |= ~(uint64_t)0 << shift;
            *value = (int64_t)result;
            r->p = p;
            return true;
        }
    }
}

bool ee_read_s32(struct ee_reader *r, int32_t *value)
{
    int64_t wide;
    if (!read_signed(r, 32, &wide))
        return false;
    *value = (int32_t)wide;
    return true;
}

bool ee_read_s33(struct ee_reader *r, int64_t *value) { return read_signed(r, 33, value); }

bool ee_read_s64(struct ee_reader *r, int64_t *value) { return read_signed(r, 64, value); }

bool ee_read_bytes(struct ee_reader *r, uint32_t size, const uint8_t **bytes)
{
    if (size > (size_t)(r->end - r->p)) {
        r->problem = "unexpected end";
        return false;
    }
    *bytes = r->p;
    r->p += size;
    return true;
}

EE_COMPACT_END
