/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Microkit API, as the manual of 2.0.1 describes it, for builds without the genuine SDK.
 *
 * A PD is four functions: init, notified, protected, fault. The library owns the event loop (src/main.c). Channel
 * numbers are the PD's own; a call on a channel that the system description does not grant does nothing (ppcall:
 * answers an empty message), as in the SDK. Not here: virtual machines and SMC.
 */
#pragma once

#include <sel4/sel4.h>

typedef unsigned int microkit_channel;
typedef unsigned int microkit_child;
typedef seL4_MessageInfo_t microkit_msginfo;

/* Where the Microkit tool puts each capability in a PD's CSpace. */
#define MONITOR_EP 5
#define BASE_OUTPUT_NOTIFICATION_CAP 10
#define BASE_ENDPOINT_CAP 74
#define BASE_IRQ_CAP 138
#define BASE_TCB_CAP 202

#define MICROKIT_MAX_CHANNELS 62
#define MICROKIT_MAX_CHANNEL_ID (MICROKIT_MAX_CHANNELS - 1)
#define MICROKIT_PD_NAME_LENGTH 64 /* bytes; not terminated when the name fills it */

/* Written by the PD; protected and fault are optional. */
void init(void);
void notified(microkit_channel ch);
microkit_msginfo protected(microkit_channel ch, microkit_msginfo msginfo);
seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply_msginfo);

/* Filled in by the builder of the image. Bit c of the three masks: channel c may be used so. */
extern char microkit_name[MICROKIT_PD_NAME_LENGTH];
extern seL4_Word microkit_irqs;
extern seL4_Word microkit_notifications;
extern seL4_Word microkit_pps;

/* A signal that goes out with the event loop's next receive, in one system call. */
extern seL4_Bool microkit_have_signal;
extern seL4_CPtr microkit_signal_cap;
extern seL4_MessageInfo_t microkit_signal_msg;

/* Debug console: silent, as with the SDK's release kernel. */
void microkit_dbg_putc(int c);
void microkit_dbg_puts(const char *s);
void microkit_dbg_put8(seL4_Uint8 x);
void microkit_dbg_put32(seL4_Uint32 x);

/* Ends this PD with a fault whose address is `err`. */
static inline void microkit_internal_crash(seL4_Error err)
{
    volatile int *address = (volatile int *)(seL4_Word)err;
    *address = 0; /* NOLINT(clang-analyzer-core.NullDereference): it is to fault */
}

static inline seL4_Bool microkit_channel_in(microkit_channel ch, seL4_Word mask)
{
    return ch < MICROKIT_MAX_CHANNELS && (mask >> ch & 1u) != 0;
}

static inline void microkit_notify(microkit_channel ch)
{
    if (microkit_channel_in(ch, microkit_notifications)) {
        seL4_Signal(BASE_OUTPUT_NOTIFICATION_CAP + ch);
    }
}

static inline void microkit_irq_ack(microkit_channel ch)
{
    if (microkit_channel_in(ch, microkit_irqs)) {
        (void)seL4_IRQHandler_Ack(BASE_IRQ_CAP + ch);
    }
}

/* At most one deferred signal per event: a second one replaces the first. */
static inline void microkit_deferred_notify(microkit_channel ch)
{
    if (microkit_channel_in(ch, microkit_notifications)) {
        microkit_have_signal = seL4_True;
        microkit_signal_msg = seL4_MessageInfo_new(0, 0, 0, 0);
        microkit_signal_cap = BASE_OUTPUT_NOTIFICATION_CAP + ch;
    }
}

static inline void microkit_deferred_irq_ack(microkit_channel ch)
{
    if (microkit_channel_in(ch, microkit_irqs)) {
        microkit_have_signal = seL4_True;
        microkit_signal_msg = seL4_MessageInfo_new(IRQAckIRQ, 0, 0, 0);
        microkit_signal_cap = BASE_IRQ_CAP + ch;
    }
}

/* Message registers hold the arguments before and the answer after; the callee's priority is above ours. */
static inline microkit_msginfo microkit_ppcall(microkit_channel ch, microkit_msginfo msginfo)
{
    if (!microkit_channel_in(ch, microkit_pps)) {
        return seL4_MessageInfo_new(0, 0, 0, 0);
    }
    return seL4_Call(BASE_ENDPOINT_CAP + ch, msginfo);
}

/* Runs the child from entry_point with its other registers and its memory as they were. */
static inline void microkit_pd_restart(microkit_child pd, seL4_Word entry_point)
{
    seL4_UserContext context = {0};
    context.pc = entry_point;
    seL4_Error err = seL4_TCB_WriteRegisters(BASE_TCB_CAP + pd, seL4_True, 0, 1, &context);
    if (err != seL4_NoError) {
        microkit_internal_crash(err);
    }
}

static inline void microkit_pd_stop(microkit_child pd)
{
    seL4_Error err = seL4_TCB_Suspend(BASE_TCB_CAP + pd);
    if (err != seL4_NoError) {
        microkit_internal_crash(err);
    }
}

static inline microkit_msginfo microkit_msginfo_new(seL4_Word label, seL4_Uint16 count)
{
    return seL4_MessageInfo_new(label, 0, 0, count);
}

static inline seL4_Word microkit_msginfo_get_label(microkit_msginfo msginfo)
{
    return seL4_MessageInfo_get_label(msginfo);
}

static inline seL4_Word microkit_msginfo_get_count(microkit_msginfo msginfo)
{
    return seL4_MessageInfo_get_length(msginfo);
}

static inline void microkit_mr_set(seL4_Uint8 mr, seL4_Word value)
{
    seL4_SetMR(mr, value);
}

static inline seL4_Word microkit_mr_get(seL4_Uint8 mr)
{
    return seL4_GetMR(mr);
}
