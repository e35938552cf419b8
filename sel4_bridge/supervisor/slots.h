/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One engine slot as the supervisor sees it: which modules it holds, what its engine is doing.
 *
 * States and what moves them (theory of slots.c, launch.c and engine.c):
 *
 *   empty --upload ends, start--> running        no active module
 *   stopped | exited | trapped | refused --start--> running
 *   running --engine says so--> exited | trapped | refused
 *   running --fault, handled by the engine--> trapped; --fault while handling one--> trapped ("engine fault"), stopped
 *   running --stop, or start with a pending candidate--> stopped (and on to running)
 *
 * The module region holds the active module at one end and a candidate (or an upload on its way) at the other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "admit.h"
#include "encoding.h"
#include "limits.h"
#include "log_drain.h"
#include "log_history.h"
#include "mail.h"
#include "sb_control.h"
#include "sb_launch.h"
#include "sb_layout.h"
#include "sb_store.h"
#include "sha256.h"
#include "trial.h"

enum sb_slot_state {
    SB_SLOT_EMPTY,
    SB_SLOT_STOPPED,
    SB_SLOT_RUNNING,
    SB_SLOT_EXITED,
    SB_SLOT_TRAPPED,
    SB_SLOT_REFUSED,
};

/* A whole module in the slot's region. */
struct sb_image {
    bool present;
    bool pending;   /* candidate: the next start switches to it */
    bool permanent; /* candidate: it counts as confirmed from its first start */
    bool confirmed; /* stays after the next start */
    uint32_t offset;
    uint32_t size;
    uint32_t place;    /* of its file on flash: sb_store.h */
    uint32_t failures; /* runs in a row that trapped or were refused */
    uint8_t digest[SB_SHA256_SIZE];
    struct sb_credentials credentials; /* who vouches for it */
};

#define SB_UPLOAD_AHEAD 32u

/* Bytes of an upload that came before those in front of them. */
struct sb_piece {
    uint32_t begin, end; /* offsets in the upload */
};

/* A module on its way in. */
struct sb_upload {
    bool open;
    bool has_digest;
    uint32_t offset; /* of the bytes that come, in the slot's region */
    uint32_t size;   /* of them */
    uint32_t received;
    uint32_t synced; /* of them, those that survive a loss of power */
    uint32_t place;  /* as in sb_image */
    enum sb_encoding encoding;
    uint32_t result_offset; /* of the module, in the slot's region; with SB_ENCODING_NONE the same as offset */
    uint32_t result_size;
    uint8_t base[SB_SHA256_SIZE];   /* of a delta: the active module's digest */
    uint8_t digest[SB_SHA256_SIZE]; /* of the module, as the sender says */
    struct sb_sha256 hash;          /* over what was received, with SB_ENCODING_NONE */
    uint32_t ahead_count;           /* pieces beyond `received` that lie in the region already; they may overlap */
    struct sb_piece ahead[SB_UPLOAD_AHEAD];
};

struct sb_slot {
    /* set once by sb_supervisor_init */
    uint8_t *module; /* SB_MODULE_SIZE bytes, shared with the engine (which only reads) */
    struct sb_control *control;
    struct sb_launch *launch;
    uint8_t *code; /* SB_CODE_SIZE bytes that the engine executes and nobody else writes */

    enum sb_slot_state state;
    struct sb_image active;
    struct sb_image candidate;
    struct sb_upload upload;
    struct sb_admission admission; /* what the slot allows, and the highest sequence it confirmed */
    enum sb_refusal refusal;       /* of the last upload that was refused, SB_ACCEPTED after one that was not */

    struct sb_limits limits;       /* of the run: limits.h */
    struct sb_trial trial;         /* of the run: trial.h */
    enum sb_revert reverted;       /* why the slot went back last; none since a module was marked or taken */
    uint8_t reverted_digest[SB_SHA256_SIZE]; /* from which module */
    bool autostart; /* was started and not stopped: starts by itself at boot, with this request */
    uint32_t request_size;
    uint8_t request[SB_STORE_REQUEST_MAX];

    bool code_known;          /* code.c: the next two are of the module with this digest */
    uint8_t code_digest[SB_SHA256_SIZE];
    uint32_t code_size;       /* bytes of native code in place, 0: none */
    const char *code_refusal; /* why native code that the module has is not in place */

    uint32_t generation; /* of the last start, also in control and launch */
    bool handling_fault; /* the engine was restarted to record a fault */
    uint64_t starts;
    uint64_t traps;
    uint64_t faults;
    uint64_t restarts; /* of the engine domain, for starts and for faults */
    uint64_t fuel;     /* of the last start's request, valid if metered */
    bool metered;
    uint64_t fault_deadline_ns; /* by then an engine that handles a fault must be done */
    uint32_t idle_signals;      /* notifications of this run that told nothing */
    const char *reason;         /* why the slot is stopped: NULL as asked */
    uint64_t decided_ticks;     /* when the last start was decided on */

    /* how the last run went, copied from the control page and made printable */
    uint32_t exit_code;
    uint64_t memory_bytes;
    uint64_t bookkeeping_bytes;
    uint64_t arena_peak; /* bytes, the two together, of all runs since boot */
    uint64_t calls;
    enum sb_tier tier;
    char tier_text[SB_TIER_TEXT_SIZE]; /* why native code that is in place is not used */
    char text[SB_TEXT_SIZE];
    char backtrace[SB_BACKTRACE_SIZE];

    struct sb_log_drain drain;
    struct sb_history history;
    struct sb_mailbox mail;
};

const char *sb_slot_state_name(enum sb_slot_state state);

/*
 * Make room for an upload of `size` bytes at the end that the active module does not use; forgets the candidate.
 * False: it does not fit beside the active module.
 */
bool sb_slot_place(const struct sb_slot *slot, uint32_t size, uint32_t *offset);

/*
 * The same for an upload that carries a module of `result_size` bytes in `size` bytes: sets both offsets. The bytes that
 * come lie behind the module that they will make.
 */
bool sb_slot_place_upload(const struct sb_slot *slot, struct sb_upload *upload);

/* The next start's module: switch to a pending candidate, or back from one that was never confirmed. */
void sb_slot_switch(struct sb_slot *slot);

/*
 * What an upload has to meet: the active module, if it is signed and confirmed, sets the sequence below which nothing new
 * gets in. The slot's own former module, which lies beside it, may still be gone back to until sb_slot_note_confirmed.
 */
struct sb_admission sb_slot_admission(const struct sb_slot *slot);

/* The way back ends: the active module was confirmed by name, its former one is replaced, or it is forgotten. */
void sb_slot_note_confirmed(struct sb_slot *slot);

/* The module that was active until now failed, or was not wanted. */
void sb_slot_note_reverted(struct sb_slot *slot, enum sb_revert why, const uint8_t digest[SB_SHA256_SIZE]);

/* Whether sb_slot_switch would change the active module. */
bool sb_slot_would_switch(const struct sb_slot *slot);
