/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the WASI server without any kernel: a clock that the test moves, a log ring of its own, messages made by
 * hand. Run as: server CASE [SEED COUNT]; exit code 0, or a line on stderr and 1. Built with sanitizers. One file over
 * 600 lines: all cases share the host, the slots and the helpers that make messages, which are static here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "random.h"
#include "slot.h"

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            (void)fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition);   \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

static uint64_t now_ns = 1000, wake_ns[SB_SLOTS], realtime_offset_ns = 5000000;
static struct sb_random random_state;
static struct sb_log rings[SB_SLOTS];
static struct sb_output outputs[SB_SLOTS];
static struct sb_launch launches[SB_SLOTS];
static struct sb_mail mails[SB_SLOTS];
static uint8_t *io[SB_SLOTS], *trees[SB_SLOTS];
static struct sb_wasi_slot slots[SB_SLOTS];

static uint64_t monotonic(void *context)
{
    (void)context;
    return now_ns;
}

static uint64_t realtime(void *context)
{
    (void)context;
    return now_ns + realtime_offset_ns;
}

static void random_bytes(void *context, uint8_t *out, uint32_t size)
{
    (void)context;
    sb_random_bytes(&random_state, out, size);
}

static uint32_t output(void *context, uint32_t slot, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size)
{
    (void)context;
    return sb_output_write(&outputs[slot], stream, bytes, size);
}

static bool output_wake(void *context, uint32_t slot)
{
    (void)context;
    return sb_output_wait(&outputs[slot]);
}

static void trace(void *context, uint32_t slot, const uint8_t *record, uint32_t size)
{
    (void)context;
    (void)sb_output_record(&outputs[slot], SB_LOG_TRACE, record, size);
}

static uint32_t input(void *context, uint32_t slot, uint8_t *bytes, uint32_t size)
{
    (void)context;
    (void)slot;
    (void)bytes;
    (void)size;
    return 0;
}

static void wake_at(void *context, uint32_t slot, uint64_t monotonic_ns)
{
    (void)context;
    wake_ns[slot] = monotonic_ns;
}

static const struct sb_wasi_host host = {
    .monotonic_ns = monotonic,
    .realtime_ns = realtime,
    .resolution_ns = 16,
    .random = random_bytes,
    .output = output,
    .output_wake = output_wake,
    .trace = trace,
    .input = input,
    .wake_at = wake_at,
};

static void set_up(void)
{
    static const char text[] = "name\0first\0K=V\0dir=/\0dir=/fixed:ro";
    for (uint32_t s = 0; s < SB_SLOTS; s++) {
        launches[s].generation = 1;
        launches[s].argc = 2;
        launches[s].envc = 1;
        launches[s].grantc = 2;
        launches[s].text_size = sizeof text;
        memcpy(launches[s].text, text, sizeof text);
        io[s] = malloc(SB_IO_SIZE); /* on the heap, so that the sanitizer sees its ends */
        trees[s] = malloc(SB_TREE_SIZE);
        CHECK(io[s] != NULL && trees[s] != NULL);
        memset(io[s], 0, SB_IO_SIZE);
        outputs[s] = (struct sb_output){&rings[s], 0};
        wake_ns[s] = UINT64_MAX;
        sb_wasi_slot_init(&slots[s], s, &host, io[s], &launches[s], &mails[s], trees[s], SB_TREE_SIZE);
    }
}

static struct sb_message call(uint32_t label, uint32_t count, const uint64_t *words)
{
    struct sb_message message = {.label = label, .count = count};
    for (uint32_t i = 0; i < count && i < SB_MESSAGE_WORDS; i++) {
        message.words[i] = words[i];
    }
    sb_wasi_serve(&slots[0], &message);
    CHECK(message.count >= 1 && message.count <= SB_MESSAGE_WORDS);
    return message;
}

#define CALL(label, ...) call(label, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[]){__VA_ARGS__})
#define CALL0(label) call(label, 0, NULL)

static uint64_t state;

static uint64_t draw(void)
{
    state ^= state << 13; /* xorshift64 */
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t draw_word(void)
{
    static const uint64_t edges[] = {0, 1, 2, 3, 48, 65535, 65536, 65537, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x100000000, UINT64_MAX};
    uint64_t kind = draw() % 8;
    return kind > 3 ? draw() % 9 : kind == 0 ? draw() : kind == 1 ? draw() % 64 : kind == 2 ? draw() % 70000 : edges[draw() % (sizeof edges / 8)];
}

/* Removes all that is below the directory; depth and names are bounded by the tree's pools. */
static void remove_all(struct sb_fs *fs, uint32_t directory)
{
    for (;;) {
        struct sb_listed entry;
        struct sb_name name;
        char bytes[SB_NAME_MAX];
        bool end;
        uint32_t node;
        CHECK(fs->ops->list(fs, directory, 2, &entry, &end) == SB_E_SUCCESS);
        if (end) {
            return;
        }
        memcpy(bytes, entry.name.bytes, entry.name.size);
        name = (struct sb_name){bytes, entry.name.size};
        if (entry.type == SB_TYPE_DIRECTORY) {
            CHECK(fs->ops->lookup(fs, directory, name, &node) == SB_E_SUCCESS);
            remove_all(fs, node);
        }
        CHECK(fs->ops->unlink(fs, directory, name) == SB_E_SUCCESS);
    }
}

/* Paths that mean something now and then. */
static void draw_bytes(uint8_t *to, uint32_t size)
{
    static const char letters[] = "aabbc//..";
    for (uint32_t i = 0; i < size; i++) {
        to[i] = draw() % 64 == 0 ? (uint8_t)draw() : (uint8_t)letters[draw() % (sizeof letters - 1)];
    }
}

/* Whatever an engine sends: an answer every time, the other slot is as it was, the rings stay whole. */
static void hostile(uint64_t seed, uint64_t count)
{
    state = seed | 1;
    struct sb_wasi_slot *before = malloc(sizeof *before);
    CHECK(before != NULL);
    (void)CALL0(SB_WASI_SCHED_YIELD);
    struct sb_message other = {.label = SB_WASI_SCHED_YIELD};
    sb_wasi_serve(&slots[1], &other);
    memcpy(before, &slots[1], sizeof *before);
    for (uint64_t round = 0; round < count; round++) {
        struct sb_message message = {
            .label = draw() % 8 == 0 ? draw() : SB_WASI_LABEL_BASE + draw() % (SB_WASI_CALLS + 2),
            .count = (uint32_t)(draw() % 4 == 0 ? draw() % 128 : draw() % 10),
        };
        for (uint32_t i = 0; i < SB_MESSAGE_WORDS; i++) {
            message.words[i] = draw_word();
        }
        draw_bytes(io[0], 64);
        if (draw() % 4096 == 0) {
            launches[0].generation++;
        }
        now_ns += draw() % 1000000;
        sb_wasi_serve(&slots[0], &message);
        CHECK(message.label == 0);
        CHECK(message.count >= 1 && message.count <= SB_MESSAGE_WORDS);
        CHECK(message.words[0] <= SB_E_NOTCAPABLE || message.words[0] == SB_PENDING);
        CHECK(outputs[0].head - rings[0].tail <= SB_LOG_DATA_SIZE);
        launches[0].trace = draw() % 2 == 0;
        if (draw() % 16 == 0) {
            rings[0].tail = rings[0].head;
        }
    }
    for (uint64_t fd = 0; fd < SB_MAX_FDS; fd++) {
        (void)CALL(SB_WASI_FD_CLOSE, fd);
    }
    remove_all(&slots[0].tree.fs, slots[0].tree.fs.root);
    CHECK(slots[0].tree.blocks_taken == 0);
    CHECK(memcmp(before, &slots[1], sizeof *before) == 0);
    CHECK(rings[1].head == 0);
    CHECK(slots[0].counters.calls == count + 1 + SB_MAX_FDS);
    CHECK(slots[0].counters.refused > count / 8);
    free(before);
}

/* Messages that are wrong in one way each are refused and counted. */
static void refused(void)
{
    CHECK(CALL0(SB_WASI_LABEL_BASE - 1).words[0] == SB_E_INVAL);
    CHECK(CALL0(SB_WASI_LABEL_BASE + SB_WASI_CALLS).words[0] == SB_E_INVAL);
    CHECK(CALL0(SB_WASI_FD_CLOSE).words[0] == SB_E_INVAL);                            /* too few words */
    CHECK(CALL(SB_WASI_FD_CLOSE, 1, 1).words[0] == SB_E_INVAL);                       /* too many */
    CHECK(CALL(SB_WASI_FD_CLOSE, UINT64_C(1) << 32).words[0] == SB_E_INVAL);          /* not an i32 */
    CHECK(CALL(SB_WASI_FD_WRITE, 1, SB_IO_SIZE + 1).words[0] == SB_E_INVAL);          /* more than the buffer */
    CHECK(CALL(SB_WASI_RANDOM_GET, SB_IO_SIZE + 1).words[0] == SB_E_INVAL);
    CHECK(slots[0].counters.refused == 7);
    CHECK(CALL(SB_WASI_SOCK_SHUTDOWN, 1, 0).words[0] == SB_E_NOTSOCK);
    CHECK(CALL0(SB_WASI_SCHED_YIELD).words[0] == SB_E_SUCCESS);
    CHECK(slots[0].counters.refused == 7);
}

static void put_subscription(uint32_t at, uint64_t userdata, uint8_t tag, uint32_t id, uint64_t timeout, uint16_t flags)
{
    uint8_t *to = io[0] + at * 48;
    memset(to, 0, 48);
    memcpy(to, &userdata, 8);
    to[8] = tag;
    memcpy(to + 16, &id, 4);
    memcpy(to + 24, &timeout, 8);
    memcpy(to + 40, &flags, 2);
}

static uint64_t event_userdata(uint32_t at)
{
    uint64_t userdata;
    memcpy(&userdata, io[0] + at * 32, 8);
    return userdata;
}

static uint16_t event_error(uint32_t at)
{
    uint16_t error;
    memcpy(&error, io[0] + at * 32 + 8, 2);
    return error;
}

static void poll_clocks(void)
{
    put_subscription(0, 7, 0, 1, 500, 0);
    put_subscription(1, 8, 0, 1, 300, 0);
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 96, 64).words[0] == SB_PENDING);
    CHECK(wake_ns[0] == 1300);
    now_ns = 1200; /* woken for another reason: the start counts, not this call */
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 96, 64).words[0] == SB_PENDING);
    CHECK(wake_ns[0] == 1300);
    now_ns = 1300;
    struct sb_message answer = CALL(SB_WASI_POLL_ONEOFF, 96, 64);
    CHECK(answer.words[0] == SB_E_SUCCESS && answer.count == 3);
    CHECK(answer.words[1] == 32 && answer.words[2] == 1);
    CHECK(event_userdata(0) == 8 && event_error(0) == SB_E_SUCCESS && io[0][10] == 0);

    put_subscription(0, 9, 0, 0, now_ns + realtime_offset_ns + 50, 1); /* absolute, real time */
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 48, 32).words[0] == SB_PENDING);
    CHECK(wake_ns[0] == now_ns + 50);
    now_ns += 50;
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 48, 32).words[0] == SB_E_SUCCESS);

    put_subscription(0, 10, 0, 1, 1, 1); /* long past */
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 48, 32).words[0] == SB_E_SUCCESS);
    put_subscription(0, 11, 0, 1, UINT64_MAX, 0); /* never, and no overflow */
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 48, 32).words[0] == SB_PENDING);
    CHECK(wake_ns[0] == UINT64_MAX - 1);
}

static void poll_mixed(void)
{
    put_subscription(0, 1, 0, 1, 1000000, 0);
    put_subscription(1, 2, 2, 1, 0, 0);  /* standard output can be written */
    put_subscription(2, 3, 1, 9, 0, 0);  /* no such descriptor */
    put_subscription(3, 4, 1, 1, 0, 0);  /* standard output can't be read */
    put_subscription(4, 5, 0, 77, 0, 0); /* no such clock */
    put_subscription(5, 6, 9, 0, 0, 0);  /* no such kind */
    struct sb_message answer = CALL(SB_WASI_POLL_ONEOFF, 6 * 48, 6 * 32);
    CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[2] == 5);
    CHECK(event_userdata(0) == 2 && event_error(0) == SB_E_SUCCESS);
    CHECK(event_userdata(1) == 3 && event_error(1) == SB_E_BADF);
    CHECK(event_userdata(2) == 4 && event_error(2) == SB_E_NOTCAPABLE);
    CHECK(event_userdata(3) == 5 && event_error(3) == SB_E_INVAL);
    CHECK(event_userdata(4) == 6 && event_error(4) == SB_E_INVAL);
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 0, 0).words[0] == SB_E_INVAL);
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 47, 32).words[0] == SB_E_INVAL);
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 96, 32).words[0] == SB_E_INVAL);
}

/* A call whose bytes go in: two strings, one after the other. */
static void put_paths(const char *first, const char *second)
{
    memcpy(io[0], first, strlen(first));
    memcpy(io[0] + strlen(first), second, strlen(second));
}

static uint64_t open_path(uint64_t directory, const char *path, uint64_t oflags, uint64_t rights, struct sb_message *answer)
{
    put_paths(path, "");
    *answer = CALL(SB_WASI_PATH_OPEN, directory, 1, strlen(path), oflags, rights, UINT64_MAX >> 32, 0);
    return answer->words[1];
}

#define ANY_RIGHT ((UINT64_C(1) << 30) - 1)

static uint64_t must_open(uint64_t directory, const char *path, uint64_t oflags)
{
    struct sb_message answer;
    uint64_t rights = ANY_RIGHT & ~((oflags & 2) != 0 ? SB_RIGHT_FD_WRITE : 0);
    uint64_t fd = open_path(directory, path, oflags, rights, &answer);
    CHECK(answer.words[0] == SB_E_SUCCESS);
    return fd;
}

static uint64_t error_of_open(uint64_t directory, const char *path, uint64_t oflags)
{
    struct sb_message answer;
    (void)open_path(directory, path, oflags, SB_RIGHT_FD_READ, &answer);
    return answer.words[0];
}

static void make_directory(const char *path)
{
    put_paths(path, "");
    CHECK(CALL(SB_WASI_PATH_CREATE_DIRECTORY, 3, strlen(path)).words[0] == SB_E_SUCCESS);
}

static uint64_t make_link(const char *target, const char *path)
{
    put_paths(target, path);
    return CALL(SB_WASI_PATH_SYMLINK, strlen(target), 3, strlen(path)).words[0];
}

/* No path leads out of the directory that it starts from. */
static void containment(void)
{
    (void)CALL0(SB_WASI_SCHED_YIELD);
    make_directory("a");
    make_directory("a/b");
    uint64_t inner = must_open(3, "a/b", 2);
    uint64_t file = must_open(3, "secret", 1);
    CHECK(file > inner);
    CHECK(error_of_open(3, "a/b/../../secret", 0) == SB_E_SUCCESS);
    CHECK(error_of_open(3, "a/../../secret", 0) == SB_E_NOTCAPABLE);
    CHECK(error_of_open(inner, "../../secret", 0) == SB_E_NOTCAPABLE);
    CHECK(error_of_open(inner, "..", 2) == SB_E_NOTCAPABLE);
    CHECK(error_of_open(inner, "/secret", 0) == SB_E_NOTCAPABLE);
    CHECK(make_link("../../secret", "a/b/out") == SB_E_SUCCESS);
    CHECK(error_of_open(3, "a/b/out", 0) == SB_E_SUCCESS); /* from above it stays inside */
    CHECK(error_of_open(inner, "out", 0) == SB_E_NOTCAPABLE);
    CHECK(make_link("/secret", "absolute") == SB_E_NOTCAPABLE);
    CHECK(make_link("loop", "loop") == SB_E_SUCCESS);
    CHECK(error_of_open(3, "loop", 0) == SB_E_LOOP);
    CHECK(make_link("a/b", "short") == SB_E_SUCCESS);
    CHECK(error_of_open(3, "short/../b/../../secret", 0) == SB_E_SUCCESS); /* ".." is of where the link leads */
    CHECK(error_of_open(3, "secret/", 0) == SB_E_NOTDIR);
    CHECK(error_of_open(3, "secret/.", 0) == SB_E_NOTDIR);
}

static void read_only(void)
{
    struct sb_message answer;
    (void)CALL0(SB_WASI_SCHED_YIELD);
    uint64_t file = must_open(3, "fixed/file", 1);
    CHECK(CALL(SB_WASI_FD_WRITE, file, 3).words[0] == SB_E_SUCCESS);
    CHECK(error_of_open(4, "file", 0) == SB_E_SUCCESS);
    CHECK(error_of_open(4, "other", 1) == SB_E_NOTCAPABLE);
    CHECK(error_of_open(4, "file", 8) == SB_E_NOTCAPABLE);
    file = open_path(4, "file", 0, ANY_RIGHT, &answer);
    CHECK(answer.words[0] == SB_E_SUCCESS);
    CHECK(CALL(SB_WASI_FD_WRITE, file, 3).words[0] == SB_E_NOTCAPABLE);
    CHECK(CALL(SB_WASI_FD_FILESTAT_SET_SIZE, file, 0).words[0] == SB_E_NOTCAPABLE);
    answer = CALL(SB_WASI_FD_READ, file, 100);
    CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[1] == 3);
    put_paths("file", "");
    CHECK(CALL(SB_WASI_PATH_UNLINK_FILE, 4, 4).words[0] == SB_E_NOTCAPABLE);
    CHECK(CALL(SB_WASI_FD_FDSTAT_SET_RIGHTS, 4, UINT64_MAX, UINT64_MAX).words[0] == SB_E_NOTCAPABLE);
}

/* Fills the tree to its last block, reads back, makes room. */
static void full_tree(void)
{
    (void)CALL0(SB_WASI_SCHED_YIELD);
    uint64_t file = must_open(3, "big", 1);
    uint64_t total = 0;
    struct sb_message answer;
    do {
        memset(io[0], (int)(total / 1000 % 251), 1000);
        answer = CALL(SB_WASI_FD_WRITE, file, 1000);
        total += answer.words[0] == SB_E_SUCCESS ? answer.words[1] : 0;
    } while (answer.words[0] == SB_E_SUCCESS);
    CHECK(answer.words[0] == SB_E_FBIG || answer.words[0] == SB_E_NOSPC);
    CHECK(total == (uint64_t)slots[0].tree.blocks_max * SB_TREE_BLOCK);
    for (uint64_t at = 0; at + 1000 <= total; at += 97000) {
        answer = CALL(SB_WASI_FD_PREAD, file, 1000, at);
        CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[1] == 1000);
        CHECK(io[0][0] == at / 1000 % 251 && io[0][999] == at / 1000 % 251);
    }
    uint64_t other = must_open(3, "small", 1);
    CHECK(CALL(SB_WASI_FD_WRITE, other, 1).words[0] == SB_E_NOSPC);
    CHECK(CALL(SB_WASI_FD_FILESTAT_SET_SIZE, file, 1500).words[0] == SB_E_SUCCESS);
    CHECK(slots[0].tree.blocks_taken == 2);
    CHECK(CALL(SB_WASI_FD_FILESTAT_SET_SIZE, file, 3000).words[0] == SB_E_SUCCESS);
    answer = CALL(SB_WASI_FD_PREAD, file, 1500, 1500);
    CHECK(answer.words[1] == 1500 && io[0][0] == 0 && io[0][1499] == 0); /* what was cut off is gone */
    CHECK(CALL(SB_WASI_FD_WRITE, other, 1).words[0] == SB_E_SUCCESS);
}

/* A file lives without a name while it is open. */
static void unlinked(void)
{
    (void)CALL0(SB_WASI_SCHED_YIELD);
    uint64_t file = must_open(3, "temporary", 1);
    CHECK(CALL(SB_WASI_FD_WRITE, file, 5000).words[0] == SB_E_SUCCESS);
    put_paths("temporary", "");
    CHECK(CALL(SB_WASI_PATH_UNLINK_FILE, 3, 9).words[0] == SB_E_SUCCESS);
    CHECK(CALL(SB_WASI_FD_PREAD, file, 5000, 0).words[1] == 5000);
    CHECK(slots[0].tree.blocks_taken == 5);
    CHECK(CALL(SB_WASI_FD_CLOSE, file).words[0] == SB_E_SUCCESS);
    CHECK(slots[0].tree.blocks_taken == 0);
    make_directory("gone");
    uint64_t directory = must_open(3, "gone", 2);
    put_paths("gone", "");
    CHECK(CALL(SB_WASI_PATH_REMOVE_DIRECTORY, 3, 4).words[0] == SB_E_SUCCESS);
    CHECK(error_of_open(directory, "file", 1) == SB_E_NOENT);
    make_directory("x");
    put_paths("x", "x/y");
    CHECK(CALL(SB_WASI_PATH_RENAME, 3, 1, 3, 3).words[0] == SB_E_INVAL); /* into itself */
}

static void grants(void)
{
    static const char text[] = "p\0clocks=off\0random=off\0files=4\0bytes=2048\0dir=/data\0dir=../x\0nonsense";
    memcpy(launches[0].text, text, sizeof text);
    launches[0].argc = 1;
    launches[0].envc = 0;
    launches[0].grantc = 7;
    launches[0].text_size = sizeof text;
    launches[0].generation++;
    CHECK(CALL(SB_WASI_CLOCK_TIME_GET, 1, 0).words[0] == SB_E_NOTCAPABLE);
    CHECK(slots[0].counters.refused == 2);
    CHECK(CALL(SB_WASI_RANDOM_GET, 8).words[0] == SB_E_NOTCAPABLE);
    CHECK(CALL(SB_WASI_FD_PRESTAT_GET, 3).words[0] == SB_E_SUCCESS);
    CHECK(CALL(SB_WASI_FD_PRESTAT_GET, 4).words[0] == SB_E_BADF);
    struct sb_message answer = CALL(SB_WASI_FD_PRESTAT_DIR_NAME, 3, 64);
    CHECK(answer.words[1] == 5 && memcmp(io[0], "/data", 5) == 0);
    CHECK(error_of_open(3, "f", 1) == SB_E_MFILE);
    CHECK(CALL(SB_WASI_FD_CLOSE, 0).words[0] == SB_E_SUCCESS);
    uint64_t file = must_open(3, "f", 1);
    answer = CALL(SB_WASI_FD_WRITE, file, 5000);
    CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[1] == 2048);
    CHECK(CALL(SB_WASI_FD_WRITE, file, 1).words[0] == SB_E_NOSPC);
}

/* Starts slot 0 anew with these grants, NUL-terminated each and one more NUL at the end. */
static void start_with(const char *grants)
{
    uint32_t size = 2;
    launches[0].argc = 1;
    launches[0].envc = launches[0].grantc = 0;
    memcpy(launches[0].text, "p", 2);
    for (; *grants != 0; grants += strlen(grants) + 1) {
        memcpy(launches[0].text + size, grants, strlen(grants) + 1);
        size += (uint32_t)strlen(grants) + 1;
        launches[0].grantc++;
    }
    launches[0].text_size = size;
    launches[0].generation++;
}

static void output_rate(void)
{
    start_with("output=100\0");
    memset(io[0], 'x', 300);
    struct sb_message answer = CALL(SB_WASI_FD_WRITE, 1, 300);
    CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[1] == 100); /* a second's worth at once */
    CHECK(CALL(SB_WASI_FD_WRITE, 2, 300).words[0] == SB_PENDING);     /* both streams together */
    CHECK(wake_ns[0] > now_ns && wake_ns[0] <= now_ns + 10000001);
    now_ns = wake_ns[0];
    answer = CALL(SB_WASI_FD_WRITE, 2, 300);
    CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[1] == 1);
    now_ns += UINT64_C(500000000);
    answer = CALL(SB_WASI_FD_WRITE, 1, 300);
    CHECK(answer.words[1] == 50);
    now_ns += UINT64_C(5000000000);
    CHECK(CALL(SB_WASI_FD_WRITE, 1, 300).words[1] == 100); /* what was not used is not saved up */
    CHECK(CALL(SB_WASI_FD_FDSTAT_SET_FLAGS, 1, 4).words[0] == SB_E_SUCCESS);
    CHECK(CALL(SB_WASI_FD_WRITE, 1, 300).words[0] == SB_E_AGAIN);
    start_with("output=0\0");
    CHECK(CALL(SB_WASI_FD_WRITE, 1, 1).words[0] == SB_E_NOTCAPABLE);
}

static void resolution(void)
{
    start_with("resolution=1000000\0");
    now_ns = 7654321;
    CHECK(CALL(SB_WASI_CLOCK_RES_GET, 1).words[1] == 1000000);
    CHECK(CALL(SB_WASI_CLOCK_TIME_GET, 1, 1).words[1] == 7000000);
    CHECK(CALL(SB_WASI_CLOCK_TIME_GET, 0, 1).words[1] == 12000000);
    put_subscription(0, 1, 0, 1, 10, 0); /* 10 ns from now: the clock's next step */
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 48, 32).words[0] == SB_PENDING);
    CHECK(wake_ns[0] == 8000000);
    start_with("resolution=1\0");
    CHECK(CALL(SB_WASI_CLOCK_TIME_GET, 1, 1).words[1] == 7654321);
}

static struct sb_mail_end agent_down(void)
{
    struct sb_mail *mail = &mails[0];
    return (struct sb_mail_end){.head = &mail->down_head, .tail = &mail->down_tail, .data = mail->down,
                                .own = mail->down_head};
}

/* What the agent says; `run` is the slot's. */
static void say(uint8_t kind, uint8_t channel, uint16_t aux, const void *body, uint32_t size)
{
    struct sb_mail_end end = agent_down();
    struct sb_mail_head head = {kind, channel, aux, slots[0].generation};
    CHECK(sb_mail_put(&end, &head, sizeof head, body, size));
    (void)sb_wasi_slot_mail(&slots[0]);
}

/* The next record of the module's; the size of its body. */
static uint32_t hear(uint8_t kind, uint8_t channel, uint8_t *body)
{
    static uint32_t own;
    struct sb_mail *mail = &mails[0];
    struct sb_mail_end end = {.head = &mail->up_head, .tail = &mail->up_tail, .data = mail->up, .own = own};
    uint8_t record[SB_MAIL_MAX];
    uint16_t size;
    struct sb_mail_head head;
    CHECK(sb_mail_peek(&end, 0, &size) && size >= sizeof head);
    sb_mail_copy_out(mail->up, own + 2, record, size);
    memcpy(&head, record, sizeof head);
    CHECK(head.kind == kind && head.channel == channel && head.run == slots[0].generation);
    memcpy(body, record + sizeof head, size - sizeof head);
    sb_mail_drop(&end, size + 2u);
    own = end.own;
    (void)sb_wasi_slot_mail(&slots[0]);
    return size - (uint32_t)sizeof head;
}

static void topics(void)
{
    uint8_t body[SB_MAIL_MAX];
    const uint32_t credit = 5000;
    start_with("publish=a/+/c\0subscribe=in/#\0");
    CHECK(error_of_open(3, "out/a/c", 1) == SB_E_NOTCAPABLE);
    CHECK(error_of_open(3, "out/a/b/c/d", 1) == SB_E_NOTCAPABLE);
    CHECK(error_of_open(3, "in/a/b/c", 0) == SB_E_NOTCAPABLE);
    CHECK(error_of_open(3, "in", 0) == SB_E_NOENT);
    uint64_t out = must_open(3, "out/a/b/c", 1);
    uint64_t in = must_open(3, "in/in", 0); /* "in/#" is "in" as well */
    CHECK(hear(SB_MAIL_HELLO, 0, body) == 0);
    CHECK(hear(SB_MAIL_OPEN, 0, body) == 4 + 5 && memcmp(body + 4, "a/b/c", 5) == 0);
    CHECK(hear(SB_MAIL_OPEN, 1, body) == 4 + 2);
    memcpy(io[0], "hello", 5);
    CHECK(CALL(SB_WASI_FD_WRITE, out, 5).words[0] == SB_PENDING); /* nobody has answered */
    say(SB_MAIL_OPENED, 0, 0, &credit, 4);
    say(SB_MAIL_OPENED, 1, 0, &credit, 4);
    CHECK(CALL(SB_WASI_FD_WRITE, out, 5).words[1] == 5);
    CHECK(hear(SB_MAIL_DATA, 0, body) == 5 && memcmp(body, "hello", 5) == 0);
    memset(io[0], 'y', SB_MAIL_DATA_MAX);
    CHECK(CALL(SB_WASI_FD_WRITE, out, SB_MAIL_DATA_MAX).words[1] == SB_MAIL_DATA_MAX);
    CHECK(CALL(SB_WASI_FD_WRITE, out, SB_MAIL_DATA_MAX).words[0] == SB_PENDING); /* no credit for another */
    CHECK(CALL(SB_WASI_FD_WRITE, out, SB_MAIL_DATA_MAX + 1).words[0] == SB_E_MSGSIZE);
    CHECK(hear(SB_MAIL_DATA, 0, body) == SB_MAIL_DATA_MAX);
    say(SB_MAIL_CREDIT, 0, 0, &credit, 4);
    CHECK(CALL(SB_WASI_FD_WRITE, out, 1).words[1] == 1 && hear(SB_MAIL_DATA, 0, body) == 1);

    CHECK(CALL(SB_WASI_FD_READ, in, 100).words[0] == SB_PENDING);
    put_subscription(0, 9, 1, (uint32_t)in, 0, 0);
    CHECK(CALL(SB_WASI_POLL_ONEOFF, 48, 32).words[0] == SB_PENDING);
    say(SB_MAIL_DATA, 1, 0, "one", 3);
    say(SB_MAIL_DATA, 1, 0, "second", 6);
    put_subscription(0, 9, 1, (uint32_t)in, 0, 0);
    struct sb_message answer = CALL(SB_WASI_POLL_ONEOFF, 48, 32);
    CHECK(answer.words[0] == SB_E_SUCCESS && event_userdata(0) == 9 && io[0][16] == 3);
    CHECK(CALL(SB_WASI_FD_READ, in, 100).words[1] == 3 && memcmp(io[0], "one", 3) == 0);
    CHECK(CALL(SB_WASI_FD_READ, in, 4).words[1] == 4 && memcmp(io[0], "seco", 4) == 0);
    CHECK(CALL(SB_WASI_FD_READ, in, 4).words[1] == 2 && memcmp(io[0], "nd", 2) == 0);
    CHECK(hear(SB_MAIL_CREDIT, 1, body) == 4 && body[0] == 3 + 6 + 2 * SB_MAIL_FRAME);
    CHECK(CALL(SB_WASI_FD_CLOSE, out).words[0] == SB_E_SUCCESS && hear(SB_MAIL_CLOSE, 0, body) == 0);
    launches[0].ended = launches[0].generation;
    sb_wasi_slot_ended(&slots[0]);
    CHECK(hear(SB_MAIL_CLOSE, 1, body) == 0);
}

/* Mail that makes no sense: dropped and counted, whatever it is. */
static void hostile_mail(void)
{
    uint8_t body[SB_MAIL_MAX];
    start_with("publish=#\0subscribe=#\0");
    state = 4711;
    for (int round = 0; round < 100000; round++) {
        struct sb_mail_end end = agent_down();
        uint64_t size = draw() % 4 == 0 ? draw() % (SB_MAIL_MAX - 8) : draw() % 24;
        draw_bytes(body, (uint32_t)size);
        struct sb_mail_head head = {(uint8_t)(draw() % 10), (uint8_t)(draw() % 14),
                                    (uint16_t)(draw() % 2 == 0 ? 0 : draw()),
                                    draw() % 8 == 0 ? (uint32_t)draw() : slots[0].generation};
        if (draw() % 4 == 0) {
            const uint32_t credit = 1000;
            head.kind = SB_MAIL_OPENED;
            head.aux = 0;
            memcpy(body, &credit, 4);
            size = 4;
        }
        (void)sb_mail_put(&end, &head, draw() % 64 == 0 ? (uint32_t)draw() % 8 : sizeof head, body, (uint32_t)size);
        if (draw() % 1000 == 0) {
            mails[0].up_tail = (uint32_t)draw();
        } else {
            mails[0].up_tail = mails[0].up_head;
        }
        (void)sb_wasi_slot_mail(&slots[0]);
        switch (draw() % 8) {
        case 0:
            put_paths(draw() % 2 == 0 ? "in/x" : "out/x", "");
            (void)CALL(SB_WASI_PATH_OPEN, 3, 0, 4 + draw() % 2, 0, ~0ul, 0, draw() % 2 * 4);
            break;
        case 1:
            (void)CALL(SB_WASI_FD_CLOSE, 4 + draw() % 12);
            break;
        case 2:
            (void)CALL(SB_WASI_FD_READ, 4 + draw() % 12, draw() % 5000);
            break;
        case 3:
            (void)CALL(SB_WASI_FD_WRITE, 4 + draw() % 12, draw() % 5000);
            break;
        case 4:
            put_subscription(0, 1, (uint8_t)(1 + draw() % 2), (uint32_t)(4 + draw() % 12), 0, 0);
            (void)CALL(SB_WASI_POLL_ONEOFF, 48, 32);
            break;
        default:
            break;
        }
    }
    CHECK(slots[0].channels.broken > 1000);
}

static void arguments(void)
{
    struct sb_message answer = CALL0(SB_WASI_ARGS_SIZES_GET);
    CHECK(answer.words[0] == 0 && answer.words[1] == 2 && answer.words[2] == 11);
    answer = CALL0(SB_WASI_ARGS_GET);
    CHECK(answer.words[1] == 2 && answer.words[2] == 11 && memcmp(io[0], "name\0first", 11) == 0);
    answer = CALL0(SB_WASI_ENVIRON_GET);
    CHECK(answer.words[1] == 1 && answer.words[2] == 4 && memcmp(io[0], "K=V", 4) == 0);

    launches[0].envc = 2; /* one more than there are: nothing is believed */
    launches[0].generation++;
    answer = CALL0(SB_WASI_ARGS_SIZES_GET);
    CHECK(answer.words[0] == 0 && answer.words[1] == 0 && answer.words[2] == 0);
    launches[0].envc = 0;
    launches[0].text_size = sizeof launches[0].text + 1;
    launches[0].generation++;
    CHECK(CALL0(SB_WASI_ARGS_SIZES_GET).words[1] == 0);
}

/* A new start has its descriptors again, whatever the last one closed. */
static void restart(void)
{
    CHECK(CALL(SB_WASI_FD_CLOSE, 1).words[0] == SB_E_SUCCESS);
    CHECK(CALL(SB_WASI_FD_CLOSE, 1).words[0] == SB_E_BADF);
    CHECK(CALL(SB_WASI_FD_WRITE, 1, 1).words[0] == SB_E_BADF);
    launches[0].generation++;
    CHECK(CALL(SB_WASI_FD_WRITE, 1, 1).words[0] == SB_E_SUCCESS);
    CHECK(CALL(SB_WASI_PROC_EXIT, 7).words[0] == SB_E_SUCCESS);
    CHECK(CALL(SB_WASI_FD_WRITE, 1, 1).words[0] == SB_E_BADF);
}

static void expect_record(uint32_t *at, uint8_t stream, const char *payload, bool ends_line)
{
    uint32_t place = *at & (SB_LOG_DATA_SIZE - 1);
    struct sb_log_record header;
    memcpy(&header, rings[0].data + place, sizeof header);
    CHECK(header.stream == stream && header.size == strlen(payload) && header.ends_line == ends_line);
    for (uint32_t i = 0; i < header.size; i++) {
        CHECK(rings[0].data[(*at + 4 + i) & (SB_LOG_DATA_SIZE - 1)] == (uint8_t)payload[i]);
    }
    *at += 4 + ((header.size + 3u) & ~3u);
}

static void write_lines(void)
{
    uint32_t at = 0;
    for (int round = 0; round < 5000; round++) { /* three times around the ring */
        memcpy(io[0], "one\n\ntail of a line", 19);
        struct sb_message answer = CALL(SB_WASI_FD_WRITE, 2, 19);
        CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[1] == 19);
        expect_record(&at, SB_LOG_STDERR, "one", true);
        expect_record(&at, SB_LOG_STDERR, "", true);
        expect_record(&at, SB_LOG_STDERR, "tail of a line", false);
        CHECK(at == rings[0].head);
        rings[0].tail = at;
    }
    CHECK(at > 2 * SB_LOG_DATA_SIZE);
}

static void full_log(void)
{
    memset(io[0], 'x', SB_IO_SIZE);
    struct sb_message answer = CALL(SB_WASI_FD_WRITE, 1, SB_IO_SIZE);
    CHECK(answer.words[0] == SB_E_SUCCESS);
    CHECK(answer.words[1] == 63 * SB_LOG_MAX_RECORD); /* 63 records of 1028 bytes fit into 65536 */
    CHECK(CALL(SB_WASI_FD_WRITE, 1, SB_IO_SIZE).words[0] == SB_PENDING);
    CHECK(rings[0].waiting == 1);
    CHECK(CALL(SB_WASI_FD_WRITE, 1, SB_IO_SIZE).words[0] == SB_PENDING);
    rings[0].tail += 4 + SB_LOG_MAX_RECORD;
    answer = CALL(SB_WASI_FD_WRITE, 1, SB_IO_SIZE);
    CHECK(answer.words[0] == SB_E_SUCCESS && answer.words[1] == SB_LOG_MAX_RECORD);
    rings[0].tail = rings[0].head + 4; /* a reader that lies is a full ring, not a crash */
    CHECK(CALL(SB_WASI_FD_WRITE, 1, 1).words[0] == SB_PENDING);
}

/* RFC 8439, appendix A.1, test vector 2: zero key, counter 1, and the erased key after it. */
static void chacha(void)
{
    static const uint8_t expected[64] = {
        0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a, 0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d,
        0xcb, 0x0f, 0x29, 0xa0, 0x48, 0xe3, 0x65, 0x69, 0x12, 0xc6, 0x53, 0x3e, 0x32, 0xee, 0x7a, 0xed,
        0x29, 0xb7, 0x21, 0x76, 0x9c, 0xe6, 0x4e, 0x43, 0xd5, 0x71, 0x33, 0xb0, 0x74, 0xd8, 0x39, 0xd5,
        0x31, 0xed, 0x1f, 0x28, 0x51, 0x0a, 0xfb, 0x45, 0xac, 0xe1, 0x0a, 0x1f, 0x4b, 0x79, 0x4d, 0x6f};
    static const uint8_t key_after[4] = {0x76, 0xb8, 0xe0, 0xad}; /* vector 1 begins so */
    struct sb_random random = {{0}};
    uint8_t out[64], again[64];
    sb_random_bytes(&random, out, sizeof out);
    CHECK(memcmp(out, expected, sizeof out) == 0);
    CHECK(memcmp(random.key, key_after, sizeof key_after) == 0);
    sb_random_bytes(&random, again, sizeof again);
    CHECK(memcmp(out, again, sizeof out) != 0);
    struct sb_random seeded = {{0}};
    uint8_t seed[32] = {1};
    sb_random_seed(&seeded, seed);
    sb_random_bytes(&seeded, again, sizeof again);
    CHECK(memcmp(out, again, sizeof out) != 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"refused", refused},         {"poll_clocks", poll_clocks}, {"poll_mixed", poll_mixed}, {"arguments", arguments},
        {"containment", containment}, {"read_only", read_only},     {"full_tree", full_tree},
        {"unlinked", unlinked},       {"grants", grants},           {"restart", restart},       {"write_lines", write_lines},
        {"full_log", full_log},       {"chacha", chacha},           {"topics", topics},         {"output_rate", output_rate},
        {"resolution", resolution},   {"hostile_mail", hostile_mail},
    };
    CHECK(argc >= 2);
    set_up();
    if (strcmp(argv[1], "hostile") == 0) {
        CHECK(argc == 4);
        hostile(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
        return 0;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    }
    (void)fprintf(stderr, "no case %s\n", argv[1]);
    return 1;
}
