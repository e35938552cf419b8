/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts during an update, on the host: the real supervisor, store, littlefs and flash driver over chips.c.
 *
 *   power count                       how many flash operations one update makes, restarts after it included
 *   power linear FIRST STEP           every STEP-th cut from FIRST on: number n is operation n / 3, phase n % 3
 *   power pairs SEED COUNT            a cut during the update and a second one during what comes after it
 *   power words                       one update on chips without a write buffer
 *
 * The update: version 2 is uploaded beside version 1, marked for a test, started, confirmed; then version 3 the same way,
 * as what changed since version 2. After each cut, at every boot: slot 0 runs one of the versions, whole; slot 1 runs its own module; then the same update, repeated, is
 * carried through and survives another loss of power. Prints "resumed <n> cuts <n> violations <n>": boots that went on
 * with an upload; ends with 1 at a violation.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chips.h"
#include "smp.h"
#include "store.h"

#define FLASH_BYTES (40u * CHIPS_SECTOR)
#define SIZE_1 60013u
#define SIZE_2 430001u
#define SIZE_CHANGE 30000u /* bytes that version 3 begins with, instead of as many of version 2 */
#define SIZE_3 SIZE_2
#define SIZE_OTHER 20000u
#define CHUNK 4000u

static uint8_t flash[FLASH_BYTES] __attribute__((aligned(4096)));
static uint8_t base[FLASH_BYTES];
static uint8_t version_1[SIZE_1], version_2[SIZE_2], version_3[SIZE_3], other[SIZE_OTHER];
static uint8_t change[SIZE_CHANGE + 32]; /* version 2 to version 3 */
static uint32_t change_size;
static unsigned resumed; /* boots that found an upload to go on with */
static uint8_t modules[SB_SLOTS][SB_MODULE_SIZE];
static struct sb_control control[SB_SLOTS] __attribute__((aligned(4096)));
static struct sb_launch launch[SB_SLOTS];
static struct sb_log logs[SB_SLOTS] __attribute__((aligned(4096)));
static struct sb_system system_page;
static struct sb_store_record record;
static struct sb_supervisor supervisor __attribute__((aligned(64)));
static uint64_t now_ns;
static jmp_buf power;
static const char *context = "";
static unsigned violations;

_Noreturn void chips_cut(void)
{
    longjmp(power, 1);
}

static void violated(const char *what)
{
    printf("violation at %s: %s\n", context, what);
    violations++;
}

static void require(bool truth, const char *what)
{
    if (!truth) {
        violated(what);
    }
}

static uint64_t ticks(void)
{
    return now_ns += 1000;
}

static void engine_nothing(unsigned slot)
{
    (void)slot;
}

static void engine_priority(unsigned slot, uint32_t priority)
{
    (void)slot;
    (void)priority;
}

static void wake_at(uint64_t when)
{
    (void)when;
}

static void wasi_notify(void)
{
}

static enum sb_store_status store_call(enum sb_store_label label, const uint64_t arguments[SB_STORE_ARGUMENTS])
{
    uint64_t results[2];
    return sb_store_serve(label, arguments, results);
}

/* Power comes back: nothing but flash is what it was. */
static void boot(void)
{
    const struct sb_store_memory memory = {.modules = {modules[0], modules[1]}, .record = &record};
    const struct sb_platform platform = {
        .kernel = "host", .kernel_text = "the host", .board = "none", .tick_hz = 1000000000u, .ticks = ticks,
        .engine_stop = engine_nothing, .engine_restart = engine_nothing, .engine_resume = engine_nothing,
        .engine_priority = engine_priority, .wake_at = wake_at, .wasi_notify = wasi_notify,
        .anchors = {.development = true, .device_class = "qemu-virt"}, .store = store_call, .store_record = &record,
    };
    struct sb_slot_regions regions[SB_SLOTS];
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        memset(modules[i], 0xa5, SIZE_2 + CHUNK);
        memset(modules[i] + SB_MODULE_SIZE - SIZE_2 - CHUNK, 0xa5, SIZE_2 + CHUNK);
        memset(&launch[i], 0, sizeof launch[i]);
        memset(&control[i], 0, sizeof control[i]);
        regions[i] = (struct sb_slot_regions){
            .module = modules[i], .control = &control[i], .launch = &launch[i], .log = &logs[i]};
    }
    memset(&supervisor, 0, sizeof supervisor);
    memset(&record, 0xa5, sizeof record);
    chips_power_on();
    require(sb_store_open(flash, FLASH_BYTES, &memory) == SB_STORE_OK, "the file system does not come back");
    sb_supervisor_init(&supervisor, &platform, &system_page, regions, 1700000000u);
}

/* An SMP request; true: it was answered without an error. The answer's body is in `body`. */
static uint8_t answer[SB_FRAME_MESSAGE_MAX];
static struct sb_cbor_reader body;

static bool request(uint8_t group, uint8_t command, const uint8_t *data, size_t size)
{
    static uint8_t message[SB_FRAME_MESSAGE_MAX];
    const uint8_t head[8] = {2, 0, (uint8_t)(size >> 8), (uint8_t)size, 0, group, 0, command};
    memcpy(message, head, sizeof head);
    memcpy(message + sizeof head, data, size);
    size_t length = sb_smp_serve(&supervisor, message, sizeof head + size, answer, sizeof answer);
    uint64_t rc = 0;
    struct sb_cbor_field field = {"rc", SB_CBOR_UINT, &rc, false};
    body = (struct sb_cbor_reader){.p = answer + 8, .end = answer + length};
    struct sb_cbor_reader copy = body;
    return sb_cbor_read_map(&copy, &field, 1) && (!field.found || rc == 0);
}

static uint8_t out[SB_FRAME_MESSAGE_MAX];

static struct sb_cbor_writer map_of(unsigned keys)
{
    struct sb_cbor_writer writer = {.p = out, .end = out + sizeof out, .overflow = false};
    sb_cbor_write_head(&writer, SB_CBOR_MAJOR_MAP, keys);
    return writer;
}

static bool send(uint8_t group, uint8_t command, const struct sb_cbor_writer *writer)
{
    return request(group, command, out, (size_t)(writer->p - out));
}

static void digest_of(const uint8_t *data, size_t size, uint8_t digest[SB_SHA256_SIZE])
{
    struct sb_sha256 hash;
    sb_sha256_init(&hash);
    sb_sha256_update(&hash, data, size);
    sb_sha256_final(&hash, digest);
}

/* As an agent does it: from wherever the device is, until it has all. With a `base`, `data` is what changed since it. */
static bool upload_encoded(unsigned slot, const uint8_t *data, uint32_t size, const uint8_t *module, uint32_t module_size,
                           const uint8_t *base, uint32_t base_size)
{
    uint8_t digest[SB_SHA256_SIZE];
    uint8_t base_digest[SB_SHA256_SIZE];
    uint64_t offset = 0;
    digest_of(module, module_size, digest);
    digest_of(base, base_size, base_digest);
    for (unsigned chunks = 0; chunks <= 2 + size / CHUNK; chunks++) {
        uint32_t step = size - offset < CHUNK ? (uint32_t)(size - offset) : CHUNK;
        struct sb_cbor_writer writer = map_of(offset != 0 ? 2 : base == NULL ? 5 : 8);
        sb_cbor_put_uint(&writer, "off", offset);
        sb_cbor_put_bytes(&writer, "data", data + offset, step);
        if (offset == 0) {
            sb_cbor_put_uint(&writer, "image", slot);
            sb_cbor_put_uint(&writer, "len", size);
            sb_cbor_put_bytes(&writer, "sha", digest, sizeof digest);
        }
        if (offset == 0 && base != NULL) {
            sb_cbor_put_uint(&writer, "enc", SB_ENCODING_DELTA);
            sb_cbor_put_uint(&writer, "size", module_size);
            sb_cbor_put_bytes(&writer, "base", base_digest, sizeof base_digest);
        }
        struct sb_cbor_field field = {"off", SB_CBOR_UINT, &offset, false};
        if (!send(1, 1, &writer) || !sb_cbor_read_map(&body, &field, 1)) {
            return false;
        }
        if (offset == size) {
            return true;
        }
    }
    return false;
}

static bool upload(unsigned slot, const uint8_t *data, uint32_t size)
{
    return upload_encoded(slot, data, size, data, size, NULL, 0);
}

static uint8_t *put_number(uint8_t *out, uint32_t value)
{
    for (; value > 0x7f; value >>= 7) {
        *out++ = (uint8_t)(value | 0x80u);
    }
    *out++ = (uint8_t)value;
    return out;
}

/* Version 3 out of version 2: new bytes, then what follows them in version 2; in one stored block. */
static void make_change(void)
{
    uint8_t *steps = change + 5;
    uint8_t *end = put_number(steps, SIZE_CHANGE);
    memcpy(end, version_3, SIZE_CHANGE);
    end = put_number(put_number(end + SIZE_CHANGE, SIZE_3 - SIZE_CHANGE), 2 * SIZE_CHANGE);
    uint32_t size = (uint32_t)(end - steps);
    const uint8_t head[5] = {1, (uint8_t)size, (uint8_t)(size >> 8), (uint8_t)~size, (uint8_t)(~size >> 8)};
    memcpy(change, head, sizeof head);
    change_size = size + 5;
}

static bool mark(const uint8_t *data, uint32_t size, bool confirm)
{
    uint8_t digest[SB_SHA256_SIZE];
    digest_of(data, size, digest);
    struct sb_cbor_writer writer = map_of(2);
    sb_cbor_put_bytes(&writer, "hash", digest, sizeof digest);
    sb_cbor_put_bool(&writer, "confirm", confirm);
    return send(1, 0, &writer);
}

static bool start(unsigned slot)
{
    struct sb_cbor_writer writer = map_of(2);
    sb_cbor_put_uint(&writer, "slot", slot);
    sb_cbor_write_text(&writer, "args");
    sb_cbor_write_head(&writer, SB_CBOR_MAJOR_ARRAY, 2);
    sb_cbor_write_text(&writer, "module");
    sb_cbor_write_text(&writer, slot == 0 ? "zero" : "one");
    return send(64, 1, &writer);
}

static bool activate(const uint8_t *module, uint32_t size)
{
    return mark(module, size, false) && start(0) && mark(module, size, true);
}

static bool runs(unsigned number, const uint8_t *data, uint32_t size)
{
    const struct sb_slot *slot = &supervisor.slots[number];
    uint8_t digest[SB_SHA256_SIZE];
    digest_of(data, size, digest);
    return slot->state == SB_SLOT_RUNNING && slot->active.size == size &&
           memcmp(slot->active.digest, digest, sizeof digest) == 0 &&
           memcmp(slot->module + slot->active.offset, data, size) == 0 &&
           control[number].module_offset == slot->active.offset && control[number].module_size == size &&
           launch[number].argc == 2 && memcmp(launch[number].text + 7, number == 0 ? "zero" : "one", 4) == 0;
}

static bool update(void)
{
    if (runs(0, version_3, SIZE_3)) {
        return mark(version_3, SIZE_3, true);
    }
    if (!runs(0, version_2, SIZE_2)) {
        if (!upload(0, version_2, SIZE_2) || !activate(version_2, SIZE_2)) {
            return false;
        }
    } else if (!mark(version_2, SIZE_2, true)) {
        return false;
    }
    return upload_encoded(0, change, change_size, version_3, SIZE_3, version_2, SIZE_2) && activate(version_3, SIZE_3);
}

/* What must be true after every boot. */
static void check(void)
{
    require(runs(0, version_1, SIZE_1) || runs(0, version_2, SIZE_2) || runs(0, version_3, SIZE_3),
            "slot 0 runs none of the versions");
    resumed += supervisor.slots[0].upload.open && supervisor.slots[0].upload.received > 0;
    require(runs(1, other, SIZE_OTHER), "slot 1 does not run its module");
}

static void check_completed(void)
{
    require(runs(0, version_3, SIZE_3) && supervisor.slots[0].active.confirmed, "the update is not complete");
    require(runs(1, other, SIZE_OTHER), "slot 1 does not run its module");
    require(supervisor.store_errors == 0, "flash or file system failed");
}

/* What a device does after a cut: boots, gets the update once more, boots. */
static void recover(void)
{
    boot();
    check();
    require(update(), "the update is refused");
    check_completed();
    boot();
    check_completed();
}

static void prepare(void)
{
    uint32_t state = 1;
    uint8_t *const all[] = {version_1, version_2, other};
    const uint32_t sizes[] = {SIZE_1, SIZE_2, SIZE_OTHER};
    for (unsigned m = 0; m < 3; m++) {
        for (uint32_t i = 0; i < sizes[m]; i++) {
            state = state * 1664525u + 1013904223u;
            all[m][i] = (uint8_t)(state >> 24);
        }
    }
    memcpy(version_3, version_2, SIZE_3);
    for (uint32_t i = 0; i < SIZE_CHANGE; i++) {
        state = state * 1664525u + 1013904223u;
        version_3[i] = (uint8_t)(state >> 24);
    }
    make_change();
    memset(flash, 0, sizeof flash); /* as a new file of QEMU's */
    chips_init(flash, FLASH_BYTES);
    boot();
    require(upload(0, version_1, SIZE_1) && mark(version_1, SIZE_1, true) && start(0), "version 1 is refused");
    require(upload(1, other, SIZE_OTHER) && mark(other, SIZE_OTHER, true) && start(1), "the other module is refused");
    boot();
    check();
    memcpy(base, flash, sizeof base);
}

/* Go on with `work` until it ends or power goes at its operation `cut_at`. True: power went. */
static bool until_cut(void (*work)(void), uint64_t cut_at, enum chips_phase phase)
{
    chips_operations = 0;
    chips_cut_at = cut_at;
    chips_cut_phase = phase;
    volatile bool cut = true;
    if (setjmp(power) == 0) {
        work();
        cut = false;
    }
    chips_cut_at = 0;
    return cut;
}

static void from_base(void)
{
    boot();
    require(update(), "the update is refused");
    check_completed();
}

static void restore_base(void)
{
    memcpy(flash, base, sizeof flash);
}

static uint64_t count(void)
{
    restore_base();
    (void)until_cut(from_base, 0, CHIPS_BEFORE);
    return chips_operations;
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

int main(int argc, char **argv)
{
    static char text[96];
    uint64_t cuts = 0;
    const char *what = argc > 1 ? argv[1] : "";
    context = "preparation";
    chips_buffer = strcmp(what, "words") == 0 ? 0 : chips_buffer;
    prepare();
    uint64_t operations = count();
    if (strcmp(what, "count") == 0 || strcmp(what, "words") == 0) {
        context = "no cut";
        recover();
        printf("operations %llu\n", (unsigned long long)operations);
    } else if (strcmp(what, "linear") == 0 && argc == 4) {
        for (uint64_t n = strtoull(argv[2], NULL, 10); n < 3 * operations; n += strtoull(argv[3], NULL, 10)) {
            snprintf(text, sizeof text, "operation %llu phase %u", (unsigned long long)(n / 3 + 1), (unsigned)(n % 3));
            context = text;
            restore_base();
            require(until_cut(from_base, n / 3 + 1, (enum chips_phase)(n % 3)), "power did not go");
            recover();
            cuts++;
        }
    } else if (strcmp(what, "pairs") == 0 && argc == 4) {
        uint32_t seed = (uint32_t)strtoul(argv[2], NULL, 10) * 2654435761u | 1u;
        for (unsigned i = 0; i < strtoul(argv[3], NULL, 10); i++) {
            uint32_t first = next_random(&seed) % (uint32_t)operations + 1, second = next_random(&seed);
            /* half of the second cuts come soon: the boot itself writes only a few times */
            second = second % 2 ? second / 2 % 8 + 1 : second / 2 % (uint32_t)operations + 1;
            uint32_t phases = next_random(&seed) % 9;
            snprintf(text, sizeof text, "operations %u and %u phases %u", first, second, phases);
            context = text;
            restore_base();
            require(until_cut(from_base, first, (enum chips_phase)(phases / 3)), "power did not go");
            (void)until_cut(recover, second, (enum chips_phase)(phases % 3));
            recover();
            cuts += 2;
        }
    } else {
        fprintf(stderr, "usage: power count | linear FIRST STEP | pairs SEED COUNT | words\n");
        return 2;
    }
    printf("resumed %u cuts %llu violations %u\n", resumed, (unsigned long long)cuts, violations);
    return violations == 0 ? 0 : 1;
}
