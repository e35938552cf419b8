/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translates every function of modules and writes which operations follow each other: what superinstructions are chosen
 * from. Built with a handler table without superinstructions.
 *
 * usage: listing FILE...
 * Output, 16-bit numbers: for each file its runs, then a run of length 0. A run is a sequence that is only entered at
 * its beginning: length, loop depth, then as many operations (EE_DO_*). Nothing is executed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "handlers.h"
#include "operations.h"

#define ARENA_BYTES ((size_t)1 << 30)

static void put(uint32_t number)
{
    uint16_t out = (uint16_t)number;
    (void)fwrite(&out, 2, 1, stdout); /* main looks whether all went well */
}

static uint16_t operations[UINT16_MAX + 1]; /* by handler word, from 1; 0: none */

static void number_operations(void)
{
    for (uint32_t i = 0; i < EE_DO_COUNT; i++)
        operations[ee_handler_words[i]] = (uint16_t)(i + 1);
}

static uint16_t operation_at(const uint8_t *code)
{
    ee_word word = *(const ee_word *)(const void *)code;
    if (operations[word] == 0) {
        fprintf(stderr, "listing: code that is no operation\n");
        exit(1);
    }
    return (uint16_t)(operations[word] - 1);
}

/* Marks on the bytes of one function's code. A loop reaches from its head to the last branch back to it. */
static uint8_t *is_target;
static uint32_t *loop_end;

static void branch(uint32_t operand, const uint8_t *code)
{
    int32_t distance;
    memcpy(&distance, code + operand, 4);
    uint32_t target = operand + (uint32_t)distance;
    is_target[target] = 1;
    if (distance < 0 && loop_end[target] < operand)
        loop_end[target] = operand;
}

/* Calls branch for every branch operand; returns the bytes of the instruction. */
static uint32_t walk_operands(const uint8_t *code, uint32_t at, uint16_t operation, bool mark)
{
    uint32_t start = at, layout = ee_operand_layout(operation);
    for (at += EE_HANDLER_BYTES; layout != 0; layout >>= 4) {
        uint32_t kind = layout & 15;
        if (kind == EE_OPERAND_LABEL && mark)
            branch(at, code);
        at += kind == EE_OPERAND_16 ? 2 : kind == EE_OPERAND_64 ? 8 : 4;
    }
    if (operation == EE_DO_br_table_a) {
        uint32_t count;
        memcpy(&count, code + at - 4, 4);
        for (uint32_t i = 0; i <= count; i++, at += 4)
            if (mark)
                branch(at, code);
    }
    return at - start;
}

static void write_run(const uint16_t *run, uint32_t length, uint32_t depth)
{
    if (length == 0)
        return;
    put(length);
    put(depth);
    (void)fwrite(run, 2, length, stdout);
}

/* Code is aligned to 4 bytes, so what is left at the end may be padding. */
static void list(const uint8_t *code, uint32_t size)
{
    is_target = calloc(size + 1, 1);
    loop_end = calloc(size + 1, sizeof *loop_end);
    int16_t *depth_change = calloc(size + 1, sizeof *depth_change);
    uint16_t *run = malloc((size_t)size * 2 + 2);
    if (is_target == NULL || loop_end == NULL || depth_change == NULL || run == NULL)
        abort();
    for (uint32_t at = 0; at + EE_HANDLER_BYTES < size;)
        at += walk_operands(code, at, operation_at(code + at), true);
    for (uint32_t at = 0; at < size; at++)
        if (loop_end[at] != 0) {
            depth_change[at]++;
            depth_change[loop_end[at]]--;
        }
    int32_t depth = 0;
    uint32_t length = 0, run_depth = 0;
    for (uint32_t at = 0; at + EE_HANDLER_BYTES < size;) {
        uint16_t operation = operation_at(code + at);
        uint32_t bytes = walk_operands(code, at, operation, false);
        if (is_target[at] || length == 0 || length == 60000) {
            write_run(run, length, run_depth);
            length = 0;
        }
        int32_t here = depth + depth_change[at];
        if (length == 0)
            run_depth = (uint32_t)here;
        for (uint32_t i = 0; i < bytes; i++)
            depth += depth_change[at + i];
        run[length++] = operation;
        at += bytes;
    }
    write_run(run, length, run_depth);
    free(is_target);
    free(loop_end);
    free(depth_change);
    free(run);
}

/* As much of an instance as the translator looks at; nothing is linked. */
static struct ee_instance *prepare(const uint8_t *bytes, size_t size, uint8_t *arena, struct ee_error *error)
{
    static struct ee_global_cell no_global;
    memset(arena, 0, sizeof(struct ee_instance));
    struct ee_instance *in = (struct ee_instance *)(void *)arena;
    ee_arena_init(&in->arena, arena, ARENA_BYTES);
    in->arena_size = ARENA_BYTES;
    if (ee_arena_alloc(&in->arena, sizeof *in, 16) == NULL || ee_decode(bytes, size, &in->arena, &in->module, error) != EE_OK ||
        ee_validate(in->module, &in->arena, error) != EE_OK)
        return NULL;
    in->functions = EE_ARENA_NEW(&in->arena, in->module->function_count, struct ee_func);
    in->globals = EE_ARENA_NEW(&in->arena, in->module->global_count, struct ee_global_cell *);
    if (in->functions == NULL || in->globals == NULL)
        return NULL;
    for (uint32_t i = 0; i < in->module->global_count; i++)
        in->globals[i] = &no_global;
    for (uint32_t i = 0; i < in->module->function_count; i++)
        in->functions[i] = (struct ee_func){.owner = in, .code = EE_LAZY_CODE};
    return in;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    long end = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    uint8_t *bytes = end >= 0 && fseek(file, 0, SEEK_SET) == 0 ? malloc((size_t)end + 1) : NULL;
    if (bytes != NULL && fread(bytes, 1, (size_t)end, file) != (size_t)end) {
        free(bytes);
        bytes = NULL;
    }
    *size = (size_t)end;
    fclose(file);
    return bytes;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t size;
        uint8_t *bytes = read_file(argv[i], &size);
        uint8_t *arena = mmap(NULL, ARENA_BYTES + EE_GUARD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        struct ee_error error = {.text = "cannot be read"};
        struct ee_instance *in = bytes != NULL && arena != MAP_FAILED ? prepare(bytes, size, arena, &error) : NULL;
        if (in == NULL) {
            fprintf(stderr, "listing: %s: %s\n", argv[i], error.text);
            free(bytes);
            return 1;
        }
        number_operations();
        uint32_t refused = 0;
        for (uint32_t f = in->module->imported_functions; f < in->module->function_count; f++)
            if (ee_translate(in, &in->functions[f]) != EE_TRAP_NONE)
                refused++;
            else
                list(ee_code(in, in->functions[f].code), (uint32_t)in->arena.used - in->functions[f].code);
        fprintf(stderr, "%s: %u functions not translated, %zu bytes of code from %u\n", argv[i], refused, in->code_bytes,
                in->module->code.end - in->module->code.begin);
        put(0);
        munmap(arena, ARENA_BYTES + EE_GUARD_SIZE);
        free(bytes);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
