/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions on v128. Their forms are few (operations_simd.py): operands that are neither in a slot nor where a form
 * wants them are put into their own slots first, and results stay in the floating-point accumulator.
 */
#include "compact.h"
#include "translate.h"

EE_COMPACT

struct form {
    uint64_t operands[EE_MAX_OPERANDS];
    uint8_t count;
};

static void add_operand(struct form *form, uint64_t operand) { form->operands[form->count++] = operand; }

static void add_slot(struct ee_translator *t, struct form *form, struct ee_entry *e)
{
    add_operand(form, EE_SLOT(ee_in_slot(t, e)));
}

static void produce(struct ee_translator *t, uint32_t operation, const struct form *form, uint8_t type)
{
    ee_append(t, (uint16_t)operation, form->count, form->operands);
    ee_push_acc(t, type, false);
}

/*
 * Constant vectors go into slots, by way of the accumulator; whoever of the popped operands lives in that must leave
 * it before. Others may keep their places.
 */
static void settle_constants(struct ee_translator *t, struct ee_entry *a, struct ee_entry *b)
{
    bool a_const = a->place == EE_AT_CONST && a->type == EE_V128;
    bool b_const = b->place == EE_AT_CONST && b->type == EE_V128;
    if (a_const && b->place == EE_AT_ACC && ee_class(b->type) == EE_CLASS_FLOAT)
        ee_in_slot(t, b);
    if (b_const && a->place == EE_AT_ACC && ee_class(a->type) == EE_CLASS_FLOAT)
        ee_in_slot(t, a);
    if (a_const)
        ee_in_slot(t, a);
    if (b_const)
        ee_in_slot(t, b);
}

static void unary(struct ee_translator *t, const struct ee_shape *shape, uint8_t result)
{
    struct ee_entry a = ee_take(t);
    struct form form = {.count = 0};
    ee_spill(t, ee_class(result));
    if (a.place == EE_AT_CONST)
        ee_load_entry(t, &a);
    else if (!ee_in_acc(t, &a))
        add_operand(&form, EE_SLOT(a.slot));
    bool in_acc = form.count == 0;
    if (shape->kind == EE_SHAPE_VECTOR_EXTRACT)
        add_operand(&form, t->instruction.lane);
    produce(t, shape->first + in_acc, &form, result);
}

static void binary(struct ee_translator *t, const struct ee_shape *shape)
{
    struct ee_entry b = ee_take(t), a = ee_take(t);
    struct form form = {.count = 0};
    uint32_t sources;
    settle_constants(t, &a, &b);
    ee_spill(t, EE_CLASS_FLOAT);
    if (b.place == EE_AT_ACC || (a.place != EE_AT_ACC && ee_in_acc(t, &b))) {
        sources = 2;
        add_slot(t, &form, &a);
    } else if (ee_in_acc(t, &a)) {
        sources = 1;
        add_slot(t, &form, &b);
    } else {
        sources = 0;
        add_slot(t, &form, &a);
        add_slot(t, &form, &b);
    }
    produce(t, shape->first + sources, &form, EE_V128);
}

/* A vector in a slot or the accumulator, and a number: a shift's count or a new lane. */
static void with_number(struct ee_translator *t, const struct ee_shape *shape)
{
    struct ee_entry x = ee_take(t), a = ee_take(t);
    struct form form = {.count = 0};
    bool is_shift = shape->kind == EE_SHAPE_VECTOR_SHIFT;
    bool is_constant = is_shift && x.place == EE_AT_CONST;
    if (!is_constant)
        ee_in_slot(t, &x);
    settle_constants(t, &a, &x);
    ee_spill(t, EE_CLASS_FLOAT);
    bool in_acc = ee_in_acc(t, &a);
    if (!in_acc)
        add_operand(&form, EE_SLOT(a.slot));
    add_operand(&form, is_constant ? x.value : EE_SLOT(x.slot));
    if (!is_shift)
        add_operand(&form, t->instruction.lane);
    produce(t, shape->first + (is_shift ? 2u * in_acc + is_constant : in_acc), &form, EE_V128);
}

static void ternary(struct ee_translator *t, const struct ee_shape *shape)
{
    struct ee_entry c = ee_take(t), b = ee_take(t), a = ee_take(t);
    struct ee_entry *all[] = {&a, &b, &c};
    struct form form = {.count = 0};
    for (size_t i = 0; i < 3; i++) /* the accumulator's first, since constants go through it */
        if (all[i]->place == EE_AT_ACC)
            ee_in_slot(t, all[i]);
    for (size_t i = 0; i < 3; i++)
        add_slot(t, &form, all[i]);
    ee_spill(t, EE_CLASS_FLOAT);
    produce(t, shape->first, &form, EE_V128);
}

static void shuffle(struct ee_translator *t, const struct ee_shape *shape)
{
    struct ee_entry b = ee_take(t), a = ee_take(t);
    struct form form = {.count = 0};
    uint64_t lanes[2];
    settle_constants(t, &a, &b);
    ee_spill(t, EE_CLASS_FLOAT);
    add_slot(t, &form, &a);
    add_slot(t, &form, &b);
    memcpy(lanes, t->instruction.bytes, 16);
    add_operand(&form, lanes[0]);
    add_operand(&form, lanes[1]);
    produce(t, shape->first, &form, EE_V128);
}

static void load(struct ee_translator *t, const struct ee_shape *shape)
{
    struct ee_entry a = ee_take(t);
    struct form form = {.count = 0};
    uint32_t sources = 1;
    ee_spill(t, EE_CLASS_FLOAT);
    if (a.place == EE_AT_CONST) {
        sources = 2;
        add_operand(&form, a.value);
    } else if (!ee_in_acc(t, &a)) {
        sources = 0;
        add_operand(&form, EE_SLOT(a.slot));
    }
    add_operand(&form, t->instruction.value);
    produce(t, shape->first + sources, &form, EE_V128);
}

static void store(struct ee_translator *t, const struct ee_shape *shape)
{
    struct ee_entry v = ee_take(t), a = ee_take(t);
    struct form form = {.count = 0};
    if (v.place == EE_AT_CONST)
        ee_in_slot(t, &v);
    if (a.place == EE_AT_CONST)
        ee_in_slot(t, &a);
    bool a_acc = ee_in_acc(t, &a), v_acc = ee_in_acc(t, &v);
    if (!a_acc)
        add_operand(&form, EE_SLOT(a.slot));
    if (!v_acc)
        add_operand(&form, EE_SLOT(v.slot));
    add_operand(&form, t->instruction.value);
    ee_append(t, (uint16_t)(shape->first + 2u * a_acc + v_acc), form.count, form.operands);
}

/* One lane of memory: the vector is an operand, and the result if the lane is loaded. */
static void lane(struct ee_translator *t, const struct ee_shape *shape)
{
    struct ee_entry v = ee_take(t), a = ee_take(t);
    struct form form = {.count = 0};
    bool is_load = t->instruction.op >= EE_OP_V128_LOAD8_LANE && t->instruction.op <= EE_OP_V128_LOAD64_LANE;
    add_slot(t, &form, &a);
    add_slot(t, &form, &v);
    add_operand(&form, t->instruction.value);
    add_operand(&form, t->instruction.lane);
    if (is_load) {
        ee_spill(t, EE_CLASS_FLOAT);
        produce(t, shape->first, &form, EE_V128);
    } else {
        ee_append(t, shape->first, form.count, form.operands);
    }
}

void ee_translate_vector(struct ee_translator *t, const struct ee_shape *shape, uint8_t result)
{
    ee_resolve(t, 3);
    switch ((enum ee_shape_kind)shape->kind) {
    case EE_SHAPE_VECTOR_UNARY:
    case EE_SHAPE_VECTOR_EXTRACT:
        unary(t, shape, result);
        return;
    case EE_SHAPE_VECTOR_BINARY:
        binary(t, shape);
        return;
    case EE_SHAPE_VECTOR_SHIFT:
    case EE_SHAPE_VECTOR_REPLACE:
        with_number(t, shape);
        return;
    case EE_SHAPE_VECTOR_TERNARY:
        ternary(t, shape);
        return;
    case EE_SHAPE_VECTOR_SHUFFLE:
        shuffle(t, shape);
        return;
    case EE_SHAPE_VECTOR_LOAD:
        load(t, shape);
        return;
    case EE_SHAPE_VECTOR_STORE:
        store(t, shape);
        return;
    case EE_SHAPE_VECTOR_LANE:
        lane(t, shape);
        return;
    default:
        __builtin_unreachable(); /* scalar shapes are translated elsewhere */
    }
}

EE_COMPACT_END
