/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions that compute: each picks the form (operations.py) that takes its operands from where they are.
 *
 * At most one operand of a class can be in its accumulator; a constant operand that no form takes goes through the
 * accumulator or its own slot first.
 */
#include "compact.h"
#include "translate.h"

EE_COMPACT

/* Operation with up to two source operands, each a slot, a constant or (no operand) the accumulator. */
struct form {
    uint64_t operands[4];
    uint8_t count;
};

static void add_operand(struct form *form, uint64_t operand) { form->operands[form->count++] = operand; }

/* Constants in form K of stores and sums have 16 bits, those of other instructions 32; floating-point ones are whole. */
static bool fits_16_bits(const struct ee_entry *e)
{
    int64_t value = e->type == EE_I32 ? (int32_t)e->value : (int64_t)e->value;
    return (e->type != EE_I32 && e->type != EE_I64) || value == (int16_t)value;
}

/* What turns forms SK and AK into those that a constant needs: nothing, the distance to W, or to Q. */
static uint32_t constant_form(const struct ee_shape *shape, const struct ee_entry *e)
{
    if (e->type == EE_I64 && (int64_t)e->value != (int32_t)e->value)
        return EE_BINARY_SQ - EE_BINARY_SK;
    return shape->kind == EE_SHAPE_BINARY_SUM && !fits_16_bits(e) ? EE_BINARY_SW - EE_BINARY_SK : 0;
}

static uint32_t in_accumulator(uint32_t form)
{
    return form == EE_BINARY_SK ? EE_BINARY_AK : form == EE_BINARY_SQ ? EE_BINARY_AQ : EE_BINARY_AW;
}

/* Of a shift's constant only the lowest bits count (core spec 4.3.2): so many fit into form K. */
static uint64_t shift_mask(uint16_t op)
{
    if (op >= EE_OP_I32_SHL && op <= EE_OP_I32_ROTR)
        return 31;
    return op >= EE_OP_I64_SHL && op <= EE_OP_I64_ROTR ? 63 : UINT64_MAX;
}

static uint8_t type_of(char letter)
{
    switch (letter) {
    case 'i':
        return EE_I32;
    case 'I':
        return EE_I64;
    case 'f':
        return EE_F32;
    case 'F':
        return EE_F64;
    case 'v':
        return EE_V128;
    default:
        return EE_FUNCREF;
    }
}

static uint8_t result_type(const struct ee_op_info *info)
{
    const char *p = info->signature;
    while (*p != ':')
        p++;
    return type_of(p[1]);
}

/* Appends the operation and makes its result the top of the stack; has_twin: the next one stores it in a slot too. */
static void produce(struct ee_translator *t, uint32_t operation, const struct form *form, uint8_t type, bool has_twin)
{
    ee_append(t, (uint16_t)operation, form->count, form->operands);
    ee_push_acc(t, type, has_twin);
}

/* Exchanges the operands: another instruction's operations do the same with them. */
static const struct ee_shape *exchange(uint32_t *op, struct ee_entry *a, struct ee_entry *b)
{
    struct ee_entry swap = *a;
    *a = *b;
    *b = swap;
    *op += (uint32_t)(int32_t)ee_shapes[*op].mirror;
    return &ee_shapes[*op];
}

static void binary(struct ee_translator *t, const struct ee_shape *shape, uint8_t result)
{
    ee_resolve(t, 2);
    struct ee_entry b = ee_take(t), a = ee_take(t);
    struct form form = {.count = 0};
    uint32_t op = t->instruction.op, sources;
    bool has_mirror = shape->mirror != EE_NO_MIRROR;
    if (op == EE_OP_I32_ADD && (ee_push_sum(t, &a, &b) || ee_push_sum(t, &b, &a)))
        return;
    ee_spill(t, ee_class(result));
    if (has_mirror && a.place == EE_AT_CONST && b.place != EE_AT_CONST)
        shape = exchange(&op, &a, &b);
    bool lean = shape->kind == EE_SHAPE_BINARY_LEAN;
    bool has_wide = shape->kind == EE_SHAPE_BINARY_WIDE || shape->kind == EE_SHAPE_BINARY_SUM;
    uint32_t constant = EE_BINARY_SK;
    if (b.place == EE_AT_CONST) {
        b.value &= shift_mask(t->instruction.op);
        constant += constant_form(shape, &b);
        if (lean || (constant != EE_BINARY_SK && !has_wide))
            ee_in_slot(t, &b);
    }
    if (a.place == EE_AT_CONST) { /* through the accumulator, so b must not be there */
        if (b.place == EE_AT_ACC)
            ee_in_slot(t, &b);
        ee_load_entry(t, &a);
        a.place = EE_AT_ACC;
    }
    if (has_mirror && b.place != EE_AT_CONST &&
        (b.place == EE_AT_ACC || (!ee_in_acc(t, &a) && (shape->mirror < 0 || ee_in_acc(t, &b)))))
        shape = exchange(&op, &a, &b);
    if (b.place == EE_AT_CONST) {
        sources = ee_in_acc(t, &a) ? in_accumulator(constant) : constant;
        if (sources == constant)
            add_operand(&form, EE_SLOT(a.slot));
        add_operand(&form, b.value);
    } else if (b.place != EE_AT_ACC && ee_in_acc(t, &a)) {
        sources = EE_BINARY_AS;
        add_operand(&form, EE_SLOT(b.slot));
    } else if (ee_in_acc(t, &b)) {
        sources = EE_BINARY_SA;
        add_operand(&form, EE_SLOT(ee_in_slot(t, &a)));
    } else {
        sources = EE_BINARY_SS;
        add_operand(&form, EE_SLOT(a.slot));
        add_operand(&form, EE_SLOT(b.slot));
    }
    static const uint8_t lean_sources[] = {
        [EE_BINARY_SS] = EE_LEAN_SS, [EE_BINARY_AS] = EE_LEAN_AS, [EE_BINARY_SA] = EE_LEAN_SA};
    if (lean)
        produce(t, shape->first + (uint32_t)lean_sources[sources], &form, result, false);
    else if (shape->kind == EE_SHAPE_BINARY_ONCE)
        produce(t, shape->first + sources, &form, result, false);
    else
        produce(t, shape->first + sources * 2, &form, result, true);
}

static void unary(struct ee_translator *t, const struct ee_shape *shape, uint8_t result)
{
    ee_resolve(t, 1);
    struct ee_entry a = ee_take(t);
    struct form form = {.count = 0};
    ee_spill(t, ee_class(result));
    if (a.place == EE_AT_CONST || shape->kind == EE_SHAPE_UNARY_LEAN)
        ee_load_entry(t, &a);
    else if (!ee_in_acc(t, &a))
        add_operand(&form, EE_SLOT(a.slot));
    uint32_t sources = form.count != 0 || shape->kind == EE_SHAPE_UNARY_LEAN ? 0 : 1;
    bool has_twins = shape->kind == EE_SHAPE_UNARY;
    produce(t, shape->first + (has_twins ? sources * 2 : sources), &form, result, has_twins);
}

/*
 * An address just popped and the instruction's offset: a constant takes it in, if they have a sum below 2^32; where it
 * has more than 16 bits the accumulator, free of the value to be stored, becomes the sum. Returns the offset that is left.
 */
static uint64_t whole_address(struct ee_translator *t, struct ee_entry *a)
{
    uint64_t offset = t->instruction.value;
    if (a->place == EE_AT_CONST) {
        uint64_t sum = (uint32_t)a->value + offset;
        if (sum <= UINT32_MAX) {
            a->value = sum;
            return 0;
        }
        ee_in_slot(t, a);
    }
    if (offset <= UINT16_MAX)
        return offset;
    ee_spill(t, EE_CLASS_INT);
    if (ee_in_acc(t, a))
        EE_DO(t, EE_DO_address_a, offset);
    else
        EE_DO(t, EE_DO_address_s, EE_SLOT(a->slot), offset);
    t->acc[EE_CLASS_INT] = (struct ee_accumulator){EE_NO_ENTRY, EE_NO_PRODUCER, EE_NO_SLOT};
    a->place = EE_AT_ACC;
    return 0;
}

static void load(struct ee_translator *t, const struct ee_shape *shape, uint8_t result)
{
    if (t->instruction.value != 0)
        ee_resolve(t, 1);
    struct ee_entry a = ee_take(t);
    struct form form = {.count = 0};
    uint32_t sources = EE_LOAD_A;
    ee_spill(t, ee_class(result));
    uint64_t offset = whole_address(t, &a);
    if (a.place == EE_AT_SUM) {
        sources = EE_LOAD_C;
        add_operand(&form, EE_SLOT(a.slot));
        add_operand(&form, a.value);
    } else if (a.place == EE_AT_CONST) {
        sources = EE_LOAD_K;
        add_operand(&form, a.value);
    } else if (!ee_in_acc(t, &a)) {
        sources = EE_LOAD_S;
        add_operand(&form, EE_SLOT(a.slot));
    }
    if (sources != EE_LOAD_C && sources != EE_LOAD_K)
        add_operand(&form, offset);
    produce(t, shape->first + sources * 2, &form, result, true);
}

static void store(struct ee_translator *t, const struct ee_shape *shape, uint8_t type)
{
    ee_resolve(t, t->instruction.value != 0 ? 2 : 1);
    struct ee_entry v = ee_take(t), a = ee_take(t);
    struct form form = {.count = 0};
    uint32_t sources;
    bool both = ee_class(type) == EE_CLASS_FLOAT; /* address and value have accumulators of their own */
    if (v.place == EE_AT_ACC && !both && t->instruction.value > UINT16_MAX)
        ee_in_slot(t, &v);
    uint64_t offset = whole_address(t, &a);
    if (v.place == EE_AT_CONST && (!fits_16_bits(&v) || a.place == EE_AT_CONST)) {
        if (a.place != EE_AT_CONST) {
            ee_in_slot(t, &v);
        } else {
            ee_load_entry(t, &v);
            v.place = EE_AT_ACC;
        }
    }
    bool v_acc = ee_in_acc(t, &v), a_acc = ee_in_acc(t, &a);
    if (v_acc && a_acc && !both) { /* the same accumulator: one of them has a slot too */
        if (v.place == EE_AT_ACC && a.place == EE_AT_SLOT) {
            a_acc = false;
        } else {
            ee_in_slot(t, &v);
            v_acc = false;
        }
    }
    if (a.place == EE_AT_SUM) {
        add_operand(&form, EE_SLOT(a.slot));
        add_operand(&form, a.value);
        sources = v_acc ? EE_STORE_CA : v.place == EE_AT_CONST ? EE_STORE_CK : EE_STORE_CS;
        if (!v_acc)
            add_operand(&form, v.place == EE_AT_CONST ? v.value : EE_SLOT(v.slot));
    } else if (a.place == EE_AT_CONST) {
        add_operand(&form, a.value);
        sources = v_acc ? EE_STORE_KA : EE_STORE_KS;
        if (!v_acc)
            add_operand(&form, EE_SLOT(v.slot));
    } else if (a_acc) {
        sources = v_acc ? EE_STORE_AA : v.place == EE_AT_CONST ? EE_STORE_AK : EE_STORE_AS;
        if (!v_acc)
            add_operand(&form, v.place == EE_AT_CONST ? v.value : EE_SLOT(v.slot));
    } else {
        add_operand(&form, EE_SLOT(a.slot));
        sources = v_acc ? EE_STORE_SA : v.place == EE_AT_CONST ? EE_STORE_SK : EE_STORE_SS;
        if (!v_acc)
            add_operand(&form, v.place == EE_AT_CONST ? v.value : EE_SLOT(v.slot));
    }
    if (a.place != EE_AT_SUM && a.place != EE_AT_CONST)
        add_operand(&form, offset);
    ee_append(t, (uint16_t)(shape->first + sources), form.count, form.operands);
}

static void select_value(struct ee_translator *t)
{
    ee_resolve(t, 3);
    struct ee_entry c = ee_take(t), b = ee_take(t), a = ee_take(t);
    uint32_t first = a.type == EE_V128                     ? EE_DO_select_v_s_a
                     : ee_class(a.type) == EE_CLASS_FLOAT ? EE_DO_select_f_s_a
                                                          : EE_DO_select_a_s_a;
    ee_spill(t, ee_class(a.type));
    /* At most one of an integer class's operands is in the accumulator; only the condition may stay there. */
    struct form form = {.count = 0};
    if (c.place == EE_AT_CONST)
        ee_in_slot(t, &c);
    if (b.place == EE_AT_ACC) /* before a constant goes through the accumulator */
        ee_in_slot(t, &b);
    add_operand(&form, EE_SLOT(ee_in_slot(t, &a)));
    add_operand(&form, EE_SLOT(ee_in_slot(t, &b)));
    bool c_acc = ee_in_acc(t, &c);
    if (!c_acc)
        add_operand(&form, EE_SLOT(c.slot));
    produce(t, first + (c_acc ? 2u : 0u), &form, a.type, true);
}

static uint32_t cell_offset(const struct ee_translator *t, const void *cell)
{
    return (uint32_t)((const uint8_t *)cell - (const uint8_t *)t->in);
}

static void global(struct ee_translator *t, bool set)
{
    uint32_t index = t->instruction.index;
    uint8_t type = t->module->globals[index].type;
    uint32_t class = ee_class(type);
    uint32_t kind = type == EE_V128 ? 6 : class == EE_CLASS_FLOAT ? 3 : 0;
    bool imported = index < t->module->imported_globals;
    uint32_t cell = cell_offset(t, imported ? (const void *)&t->in->globals[index] : (const void *)t->in->globals[index]);
    uint32_t first = (imported ? EE_DO_import_get_a : EE_DO_global_get_a) + kind;
    if (set) {
        ee_resolve(t, 1);
        struct ee_entry e = ee_take(t);
        ee_load_entry(t, &e);
        EE_DO(t, (uint16_t)(first + 2), cell);
        return;
    }
    ee_spill(t, class);
    EE_DO(t, (uint16_t)first, cell);
    ee_push_acc(t, type, true);
}

/* An operation that takes `count` operands from slots side by side and perhaps leaves an integer in the accumulator. */
static void bulk(struct ee_translator *t, uint16_t operation, uint32_t count, uint32_t a, uint32_t b, uint8_t operands,
                 uint8_t result)
{
    ee_settle_top(t, count);
    for (uint32_t i = 0; i < count; i++)
        ee_take(t);
    ee_spill(t, EE_CLASS_INT);
    uint64_t all[3];
    uint8_t n = 0;
    if (count != 0)
        all[n++] = EE_SLOT(t->next_slot);
    if (operands > 0)
        all[n++] = a;
    if (operands > 1)
        all[n++] = b;
    ee_append(t, operation, n, all);
    if (result != 0) {
        ee_push_acc(t, result, false);
    } else if (count != 0) {
        t->acc[EE_CLASS_INT].home = EE_NO_SLOT;
        t->acc[EE_CLASS_INT].producer = EE_NO_PRODUCER;
    }
}

static bool bulk_instruction(struct ee_translator *t)
{
    const struct ee_instruction *i = &t->instruction;
    switch (i->op) {
    case EE_OP_MEMORY_SIZE:
        bulk(t, EE_DO_memory_size, 0, 0, 0, 0, EE_I32);
        return true;
    case EE_OP_MEMORY_GROW:
        bulk(t, EE_DO_memory_grow, 1, 0, 0, 0, EE_I32);
        return true;
    case EE_OP_MEMORY_COPY:
        bulk(t, EE_DO_memory_copy, 3, 0, 0, 0, 0);
        return true;
    case EE_OP_MEMORY_FILL:
        bulk(t, EE_DO_memory_fill, 3, 0, 0, 0, 0);
        return true;
    case EE_OP_MEMORY_INIT:
        bulk(t, EE_DO_memory_init, 3, i->index, 0, 1, 0);
        return true;
    case EE_OP_DATA_DROP:
        bulk(t, EE_DO_data_drop, 0, i->index, 0, 1, 0);
        return true;
    case EE_OP_TABLE_GET:
        bulk(t, EE_DO_table_get, 1, i->index, 0, 1, t->module->tables[i->index].type);
        return true;
    case EE_OP_TABLE_SET:
        bulk(t, EE_DO_table_set, 2, i->index, 0, 1, 0);
        return true;
    case EE_OP_TABLE_SIZE:
        bulk(t, EE_DO_table_size, 0, i->index, 0, 1, EE_I32);
        return true;
    case EE_OP_TABLE_GROW:
        bulk(t, EE_DO_table_grow, 2, i->index, 0, 1, EE_I32);
        return true;
    case EE_OP_TABLE_FILL:
        bulk(t, EE_DO_table_fill, 3, i->index, 0, 1, 0);
        return true;
    case EE_OP_TABLE_COPY:
        bulk(t, EE_DO_table_copy, 3, i->index, i->index2, 2, 0);
        return true;
    case EE_OP_TABLE_INIT:
        bulk(t, EE_DO_table_init, 3, i->index, i->index2, 2, 0);
        return true;
    case EE_OP_ELEM_DROP:
        bulk(t, EE_DO_elem_drop, 0, i->index, 0, 1, 0);
        return true;
    case EE_OP_REF_FUNC:
        bulk(t, EE_DO_ref_func, 0, i->index, 0, 1, EE_FUNCREF);
        return true;
    default:
        return false;
    }
}

bool ee_translate_value(struct ee_translator *t)
{
    const struct ee_instruction *i = &t->instruction;
    const struct ee_shape *shape = &ee_shapes[i->op];
    const struct ee_op_info *info = &ee_op_info[i->op];
    switch (shape->kind) {
    case EE_SHAPE_BINARY:
    case EE_SHAPE_BINARY_WIDE:
    case EE_SHAPE_BINARY_SUM:
    case EE_SHAPE_BINARY_ONCE:
    case EE_SHAPE_BINARY_LEAN:
        binary(t, shape, result_type(info));
        return true;
    case EE_SHAPE_UNARY:
    case EE_SHAPE_UNARY_ONCE:
    case EE_SHAPE_UNARY_LEAN:
        unary(t, shape, result_type(info));
        return true;
    case EE_SHAPE_LOAD:
        load(t, shape, result_type(info));
        return true;
    case EE_SHAPE_STORE:
        store(t, shape, type_of(info->signature[1]));
        return true;
    case EE_SHAPE_NONE:
        break;
    default:
        ee_translate_vector(t, shape, result_type(info));
        return true;
    }
    switch (i->op) {
    case EE_OP_NOP:
        return true;
    case EE_OP_I32_WRAP_I64: /* of an i32 the upper bits don't count */
        t->stack[t->height - 1].type = EE_I32;
        if (t->stack[t->height - 1].place == EE_AT_CONST)
            t->stack[t->height - 1].value &= UINT32_MAX;
        return true;
    case EE_OP_DROP:
        ee_take(t);
        return true;
    case EE_OP_SELECT:
    case EE_OP_SELECT_T:
        select_value(t);
        return true;
    case EE_OP_LOCAL_GET:
        ee_local_get(t, i->index);
        return true;
    case EE_OP_LOCAL_SET:
        ee_local_set(t, i->index, false);
        return true;
    case EE_OP_LOCAL_TEE:
        ee_local_set(t, i->index, true);
        return true;
    case EE_OP_GLOBAL_GET:
    case EE_OP_GLOBAL_SET:
        global(t, i->op == EE_OP_GLOBAL_SET);
        return true;
    case EE_OP_I32_CONST:
        ee_push_const(t, EE_I32, i->value);
        return true;
    case EE_OP_I64_CONST:
        ee_push_const(t, EE_I64, i->value);
        return true;
    case EE_OP_F32_CONST:
        ee_push_const(t, EE_F32, i->value);
        return true;
    case EE_OP_F64_CONST:
        ee_push_const(t, EE_F64, i->value);
        return true;
    case EE_OP_V128_CONST:
        ee_push_const(t, EE_V128, (uint64_t)(i->bytes - t->module->bytes));
        return true;
    case EE_OP_REF_NULL:
        ee_push_const(t, (uint8_t)i->index, 0);
        return true;
    case EE_OP_REF_IS_NULL:
        unary(t, &ee_shapes[EE_OP_I64_EQZ], EE_I32);
        return true;
    default:
        return bulk_instruction(t);
    }
}

EE_COMPACT_END
