/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest program demands: says what does not hold, and exits with 1. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            printf("line %d: %s does not hold, errno %d\n", __LINE__, #condition, errno); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)
