/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack machine in one switch (br_table), looking for the longest Collatz sequence below a limit. The check: below
 * 100 it starts at 97 and takes 118 steps (OEIS A006877, A006878).
 */
#include "kernel.h"

enum op { HALT, PUSH, LOAD, STORE, ADD, MUL, HALVE, AND, LESS, JUMP, JUMP_IF, JUMP_UNLESS };
enum { START, LIMIT, X, STEPS, BEST, BEST_START, REGISTERS };

struct instruction {
    uint8_t op;
    uint8_t argument;
};

static const struct instruction program[] = {
    /* while start < limit */
    /*  0 */ {LOAD, START}, {LOAD, LIMIT}, {LESS, 0}, {JUMP_UNLESS, 44},
    /*  4 */ {LOAD, START}, {STORE, X}, {PUSH, 0}, {STORE, STEPS},
    /* while 1 < x */
    /*  8 */ {PUSH, 1}, {LOAD, X}, {LESS, 0}, {JUMP_UNLESS, 31},
    /* 12 */ {LOAD, X}, {PUSH, 1}, {AND, 0}, {JUMP_IF, 20},
    /* 16 */ {LOAD, X}, {HALVE, 0}, {STORE, X}, {JUMP, 26},
    /* 20 */ {LOAD, X}, {PUSH, 3}, {MUL, 0}, {PUSH, 1}, {ADD, 0}, {STORE, X},
    /* 26 */ {LOAD, STEPS}, {PUSH, 1}, {ADD, 0}, {STORE, STEPS}, {JUMP, 8},
    /* if best < steps */
    /* 31 */ {LOAD, BEST}, {LOAD, STEPS}, {LESS, 0}, {JUMP_UNLESS, 39},
    /* 35 */ {LOAD, STEPS}, {STORE, BEST}, {LOAD, START}, {STORE, BEST_START},
    /* 39 */ {LOAD, START}, {PUSH, 1}, {ADD, 0}, {STORE, START}, {JUMP, 0},
    /* 44 */ {HALT, 0},
};

static uint32_t registers[REGISTERS];

static KERNEL_NOINLINE void execute(const struct instruction *code) {
    uint32_t stack[16], *top = stack; /* the program above needs two */
    for (uint32_t pc = 0;;) {
        struct instruction i = code[pc++];
        switch ((enum op)i.op) {
        case HALT:
            return;
        case PUSH:
            *top++ = i.argument;
            break;
        case LOAD:
            *top++ = registers[i.argument];
            break;
        case STORE:
            registers[i.argument] = *--top;
            break;
        case ADD:
            top--;
            top[-1] += top[0];
            break;
        case MUL:
            top--;
            top[-1] *= top[0];
            break;
        case HALVE:
            top[-1] >>= 1;
            break;
        case AND:
            top--;
            top[-1] &= top[0];
            break;
        case LESS:
            top--;
            top[-1] = top[-1] < top[0];
            break;
        case JUMP:
            pc = i.argument;
            break;
        case JUMP_IF:
            if (*--top != 0)
                pc = i.argument;
            break;
        case JUMP_UNLESS:
            if (*--top == 0)
                pc = i.argument;
            break;
        }
    }
}

static void search(uint32_t start, uint32_t limit) {
    for (int i = 0; i < REGISTERS; i++)
        registers[i] = 0;
    registers[START] = start;
    registers[LIMIT] = limit;
    execute(program);
}

int64_t run(int32_t n) {
    search(1, 100);
    if (registers[BEST] != 118 || registers[BEST_START] != 97)
        return KERNEL_FAILED;
    uint64_t sum = 0;
    for (int32_t round = 0; round < n; round++) {
        search(1 + (uint32_t)round % 1000, 60 + (uint32_t)round % 1000);
        sum = kernel_fold(sum, registers[BEST] << 16 | registers[BEST_START]);
    }
    return (int64_t)sum;
}
