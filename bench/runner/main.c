/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine as a peer of the bench: the line protocol described in bench/worker.py, on stdin and stdout.
 *
 * Contract: a module loaded under a name stays until the process ends; reading files and making memory ready is not
 * timed. Runs on Linux and, with bench/bare, on a bare machine. Not for untrusted modules: a fault ends the process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

#define NAME_BYTES 32
#define MODULES 64

struct file {
    uint8_t *bytes;
    size_t size;
};

struct loaded {
    char name[NAME_BYTES];
    struct bench_module *module;
};

static struct loaded modules[MODULES];
static size_t module_count;

static uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The caller frees bytes; NULL if the file can't be read. */
static struct file read_file(const char *path) {
    struct file file = {NULL, 0};
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        return file;
    if (fseek(stream, 0, SEEK_END) == 0) {
        long size = ftell(stream);
        rewind(stream);
        if (size > 0 && (file.bytes = malloc((size_t)size)) != NULL)
            file.size = fread(file.bytes, 1, (size_t)size, stream);
    }
    fclose(stream);
    return file;
}

static struct bench_module *find(const char *name) {
    for (size_t i = 0; i < module_count; i++)
        if (strcmp(modules[i].name, name) == 0)
            return modules[i].module;
    return NULL;
}

static void do_load(const char *name, const char *path) {
    struct file file = read_file(path);
    struct bench_module *module = bench_prepare();
    char error[ERROR_BYTES] = "";
    if (file.bytes == NULL || module == NULL || module_count == MODULES) {
        printf("error no such file, or no room for it: %s\n", path);
        return;
    }
    uint64_t begin = now_ns(CLOCK_MONOTONIC);
    bool good = bench_load(module, path, file.bytes, file.size, error);
    uint64_t end = now_ns(CLOCK_MONOTONIC);
    if (!good) {
        printf("error %s\n", error);
        return;
    }
    snprintf(modules[module_count].name, NAME_BYTES, "%s", name);
    modules[module_count++].module = module;
    printf("ok %llu\n", (unsigned long long)(end - begin));
}

static void do_run(const char *name, const char *rounds) {
    struct bench_module *module = find(name);
    int32_t count = (int32_t)strtol(rounds, NULL, 10);
    int64_t result = 0;
    char error[ERROR_BYTES] = "";
    if (module == NULL) {
        printf("error nothing is loaded as %s\n", name);
        return;
    }
    uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
    bool good = bench_run(module, count, &result, error);
    uint64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID);
    if (good)
        printf("ok %llu %lld\n", (unsigned long long)(end - begin), (long long)result);
    else
        printf("error %s\n", error);
}

static void do_startup(const char *path, const char *count, const char *rounds) {
    struct file file = read_file(path);
    struct bench_module *module = bench_prepare();
    char error[ERROR_BYTES] = "";
    long starts = strtol(count, NULL, 10);
    int32_t calls = rounds != NULL ? (int32_t)strtol(rounds, NULL, 10) : 0;
    int64_t result;
    uint64_t *times = calloc(starts > 0 ? (size_t)starts : 1, sizeof *times);
    if (file.bytes == NULL || module == NULL || times == NULL || starts < 1) {
        printf("error no such file, or no room for it: %s\n", path);
        return;
    }
    bool good = true;
    for (long i = 0; good && i < starts; i++) {
        uint64_t begin = now_ns(CLOCK_MONOTONIC);
        good = bench_load(module, path, file.bytes, file.size, error);
        if (good && calls > 0)
            good = bench_run(module, calls, &result, error);
        if (good)
            bench_unload(module);
        times[i] = now_ns(CLOCK_MONOTONIC) - begin;
    }
    if (good) {
        printf("ok");
        for (long i = 0; i < starts; i++)
            printf(" %llu", (unsigned long long)times[i]);
        printf("\n");
    } else {
        printf("error %s\n", error);
    }
    bench_forget(module);
    free(times);
    free(file.bytes);
}

static void do_usage(const char *name) {
    const struct bench_module *module = find(name);
    char text[256] = "";
    if (module == NULL) {
        printf("error nothing is loaded as %s\n", name);
        return;
    }
    bench_usage(module, text, sizeof text);
    printf("ok %s\n", text);
}

int main(int argc, char **argv) {
    static char line[4096];
    if (!bench_options(argc - 1, argv + 1)) {
        fprintf(stderr, "bench runner: unknown option\n");
        return 2;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *command = strtok(line, " \n"), *first = strtok(NULL, " \n"), *second = strtok(NULL, " \n");
        if (command != NULL && strcmp(command, "version") == 0)
            printf("ok %s\n", bench_version());
        else if (command != NULL && strcmp(command, "usage") == 0 && first != NULL)
            do_usage(first);
        else if (command == NULL || first == NULL || second == NULL)
            printf("error no such command\n");
        else if (strcmp(command, "load") == 0)
            do_load(first, second);
        else if (strcmp(command, "run") == 0)
            do_run(first, second);
        else if (strcmp(command, "startup") == 0)
            do_startup(first, second, strtok(NULL, " \n"));
        else
            printf("error no such command\n");
        fflush(stdout);
    }
    return 0;
}
