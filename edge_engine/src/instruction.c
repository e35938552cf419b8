/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of single instructions and local declarations; contract in instruction.h. */
#include "compact.h"
#include "instruction.h"

#include "bytes.h"

EE_COMPACT

static bool is_valtype(uint8_t byte)
{
    return (byte >= EE_V128 && byte <= EE_I32) || byte == EE_FUNCREF || byte == EE_EXTERNREF;
}

static bool fail(struct ee_reader *r, const char *problem)
{
    r->problem = problem;
    return false;
}

/* Instructions that exist in WebAssembly 3.0 or the relaxed SIMD and threads proposals, but not here. */
static const char *foreign(uint8_t prefix, uint32_t code)
{
    switch (prefix) {
    case 0xfb: return "the garbage collection proposal is not supported";
    case 0xfe: return "the threads proposal is not supported";
    case 0xfd: return code >= 0x100 && code <= 0x113 ? "the relaxed SIMD proposal is not supported" : NULL;
    case 0xfc: return NULL;
    default: break;
    }
    switch (code) {
    case 0x06: case 0x07: case 0x08: case 0x09: case 0x0a: case 0x18: case 0x19: case 0x1f:
        return "the exception handling proposal is not supported";
    case 0x14: case 0x15: case 0xd4: case 0xd5: case 0xd6:
        return "the function references proposal is not supported";
    case 0xd3: return "the garbage collection proposal is not supported";
    default: return NULL;
    }
}

static bool read_opcode(struct ee_reader *r, struct ee_instruction *i)
{
    uint8_t first;
    uint32_t code;
    if (!ee_read_u8(r, &first))
        return fail(r, "unexpected end of a function body or expression: END opcode expected");
    code = first;
    uint32_t number = first;
    if (first >= 0xfb && first != 0xff) {
        if (!ee_read_u32(r, &code))
            return false;
        number = EE_OP_COUNT;
        if (first == 0xfc && code < EE_PREFIX_FD - EE_PREFIX_FC)
            number = EE_PREFIX_FC + code;
        else if (first == 0xfd && code < EE_OP_COUNT - EE_PREFIX_FD)
            number = EE_PREFIX_FD + code;
    }
    if (number >= EE_OP_COUNT || ee_op_info[number].text == 0) {
        const char *known = foreign(first, code);
        r->p = i->at;
        i->unsupported = known != NULL;
        return fail(r, known != NULL ? known : "illegal opcode");
    }
    i->op = (uint16_t)number;
    return true;
}

/* s33: a type index if not negative, else one of the short forms, which are single bytes. */
static bool read_block_type(struct ee_reader *r, struct ee_instruction *i)
{
    int64_t type;
    i->bytes = r->p;
    if (!ee_read_s33(r, &type))
        return false;
    i->has_type = type >= 0;
    if (i->has_type) {
        i->index = (uint32_t)type; /* 2^32 - 1 at most, and every one of them may be meant */
        return true;
    }
    if (r->p - i->bytes != 1 || !(*i->bytes == 0x40 || is_valtype(*i->bytes)))
        return fail(r, "malformed block type");
    return true;
}

static bool read_labels(struct ee_reader *r, struct ee_instruction *i)
{
    uint32_t label;
    if (!ee_read_u32(r, &i->index))
        return false;
    if (i->index >= ee_left(r)) /* a byte each, at least, and the default */
        return fail(r, "unexpected end: br_table is longer than the body");
    i->bytes = r->p;
    for (uint32_t n = 0; n < i->index; n++)
        if (!ee_read_u32(r, &label))
            return false;
    return ee_read_u32(r, &i->index2);
}

static bool read_types(struct ee_reader *r, struct ee_instruction *i)
{
    if (!ee_read_u32(r, &i->index) || !ee_read_bytes(r, i->index, &i->bytes))
        return false;
    for (uint32_t n = 0; n < i->index; n++)
        if (!is_valtype(i->bytes[n]))
            return fail(r, "malformed value type");
    return true;
}

static bool read_memory(struct ee_reader *r)
{
    uint8_t memory;
    if (!ee_read_u8(r, &memory))
        return false;
    if (memory != 0)
        return fail(r, "zero byte expected (the multi-memory proposal is not supported)");
    return true;
}

static bool read_memarg(struct ee_reader *r, struct ee_instruction *i)
{
    uint32_t offset;
    if (!ee_read_u32(r, &i->index))
        return false;
    if (i->index >= 0x80)
        return fail(r, "malformed memop flags");
    if (i->index >= 0x40) {
        i->unsupported = true;
        return fail(r, "the multi-memory proposal is not supported");
    }
    if (!ee_read_u32(r, &offset))
        return false;
    i->value = offset;
    return true;
}

static bool read_fixed(struct ee_reader *r, struct ee_instruction *i, uint32_t size)
{
    if (!ee_read_bytes(r, size, &i->bytes))
        return false;
    i->value = 0;
    memcpy(&i->value, i->bytes, size > 8 ? 8 : size); /* little endian, as every target of this engine */
    return true;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "constants are read as the machine's own numbers");

bool ee_read_instruction(struct ee_reader *r, struct ee_instruction *i)
{
    int32_t small;
    int64_t large;
    uint8_t type;
    i->at = r->p;
    i->unsupported = false;
    if (!read_opcode(r, i))
        return false;
    switch ((enum ee_immediate)ee_op_info[i->op].immediate) {
    case EE_IMM_NONE: return true;
    case EE_IMM_BLOCK: return read_block_type(r, i);
    case EE_IMM_LABELS: return read_labels(r, i);
    case EE_IMM_TYPES: return read_types(r, i);
    case EE_IMM_LABEL:
    case EE_IMM_FUNCTION:
    case EE_IMM_LOCAL:
    case EE_IMM_GLOBAL:
    case EE_IMM_TABLE:
    case EE_IMM_ELEMENT:
    case EE_IMM_DATA: return ee_read_u32(r, &i->index);
    case EE_IMM_TYPE_TABLE:
    case EE_IMM_TABLE_TABLE:
    case EE_IMM_ELEMENT_TABLE: return ee_read_u32(r, &i->index) && ee_read_u32(r, &i->index2);
    case EE_IMM_DATA_MEMORY: return ee_read_u32(r, &i->index) && read_memory(r);
    case EE_IMM_MEMORY: return read_memory(r);
    /* NOLINTNEXTLINE(misc-redundant-expression): there are two of them */
    case EE_IMM_MEMORY_MEMORY: return read_memory(r) && read_memory(r);
    case EE_IMM_MEMARG: return read_memarg(r, i);
    case EE_IMM_MEMARG_LANE: return read_memarg(r, i) && ee_read_u8(r, &i->lane);
    case EE_IMM_LANE: return ee_read_u8(r, &i->lane);
    case EE_IMM_SHUFFLE:
    case EE_IMM_V128: return read_fixed(r, i, 16);
    case EE_IMM_F32: return read_fixed(r, i, 4);
    case EE_IMM_F64: return read_fixed(r, i, 8);
    case EE_IMM_I32:
        if (!ee_read_s32(r, &small))
            return false;
        i->value = (uint32_t)small;
        return true;
    case EE_IMM_I64:
        if (!ee_read_s64(r, &large))
            return false;
        i->value = (uint64_t)large;
        return true;
    case EE_IMM_REFTYPE:
        if (!ee_read_u8(r, &type))
            return false;
        if (type != EE_FUNCREF && type != EE_EXTERNREF)
            return fail(r, "malformed reference type");
        i->index = type;
        return true;
    }
    __builtin_unreachable(); /* the table has no other kinds */
}

bool ee_read_local_run(struct ee_reader *r, uint32_t *left, struct ee_local_run *run)
{
    r->problem = NULL;
    if (*left == EE_LOCALS_BEGIN) {
        uint32_t runs;
        if (!ee_read_u32(r, &runs))
            return false;
        if (runs > ee_left(r) / 2) /* two bytes each, at least */
            return fail(r, "unexpected end: local declarations are longer than the body");
        *left = runs;
    }
    if (*left == 0)
        return false;
    if (!ee_read_u32(r, &run->count) || !ee_read_u8(r, &run->type))
        return false;
    if (!is_valtype(run->type))
        return fail(r, "malformed value type");
    --*left;
    return true;
}

EE_COMPACT_END
