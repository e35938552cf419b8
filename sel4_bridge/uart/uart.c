/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UART: moves bytes between the board's UART (driver.h) and two rings (sb_ring.h) shared with the supervisor, by interrupt both ways.
 *
 * Contract: PRODUCER of uart_rx, CONSUMER of uart_tx. The supervisor notifies after it produced into an idle tx ring or
 * freed a full rx ring. When rx is full the bytes stay in the FIFO with its interrupt masked, so the sender is held back
 * (hardware flow control, or QEMU's chardev) and nothing is dropped here; an overrun of the FIFO itself is the line's.
 * The supervisor is woken at the ends of lines and frames, not for each byte.
 *
 * Does NOT: set the baud rate, interpret bytes otherwise, or wait in a loop.
 */
#include <microkit.h>
#include <stdint.h>

#include "sb_board.h"
#include "sb_layout.h"
#include "sb_ring.h"

#include SB_UART_DRIVER

/* One interrupt writes at most this many bytes, so that a UART that never fills its FIFO can't keep the CPU. */
#define TX_BURST 1024u /* bytes */

/* The supervisor can do nothing with part of a frame: it is woken by a line's or a frame's end, or a full ring. */
#define LINE_END '\n'
#define FRAME_END 0
#define WAKE_ROOM (SB_RING_DATA_SIZE / 2u) /* bytes of room left */

_Static_assert(sizeof(struct sb_ring) == SB_UART_RING_REGION_SIZE, "sel4_bridge/system.py");

uintptr_t sb_uart_vaddr;
uintptr_t sb_uart_rx_vaddr;
uintptr_t sb_uart_tx_vaddr;

static struct sb_ring_end rx; /* PRODUCER */
static struct sb_ring_end tx; /* CONSUMER */
static uint32_t unmasked;     /* causes that interrupt */

static void mask(uint32_t on, uint32_t off)
{
    uint32_t wanted = (unmasked & ~off) | on;
    if (wanted != unmasked) {
        unmasked = wanted;
        sb_uart_listen(wanted);
    }
}

/* Empty the receive FIFO into the ring. Bounded by the ring's room; with no room left the interrupt is masked. */
static void receive(void)
{
    for (;;) {
        uint32_t room = sb_ring_room(&rx);
        uint32_t count = 0;
        bool wake = room < WAKE_ROOM;
        uint8_t byte;
        while (count < room && sb_uart_get(&byte)) {
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
            mask(SB_UART_RECEIVE, 0);
            return;
        }
        if (sb_ring_producer_sleeps(&rx, 1)) {
            mask(0, SB_UART_RECEIVE);
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
        while (count < used && sent + count < TX_BURST && sb_uart_put(*sb_ring_at(&tx, count))) {
            count++;
        }
        sent += count;
        if (count > 0 && sb_ring_consumed(&tx, count)) {
            microkit_notify(SB_CH_UART_SUPERVISOR);
        }
        if (count < used) {
            mask(SB_UART_TRANSMIT, 0);
            return;
        }
        if (sb_ring_consumer_sleeps(&tx)) {
            mask(0, SB_UART_TRANSMIT);
            return;
        }
    }
}

void init(void)
{
    rx = (struct sb_ring_end){.ring = (struct sb_ring *)sb_uart_rx_vaddr, .index = 0};
    tx = (struct sb_ring_end){.ring = (struct sb_ring *)sb_uart_tx_vaddr, .index = 0};

    sb_uart_open(sb_uart_vaddr);
    receive();
    transmit();
}

void notified(microkit_channel ch)
{
    if (ch == SB_CH_UART_IRQ) {
        uint32_t causes = sb_uart_causes();
        if (causes & SB_UART_RECEIVE) {
            receive();
        }
        if (causes & SB_UART_TRANSMIT) {
            transmit();
        }
        microkit_deferred_irq_ack(ch);
    } else if (ch == SB_CH_UART_SUPERVISOR) {
        if ((unmasked & SB_UART_RECEIVE) == 0) {
            receive();
        }
        if ((unmasked & SB_UART_TRANSMIT) == 0) {
            transmit();
        }
    }
}
