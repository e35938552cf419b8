/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traps after the fact: faults that the address space reports, and the call stack as text.
 *
 * A frame's return address tells the calling function (whose code it lies in) and the distance of the caller's frame.
 * Offsets in the module come from translating that function again without writing, so no table is kept for them. The
 * frames stay as the trap left them until the next call.
 */
#include "compact.h"
#include "error.h"
#include "interpret.h"
#include "native.h"

EE_COMPACT

enum { MAX_FRAMES = EE_TRACE_FRAMES }; /* written; deeper ones are counted */

enum ee_trap ee_instance_trap(const struct ee_instance *in) { return in->trap; }

/* Whose translation contains this address? NULL: nobody's. */
static struct ee_func *function_at(const struct ee_instance *in, const uint8_t *code)
{
    if (code < (const uint8_t *)in || code >= in->arena.base + in->arena.used)
        return NULL;
    uint32_t offset = (uint32_t)(code - (const uint8_t *)in);
    struct ee_func *best = NULL;
    for (uint32_t i = in->module->imported_functions; i < in->module->function_count; i++) {
        struct ee_func *f = &in->functions[i];
        if (f->code != EE_LAZY_CODE && f->code <= offset && (best == NULL || f->code > best->code))
            best = f;
    }
    return best;
}

enum ee_trap ee_fault_trap(const struct ee_instance *in, uint64_t address)
{
    uint64_t end = (uint64_t)(uintptr_t)ee_arena_end(in->memory->owner);
    return address >= end && address - end < EE_GUARD_SIZE ? EE_TRAP_OOB_MEMORY : EE_TRAP_HOST;
}

/* The calls that did not return: of this instance, and those of other instances' code that led to it, up to the host's. */
void ee_unwind(struct ee_instance *in, enum ee_trap trap)
{
    in->trap = trap;
    in->trap_pc = NULL;
    in->trace_depth = 0;
    for (struct ee_instance *at = in; at != NULL && at->activation != NULL;) {
        const struct ee_activation *activation = at->activation;
        if (at != in) {
            at->trap_pc = NULL;
            at->trace_depth = 0;
        }
        at->trap = trap;
        at->top = activation->top;
        at->native_limit = activation->native_limit;
        at->crossing = activation->crossing;
        at->activation = activation->previous;
        at->depth--;
        at = activation->caller;
    }
}

/* The frame of the call that returns to `back`, of an interpreted function; false: it was not called by one. */
static bool caller_of(const struct ee_instance *in, const uint8_t *back, uint8_t **fp)
{
    if (function_at(in, back) == NULL)
        return false;
    uint32_t distance = *(const ee_u16u *)(back - 2);
    if (distance > (uintptr_t)*fp - (uintptr_t)in->stack_base)
        return false;
    *fp -= distance;
    return true;
}

/* Goes from an interpreted frame to the one that called it. */
static bool step(const struct ee_instance *in, const struct ee_func *f, const uint8_t **code, uint8_t **fp)
{
    uint32_t slot = ee_function_type(in->module, ee_func_index(f))->param_slots;
    const uint8_t *back = *(const uint8_t **)(void *)(*fp + (size_t)slot * 8);
    *code = back - 1;
    return caller_of(in, back, fp);
}

static void add(struct ee_instance *in, uint32_t function, const uint8_t *code)
{
    if (in->trace_depth < EE_TRACE_FRAMES)
        in->trace[in->trace_depth] = (struct ee_frame){function, code == NULL ? 0 : (uint32_t)(code - (uint8_t *)in)};
    in->trace_depth++;
}

static void add_interpreted(struct ee_instance *in, const uint8_t *code, uint8_t *fp)
{
    struct ee_func *f;
    do {
        f = function_at(in, code);
        if (f == NULL)
            return;
        add(in, ee_func_index(f), code);
    } while (step(in, f, &code, &fp));
}

/* Every native function keeps its frame pointer, and where it returns to above it: [frame] the caller's, [frame + 8]. */
static bool up(const struct ee_instance *in, uint64_t *pc, uint64_t *frame)
{
    uint64_t top = (uint64_t)(uintptr_t)in->native_limit + in->native_stack;
    uint64_t next[2];
    if (*frame % 8 != 0 || *frame >= top || top - *frame > in->native_stack)
        return false;
    memcpy(next, (const void *)(uintptr_t)*frame, sizeof next);
    if (next[0] <= *frame)
        return false;
    *frame = next[0];
    *pc = next[1] - 1; /* inside of the call */
    return true;
}

static void add_native(struct ee_instance *in, uint64_t pc, uint64_t frame)
{
    uint32_t function;
    do {
        function = ee_native_function(in, pc);
        if (function == EE_NO_INDEX)
            return; /* a trampoline */
        add(in, function, NULL);
    } while (up(in, &pc, &frame));
}

void ee_trace(struct ee_instance *in, const uint8_t *code, uint8_t *fp, uint64_t pc, uint64_t frame)
{
    const struct ee_activation *activation = in->activation;
    const struct ee_crossing *crossing = in->crossing;
    in->trace_depth = 0;
    if (code != NULL)
        add_interpreted(in, code, fp);
    for (uint32_t i = 0; i <= EE_MAX_NESTING; i++) { /* each round leaves an activation behind */
        if (pc != 0)
            add_native(in, pc, frame);
        if (pc != 0 && crossing != NULL && crossing->back != NULL) {
            fp = crossing->fp;
            if (caller_of(in, crossing->back, &fp))
                add_interpreted(in, crossing->back - 1, fp);
        }
        if (activation == NULL || activation->native_frame == NULL || activation->caller != in)
            return;
        frame = (uint64_t)(uintptr_t)activation->native_frame;
        crossing = activation->crossing;
        activation = activation->previous;
        if (!up(in, &pc, &frame))
            return;
    }
}

/* Whether native code led to where an instance is now. */
static bool is_below_native(const struct ee_instance *in)
{
    return in->activation != NULL && in->activation->native_frame != NULL && in->activation->caller == in;
}

void ee_fault(struct ee_instance *in, uint64_t address, const uint64_t regs[8])
{
    const uint8_t *pc = regs != NULL ? (const uint8_t *)(uintptr_t)regs[0] : NULL;
    uint8_t *fp = regs != NULL ? (uint8_t *)(uintptr_t)regs[1] : NULL;
    bool known = function_at(in, pc) != NULL && fp >= in->stack_base && fp < in->stack_limit;
    bool mixed = known && is_below_native(in);
    if (mixed)
        ee_trace(in, pc, fp, 0, 0);
    uint32_t depth = mixed ? in->trace_depth : 0;
    ee_unwind(in, ee_fault_trap(in, address));
    in->trace_depth = depth;
    if (known && !mixed) {
        in->trap_pc = pc;
        in->trap_fp = fp;
    }
}

struct text {
    char *out;
    size_t size, length;
};

static void put(struct text *text, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && text->length + 1 < text->size; i++)
        text->out[text->length++] = bytes[i];
}

static void put_text(struct text *text, const char *string)
{
    while (*string != 0)
        put(text, string++, 1);
}

static void put_number(struct text *text, uint32_t number, uint32_t base)
{
    char digits[12];
    size_t count = 0;
    do
        digits[sizeof digits - ++count] = "0123456789abcdef"[number % base];
    while ((number /= base) != 0);
    put(text, digits + sizeof digits - count, count);
}

static void put_name(struct text *text, const struct ee_module *module, uint32_t function)
{
    struct ee_name name;
    if (!ee_function_name(module, function, &name) || name.size == 0) {
        put_text(text, "?");
        return;
    }
    for (uint32_t i = 0; i < name.size && i < 80; i++) {
        char c = name.bytes[i];
        put(text, c > ' ' && c < 0x7f ? &c : "?", 1);
    }
}

static void put_frame(struct text *text, struct ee_instance *in, uint32_t number, uint32_t index, uint32_t offset)
{
    put_text(text, "  #");
    put_number(text, number, 10);
    put_text(text, " ");
    put_name(text, in->module, index);
    put_text(text, " (function ");
    put_number(text, index, 10);
    if (offset != EE_NO_INDEX) {
        put_text(text, " +0x");
        put_number(text, offset, 16);
    }
    put_text(text, ")\n");
}

size_t ee_backtrace(const struct ee_instance *instance, char *out, size_t size)
{
    struct ee_instance *in = (struct ee_instance *)(uintptr_t)instance; /* scratch memory in the arena's free part */
    struct text text = {out, size, 0};
    const uint8_t *code = in->trap_pc;
    uint8_t *fp = in->trap_fp;
    uint32_t frames = 0;
    struct ee_func *f;
    bool is_access = in->trap == EE_TRAP_OOB_MEMORY; /* the innermost frame names only its (super)instruction */
    for (; frames < in->trace_depth && frames < EE_TRACE_FRAMES; frames++) {
        const struct ee_frame *frame = &in->trace[frames];
        f = &in->functions[frame->function];
        uint32_t offset = frame->code == 0 ? EE_NO_INDEX
                                           : ee_source_offset(in, f, ee_code(in, frame->code), frames == 0 && is_access);
        put_frame(&text, in, frames, frame->function, offset);
    }
    frames = in->trace_depth;
    while (code != NULL && (f = function_at(in, code)) != NULL) {
        if (frames < MAX_FRAMES)
            put_frame(&text, in, frames, ee_func_index(f), ee_source_offset(in, f, code, frames == 0 && is_access));
        frames++;
        if (!step(in, f, &code, &fp))
            break;
    }
    if (frames > MAX_FRAMES) {
        put_text(&text, "  ... ");
        put_number(&text, frames - MAX_FRAMES, 10);
        put_text(&text, " more\n");
    }
    if (size != 0)
        out[text.length] = 0;
    return text.length;
}

EE_COMPACT_END
