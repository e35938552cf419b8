/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timer: one-shot deadlines for its clients, from the CPU's physical timer (CNTP, interrupt 30, level).
 *
 * Contract: a client calls with label SB_TIMER_SET and MR0 = absolute CNTPCT ticks (0 cancels); its former deadline is
 * replaced. At the deadline, or at once if it has passed, the client is notified and the deadline forgotten. One
 * deadline per channel. Any other message is answered with SB_TIMER_BAD_MESSAGE and changes nothing.
 *
 * Does NOT: keep wall-clock time or periods. Source: sb_counter.h.
 */
#include <microkit.h>
#include <stdint.h>

#include "sb_counter.h"
#include "sb_layout.h"

enum { CHANNELS = 62 }; /* MICROKIT_MAX_CHANNELS */

#define SB_TIMER_OK 0u
#define SB_TIMER_BAD_MESSAGE 1u

static uint64_t deadlines[CHANNELS]; /* absolute ticks, 0: none */

/* Notify who is due, set the hardware to the earliest deadline left. */
static void serve(void)
{
    uint64_t earliest = 0;
    uint64_t ticks = sb_counter_ticks();
    for (microkit_channel ch = 0; ch < CHANNELS; ch++) {
        if (deadlines[ch] == 0) {
            continue;
        }
        if (deadlines[ch] <= ticks) {
            deadlines[ch] = 0;
            microkit_notify(ch);
        } else if (earliest == 0 || deadlines[ch] < earliest) {
            earliest = deadlines[ch];
        }
    }
    sb_counter_deadline(earliest);
}

void init(void)
{
    sb_counter_deadline(0);
}

void notified(microkit_channel ch)
{
    if (ch == SB_CH_TIMER_IRQ) {
        serve(); /* lowers the level before the interrupt is unmasked */
        microkit_deferred_irq_ack(ch);
    }
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo msginfo)
{
    if (ch >= CHANNELS || microkit_msginfo_get_label(msginfo) != SB_TIMER_SET ||
        microkit_msginfo_get_count(msginfo) != 1) {
        return microkit_msginfo_new(SB_TIMER_BAD_MESSAGE, 0);
    }
    deadlines[ch] = microkit_mr_get(0);
    serve();
    return microkit_msginfo_new(SB_TIMER_OK, 0);
}
