/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native code as a peer where a shared object can't be loaded: the kernels are linked in, each with its run() renamed
 * to run_<kernel>, and the build names them all in BENCH_KERNELS as X(fib) X(sort) ... "load" picks by file name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define X(name) int64_t run_##name(int32_t rounds);
BENCH_KERNELS
#undef X

static const struct {
    const char *name;
    int64_t (*run)(int32_t);
} kernels[] = {
#define X(name) {#name, run_##name},
    BENCH_KERNELS
#undef X
};

struct bench_module {
    int64_t (*run)(int32_t);
};

bool bench_options(int count, char **options) {
    (void)options;
    return count <= 0;
}

const char *bench_version(void) {
    return "native code, clang " __clang_version__;
}

struct bench_module *bench_prepare(void) {
    return calloc(1, sizeof(struct bench_module));
}

bool bench_load(struct bench_module *module, const char *path, const uint8_t *bytes, size_t size, char *error) {
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    (void)bytes;
    (void)size;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        size_t length = strlen(kernels[i].name);
        if (strncmp(name, kernels[i].name, length) == 0 && (name[length] == '.' || name[length] == 0)) {
            module->run = kernels[i].run;
            return true;
        }
    }
    snprintf(error, ERROR_BYTES, "no kernel called %s is linked in", name);
    return false;
}

bool bench_run(struct bench_module *module, int32_t rounds, int64_t *result, char *error) {
    (void)error;
    *result = module->run(rounds);
    return true;
}

void bench_unload(struct bench_module *module) {
    module->run = NULL;
}

void bench_forget(struct bench_module *module) {
    free(module);
}

void bench_usage(const struct bench_module *module, char *text, size_t size) {
    (void)module;
    (void)size;
    text[0] = 0;
}
