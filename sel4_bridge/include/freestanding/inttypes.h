/* SPDX-License-Identifier: Apache-2.0 */
/* <inttypes.h> of a freestanding target, as far as it is used: the integer types. */
#pragma once

#include <stdint.h>
