/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's side of a slot's mail (sb_mail.h): what `exchange` carries to the agent and back.
 *
 * Contract: PRODUCER of down, CONSUMER of up. Records up stay until the agent has said that it has them, records down are
 * taken in order and once: both are numbered since boot. What they say is not looked at.
 */
#pragma once

#include "sb_mail_ring.h"

struct sb_mailbox {
    struct sb_mail *mail; /* NULL: there is none */
    struct sb_mail_end up, down;
    uint64_t up_first;  /* number of the oldest record that is kept */
    uint64_t down_next; /* number of the record that is wanted next */
};

void sb_mailbox_init(struct sb_mailbox *box, struct sb_mail *mail);

/* Bytes of records that wait for the agent. */
uint32_t sb_mailbox_waiting(const struct sb_mailbox *box);

/* The agent has all records before `number`. True: the wasi domain waits for the room. */
bool sb_mailbox_release(struct sb_mailbox *box, uint64_t number);
