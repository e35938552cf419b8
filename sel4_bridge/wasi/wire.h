/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a call's message apart and putting its answer together: what the generated dispatch is made of.
 *
 * Contract: sb_take_ per argument in the order of the table's row; each checks before it uses and marks the message
 * bad otherwise. sb_taken says whether all of it was right; only then is the handler called. Then sb_give_ per result.
 */
#pragma once

#include "slot.h"

struct sb_wire {
    struct sb_wasi_slot *slot;
    struct sb_message *message;
    uint32_t next;    /* word to take or give */
    uint32_t in_size; /* bytes taken from the shared buffer */
    bool bad;
};

uint32_t sb_take_u32(struct sb_wire *wire);
uint64_t sb_take_u64(struct sb_wire *wire);
/* Copies the next bytes of the shared buffer to the server's own memory. */
struct sb_in sb_take_in(struct sb_wire *wire);
/* Room for as many bytes as the message asks for. */
struct sb_out sb_take_room(struct sb_wire *wire);
/* Room for a fixed structure, or (SB_IO_SIZE) for what has no stated size. */
struct sb_out sb_take_fixed(struct sb_wire *wire, uint32_t size);
/* An address: its size is one that there is. */
struct sb_address sb_take_address(struct sb_wire *wire);

/* True: every word was taken and right. */
bool sb_taken(const struct sb_wire *wire);

/* The errno; results follow only if it is SB_E_SUCCESS, and sb_give_ after anything else does nothing. */
void sb_give_error(struct sb_wire *wire, uint16_t error);
void sb_give(struct sb_wire *wire, uint64_t value);

/* Generated: the message's row, its arguments, its handler. */
void sb_wasi_dispatch(struct sb_wire *wire);
