/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a slot: a new launch page makes a new set of arguments, descriptors and counters. See slot.h. */
#include "slot.h"

#include <string.h>

#include "fd.h"
#include "grants.h"
#include "trace.h"
#include "wire.h"

#define FLASH_DEVICE 1u /* `dev` of files on flash; that of the RAM tree is 0 */
#define STREAM_RIGHTS (SB_RIGHT_FD_FILESTAT_GET | SB_RIGHT_FD_FDSTAT_SET_FLAGS | SB_RIGHT_POLL_FD_READWRITE)
#define OUTPUT_RIGHTS (STREAM_RIGHTS | SB_RIGHT_FD_WRITE)
#define INPUT_RIGHTS (STREAM_RIGHTS | SB_RIGHT_FD_READ)

void sb_wasi_slot_init(struct sb_wasi_slot *slot, uint32_t number, const struct sb_wasi_host *host, uint8_t *io,
                       const struct sb_launch *launch, struct sb_mail *mail, void *tree_memory, size_t tree_size)
{
    memset(slot, 0, sizeof *slot);
    sb_channels_init(&slot->channels, mail);
    slot->number = number;
    slot->host = host;
    slot->io = io;
    slot->launch = launch;
    slot->flash.slot = number;
    slot->flash.region = host->data_region;
    slot->flash.store = host->data;
    slot->flash.now_ns = host->realtime_ns;
    slot->flash.context = host->context;
    slot->flash.fs.device = FLASH_DEVICE;
    slot->tree_memory = tree_memory;
    slot->tree_size = tree_size;
}

/* Bytes of the first `count` strings in text[from, size), or UINT32_MAX if they aren't all there. */
static uint32_t measure(const char *text, uint32_t from, uint32_t size, uint32_t count)
{
    uint32_t at = from;
    for (uint32_t i = 0; i < count; i++) {
        while (at < size && text[at] != 0) {
            at++;
        }
        if (at == size) {
            return UINT32_MAX;
        }
        at++;
    }
    return at - from;
}

/* A page that contradicts itself starts the module without arguments, environment and grants. */
static void take_strings(struct sb_wasi_slot *slot)
{
    uint32_t counts[3] = {slot->launch->argc, slot->launch->envc, slot->launch->grantc};
    uint32_t sizes[3] = {0, 0, 0};
    uint32_t size = slot->launch->text_size;
    bool good = size <= sizeof slot->text;
    uint32_t at = 0;
    memcpy(slot->text, slot->launch->text, good ? size : 0);
    for (int i = 0; i < 3 && good; i++) {
        sizes[i] = counts[i] > SB_LAUNCH_MAX_STRINGS ? UINT32_MAX : measure(slot->text, at, size, counts[i]);
        good = sizes[i] != UINT32_MAX;
        at += good ? sizes[i] : 0;
    }
    if (!good) {
        slot->counters.refused++;
        memset(counts, 0, sizeof counts);
        memset(sizes, 0, sizeof sizes);
    }
    slot->argc = counts[0];
    slot->envc = counts[1];
    slot->grantc = counts[2];
    slot->args_size = sizes[0];
    slot->env_size = sizes[1];
    slot->grants_size = sizes[2];
}

static uint64_t tree_now(void *context)
{
    const struct sb_wasi_slot *slot = context;
    return slot->host->realtime_ns(slot->host->context);
}

/* Lets go of every descriptor. */
static void close_all(struct sb_wasi_slot *slot)
{
    for (uint32_t fd = 0; fd < SB_MAX_FDS; fd++) {
        sb_fd_close(slot, &slot->fds[fd]);
    }
    sb_flash_end(&slot->flash);
}

bool sb_wasi_slot_mail(struct sb_wasi_slot *slot)
{
    return sb_channels_pump(&slot->channels) && slot->waiting_label != 0;
}

void sb_wasi_slot_ended(struct sb_wasi_slot *slot)
{
    uint32_t ended = __atomic_load_n(&slot->launch->ended, __ATOMIC_ACQUIRE);
    if (ended != 0 && ended == slot->generation && !slot->over) {
        slot->over = true;
        close_all(slot);
    }
}

static void reset(struct sb_wasi_slot *slot, uint32_t generation)
{
    close_all(slot);
    slot->over = false;
    slot->generation = generation;
    slot->waiting_label = 0;
    slot->exited = false;
    slot->exit_code = 0;
    slot->policy = (struct sb_wasi_policy){.clocks = true, .random = true, .max_fds = SB_MAX_FDS,
                                           .output_rate = UINT32_MAX, .max_bytes = UINT64_MAX};
    slot->output_left = slot->output_at_ns = 0;
    slot->fds[0] = (struct sb_fd){.kind = SB_FD_INPUT, .rights = INPUT_RIGHTS};
    slot->fds[1] = (struct sb_fd){.kind = SB_FD_OUTPUT, .stream = SB_LOG_STDOUT, .rights = OUTPUT_RIGHTS};
    slot->fds[2] = (struct sb_fd){.kind = SB_FD_OUTPUT, .stream = SB_LOG_STDERR, .rights = OUTPUT_RIGHTS};
    slot->host->wake_at(slot->host->context, slot->number, UINT64_MAX);
    take_strings(slot);
    sb_channels_start(&slot->channels, generation);
    if (sb_tree_format(&slot->tree, slot->tree_memory, slot->tree_size, tree_now, slot)) {
        sb_grants_apply(slot);
    }
}

void sb_wasi_serve(struct sb_wasi_slot *slot, struct sb_message *message)
{
    uint32_t generation = __atomic_load_n(&slot->launch->generation, __ATOMIC_ACQUIRE);
    if (generation != slot->generation) {
        reset(slot, generation);
    }
    slot->counters.calls++;
    slot->flash.call = slot->counters.calls;
    uint64_t label = message->label;
    struct sb_wire wire = {.slot = slot, .message = message};
    if (__atomic_load_n(&slot->launch->trace, __ATOMIC_RELAXED) == 0) {
        sb_wasi_dispatch(&wire);
    } else {
        sb_trace_dispatch(&wire);
    }
    if (message->words[0] == SB_PENDING) {
        slot->counters.pending++;
        slot->waiting_label = label;
    } else {
        slot->waiting_label = 0;
    }
}
