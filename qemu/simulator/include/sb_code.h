/* SPDX-License-Identifier: Apache-2.0 */
/* sel4_bridge/include/sb_code.h where no native code runs: it would not be kept apart from the simulator itself. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline void sb_code_publish(const uint8_t *at, size_t size)
{
    (void)at;
    (void)size;
}
