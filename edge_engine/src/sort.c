/* SPDX-License-Identifier: Apache-2.0 */
/* Heapsort of indices; contract in sort.h. */
#include "compact.h"
#include "sort.h"

#include "bytes.h"

EE_COMPACT

int ee_compare_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    if (order != 0)
        return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

/* Lets the element at `root` sink until no child is greater. */
static void sink(const struct ee_module *module, uint32_t *heap, uint32_t root, uint32_t count, ee_compare compare)
{
    uint32_t value = heap[root];
    for (;;) {
        uint64_t child = 2 * (uint64_t)root + 1;
        if (child >= count)
            break;
        if (child + 1 < count && compare(module, heap[child], heap[child + 1]) < 0)
            child++;
        if (compare(module, value, heap[child]) >= 0)
            break;
        heap[root] = heap[child];
        root = (uint32_t)child;
    }
    heap[root] = value;
}

void ee_sort(const struct ee_module *module, uint32_t *indices, uint32_t count, ee_compare compare)
{
    for (uint32_t root = count / 2; root-- > 0;)
        sink(module, indices, root, count, compare);
    for (uint32_t left = count; left-- > 1;) {
        uint32_t greatest = indices[0];
        indices[0] = indices[left];
        indices[left] = greatest;
        sink(module, indices, 0, left, compare);
    }
}

EE_COMPACT_END
