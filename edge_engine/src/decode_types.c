/* SPDX-License-Identifier: Apache-2.0 */
/* The type section (core spec 5.5.4). Parameters and results stay in the module; equal types find each other. */
#include "compact.h"
#include "decode.h"

#include "bytes.h"
#include "limits.h"
#include "sort.h"

EE_COMPACT

static enum ee_status decode_values(struct ee_decoder *d, uint32_t most, const char *too_many, uint32_t *offset,
                                    uint16_t *count, uint16_t *slots)
{
    uint32_t n, total = 0;
    EE_TRY(ee_decode_count(d, 1, &n));
    if (n > most)
        return ee_decode_fail(d, EE_UNSUPPORTED, too_many);
    *offset = ee_decode_offset(d);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t type;
        EE_TRY(ee_decode_valtype(d, &type));
        total += ee_valtype_slots(type);
        if (type == EE_V128 && d->module->simd_offset == EE_NO_INDEX)
            d->module->simd_offset = *offset + i;
    }
    *count = (uint16_t)n;
    *slots = (uint16_t)total;
    return EE_OK;
}

_Static_assert(2 * EE_MAX_PARAMS <= UINT16_MAX, "slots fit in their field");
_Static_assert(2 * EE_MAX_RESULTS <= UINT16_MAX, "slots fit in their field");

static enum ee_status decode_type(struct ee_decoder *d, struct ee_functype *type)
{
    uint8_t form;
    if (!ee_read_u8(&d->r, &form))
        return ee_decode_malformed(d);
    if (form != 0x60) {
        d->r.p--;
        if (form == 0x5f || form == 0x5e || form == 0x50 || form == 0x4f || form == 0x4e)
            return ee_decode_fail(d, EE_UNSUPPORTED,
                                  "a structure, array or recursive type: the garbage collection proposal is not supported");
        return ee_decode_fail(d, EE_MALFORMED, "malformed type: expected a function type (0x60)");
    }
    EE_TRY(decode_values(d, EE_MAX_PARAMS, "a function type with more than 1000 parameters", &type->params,
                         &type->param_count, &type->param_slots));
    return decode_values(d, EE_MAX_RESULTS, "a function type with more than 1000 results", &type->results,
                         &type->result_count, &type->result_slots);
}

static int compare_content(const struct ee_module *a, const struct ee_functype *x, const struct ee_module *b,
                           const struct ee_functype *y)
{
    int order = ee_compare_bytes(a->bytes + x->params, x->param_count, b->bytes + y->params, y->param_count);
    if (order != 0)
        return order;
    return ee_compare_bytes(a->bytes + x->results, x->result_count, b->bytes + y->results, y->result_count);
}

static int compare_types(const struct ee_module *m, uint32_t a, uint32_t b)
{
    int order = compare_content(m, &m->types[a], m, &m->types[b]);
    return order != 0 ? order : a < b ? -1 : a > b;
}

bool ee_functype_equal(const struct ee_module *a, const struct ee_functype *x, const struct ee_module *b,
                       const struct ee_functype *y)
{
    return compare_content(a, x, b, y) == 0;
}

static enum ee_status find_equal_types(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    size_t mark = ee_arena_mark(d->arena);
    uint32_t *order = EE_ARENA_NEW(d->arena, m->type_count, uint32_t);
    if (order == NULL)
        return ee_fail_memory(d->error, d->arena, "comparing types");
    for (uint32_t i = 0; i < m->type_count; i++)
        order[i] = i;
    ee_sort(m, order, m->type_count, compare_types);
    uint32_t first = 0; /* of the run of equal ones: the lowest index, as indices break ties */
    for (uint32_t i = 0; i < m->type_count; i++) {
        if (i == 0 || !ee_functype_equal(m, &m->types[first], m, &m->types[order[i]]))
            first = order[i];
        m->types[order[i]].canonical = first;
    }
    ee_arena_release(d->arena, mark);
    return EE_OK;
}

enum ee_status ee_decode_types(struct ee_decoder *d)
{
    struct ee_module *m = d->module;
    uint32_t count;
    EE_TRY(ee_decode_count(d, 3, &count));
    m->types = EE_ARENA_NEW(d->arena, count, struct ee_functype);
    if (m->types == NULL)
        return ee_fail_memory(d->error, d->arena, "types");
    for (m->type_count = 0; m->type_count < count; m->type_count++)
        EE_TRY(decode_type(d, &m->types[m->type_count]));
    return find_equal_types(d);
}

EE_COMPACT_END
