/* SPDX-License-Identifier: Apache-2.0 */
/* See module_file.h. */
#include "module_file.h"

#include <string.h>

#define HEADER_SIZE 8u
#define LAST_SECTION_ID 13u

struct reader {
    const uint8_t *p;
    const uint8_t *end;
};

static bool read_u32(struct reader *r, uint32_t *value)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < 5 && r->p + i < r->end; i++) {
        uint8_t byte = r->p[i];
        if (i == 4 && byte > 15u) { /* over 32 bits, or a sixth byte */
            return false;
        }
        sum |= (uint32_t)(byte & 127u) << (7 * i);
        if (byte < 128u) {
            *value = sum;
            r->p += i + 1;
            return true;
        }
    }
    return false;
}

/* The next section: its id, its content, and for a custom section its name before the content. */
struct section {
    uint8_t id;
    struct reader name;
    struct reader content;
};

static bool read_section(struct reader *r, struct section *out)
{
    struct reader at = *r;
    uint32_t size;
    out->id = *at.p++;
    if (out->id > LAST_SECTION_ID || !read_u32(&at, &size) || size > (uint32_t)(at.end - at.p)) {
        return false;
    }
    out->content = (struct reader){at.p, at.p + size};
    out->name = (struct reader){at.p, at.p};
    if (out->id == 0) {
        uint32_t length;
        if (!read_u32(&out->content, &length) || length > (uint32_t)(out->content.end - out->content.p)) {
            return false;
        }
        out->name = (struct reader){out->content.p, out->content.p + length};
        out->content.p += length;
    }
    r->p = at.p + size;
    return true;
}

static bool is_called(const struct section *section, const char *name)
{
    size_t size = strlen(name);
    return section->id == 0 && (size_t)(section->name.end - section->name.p) == size &&
           memcmp(section->name.p, name, size) == 0;
}

static struct sb_slice slice(const uint8_t *data, const struct section *section)
{
    return (struct sb_slice){(uint32_t)(section->content.p - data),
                             (uint32_t)(section->content.end - section->content.p)};
}

bool sb_module_custom(const uint8_t *data, uint32_t size, const char *name, struct sb_slice *out)
{
    struct reader r = {data + HEADER_SIZE, data + size};
    struct section section;
    if (size < HEADER_SIZE) {
        return false;
    }
    while (r.p < r.end && read_section(&r, &section)) {
        if (is_called(&section, name)) {
            *out = slice(data, &section);
            return true;
        }
    }
    return false;
}

bool sb_module_core_digest(const uint8_t *data, uint32_t size, uint8_t digest[SB_SHA256_SIZE])
{
    struct reader r = {data + HEADER_SIZE, data + size};
    struct sb_sha256 hash;
    if (size < HEADER_SIZE) {
        return false;
    }
    sb_sha256_init(&hash);
    sb_sha256_update(&hash, data, HEADER_SIZE);
    while (r.p < r.end) {
        const uint8_t *begin = r.p;
        struct section section;
        if (!read_section(&r, &section)) {
            return false;
        }
        if (section.id != 0) {
            sb_sha256_update(&hash, begin, (size_t)(r.p - begin));
        }
    }
    sb_sha256_final(&hash, digest);
    return true;
}

enum sb_refusal sb_module_parts(const uint8_t *data, uint32_t size, struct sb_module_parts *out)
{
    static const uint8_t header[HEADER_SIZE] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    struct reader r = {data, data + size};
    bool after_manifest = false;
    bool manifest_twice = false;
    *out = (struct sb_module_parts){.payload_size = size};
    if (size < HEADER_SIZE || memcmp(data, header, HEADER_SIZE) != 0) {
        return SB_REFUSED_MALFORMED_MODULE;
    }
    r.p += HEADER_SIZE;
    while (r.p < r.end) {
        uint32_t start = (uint32_t)(r.p - data);
        struct section section;
        if (out->has_signature) {
            return SB_REFUSED_TRAILING;
        }
        if (!read_section(&r, &section)) {
            return SB_REFUSED_MALFORMED_MODULE;
        }
        if (is_called(&section, "wasel.signature")) {
            out->has_signature = true;
            out->payload_size = start;
            out->signature = slice(data, &section);
        } else if (is_called(&section, "wasel.manifest")) {
            manifest_twice |= out->has_manifest;
            out->has_manifest = after_manifest = true;
            out->manifest_start = start;
            out->manifest = slice(data, &section);
        } else {
            after_manifest = false;
        }
    }
    if (out->has_signature && (!after_manifest || manifest_twice)) {
        return SB_REFUSED_NO_MANIFEST;
    }
    return SB_ACCEPTED;
}
