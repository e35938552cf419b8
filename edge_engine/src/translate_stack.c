/* SPDX-License-Identifier: Apache-2.0 */
/* The translator's picture of operand stack, locals and accumulators; what the parts mean stands in translate.h. */
#include "compact.h"
#include "translate.h"

EE_COMPACT

static bool is_local(const struct ee_translator *t, uint32_t slot) { return slot < t->local_slots; }

static void alias(struct ee_translator *t, uint32_t slot, int change)
{
    if (is_local(t, slot)) {
        struct ee_local *local = &t->locals[t->local_of_slot[slot]];
        local->aliases = (uint16_t)(local->aliases + change);
    }
}

static struct ee_entry *push_entry(struct ee_translator *t, uint8_t type, uint8_t place)
{
    struct ee_entry *e = &t->stack[t->height++];
    *e = (struct ee_entry){.type = type, .place = place, .own = (uint16_t)t->next_slot};
    t->next_slot += ee_valtype_slots(type);
    return e;
}

void ee_push_const(struct ee_translator *t, uint8_t type, uint64_t value)
{
    push_entry(t, type, EE_AT_CONST)->value = value;
}

void ee_push_slot(struct ee_translator *t, uint8_t type, uint32_t slot)
{
    struct ee_entry *e = push_entry(t, type, EE_AT_SLOT);
    e->slot = slot == EE_NO_SLOT ? e->own : (uint16_t)slot;
    alias(t, e->slot, 1);
}

void ee_push_acc(struct ee_translator *t, uint8_t type, bool patchable)
{
    struct ee_accumulator *acc = &t->acc[ee_class(type)];
    *acc = (struct ee_accumulator){.entry = t->height, .home = EE_NO_SLOT,
                                   .producer = patchable ? t->serial - 1 : EE_NO_PRODUCER};
    push_entry(t, type, EE_AT_ACC);
}

/*
 * The slot must keep its value until the sum is computed: a local does (see ee_local_set), the sum's own slot does, since
 * only what is pushed above it is written meanwhile.
 */
bool ee_push_sum(struct ee_translator *t, const struct ee_entry *a, const struct ee_entry *b)
{
    if (a->place != EE_AT_SLOT || b->place != EE_AT_CONST || (!is_local(t, a->slot) && a->slot != t->next_slot))
        return false;
    struct ee_entry *e = push_entry(t, EE_I32, EE_AT_SUM);
    e->slot = a->slot;
    e->value = b->value;
    alias(t, e->slot, 1);
    t->sums++;
    return true;
}

static void resolve(struct ee_translator *t, uint32_t index)
{
    struct ee_entry *e = &t->stack[index];
    struct ee_accumulator *acc = &t->acc[EE_CLASS_INT];
    ee_spill(t, EE_CLASS_INT);
    bool is_short = (int32_t)e->value == (int16_t)e->value;
    if (acc->home == e->slot)
        EE_DO(t, (uint16_t)(is_short ? EE_DO_int_add_ak_a : EE_DO_int_add_aw_a), e->value);
    else
        EE_DO(t, (uint16_t)(is_short ? EE_DO_int_add_sk_a : EE_DO_int_add_sw_a), EE_SLOT(e->slot), e->value);
    *acc = (struct ee_accumulator){.entry = index, .home = EE_NO_SLOT, .producer = t->serial - 1};
    alias(t, e->slot, -1);
    t->sums--;
    e->place = EE_AT_ACC;
}

void ee_resolve(struct ee_translator *t, uint32_t count)
{
    if (t->sums == 0)
        return;
    for (uint32_t i = t->height - (count < t->height ? count : t->height); i < t->height; i++)
        if (t->stack[i].place == EE_AT_SUM)
            resolve(t, i);
}

struct ee_entry ee_take(struct ee_translator *t)
{
    struct ee_entry e = t->stack[--t->height];
    t->next_slot = e.own;
    if (t->settled > t->height)
        t->settled = t->height;
    if (e.place == EE_AT_SLOT || e.place == EE_AT_SUM)
        alias(t, e.slot, -1);
    if (e.place == EE_AT_SUM)
        t->sums--;
    if (e.place == EE_AT_ACC)
        t->acc[ee_class(e.type)].entry = EE_NO_ENTRY;
    return e;
}

/* A slot got a new value that did not come from an accumulator. */
static void overwritten(struct ee_translator *t, uint32_t slot, uint32_t slots)
{
    for (uint32_t class = 0; class < EE_CLASSES; class++)
        if (t->acc[class].home != EE_NO_SLOT && t->acc[class].home + 1u >= slot && t->acc[class].home < slot + slots)
            t->acc[class].home = EE_NO_SLOT;
}

/*
 * The operation that made the value can store it itself if it was the last one, or, into the entry's own slot, if it is
 * still in the window: nobody else has used that slot since.
 */
static void store_acc(struct ee_translator *t, uint8_t type, uint32_t slot, bool own)
{
    struct ee_accumulator *acc = &t->acc[ee_class(type)];
    overwritten(t, slot, ee_valtype_slots(type));
    if (acc->producer != EE_NO_PRODUCER && (own ? ee_in_window(t, acc->producer) : ee_is_last(t, acc->producer))) {
        ee_also_store(t, acc->producer, slot);
        acc->producer = EE_NO_PRODUCER;
    } else if (type == EE_V128) {
        EE_DO(t, EE_DO_store_v, EE_SLOT(slot));
    } else if (ee_class(type) == EE_CLASS_FLOAT) {
        EE_DO(t, EE_DO_store_f, EE_SLOT(slot));
    } else {
        EE_DO(t, EE_DO_store_a, EE_SLOT(slot));
    }
    acc->home = (uint16_t)slot;
}

void ee_spill(struct ee_translator *t, uint32_t class)
{
    struct ee_accumulator *acc = &t->acc[class];
    if (acc->entry == EE_NO_ENTRY)
        return;
    struct ee_entry *e = &t->stack[acc->entry];
    if (acc->home == EE_NO_SLOT)
        store_acc(t, e->type, e->own, true);
    e->place = EE_AT_SLOT;
    e->slot = acc->home;
    alias(t, e->slot, 1);
    acc->entry = EE_NO_ENTRY;
}

void ee_forget_accumulators(struct ee_translator *t)
{
    for (uint32_t class = 0; class < EE_CLASSES; class++)
        t->acc[class] = (struct ee_accumulator){EE_NO_ENTRY, EE_NO_PRODUCER, EE_NO_SLOT};
}

bool ee_in_acc(const struct ee_translator *t, const struct ee_entry *e)
{
    return e->place == EE_AT_ACC || (e->place == EE_AT_SLOT && t->acc[ee_class(e->type)].home == e->slot);
}

static void copy(struct ee_translator *t, uint8_t type, uint32_t from, uint32_t to)
{
    overwritten(t, to, ee_valtype_slots(type));
    EE_DO(t, (uint16_t)(type == EE_V128 ? EE_DO_copy_v : EE_DO_copy), EE_SLOT(from), EE_SLOT(to));
}

/* 0, 1, 2: 16, 32 or 64 bits make the slot's value, sign-extended; of an i32 or f32 the lower 32 matter. */
static uint32_t const_size(const struct ee_entry *e)
{
    int64_t value = e->type == EE_I32 || e->type == EE_F32 ? (int32_t)e->value : (int64_t)e->value;
    return value == (int16_t)value ? 0 : value == (int32_t)value ? 1 : 2;
}

static void load_const(struct ee_translator *t, const struct ee_entry *e)
{
    if (e->type == EE_V128) {
        uint64_t bits[2];
        memcpy(bits, t->module->bytes + e->value, 16);
        EE_DO(t, EE_DO_const_v, bits[0], bits[1]);
    } else if (e->type == EE_F64) {
        EE_DO(t, EE_DO_const_f64, e->value);
    } else if (e->type == EE_F32) {
        EE_DO(t, EE_DO_const_f32, e->value);
    } else {
        static const uint16_t operations[] = {EE_DO_const_a, EE_DO_const32_a, EE_DO_const64_a};
        EE_DO(t, operations[const_size(e)], e->value);
    }
}

void ee_load_entry(struct ee_translator *t, const struct ee_entry *e)
{
    uint32_t class = ee_class(e->type);
    if (ee_in_acc(t, e))
        return;
    ee_spill(t, class);
    t->acc[class] = (struct ee_accumulator){EE_NO_ENTRY, EE_NO_PRODUCER, EE_NO_SLOT};
    if (e->place == EE_AT_CONST) {
        load_const(t, e);
        return;
    }
    EE_DO(t, (uint16_t)(e->type == EE_V128 ? EE_DO_load_v : class == EE_CLASS_FLOAT ? EE_DO_load_f : EE_DO_load_a),
          EE_SLOT(e->slot));
    t->acc[class].home = e->slot;
}

void ee_store_entry(struct ee_translator *t, const struct ee_entry *e, uint32_t slot)
{
    if (e->place == EE_AT_ACC) {
        store_acc(t, e->type, slot, slot == e->own);
    } else if (e->place == EE_AT_SLOT) {
        if (e->slot != slot)
            copy(t, e->type, e->slot, slot);
    } else if (e->type == EE_V128) {
        ee_spill(t, EE_CLASS_FLOAT);
        ee_load_entry(t, e);
        store_acc(t, e->type, slot, false);
    } else {
        overwritten(t, slot, 1);
        static const uint16_t operations[] = {EE_DO_const_s, EE_DO_const32_s, EE_DO_const64_s};
        EE_DO(t, operations[const_size(e)], e->value, EE_SLOT(slot));
    }
}

void ee_settle(struct ee_translator *t, uint32_t index)
{
    struct ee_entry *e = &t->stack[index];
    if (e->place == EE_AT_SUM)
        resolve(t, index);
    if (e->place == EE_AT_ACC) {
        store_acc(t, e->type, e->own, true);
        t->acc[ee_class(e->type)].entry = EE_NO_ENTRY;
    } else if (e->place == EE_AT_SLOT) {
        if (e->slot == e->own)
            return;
        copy(t, e->type, e->slot, e->own);
        alias(t, e->slot, -1);
    } else {
        ee_store_entry(t, e, e->own);
    }
    e->place = EE_AT_SLOT;
    e->slot = e->own;
}

void ee_settle_top(struct ee_translator *t, uint32_t count)
{
    for (uint32_t i = t->height - count; i < t->height; i++)
        ee_settle(t, i);
}

/* Before control flow may meet again: constants stay as they are, nobody can change them. */
void ee_settle_block(struct ee_translator *t)
{
    for (; t->settled < t->height; t->settled++)
        if (t->stack[t->settled].place != EE_AT_CONST)
            ee_settle(t, t->settled);
}

uint32_t ee_in_slot(struct ee_translator *t, struct ee_entry *e)
{
    if (e->place == EE_AT_ACC && t->acc[ee_class(e->type)].home != EE_NO_SLOT) {
        e->slot = t->acc[ee_class(e->type)].home;
    } else if (e->place != EE_AT_SLOT) {
        ee_store_entry(t, e, e->own);
        e->slot = e->own;
    }
    e->place = EE_AT_SLOT;
    return e->slot;
}

void ee_local_get(struct ee_translator *t, uint32_t local)
{
    ee_push_slot(t, t->locals[local].type, t->locals[local].slot);
}

/*
 * Entries that stand for the local's old value get slots of their own; before the operation that makes the new value,
 * if that was the last one, so that it still can store it.
 */
static void detach(struct ee_translator *t, struct ee_local *local, const struct ee_entry *value)
{
    struct ee_accumulator *acc = &t->acc[ee_class(value->type)];
    for (uint32_t i = t->height; local->aliases != 0 && i-- > 0;)
        if (t->stack[i].place == EE_AT_SLOT && t->stack[i].slot == local->slot) {
            bool swap = value->place == EE_AT_ACC && acc->producer != EE_NO_PRODUCER && ee_is_last(t, acc->producer) &&
                        t->count < EE_WINDOW;
            ee_settle(t, i);
            if (swap) {
                ee_swap_last(t);
                acc->producer++;
            }
        }
}

/* Sums that need the local's old value. Computing them takes the accumulator, which the new value may be in: it moves. */
static void settle_sums(struct ee_translator *t, const struct ee_local *local)
{
    for (uint32_t i = t->settled; t->sums != 0 && i < t->height; i++)
        if (t->stack[i].place == EE_AT_SUM && t->stack[i].slot == local->slot)
            ee_settle(t, i);
}

void ee_local_set(struct ee_translator *t, uint32_t index, bool keep)
{
    struct ee_local *local = &t->locals[index];
    ee_resolve(t, 1);
    if (local->aliases != 0)
        settle_sums(t, local);
    struct ee_entry e = ee_take(t);
    uint32_t class = ee_class(e.type);
    if (e.place != EE_AT_SLOT || e.slot != local->slot) {
        detach(t, local, &e);
        ee_store_entry(t, &e, local->slot);
    }
    if (!keep)
        return;
    if (e.place == EE_AT_ACC) {
        struct ee_accumulator kept = t->acc[class];
        ee_push_acc(t, e.type, false);
        t->acc[class].home = kept.home;
    } else if (e.place == EE_AT_SLOT) {
        ee_push_slot(t, e.type, e.slot);
    } else {
        ee_push_const(t, e.type, e.value);
    }
}

EE_COMPACT_END
