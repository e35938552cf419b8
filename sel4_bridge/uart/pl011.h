/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of the Arm PrimeCell UART (PL011).
 *
 * Source: Arm PrimeCell UART (PL011) Technical Reference Manual r1p5 (DDI 0183), chapter 3 "Programmers Model"; section
 * numbers beside the fields are that chapter's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pl011 {
    volatile uint32_t dr;       /* 3.3.1 data: bits 7:0 character, 11:8 errors of a received one */
    volatile uint32_t rsr_ecr;  /* 3.3.2 receive status, any write clears */
    volatile uint32_t unused[4];
    volatile uint32_t fr;       /* 3.3.3 flags */
    volatile uint32_t unused1;
    volatile uint32_t ilpr;     /* 3.3.4 */
    volatile uint32_t ibrd;     /* 3.3.5 integer baud divisor */
    volatile uint32_t fbrd;     /* 3.3.6 fractional baud divisor */
    volatile uint32_t lcr_h;    /* 3.3.7 line control; written after the divisors */
    volatile uint32_t cr;       /* 3.3.8 control */
    volatile uint32_t ifls;     /* 3.3.9 interrupt FIFO levels */
    volatile uint32_t imsc;     /* 3.3.10 interrupt mask, 1 lets it through */
    volatile uint32_t ris;      /* 3.3.11 raw interrupt status */
    volatile uint32_t mis;      /* 3.3.12 masked interrupt status */
    volatile uint32_t icr;      /* 3.3.13 interrupt clear */
    volatile uint32_t dmacr;    /* 3.3.14 */
};
_Static_assert(offsetof(struct pl011, fr) == 0x18, "3.3.3");
_Static_assert(offsetof(struct pl011, ibrd) == 0x24, "3.3.5");
_Static_assert(offsetof(struct pl011, icr) == 0x44, "3.3.13");

#define PL011_FR_RXFE (1u << 4) /* receive FIFO empty */
#define PL011_FR_TXFF (1u << 5) /* transmit FIFO full */

#define PL011_LCR_H_FEN (1u << 4)    /* FIFOs on */
#define PL011_LCR_H_WLEN_8 (3u << 5) /* 8 data bits; parity off and one stop bit are zeros */

#define PL011_CR_UARTEN (1u << 0)
#define PL011_CR_TXE (1u << 8)
#define PL011_CR_RXE (1u << 9)

#define PL011_IFLS_TX_1_8 (0u << 0) /* interrupt when at most 1/8 is left to send */
#define PL011_IFLS_RX_1_2 (2u << 3) /* interrupt when half full; less is caught by the receive timeout */

#define PL011_INT_RX (1u << 4)
#define PL011_INT_TX (1u << 5)
#define PL011_INT_RT (1u << 6) /* receive timeout: bytes wait below the level, cleared by emptying the FIFO */
#define PL011_INT_FE (1u << 7)
#define PL011_INT_PE (1u << 8)
#define PL011_INT_BE (1u << 9)
#define PL011_INT_OE (1u << 10)
#define PL011_INT_ERRORS (PL011_INT_FE | PL011_INT_PE | PL011_INT_BE | PL011_INT_OE)
