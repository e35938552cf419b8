/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot's policy from the strings of its launch page.
 *
 *   dir=/path        a RAM directory to read and write, preopened under that name; a relative name is possible, too
 *   dir=/path:ro     the same, to read only
 *   clocks=off       no clock but waiting
 *   random=off       no random_get
 *   files=N          at most N open descriptors, the three streams included
 *   bytes=N          at most N bytes of files, in whole KiB
 *
 * Without a string: streams, clocks and random, and no directory. A string that isn't understood grants nothing and is
 * counted as a refused message.
 */
#pragma once

#include "slot.h"

void sb_grants_apply(struct sb_wasi_slot *slot);
