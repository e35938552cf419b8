/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor without Microkit: all its state and the calls that its protection domain's glue (pd.c) and the host
 * tests make.
 *
 * Contract: one struct sb_supervisor, given zeroed; the platform's functions are called, never kept waiting. Memory
 * shared with engines and the wasi domain is only reached through the slots' pointers, copied before it is checked.
 *
 * Does NOT: touch hardware, kernel or UART.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cbor.h"
#include "console_frame.h"
#include "sb_system.h"
#include "slots.h"

#define SB_VERSION "0.1.0"
#define SB_PROTOCOL 1u    /* of group 64, docs/PROTOCOL.md */
#define SB_BUFFER_COUNT 4u /* requests of full size that fit in the UART ring, so that a sender may run ahead */

/* What the supervisor needs from where it runs. */
struct sb_platform {
    const char *kernel;      /* "stand-in" or "sel4" */
    const char *kernel_text; /* the same for people */
    const char *board;
    struct sb_anchors anchors; /* what the image trusts */
    uint64_t tick_hz;
    uint64_t (*ticks)(void);               /* monotonic */
    void (*engine_stop)(unsigned slot);    /* returns when the engine runs no more */
    void (*engine_restart)(unsigned slot); /* continue the engine at its entry point */
    void (*engine_resume)(unsigned slot);  /* continue a stopped engine where it was */
    void (*engine_priority)(unsigned slot, uint32_t priority);
    void (*wake_at)(uint64_t ticks);       /* have sb_limits_tick called then; 0: never. The last call counts */
    void (*wasi_notify)(void);
    /* Make bytes that were just written to a code region runnable by its engine; NULL: no native code here. */
    void (*code_publish)(const uint8_t *at, size_t size);
    void (*run_ended)(void); /* tell the wasi domain to look at `ended` of the launch pages; NULL: nobody is there */
    /* One call of the store, its answer; NULL: there is none. */
    enum sb_store_status (*store)(enum sb_store_label label, const uint64_t arguments[SB_STORE_ARGUMENTS]);
    struct sb_store_record *store_record; /* shared with it */
};

struct sb_link_counters {
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t requests;
    uint64_t errors; /* requests answered with an error */
};

struct sb_supervisor {
    struct sb_platform platform;
    struct sb_system *system; /* shared with the wasi domain */
    struct sb_slot slots[SB_SLOTS];
    struct sb_trust trust;
    const char *reason;       /* of the refusal that the present request is answered with, NULL: none */
    uint64_t ready_ms;        /* since the counter's zero */
    uint64_t armed_ns;        /* when sb_limits_tick will be called, SB_NEVER: it won't */
    uint64_t metered_ns;      /* when sb_meter looked last */
    bool has_store;           /* modules survive a loss of power */
    uint64_t save_ns;         /* that the last record took to be on flash */
    uint64_t store_errors;    /* calls that flash or file system failed */
    uint32_t upload_image;    /* slot of the last upload that began; later chunks need not name it */
    bool reset_wanted;        /* answer sent first, then sb_supervisor_reset */
    struct sb_link_counters link;
    struct sb_frame_counters frames; /* copied from the decoder before each request */
};

/* Regions of one slot, for sb_supervisor_init. */
struct sb_slot_regions {
    uint8_t *module;
    struct sb_control *control;
    struct sb_launch *launch;
    struct sb_log *log;
    uint8_t *code; /* SB_CODE_SIZE bytes, may be NULL without code_publish */
    struct sb_mail *mail; /* NULL: nobody carries anything */
};

void sb_supervisor_init(struct sb_supervisor *s, const struct sb_platform *platform, struct sb_system *system,
                        const struct sb_slot_regions regions[SB_SLOTS], uint64_t rtc_seconds);

/* Warm reset: every engine stopped, all forgotten that is not on flash, then as at boot. Output and counters stay. */
void sb_supervisor_reset(struct sb_supervisor *s);

uint64_t sb_monotonic_ns(const struct sb_supervisor *s);

/* engine.c: what the engine of a slot said, or did. */
void sb_engine_notified(struct sb_supervisor *s, unsigned number);

struct sb_fault {
    uint32_t label; /* seL4 fault label */
    uint64_t pc;
    uint64_t address; /* 0 where the fault has none */
    uint64_t regs[8]; /* x0..x7, zero where unknown */
    uint64_t frame;   /* x29 */
};
void sb_engine_faulted(struct sb_supervisor *s, unsigned number, const struct sb_fault *fault);

/* The engine notified: as sb_engine_notified, but one that does so for nothing, again and again, is stopped. */
void sb_engine_signalled(struct sb_supervisor *s, unsigned number);

/* The engine runs no more, for this reason, which is no fault of the module's. */
void sb_engine_give_up(struct sb_supervisor *s, unsigned number, const char *why);

/* Move output of all slots to their histories. Decides nothing. */
void sb_move_logs(struct sb_supervisor *s);

/* The same, and confirm modules on trial whose line has come: an event, which may write flash. */
void sb_drain_logs(struct sb_supervisor *s);

/*
 * What engines and the wasi domain have said until now, in the order in which it happened. An event: it may end runs,
 * start modules and write flash, so that no handler of a request has to. Called before each request (sb_smp_serve).
 */
void sb_supervisor_poll(struct sb_supervisor *s);

#define SB_CODE_MACHINE "aarch64" /* that native code is for: section wasel.native.aarch64 */

/* code.c: puts the active module's native code, if it has some that is right, where the slot's engine runs it. */
void sb_code_place(struct sb_supervisor *s, unsigned number);

/* mail.c: the command `exchange` of group 64 */
int32_t sb_mail_exchange(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out);

/* launch.c */
enum sb_launch_result { SB_LAUNCH_OK, SB_LAUNCH_EMPTY, SB_LAUNCH_BUSY, SB_LAUNCH_TOO_LARGE, SB_LAUNCH_BAD_TEXT, SB_LAUNCH_REFUSED };

struct sb_launch_request {
    struct sb_cbor_array args; /* of text; count 0 where absent */
    struct sb_cbor_array env;
    struct sb_cbor_array grants; /* of text, as in wasi/grants.h */
    uint64_t fuel;
    bool metered;
    bool lossless;
    uint64_t budget_percent; /* of the CPU, 0: what class and manifest give */
    uint64_t timeout_ms;     /* wall clock, 0: none */
    bool restart_on_failure;
    const uint8_t *body; /* all of it as it came, NULL: made up here */
    size_t body_size;
};
/* SB_LAUNCH_REFUSED: *refusal says why. */
/* Parse the body of a start request; both point into it. */
bool sb_launch_read(struct sb_cbor_reader *body, struct sb_launch_request *request, uint64_t *slot);

enum sb_launch_result sb_slot_start(struct sb_supervisor *s, unsigned number, const struct sb_launch_request *request,
                                    enum sb_refusal *refusal);
void sb_slot_stop(struct sb_supervisor *s, unsigned number);

/* Run the active module once more, as it was started last. False: there is none, or it is not trusted any more. */
bool sb_slot_start_again(struct sb_supervisor *s, unsigned number);

/*
 * Whom the device trusts has changed. A module that runs and whose key is not trusted any more is stopped now; if the
 * root document says `finish` with its key, it runs to its end. Neither is started again.
 */
void sb_slot_trust_changed(struct sb_supervisor *s);
