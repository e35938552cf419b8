/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a slot survives a loss of power: the supervisor's side of the store (sb_store.h).
 *
 * Contract: RAM leads while the device runs, flash follows before anything depends on it: a module is on flash before its
 * record names it, and a record before the engine starts what it names. After power comes back each slot has the modules
 * that its last whole record names, as far as their digests and signatures are right, and one that was running starts by
 * itself. Where there is no store nothing is kept, and all of this does nothing.
 *
 * Does NOT: wait or retry. A record that could not be written is counted (store_errors of the statistics).
 */
#pragma once

#include "supervisor.h"

#define SB_KEEP_MAX_FAILURES 3u /* failed starts in a row after which a slot goes back to its former module */

/* At boot and after a warm reset: what every slot had, and a start of those that ran. */
void sb_keep_restore(struct sb_supervisor *s);

/* An upload begins, goes on with bytes that lie in the module region, and ends. False: flash refuses. */
bool sb_keep_begin(struct sb_supervisor *s, unsigned slot);
bool sb_keep_append(struct sb_supervisor *s, unsigned slot, uint32_t offset, uint32_t size);
bool sb_keep_commit(struct sb_supervisor *s, unsigned slot);

/* What came is not the module itself, which now lies in the region: that takes its place on flash. */
bool sb_keep_result(struct sb_supervisor *s, unsigned slot);

/* Write the slot's record as it is now. */
void sb_keep_save(struct sb_supervisor *s, unsigned number);

/* The start request whose body (a CBOR map) this is will be repeated at boot. */
void sb_keep_request(struct sb_slot *slot, const struct sb_launch_request *request);

/* A run has ended: count failures, forget them after a success, go back to the former module after too many. */
void sb_keep_run_ended(struct sb_supervisor *s, unsigned number, bool failed);

/* Make the confirmed former module the active one again and run it. */
enum sb_launch_result sb_keep_rollback(struct sb_supervisor *s, unsigned number, enum sb_revert why,
                                       enum sb_refusal *refusal);
