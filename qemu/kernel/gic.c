/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GICv2 of QEMU's virt machine (Arm GIC architecture specification 2.0, chapter 4).
 *
 * Contract: an interrupt of a domain is masked when it comes, signals the domain's notification, and stays masked
 * until the domain acknowledges it; a level that is still high comes again then. Interrupt 27, the virtual timer, is
 * the kernel's own.
 */
#include "kernel.h"

#define DISTRIBUTOR (KERNEL_BASE + 0x08000000ul)
#define CPU_INTERFACE (KERNEL_BASE + 0x08010000ul)

enum {
    GICD_CTLR = 0x000,
    GICD_ISENABLER = 0x100,
    GICD_ICENABLER = 0x180,
    GICD_ICPENDR = 0x280,
    GICD_ICACTIVER = 0x380,
    GICD_IPRIORITYR = 0x400,
    GICD_ITARGETSR = 0x800,
    GICD_ICFGR = 0xc00,
    GICC_CTLR = 0x00,
    GICC_PMR = 0x04,
    GICC_IAR = 0x0c,
    GICC_EOIR = 0x10,
    TIMER_IRQ = 27,
    SPURIOUS = 1020, /* from here on: nothing to handle */
};

static struct {
    struct notification *notification;
    uint64_t badge;
} routes[MAX_IRQ];

static volatile uint32_t *distributor(unsigned offset)
{
    return (volatile uint32_t *)(DISTRIBUTOR + offset);
}

static volatile uint32_t *cpu_interface(unsigned offset)
{
    return (volatile uint32_t *)(CPU_INTERFACE + offset);
}

static void set_bit(unsigned offset, unsigned irq)
{
    *distributor(offset + irq / 32 * 4) = 1u << irq % 32;
}

void gic_init(void)
{
    *distributor(GICD_CTLR) = 0;
    for (unsigned i = 0; i < MAX_IRQ / 32; i++) {
        *distributor(GICD_ICENABLER + i * 4) = ~0u;
        *distributor(GICD_ICPENDR + i * 4) = ~0u;
        *distributor(GICD_ICACTIVER + i * 4) = ~0u;
    }
    for (unsigned i = 0; i < MAX_IRQ / 4; i++) {
        *distributor(GICD_IPRIORITYR + i * 4) = 0xa0a0a0a0u;
        if (i >= 8) { /* the first 32 interrupts are the core's own */
            *distributor(GICD_ITARGETSR + i * 4) = 0x01010101u;
        }
    }
    *distributor(GICD_CTLR) = 1;
    *cpu_interface(GICC_PMR) = 0xff;
    *cpu_interface(GICC_CTLR) = 1;
    set_bit(GICD_ISENABLER, TIMER_IRQ);
}

void gic_route(unsigned irq, struct notification *notification, uint64_t badge, bool edge)
{
    if (irq < 16 || irq >= MAX_IRQ || irq == TIMER_IRQ || routes[irq].notification != NULL) {
        panic("an interrupt that does not exist, is the kernel's or was given twice");
    }
    routes[irq].notification = notification;
    routes[irq].badge = badge;
    volatile uint32_t *config = distributor(GICD_ICFGR + irq / 16 * 4);
    uint32_t bit = 2u << irq % 16 * 2;
    *config = edge ? *config | bit : *config & ~bit;
    set_bit(GICD_ISENABLER, irq);
}

void gic_acknowledge(unsigned irq)
{
    set_bit(GICD_ISENABLER, irq);
}

void gic_handle(void)
{
    uint32_t word = *cpu_interface(GICC_IAR);
    unsigned irq = word & 0x3ffu;
    if (irq >= SPURIOUS) {
        return;
    }
    if (irq == TIMER_IRQ) {
        schedule_timer_fired(); /* what it was for, schedule() sees by the time */
        *cpu_interface(GICC_EOIR) = word;
        return;
    }
    if (irq < MAX_IRQ) {
        set_bit(GICD_ICENABLER, irq);
    }
    *cpu_interface(GICC_EOIR) = word;
    if (irq < MAX_IRQ && routes[irq].notification != NULL) {
        notification_signal(routes[irq].notification, routes[irq].badge);
    }
}
