/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that makes CALLS calls of the cheapest kind: no argument, no result. */
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int sched_yield(void);

void _start(void);

__attribute__((export_name("_start"))) void _start(void)
{
    for (unsigned int i = 0; i < CALLS; i++) {
        (void)sched_yield();
    }
}
