/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module's frame (core spec 5.5.16): magic, version, the order and extent of sections, and what they must agree on.
 * Two passes over section headers: the first checks their order and finds out how much there is, so that each table
 * is allocated once with the right size; the second decodes. Contract in module.h.
 */
#include "compact.h"
#include "decode.h"

#include "bytes.h"
#include "limits.h"

EE_COMPACT

/* Place of a section in the prescribed order; the data count comes before the code (core spec 5.5.2). */
static uint32_t section_order(uint32_t id)
{
    if (id == EE_SECTION_DATA_COUNT)
        return 2 * EE_SECTION_CODE - 1;
    return 2 * id;
}

static enum ee_status check_preamble(struct ee_decoder *d)
{
    static const uint8_t magic[4] = {0, 'a', 's', 'm'}, version[4] = {1, 0, 0, 0}, component[2] = {1, 0};
    const uint8_t *bytes;
    if (!ee_read_bytes(&d->r, 4, &bytes) || memcmp(bytes, magic, 4) != 0)
        return ee_fail(d->error, EE_MALFORMED, 0, EE_NO_INDEX,
                       "magic header not detected: expected \"\\0asm\" at the start of a module");
    if (!ee_read_bytes(&d->r, 4, &bytes))
        return ee_fail(d->error, EE_MALFORMED, 4, EE_NO_INDEX, "unexpected end: expected the binary version");
    if (memcmp(bytes, version, 4) == 0)
        return EE_OK;
    if (memcmp(bytes + 2, component, 2) == 0)
        return ee_fail(d->error, EE_UNSUPPORTED, 4, EE_NO_INDEX, "a component, not a core module");
    uint32_t found;
    memcpy(&found, bytes, 4);
    ee_error_begin(d->error, EE_MALFORMED, 4, EE_NO_INDEX);
    ee_error_text(d->error, "unknown binary version: expected 1, found ");
    ee_error_number(d->error, found);
    return EE_MALFORMED;
}

/* Notes where function names are. Name sections are advice: what is wrong in them is no error (core spec 7.4). */
static void note_names(struct ee_decoder *d, struct ee_reader r)
{
    struct ee_module *m = d->module;
    m->name_section = (struct ee_range){(uint32_t)(r.p - m->bytes), (uint32_t)(r.end - m->bytes)};
    uint8_t id;
    uint32_t size;
    const uint8_t *bytes;
    while (ee_read_u8(&r, &id) && ee_read_u32(&r, &size) && ee_read_bytes(&r, size, &bytes))
        if (id == 1) {
            m->function_names.begin = (uint32_t)(bytes - m->bytes);
            m->function_names.end = m->function_names.begin + size;
            return;
        }
}

static enum ee_status custom_section(struct ee_decoder *d, const uint8_t *bytes, uint32_t size)
{
    struct ee_reader section = {.p = bytes, .end = bytes + size};
    struct ee_name name;
    if (!ee_read_name(&section, &name)) {
        ee_error_begin(d->error, EE_MALFORMED, (uint32_t)(bytes - d->module->bytes), EE_NO_INDEX);
        ee_error_text(d->error, "custom section's name: ");
        ee_error_text(d->error, section.problem);
        return EE_MALFORMED;
    }
    if (name.size == 4 && memcmp(name.bytes, "name", 4) == 0)
        note_names(d, section);
    return EE_OK;
}

/* First pass. */
static enum ee_status find_sections(struct ee_decoder *d)
{
    uint32_t order = 0;
    while (d->r.p != d->r.end) {
        uint8_t id;
        uint32_t size;
        const uint8_t *bytes;
        uint32_t at = ee_decode_offset(d);
        if (!ee_read_u8(&d->r, &id))
            return ee_decode_malformed(d);
        if (id == EE_SECTION_DATA_COUNT + 1)
            return ee_fail(d->error, EE_UNSUPPORTED, at, EE_NO_INDEX,
                           "a tag section: the exception handling proposal is not supported");
        if (id >= EE_SECTION_KINDS) {
            ee_error_begin(d->error, EE_MALFORMED, at, EE_NO_INDEX);
            ee_error_text(d->error, "malformed section id ");
            ee_error_number(d->error, id);
            return EE_MALFORMED;
        }
        if (!ee_read_u32(&d->r, &size))
            return ee_decode_malformed(d);
        if (!ee_read_bytes(&d->r, size, &bytes)) {
            ee_error_begin(d->error, EE_MALFORMED, at, EE_NO_INDEX);
            ee_error_text(d->error, "unexpected end: section ");
            ee_error_number(d->error, id);
            ee_error_text(d->error, " needs ");
            ee_error_number(d->error, size);
            ee_error_text(d->error, " bytes, found ");
            ee_error_number(d->error, ee_left(&d->r));
            return EE_MALFORMED;
        }
        if (id == EE_SECTION_CUSTOM) {
            EE_TRY(custom_section(d, bytes, size));
            continue;
        }
        if (section_order(id) <= order)
            return ee_fail(d->error, EE_MALFORMED, at, EE_NO_INDEX,
                           d->present[id] ? "unexpected content: a second section of the same kind"
                                          : "unexpected content: section out of order");
        order = section_order(id);
        d->present[id] = true;
        d->sections[id].begin = (uint32_t)(bytes - d->module->bytes);
        d->sections[id].end = d->sections[id].begin + size;
    }
    return EE_OK;
}

static enum ee_status decode_section(struct ee_decoder *d, enum ee_section id)
{
    static enum ee_status (*const decoders[EE_SECTION_KINDS])(struct ee_decoder *) = {
        [EE_SECTION_TYPE] = ee_decode_types,         [EE_SECTION_IMPORT] = ee_decode_imports,
        [EE_SECTION_FUNCTION] = ee_decode_functions, [EE_SECTION_TABLE] = ee_decode_tables,
        [EE_SECTION_MEMORY] = ee_decode_memories,    [EE_SECTION_GLOBAL] = ee_decode_globals,
        [EE_SECTION_EXPORT] = ee_decode_exports,     [EE_SECTION_START] = ee_decode_start,
        [EE_SECTION_ELEMENT] = ee_decode_elements,   [EE_SECTION_DATA_COUNT] = ee_decode_data_count,
        [EE_SECTION_CODE] = ee_decode_code,          [EE_SECTION_DATA] = ee_decode_data,
    };
    if (!d->present[id])
        return EE_OK;
    d->r.p = d->module->bytes + d->sections[id].begin;
    d->r.end = d->module->bytes + d->sections[id].end;
    EE_TRY(decoders[id](d));
    if (d->r.p != d->r.end)
        return ee_decode_fail(d, EE_MALFORMED, "section size mismatch: bytes left behind the last entry");
    return EE_OK;
}

/* Core spec 5.5.16: sections that speak of the same things must be of the same length. */
static enum ee_status check_agreement(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    if (!d->present[EE_SECTION_CODE] && m->function_count != m->imported_functions)
        return ee_fail(d->error, EE_MALFORMED, m->size, EE_NO_INDEX,
                       "function and code section have inconsistent lengths: the code section is missing");
    if (!d->present[EE_SECTION_DATA] && m->data_count != 0)
        return ee_fail(d->error, EE_MALFORMED, m->size, EE_NO_INDEX,
                       "data count and data section have inconsistent lengths: the data section is missing");
    return EE_OK;
}

enum ee_status ee_decode(const uint8_t *bytes, size_t size, struct ee_arena *arena, struct ee_module **module,
                         struct ee_error *error)
{
    static const uint8_t order[] = {EE_SECTION_TYPE,   EE_SECTION_IMPORT, EE_SECTION_FUNCTION,   EE_SECTION_TABLE,
                                    EE_SECTION_MEMORY, EE_SECTION_GLOBAL, EE_SECTION_EXPORT,     EE_SECTION_START,
                                    EE_SECTION_ELEMENT, EE_SECTION_DATA_COUNT, EE_SECTION_CODE,  EE_SECTION_DATA};
    if (size > EE_MAX_MODULE_SIZE)
        return ee_fail(error, EE_UNSUPPORTED, 0, EE_NO_INDEX, "a module of 4 GiB or more");
    struct ee_module *m = EE_ARENA_NEW(arena, 1, struct ee_module);
    if (m == NULL)
        return ee_fail_memory(error, arena, "the module's record");
    m->bytes = bytes;
    m->size = (uint32_t)size;
    m->start = m->simd_offset = m->simd_function = EE_NO_INDEX;
    struct ee_decoder d = {.r = {.p = bytes, .end = bytes + size}, .module = m, .arena = arena, .error = error};
    EE_TRY(check_preamble(&d));
    EE_TRY(find_sections(&d));
    EE_TRY(ee_decode_spaces(&d));
    for (size_t i = 0; i < sizeof order; i++)
        EE_TRY(decode_section(&d, (enum ee_section)order[i]));
    EE_TRY(check_agreement(&d));
    *module = m;
    return EE_OK;
}

EE_COMPACT_END
