/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wasm3 as a peer, from the sources in pywasm3's archive, compiled by the compiler that compiles wasel, at wasm3's own
 * -O3 and without the backtraces and debug settings of the Python package. WASI imports are answered as in wasel.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "m3_env.h"
#include "wasm3.h"

#define STACK_BYTES (256 * 1024)

struct bench_module {
    IM3Environment environment;
    IM3Runtime runtime;
    IM3Function run;
};

bool bench_options(int count, char **options) {
    (void)options;
    return count <= 0;
}

const char *bench_version(void) {
    return "wasm3 " M3_VERSION ", clang " __clang_version__;
}

struct bench_module *bench_prepare(void) {
    return calloc(1, sizeof(struct bench_module));
}

static const void *wasi_zeros(IM3Runtime runtime, IM3ImportContext context, uint64_t *stack, void *memory) {
    (void)runtime;
    (void)context;
    memset((uint8_t *)memory + (uint32_t)stack[1], 0, 4);
    memset((uint8_t *)memory + (uint32_t)stack[2], 0, 4);
    stack[0] = 0;
    return m3Err_none;
}

static const void *wasi_fd_write(IM3Runtime runtime, IM3ImportContext context, uint64_t *stack, void *memory) {
    uint32_t count = (uint32_t)stack[3], total = 0;
    (void)runtime;
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size;
        memcpy(&size, (uint8_t *)memory + (uint32_t)stack[2] + 8 * i + 4, 4);
        total += size;
    }
    memcpy((uint8_t *)memory + (uint32_t)stack[4], &total, 4);
    stack[0] = 0;
    return m3Err_none;
}

static const void *wasi_constant(IM3Runtime runtime, IM3ImportContext context, uint64_t *stack, void *memory) {
    (void)runtime;
    (void)memory;
    stack[0] = (uint64_t)(uintptr_t)context->userdata;
    return m3Err_none;
}

static const void *wasi_exit(IM3Runtime runtime, IM3ImportContext context, uint64_t *stack, void *memory) {
    (void)runtime;
    (void)context;
    (void)stack;
    (void)memory;
    return m3Err_trapExit;
}

static M3Result link_wasi(IM3Module module) {
    static const struct {
        const char *name, *signature;
        M3RawCall call;
        uintptr_t error;
    } calls[] = {
        {"fd_write", "i(iiii)", wasi_fd_write, 0},   {"environ_sizes_get", "i(ii)", wasi_zeros, 0},
        {"args_sizes_get", "i(ii)", wasi_zeros, 0},  {"proc_exit", "v(i)", wasi_exit, 0},
        {"environ_get", "i(ii)", wasi_constant, 0},  {"args_get", "i(ii)", wasi_constant, 0},
        {"fd_close", "i(i)", wasi_constant, 0},      {"fd_seek", "i(iIii)", wasi_constant, 70},
        {"fd_fdstat_get", "i(ii)", wasi_constant, 0}, {"fd_prestat_get", "i(ii)", wasi_constant, 8},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        M3Result result = m3_LinkRawFunctionEx(module, "wasi_snapshot_preview1", calls[i].name, calls[i].signature,
                                               calls[i].call, (const void *)calls[i].error);
        if (result != m3Err_none && result != m3Err_functionLookupFailed)
            return result;
    }
    return m3Err_none;
}

bool bench_load(struct bench_module *module, const char *path, const uint8_t *bytes, size_t size, char *error) {
    IM3Module parsed = NULL;
    IM3Function start = NULL;
    (void)path;
    module->run = NULL;
    module->environment = m3_NewEnvironment();
    module->runtime = module->environment != NULL ? m3_NewRuntime(module->environment, STACK_BYTES, NULL) : NULL;
    M3Result result = module->runtime != NULL ? m3_ParseModule(module->environment, &parsed, bytes, (uint32_t)size)
                                              : m3Err_mallocFailed;
    if (result == m3Err_none)
        result = m3_LoadModule(module->runtime, parsed);
    if (result == m3Err_none)
        result = link_wasi(parsed);
    if (result == m3Err_none && m3_FindFunction(&start, module->runtime, "_start") == m3Err_none) {
        result = m3_Call(start, 0, NULL);
        if (result == m3Err_trapExit)
            result = m3Err_none;
    } else if (result == m3Err_none) {
        result = m3_FindFunction(&module->run, module->runtime, "run");
    }
    if (result != m3Err_none)
        snprintf(error, ERROR_BYTES, "%s", result);
    return result == m3Err_none;
}

bool bench_run(struct bench_module *module, int32_t rounds, int64_t *result, char *error) {
    const void *arguments[1] = {&rounds}, *results[1] = {result};
    M3Result status = module->run != NULL ? m3_Call(module->run, 1, arguments) : m3Err_functionLookupFailed;
    if (status == m3Err_none)
        status = m3_GetResults(module->run, 1, results);
    if (status != m3Err_none)
        snprintf(error, ERROR_BYTES, "%s", status);
    return status == m3Err_none;
}

void bench_unload(struct bench_module *module) {
    m3_FreeRuntime(module->runtime);
    m3_FreeEnvironment(module->environment);
}

void bench_forget(struct bench_module *module) {
    free(module);
}

void bench_usage(const struct bench_module *module, char *text, size_t size) {
    (void)module;
    (void)size;
    text[0] = 0;
}
