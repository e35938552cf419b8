/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UART: moves bytes between the PL011 and two rings (sb_ring.h) shared with the supervisor, by interrupt both ways.
 *
 * Contract: PRODUCER of uart_rx, CONSUMER of uart_tx. The supervisor notifies after it produced into an idle tx ring or
 * freed a full rx ring. When rx is full the bytes stay in the FIFO with its interrupt masked, so the sender is held back
 * (hardware flow control, or QEMU's chardev) and nothing is dropped here; an overrun of the FIFO itself is the line's.
 * The supervisor is woken at the ends of lines and frames, not for each byte.
 *
 * Does NOT: set the baud rate (the firmware's or QEMU's stays), interpret bytes otherwise, or wait in a loop.
 * Source: pl011.h.
 */
#include <microkit.h>
#include <stdint.h>

#include "pl011.h"
#include "sb_layout.h"
#include "sb_mmio.h"
#include "sb_ring.h"

/* One interrupt writes at most this many bytes, so that a UART that never fills its FIFO can't keep the CPU. */
#define TX_BURST 1024u /* bytes */

/* The supervisor can do nothing with part of a frame: it is woken by a line's or a frame's end, or a full ring. */
#define LINE_END '\n'
#define FRAME_END 0
#define WAKE_ROOM (SB_RING_DATA_SIZE / 2u) /* bytes of room left */

_Static_assert(sizeof(struct sb_ring) == SB_UART_RING_REGION_SIZE, "sel4_bridge/system.py");

uintptr_t sb_pl011_vaddr;
uintptr_t sb_uart_rx_vaddr;
uintptr_t sb_uart_tx_vaddr;

static struct sb_ring_end rx; /* PRODUCER */
static struct sb_ring_end tx; /* CONSUMER */
static uint32_t unmasked;     /* copy of IMSC */

static struct pl011 *regs(void)
{
    return (struct pl011 *)sb_pl011_vaddr;
}

static void mask(uint32_t on, uint32_t off)
{
    uint32_t wanted = (unmasked & ~off) | on;
    if (wanted != unmasked) {
        unmasked = wanted;
        sb_mmio_write32(&regs()->imsc, wanted);
    }
}

/* Empty the receive FIFO into the ring. Bounded by the ring's room; with no room left the interrupt is masked. */
static void receive(void)
{
    for (;;) {
        uint32_t room = sb_ring_room(&rx);
        uint32_t count = 0;
        bool wake = room < WAKE_ROOM;
        while (count < room && (sb_mmio_read32(&regs()->fr) & PL011_FR_RXFE) == 0) {
            uint8_t byte = (uint8_t)sb_mmio_read32(&regs()->dr);
            *sb_ring_at(&rx, count) = byte;
            wake |= byte == LINE_END || byte == FRAME_END;
            count++;
        }
        if (count > 0) {
            sb_ring_publish(&rx, count);
            if (wake && sb_ring_wake_consumer(&rx)) {
                microkit_notify(SB_CH_UART_SUPERVISOR);
            }
        }
        if (count < room) { /* the FIFO is empty: the next byte interrupts */
            mask(PL011_INT_RX | PL011_INT_RT, 0);
            return;
        }
        if (sb_ring_producer_sleeps(&rx, 1)) {
            mask(0, PL011_INT_RX | PL011_INT_RT);
            return;
        }
    }
}

/* Fill the transmit FIFO from the ring. If bytes remain, the transmit interrupt goes on. */
static void transmit(void)
{
    uint32_t sent = 0;
    for (;;) {
        uint32_t used = sb_ring_used(&tx);
        uint32_t count = 0;
        while (count < used && sent + count < TX_BURST && (sb_mmio_read32(&regs()->fr) & PL011_FR_TXFF) == 0) {
            sb_mmio_write32(&regs()->dr, *sb_ring_at(&tx, count));
            count++;
        }
        sent += count;
        if (count > 0 && sb_ring_consumed(&tx, count)) {
            microkit_notify(SB_CH_UART_SUPERVISOR);
        }
        if (count < used) {
            mask(PL011_INT_TX, 0);
            return;
        }
        if (sb_ring_consumer_sleeps(&tx)) {
            mask(0, PL011_INT_TX);
            return;
        }
    }
}

void init(void)
{
    rx = (struct sb_ring_end){.ring = (struct sb_ring *)sb_uart_rx_vaddr, .index = 0};
    tx = (struct sb_ring_end){.ring = (struct sb_ring *)sb_uart_tx_vaddr, .index = 0};

    sb_mmio_write32(&regs()->imsc, 0);
    sb_mmio_write32(&regs()->cr, 0); /* 3.3.7: the line control is written with the UART off */
    sb_mmio_write32(&regs()->lcr_h, PL011_LCR_H_FEN | PL011_LCR_H_WLEN_8);
    sb_mmio_write32(&regs()->ifls, PL011_IFLS_RX_1_2 | PL011_IFLS_TX_1_8);
    sb_mmio_write32(&regs()->icr, PL011_INT_ERRORS | PL011_INT_TX);
    sb_mmio_write32(&regs()->cr, PL011_CR_UARTEN | PL011_CR_TXE | PL011_CR_RXE);
    receive();
    transmit();
}

void notified(microkit_channel ch)
{
    if (ch == SB_CH_UART_IRQ) {
        sb_mmio_write32(&regs()->icr, PL011_INT_ERRORS);
        if (sb_mmio_read32(&regs()->mis) & (PL011_INT_RX | PL011_INT_RT)) {
            receive();
        }
        if (unmasked & PL011_INT_TX) {
            sb_mmio_write32(&regs()->icr, PL011_INT_TX); /* before filling: the next edge counts again */
            transmit();
        }
        microkit_deferred_irq_ack(ch);
    } else if (ch == SB_CH_UART_SUPERVISOR) {
        if ((unmasked & PL011_INT_RX) == 0) {
            receive();
        }
        if ((unmasked & PL011_INT_TX) == 0) {
            transmit();
        }
    }
}
