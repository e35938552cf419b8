/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor on the host, for tests: commands on standard input, results on standard output.
 *
 * Contract: a command is one byte, a u32 length (little endian) and that many bytes; each is answered with a u32 length
 * and that many bytes. Every input lies in a block of exactly its size, so that sanitizers see a read past its end. The
 * engine is whatever the test writes into the control page. With an argument it is a release image whose root document
 * (the map alone) is that file; without, a development image that trusts nobody.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link_frame.h"
#include "sha256.h"
#include "smp.h"

enum {
    FEED = 'f',         /* UART bytes, decoded in one go; answers the UART's output */
    FEED_BYTEWISE = 'b', /* the same, one byte at a time */
    MESSAGE = 'm',      /* one SMP message without frame; answers the SMP answer */
    HANDLER = 'h',      /* as MESSAGE, but without the events that come before it: the handler alone */
    EVENTS = 'e',       /* answers what the platform was asked to do since, as text */
    ENGINE = 'g',       /* struct report: what the engine of a slot says, then its notification */
    FAULT = 't',        /* struct fault_input */
    LOG = 'l',          /* slot, stream, ends_line, bytes: a record by the wasi domain; answers one byte, 1 if it fit */
    LOG_INDEX = 'i',    /* slot, u32: write the ring's head */
    LOG_RAW = 'r',      /* slot, bytes: write the ring's data from its start */
    CONTROL = 'c',      /* slot: answers the control page */
    LAUNCH = 'a',       /* slot: answers the launch page */
    MODULE = 'o',       /* slot: answers the module region */
    TIME = 'n',         /* u64: advance the counter by that many nanoseconds */
    TIMER = 'w',        /* as TIME, and then the timer if it is due; answers when it is due next and all priorities */
    SIGNAL = 'k',       /* slot: its engine's notification */
    WAITED = 'y',       /* slot, u64, u64: what the wasi domain says that it waited, and since when */
    SYSTEM = 's',       /* answers struct sb_system */
    DIGEST = 'd',       /* answers SHA-256 of the bytes, hashed in pieces of growing size */
    CODE = 'x',         /* slot: answers the code region */
    SAID = 'j',         /* slot, state, generation: the engine has written that, and its notification is on its way */
    RESET = 'z',        /* warm reset, as the glue does after answering one */
};

struct report {
    uint32_t slot, state, generation, exit_code;
    uint64_t memory, bookkeeping, calls;
    char text[SB_TEXT_SIZE];
    char backtrace[SB_BACKTRACE_SIZE];
    char tier_text[SB_TIER_TEXT_SIZE];
    uint32_t tier;
};

struct fault_input {
    uint32_t slot, label;
    uint64_t pc, address, regs[8];
};

static struct sb_supervisor *supervisor;
static struct sb_link_decoder *decoder;
static struct sb_log *logs[SB_SLOTS];
static uint32_t log_head[SB_SLOTS];
static uint64_t now_ns = 5000000;
static char events[65536];

static void event(const char *what, unsigned slot)
{
    size_t used = strlen(events);
    snprintf(events + used, sizeof events - used, "%s %u\n", what, slot);
}

static uint64_t ticks(void)
{
    return now_ns;
}

static void engine_stop(unsigned slot)
{
    event("stop", slot);
}

static void engine_restart(unsigned slot)
{
    event("restart", slot);
}

static void engine_resume(unsigned slot)
{
    event("resume", slot);
}

static uint64_t schedule[1 + SB_SLOTS]; /* when the timer is due, 0 never; each slot's priority */

static void engine_priority(unsigned slot, uint32_t priority)
{
    schedule[1 + slot] = priority;
}

static void wake_at(uint64_t at)
{
    schedule[0] = at;
}

static void wasi_notify(void)
{
    event("wasi", 0);
}

static void code_publish(const uint8_t *at, size_t size)
{
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        if (supervisor->slots[i].code == at && size <= SB_CODE_SIZE) {
            event("publish", i);
        }
    }
}

static void *block(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    if (memory == NULL) {
        exit(2);
    }
    return memory;
}

static struct sb_anchors read_anchors(const char *path)
{
    static uint8_t root[SB_MAX_ROOT_BYTES];
    struct sb_anchors anchors = {.development = path == NULL, .device_class = "qemu-virt"};
    FILE *file = path != NULL ? fopen(path, "rb") : NULL;
    if (file != NULL) {
        anchors.root = root;
        anchors.root_size = fread(root, 1, sizeof root, file);
        fclose(file);
    }
    return anchors;
}

static void start(const char *root)
{
    struct sb_slot_regions regions[SB_SLOTS];
    const struct sb_platform platform = {
        .kernel = "host", .kernel_text = "the host", .board = "none", .tick_hz = 1000000000u, .ticks = ticks,
        .engine_stop = engine_stop, .engine_restart = engine_restart, .wasi_notify = wasi_notify,
        .engine_resume = engine_resume, .engine_priority = engine_priority, .wake_at = wake_at,
        .code_publish = code_publish,
        .anchors = read_anchors(root),
    };
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        logs[i] = aligned_alloc(4096, sizeof(struct sb_log));
        memset(logs[i], 0, sizeof(struct sb_log));
        regions[i] = (struct sb_slot_regions){
            .module = block(SB_MODULE_SIZE),
            .control = aligned_alloc(4096, 4096),
            .launch = block(sizeof(struct sb_launch)),
            .log = logs[i],
            .code = block(SB_CODE_SIZE),
        };
        memset(regions[i].control, 0, 4096);
    }
    supervisor = aligned_alloc(64, (sizeof *supervisor + 63u) & ~(size_t)63u);
    memset(supervisor, 0, sizeof *supervisor);
    decoder = block(sizeof *decoder);
    sb_supervisor_init(supervisor, &platform, block(sizeof(struct sb_system)), regions, 1700000000u);
}

static void reply(const void *data, size_t size)
{
    uint32_t length = (uint32_t)size;
    fwrite(&length, sizeof length, 1, stdout);
    fwrite(data, 1, size, stdout);
    fflush(stdout);
}

static void feed(const uint8_t *data, size_t size, size_t step)
{
    static uint8_t packet[SB_LINK_PACKET_MAX];
    static uint8_t out[1u << 22];
    size_t out_size = 0;
    for (size_t at = 0; at < size;) {
        size_t piece = size - at < step ? size - at : step;
        uint8_t *copy = block(piece);
        const uint8_t *message;
        size_t message_size;
        memcpy(copy, data + at, piece);
        at += sb_link_decode(decoder, copy, piece, &message, &message_size);
        supervisor->frames = decoder->console.counters;
        if (message != NULL) {
            uint8_t *request = block(message_size);
            memcpy(request, message, message_size);
            size_t length = sb_smp_serve(supervisor, request, message_size, packet + 2, SB_FRAME_MESSAGE_MAX);
            free(request);
            if (length > 0 && out_size + SB_FRAME_ENCODED_MAX <= sizeof out) {
                out_size += sb_link_encode(decoder, packet, length, out + out_size);
            }
        }
        free(copy);
    }
    reply(out, out_size);
}

static void log_bytes(unsigned slot, const void *data, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        logs[slot]->data[log_head[slot]++ % SB_LOG_DATA_SIZE] = ((const uint8_t *)data)[i];
    }
}

/* PRODUCER, as the wasi domain is. */
static void add_log(const uint8_t *data, uint32_t size)
{
    unsigned slot = data[0];
    struct sb_log_record record = {.size = (uint16_t)(size - 3), .stream = data[1], .ends_line = data[2]};
    static const uint8_t zeros[4];
    uint32_t needed = 4u + ((record.size + 3u) & ~3u);
    uint8_t fits = SB_LOG_DATA_SIZE - (log_head[slot] - logs[slot]->tail) >= needed;
    if (fits) {
        log_bytes(slot, &record, 4);
        log_bytes(slot, data + 3, record.size);
        log_bytes(slot, zeros, needed - 4u - record.size);
        logs[slot]->head = log_head[slot];
    } else {
        logs[slot]->waiting = 1;
    }
    reply(&fits, 1);
}

static void engine_says(const uint8_t *data)
{
    struct report r;
    memcpy(&r, data, sizeof r);
    struct sb_control *control = supervisor->slots[r.slot].control;
    control->done_generation = r.generation;
    control->exit_code = r.exit_code;
    control->memory_bytes = r.memory;
    control->bookkeeping_bytes = r.bookkeeping;
    control->calls = r.calls;
    memcpy(control->text, r.text, sizeof r.text);
    memcpy(control->backtrace, r.backtrace, sizeof r.backtrace);
    memcpy(control->tier_text, r.tier_text, sizeof r.tier_text);
    control->tier = r.tier;
    control->state = r.state;
    sb_engine_notified(supervisor, r.slot);
    reply("", 0);
}

static void digest(const uint8_t *data, size_t size)
{
    struct sb_sha256 state;
    uint8_t out[SB_SHA256_SIZE];
    sb_sha256_init(&state);
    for (size_t at = 0, piece = 1; at < size; piece = piece * 3 + 1) {
        size_t step = size - at < piece ? size - at : piece;
        sb_sha256_update(&state, data + at, step);
        at += step;
    }
    sb_sha256_final(&state, out);
    reply(out, sizeof out);
}

static void run(int command, const uint8_t *data, uint32_t size)
{
    static uint8_t answer[SB_FRAME_MESSAGE_MAX];
    struct fault_input f;
    struct sb_fault fault;
    uint32_t index, said[3];
    uint64_t step;
    switch (command) {
    case FEED:
        feed(data, size, SIZE_MAX);
        break;
    case FEED_BYTEWISE:
        feed(data, size, 1);
        break;
    case MESSAGE:
        reply(answer, sb_smp_serve(supervisor, data, size, answer, sizeof answer));
        break;
    case HANDLER:
        reply(answer, sb_smp_answer(supervisor, data, size, answer, sizeof answer));
        break;
    case EVENTS:
        reply(events, strlen(events));
        events[0] = 0;
        break;
    case ENGINE:
        engine_says(data);
        break;
    case FAULT:
        memcpy(&f, data, sizeof f);
        fault = (struct sb_fault){.label = f.label, .pc = f.pc, .address = f.address};
        memcpy(fault.regs, f.regs, sizeof fault.regs);
        sb_engine_faulted(supervisor, f.slot, &fault);
        reply("", 0);
        break;
    case LOG:
        add_log(data, size);
        break;
    case LOG_INDEX:
        memcpy(&index, data + 1, sizeof index);
        logs[data[0]]->head = log_head[data[0]] = index;
        reply("", 0);
        break;
    case LOG_RAW:
        memcpy(logs[data[0]]->data, data + 1, size - 1);
        reply("", 0);
        break;
    case CONTROL:
        reply(supervisor->slots[data[0]].control, sizeof(struct sb_control));
        break;
    case LAUNCH:
        reply(supervisor->slots[data[0]].launch, sizeof(struct sb_launch));
        break;
    case CODE:
        reply(supervisor->slots[data[0]].code, SB_CODE_SIZE);
        break;
    case MODULE:
        reply(supervisor->slots[data[0]].module, SB_MODULE_SIZE);
        break;
    case TIME:
        memcpy(&step, data, sizeof step);
        now_ns += step;
        reply("", 0);
        break;
    case TIMER:
        memcpy(&step, data, sizeof step);
        now_ns += step;
        if (schedule[0] != 0 && schedule[0] <= now_ns) {
            schedule[0] = 0;
            sb_limits_tick(supervisor);
        }
        reply(schedule, sizeof schedule);
        break;
    case SIGNAL:
        sb_engine_signalled(supervisor, data[0]);
        reply("", 0);
        break;
    case WAITED:
        memcpy(&logs[data[0]]->waited_ns, data + 1, sizeof step);
        memcpy(&logs[data[0]]->waiting_since_ns, data + 9, sizeof step);
        reply("", 0);
        break;
    case SYSTEM:
        reply(supervisor->system, sizeof *supervisor->system);
        break;
    case DIGEST:
        digest(data, size);
        break;
    case SAID:
        memcpy(said, data, sizeof said);
        supervisor->slots[said[0]].control->done_generation = said[2];
        supervisor->slots[said[0]].control->state = said[1];
        reply("", 0);
        break;
    case RESET:
        sb_supervisor_reset(supervisor);
        reply("", 0);
        break;
    default:
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int command;
    start(argc > 1 ? argv[1] : NULL);
    while ((command = getchar()) != EOF) {
        uint32_t size;
        if (fread(&size, sizeof size, 1, stdin) != 1) {
            return 2;
        }
        uint8_t *data = block(size);
        if (fread(data, 1, size, stdin) != size) {
            return 2;
        }
        run(command, data, size);
        free(data);
    }
    return 0;
}
