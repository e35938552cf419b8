/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WASI call on its way from the module to the server and back: what the generated stubs are made of.
 *
 * Contract: a stub calls sb_marshal_begin, one sb_put_ or sb_out_ per argument in the order of the table's row, then
 * sb_marshal_finish. Guest pointers are checked against linear memory before anything is sent; the first that is
 * outside makes the call EFAULT and nothing is sent. Linear memory stays where it is during a call.
 *
 * Does NOT: know a kernel. The bridge's transport does, on host and device.
 */
#pragma once

#include <edge_engine.h>
#include <stdbool.h>
#include <stdint.h>

#include "sb_message.h"

#define SB_MAX_VECTORS 1024u /* iovecs in one call, as IOV_MAX elsewhere; more is EINVAL */

/* What a running module's calls go through. One per instance. */
struct sb_bridge {
    uint8_t *io;      /* the slot's shared buffer, SB_IO_SIZE bytes */
    uint64_t calls;   /* made so far */
    uint32_t exit_code; /* of proc_exit */
    void (*count)(void *context, uint64_t calls); /* told after each call, may be NULL */
    /* Sends the call and waits for the answer that is not SB_PENDING. Runs on the module's stack. */
    void (*transport)(void *context, struct sb_message *message);
    void *context;
};

enum sb_out_kind { SB_OUT_NONE, SB_OUT_U32, SB_OUT_U64, SB_OUT_FIXED, SB_OUT_BYTES, SB_OUT_ALL, SB_OUT_SCATTER, SB_OUT_STRINGS, SB_OUT_ADDRESS };

struct sb_out_place {
    enum sb_out_kind kind;
    uint32_t size;    /* bytes of room, or vectors of a scatter list */
    uint32_t address; /* guest address; of the pointers in a list of strings */
    uint32_t bytes;   /* guest address of the bytes in a list of strings */
};

#define SB_MAX_OUTS 5u

struct sb_marshal {
    struct ee_instance *instance;
    struct sb_bridge *bridge;
    struct sb_message message;
    uint32_t in_size;   /* bytes in the shared buffer */
    uint32_t out_count; /* entries of outs */
    uint32_t all_word;  /* index of the length of an SB_OUT_ALL */
    uint16_t error;     /* enum sb_errno; the first one stays */
    struct sb_out_place outs[SB_MAX_OUTS];
};

void sb_marshal_begin(struct sb_marshal *call, struct ee_instance *instance, void *bridge, uint32_t label);
void sb_put_u32(struct sb_marshal *call, uint64_t slot);
void sb_put_u64(struct sb_marshal *call, uint64_t slot);
/* Bytes at (pointer, length); longer than the shared buffer is `too_long`. */
void sb_put_bytes(struct sb_marshal *call, uint64_t pointer, uint64_t length, uint16_t too_long);
/* The bytes of `count` iovecs at `pointer`, cut at the shared buffer's size. */
void sb_put_gather(struct sb_marshal *call, uint64_t pointer, uint64_t count);
/* `count` elements of `size` bytes; more than the shared buffer holds is EINVAL. */
void sb_put_array(struct sb_marshal *call, uint64_t pointer, uint64_t count, uint32_t size);
/* An address: (pointer, length) of 4, 16 or 128 bytes, the last with the family in the first two. */
void sb_put_address(struct sb_marshal *call, uint64_t pointer);
void sb_out_address(struct sb_marshal *call, uint64_t pointer);
void sb_out_u32(struct sb_marshal *call, uint64_t pointer);
void sb_out_u64(struct sb_marshal *call, uint64_t pointer);
void sb_out_fixed(struct sb_marshal *call, uint64_t pointer, uint32_t size);
void sb_out_bytes(struct sb_marshal *call, uint64_t pointer, uint64_t length);
void sb_out_all(struct sb_marshal *call, uint64_t pointer, uint64_t length);
void sb_out_array(struct sb_marshal *call, uint64_t pointer, uint64_t count, uint32_t size);
void sb_out_scatter(struct sb_marshal *call, uint64_t pointer, uint64_t count);
void sb_out_strings(struct sb_marshal *call, uint64_t pointers, uint64_t bytes);

/* Sends, waits, copies what came back; results[0] = errno. */
enum ee_trap sb_marshal_finish(struct sb_marshal *call, uint64_t *results);
/* For the one call that doesn't come back: sends, records the exit code, ends the module. */
enum ee_trap sb_marshal_exit(struct sb_marshal *call);
