/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's protection domain: Microkit's entry points around store.h. Its callers are the supervisor
 * (sb_store.h) and the wasi domain (sb_data.h); the channel says who calls.
 *
 * Does NOT: answer late: a call takes as long as flash takes, below 1 ms for each 2 KiB written or sector erased in QEMU.
 */
#include <microkit.h>

#include "sb_board.h"
#include "store.h"

_Static_assert(SB_DATA_ARGUMENTS >= SB_STORE_ARGUMENTS, "the larger of the two");

uintptr_t sb_flash_vaddr;
uintptr_t sb_record_vaddr;
uintptr_t sb_data_vaddr;
#define SB_X(slot) uintptr_t sb_module##slot##_vaddr;
SB_EACH_SLOT(SB_X)
#undef SB_X

void init(void)
{
    const struct sb_store_memory memory = {
#define SB_X(slot) (uint8_t *)sb_module##slot##_vaddr,
        .modules = {SB_EACH_SLOT(SB_X)},
#undef SB_X
        .record = (struct sb_store_record *)sb_record_vaddr,
        .data = (struct sb_data_region *)sb_data_vaddr,
    };
    if (sb_flash_vaddr == 0) {
        return; /* the board has no flash: every call is answered SB_STORE_ABSENT */
    }
    (void)sb_store_open((volatile void *)sb_flash_vaddr, SB_FLASH_SIZE, &memory); /* calls are told how it went */
}

void notified(microkit_channel ch)
{
    (void)ch; /* nobody notifies the store */
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo msginfo)
{
    uint64_t arguments[SB_DATA_ARGUMENTS];
    uint64_t results[SB_DATA_RESULTS] = {0, 0};
    uint64_t label = microkit_msginfo_get_label(msginfo);
    for (unsigned i = 0; i < SB_DATA_ARGUMENTS; i++) {
        arguments[i] = i < microkit_msginfo_get_count(msginfo) ? microkit_mr_get((seL4_Uint8)i) : 0;
    }
    microkit_mr_set(0, ch == SB_CH_STORE_WASI ? sb_data_serve(label, arguments, results)
                                              : (uint64_t)sb_store_serve(label, arguments, results));
    microkit_mr_set(1, results[0]);
    microkit_mr_set(2, results[1]);
    return microkit_msginfo_new(0, 3);
}
