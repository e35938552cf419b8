/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces of the domains: 40 bits, 4 KiB pages and 2 MiB blocks, four levels of AArch64 tables of which the
 * first has two entries (Arm ARM D8, "VMSAv8-64 translation"; TCR_EL1.T0SZ = 24 in vectors.S).
 * Tables exist only for what is mapped; they are made at boot and never change, so nothing here flushes a TLB.
 */
#include "boot.h"
#include "kernel.h"

enum {
    DESC_VALID = 1u << 0,
    DESC_TABLE_OR_PAGE = 1u << 1,
    DESC_ATTR_NORMAL = 1u << 2, /* MAIR attribute 1; 0 is device nGnRnE */
    DESC_EL0 = 1u << 6,
    DESC_READ_ONLY = 1u << 7,
    DESC_INNER_SHAREABLE = 3u << 8,
    DESC_ACCESSED = 1u << 10,
    DESC_NOT_GLOBAL = 1u << 11,
};
#define DESC_PXN (1ul << 53)
#define DESC_UXN (1ul << 54)
#define DESC_ADDRESS 0x0000fffffffff000ul
#define BLOCK (1ul << 21)

extern uint64_t boot_table1[];
extern char text_end[], constants_end[];

/* The kernel's own 1 GiB of RAM in pieces: its code executable, its constants read only, the rest never executed. */
void space_protect_kernel(void)
{
    const uint64_t normal = DESC_VALID | DESC_ATTR_NORMAL | DESC_INNER_SHAREABLE | DESC_ACCESSED | DESC_UXN;
    uint64_t table2_at = memory_take(4096, 4096);
    uint64_t table3_at = memory_take(4096, 4096);
    uint64_t *table2 = memory_at(table2_at);
    uint64_t *table3 = memory_at(table3_at);
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t page = RAM_BASE + i * 4096;
        uint64_t vaddr = KERNEL_BASE + page;
        uint64_t rights = DESC_PXN;
        if (vaddr >= (uint64_t)kernel_image && vaddr < (uint64_t)text_end) {
            rights = DESC_READ_ONLY;
        } else if (vaddr >= (uint64_t)text_end && vaddr < (uint64_t)constants_end) {
            rights = DESC_READ_ONLY | DESC_PXN;
        }
        table3[i] = page | normal | DESC_TABLE_OR_PAGE | rights;
        table2[i] = (RAM_BASE + i * BLOCK) | normal | DESC_PXN;
    }
    table2[0] = table3_at | DESC_TABLE_OR_PAGE | DESC_VALID;
    boot_table1[1] = table2_at | DESC_TABLE_OR_PAGE | DESC_VALID;
    __asm__ volatile("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb");
}

uint64_t space_new(unsigned asid)
{
    return memory_take(4096, 4096) | (uint64_t)asid << 48;
}

/* The table below entry `index` of `table`, made if it isn't there. */
static uint64_t *descend(uint64_t *table, uint64_t index)
{
    if (!(table[index] & DESC_VALID)) {
        table[index] = memory_take(4096, 4096) | DESC_TABLE_OR_PAGE | DESC_VALID;
    } else if (!(table[index] & DESC_TABLE_OR_PAGE)) {
        panic("a page would be mapped inside a block");
    }
    return memory_at(table[index] & DESC_ADDRESS);
}

void space_map(uint64_t ttbr, uint64_t vaddr, uint64_t phys, uint64_t size, uint64_t flags)
{
    if (vaddr >= USER_TOP || size > USER_TOP - vaddr || ((vaddr | phys | size) & 4095u)) {
        panic("a mapping outside the address space or off page bounds");
    }
    uint64_t attributes = DESC_VALID | DESC_INNER_SHAREABLE | DESC_ACCESSED | DESC_NOT_GLOBAL | DESC_PXN;
    attributes |= (flags & (BOOT_READ | BOOT_WRITE)) ? DESC_EL0 : 0;
    attributes |= (flags & BOOT_WRITE) ? 0 : DESC_READ_ONLY;
    attributes |= (flags & BOOT_EXECUTE) ? 0 : DESC_UXN;
    attributes |= (flags & BOOT_CACHED) ? DESC_ATTR_NORMAL : 0;
    while (size > 0) {
        uint64_t *level1 = descend(memory_at(ttbr & DESC_ADDRESS), vaddr >> 39);
        uint64_t *level2 = descend(level1, vaddr >> 30 & 511u);
        uint64_t step = BLOCK;
        uint64_t *entry = &level2[vaddr >> 21 & 511u];
        uint64_t kind = 0;
        if (((vaddr | phys) & (BLOCK - 1)) || size < BLOCK) {
            entry = &descend(level2, vaddr >> 21 & 511u)[vaddr >> 12 & 511u];
            step = 4096;
            kind = DESC_TABLE_OR_PAGE;
        }
        if (*entry & DESC_VALID) {
            panic("two mappings at one address");
        }
        *entry = phys | attributes | kind;
        vaddr += step;
        phys += step;
        size -= step;
    }
}
