/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a slot: a new launch page makes a new set of arguments, descriptors and counters. See slot.h. */
#include "slot.h"

#include <string.h>

#include "wire.h"

#define OUTPUT_RIGHTS (SB_RIGHT_FD_WRITE | SB_RIGHT_FD_FILESTAT_GET | SB_RIGHT_POLL_FD_READWRITE)
#define INPUT_RIGHTS (SB_RIGHT_FD_READ | SB_RIGHT_FD_FILESTAT_GET | SB_RIGHT_POLL_FD_READWRITE)

void sb_wasi_slot_init(struct sb_wasi_slot *slot, uint32_t number, const struct sb_wasi_host *host, uint8_t *io,
                       const struct sb_launch *launch)
{
    memset(slot, 0, sizeof *slot);
    slot->number = number;
    slot->host = host;
    slot->io = io;
    slot->launch = launch;
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

/* A page that contradicts itself starts the module without arguments and environment. */
static void take_strings(struct sb_wasi_slot *slot)
{
    uint32_t argc = slot->launch->argc;
    uint32_t envc = slot->launch->envc;
    uint32_t size = slot->launch->text_size;
    slot->argc = slot->envc = slot->args_size = slot->env_size = 0;
    if (size > sizeof slot->text || argc > SB_LAUNCH_MAX_STRINGS || envc > SB_LAUNCH_MAX_STRINGS) {
        slot->counters.refused++;
        return;
    }
    memcpy(slot->text, slot->launch->text, size);
    uint32_t args_size = measure(slot->text, 0, size, argc);
    uint32_t env_size = args_size == UINT32_MAX ? UINT32_MAX : measure(slot->text, args_size, size, envc);
    if (env_size == UINT32_MAX) {
        slot->counters.refused++;
        return;
    }
    slot->argc = argc;
    slot->envc = envc;
    slot->args_size = args_size;
    slot->env_size = env_size;
}

static void reset(struct sb_wasi_slot *slot, uint32_t generation)
{
    slot->generation = generation;
    slot->waiting_label = 0;
    slot->exited = false;
    slot->exit_code = 0;
    slot->policy = (struct sb_wasi_policy){.clocks = true, .random = true};
    memset(slot->fds, 0, sizeof slot->fds);
    slot->fds[0] = (struct sb_fd){.kind = SB_FD_INPUT, .rights = INPUT_RIGHTS};
    slot->fds[1] = (struct sb_fd){.kind = SB_FD_OUTPUT, .stream = SB_LOG_STDOUT, .rights = OUTPUT_RIGHTS};
    slot->fds[2] = (struct sb_fd){.kind = SB_FD_OUTPUT, .stream = SB_LOG_STDERR, .rights = OUTPUT_RIGHTS};
    slot->host->wake_at(slot->host->context, slot->number, UINT64_MAX);
    take_strings(slot);
}

void sb_wasi_serve(struct sb_wasi_slot *slot, struct sb_message *message)
{
    uint32_t generation = __atomic_load_n(&slot->launch->generation, __ATOMIC_ACQUIRE);
    if (generation != slot->generation) {
        reset(slot, generation);
    }
    slot->counters.calls++;
    uint64_t label = message->label;
    struct sb_wire wire = {.slot = slot, .message = message};
    sb_wasi_dispatch(&wire);
    if (message->words[0] == SB_PENDING) {
        slot->counters.pending++;
        slot->waiting_label = label;
    } else {
        slot->waiting_label = 0;
    }
}
