/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting indices, to find equal types and names in n log n whatever the input (a hash could be attacked).
 * In place, no recursion; not stable: let the comparison end with the indices themselves.
 */
#pragma once

#include "module.h"

/* < 0, 0, > 0 as a stands before, with or behind b. */
typedef int (*ee_compare)(const struct ee_module *module, uint32_t a, uint32_t b);

void ee_sort(const struct ee_module *module, uint32_t *indices, uint32_t count, ee_compare compare);

/* Bytes by content, then by length. */
int ee_compare_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);
