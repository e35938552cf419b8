/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that several sections share: errors, counts, types, limits, constant expressions. Contract in decode.h. */
#include "compact.h"
#include "decode.h"

#include "limits.h"

EE_COMPACT

uint32_t ee_decode_offset(const struct ee_decoder *d) { return (uint32_t)(d->r.p - d->module->bytes); }

enum ee_status ee_decode_malformed(const struct ee_decoder *d)
{
    return ee_fail(d->error, EE_MALFORMED, ee_decode_offset(d), EE_NO_INDEX, d->r.problem);
}

enum ee_status ee_decode_fail(const struct ee_decoder *d, enum ee_status status, const char *text)
{
    return ee_fail(d->error, status, ee_decode_offset(d), EE_NO_INDEX, text);
}

enum ee_status ee_decode_count(struct ee_decoder *d, uint32_t entry_size, uint32_t *count)
{
    if (!ee_read_u32(&d->r, count))
        return ee_decode_malformed(d);
    if (*count > ee_left(&d->r) / entry_size) {
        ee_error_begin(d->error, EE_MALFORMED, ee_decode_offset(d), EE_NO_INDEX);
        ee_error_text(d->error, "unexpected end: length out of bounds: expected ");
        ee_error_number(d->error, *count);
        ee_error_text(d->error, " entries, found ");
        ee_error_number(d->error, ee_left(&d->r));
        ee_error_text(d->error, " bytes");
        return EE_MALFORMED;
    }
    return EE_OK;
}

/* Types that WebAssembly 3.0 added. */
static bool is_later_type(uint8_t byte)
{
    return byte == 0x63 || byte == 0x64 || (byte >= 0x69 && byte <= 0x6e) || (byte >= 0x71 && byte <= 0x74);
}

static enum ee_status bad_type(struct ee_decoder *d, uint8_t found, const char *expected)
{
    d->r.p--; /* the byte just read is the place */
    bool later = is_later_type(found);
    ee_error_begin(d->error, later ? EE_UNSUPPORTED : EE_MALFORMED, ee_decode_offset(d), EE_NO_INDEX);
    ee_error_text(d->error, expected);
    ee_error_hex(d->error, found);
    if (later)
        ee_error_text(d->error, ": the garbage collection and exception handling proposals are not supported");
    return later ? EE_UNSUPPORTED : EE_MALFORMED;
}

enum ee_status ee_decode_valtype(struct ee_decoder *d, uint8_t *type)
{
    if (!ee_read_u8(&d->r, type))
        return ee_decode_malformed(d);
    if ((*type >= EE_V128 && *type <= EE_I32) || *type == EE_FUNCREF || *type == EE_EXTERNREF)
        return EE_OK;
    return bad_type(d, *type, "malformed value type: expected i32, i64, f32, f64, v128, funcref or externref, found ");
}

enum ee_status ee_decode_reftype(struct ee_decoder *d, uint8_t *type)
{
    if (!ee_read_u8(&d->r, type))
        return ee_decode_malformed(d);
    if (*type == EE_FUNCREF || *type == EE_EXTERNREF)
        return EE_OK;
    return bad_type(d, *type, "malformed reference type: expected funcref or externref, found ");
}

/* Bits of the limits' first byte: the specification has one, proposals have given meanings to others. */
enum { LIMITS_MAX = 1, LIMITS_SHARED = 2, LIMITS_64 = 4, LIMITS_PAGE_SIZE = 8, LIMITS_KNOWN = 15 };

/* allowed: the flags that this kind of thing may have. */
static enum ee_status decode_limits(struct ee_decoder *d, uint8_t allowed, struct ee_limits *limits, uint8_t *flags)
{
    if (!ee_read_u8(&d->r, flags))
        return ee_decode_malformed(d);
    uint8_t bad = (uint8_t)(*flags & ~allowed);
    if (bad != 0) {
        d->r.p--;
        if ((bad & ~LIMITS_KNOWN) == 0 && (bad & LIMITS_64) != 0)
            return ee_decode_fail(d, EE_UNSUPPORTED, "64-bit limits: the memory64 proposal is not supported");
        if ((bad & ~LIMITS_KNOWN) == 0 && (bad & LIMITS_SHARED) != 0)
            return ee_decode_fail(d, EE_UNSUPPORTED, "shared limits: the threads proposal is not supported");
        return ee_decode_fail(d, EE_MALFORMED, "malformed limits flags");
    }
    limits->has_max = (*flags & LIMITS_MAX) != 0;
    limits->max = UINT32_MAX;
    if (!ee_read_u32(&d->r, &limits->min) || (limits->has_max && !ee_read_u32(&d->r, &limits->max)))
        return ee_decode_malformed(d);
    return EE_OK;
}

enum ee_status ee_decode_table_type(struct ee_decoder *d, struct ee_table *table)
{
    if (d->r.p != d->r.end && *d->r.p == 0x40)
        return ee_decode_fail(d, EE_UNSUPPORTED,
                              "a table with an initializer: the function references proposal is not supported");
    EE_TRY(ee_decode_reftype(d, &table->type));
    uint8_t flags;
    return decode_limits(d, LIMITS_MAX, &table->limits, &flags);
}

enum ee_status ee_decode_memory_type(struct ee_decoder *d)
{
    if (d->memories++ != 0)
        return ee_decode_fail(d, EE_INVALID, "multiple memories: the multi-memory proposal is not supported");
    struct ee_module *m = d->module;
    uint8_t flags = 0;
    EE_TRY(decode_limits(d, LIMITS_MAX | LIMITS_PAGE_SIZE, &m->memory, &flags));
    m->page_shift = 16;
    if ((flags & LIMITS_PAGE_SIZE) != 0 && !ee_read_u32(&d->r, &m->page_shift))
        return ee_decode_malformed(d);
    if (!m->memory.has_max)
        m->memory.max = m->page_shift == 0 ? EE_MAX_BYTE_PAGES : EE_MAX_PAGES;
    return EE_OK;
}

enum ee_status ee_decode_global_type(struct ee_decoder *d, struct ee_global *global)
{
    uint8_t mutability;
    EE_TRY(ee_decode_valtype(d, &global->type));
    if (!ee_read_u8(&d->r, &mutability))
        return ee_decode_malformed(d);
    if (mutability > 1) {
        d->r.p--;
        return ee_decode_fail(d, EE_MALFORMED, "malformed mutability: expected 0 or 1");
    }
    global->is_mutable = mutability == 1;
    return EE_OK;
}

enum ee_status ee_decode_expression(struct ee_decoder *d, struct ee_range *range)
{
    struct ee_instruction i;
    range->begin = ee_decode_offset(d);
    do {
        if (!ee_read_instruction(&d->r, &i))
            return ee_decode_fail(d, i.unsupported ? EE_UNSUPPORTED : EE_MALFORMED, d->r.problem);
        /* Blocks would bring further `end`s; nothing with an `end` is constant (core spec 3.3.10). */
        if (ee_op_info[i.op].immediate == EE_IMM_BLOCK) {
            d->r.p = i.at;
            return ee_decode_fail(d, EE_INVALID, "constant expression required, found a block");
        }
    } while (i.op != EE_OP_END);
    range->end = ee_decode_offset(d);
    return EE_OK;
}

EE_COMPACT_END
