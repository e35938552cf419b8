/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring build of the engine's domain (--wrap=sb_run): before it runs the module as ever, it makes ROUNDS bare
 * protected procedure calls to the wasi domain; the module then makes as many WASI calls. Both times, in ticks of
 * CNTPCT, and the counter's frequency go to the slot's standard error.
 */
#include <microkit.h>

#include "roundtrip.h"
#include "run.h"
#include "sb_layout.h"
#include "sb_wasi_calls.h"
#include "text.h"

void __real_sb_run(struct sb_run *run);
void __wrap_sb_run(struct sb_run *run);

static uint64_t ticks(void)
{
    uint64_t now;
    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(now)::"memory");
    return now;
}

static uint64_t bare(void)
{
    uint64_t before = ticks();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        (void)microkit_ppcall(SB_CH_ENGINE_WASI, microkit_msginfo_new(BARE_LABEL, 0));
    }
    return ticks() - before;
}

void __wrap_sb_run(struct sb_run *run)
{
    uint64_t frequency;
    uint64_t first = bare(); /* the first round warms QEMU's translation of everything that it passes */
    first = bare();
    uint64_t before = ticks();
    __real_sb_run(run);
    uint64_t module = ticks() - before;
    uint64_t second = bare();
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));

    struct sb_text line = sb_text_start((char *)run->bridge->io, 256);
    const uint64_t numbers[] = {first, second, module, frequency};
    for (int i = 0; i < 4; i++) {
        sb_text_decimal(&line, numbers[i]);
        sb_text_char(&line, i == 3 ? '\n' : ' ');
    }
    struct sb_message message = {.label = SB_WASI_FD_WRITE, .count = 2, .words = {2, line.used}};
    run->bridge->transport(run->bridge->context, &message);
}
