/* SPDX-License-Identifier: Apache-2.0 */
/* A domain that does what its region's permissions, or the C language, forbid: BAD says what. */
#include <microkit.h>
#include <stdint.h>

#include "sb_mmio.h"

uintptr_t sb_table_vaddr;

static volatile uint32_t numbers[4];

void init(void)
{
    numbers[0] = 0;
#if BAD == 1
    *(volatile uint32_t *)sb_table_vaddr = 1; /* mapped read-only */
#elif BAD == 2
    volatile uint32_t index = 4;
    numbers[index] = 1; /* behind its end */
#elif BAD == 3
    volatile uint32_t *hole = (volatile uint32_t *)(sb_table_vaddr + 4096);
    numbers[0] = *hole; /* nothing is mapped there */
#elif BAD == 4
    sb_mmio_write32((volatile uint32_t *)sb_table_vaddr, 0x00700070u);
    numbers[0] = *(volatile uint32_t *)sb_table_vaddr; /* flash that shows its status */
#endif
}

void notified(microkit_channel ch)
{
    (void)ch;
}
