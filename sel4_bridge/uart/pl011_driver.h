/* SPDX-License-Identifier: Apache-2.0 */
/* driver.h for the PL011. The baud rate is the firmware's or QEMU's. Source: pl011.h. */
#pragma once

#include "driver.h"
#include "pl011.h"
#include "sb_mmio.h"

static struct pl011 *pl011;
static uint32_t pl011_causes; /* that are listened for */

static void sb_uart_open(uintptr_t registers)
{
    pl011 = (struct pl011 *)registers;
    sb_mmio_write32(&pl011->imsc, 0);
    sb_mmio_write32(&pl011->cr, 0); /* 3.3.7: the line control is written with the UART off */
    sb_mmio_write32(&pl011->lcr_h, PL011_LCR_H_FEN | PL011_LCR_H_WLEN_8);
    sb_mmio_write32(&pl011->ifls, PL011_IFLS_RX_1_2 | PL011_IFLS_TX_1_8);
    sb_mmio_write32(&pl011->icr, PL011_INT_ERRORS | PL011_INT_TX);
    sb_mmio_write32(&pl011->cr, PL011_CR_UARTEN | PL011_CR_TXE | PL011_CR_RXE);
}

static inline bool sb_uart_get(uint8_t *byte)
{
    if (sb_mmio_read32(&pl011->fr) & PL011_FR_RXFE) {
        return false;
    }
    *byte = (uint8_t)sb_mmio_read32(&pl011->dr);
    return true;
}

static inline bool sb_uart_put(uint8_t byte)
{
    if (sb_mmio_read32(&pl011->fr) & PL011_FR_TXFF) {
        return false;
    }
    sb_mmio_write32(&pl011->dr, byte);
    return true;
}

static void sb_uart_listen(uint32_t causes)
{
    pl011_causes = causes;
    sb_mmio_write32(&pl011->imsc, (causes & SB_UART_RECEIVE ? PL011_INT_RX | PL011_INT_RT : 0u) |
                                      (causes & SB_UART_TRANSMIT ? PL011_INT_TX : 0u));
}

static uint32_t sb_uart_causes(void)
{
    uint32_t causes = 0;
    sb_mmio_write32(&pl011->icr, PL011_INT_ERRORS);
    if (sb_mmio_read32(&pl011->mis) & (PL011_INT_RX | PL011_INT_RT)) {
        causes |= SB_UART_RECEIVE; /* cleared by emptying the FIFO */
    }
    if (pl011_causes & SB_UART_TRANSMIT) {
        sb_mmio_write32(&pl011->icr, PL011_INT_TX); /* before filling: the next edge counts again */
        causes |= SB_UART_TRANSMIT;
    }
    return causes;
}
