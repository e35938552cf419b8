/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wasel-host: runs one module on this machine with the device's engine, stubs, messages, dispatch and WASI logic. Only
 * two things differ: a plain call stands where the protected procedure call is, and a signal handler where the
 * supervisor catches faults.
 *
 * Usage: wasel-host --arena BYTES [--stack BYTES] [--fuel N] [--tier native] [--env K=V]... [--grant TEXT]...
 *        [--trace FILE] [--refusal-fd N] FILE -- ARG0 [ARGS...]
 * Native code of the file is run only with --tier native: nothing contains it here, so whoever asks has made it.
 * Exit code: the module's; 134 a trap, its name and backtrace on stderr; 3 the module was refused; 124 out of fuel;
 * 1 this machine failed us; 2 usage.
 *
 * Internal: the command line of people is `wasel run --on host`, by sel4_bridge.host_runner, which also keeps time.
 */
#define _GNU_SOURCE
#include <edge_engine.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../edge_engine/host/guard.h"
#include "random.h"
#include "run.h"
#include "slot.h"

enum { EXIT_BROKEN = 1, EXIT_BAD_USAGE = 2, EXIT_REFUSED = 3, EXIT_FUEL = 124, EXIT_TRAP = 134 };

#define NS_PER_S UINT64_C(1000000000)

static uint8_t io[SB_IO_SIZE];
static struct sb_launch launch;
static uint8_t tree_memory[SB_TREE_SIZE] __attribute__((aligned(4096)));
static struct sb_wasi_slot slot;
static struct sb_random random_state;
static uint64_t wake_ns = UINT64_MAX;
static struct sb_bridge bridge;
#define NATIVE_STACK ((size_t)2 << 20) /* bytes of this thread's stack for native code */

static struct sb_run run;
static FILE *trace_file;
static int refusal_fd = -1;

static _Noreturn void die(int code, const char *what, const char *why)
{
    (void)fprintf(stderr, "wasel: %s: %s\n", what, why);
    exit(code);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        die(EXIT_BROKEN, "clock", strerror(errno));
    }
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t monotonic_ns(void *context)
{
    (void)context;
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t realtime_ns(void *context)
{
    (void)context;
    return clock_ns(CLOCK_REALTIME);
}

static void random_bytes(void *context, uint8_t *out, uint32_t size)
{
    (void)context;
    sb_random_bytes(&random_state, out, size);
}

static uint32_t output(void *context, uint32_t number, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size)
{
    (void)context;
    (void)number;
    int fd = stream == SB_LOG_STDOUT ? STDOUT_FILENO : STDERR_FILENO;
    ssize_t done;
    do {
        done = write(fd, bytes, size);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        die(EXIT_BROKEN, stream == SB_LOG_STDOUT ? "standard output" : "standard error", strerror(errno));
    }
    return (uint32_t)done;
}

static bool output_wake(void *context, uint32_t number)
{
    (void)context;
    (void)number;
    return true; /* write() has waited already */
}

/* One record after the other, each behind its length (2 bytes), to the file of --trace. */
static void trace(void *context, uint32_t number, const uint8_t *record, uint32_t size)
{
    (void)context;
    (void)number;
    uint16_t length = (uint16_t)size;
    if (fwrite(&length, sizeof length, 1, trace_file) != 1 || fwrite(record, size, 1, trace_file) != 1 ||
        fflush(trace_file) != 0) {
        die(EXIT_BROKEN, "trace", strerror(errno));
    }
}

static uint32_t input(void *context, uint32_t number, uint8_t *bytes, uint32_t size)
{
    (void)context;
    (void)number;
    ssize_t done;
    do {
        done = read(STDIN_FILENO, bytes, size);
    } while (done < 0 && errno == EINTR);
    return done < 0 ? 0 : (uint32_t)done; /* no standard input is an empty one */
}

static void wake_at(void *context, uint32_t number, uint64_t monotonic)
{
    (void)context;
    (void)number;
    wake_ns = monotonic;
}

static const struct sb_wasi_host host = {
    .monotonic_ns = monotonic_ns,
    .realtime_ns = realtime_ns,
    .resolution_ns = 1,
    .random = random_bytes,
    .output = output,
    .output_wake = output_wake,
    .trace = trace,
    .input = input,
    .wake_at = wake_at,
};

static void wait_for_wake(void)
{
    struct timespec until = {(time_t)(wake_ns / NS_PER_S), (long)(wake_ns % NS_PER_S)};
    if (wake_ns / NS_PER_S > (uint64_t)INT64_MAX) {
        until.tv_sec = INT64_MAX;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
    wake_ns = UINT64_MAX;
}

/* Where the device makes a protected procedure call and waits in its event loop, this waits in place. */
static void transport(void *context, struct sb_message *message)
{
    (void)context;
    const struct sb_message question = *message;
    for (;;) {
        *message = question;
        sb_wasi_serve(&slot, message);
        if (message->words[0] != SB_PENDING) {
            break;
        }
        wait_for_wake();
    }
    for (uint32_t word = message->count; word < SB_MESSAGE_WORDS; word++) {
        message->words[word] = 0;
    }
}

static uint64_t number(const char *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = text == NULL ? 0 : strtoull(text, &end, 10);
    if (text == NULL || *text < '0' || *text > '9' || *end != 0 || errno != 0) {
        die(EXIT_BAD_USAGE, option, "expects a number");
    }
    return value;
}

static uint32_t launch_strings;

static void add_string(const char *string)
{
    size_t size = strlen(string) + 1;
    if (size > sizeof launch.text - launch.text_size || ++launch_strings > SB_LAUNCH_MAX_STRINGS) {
        die(EXIT_BAD_USAGE, "arguments, environment and grants", "larger than a device's launch page (16 KiB, 256 strings)");
    }
    memcpy(launch.text + launch.text_size, string, size);
    launch.text_size += (uint32_t)size;
}

/* The values of every such option, in order; returns how many there are. */
static uint32_t add_values(const char *option, char **argv, int end)
{
    uint32_t count = 0;
    for (int i = 1; i < end; i++) {
        if (argv[i][0] != '-') {
            continue;
        }
        if (strcmp(argv[i], option) == 0) {
            add_string(argv[i + 1]);
            count++;
        }
        i++;
    }
    return count;
}

static void read_module(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        die(EXIT_BROKEN, file, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        die(EXIT_BROKEN, file, "not a file");
    }
    if ((uint64_t)status.st_size >= UINT32_MAX) {
        die(EXIT_REFUSED, file, "larger than a module can be (4 GiB)");
    }
    run.module_size = (size_t)status.st_size;
    run.module = (const uint8_t *)"";
    if (run.module_size > 0) {
        void *bytes = mmap(NULL, run.module_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            die(EXIT_BROKEN, file, strerror(errno));
        }
        run.module = bytes;
    }
    (void)close(fd);
}

/* ee_start, with the module's native code for this machine if it has some; else it says why and interprets. */
static enum ee_status start_native(struct ee_instance *instance, struct ee_error *error)
{
    struct ee_error why = {0};
    if (ee_guard_native(instance, NATIVE_STACK, &why) != EE_OK) {
        fprintf(stderr, "wasel: native code is not used: %s\n", why.text);
    }
    return ee_guard_start(instance, error);
}

/* In the launch page arguments come first, then the environment, then grants, whatever their order here. */
static const char *parse(int argc, char **argv)
{
    const char *file = NULL;
    int at = 1;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        const char *option = argv[at];
        if (option[0] != '-') {
            file = option;
            continue;
        }
        const char *value = at + 1 < argc ? argv[++at] : NULL;
        if (strcmp(option, "--arena") == 0) {
            run.arena_size = (size_t)number(option, value) & ~(size_t)4095;
        } else if (strcmp(option, "--stack") == 0) {
            run.stack_size = (size_t)number(option, value);
        } else if (strcmp(option, "--fuel") == 0) {
            run.metered = true;
            run.fuel = number(option, value);
        } else if (strcmp(option, "--tier") == 0 && value != NULL && strcmp(value, "native") == 0) {
            run.start = start_native;
        } else if (strcmp(option, "--refusal-fd") == 0) {
            refusal_fd = (int)number(option, value);
        } else if (strcmp(option, "--trace") == 0 && value != NULL) {
            trace_file = fopen(value, "wbe");
            if (trace_file == NULL) {
                die(EXIT_BROKEN, value, strerror(errno));
            }
            launch.trace = 1;
        } else if ((strcmp(option, "--env") != 0 && strcmp(option, "--grant") != 0) || value == NULL) {
            die(EXIT_BAD_USAGE, option, "unknown option, or it lacks its value");
        }
    }
    if (file == NULL || run.arena_size == 0) {
        die(EXIT_BAD_USAGE, "usage", "wasel-host --arena BYTES [OPTION VALUE]... FILE -- ARG0 [ARGS...]");
    }
    for (int i = at + 1; i < argc; i++) {
        add_string(argv[i]);
        launch.argc++;
    }
    launch.envc = add_values("--env", argv, at);
    launch.grantc = add_values("--grant", argv, at);
    launch.generation = 1;
    return file;
}

static int finish(const char *file)
{
    switch (run.state) {
    case SB_ENGINE_EXITED:
        return run.exit_code != 0 && (run.exit_code & 0xff) == 0 ? 1 : (int)(run.exit_code & 0xff);
    case SB_ENGINE_REFUSED:
        if (refusal_fd >= 0) { /* for our caller, who knows what to do about it */
            (void)dprintf(refusal_fd, "%s", run.text);
            exit(EXIT_REFUSED);
        }
        die(EXIT_REFUSED, file, run.text);
    default:
        if (run.trap == EE_TRAP_FUEL_EXHAUSTED) {
            (void)fprintf(stderr, "wasel: fuel exhausted\n");
            return EXIT_FUEL;
        }
        (void)fprintf(stderr, "wasel: trap: %s\n%s", run.text, run.backtrace);
        return EXIT_TRAP;
    }
}

int main(int argc, char **argv)
{
    run.start = ee_guard_start;
    const char *file = parse(argc, argv);
    read_module(file);
    uint8_t seed[32];
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        die(EXIT_BROKEN, "random seed", strerror(errno));
    }
    sb_random_seed(&random_state, seed);
    run.arena = ee_guard_map(run.arena_size);
    if (run.arena == NULL) {
        die(EXIT_BROKEN, "arena", strerror(errno));
    }
    sb_wasi_slot_init(&slot, 0, &host, io, &launch, NULL, tree_memory, sizeof tree_memory);
    bridge = (struct sb_bridge){.io = io, .transport = transport};
    run.bridge = &bridge;
    run.call = ee_guard_call;
    sb_run(&run);
    return finish(file);
}
