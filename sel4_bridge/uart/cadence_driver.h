/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.h for the Cadence UART. Its trigger level is one byte, so that no byte waits for others and the receiver's timeout
 * is not needed. Source: cadence.h.
 */
#pragma once

#include "cadence.h"
#include "driver.h"
#include "sb_mmio.h"

static struct cadence *cadence;
static uint32_t cadence_causes; /* that are listened for */

static void sb_uart_open(uintptr_t registers)
{
    cadence = (struct cadence *)registers;
    sb_mmio_write32(&cadence->intrpt_dis, CADENCE_INT_ALL);
    sb_mmio_write32(&cadence->mode, CADENCE_MODE_PAR_NONE);
    sb_mmio_write32(&cadence->rcvr_fifo_trigger_level, 1);
    sb_mmio_write32(&cadence->control,
                    CADENCE_CONTROL_RXRES | CADENCE_CONTROL_TXRES | CADENCE_CONTROL_RXEN | CADENCE_CONTROL_TXEN);
    sb_mmio_write32(&cadence->chnl_int_sts, CADENCE_INT_ALL);
}

static inline bool sb_uart_get(uint8_t *byte)
{
    if (sb_mmio_read32(&cadence->channel_sts) & CADENCE_STS_REMPTY) {
        return false;
    }
    *byte = (uint8_t)sb_mmio_read32(&cadence->tx_rx_fifo);
    return true;
}

static inline bool sb_uart_put(uint8_t byte)
{
    if (sb_mmio_read32(&cadence->channel_sts) & CADENCE_STS_TFUL) {
        return false;
    }
    sb_mmio_write32(&cadence->tx_rx_fifo, byte);
    return true;
}

static void sb_uart_listen(uint32_t causes)
{
    uint32_t wanted = (causes & SB_UART_RECEIVE ? CADENCE_INT_RTRIG : 0u) |
                      (causes & SB_UART_TRANSMIT ? CADENCE_INT_TEMPTY : 0u);
    cadence_causes = causes;
    sb_mmio_write32(&cadence->intrpt_dis, CADENCE_INT_ALL & ~wanted);
    sb_mmio_write32(&cadence->intrpt_en, wanted);
}

static uint32_t sb_uart_causes(void)
{
    /* Cleared before the FIFOs are served: what happens meanwhile counts again, and a level that stays sets it again. */
    sb_mmio_write32(&cadence->chnl_int_sts, CADENCE_INT_ALL);
    return cadence_causes;
}
