/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What uart.c needs of a UART; SB_UART_DRIVER (sb_board.h) names the header that defines these for the board's own.
 *
 * Contract: after sb_uart_open the UART sends and receives 8 data bits, no parity, one stop bit, through its FIFOs, at
 * the rate that the firmware set, and interrupts nobody. An interrupt's cause stands until its FIFO is served: bytes that
 * wait interrupt again once they are listened for; a cause from before may interrupt once without need. No function waits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SB_UART_RECEIVE (1u << 0) /* bytes wait */
#define SB_UART_TRANSMIT (1u << 1) /* there is room again */

/* Set it up; `registers` is where they are mapped. */
static void sb_uart_open(uintptr_t registers);

/* Take a byte out of the receive FIFO; false: it is empty. */
static bool sb_uart_get(uint8_t *byte);

/* Put a byte into the transmit FIFO; false: it is full. */
static bool sb_uart_put(uint8_t byte);

/* Let exactly these causes interrupt, of SB_UART_RECEIVE and SB_UART_TRANSMIT. */
static void sb_uart_listen(uint32_t causes);

/* After an interrupt: the causes there are of those listened for, acknowledged. */
static uint32_t sb_uart_causes(void);
