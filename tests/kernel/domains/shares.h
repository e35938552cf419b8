/* SPDX-License-Identifier: Apache-2.0 */
/* The page where spinning domains count and budget_judge reads. */
#pragma once

#include <stdint.h>

enum { SPINNERS = 3 };

struct shares {
    struct {
        uint64_t count;
        uint64_t fpu_errors;
        uint64_t pad[6];
    } spinner[SPINNERS];
};
