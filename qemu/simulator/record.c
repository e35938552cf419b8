/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording and replaying a run: everything that comes from outside, each at its place.
 *
 * File: the line "wasel-sim-1 <time> <seed> <rtc> <digest>\n" (time "real" or "virtual"; seed "-" or decimal; digest
 * of the simulator and its domains), then events: u8 kind (enum sim_event), then LEB128 numbers: kernel entries since
 * the event before, value; for input value is 0 and a length and the bytes follow. A recording without an end event
 * was cut off: a replay goes as far as it goes.
 *
 * Contract: a replay runs the same domains and gives each event right after the kernel entry at which it was recorded;
 * readings of the counter come in order. If the run asks for something else, it is not the same run, and that ends it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"

enum { BUFFER_SIZE = 65536, HEADER_SIZE = 256, EVENT_MAX = 32 };

static int file = -1;
static uint8_t buffer[BUFFER_SIZE];
static size_t used;
static uint64_t last_entry;

static const uint8_t *at, *end;
static bool replaying;

bool sim_replaying(void)
{
    return replaying;
}

void sim_record_flush(void)
{
    for (size_t done = 0; file >= 0 && done < used;) {
        ssize_t count = write(file, buffer + done, used - done);
        if (count < 0 && errno != EINTR) {
            file = -1;
            sim_fail("%s: %s", sim.options.record, strerror(errno));
        }
        done += count > 0 ? (size_t)count : 0;
    }
    used = 0;
}

static void put_number(uint64_t value)
{
    do {
        buffer[used++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
}

void sim_record_event(enum sim_event kind, uint64_t value, const uint8_t *bytes, size_t size)
{
    if (file < 0) {
        return;
    }
    if (used + EVENT_MAX + size > BUFFER_SIZE) {
        sim_record_flush();
    }
    buffer[used++] = (uint8_t)kind;
    put_number(sim.entries - last_entry);
    last_entry = sim.entries;
    put_number(value);
    if (kind == SIM_EVENT_INPUT) {
        put_number(size);
        memcpy(buffer + used, bytes, size);
        used += size;
    }
}

static void begin_recording(void)
{
    char seed[24] = "-";
    file = open(sim.options.record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) {
        sim_fail("%s: %s", sim.options.record, strerror(errno));
    }
    if (sim.options.seeded) {
        (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)sim.options.seed);
    }
    used = (size_t)snprintf((char *)buffer, HEADER_SIZE, "wasel-sim-1 %s %s %u %s\n",
                            sim.options.virtual_time ? "virtual" : "real", seed, (unsigned)sim.options.rtc,
                            sim.options.digest);
    sim_record_flush();
}

/* The options that the recording was made with replace the command line's. */
static void read_header(const char *line)
{
    char time[16], seed[24], rtc[16], digest[80];
    if (sscanf(line, "wasel-sim-1 %15s %23s %15s %79s", time, seed, rtc, digest) != 4) {
        sim_fail("%s: not a recording of this version", sim.options.replay);
    }
    if (strcmp(digest, sim.options.digest) != 0) {
        sim_fail("%s: recorded by another build of the simulator (%s, this is %s)", sim.options.replay, digest,
                 sim.options.digest);
    }
    sim.options.virtual_time = strcmp(time, "virtual") == 0;
    sim.options.seeded = seed[0] != '-';
    sim.options.seed = sim.options.seeded ? strtoull(seed, NULL, 10) : 0;
    sim.options.rtc_given = true;
    sim.options.rtc = (uint32_t)strtoul(rtc, NULL, 10);
}

static void begin_replay(void)
{
    char line[HEADER_SIZE] = {0};
    struct stat status;
    int fd = open(sim.options.replay, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        sim_fail("%s: %s", sim.options.replay, strerror(errno));
    }
    size_t size = (size_t)status.st_size;
    const uint8_t *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (bytes == MAP_FAILED) {
        sim_fail("%s: empty or unreadable", sim.options.replay);
    }
    (void)close(fd);
    const uint8_t *newline = memchr(bytes, '\n', size < HEADER_SIZE - 1 ? size : HEADER_SIZE - 1);
    if (newline == NULL) {
        sim_fail("%s: not a recording of this version", sim.options.replay);
    }
    memcpy(line, bytes, (size_t)(newline - bytes));
    read_header(line);
    at = newline + 1;
    end = bytes + size;
    replaying = true;
}

void sim_record_init(void)
{
    if (sim.options.replay != NULL) {
        begin_replay();
    } else if (sim.options.record != NULL) {
        begin_recording();
    }
}

struct event {
    enum sim_event kind;
    uint64_t entry, value;
    const uint8_t *bytes;
    size_t size;
    const uint8_t *next;
};

static bool get_number(const uint8_t **from, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; *from < end && shift < 64; shift += 7) {
        uint8_t byte = *(*from)++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

/* False: the recording ends here, or was cut off here. */
static bool peek(struct event *event)
{
    const uint8_t *from = at;
    uint64_t passed, size = 0;
    if (from == end) {
        return false;
    }
    event->kind = (enum sim_event)*from++;
    if (!get_number(&from, &passed) || !get_number(&from, &event->value)) {
        return false;
    }
    if (event->kind == SIM_EVENT_INPUT && !get_number(&from, &size)) {
        return false;
    }
    if (size > (uint64_t)(end - from)) {
        return false;
    }
    event->entry = last_entry + passed;
    event->bytes = from;
    event->size = (size_t)size;
    event->next = from + size;
    return true;
}

static void consume(const struct event *event)
{
    at = event->next;
    last_entry = event->entry;
}

static void diverged(const char *what)
{
    sim_fail("%s: the replay is not the recorded run: %s at kernel entry %llu", sim.options.replay, what,
             (unsigned long long)sim.entries);
}

uint64_t sim_replay_counter(void)
{
    struct event event;
    if (!peek(&event)) {
        sim.ending = 1; /* the reading that the recording lost: any will do, nothing follows */
        return 1;
    }
    if (event.kind != SIM_EVENT_COUNTER) {
        diverged("a reading of the counter");
    }
    consume(&event);
    return event.value;
}

static void apply(const struct event *event)
{
    switch (event->kind) {
    case SIM_EVENT_INPUT:
        sim_uart_input(event->bytes, event->size);
        break;
    case SIM_EVENT_DEADLINE:
        sim_clock_due();
        break;
    case SIM_EVENT_ROTATE:
        sim_rotate(event->value);
        break;
    case SIM_EVENT_BUDGET:
        sim_set_budgets(event->value);
        break;
    case SIM_EVENT_END:
        sim.ending = 1;
        break;
    default:
        diverged("an unknown event");
    }
}

bool sim_replay_events(void)
{
    struct event event;
    bool some = false;
    while (!sim.ending && peek(&event) && event.kind != SIM_EVENT_COUNTER && event.entry == sim.entries) {
        consume(&event);
        apply(&event);
        some = true;
    }
    return some;
}

void sim_replay_stuck(void)
{
    struct event event;
    if (peek(&event)) {
        diverged("nothing left to do");
    }
    sim.ending = 1;
}
