/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indirect calls: objects with a table of methods each, and a state machine whose states are functions that return the
 * next state. The check: moving and moving back leaves every object where it was.
 */
#include "kernel.h"

#define OBJECTS 64

struct object;
struct methods {
    int32_t (*area)(const struct object *);
    void (*move)(struct object *, int32_t by);
    int32_t (*weight)(const struct object *, int32_t factor);
};
struct object {
    const struct methods *methods;
    int32_t at, width, height;
};

static int32_t box_area(const struct object *o) { return o->width * o->height; }
static int32_t disc_area(const struct object *o) { return o->width * o->width * 355 / 113; }
static int32_t wedge_area(const struct object *o) { return o->width * o->height / 2; }
static void slide(struct object *o, int32_t by) { o->at += by; }
static void jump(struct object *o, int32_t by) { o->at += 2 * by; }
static int32_t light(const struct object *o, int32_t factor) { return o->methods->area(o) * factor; }
static int32_t heavy(const struct object *o, int32_t factor) { return o->methods->area(o) * factor + o->height; }

static const struct methods kinds[4] = {
    {box_area, slide, light}, {disc_area, jump, heavy}, {wedge_area, slide, heavy}, {box_area, jump, light}};

static struct object objects[OBJECTS];

/* States of a lexer over pseudo-random letters; each returns the next one. */
enum { LETTERS, DIGITS, SPACES, STATES };
static uint32_t words, numbers, length;
static int on_letters(uint32_t c) {
    length++;
    if (c < 20)
        return LETTERS;
    words++;
    return c < 26 ? DIGITS : SPACES;
}
static int on_digits(uint32_t c) {
    length += 3;
    if (c >= 16 && c < 28)
        return DIGITS;
    numbers++;
    return c < 16 ? LETTERS : SPACES;
}
static int on_spaces(uint32_t c) { return c < 12 ? LETTERS : c < 20 ? DIGITS : SPACES; }
static int (*const states[STATES])(uint32_t) = {on_letters, on_digits, on_spaces};

int64_t run(int32_t n) {
    uint32_t seed = 99;
    for (int i = 0; i < OBJECTS; i++) {
        objects[i].methods = &kinds[kernel_random(&seed) & 3];
        objects[i].at = i;
        objects[i].width = 1 + (int32_t)(kernel_random(&seed) & 15);
        objects[i].height = 1 + (int32_t)(kernel_random(&seed) & 15);
    }
    uint64_t sum = 0;
    int state = SPACES;
    words = numbers = length = 0;
    for (int32_t round = 0; round < n; round++) {
        int32_t total = 0;
        for (int i = 0; i < OBJECTS; i++) {
            struct object *o = &objects[i];
            o->methods->move(o, round);
            total += o->methods->weight(o, 3) + o->at;
        }
        for (int i = 0; i < OBJECTS; i++)
            objects[i].methods->move(&objects[i], -round);
        for (int i = 0; i < 200; i++)
            state = states[state](kernel_random(&seed) >> 27);
        sum = kernel_fold(sum, (uint32_t)total);
    }
    for (int i = 0; i < OBJECTS; i++)
        if (objects[i].at != i)
            return KERNEL_FAILED;
    return (int64_t)kernel_fold(sum, words + 1000003u * numbers + 31u * length);
}
