/* SPDX-License-Identifier: Apache-2.0 */
/* Names (core spec 5.2.4): well-formed UTF-8 as in Unicode's table 3-7: nothing overlong, no surrogates. */
#include "compact.h"
#include "reader.h"

EE_COMPACT

/* Bytes of the character that starts here, 0 if it is ill-formed. */
static size_t character_size(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    if (lead < 0x80)
        return 1;
    size_t size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    uint8_t low = 0x80, high = 0xbf; /* of the second byte */
    switch (lead) {
    case 0xe0: low = 0xa0; break;
    case 0xed: high = 0x9f; break;
    case 0xf0: low = 0x90; break;
    case 0xf4: high = 0x8f; break;
    default: break;
    }
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool ee_is_utf8(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t step = character_size(bytes + at, size - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

bool ee_read_name(struct ee_reader *r, struct ee_name *name)
{
    struct ee_reader at = *r;
    uint32_t size;
    const uint8_t *bytes;
    if (!ee_read_u32(&at, &size) || !ee_read_bytes(&at, size, &bytes)) {
        r->problem = at.problem;
        return false;
    }
    if (!ee_is_utf8(bytes, size)) {
        r->problem = "malformed UTF-8 encoding";
        return false;
    }
    *name = (struct ee_name){(const char *)bytes, size};
    r->p = at.p;
    return true;
}

EE_COMPACT_END
