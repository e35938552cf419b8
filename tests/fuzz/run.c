/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariant, for every string of bytes: loading, starting and calling every export within an arena and some fuel ends
 * in an answer; nothing outside of the arena is written or read; the outside world's calls see consistent arguments;
 * after any trap the backtrace is text and the instance can be called again.
 *
 * libFuzzer's entry for the whole engine; build and use: python -m tests.fuzz. The arena keeps what the run before
 * left in it, as a device's does.
 */
#include <stdlib.h>
#include <string.h>

#include "../../edge_engine/host/guard.h"
#include "../../edge_engine/host/inspect.h"

enum { ARENA = 1 << 20, STACK = 16 << 10, FUEL = 4000, MOST_CALLS = 12, MOST_SLOTS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a host function knows about the type it was asked for. */
struct outside {
    uint32_t params, results, calls;
};

static struct outside outsides[256];
static uint32_t outside_count;
static uint32_t nesting;

static uint32_t slots(const uint8_t *types, uint32_t count)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += types[i] == EE_V128 ? 2 : 1;
    return total;
}

static bool holds_references(const uint8_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (types[i] == EE_FUNCREF || types[i] == EE_EXTERNREF)
            return true;
    return false;
}

/* Sums its arguments; sometimes calls back, sometimes traps. References it returns are null. */
static enum ee_trap answer(struct ee_instance *in, void *context, const uint64_t *args, uint64_t *results)
{
    struct outside *me = context;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < me->params; i++)
        sum += args[i];
    uint64_t memory_size;
    uint8_t *memory = ee_memory(in, &memory_size);
    if (memory_size != 0)
        memory[sum % memory_size]++;
    if (ee_memory_at(in, memory_size, 1) != NULL)
        abort();
    memset(results, 0, (size_t)me->results * 8);
    me->calls++;
    if (me->calls % 61 == 60)
        return EE_TRAP_EXIT;
    if (me->calls % 7 == 6 && nesting < 4) {
        struct ee_import_request type;
        uint64_t in_slots[MOST_SLOTS] = {0}, out_slots[MOST_SLOTS];
        uint32_t index = (uint32_t)(sum % 5);
        if (ee_inspect_function(in, index, &type)) {
            uint32_t give = slots(type.params, type.param_count), take = slots(type.results, type.result_count);
            if (give <= MOST_SLOTS && take <= MOST_SLOTS) {
                nesting++;
                enum ee_status status = ee_guard_call(in, index, in_slots, give, out_slots, take);
                nesting--;
                if (status == EE_TRAPPED)
                    return EE_TRAP_HOST;
                if (status != EE_OK)
                    abort();
            }
        }
    }
    return EE_TRAP_NONE;
}

static bool resolve(void *context, const struct ee_import_request *request, struct ee_import *import)
{
    (void)context;
    if (request->kind != EE_EXTERN_FUNC || outside_count == 256 ||
        holds_references(request->results, request->result_count))
        return false;
    struct outside *me = &outsides[outside_count++];
    *me = (struct outside){slots(request->params, request->param_count), slots(request->results, request->result_count), 0};
    import->function = answer;
    import->context = me;
    return true;
}

static void check_trap(const struct ee_instance *in)
{
    char text[700];
    size_t length = ee_backtrace(in, text, sizeof text);
    if (length >= sizeof text || text[length] != 0 || ee_instance_trap(in) == EE_TRAP_NONE)
        abort();
}

static void call_export(struct ee_instance *in, uint32_t index, uint64_t salt)
{
    struct ee_import_request type;
    uint64_t args[MOST_SLOTS], results[MOST_SLOTS];
    if (!ee_inspect_function(in, index, &type))
        abort();
    uint32_t give = slots(type.params, type.param_count), take = slots(type.results, type.result_count);
    if (give > MOST_SLOTS || take > MOST_SLOTS)
        return;
    bool null = holds_references(type.params, type.param_count);
    for (uint32_t i = 0; i < give; i++) {
        salt = salt * 6364136223846793005u + 1442695040888963407u;
        args[i] = null ? 0 : salt >> (salt >> 58);
    }
    ee_set_fuel(in, FUEL);
    enum ee_status status = ee_guard_call(in, index, args, give, results, take);
    if (status == EE_TRAPPED)
        check_trap(in);
    else if (status != EE_OK)
        abort();
    struct ee_usage usage;
    ee_instance_usage(in, &usage);
    if (usage.bookkeeping_bytes + usage.memory_bytes > ARENA + usage.code_bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *arena;
    if (arena == NULL && (arena = ee_guard_map(ARENA)) == NULL)
        abort();
    /* The module in an allocation of its own: the sanitizer sees the first byte read beyond it. */
    uint8_t *bytes = malloc(size != 0 ? size : 1);
    if (bytes == NULL)
        abort();
    if (size != 0)
        memcpy(bytes, data, size);
    outside_count = 0;
    nesting = 0;
    struct ee_config config = {.arena = arena,
                               .arena_size = ARENA,
                               .stack_size = STACK,
                               .metered = true,
                               .fuel = FUEL,
                               .resolver = resolve};
    struct ee_instance *in;
    struct ee_error error;
    if (ee_load(bytes, size, &config, &in, &error) == EE_OK) {
        enum ee_status status = ee_guard_start(in, &error);
        if (status == EE_TRAPPED)
            check_trap(in);
        else if (status != EE_OK)
            abort();
        struct ee_name name;
        enum ee_extern_kind kind;
        uint32_t index, calls = 0;
        for (uint32_t n = 0; status == EE_OK && calls < MOST_CALLS && ee_inspect_export(in, n, &name, &kind, &index); n++)
            if (kind == EE_EXTERN_FUNC) {
                call_export(in, index, size * 1000003u + n);
                calls++;
            }
    }
    free(bytes);
    return 0;
}
