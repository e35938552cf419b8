/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A UART's driver (SB_UART_DRIVER) against a model of its registers: what driver.h promises, checked with assertions.
 *
 * The model has the FIFOs and the interrupt logic that the manuals describe, not QEMU's: a PL011 whose transmit interrupt
 * comes when its level falls to 1/8 and not before something was sent (DDI 0183, 2.8.2), a Cadence UART whose causes stay
 * until a 1 is written (UG1085, "UART Interrupts"). `interrupt` is the line's level.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include SB_UART_DRIVER

enum { DEPTH = sizeof(SB_UART_DRIVER) == sizeof("cadence_driver.h") ? 64 : 16 };
static const bool is_cadence = sizeof(SB_UART_DRIVER) == sizeof("cadence_driver.h");

static uint32_t registers[0x80];
static uint8_t received[DEPTH], sent[DEPTH];
static unsigned received_count, sent_count;
static uint32_t raw, mask; /* causes, and which of them interrupt */

/* Receive causes follow the FIFO's level; transmit causes are set by events. */
static void update(void)
{
    if (is_cadence) {
        raw |= received_count >= registers[0x20 / 4] && received_count > 0 ? 1u << 0 : 0u;
        raw |= sent_count == 0 ? 1u << 3 : 0u;
        return;
    }
    raw &= ~(1u << 4 | 1u << 6);
    raw |= received_count >= DEPTH / 2 ? 1u << 4 : 0u;
    raw |= received_count > 0 ? 1u << 6 : 0u; /* the timeout has passed */
}

static bool interrupt(void)
{
    update();
    return (raw & mask) != 0;
}

static unsigned offset_of(const volatile uint32_t *address)
{
    return (unsigned)((uintptr_t)address - (uintptr_t)registers);
}

static uint8_t take(void)
{
    assert(received_count > 0); /* no driver reads an empty FIFO */
    uint8_t byte = received[0];
    memmove(received, received + 1, --received_count);
    return byte;
}

static void put(uint8_t byte)
{
    assert(sent_count < DEPTH); /* no driver writes into a full one */
    sent[sent_count++] = byte;
}

uint32_t sb_mmio_read32(const volatile uint32_t *address)
{
    unsigned at = offset_of(address);
    update();
    if (is_cadence) {
        switch (at) {
        case 0x10:
            return mask;
        case 0x14:
            return raw;
        case 0x2c:
            return (received_count == 0 ? 1u << 1 : 0u) | (sent_count == DEPTH ? 1u << 4 : 0u);
        case 0x30:
            return take();
        default:
            return registers[at / 4];
        }
    }
    switch (at) {
    case 0x00:
        return take();
    case 0x18:
        return (received_count == 0 ? 1u << 4 : 0u) | (sent_count == DEPTH ? 1u << 5 : 0u);
    case 0x38:
        return mask;
    case 0x3c:
        return raw;
    case 0x40:
        return raw & mask;
    default:
        return registers[at / 4];
    }
}

void sb_mmio_write32(volatile uint32_t *address, uint32_t value)
{
    unsigned at = offset_of(address);
    registers[at / 4] = value;
    if (is_cadence) {
        if (at == 0x08) {
            mask |= value;
        } else if (at == 0x0c) {
            mask &= ~value;
        } else if (at == 0x14) {
            raw &= ~value;
        } else if (at == 0x30) {
            put((uint8_t)value);
        }
        return;
    }
    if (at == 0x00) {
        put((uint8_t)value);
    } else if (at == 0x38) {
        mask = value;
    } else if (at == 0x44) {
        raw &= ~value;
    }
}

static void arrive(uint8_t byte)
{
    assert(received_count < DEPTH);
    received[received_count++] = byte;
}

/* The line takes everything that was put. */
static void drain(void)
{
    bool was_sending = sent_count > 0;
    sent_count = 0;
    raw |= was_sending && !is_cadence ? 1u << 5 : 0u;
}

/* A cause may be left from before it was listened for: it interrupts once at most. */
static void acknowledge_old(void)
{
    if (interrupt()) {
        assert(sb_uart_causes() != 0);
    }
    assert(!interrupt());
}

int main(void)
{
    uint8_t byte;
    arrive('x'); /* what came before the UART was opened may be lost, and interrupts nobody */
    sb_uart_open((uintptr_t)registers);
    assert(!interrupt());
    while (sb_uart_get(&byte)) {
    }

    sb_uart_listen(SB_UART_RECEIVE);
    acknowledge_old();
    for (unsigned count = 1; count <= DEPTH; count++) {
        for (unsigned i = 0; i < count; i++) {
            arrive((uint8_t)(count + i));
        }
        assert(interrupt());
        assert(sb_uart_causes() & SB_UART_RECEIVE);
        for (unsigned i = 0; i < count; i++) {
            assert(sb_uart_get(&byte) && byte == (uint8_t)(count + i));
        }
        assert(!sb_uart_get(&byte));
        sb_uart_causes(); /* an empty FIFO's cause goes with the next look at the latest */
        assert(!interrupt());
    }

    /* Bytes that wait while nobody listens interrupt once somebody does, and again until they are taken. */
    sb_uart_listen(0);
    arrive('a');
    arrive('b');
    assert(!interrupt());
    sb_uart_listen(SB_UART_RECEIVE);
    assert(interrupt());
    assert((sb_uart_causes() & SB_UART_RECEIVE) && interrupt());
    assert(sb_uart_get(&byte) && byte == 'a' && interrupt());
    assert(sb_uart_get(&byte) && byte == 'b' && !sb_uart_get(&byte));
    sb_uart_causes();
    assert(!interrupt());

    /* A full transmit FIFO refuses, and interrupts those who wait for room. */
    for (unsigned round = 0; round < 3; round++) {
        unsigned count = 0;
        while (sb_uart_put((uint8_t)count)) {
            count++;
        }
        assert(count == DEPTH && sent_count == DEPTH);
        for (unsigned i = 0; i < DEPTH; i++) {
            assert(sent[i] == (uint8_t)i);
        }
        sb_uart_listen(SB_UART_RECEIVE | SB_UART_TRANSMIT);
        acknowledge_old();
        drain();
        assert(interrupt());
        assert((sb_uart_causes() & SB_UART_TRANSMIT) && sb_uart_put('y'));
        acknowledge_old();
        drain();
        sb_uart_listen(SB_UART_RECEIVE);
        assert(!interrupt());
    }
    puts("held");
    return 0;
}
