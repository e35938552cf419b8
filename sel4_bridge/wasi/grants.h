/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slot's policy from the strings of its launch page.
 *
 *   dir=/path        a directory to read and write, preopened under that name; a relative name is possible, too. /data
 *                    and what is below it lie on flash where there is flash and outlive the module; others lie in RAM
 *   dir=/path:ro     the same, to read only
 *   dir=/path::/name the same, preopened as /name
 *   publish=FILTER   topics that may be written as /mqtt/out/<topic>: MQTT's filter, with its wildcards
 *   subscribe=FILTER topics that may be read as /mqtt/in/<topic>
 *   connect=tcp:HOST:PORT  where sockets may connect to, or (udp:) send to; HOST is an IPv4 address in numbers
 *   listen=tcp:HOST:PORT   where they may wait for connections, or (udp:) for datagrams, on the agent's machine
 *   clocks=off       no clock but waiting
 *   resolution=N     clocks go in steps of N nanoseconds
 *   random=off       no random_get
 *   files=N          at most N open descriptors, the three streams included
 *   bytes=N          at most N bytes of files: in RAM, in whole KiB, and on flash each
 *   output=N         at most N bytes a second to standard output and error together, N bytes at once; what is beyond
 *                    waits
 *
 * Without a string: streams, clocks and random, and no directory. A string that isn't understood grants nothing and is
 * counted as a refused message.
 */
#pragma once

#include "slot.h"

void sb_grants_apply(struct sb_wasi_slot *slot);

/* What follows `word` in the first grant behind `after` that begins with it (`after` NULL: from the start); NULL: none. */
const char *sb_grants_next(const struct sb_wasi_slot *slot, const char *word, const char *after);
