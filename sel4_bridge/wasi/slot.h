/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WASI server's state: one struct sb_wasi_slot per engine slot, apart from any kernel.
 *
 * Contract: one thread; no call blocks. What has to wait answers SB_PENDING, and the host wakes the slot, whose engine
 * then sends the same call again. Everything that comes from the engine (label, words, shared buffer) is copied,
 * checked and then used; bytes that go back are written to the shared buffer and never read from it again.
 * The launch page comes from the supervisor, who is trusted; its sizes are checked all the same.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "flash_tree.h"
#include "sb_launch.h"
#include "sb_layout.h"
#include "sb_log.h"
#include "sb_message.h"
#include "sb_wasi_calls.h"
#include "tree.h"

#define SB_MAX_FDS 32u /* descriptors of a slot */

/* Bytes of the caller, already copied. */
struct sb_in {
    const uint8_t *bytes;
    uint32_t size;
};

/* Room in the shared buffer for the caller; write only. */
struct sb_out {
    uint8_t *bytes;
    uint32_t room; /* bytes, <= SB_IO_SIZE */
    uint32_t used; /* bytes, set by the handler, <= room */
};

/* What the server needs of where it runs. Times are in nanoseconds. */
struct sb_wasi_host {
    void *context;
    uint64_t (*monotonic_ns)(void *context);
    uint64_t (*realtime_ns)(void *context);
    uint64_t resolution_ns;
    void (*random)(void *context, uint8_t *out, uint32_t size);
    /* Takes up to `size` bytes of the slot's stream, returns how many; 0: no room, see output_wake. */
    uint32_t (*output)(void *context, uint32_t slot, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size);
    /* The slot waits for room: wake it when there is some. True: there is room already. */
    bool (*output_wake)(void *context, uint32_t slot);
    /* Takes a trace record whole, or drops it. */
    void (*trace)(void *context, uint32_t slot, const uint8_t *record, uint32_t size);
    /* Reads standard input; 0 is its end. */
    uint32_t (*input)(void *context, uint32_t slot, uint8_t *bytes, uint32_t size);
    /* Wake the slot at this monotonic time; replaces an earlier wish, UINT64_MAX cancels. */
    void (*wake_at)(void *context, uint32_t slot, uint64_t monotonic_ns);
    /* One call of the store (sb_data.h), its errno; NULL: there is none, /data lies in RAM. */
    uint16_t (*data)(void *context, uint64_t label, const uint64_t arguments[SB_DATA_ARGUMENTS],
                     uint64_t results[SB_DATA_RESULTS]);
    struct sb_data_region *data_region; /* shared with it */
};

enum sb_fd_kind {
    SB_FD_CLOSED = 0,
    SB_FD_INPUT,
    SB_FD_OUTPUT,
    SB_FD_FILE,
    SB_FD_DIRECTORY,
    SB_FD_TOPICS, /* the directory /mqtt */
    SB_FD_CHANNEL /* a topic or a socket */
};

struct sb_fd {
    enum sb_fd_kind kind;
    enum sb_log_stream stream; /* SB_FD_OUTPUT */
    uint16_t flags;            /* fdflags */
    uint64_t rights, inheriting;
    struct sb_node node;        /* SB_FD_FILE, SB_FD_DIRECTORY: held */
    uint64_t offset;            /* SB_FD_FILE, bytes */
    uint32_t channel;           /* SB_FD_CHANNEL */
    struct sb_name preopen;     /* name of a preopened directory, size 0: it isn't one */
};

/* What the slot's module may do, from the grants of the launch page (grants.c); preopens become descriptors. */
struct sb_wasi_policy {
    bool clocks, random;
    uint32_t max_fds; /* open descriptors, <= SB_MAX_FDS */
    uint32_t output_rate; /* bytes a second to the streams, UINT32_MAX: as the log takes them */
    uint64_t resolution_ns; /* of clocks, at least; 0: the clock's own */
    uint64_t max_bytes; /* of files, in RAM and on flash each; UINT64_MAX: as there is room */
};

struct sb_wasi_counters {
    uint64_t calls;    /* messages served */
    uint64_t refused;  /* messages that no engine of ours sends: unknown label, wrong count, size or range */
    uint64_t pending;  /* answers "not yet" */
};

struct sb_wasi_slot {
    uint32_t number;
    const struct sb_wasi_host *host;
    uint8_t *io;                    /* shared with the engine, SB_IO_SIZE bytes */
    const struct sb_launch *launch; /* shared with the supervisor */

    uint32_t generation; /* of the launch page that the state below belongs to; 0: never started */
    struct sb_fd fds[SB_MAX_FDS];
    struct sb_wasi_policy policy;
    uint32_t argc, envc, grantc;
    uint32_t args_size, env_size, grants_size; /* bytes with the NULs */
    char text[sizeof(((struct sb_launch *)0)->text)]; /* arguments, environment, grants */
    uint64_t waiting_label;              /* the call last answered SB_PENDING, 0: none */
    uint64_t poll_start_ns;              /* when the waiting poll_oneoff came first */
    uint64_t output_left, output_at_ns;  /* of output_rate: bytes that may be written, as of then */
    bool over;                           /* the run has ended, everything is closed */
    bool exited;                         /* proc_exit was called */
    uint32_t exit_code;

    struct sb_tree tree; /* the slot's files in RAM, empty at every start */
    void *tree_memory;
    size_t tree_size; /* bytes */
    struct sb_channels channels; /* to the agent */
    struct sb_flash_tree flash; /* the slot's /data on flash, which outlives it */

    struct sb_wasi_counters counters;
};

/* Once: which slot this is, what it shares, and the private memory of its files. `mail` NULL: there is no agent. */
void sb_wasi_slot_init(struct sb_wasi_slot *slot, uint32_t number, const struct sb_wasi_host *host, uint8_t *io,
                       const struct sb_launch *launch, struct sb_mail *mail, void *tree_memory, size_t tree_size);

/* Mail may have moved. True: the slot waits for some call's answer, and should ask again. */
bool sb_wasi_slot_mail(struct sb_wasi_slot *slot);

/* The run is over, if the launch page says so: closes what it left open. */
void sb_wasi_slot_ended(struct sb_wasi_slot *slot);

/* Takes a new launch page if there is one, serves the message, leaves the answer in it. */
void sb_wasi_serve(struct sb_wasi_slot *slot, struct sb_message *message);
