/* SPDX-License-Identifier: Apache-2.0 */
/* Serving a call and reporting it, while the slot is traced. Costs nothing otherwise: slot.c does not come here. */
#pragma once

#include "slot.h"
#include "wire.h"

void sb_trace_dispatch(struct sb_wire *wire);
