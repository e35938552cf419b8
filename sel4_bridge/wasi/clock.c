/* SPDX-License-Identifier: Apache-2.0 */
/* See clock.h. */
#include "clock.h"

#include "sb_wasi_handlers.h"

/* No clock is finer than the policy says. */
static uint64_t coarse(const struct sb_wasi_slot *slot, uint64_t ns)
{
    return slot->policy.resolution_ns > 1 ? ns - ns % slot->policy.resolution_ns : ns;
}

uint16_t sb_clock_now(const struct sb_wasi_slot *slot, uint32_t clock, uint64_t *now_ns)
{
    if (!slot->policy.clocks) {
        return SB_E_NOTCAPABLE;
    }
    switch (clock) {
    case SB_CLOCK_REALTIME:
        *now_ns = coarse(slot, slot->host->realtime_ns(slot->host->context));
        return SB_E_SUCCESS;
    case SB_CLOCK_MONOTONIC:
        *now_ns = coarse(slot, slot->host->monotonic_ns(slot->host->context));
        return SB_E_SUCCESS;
    case SB_CLOCK_PROCESS_CPU:
    case SB_CLOCK_THREAD_CPU:
        return SB_E_NOTSUP;
    default:
        return SB_E_INVAL;
    }
}

uint16_t sb_wasi_clock_res_get(struct sb_wasi_slot *slot, uint32_t id, uint64_t *resolution)
{
    uint64_t now;
    uint16_t error = sb_clock_now(slot, id, &now);
    *resolution = slot->policy.resolution_ns > slot->host->resolution_ns ? slot->policy.resolution_ns
                                                                         : slot->host->resolution_ns;
    return error;
}

uint16_t sb_wasi_clock_time_get(struct sb_wasi_slot *slot, uint32_t id, uint64_t precision, uint64_t *time)
{
    (void)precision; /* every clock is as precise as it can be */
    return sb_clock_now(slot, id, time);
}
