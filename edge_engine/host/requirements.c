/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much arena a module needs; contract in inspect.h.
 *
 * Nothing is computed here that the engine computes elsewhere: the module is loaded and translated as on a device, in
 * arenas of different sizes. From some size on loading succeeds, and from some size on it leaves enough for the
 * translations (the stack's share grows with the arena, but slower than it), so halving finds those sizes.
 *
 * Translating a function takes room for its code and, until it is done, some more. Codes add up whatever the order; the
 * worst is the function with the greatest demand coming last, so that demand is found for each.
 */
#include "../src/error.h"
#include "../src/runtime.h"
#include "inspect.h"

enum { STEP = 4096, ALIGNMENT_SLACK = 32 };

static uint64_t round_up(uint64_t bytes) { return (bytes + STEP - 1) & ~(uint64_t)(STEP - 1); }

static enum ee_trap nothing(struct ee_instance *instance, void *context, const uint64_t *args, uint64_t *results)
{
    (void)instance, (void)context, (void)args, (void)results;
    return EE_TRAP_HOST; /* never called: nothing runs */
}

static bool provide(void *context, const struct ee_import_request *request, struct ee_import *import)
{
    (void)context;
    import->function = nothing;
    return request->kind == EE_EXTERN_FUNC;
}

static enum ee_status load(const uint8_t *bytes, size_t size, const struct ee_config *given, uint64_t arena_size,
                           struct ee_instance **in, struct ee_error *error)
{
    struct ee_config config = *given;
    config.arena_size = (size_t)arena_size;
    config.resolver = provide;
    return ee_load(bytes, size, &config, in, error);
}

/* Translates again with `room` bytes free; leaves the arena as it was. *code: bytes that stayed in use. */
static bool translates(struct ee_instance *in, struct ee_func *function, uint64_t room, uint64_t *code)
{
    struct ee_arena before = in->arena;
    size_t code_bytes = in->code_bytes;
    if (room > before.limit - before.used)
        return false;
    in->arena.limit = before.used + (size_t)room;
    bool done = ee_translate(in, function) == EE_TRAP_NONE;
    *code = in->arena.used - before.used;
    in->arena = before;
    in->code_bytes = code_bytes;
    return done;
}

/* The least room that translating a function takes; 0 if it can't be had. */
static uint64_t find_room(struct ee_instance *in, struct ee_func *function, uint64_t low)
{
    uint64_t high = in->arena.limit - in->arena.used, code;
    if (!translates(in, function, high, &code))
        return 0;
    while (high - low > 16) {
        uint64_t middle = low + (high - low) / 2;
        if (translates(in, function, middle, &code))
            high = middle;
        else
            low = middle;
    }
    return high;
}

/* Bytes that translations take at most, behind what loading takes; the instance is of no use afterwards. */
static uint64_t find_translations(struct ee_instance *in)
{
    uint32_t first = in->module->imported_functions;
    uint64_t loaded = in->arena.used;
    for (uint32_t i = first; i < in->module->function_count; i++)
        (void)ee_inspect_translate(in, i);
    uint64_t all = in->arena.used - loaded, extra = 0, code;
    for (uint32_t i = first; i < in->module->function_count; i++) {
        struct ee_func *function = &in->functions[i];
        if (!translates(in, function, in->arena.limit - in->arena.used, &code))
            continue; /* its frame is too large: calling it traps, with any arena */
        if (!translates(in, function, code + extra, &code)) {
            uint64_t room = find_room(in, function, code + extra);
            (void)translates(in, function, room, &code);
            extra = room > code + extra ? room - code : extra;
        }
    }
    return all + extra + ALIGNMENT_SLACK;
}

struct question {
    const uint8_t *bytes;
    size_t size;
    const struct ee_config *config;
};

/* Does the module load in an arena of this size, and leave so much of it? *usage is then what it took. */
static bool is_enough(const struct question *q, uint64_t arena_size, uint64_t left, struct ee_usage *usage)
{
    struct ee_instance *in;
    struct ee_error ignored;
    if (load(q->bytes, q->size, q->config, arena_size, &in, &ignored) != EE_OK)
        return false;
    ee_instance_usage(in, usage);
    return in->arena.limit - in->arena.used >= left;
}

/* The least multiple of STEP from `low` on that is enough; `high` is, or nothing. *usage: with it. */
static uint64_t find_least(const struct question *q, uint64_t low, uint64_t high, uint64_t left, struct ee_usage *usage)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2 / STEP * STEP;
        if (is_enough(q, middle, left, usage))
            high = middle;
        else
            low = middle + STEP;
    }
    return is_enough(q, high, left, usage) ? high : 0;
}

enum ee_status ee_find_requirements(const uint8_t *bytes, size_t size, const struct ee_config *config,
                                    struct ee_requirements *requirements, struct ee_error *error)
{
    struct ee_instance *in;
    enum ee_status status = load(bytes, size, config, config->arena_size, &in, error);
    if (status != EE_OK)
        return status;
    struct ee_usage usage;
    ee_instance_usage(in, &usage);
    uint64_t memory = usage.memory_bytes;
    uint64_t least = find_least(&(struct question){bytes, size, config}, round_up(memory + STEP),
                                round_up(usage.bookkeeping_bytes + memory), 0, &usage);
    status = load(bytes, size, config, config->arena_size, &in, error);
    if (status != EE_OK)
        return status;
    uint64_t translations = find_translations(in);
    ee_instance_usage(in, &usage);
    uint64_t code = usage.code_bytes;
    uint64_t run = find_least(&(struct question){bytes, size, config}, least, config->arena_size / STEP * STEP,
                              translations, &usage);
    if (run == 0)
        return ee_fail_memory(error, &in->arena, "all translated functions");
    *requirements = (struct ee_requirements){
        .load_bytes = least,
        .run_bytes = run,
        .memory_bytes = memory,
        .code_bytes = code,
        .stack_bytes = usage.stack_bytes,
    };
    return EE_OK;
}

bool ee_inspect_translate(struct ee_instance *in, uint32_t index)
{
    if (index >= in->module->function_count || ee_is_imported(in, index))
        return false;
    struct ee_func *function = &in->functions[index];
    return function->code != EE_LAZY_CODE || ee_translate(in, function) == EE_TRAP_NONE;
}
