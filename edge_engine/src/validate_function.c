/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation of one function body (core spec 3.3). Instructions whose types are fixed are checked from their signature
 * in opcodes.def; the others have a function each here.
 */
#include "compact.h"
#include "validate.h"

#include "bytes.h"
#include "limits.h"

EE_COMPACT

static enum ee_status add_run(struct ee_validator *v, uint32_t count, uint8_t type)
{
    if (count > EE_MAX_LOCALS - v->local_count)
        return ee_fail(v->error, EE_UNSUPPORTED, (uint32_t)(v->r.p - v->module->bytes), v->function,
                       "too many locals: more than 50000 in a function");
    for (uint32_t n = v->local_count; n < v->local_count + count && n < EE_QUICK_LOCALS; n++)
        v->quick[n] = type;
    v->local_count += count;
    v->uses_v128 |= type == EE_V128 && count != 0;
    if (v->run_count != 0 && v->runs[v->run_count - 1].type == type) {
        v->runs[v->run_count - 1].end = v->local_count;
        return EE_OK;
    }
    struct ee_run *run = ee_arena_alloc(v->arena, sizeof *run, _Alignof(struct ee_run));
    if (run == NULL)
        return ee_fail_memory(v->error, v->arena, "local declarations");
    if (v->run_count++ == 0)
        v->runs = run;
    *run = (struct ee_run){v->local_count, type};
    return EE_OK;
}

/* Core spec 5.4.6: the total is limited in the format itself. */
static enum ee_status read_locals(struct ee_validator *v, const struct ee_functype *type)
{
    uint64_t total = 0;
    uint32_t slots = type->param_slots, left = EE_LOCALS_BEGIN;
    struct ee_local_run run;
    struct ee_reader ahead = v->r;
    while (ee_read_local_run(&ahead, &left, &run))
        total += run.count;
    if (total > UINT32_MAX)
        return ee_fail(v->error, EE_MALFORMED, (uint32_t)(v->r.p - v->module->bytes), v->function,
                       "too many locals: more than 2^32 - 1");
    v->run_count = v->local_count = 0;
    for (uint32_t n = 0; n < type->param_count; n++)
        EE_TRY(add_run(v, 1, v->module->bytes[type->params + n]));
    left = EE_LOCALS_BEGIN;
    while (ee_read_local_run(&v->r, &left, &run)) {
        EE_TRY(add_run(v, run.count, run.type));
        slots += run.count * ee_valtype_slots(run.type);
    }
    if (v->r.problem != NULL)
        return ee_fail(v->error, EE_MALFORMED, (uint32_t)(v->r.p - v->module->bytes), v->function, v->r.problem);
    v->module->functions[v->function].local_slots = slots;
    return EE_OK;
}

static enum ee_status local_type(struct ee_validator *v, uint8_t *type)
{
    uint32_t index = v->i.index, low = 0, high = v->run_count;
    if (index >= v->local_count)
        return ee_invalid_index(v, "local", index, v->local_count);
    if (index < EE_QUICK_LOCALS) {
        *type = v->quick[index];
        return EE_OK;
    }
    while (high - low > 1) { /* the run is in [low, high); each step halves it */
        uint32_t middle = low + (high - low) / 2;
        if (index < v->runs[middle - 1].end)
            high = middle;
        else
            low = middle;
    }
    *type = v->runs[low].type;
    return EE_OK;
}

static enum ee_status check_block(struct ee_validator *v)
{
    if (v->i.has_type && v->i.index >= v->module->type_count)
        return ee_invalid_index(v, "type", v->i.index, v->module->type_count);
    if (v->i.op == EE_OP_IF)
        EE_TRY(ee_type_pop(v, EE_I32));
    struct ee_block_type type = ee_block_type(v->module, &v->i);
    EE_TRY(ee_type_pop_all(v, type.params, type.param_count));
    struct ee_frame frame = {
        .type = v->i.index, .has_type = v->i.has_type, .bytes = (uint32_t)(v->i.bytes - v->module->bytes)};
    EE_TRY(ee_frame_push(v, v->i.op, &frame));
    return ee_type_push_all(v, type.params, type.param_count);
}

static enum ee_status check_else(struct ee_validator *v)
{
    struct ee_frame frame;
    if (v->frame->op != EE_OP_IF)
        return ee_fail(v->error, EE_MALFORMED, (uint32_t)(v->i.at - v->module->bytes), v->function,
                       "else without an if");
    EE_TRY(ee_frame_pop(v, &frame));
    EE_TRY(ee_frame_push(v, EE_OP_ELSE, &frame));
    struct ee_block_type type = ee_frame_type(v, &frame);
    return ee_type_push_all(v, type.params, type.param_count);
}

static enum ee_status check_end(struct ee_validator *v)
{
    struct ee_frame frame;
    struct ee_block_type type;
    if (v->frame->op == EE_OP_IF) { /* no else: the parameters are the results */
        EE_TRY(ee_frame_pop(v, &frame));
        EE_TRY(ee_frame_push(v, EE_OP_ELSE, &frame));
        type = ee_frame_type(v, &frame);
        EE_TRY(ee_type_push_all(v, type.params, type.param_count));
    }
    EE_TRY(ee_frame_pop(v, &frame));
    if (v->frame == v->outermost)
        return EE_OK;
    type = ee_frame_type(v, &frame);
    return ee_type_push_all(v, type.results, type.result_count);
}

static enum ee_status check_branch(struct ee_validator *v)
{
    struct ee_frame *frame;
    EE_TRY(ee_label(v, v->i.index, &frame));
    struct ee_block_type type = ee_label_types(v, frame);
    if (v->i.op == EE_OP_BR_IF)
        EE_TRY(ee_type_pop(v, EE_I32));
    EE_TRY(ee_type_pop_all(v, type.results, type.result_count));
    if (v->i.op == EE_OP_BR_IF)
        return ee_type_push_all(v, type.results, type.result_count);
    ee_unreachable(v);
    return EE_OK;
}

/* Are the operands on top of the stack those that a label wants? They stay as they are. */
static enum ee_status check_label_operands(struct ee_validator *v, const struct ee_block_type *type)
{
    if (v->height - v->floor >= type->result_count &&
        memcmp(v->operands + v->height - type->result_count, type->results, type->result_count) == 0)
        return EE_OK; /* as it is nearly always */
    for (uint32_t n = 0; n < type->result_count; n++) {
        uint8_t expected = type->results[type->result_count - 1 - n];
        if (v->height - v->floor <= n) {
            if (!v->frame->unreachable)
                return ee_invalid_type(v, expected, EE_BOTTOM);
            break; /* everything further down is of any type */
        }
        uint8_t found = v->operands[v->height - 1 - n];
        if (found != expected && found != EE_BOTTOM)
            return ee_invalid_type(v, expected, found);
    }
    return EE_OK;
}

static enum ee_status check_br_table(struct ee_validator *v)
{
    struct ee_frame *frame;
    EE_TRY(ee_type_pop(v, EE_I32));
    EE_TRY(ee_label(v, v->i.index2, &frame));
    struct ee_block_type standard = ee_label_types(v, frame);
    struct ee_reader labels = {.p = v->i.bytes, .end = v->r.p};
    uint32_t depth, last = v->i.index2;
    for (uint32_t n = 0; n < v->i.index; n++) {
        if (!ee_read_u32(&labels, &depth))
            return ee_invalid_bytes(v);
        if (depth == last)
            continue;
        last = depth;
        EE_TRY(ee_label(v, depth, &frame));
        struct ee_block_type type = ee_label_types(v, frame);
        if (type.result_count != standard.result_count) {
            ee_invalid(v, "type mismatch: expected labels of as many operands as the default, ");
            ee_error_number(v->error, standard.result_count);
            ee_error_text(v->error, ", found ");
            ee_error_number(v->error, type.result_count);
            return EE_INVALID;
        }
        EE_TRY(check_label_operands(v, &type));
    }
    EE_TRY(ee_type_pop_all(v, standard.results, standard.result_count));
    ee_unreachable(v);
    return EE_OK;
}

static enum ee_status check_return(struct ee_validator *v)
{
    const struct ee_functype *type = ee_function_type(v->module, v->function);
    EE_TRY(ee_type_pop_all(v, ee_at(v->module, type->results), type->result_count));
    ee_unreachable(v);
    return EE_OK;
}

static enum ee_status check_call(struct ee_validator *v)
{
    const struct ee_module *m = v->module;
    uint32_t type_index = v->i.index;
    bool is_indirect = v->i.op == EE_OP_CALL_INDIRECT || v->i.op == EE_OP_RETURN_CALL_INDIRECT;
    if (is_indirect) {
        if (v->i.index2 >= m->table_count)
            return ee_invalid_index(v, "table", v->i.index2, m->table_count);
        if (m->tables[v->i.index2].type != EE_FUNCREF)
            return ee_invalid_type(v, EE_FUNCREF, m->tables[v->i.index2].type);
        if (type_index >= m->type_count)
            return ee_invalid_index(v, "type", type_index, m->type_count);
        EE_TRY(ee_type_pop(v, EE_I32));
    } else {
        if (v->i.index >= m->function_count)
            return ee_invalid_index(v, "function", v->i.index, m->function_count);
        type_index = m->functions[v->i.index].type;
    }
    const struct ee_functype *type = &m->types[type_index];
    EE_TRY(ee_type_pop_all(v, ee_at(m, type->params), type->param_count));
    if (v->i.op == EE_OP_CALL || v->i.op == EE_OP_CALL_INDIRECT)
        return ee_type_push_all(v, ee_at(m, type->results), type->result_count);
    const struct ee_functype *own = ee_function_type(m, v->function);
    if (m->types[m->functions[v->function].type].canonical != type->canonical &&
        !(own->result_count == type->result_count &&
          memcmp(ee_at(m, own->results), ee_at(m, type->results), own->result_count) == 0))
        return ee_invalid(v, "type mismatch: expected a callee with the results of this function");
    ee_unreachable(v);
    return EE_OK;
}

static bool is_reference(uint8_t type) { return type == EE_FUNCREF || type == EE_EXTERNREF; }

static enum ee_status check_select(struct ee_validator *v)
{
    uint8_t a, b;
    EE_TRY(ee_type_pop(v, EE_I32));
    if (v->i.op == EE_OP_SELECT_T) {
        if (v->i.index != 1)
            return ee_invalid(v, "invalid result arity: expected 1 type");
        a = v->i.bytes[0];
        EE_TRY(ee_type_pop(v, a));
        EE_TRY(ee_type_pop(v, a));
        return ee_type_push(v, a);
    }
    EE_TRY(ee_type_pop_any(v, &b));
    EE_TRY(ee_type_pop_any(v, &a));
    if (is_reference(a) || is_reference(b))
        return ee_invalid(v, "type mismatch: expected numbers or vectors without a type annotation, found a reference");
    if (a != b && a != EE_BOTTOM && b != EE_BOTTOM)
        return ee_invalid_type(v, a, b);
    return ee_type_push(v, a == EE_BOTTOM ? b : a);
}

static enum ee_status check_local(struct ee_validator *v)
{
    uint8_t type = 0;
    EE_TRY(local_type(v, &type));
    if (v->i.op != EE_OP_LOCAL_GET)
        EE_TRY(ee_type_pop(v, type));
    return v->i.op == EE_OP_LOCAL_SET ? EE_OK : ee_type_push(v, type);
}

static enum ee_status check_global(struct ee_validator *v)
{
    if (v->i.index >= v->module->global_count)
        return ee_invalid_index(v, "global", v->i.index, v->module->global_count);
    const struct ee_global *global = &v->module->globals[v->i.index];
    if (v->i.op == EE_OP_GLOBAL_GET)
        return ee_type_push(v, global->type);
    if (!global->is_mutable)
        return ee_invalid(v, "global is immutable");
    return ee_type_pop(v, global->type);
}

static enum ee_status check_table(struct ee_validator *v)
{
    if (v->i.index >= v->module->table_count)
        return ee_invalid_index(v, "table", v->i.index, v->module->table_count);
    uint8_t type = v->module->tables[v->i.index].type;
    switch (v->i.op) {
    case EE_OP_TABLE_GET: EE_TRY(ee_type_pop(v, EE_I32)); return ee_type_push(v, type);
    case EE_OP_TABLE_SET: EE_TRY(ee_type_pop(v, type)); return ee_type_pop(v, EE_I32);
    case EE_OP_TABLE_GROW:
        EE_TRY(ee_type_pop(v, EE_I32));
        EE_TRY(ee_type_pop(v, type));
        return ee_type_push(v, EE_I32);
    case EE_OP_TABLE_FILL:
        EE_TRY(ee_type_pop(v, EE_I32));
        EE_TRY(ee_type_pop(v, type));
        return ee_type_pop(v, EE_I32);
    default: return EE_OK; /* table.size has a plain signature */
    }
}

static enum ee_status check_reference(struct ee_validator *v)
{
    uint8_t type;
    if (v->i.op == EE_OP_REF_NULL)
        return ee_type_push(v, (uint8_t)v->i.index);
    EE_TRY(ee_type_pop_any(v, &type)); /* ref.is_null */
    if (type != EE_BOTTOM && !is_reference(type))
        return ee_invalid_type(v, EE_FUNCREF, type);
    return ee_type_push(v, EE_I32);
}

/* Instructions whose row in opcodes.def has the signature "*". */
static enum ee_status check_special(struct ee_validator *v)
{
    uint8_t type;
    switch (v->i.op) {
    case EE_OP_UNREACHABLE: ee_unreachable(v); return EE_OK;
    case EE_OP_BLOCK:
    case EE_OP_LOOP:
    case EE_OP_IF: return check_block(v);
    case EE_OP_ELSE: return check_else(v);
    case EE_OP_END: return check_end(v);
    case EE_OP_BR:
    case EE_OP_BR_IF: return check_branch(v);
    case EE_OP_BR_TABLE: return check_br_table(v);
    case EE_OP_RETURN: return check_return(v);
    case EE_OP_CALL:
    case EE_OP_CALL_INDIRECT:
    case EE_OP_RETURN_CALL:
    case EE_OP_RETURN_CALL_INDIRECT: return check_call(v);
    case EE_OP_DROP: return ee_type_pop_any(v, &type);
    case EE_OP_SELECT:
    case EE_OP_SELECT_T: return check_select(v);
    case EE_OP_LOCAL_GET:
    case EE_OP_LOCAL_SET:
    case EE_OP_LOCAL_TEE: return check_local(v);
    case EE_OP_GLOBAL_GET:
    case EE_OP_GLOBAL_SET: return check_global(v);
    case EE_OP_TABLE_GET:
    case EE_OP_TABLE_SET:
    case EE_OP_TABLE_GROW:
    case EE_OP_TABLE_FILL: return check_table(v);
    case EE_OP_REF_NULL:
    case EE_OP_REF_IS_NULL: return check_reference(v);
    default: __builtin_unreachable(); /* these are all rows with "*" */
    }
}

/* Indices, alignment and lanes of instructions with a plain signature. */
static enum ee_status check_immediate(struct ee_validator *v, const struct ee_op_info *info)
{
    const struct ee_module *m = v->module;
    switch ((enum ee_immediate)info->immediate) {
    case EE_IMM_MEMARG_LANE:
    case EE_IMM_MEMARG:
        if (v->i.index > info->aux)
            return ee_invalid(v, "alignment must not be larger than natural");
        if (info->immediate == EE_IMM_MEMARG_LANE && v->i.lane >= 16u >> info->aux)
            return ee_invalid_index(v, "lane (invalid lane index)", v->i.lane, 16u >> info->aux);
        break;
    case EE_IMM_LANE:
        if (v->i.lane >= info->aux)
            return ee_invalid_index(v, "lane (invalid lane index)", v->i.lane, info->aux);
        return EE_OK;
    case EE_IMM_SHUFFLE:
        for (uint32_t n = 0; n < 16; n++)
            if (v->i.bytes[n] >= info->aux)
                return ee_invalid_index(v, "lane (invalid lane index)", v->i.bytes[n], info->aux);
        return EE_OK;
    case EE_IMM_FUNCTION: /* ref.func */
        if (v->i.index >= m->function_count)
            return ee_invalid_index(v, "function", v->i.index, m->function_count);
        if (!(v->declared[v->i.index / 8] >> v->i.index % 8 & 1))
            return ee_invalid(v, "undeclared function reference");
        return EE_OK;
    case EE_IMM_TABLE:
        if (v->i.index >= m->table_count)
            return ee_invalid_index(v, "table", v->i.index, m->table_count);
        return EE_OK;
    case EE_IMM_TABLE_TABLE:
        for (uint32_t n = 0; n < 2; n++) {
            uint32_t index = n == 0 ? v->i.index : v->i.index2;
            if (index >= m->table_count)
                return ee_invalid_index(v, "table", index, m->table_count);
        }
        if (m->tables[v->i.index].type != m->tables[v->i.index2].type)
            return ee_invalid_type(v, m->tables[v->i.index].type, m->tables[v->i.index2].type);
        return EE_OK;
    case EE_IMM_ELEMENT_TABLE:
        if (v->i.index2 >= m->table_count)
            return ee_invalid_index(v, "table", v->i.index2, m->table_count);
        if (v->i.index >= m->element_count)
            return ee_invalid_index(v, "element segment", v->i.index, m->element_count);
        if (m->tables[v->i.index2].type != m->elements[v->i.index].type)
            return ee_invalid_type(v, m->tables[v->i.index2].type, m->elements[v->i.index].type);
        return EE_OK;
    case EE_IMM_ELEMENT:
        if (v->i.index >= m->element_count)
            return ee_invalid_index(v, "element segment", v->i.index, m->element_count);
        return EE_OK;
    case EE_IMM_DATA_MEMORY:
    case EE_IMM_DATA:
        if (info->immediate == EE_IMM_DATA_MEMORY && m->memory_count == 0)
            break;
        if (v->i.index >= m->data_count)
            return ee_invalid_index(v, "data segment", v->i.index, m->data_count);
        if (!m->has_data_count)
            return ee_fail(v->error, EE_MALFORMED, (uint32_t)(v->i.at - m->bytes), v->function,
                           "data count section required");
        return EE_OK;
    case EE_IMM_MEMORY:
    case EE_IMM_MEMORY_MEMORY: break;
    default: return EE_OK;
    }
    return m->memory_count != 0 ? EE_OK : ee_invalid(v, "unknown memory 0: the module has none");
}

static uint8_t type_of_letter(char letter)
{
    switch (letter) {
    case 'i': return EE_I32;
    case 'I': return EE_I64;
    case 'f': return EE_F32;
    case 'F': return EE_F64;
    case 'v': return EE_V128;
    default: return EE_FUNCREF;
    }
}

static enum ee_status check_plain(struct ee_validator *v, const struct ee_op_info *info)
{
    if (info->immediate != EE_IMM_NONE)
        EE_TRY(check_immediate(v, info));
    const char *colon = info->signature;
    while (*colon != ':')
        colon++;
    for (const char *operand = colon; operand-- != info->signature;)
        EE_TRY(ee_type_pop(v, type_of_letter(*operand)));
    return colon[1] != '\0' ? ee_type_push(v, type_of_letter(colon[1])) : EE_OK;
}

static void note_simd(struct ee_validator *v)
{
    if (v->module->simd_offset == EE_NO_INDEX) {
        v->module->simd_offset = (uint32_t)(v->i.at - v->module->bytes);
        v->module->simd_function = v->function;
    }
}

static enum ee_status check_body(struct ee_validator *v)
{
    struct ee_module *m = v->module;
    do {
        if (!ee_read_instruction(&v->r, &v->i))
            return ee_invalid_bytes(v);
        const struct ee_op_info *info = &ee_op_info[v->i.op];
        m->features |= 1u << info->feature;
        EE_TRY(info->signature[0] == '*' ? check_special(v) : check_plain(v, info));
        if (info->feature == EE_FEATURE_SIMD)
            note_simd(v);
    } while (v->frame != v->outermost);
    if (v->r.p != v->r.end)
        return ee_fail(v->error, EE_MALFORMED, (uint32_t)(v->r.p - m->bytes), v->function,
                       "section size mismatch: bytes left behind the function's end");
    return EE_OK;
}

enum ee_status ee_validate_function(struct ee_validator *v, uint32_t function)
{
    struct ee_module *m = v->module;
    struct ee_function *f = &m->functions[function];
    size_t mark = ee_arena_mark(v->arena);
    v->function = function;
    v->uses_v128 = false;
    v->r = (struct ee_reader){.p = ee_at(m, f->body.begin), .end = ee_at(m, f->body.end)};
    v->i.at = v->r.p;
    EE_TRY(read_locals(v, &m->types[f->type]));
    ee_stack_reset(v);
    EE_TRY(ee_frame_push(v, EE_OP_BLOCK, &(struct ee_frame){.type = f->type, .has_type = true}));
    EE_TRY(check_body(v));
    if (v->uses_v128)
        note_simd(v);
    f->stack_slots = v->uses_v128 ? 2 * v->most : v->most;
    if (f->stack_slots > m->max_stack_slots)
        m->max_stack_slots = f->stack_slots;
    if (f->local_slots > m->max_local_slots)
        m->max_local_slots = f->local_slots;
    ee_arena_release(v->arena, mark);
    return EE_OK;
}

enum ee_status ee_read_function(struct ee_validator *v, uint32_t function)
{
    const struct ee_function *f = &v->module->functions[function];
    uint32_t left = EE_LOCALS_BEGIN;
    uint64_t depth = 1;
    struct ee_local_run run;
    v->function = function;
    v->i.unsupported = false;
    v->r = (struct ee_reader){.p = ee_at(v->module, f->body.begin), .end = ee_at(v->module, f->body.end)};
    while (ee_read_local_run(&v->r, &left, &run))
        continue;
    if (v->r.problem != NULL)
        return ee_invalid_bytes(v);
    while (depth != 0) {
        if (!ee_read_instruction(&v->r, &v->i))
            return v->i.unsupported ? EE_UNSUPPORTED : ee_invalid_bytes(v);
        if (ee_op_info[v->i.op].immediate == EE_IMM_BLOCK)
            depth++;
        else if (v->i.op == EE_OP_END)
            depth--;
    }
    v->r.problem = "section size mismatch: bytes left behind the function's end";
    return v->r.p != v->r.end ? ee_invalid_bytes(v) : EE_OK;
}

EE_COMPACT_END
