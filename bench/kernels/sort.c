/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting: quicksort with insertion sort at the leaves (inline compare), heapsort, and a merge sort of records through
 * a compare function. The checks: ascending order, and the same sum before and after.
 */
#include "kernel.h"

#define COUNT 2000

struct record {
    int32_t key;
    uint32_t id;
};

static int32_t values[COUNT];
static struct record records[COUNT], spare[COUNT];

static void insertion(int32_t *a, int count) {
    for (int i = 1; i < count; i++) {
        int32_t x = a[i];
        int j = i;
        for (; j > 0 && a[j - 1] > x; j--)
            a[j] = a[j - 1];
        a[j] = x;
    }
}

static KERNEL_NOINLINE void quick(int32_t *a, int count) {
    while (count > 12) {
        int32_t first = a[0], middle = a[count / 2], last = a[count - 1];
        int32_t pivot = first < middle ? (middle < last ? middle : first < last ? last : first)
                                       : (first < last ? first : middle < last ? last : middle);
        int i = -1, j = count;
        for (;;) {
            do
                i++;
            while (a[i] < pivot);
            do
                j--;
            while (a[j] > pivot);
            if (i >= j)
                break;
            int32_t swap = a[i];
            a[i] = a[j];
            a[j] = swap;
        }
        quick(a, j + 1); /* ends: the middle of three as pivot leaves at least one on either side */
        a += j + 1;
        count -= j + 1;
    }
    insertion(a, count);
}

static void sift(int32_t *a, int from, int count) {
    int32_t x = a[from];
    for (;;) {
        int child = 2 * from + 1;
        if (child >= count)
            break;
        if (child + 1 < count && a[child + 1] > a[child])
            child++;
        if (a[child] <= x)
            break;
        a[from] = a[child];
        from = child;
    }
    a[from] = x;
}

static KERNEL_NOINLINE void heap(int32_t *a, int count) {
    for (int i = count / 2 - 1; i >= 0; i--)
        sift(a, i, count);
    for (int end = count - 1; end > 0; end--) {
        int32_t top = a[0];
        a[0] = a[end];
        a[end] = top;
        sift(a, 0, end);
    }
}

static int by_key(const struct record *a, const struct record *b) {
    return a->key < b->key ? -1 : a->key > b->key;
}
static int by_id(const struct record *a, const struct record *b) {
    return a->id < b->id ? -1 : a->id > b->id;
}

static KERNEL_NOINLINE void merge(int (*compare)(const struct record *, const struct record *)) {
    for (int width = 1; width < COUNT; width *= 2) {
        for (int low = 0; low < COUNT; low += 2 * width) {
            int middle = low + width < COUNT ? low + width : COUNT;
            int high = low + 2 * width < COUNT ? low + 2 * width : COUNT;
            int i = low, j = middle;
            for (int k = low; k < high; k++)
                spare[k] = i < middle && (j >= high || compare(&records[i], &records[j]) <= 0) ? records[i++] : records[j++];
        }
        __builtin_memcpy(records, spare, sizeof records);
    }
}

static uint32_t fill(uint32_t seed) {
    uint32_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        values[i] = (int32_t)kernel_random(&seed) >> 8;
        sum += (uint32_t)values[i];
    }
    return sum;
}

static int is_sorted(uint32_t sum) {
    sum -= (uint32_t)values[0];
    for (int i = 1; i < COUNT; i++) {
        if (values[i - 1] > values[i])
            return 0;
        sum -= (uint32_t)values[i];
    }
    return sum == 0;
}

int64_t run(int32_t n) {
    uint64_t sum = 0;
    for (int32_t round = 0; round < n; round++) {
        uint32_t before = fill(2 * (uint32_t)round + 1);
        quick(values, COUNT);
        if (!is_sorted(before))
            return KERNEL_FAILED;
        before = fill(2 * (uint32_t)round + 2);
        for (int i = 0; i < COUNT; i++)
            records[i] = (struct record){values[i] & 1023, (uint32_t)i};
        heap(values, COUNT);
        if (!is_sorted(before))
            return KERNEL_FAILED;
        merge(by_key);
        for (int i = 1; i < COUNT; i++)
            if (records[i - 1].key > records[i].key ||
                (records[i - 1].key == records[i].key && records[i - 1].id > records[i].id))
                return KERNEL_FAILED;
        sum = kernel_fold(sum, records[(uint32_t)round % COUNT].id);
        merge(by_id);
        for (int i = 0; i < COUNT; i++)
            if (records[i].id != (uint32_t)i)
                return KERNEL_FAILED;
        sum = kernel_fold(sum, (uint32_t)values[(uint32_t)round * 7 % COUNT]);
    }
    return (int64_t)sum;
}
