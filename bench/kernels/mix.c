/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integer mix that embedded benchmarks are made of: a linked list searched, reversed and sorted, 16-bit matrices,
 * a state machine over number formats, and CRC-16 over the results. In the spirit of CoreMark, not its code or score.
 * The checks: the list keeps its elements, and the matrix product by the unit matrix is the matrix.
 */
#include "kernel.h"

#define ELEMENTS 120
#define SIZE 14

struct element {
    struct element *next;
    int16_t value, rank;
};

static struct element pool[ELEMENTS];
static int16_t a[SIZE][SIZE], b[SIZE][SIZE];
static int32_t c[SIZE][SIZE];

/* CRC-16/ARC (reflected, 0xA001), bit by bit. */
static KERNEL_NOINLINE uint16_t crc16(uint16_t crc, uint16_t value) {
    crc ^= value;
    for (int bit = 0; bit < 16; bit++)
        crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
    return crc;
}

static KERNEL_NOINLINE struct element *find(struct element *list, int16_t value) {
    while (list != NULL && list->value != value)
        list = list->next;
    return list;
}

static KERNEL_NOINLINE struct element *reverse(struct element *list) {
    struct element *done = NULL;
    while (list != NULL) {
        struct element *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

/* Merge sort of the list from short runs to long ones. */
static KERNEL_NOINLINE struct element *sort(struct element *list, int by_rank) {
    for (int run_length = 1;; run_length *= 2) {
        struct element *rest = list, *head = NULL, **tail = &head;
        int merges = 0;
        while (rest != NULL) {
            struct element *left = rest, *right = rest;
            int left_size = 0, right_size = run_length;
            merges++;
            while (left_size < run_length && right != NULL) {
                left_size++;
                right = right->next;
            }
            while (left_size > 0 || (right_size > 0 && right != NULL)) {
                int take_left = right_size == 0 || right == NULL ||
                                (left_size > 0 && (by_rank ? left->rank <= right->rank : left->value <= right->value));
                if (take_left) {
                    *tail = left;
                    left = left->next;
                    left_size--;
                } else {
                    *tail = right;
                    right = right->next;
                    right_size--;
                }
                tail = &(*tail)->next;
            }
            rest = right;
        }
        *tail = NULL;
        list = head;
        if (merges <= 1)
            return list;
    }
}

static uint16_t use_list(uint16_t crc, uint32_t seed) {
    for (int i = 0; i < ELEMENTS; i++) {
        pool[i].value = (int16_t)(kernel_random(&seed) & 0x3ff);
        pool[i].rank = (int16_t)i;
        pool[i].next = i + 1 < ELEMENTS ? &pool[i + 1] : NULL;
    }
    struct element *list = pool;
    for (int16_t wanted = 0; wanted < 40; wanted++) {
        const struct element *found = find(list, (int16_t)(wanted * 25));
        crc = crc16(crc, found != NULL ? (uint16_t)found->rank : 0xffff);
        list = reverse(list);
    }
    list = sort(list, 0);
    crc = crc16(crc, (uint16_t)list->value);
    list = sort(list, 1);
    for (int i = 0; i < ELEMENTS; i++, list = list->next)
        if (list != &pool[i])
            return 0;
    return list == NULL ? crc : 0;
}

static KERNEL_NOINLINE void multiply(void) {
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIZE; k++)
                sum += (int32_t)a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

static KERNEL_NOINLINE void add_constant(int16_t x) {
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            a[i][j] = (int16_t)(a[i][j] + x);
}

static uint16_t use_matrix(uint16_t crc, uint32_t seed) {
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (int16_t)kernel_random(&seed);
            b[i][j] = i == j;
        }
    multiply();
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            if (c[i][j] != a[i][j])
                return 0;
            b[i][j] = (int16_t)(kernel_random(&seed) & 0xff);
        }
    add_constant((int16_t)(seed & 0xff));
    multiply();
    uint32_t bits = 0;
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            bits += ((uint32_t)c[i][j] >> 2 & 15) * ((uint32_t)c[i][j] >> 5 & 127);
    return crc16(crc, (uint16_t)bits);
}

enum state { START, INTEGER, FRACTION, SIGN, EXPONENT_SIGN, EXPONENT, INVALID, STATES };
static const char text[] = "5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,"
                           "+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,";

static KERNEL_NOINLINE enum state step(enum state state, char c) {
    int digit = c >= '0' && c <= '9';
    switch (state) {
    case START:
        return digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? FRACTION : INVALID;
    case SIGN:
        return digit ? INTEGER : c == '.' ? FRACTION : INVALID;
    case INTEGER:
        return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' || c == 'E' ? EXPONENT_SIGN : INVALID;
    case FRACTION:
        return digit ? FRACTION : c == 'e' || c == 'E' ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN:
        return digit || c == '+' || c == '-' ? EXPONENT : INVALID;
    case EXPONENT:
        return digit ? EXPONENT : INVALID;
    default:
        return INVALID;
    }
}

static uint16_t use_states(uint16_t crc, uint32_t seed) {
    uint16_t ends[STATES] = {0}, visits[STATES] = {0};
    enum state state = START;
    uint32_t skip = 3 + seed % 11;
    for (uint32_t i = 0; text[i] != 0; i++) {
        char c = i % skip == 0 && text[i] != ',' ? (char)(text[i] ^ 1) : text[i];
        if (c == ',') {
            ends[state]++;
            state = START;
        } else {
            state = step(state, c);
            visits[state]++;
        }
    }
    for (int i = 0; i < STATES; i++)
        crc = crc16(crc16(crc, ends[i]), visits[i]);
    return crc;
}

int64_t run(int32_t n) {
    uint64_t sum = 0;
    for (int32_t round = 0; round < n; round++) {
        uint32_t seed = (uint32_t)round + 1;
        uint16_t list = use_list(1, seed), matrix = use_matrix(1, seed), states = use_states(1, seed);
        if (list == 0 || matrix == 0)
            return KERNEL_FAILED;
        sum = kernel_fold(sum, (uint64_t)list << 32 | (uint32_t)matrix << 16 | states);
    }
    return (int64_t)sum;
}
