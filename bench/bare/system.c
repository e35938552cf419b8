/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that a static musl program of the bench makes, answered on a bare machine: console and files through
 * semihosting (Arm, "Semihosting for AArch32 and AArch64", 2.0), memory from one block that only grows, time from the
 * generic timer. Anything else is answered with ENOSYS. One thread, no signals. Built without floating point, so that
 * the registers of the program survive.
 */
#include <stddef.h>
#include <stdint.h>

enum semihosting { SYS_OPEN = 1, SYS_CLOSE, SYS_WRITE = 5, SYS_READ, SYS_SEEK = 10, SYS_FLEN = 12, SYS_GET_CMDLINE = 0x15, SYS_EXIT = 0x18 };
enum linux_call {
    CALL_IOCTL = 29,
    CALL_OPENAT = 56,
    CALL_CLOSE = 57,
    CALL_LSEEK = 62,
    CALL_READ = 63,
    CALL_WRITE = 64,
    CALL_READV = 65,
    CALL_WRITEV = 66,
    CALL_EXIT = 93,
    CALL_EXIT_GROUP = 94,
    CALL_SET_TID_ADDRESS = 96,
    CALL_CLOCK_GETTIME = 113,
    CALL_BRK = 214,
    CALL_MUNMAP = 215,
    CALL_MMAP = 222,
    CALL_MPROTECT = 226,
    CALL_MADVISE = 233,
};
enum { ERROR_BADF = 9, ERROR_NOMEM = 12, ERROR_NOENT = 2, ERROR_NOTTY = 25, ERROR_NOSYS = 38 };
enum { AT_NULL = 0, AT_PAGESZ = 6, AT_RANDOM = 25 };

#define FILES 8
#define FIRST_FILE 3 /* 0 stdin, 1 stdout, 2 stderr */
#define MEMORY_END UINT64_C(0x58000000) /* of 512 MiB from 0x40000000, less what nobody needs */
#define ARGUMENTS 16

struct vector {
    uint64_t at, size;
};

struct open_file {
    int64_t handle;
    uint64_t position;
    int used;
};

extern char _end[]; /* the linker's: first byte after .bss */

static struct open_file files[FILES];
static int64_t console_in = -1, console_out = -1;
static uint64_t memory_next;
static char command_line[1024];

uint64_t bare_arguments(uint64_t stack_top);
int64_t bare_syscall(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t number);
void bare_report_fault(uint64_t syndrome, uint64_t pc, uint64_t address);
void bare_unexpected(uint64_t which);

static int64_t semihost(enum semihosting operation, const void *block) {
    register uint64_t x0 __asm__("x0") = operation;
    register const void *x1 __asm__("x1") = block;
    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    return (int64_t)x0;
}

static uint64_t length(const char *s) {
    uint64_t n = 0;
    while (s[n] != 0)
        n++;
    return n;
}

static int64_t host_open(const char *path, uint64_t mode) {
    const uint64_t block[3] = {(uintptr_t)path, mode, length(path)};
    return semihost(SYS_OPEN, block);
}

/* Bytes moved; semihosting answers with the bytes that were not. */
static int64_t host_move(enum semihosting operation, int64_t handle, uint64_t at, uint64_t size) {
    const uint64_t block[3] = {(uint64_t)handle, at, size};
    return (int64_t)size - semihost(operation, block);
}

static void open_console(void) {
    if (console_out < 0) {
        console_in = host_open(":tt", 0);
        console_out = host_open(":tt", 4);
    }
}

static _Noreturn void leave(uint64_t code) {
    const uint64_t block[2] = {0x20026 /* ADP_Stopped_ApplicationExit */, code};
    for (;;)
        semihost(SYS_EXIT, block);
}

static void say(const char *text) {
    open_console();
    host_move(SYS_WRITE, console_out, (uintptr_t)text, length(text));
}

static void say_hex(uint64_t value) {
    char text[18] = " ";
    for (int i = 0; i < 16; i++)
        text[1 + i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    text[17] = 0;
    say(text);
}

void bare_report_fault(uint64_t syndrome, uint64_t pc, uint64_t address) {
    say("error fault");
    say_hex(syndrome);
    say_hex(pc);
    say_hex(address);
    say("\n");
    leave(1);
}

void bare_unexpected(uint64_t which) {
    say("error unexpected exception");
    say_hex(which);
    say("\n");
    leave(1);
}

/* The stack as a Linux program finds it (System V ABI, AArch64): argc, argv, NULL, environment, NULL, auxv. */
uint64_t bare_arguments(uint64_t stack_top) {
    static const uint8_t random_bytes[16] = {1};
    const uint64_t block[2] = {(uintptr_t)command_line, sizeof command_line - 1};
    uint64_t arguments[ARGUMENTS], count = 0;
    memory_next = ((uintptr_t)_end + 0xffff) & ~UINT64_C(0xffff);
    if (semihost(SYS_GET_CMDLINE, block) != 0)
        command_line[0] = 0;
    for (char *p = command_line; *p != 0 && count < ARGUMENTS;) {
        arguments[count++] = (uintptr_t)p;
        while (*p != 0 && *p != ' ')
            p++;
        if (*p == ' ')
            *p++ = 0;
    }
    uint64_t *at = (uint64_t *)(stack_top - 512);
    uint64_t *next = at;
    *next++ = count;
    for (uint64_t i = 0; i < count; i++)
        *next++ = arguments[i];
    *next++ = 0; /* argv ends */
    *next++ = 0; /* no environment */
    *next++ = AT_PAGESZ, *next++ = 4096;
    *next++ = AT_RANDOM, *next++ = (uintptr_t)random_bytes;
    *next++ = AT_NULL, *next++ = 0;
    return (uintptr_t)at;
}

static struct open_file *file_of(uint64_t number) {
    uint64_t index = number - FIRST_FILE;
    return index < FILES && files[index].used ? &files[index] : NULL;
}

static int64_t move(enum semihosting operation, uint64_t number, uint64_t at, uint64_t size) {
    open_console();
    if (number == 0 && operation == SYS_READ)
        return host_move(SYS_READ, console_in, at, size);
    if ((number == 1 || number == 2) && operation == SYS_WRITE)
        return host_move(SYS_WRITE, console_out, at, size);
    struct open_file *file = file_of(number);
    if (file == NULL)
        return -ERROR_BADF;
    int64_t moved = host_move(operation, file->handle, at, size);
    file->position += (uint64_t)moved;
    return moved;
}

static int64_t move_vectors(enum semihosting operation, uint64_t number, const struct vector *vectors, uint64_t count) {
    int64_t total = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (vectors[i].size == 0)
            continue;
        int64_t moved = move(operation, number, vectors[i].at, vectors[i].size);
        if (moved < 0)
            return moved;
        total += moved;
        if (number == 0 || (uint64_t)moved < vectors[i].size)
            break; /* a console gives what it has; asking again would wait */
    }
    return total;
}

static int64_t open_file(const char *path) {
    for (int i = 0; i < FILES; i++) {
        if (files[i].used)
            continue;
        files[i].handle = host_open(path, 1 /* rb */);
        if (files[i].handle < 0)
            return -ERROR_NOENT;
        files[i].used = 1;
        files[i].position = 0;
        return i + FIRST_FILE;
    }
    return -ERROR_NOMEM;
}

static int64_t seek(uint64_t number, int64_t offset, uint64_t whence) {
    struct open_file *file = file_of(number);
    if (file == NULL)
        return -ERROR_BADF;
    const uint64_t handle = (uint64_t)file->handle;
    int64_t base = whence == 0 ? 0 : whence == 1 ? (int64_t)file->position : semihost(SYS_FLEN, &handle);
    const uint64_t block[2] = {handle, (uint64_t)(base + offset)};
    if (base < 0 || base + offset < 0 || semihost(SYS_SEEK, block) != 0)
        return -ERROR_BADF;
    file->position = block[1];
    return (int64_t)file->position;
}

static int64_t close_file(uint64_t number) {
    struct open_file *file = file_of(number);
    if (file == NULL)
        return -ERROR_BADF;
    const uint64_t handle = (uint64_t)file->handle;
    file->used = 0;
    return semihost(SYS_CLOSE, &handle);
}

static int64_t take_memory(uint64_t size) {
    size = (size + 0xfff) & ~UINT64_C(0xfff);
    if (size > MEMORY_END - memory_next)
        return -ERROR_NOMEM;
    uint64_t at = memory_next;
    memory_next += size;
    return (int64_t)at;
}

static int64_t tell_time(uint64_t *seconds_nanoseconds) {
    uint64_t ticks, frequency;
    __asm__ volatile("isb; mrs %0, cntpct_el0" : "=r"(ticks));
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    seconds_nanoseconds[0] = ticks / frequency;
    seconds_nanoseconds[1] = ticks % frequency * 1000000000u / frequency;
    return 0;
}

int64_t bare_syscall(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t number) {
    (void)d;
    (void)e;
    (void)f;
    switch ((enum linux_call)number) {
    case CALL_READ:
        return move(SYS_READ, a, b, c);
    case CALL_WRITE:
        return move(SYS_WRITE, a, b, c);
    case CALL_READV:
        return move_vectors(SYS_READ, a, (const struct vector *)b, c);
    case CALL_WRITEV:
        return move_vectors(SYS_WRITE, a, (const struct vector *)b, c);
    case CALL_OPENAT:
        return open_file((const char *)b);
    case CALL_CLOSE:
        return close_file(a);
    case CALL_LSEEK:
        return seek(a, (int64_t)b, c);
    case CALL_MMAP:
        return take_memory(b);
    case CALL_MUNMAP:
    case CALL_MPROTECT:
    case CALL_MADVISE:
        return 0;
    case CALL_CLOCK_GETTIME:
        return tell_time((uint64_t *)b);
    case CALL_SET_TID_ADDRESS:
        return 1;
    case CALL_IOCTL:
        return -ERROR_NOTTY;
    case CALL_BRK:
        return 0; /* the break never moves: malloc takes everything from mmap */
    case CALL_EXIT:
    case CALL_EXIT_GROUP:
        leave(a);
    }
    return -ERROR_NOSYS;
}
