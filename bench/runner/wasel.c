/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wasel's engine for the bench. options: --fuel (metered), --native (modules have native code, which must run), --arena
 * BYTES (of each module).
 *
 * WASI imports are answered as bench/worker.py does for the other peers, or with ENOSYS; any other import is refused. No kernel traps,
 * so a fault is not turned into a wasm trap here. With BENCH_BARE the guard is left out for the same reason: the bare
 * machine's memory is one block.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef BENCH_BARE
#include <sys/mman.h>
#endif

#include "edge_engine.h"
#include "engine.h"

#define DEFAULT_ARENA (4u * 1024 * 1024)
#define ERRNO_NOSYS ((uintptr_t)52)
#define FUEL (UINT64_C(1) << 62)
#define NATIVE_STACK ((size_t)1 << 20)

struct bench_module {
    void *arena;
    struct ee_instance *instance;
    uint32_t run; /* function index, or EE_NO_INDEX */
};

static bool metered, native;
static size_t arena_size = DEFAULT_ARENA;

bool bench_options(int count, char **options) {
    for (int i = 0; i < count; i++) {
        if (strcmp(options[i], "--fuel") == 0)
            metered = true;
        else if (strcmp(options[i], "--native") == 0)
            native = true;
        else if (strcmp(options[i], "--arena") == 0 && i + 1 < count)
            arena_size = (size_t)strtoull(options[++i], NULL, 0);
        else
            return false;
    }
    return true;
}

const char *bench_version(void) {
    return native ? metered ? "wasel, native code, metered" : "wasel, native code"
                  : metered ? "wasel, metered"
                            : "wasel";
}

#ifdef BENCH_BARE
static void *map_arena(void) {
    return aligned_alloc(4096, arena_size);
}
static void unmap_arena(void *arena) {
    free(arena);
}
#else
/* Reserves arena and guard, and makes the arena usable; NULL if the address space is not there. */
static void *map_arena(void) {
    void *at = mmap(NULL, arena_size + EE_GUARD_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    return mprotect(at, arena_size, PROT_READ | PROT_WRITE) == 0 ? at : NULL;
}
static void unmap_arena(void *arena) {
    munmap(arena, arena_size + EE_GUARD_SIZE);
}
#endif

struct bench_module *bench_prepare(void) {
    struct bench_module *module = calloc(1, sizeof *module);
    if (module != NULL && (module->arena = map_arena()) == NULL) {
        free(module);
        return NULL;
    }
    return module;
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
        {"fd_write", wasi_fd_write, 0},      {"environ_sizes_get", wasi_zeros, 0}, {"args_sizes_get", wasi_zeros, 0},
        {"proc_exit", wasi_exit, 0},         {"environ_get", wasi_constant, 0},    {"args_get", wasi_constant, 0},
        {"fd_close", wasi_constant, 0},      {"fd_seek", wasi_constant, 70},       {"fd_fdstat_get", wasi_constant, 0},
        {"fd_prestat_get", wasi_constant, 8},
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
    import->function = wasi_constant;
    import->context = (void *)ERRNO_NOSYS;
    return request->result_count == 1;
}

#ifdef BENCH_BARE
/* All memory of the bare machine can be executed. */
static uint8_t *map_code(const uint8_t *bytes, size_t size) {
    uint8_t *code = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    if (code != NULL)
        memcpy(code, bytes, size);
    return code;
}
#else
static uint8_t *map_code(const uint8_t *bytes, size_t size) {
    uint8_t *code = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return NULL;
    memcpy(code, bytes, size);
    return mprotect(code, size, PROT_READ | PROT_EXEC) == 0 ? code : NULL;
}
#endif

/* Maps the module's native code; it stays mapped. */
static bool attach(struct ee_instance *instance, struct ee_error *why) {
    const uint8_t *bytes;
    size_t size;
    if (!ee_native_section(instance, &bytes, &size)) {
        snprintf(why->text, sizeof why->text, "no native code for this machine");
        return false;
    }
    uint8_t *code = map_code(bytes, size);
    if (code == NULL)
        return false;
    __builtin___clear_cache((char *)code, (char *)code + size);
    return ee_native_attach(instance, code, NATIVE_STACK, why) == EE_OK;
}

bool bench_load(struct bench_module *module, const char *path, const uint8_t *bytes, size_t size, char *error) {
    struct ee_config config = {
        .arena = module->arena,
        .arena_size = arena_size,
        .metered = metered,
        .fuel = FUEL,
        .resolver = resolve,
    };
    struct ee_error why = {0};
    (void)path;
    if (ee_load(bytes, size, &config, &module->instance, &why) != EE_OK ||
        (native && !attach(module->instance, &why)) || ee_start(module->instance, &why) != EE_OK) {
        snprintf(error, ERROR_BYTES, "%s (offset %u, function %u)", why.text, why.offset, why.function);
        return false;
    }
    module->run = ee_export(module->instance, EE_EXTERN_FUNC, "run", 3);
    uint32_t entry = ee_export(module->instance, EE_EXTERN_FUNC, "_start", 6);
    if (entry == EE_NO_INDEX || ee_call(module->instance, entry, NULL, 0, NULL, 0) == EE_OK ||
        ee_instance_trap(module->instance) == EE_TRAP_EXIT)
        return true;
    snprintf(error, ERROR_BYTES, "_start: %s", ee_trap_text(ee_instance_trap(module->instance)));
    return false;
}

bool bench_run(struct bench_module *module, int32_t rounds, int64_t *result, char *error) {
    uint64_t argument = (uint32_t)rounds, slot = 0;
    if (module->run == EE_NO_INDEX) {
        snprintf(error, ERROR_BYTES, "no function is exported as run");
        return false;
    }
    enum ee_status status = ee_call(module->instance, module->run, &argument, 1, &slot, 1);
    if (status != EE_OK)
        snprintf(error, ERROR_BYTES, "%s: %s", ee_status_text(status), ee_trap_text(ee_instance_trap(module->instance)));
    *result = (int64_t)slot;
    return status == EE_OK;
}

void bench_unload(struct bench_module *module) {
    module->instance = NULL;
}

void bench_forget(struct bench_module *module) {
    unmap_arena(module->arena);
    free(module);
}

void bench_usage(const struct bench_module *module, char *text, size_t size) {
    struct ee_usage usage;
    ee_instance_usage(module->instance, &usage);
    snprintf(text, size, "bookkeeping=%llu memory=%llu code=%llu stack=%llu", (unsigned long long)usage.bookkeeping_bytes,
             (unsigned long long)usage.memory_bytes, (unsigned long long)usage.code_bytes,
             (unsigned long long)usage.stack_bytes);
}
