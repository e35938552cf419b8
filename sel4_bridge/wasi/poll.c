/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_oneoff: waits for clocks and descriptors. Source: preview1, `subscription` (48 bytes) and `event` (32 bytes).
 *
 * Contract: nothing blocks. If no subscription has happened yet, the earliest clock becomes the slot's wake-up time and
 * the answer is SB_PENDING; relative timeouts count from the first time the call came. A subscription that can't be
 * waited for (no such descriptor, no such clock) is an event with an error. Streams and files are always ready; topics
 * and sockets when there is something to read, room to write, or an end.
 */
#include <string.h>

#include "clock.h"
#include "fd.h"
#include "sb_wasi_handlers.h"

enum { SUBSCRIPTION_SIZE = 48, EVENT_SIZE = 32 };
enum { EVENT_CLOCK = 0, EVENT_FD_READ = 1, EVENT_FD_WRITE = 2 };
enum { CLOCK_ABSTIME = 1 };
enum { HANGUP_OFFSET = 24 }; /* of `flags` in an event, fd_readwrite.flags */

struct subscription {
    uint64_t userdata;
    uint8_t tag;
    uint32_t id; /* clock or descriptor */
    uint64_t timeout_ns;
    uint16_t flags;
};

static struct subscription subscription_at(const uint8_t *bytes)
{
    struct subscription wanted = {.tag = bytes[8]};
    memcpy(&wanted.userdata, bytes, 8);
    memcpy(&wanted.id, bytes + 16, 4);
    memcpy(&wanted.timeout_ns, bytes + 24, 8);
    memcpy(&wanted.flags, bytes + 40, 2); /* precision, at 32, is ours to choose */
    return wanted;
}

/* `ready` bytes and hang-up are meant for descriptors and 0 for clocks. */
static void emit(struct sb_out *out, const struct subscription *wanted, uint16_t error, uint64_t ready)
{
    uint8_t *event = out->bytes + out->used;
    memset(event, 0, EVENT_SIZE);
    memcpy(event, &wanted->userdata, 8);
    memcpy(event + 8, &error, 2);
    event[10] = wanted->tag;
    memcpy(event + 16, &ready, 8);
    out->used += EVENT_SIZE;
}

/* When a clock subscription is due, in monotonic nanoseconds. */
static uint16_t due_at(const struct sb_wasi_slot *slot, const struct subscription *wanted, uint64_t *due_ns)
{
    uint64_t clock_ns;
    uint16_t error = sb_clock_now(slot, wanted->id, &clock_ns);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if ((wanted->flags & ~CLOCK_ABSTIME) != 0) {
        return SB_E_INVAL;
    }
    uint64_t start_ns = slot->poll_start_ns;
    uint64_t left_ns = wanted->timeout_ns;
    if (wanted->flags & CLOCK_ABSTIME) {
        start_ns = slot->host->monotonic_ns(slot->host->context);
        left_ns = left_ns > clock_ns ? left_ns - clock_ns : 0;
    }
    *due_ns = left_ns < UINT64_MAX - 1 - start_ns ? start_ns + left_ns : UINT64_MAX - 1;
    uint64_t step_ns = slot->policy.resolution_ns;
    if (step_ns > 1 && *due_ns < UINT64_MAX - step_ns) {
        *due_ns = (*due_ns + step_ns - 1) / step_ns * step_ns; /* what waits is a clock as well */
    }
    return SB_E_SUCCESS;
}

static void poll_descriptor(struct sb_wasi_slot *slot, const struct subscription *wanted, struct sb_out *out)
{
    struct sb_fd *open;
    uint64_t right = wanted->tag == EVENT_FD_READ ? SB_RIGHT_FD_READ : SB_RIGHT_FD_WRITE;
    uint16_t error = sb_fd_get(slot, wanted->id, SB_RIGHT_POLL_FD_READWRITE | right, &open);
    uint32_t ready = error == SB_E_SUCCESS ? 1 : 0;
    bool hung_up = false;
    if (error == SB_E_SUCCESS && open->kind == SB_FD_CHANNEL) {
        const struct sb_channel *channel = &slot->channels.all[open->channel];
        error = wanted->tag == EVENT_FD_READ ? sb_channel_ready(channel, &ready)
                                             : sb_channel_writable(&slot->channels, channel);
        if (error == SB_E_AGAIN) {
            return;
        }
        hung_up = channel->ended || channel->state == SB_CHANNEL_BROKEN;
    }
    emit(out, wanted, error, ready);
    if (hung_up) {
        out->bytes[out->used - EVENT_SIZE + HANGUP_OFFSET] = 1;
    }
}

uint16_t sb_wasi_poll_oneoff(struct sb_wasi_slot *slot, struct sb_in in, struct sb_out *out, uint32_t *nevents)
{
    uint32_t count = in.size / SUBSCRIPTION_SIZE;
    if (count == 0 || in.size % SUBSCRIPTION_SIZE != 0 || out->room / EVENT_SIZE < count) {
        return SB_E_INVAL;
    }
    uint64_t now_ns = slot->host->monotonic_ns(slot->host->context);
    if (slot->waiting_label != SB_WASI_POLL_ONEOFF) {
        slot->poll_start_ns = now_ns;
    }
    uint64_t earliest_ns = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) { /* at most SB_IO_SIZE / SUBSCRIPTION_SIZE */
        struct subscription wanted = subscription_at(in.bytes + (size_t)i * SUBSCRIPTION_SIZE);
        if (wanted.tag == EVENT_FD_READ || wanted.tag == EVENT_FD_WRITE) {
            poll_descriptor(slot, &wanted, out);
            continue;
        }
        uint64_t due_ns = 0;
        uint16_t error = wanted.tag == EVENT_CLOCK ? due_at(slot, &wanted, &due_ns) : SB_E_INVAL;
        if (error != SB_E_SUCCESS || due_ns <= now_ns) {
            emit(out, &wanted, error, 0);
        } else if (due_ns < earliest_ns) {
            earliest_ns = due_ns;
        }
    }
    if (out->used == 0) {
        slot->host->wake_at(slot->host->context, slot->number, earliest_ns);
        return SB_PENDING;
    }
    *nevents = out->used / EVENT_SIZE;
    return SB_E_SUCCESS;
}
