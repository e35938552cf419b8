/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine as a peer of the bench: the line protocol described in bench/worker.py, on stdin and stdout.
 *
 * usage: runner [--fuel] [--arena BYTES]
 * Contract: each loaded module has an arena of its own with the guard behind it, and stays until the process ends; only
 * the engine's own work is timed, the mapping of the arena and the reading of the file are not. A fault in the guard
 * ends the process: no kernel traps. WASI imports are answered as in worker.py, any other import is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "edge_engine.h"

#define NAME_BYTES 32
#define MODULES 64
#define DEFAULT_ARENA (4u * 1024 * 1024)
#define FUEL (UINT64_C(1) << 62)

struct file {
    uint8_t *bytes;
    size_t size;
};

struct loaded {
    char name[NAME_BYTES];
    struct ee_instance *instance;
    uint32_t run;
};

static struct loaded modules[MODULES];
static size_t module_count;
static bool metered;
static size_t arena_size = DEFAULT_ARENA;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Reserves arena and guard, and makes the arena usable; NULL if the address space is not there. */
static void *map_arena(void) {
    void *at = mmap(NULL, arena_size + EE_GUARD_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    return mprotect(at, arena_size, PROT_READ | PROT_WRITE) == 0 ? at : NULL;
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

static enum ee_trap wasi_zeros(struct ee_instance *instance, void *context, const uint64_t *args, uint64_t *results) {
    (void)context;
    for (int i = 0; i < 2; i++) {
        uint8_t *at = ee_memory_at(instance, (uint32_t)args[i], 4);
        if (at == NULL)
            return EE_TRAP_HOST;
        memset(at, 0, 4);
    }
    results[0] = 0;
    return EE_TRAP_NONE;
}

static enum ee_trap wasi_fd_write(struct ee_instance *instance, void *context, const uint64_t *args, uint64_t *results) {
    (void)context;
    uint32_t count = (uint32_t)args[2], total = 0;
    const uint8_t *vectors = ee_memory_at(instance, (uint32_t)args[1], (uint64_t)count * 8);
    uint8_t *written = ee_memory_at(instance, (uint32_t)args[3], 4);
    if (vectors == NULL || written == NULL)
        return EE_TRAP_HOST;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size;
        memcpy(&size, vectors + 8 * i + 4, 4);
        total += size;
    }
    memcpy(written, &total, 4);
    results[0] = 0;
    return EE_TRAP_NONE;
}

/* context: the errno to answer. */
static enum ee_trap wasi_constant(struct ee_instance *instance, void *context, const uint64_t *args, uint64_t *results) {
    (void)instance;
    (void)args;
    results[0] = (uint64_t)(uintptr_t)context;
    return EE_TRAP_NONE;
}

static enum ee_trap wasi_exit(struct ee_instance *instance, void *context, const uint64_t *args, uint64_t *results) {
    (void)instance;
    (void)context;
    (void)args;
    (void)results;
    return EE_TRAP_EXIT;
}

static bool is_name(struct ee_name name, const char *text) {
    return name.size == strlen(text) && memcmp(name.bytes, text, name.size) == 0;
}

static bool resolve(void *context, const struct ee_import_request *request, struct ee_import *import) {
    static const struct {
        const char *name;
        ee_host_fn function;
        uintptr_t error;
    } calls[] = {
        {"fd_write", wasi_fd_write, 0},          {"environ_sizes_get", wasi_zeros, 0},
        {"args_sizes_get", wasi_zeros, 0},       {"proc_exit", wasi_exit, 0},
        {"environ_get", wasi_constant, 0},       {"args_get", wasi_constant, 0},
        {"fd_close", wasi_constant, 0},          {"fd_seek", wasi_constant, 70},
        {"fd_fdstat_get", wasi_constant, 0},     {"fd_prestat_get", wasi_constant, 8},
        {"fd_prestat_dir_name", wasi_constant, 8}, {"fd_read", wasi_constant, 8},
    };
    (void)context;
    if (request->kind != EE_EXTERN_FUNC || !is_name(request->module, "wasi_snapshot_preview1"))
        return false;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (is_name(request->field, calls[i].name)) {
            import->function = calls[i].function;
            import->context = (void *)calls[i].error;
            return true;
        }
    return false;
}

/* Loads and starts; calls _start if there is one. False with error filled. */
static bool start(struct file file, void *arena, struct ee_instance **instance, struct ee_error *error) {
    struct ee_config config = {
        .arena = arena,
        .arena_size = arena_size,
        .metered = metered,
        .fuel = FUEL,
        .resolver = resolve,
    };
    if (ee_load(file.bytes, file.size, &config, instance, error) != EE_OK || ee_start(*instance, error) != EE_OK)
        return false;
    uint32_t entry = ee_export(*instance, EE_EXTERN_FUNC, "_start", 6);
    if (entry == EE_NO_INDEX)
        return true;
    if (ee_call(*instance, entry, NULL, 0, NULL, 0) == EE_OK || ee_instance_trap(*instance) == EE_TRAP_EXIT)
        return true;
    snprintf(error->text, sizeof error->text, "_start: %s", ee_trap_text(ee_instance_trap(*instance)));
    return false;
}

static struct loaded *find(const char *name) {
    for (size_t i = 0; i < module_count; i++)
        if (strcmp(modules[i].name, name) == 0)
            return &modules[i];
    return NULL;
}

static void do_load(const char *name, const char *path) {
    struct file file = read_file(path);
    void *arena = map_arena();
    struct ee_error error = {0};
    if (file.bytes == NULL || arena == NULL || module_count == MODULES) {
        printf("error no such file, or no room for it: %s\n", path);
        return;
    }
    struct loaded *module = &modules[module_count];
    uint64_t begin = now_ns();
    bool good = start(file, arena, &module->instance, &error);
    uint64_t end = now_ns();
    if (!good) {
        printf("error %s (offset %u, function %u)\n", error.text, error.offset, error.function);
        return;
    }
    snprintf(module->name, sizeof module->name, "%s", name);
    module->run = ee_export(module->instance, EE_EXTERN_FUNC, "run", 3);
    module_count++;
    printf("ok %llu\n", (unsigned long long)(end - begin));
}

static void do_run(const char *name, const char *rounds) {
    struct loaded *module = find(name);
    uint64_t argument = (uint32_t)strtol(rounds, NULL, 10), result = 0;
    if (module == NULL || module->run == EE_NO_INDEX) {
        printf("error nothing to run is loaded as %s\n", name);
        return;
    }
    uint64_t begin = now_ns();
    enum ee_status status = ee_call(module->instance, module->run, &argument, 1, &result, 1);
    uint64_t end = now_ns();
    if (status != EE_OK)
        printf("error %s: %s\n", ee_status_text(status), ee_trap_text(ee_instance_trap(module->instance)));
    else
        printf("ok %llu %lld\n", (unsigned long long)(end - begin), (long long)result);
}

static void do_startup(const char *path, const char *count) {
    struct file file = read_file(path);
    struct ee_error error = {0};
    long runs = strtol(count, NULL, 10);
    void *arena = map_arena();
    if (file.bytes == NULL || arena == NULL || runs < 1) {
        printf("error no such file, or no room for it: %s\n", path);
        return;
    }
    uint64_t *times = calloc((size_t)runs, sizeof *times);
    bool good = times != NULL;
    for (long i = 0; good && i < runs; i++) {
        struct ee_instance *instance;
        uint64_t begin = now_ns();
        good = start(file, arena, &instance, &error);
        times[i] = now_ns() - begin;
    }
    if (good) {
        printf("ok");
        for (long i = 0; i < runs; i++)
            printf(" %llu", (unsigned long long)times[i]);
        printf("\n");
    } else {
        printf("error %s (offset %u, function %u)\n", error.text, error.offset, error.function);
    }
    munmap(arena, arena_size + EE_GUARD_SIZE);
    free(times);
    free(file.bytes);
}

static void do_usage(const char *name) {
    struct loaded *module = find(name);
    struct ee_usage usage;
    if (module == NULL) {
        printf("error nothing is loaded as %s\n", name);
        return;
    }
    ee_instance_usage(module->instance, &usage);
    printf("ok bookkeeping=%llu memory=%llu code=%llu stack=%llu\n", (unsigned long long)usage.bookkeeping_bytes,
           (unsigned long long)usage.memory_bytes, (unsigned long long)usage.code_bytes,
           (unsigned long long)usage.stack_bytes);
}

int main(int argc, char **argv) {
    char line[4096];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--fuel") == 0)
            metered = true;
        else if (strcmp(argv[i], "--arena") == 0 && i + 1 < argc)
            arena_size = (size_t)strtoull(argv[++i], NULL, 0);
        else
            return 2;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *command = strtok(line, " \n"), *first = strtok(NULL, " \n"), *second = strtok(NULL, " \n");
        if (command != NULL && strcmp(command, "version") == 0)
            printf("ok wasel\n");
        else if (command != NULL && strcmp(command, "usage") == 0 && first != NULL)
            do_usage(first);
        else if (command == NULL || first == NULL || second == NULL)
            printf("error no such command\n");
        else if (strcmp(command, "load") == 0)
            do_load(first, second);
        else if (strcmp(command, "run") == 0)
            do_run(first, second);
        else if (strcmp(command, "startup") == 0)
            do_startup(first, second);
        else
            printf("error no such command\n");
        fflush(stdout);
    }
    return 0;
}
