/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring build of the engine's domain (--wrap=sb_run): a module with a custom section bench.order is not run as ever.
 * The same kernel of the bench runs either as the C that is linked into this domain, or out of the module, and its time
 * in ticks of CNTPCT, its checksum and whether native code ran go to the slot's standard error.
 */
#include <edge_engine.h>
#include <string.h>

#include "run.h"
#include "sb_layout.h"
#include "sb_wasi_calls.h"
#include "text.h"

/* The section's content, little endian. */
struct order {
    uint32_t kernel; /* of the table below */
    uint32_t in_c;   /* 1: the one linked into the domain */
    uint32_t rounds;
};

static const char section_name[] = "bench.order";

#define X(name) int64_t run_##name(int32_t n);
BENCH_KERNELS
#undef X

static int64_t (*const kernels[])(int32_t) = {
#define X(name) run_##name,
    BENCH_KERNELS
#undef X
};

void __real_sb_run(struct sb_run *run);
void __wrap_sb_run(struct sb_run *run);

static uint64_t ticks(void)
{
    uint64_t now;
    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(now)::"memory");
    return now;
}

/* The section stands last in the file: its name, then the order. */
static bool find_order(const struct sb_run *run, struct order *order)
{
    size_t size = sizeof section_name - 1 + sizeof *order;
    if (run->module_size < size ||
        memcmp(run->module + run->module_size - size, section_name, sizeof section_name - 1) != 0) {
        return false;
    }
    memcpy(order, run->module + run->module_size - sizeof *order, sizeof *order);
    return order->kernel < sizeof kernels / sizeof kernels[0];
}

static void say(struct sb_run *run, uint64_t took, uint64_t checksum)
{
    struct sb_text line = sb_text_start((char *)run->bridge->io, 256);
    const uint64_t numbers[] = {took, checksum, run->tier == SB_TIER_NATIVE};
    for (int i = 0; i < 3; i++) {
        sb_text_decimal(&line, numbers[i]);
        sb_text_char(&line, i == 2 ? '\n' : ' ');
    }
    struct sb_message message = {.label = SB_WASI_FD_WRITE, .count = 2, .words = {2, line.used}};
    run->bridge->transport(run->bridge->context, &message);
}

static void measure(struct sb_run *run, const struct order *order)
{
    struct ee_error error = {0};
    struct ee_instance *instance = NULL;
    struct ee_config config = {.arena = run->arena, .arena_size = run->arena_size, .metered = run->metered, .fuel = run->fuel};
    uint64_t result = 0;
    run->state = SB_ENGINE_REFUSED;
    run->text[0] = run->backtrace[0] = run->tier_text[0] = 0;
    run->tier = SB_TIER_UNKNOWN;
    if (order->in_c != 0) {
        uint64_t before = ticks();
        result = (uint64_t)kernels[order->kernel]((int32_t)order->rounds);
        say(run, ticks() - before, result);
        run->state = SB_ENGINE_EXITED;
        return;
    }
    if (ee_load(run->module, run->module_size, &config, &instance, &error) != EE_OK) {
        memcpy(run->text, error.text, sizeof error.text);
        return;
    }
    run->instance = instance;
    uint32_t entry = ee_export(instance, EE_EXTERN_FUNC, "run", 3);
    const uint64_t arguments[1] = {order->rounds};
    if (run->start(instance, &error) != EE_OK) {
        memcpy(run->text, error.text, sizeof error.text);
        return;
    }
    uint64_t before = ticks();
    if (run->call(instance, entry, arguments, 1, &result, 1) != EE_OK) {
        memcpy(run->text, "the kernel trapped", sizeof "the kernel trapped");
        return;
    }
    say(run, ticks() - before, result);
    run->state = SB_ENGINE_EXITED;
}

void __wrap_sb_run(struct sb_run *run)
{
    struct order order;
    if (find_order(run, &order)) {
        run->exit_code = 0;
        measure(run, &order);
    } else {
        __real_sb_run(run);
    }
}
