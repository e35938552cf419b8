/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wasel-sim: the host simulator's program. qemu/sim.py starts it; docs/simulator.md describes it.
 *
 *   wasel-sim --domains FOLDER --digest TEXT --uart FD [--client FD] [--wait] [--time real|virtual] [--seed N]
 *             [--rtc SECONDS] [--record FILE | --replay FILE] [--flash FILE [--cut N[:before|half|after]]]
 *
 * Signals: SIGTERM and SIGINT end it with 0, SIGHUP is the reset button (the program starts anew, clients stay
 * connected), SIGKILL a power cut. Exit 70: it said why on stderr; 75: the power went as --cut asked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

enum { EXIT_BUG = 70, EXIT_BAD_USE = 64 };

struct sim sim;

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    /* Faults are the domains' and the engines' traps; each domain has variables of the same names. */
    return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:use_sigaltstack=0:"
           "detect_odr_violation=0:detect_stack_use_after_return=0";
}

void sim_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("wasel-sim: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    sim_record_flush();
    _exit(EXIT_BUG);
}

static void on_end(int number)
{
    (void)number;
    sim.ending = 1;
}

static void on_reset(int number)
{
    (void)number;
    sim.reset = 1;
}

static __attribute__((noreturn)) void bad_use(const char *what, const char *value)
{
    (void)fprintf(stderr, "wasel-sim: %s %s: see qemu/simulator/main.c\n", what, value);
    exit(EXIT_BAD_USE);
}

static uint64_t number(const char *option, const char *text)
{
    char *rest;
    errno = 0;
    unsigned long long value = strtoull(text, &rest, 10);
    if (errno != 0 || rest == text || *rest != 0) {
        bad_use(option, text);
    }
    return value;
}

static void set_cut(const char *text)
{
    static const char *const phases[] = {":before", ":half", ":after"};
    char *rest;
    sim.options.cut_at = strtoull(text, &rest, 10);
    for (int i = 0; i < 3; i++) {
        if (strcmp(rest, phases[i]) == 0) {
            sim.options.cut_phase = i;
            return;
        }
    }
    if (rest == text || *rest != 0) {
        bad_use("--cut", text);
    }
}

static void set_time(const char *text)
{
    sim.options.virtual_time = strcmp(text, "virtual") == 0;
    if (!sim.options.virtual_time && strcmp(text, "real") != 0) {
        bad_use("--time", text);
    }
}

static void set_option(const char *name, const char *value)
{
    struct sim_options *options = &sim.options;
    if (strcmp(name, "--domains") == 0) {
        options->folder = value;
    } else if (strcmp(name, "--digest") == 0) {
        options->digest = value;
    } else if (strcmp(name, "--uart") == 0) {
        options->uart = (int)number(name, value);
    } else if (strcmp(name, "--client") == 0) {
        options->client = (int)number(name, value);
    } else if (strcmp(name, "--time") == 0) {
        set_time(value);
    } else if (strcmp(name, "--seed") == 0) {
        options->seeded = true;
        options->seed = number(name, value);
    } else if (strcmp(name, "--rtc") == 0) {
        options->rtc_given = true;
        options->rtc = (uint32_t)number(name, value);
    } else if (strcmp(name, "--record") == 0) {
        options->record = value;
    } else if (strcmp(name, "--replay") == 0) {
        options->replay = value;
    } else if (strcmp(name, "--flash") == 0) {
        options->flash = value;
    } else if (strcmp(name, "--cut") == 0) {
        set_cut(value);
    } else {
        bad_use("unknown option", name);
    }
}

static void read_options(char **argv)
{
    sim.options.uart = sim.options.client = -1;
    sim.options.digest = "-";
    for (char **argument = argv + 1; *argument != NULL; argument++) {
        if (strcmp(*argument, "--wait") == 0) {
            sim.options.wait = true;
            continue;
        }
        if (argument[1] == NULL) {
            bad_use("no value for", *argument);
        }
        set_option(argument[0], argument[1]);
        argument++;
    }
    if (sim.options.folder == NULL) {
        bad_use("missing option", "--domains");
    }
}

/* The process becomes a new simulator with the same sockets: what a reset button does to everything but flash. */
static void start_anew(char **argv)
{
    static char client[16];
    static char *arguments[64];
    size_t count = 0;
    int fd = sim_uart_client();
    if (sim.options.record != NULL) {
        sim_fail("a recording ends at a reset");
    }
    for (char **argument = argv; *argument != NULL && count < 60; argument++) {
        if (strcmp(*argument, "--client") == 0) {
            argument++;
        } else if (strcmp(*argument, "--wait") != 0) {
            arguments[count++] = *argument;
        }
    }
    if (fd >= 0 && fd != sim.options.uart) {
        (void)fcntl(fd, F_SETFD, 0);
        (void)snprintf(client, sizeof client, "%d", fd);
        arguments[count++] = (char[]){"--client"};
        arguments[count++] = client;
    }
    (void)execv("/proc/self/exe", arguments);
    sim_fail("cannot start anew: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    (void)argc;
    read_options(argv);
    struct sigaction ending = {.sa_handler = on_end};
    struct sigaction reset = {.sa_handler = on_reset};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)sigaction(SIGTERM, &ending, NULL);
    (void)sigaction(SIGINT, &ending, NULL);
    (void)sigaction(SIGHUP, &reset, NULL);
    sim_record_init();
    sim_clock_init();
    sim_map_all();
    sim_load();
    sim_catch_faults();
    sim_uart_init();
    sim_run();
    sim_uart_flush();
    sim_record_event(SIM_EVENT_END, 0, NULL, 0);
    sim_record_flush();
    sim_flash_end();
    if (sim.reset) {
        start_anew(argv);
    }
    return 0;
}
