/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What main.c wants of an engine; one file implements it: wasel.c, wasm3.c or native.c. Only bench_load and bench_run
 * are timed. A text written into error is one line, at most ERROR_BYTES with its NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERROR_BYTES 256

struct bench_module; /* the engine's own */

/* Options of the command line, argv[1...]; false if one is unknown. */
bool bench_options(int count, char **options);

/* Name and version, one line. */
const char *bench_version(void);

/* Memory for one module, kept until bench_forget; NULL if there is none. */
struct bench_module *bench_prepare(void);

/* Loads, starts and, for a program, runs _start. bytes stay where they are until bench_forget. path names the file. */
bool bench_load(struct bench_module *module, const char *path, const uint8_t *bytes, size_t size, char *error);

/* Calls run(rounds). */
bool bench_run(struct bench_module *module, int32_t rounds, int64_t *result, char *error);

/* Ends what bench_load began; the module can be loaded again. */
void bench_unload(struct bench_module *module);

/* Unloads, and gives the memory back. */
void bench_forget(struct bench_module *module);

/* "key=bytes key=bytes", or nothing. */
void bench_usage(const struct bench_module *module, char *text, size_t size);
