/* SPDX-License-Identifier: Apache-2.0 */
/* The validator's operand and control stacks, and its errors; contract in validate.h. */
#include "compact.h"
#include "validate.h"

#include "bytes.h"

EE_COMPACT

static uint32_t here(const struct ee_validator *v) { return (uint32_t)(v->i.at - v->module->bytes); }

static void begin(struct ee_validator *v, enum ee_status status)
{
    ee_error_begin(v->error, status, here(v), v->function);
    ee_error_text(v->error, ee_op_text(v->i.op));
    ee_error_text(v->error, ": ");
}

enum ee_status ee_invalid(struct ee_validator *v, const char *text)
{
    begin(v, EE_INVALID);
    ee_error_text(v->error, text);
    return EE_INVALID;
}

enum ee_status ee_invalid_index(struct ee_validator *v, const char *what, uint32_t index, uint32_t count)
{
    begin(v, EE_INVALID);
    return ee_unknown(v->error, what, index, count);
}

enum ee_status ee_invalid_bytes(struct ee_validator *v)
{
    enum ee_status status = v->i.unsupported ? EE_UNSUPPORTED : EE_MALFORMED;
    return ee_fail(v->error, status, (uint32_t)(v->r.p - v->module->bytes), v->function, v->r.problem);
}

enum ee_status ee_invalid_type(struct ee_validator *v, uint8_t expected, uint8_t found)
{
    begin(v, EE_INVALID);
    ee_error_text(v->error, "type mismatch: expected ");
    ee_error_text(v->error, ee_valtype_text(expected));
    ee_error_text(v->error, ", found ");
    ee_error_text(v->error, found == EE_BOTTOM ? "nothing" : ee_valtype_text(found));
    return EE_INVALID;
}

/* Frames lie at the arena's free end, aligned. */
void ee_stack_reset(struct ee_validator *v)
{
    struct ee_arena *arena = v->arena;
    uintptr_t end = (uintptr_t)(arena->base + arena->limit);
    v->operands = arena->base + arena->used;
    v->outermost = v->frame = (struct ee_frame *)(end & ~(uintptr_t)(_Alignof(struct ee_frame) - 1));
    if ((uint8_t *)v->frame < v->operands)
        v->frame = v->outermost = (struct ee_frame *)(void *)v->operands; /* no room: the first push says so */
    v->height = v->most = v->floor = 0;
}

static enum ee_status no_room(struct ee_validator *v, size_t more)
{
    v->arena->wanted = v->arena->limit + more;
    enum ee_status status = ee_fail_memory(v->error, v->arena, "the validator's stacks");
    if (v->error != NULL) {
        v->error->offset = here(v);
        v->error->function = v->function;
    }
    return status;
}

static size_t room(const struct ee_validator *v) { return (size_t)((uint8_t *)v->frame - v->operands) - v->height; }

static void note_peak(struct ee_validator *v)
{
    size_t used = v->arena->limit - room(v);
    if (used > v->arena->peak)
        v->arena->peak = used;
}

enum ee_status ee_stack_room(struct ee_validator *v, uint32_t operands)
{
    return operands <= room(v) ? EE_OK : no_room(v, operands - room(v));
}

enum ee_status ee_type_push(struct ee_validator *v, uint8_t type)
{
    if (room(v) == 0)
        return no_room(v, 1);
    v->operands[v->height++] = type;
    if (v->height > v->most) {
        v->most = v->height;
        note_peak(v);
    }
    v->uses_v128 |= type == EE_V128;
    return EE_OK;
}

enum ee_status ee_type_push_all(struct ee_validator *v, const uint8_t *types, uint32_t count)
{
    EE_TRY(ee_stack_room(v, count));
    memcpy(v->operands + v->height, types, count);
    for (uint32_t n = 0; n < count; n++)
        v->uses_v128 |= types[n] == EE_V128;
    v->height += count;
    if (v->height > v->most) {
        v->most = v->height;
        note_peak(v);
    }
    return EE_OK;
}

enum ee_status ee_type_pop_any(struct ee_validator *v, uint8_t *type)
{
    if (v->height > v->floor) {
        *type = v->operands[--v->height];
        return EE_OK;
    }
    *type = EE_BOTTOM;
    return v->frame->unreachable ? EE_OK : ee_invalid(v, "type mismatch: expected an operand, found nothing");
}

enum ee_status ee_type_pop(struct ee_validator *v, uint8_t type)
{
    if (v->height > v->floor) {
        uint8_t found = v->operands[v->height - 1];
        if (found != type && found != EE_BOTTOM)
            return ee_invalid_type(v, type, found);
        v->height--;
        return EE_OK;
    }
    return v->frame->unreachable ? EE_OK : ee_invalid_type(v, type, EE_BOTTOM);
}

enum ee_status ee_type_pop_all(struct ee_validator *v, const uint8_t *types, uint32_t count)
{
    if (v->height - v->floor >= count && memcmp(v->operands + v->height - count, types, count) == 0) {
        v->height -= count;
        return EE_OK;
    }
    while (count-- > 0)
        EE_TRY(ee_type_pop(v, types[count]));
    return EE_OK;
}

enum ee_status ee_frame_push(struct ee_validator *v, uint16_t op, const struct ee_frame *type)
{
    if (room(v) < sizeof(struct ee_frame))
        return no_room(v, sizeof(struct ee_frame));
    *--v->frame = (struct ee_frame){
        .type = type->type, .has_type = type->has_type, .bytes = type->bytes, .height = v->height, .op = op};
    v->floor = v->height;
    note_peak(v);
    return EE_OK;
}

enum ee_status ee_frame_pop(struct ee_validator *v, struct ee_frame *frame)
{
    struct ee_block_type type = ee_frame_type(v, v->frame);
    EE_TRY(ee_type_pop_all(v, type.results, type.result_count));
    if (v->height != v->floor) {
        begin(v, EE_INVALID);
        ee_error_text(v->error, "type mismatch: expected nothing more on the stack at the block's end, found ");
        ee_error_text(v->error, v->operands[v->height - 1] == EE_BOTTOM ? "an operand"
                                                                        : ee_valtype_text(v->operands[v->height - 1]));
        return EE_INVALID;
    }
    *frame = *v->frame++;
    v->floor = v->frame == v->outermost ? 0 : v->frame->height;
    return EE_OK;
}

void ee_unreachable(struct ee_validator *v)
{
    v->height = v->floor;
    v->frame->unreachable = true;
}

struct ee_block_type ee_frame_type(const struct ee_validator *v, const struct ee_frame *frame)
{
    struct ee_instruction i = {
        .index = frame->type, .has_type = frame->has_type, .bytes = ee_at(v->module, frame->bytes)};
    return ee_block_type(v->module, &i);
}

enum ee_status ee_label(struct ee_validator *v, uint32_t depth, struct ee_frame **frame)
{
    if (depth >= (size_t)(v->outermost - v->frame))
        return ee_invalid_index(v, "label", depth, (uint32_t)(v->outermost - v->frame));
    *frame = v->frame + depth;
    return EE_OK;
}

struct ee_block_type ee_label_types(const struct ee_validator *v, const struct ee_frame *frame)
{
    struct ee_block_type type = ee_frame_type(v, frame);
    if (frame->op == EE_OP_LOOP) {
        type.results = type.params;
        type.result_count = type.param_count;
    }
    return type;
}

EE_COMPACT_END
