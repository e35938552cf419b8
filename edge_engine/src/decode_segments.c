/* SPDX-License-Identifier: Apache-2.0 */
/* Sections with contents: elements, code and data (core spec 5.5.12 to 5.5.15). Contents stay where they are. */
#include "compact.h"
#include "decode.h"

EE_COMPACT

/* Elements: how the first number encodes mode and form. */
enum {
    ELEMENT_NOT_ACTIVE = 1,  /* passive or declarative */
    ELEMENT_EXPLICIT = 2,    /* active: with a table index; else: declarative */
    ELEMENT_EXPRESSIONS = 4, /* items are expressions */
    ELEMENT_FLAGS = 7,
};

static enum ee_status decode_element_type(struct ee_decoder *d, struct ee_element_segment *segment, uint32_t flags)
{
    segment->type = EE_FUNCREF;
    if ((flags & (ELEMENT_NOT_ACTIVE | ELEMENT_EXPLICIT)) == 0)
        return EE_OK;
    if (segment->is_expressions)
        return ee_decode_reftype(d, &segment->type);
    uint8_t kind;
    if (!ee_read_u8(&d->r, &kind))
        return ee_decode_malformed(d);
    if (kind != 0) {
        d->r.p--;
        return ee_decode_fail(d, EE_MALFORMED, "malformed element kind: expected 0");
    }
    return EE_OK;
}

static enum ee_status decode_items(struct ee_decoder *d, struct ee_element_segment *segment)
{
    EE_TRY(ee_decode_count(d, segment->is_expressions ? 2 : 1, &segment->count));
    segment->items.begin = ee_decode_offset(d);
    for (uint32_t i = 0; i < segment->count; i++) {
        struct ee_range expression;
        uint32_t function;
        if (segment->is_expressions)
            EE_TRY(ee_decode_expression(d, &expression));
        else if (!ee_read_u32(&d->r, &function))
            return ee_decode_malformed(d);
    }
    segment->items.end = ee_decode_offset(d);
    return EE_OK;
}

static enum ee_status decode_element(struct ee_decoder *d, struct ee_element_segment *segment)
{
    uint32_t flags;
    if (!ee_read_u32(&d->r, &flags))
        return ee_decode_malformed(d);
    if (flags > ELEMENT_FLAGS)
        return ee_decode_fail(d, EE_MALFORMED, "malformed elements segment kind: expected 0 to 7");
    segment->is_expressions = (flags & ELEMENT_EXPRESSIONS) != 0;
    if (flags & ELEMENT_NOT_ACTIVE) {
        segment->mode = flags & ELEMENT_EXPLICIT ? EE_SEGMENT_DECLARATIVE : EE_SEGMENT_PASSIVE;
    } else {
        segment->mode = EE_SEGMENT_ACTIVE;
        if (flags & ELEMENT_EXPLICIT && !ee_read_u32(&d->r, &segment->table))
            return ee_decode_malformed(d);
        EE_TRY(ee_decode_expression(d, &segment->offset));
    }
    EE_TRY(decode_element_type(d, segment, flags));
    return decode_items(d, segment);
}

enum ee_status ee_decode_elements(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t count;
    EE_TRY(ee_decode_count(d, 2, &count));
    m->elements = EE_ARENA_NEW(d->arena, count, struct ee_element_segment);
    if (m->elements == NULL)
        return ee_fail_memory(d->error, d->arena, "element segments");
    for (m->element_count = 0; m->element_count < count; m->element_count++)
        EE_TRY(decode_element(d, &m->elements[m->element_count]));
    return EE_OK;
}

enum ee_status ee_decode_data_count(struct ee_decoder *d)
{
    if (!ee_read_u32(&d->r, &d->module->data_count))
        return ee_decode_malformed(d);
    d->module->has_data_count = true;
    return EE_OK;
}

enum ee_status ee_decode_code(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t count;
    EE_TRY(ee_decode_count(d, 1, &count));
    if (count != m->function_count - m->imported_functions) {
        ee_error_begin(d->error, EE_MALFORMED, ee_decode_offset(d), EE_NO_INDEX);
        ee_error_text(d->error, "function and code section have inconsistent lengths: expected ");
        ee_error_number(d->error, m->function_count - m->imported_functions);
        ee_error_text(d->error, " bodies, found ");
        ee_error_number(d->error, count);
        return EE_MALFORMED;
    }
    m->code = d->sections[EE_SECTION_CODE];
    for (uint32_t i = m->imported_functions; i < m->function_count; i++) {
        uint32_t size;
        const uint8_t *bytes;
        if (!ee_read_u32(&d->r, &size) || !ee_read_bytes(&d->r, size, &bytes))
            return ee_fail(d->error, EE_MALFORMED, ee_decode_offset(d), i, d->r.problem);
        m->functions[i].body.begin = (uint32_t)(bytes - m->bytes);
        m->functions[i].body.end = m->functions[i].body.begin + size;
    }
    return EE_OK;
}

static enum ee_status decode_data_segment(struct ee_decoder *d, struct ee_data_segment *segment)
{
    uint32_t flags, memory = 0, size;
    const uint8_t *bytes;
    if (!ee_read_u32(&d->r, &flags))
        return ee_decode_malformed(d);
    if (flags > 2)
        return ee_decode_fail(d, EE_MALFORMED, "malformed data segment kind: expected 0 to 2");
    segment->mode = flags == 1 ? EE_SEGMENT_PASSIVE : EE_SEGMENT_ACTIVE;
    if (flags == 2 && !ee_read_u32(&d->r, &memory))
        return ee_decode_malformed(d);
    if (memory != 0) {
        ee_error_begin(d->error, EE_INVALID, ee_decode_offset(d), EE_NO_INDEX);
        ee_error_text(d->error, "unknown memory ");
        ee_error_number(d->error, memory);
        return EE_INVALID;
    }
    if (segment->mode == EE_SEGMENT_ACTIVE)
        EE_TRY(ee_decode_expression(d, &segment->offset));
    if (!ee_read_u32(&d->r, &size) || !ee_read_bytes(&d->r, size, &bytes))
        return ee_decode_malformed(d);
    segment->bytes.begin = (uint32_t)(bytes - d->module->bytes);
    segment->bytes.end = segment->bytes.begin + size;
    return EE_OK;
}

enum ee_status ee_decode_data(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t count;
    EE_TRY(ee_decode_count(d, 2, &count));
    if (m->has_data_count && count != m->data_count) {
        ee_error_begin(d->error, EE_MALFORMED, ee_decode_offset(d), EE_NO_INDEX);
        ee_error_text(d->error, "data count and data section have inconsistent lengths: expected ");
        ee_error_number(d->error, m->data_count);
        ee_error_text(d->error, " segments, found ");
        ee_error_number(d->error, count);
        return EE_MALFORMED;
    }
    m->data = EE_ARENA_NEW(d->arena, count, struct ee_data_segment);
    if (m->data == NULL)
        return ee_fail_memory(d->error, d->arena, "data segments");
    for (m->data_count = 0; m->data_count < count; m->data_count++)
        EE_TRY(decode_data_segment(d, &m->data[m->data_count]));
    return EE_OK;
}

EE_COMPACT_END
