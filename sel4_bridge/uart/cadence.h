/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of the Cadence UART of AMD's Zynq UltraScale+.
 *
 * Source: Zynq UltraScale+ Device Technical Reference Manual (UG1085), chapter "UART Controller"; names and bits are those
 * of the register reference (UG1087), module UART.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cadence {
    volatile uint32_t control;
    volatile uint32_t mode;
    volatile uint32_t intrpt_en;  /* a 1 lets the interrupt through */
    volatile uint32_t intrpt_dis; /* a 1 masks it */
    volatile uint32_t intrpt_mask; /* read: those let through */
    volatile uint32_t chnl_int_sts; /* causes, kept until a 1 is written */
    volatile uint32_t baud_rate_gen;
    volatile uint32_t rcvr_timeout;
    volatile uint32_t rcvr_fifo_trigger_level; /* 1..63 bytes */
    volatile uint32_t modem_ctrl;
    volatile uint32_t modem_sts;
    volatile uint32_t channel_sts; /* as it is now */
    volatile uint32_t tx_rx_fifo;
};
_Static_assert(offsetof(struct cadence, chnl_int_sts) == 0x14, "UG1087");
_Static_assert(offsetof(struct cadence, channel_sts) == 0x2c, "UG1087");
_Static_assert(offsetof(struct cadence, tx_rx_fifo) == 0x30, "UG1087");

#define CADENCE_CONTROL_RXRES (1u << 0) /* resets the receiver's FIFO, clears itself */
#define CADENCE_CONTROL_TXRES (1u << 1)
#define CADENCE_CONTROL_RXEN (1u << 2)
#define CADENCE_CONTROL_TXEN (1u << 4)

#define CADENCE_MODE_PAR_NONE (4u << 3) /* 8 data bits, one stop bit, normal channel mode are zeros */

#define CADENCE_INT_RTRIG (1u << 0)  /* the receive FIFO reached its trigger level */
#define CADENCE_INT_TEMPTY (1u << 3) /* the transmit FIFO is empty */
#define CADENCE_INT_ALL 0x1fffu

#define CADENCE_STS_REMPTY (1u << 1)
#define CADENCE_STS_TFUL (1u << 4)
