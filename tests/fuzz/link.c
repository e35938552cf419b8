/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariant, for every string of bytes from the line and from engines: the supervisor reads nothing outside what came,
 * writes nothing outside its regions, ends, and answers nothing or one SMP message: a head whose length is right, with
 * the request's group, sequence and command.
 *
 * The input is records: a kind, a u16 size (little endian), and that many bytes: bytes as they come from the UART; a
 * message; a message in COBS; a cell (these two get their checksums here, for no fuzzer guesses them); what a slot's
 * engine writes into a shared page before it notifies; its fault; time that passes; a reset.
 *
 * libFuzzer's entry for sel4_bridge/supervisor; build and use: python -m tests.fuzz.
 */
#include <stdlib.h>
#include <string.h>

#include "link_frame.h"
#include "smp.h"

enum { WIRE, MESSAGE, COBS, CELL, CONTROL, LOG, MAIL, FAULT, TIME, RESET, KINDS };
enum { LONGEST = 4096, HEAD = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sb_supervisor *supervisor;
static struct sb_slot_regions regions[SB_SLOTS];
static struct sb_link_decoder *decoder;
static uint64_t now_ns;

static uint64_t ticks(void) { return now_ns += 1000; }
static void for_slot(unsigned slot) { (void)slot; }
static void priority(unsigned slot, uint32_t value) { (void)slot, (void)value; }
static void wake_at(uint64_t at) { (void)at; }
static void notify(void) {}
static void publish(const uint8_t *at, size_t size) { (void)at, (void)size; }

static void *block(size_t size)
{
    void *memory = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
    if (memory == NULL)
        abort();
    memset(memory, 0, size);
    return memory;
}

static void begin(void)
{
    static struct sb_system *system;
    static const struct sb_platform platform = {
        .kernel = "host", .kernel_text = "the host", .board = "none", .tick_hz = 1000000000u, .ticks = ticks,
        .engine_stop = for_slot, .engine_restart = for_slot, .wasi_notify = notify, .engine_resume = for_slot,
        .engine_priority = priority, .wake_at = wake_at, .code_publish = publish,
        .anchors = {.development = true, .device_class = "qemu-virt"},
    };
    if (supervisor == NULL) {
        supervisor = block(sizeof *supervisor);
        decoder = block(sizeof *decoder);
        system = block(sizeof *system);
        for (unsigned i = 0; i < SB_SLOTS; i++)
            regions[i] = (struct sb_slot_regions){
                .module = block(SB_MODULE_SIZE), .control = block(4096), .launch = block(sizeof(struct sb_launch)),
                .log = block(sizeof(struct sb_log)), .code = block(SB_CODE_SIZE), .mail = block(sizeof(struct sb_mail))};
    }
    now_ns = 5000000;
    memset(supervisor, 0, sizeof *supervisor);
    memset(decoder, 0, sizeof *decoder);
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        memset(regions[i].control, 0, 4096);
        memset(regions[i].log, 0, sizeof(struct sb_log));
        memset(regions[i].mail, 0, sizeof(struct sb_mail));
    }
    sb_supervisor_init(supervisor, &platform, system, regions, 1700000000u);
}

static size_t answer_to(const uint8_t *message, size_t size, uint8_t *answer)
{
    uint8_t *request = malloc(size != 0 ? size : 1); /* of exactly that size, for the sanitizer */
    if (request == NULL)
        abort();
    memcpy(request, message, size);
    size_t length = sb_smp_answer(supervisor, request, size, answer, SB_FRAME_MESSAGE_MAX);
    if (length != 0) {
        if (length < HEAD || length > SB_FRAME_MESSAGE_MAX || size < HEAD)
            abort();
        if ((size_t)(answer[2] << 8 | answer[3]) != length - HEAD || memcmp(answer + 4, request + 4, 4) != 0)
            abort();
    }
    free(request);
    return length;
}

static void feed(const uint8_t *data, size_t size)
{
    static uint8_t packet[SB_LINK_PACKET_MAX], wire[SB_FRAME_ENCODED_MAX];
    for (size_t at = 0; at < size;) {
        const uint8_t *message;
        size_t message_size;
        uint8_t *piece = malloc(size - at);
        if (piece == NULL)
            abort();
        memcpy(piece, data + at, size - at);
        size_t taken = sb_link_decode(decoder, piece, size - at, &message, &message_size);
        if (taken == 0 || taken > size - at)
            abort();
        at += taken;
        if (message != NULL) {
            size_t length = answer_to(message, message_size, packet + SB_CELLS_BEFORE);
            if (length != 0 && sb_link_encode(decoder, packet, length, wire) > sizeof wire)
                abort();
        }
        free(piece);
    }
}

/* COBS (Cheshire and Baker) between zeros; `mark` is added to the first code. Returns the bytes written. */
static size_t stuff(const uint8_t *data, size_t size, uint8_t mark, uint8_t *out)
{
    size_t at = 0, code = 1;
    out[at++] = 0;
    at++;
    uint8_t count = 1;
    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0) {
            out[at++] = data[i];
            count++;
        }
        if (data[i] == 0 || count == 255) {
            out[code] = count;
            code = at++;
            count = 1;
        }
    }
    out[code] = count;
    out[1] |= mark;
    out[at++] = 0;
    return at;
}

static void checked(const uint8_t *data, size_t size, bool cell)
{
    static uint8_t whole[LONGEST + 4], wire[2 * LONGEST];
    memcpy(whole, data, size);
    uint32_t check = cell ? sb_crc16(0xffff, data, size) : sb_crc32c(data, size);
    for (size_t i = 0, count = cell ? 2 : 4; i < count; i++) /* CRC-16 big endian, CRC-32C as docs/PROTOCOL.md has it */
        whole[size + i] = (uint8_t)(check >> 8 * (count - 1 - i));
    feed(wire, stuff(whole, size + (cell ? 2 : 4), cell ? 0x80 : 0, wire));
}

/* The first byte is the slot. */
static void of_slot(unsigned kind, const uint8_t *data, size_t size)
{
    struct sb_fault fault = {0};
    unsigned slot = data[0] % SB_SLOTS;
    uint64_t step = 0;
    size--;
    switch (kind) {
    case CONTROL:
        memcpy(regions[slot].control, data + 1, size < sizeof(struct sb_control) ? size : sizeof(struct sb_control));
        sb_engine_signalled(supervisor, slot);
        break;
    case LOG:
        memcpy(regions[slot].log, data + 1, size < sizeof(struct sb_log) ? size : sizeof(struct sb_log));
        sb_drain_logs(supervisor);
        break;
    case MAIL:
        memcpy(regions[slot].mail, data + 1, size < sizeof(struct sb_mail) ? size : sizeof(struct sb_mail));
        break;
    case FAULT:
        memcpy(&fault, data + 1, size < sizeof fault ? size : sizeof fault);
        sb_engine_faulted(supervisor, slot, &fault);
        break;
    case TIME:
        memcpy(&step, data + 1, size < 6 ? size : 6);
        now_ns += step;
        sb_limits_tick(supervisor);
        break;
    default:
        sb_supervisor_reset(supervisor);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t answer[SB_FRAME_MESSAGE_MAX];
    begin();
    for (size_t at = 0; size - at >= 3;) {
        unsigned kind = data[at] % KINDS;
        size_t length = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
        at += 3;
        length = length < size - at ? length : size - at;
        length = length < LONGEST ? length : LONGEST;
        const uint8_t *record = data + at;
        at += length;
        if (kind == WIRE)
            feed(record, length);
        else if (kind == MESSAGE)
            (void)answer_to(record, length, answer);
        else if (kind == COBS)
            checked(record, length, false);
        else if (kind == CELL && length <= SB_CELL_BYTES_MOST - SB_CELL_CHECK)
            checked(record, length, true);
        else if (kind > CELL && length > 0)
            of_slot(kind, record, length);
    }
    return 0;
}
