/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a module, and its turn. Source: preview1, proc_exit, sched_yield. */
#include "fd.h"
#include "sb_wasi_handlers.h"

uint16_t sb_wasi_proc_exit(struct sb_wasi_slot *slot, uint32_t code)
{
    for (uint32_t fd = 0; fd < SB_MAX_FDS; fd++) {
        sb_fd_close(slot, &slot->fds[fd]);
    }
    slot->exited = true;
    slot->exit_code = code;
    return SB_E_SUCCESS;
}

/* Slots of equal priority take turns by time slice; the call has already passed through the kernel. */
uint16_t sb_wasi_sched_yield(struct sb_wasi_slot *slot)
{
    (void)slot;
    return SB_E_SUCCESS;
}
