/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a PD, and the variables that the builder of the image patches.
 *
 * Contract: init() once per start, then for ever one of notified (once per set bit of the badge, lowest first),
 * protected (its answer is sent with the next receive) and fault. Badges are Microkit's: bit 63 a protected call,
 * bit 62 a child's fault, otherwise one bit per notified channel. A PD restarted at _start runs all of it again.
 */
#include <microkit.h>

enum { INPUT_CAP = 1, REPLY_CAP = 4 };

#define BADGE_CALL (1ul << 63)
#define BADGE_FAULT (1ul << 62)
#define CHILD_MASK 0xfful
#define CHANNEL_MASK 0x3ful

_Bool microkit_passive;
char microkit_name[MICROKIT_PD_NAME_LENGTH];
seL4_Word microkit_irqs;
seL4_Word microkit_notifications;
seL4_Word microkit_pps;

seL4_Bool microkit_have_signal;
seL4_CPtr microkit_signal_cap;
seL4_MessageInfo_t microkit_signal_msg;

extern seL4_IPCBuffer __sel4_ipc_buffer_obj;
seL4_IPCBuffer *__sel4_ipc_buffer = &__sel4_ipc_buffer_obj;

extern void (*const __init_array_start[])(void);
extern void (*const __init_array_end[])(void);

void sb_microkit_main(void);

__attribute__((weak)) microkit_msginfo protected(microkit_channel ch, microkit_msginfo msginfo)
{
    (void)ch;
    (void)msginfo;
    microkit_internal_crash(seL4_NoError);
    return seL4_MessageInfo_new(0, 0, 0, 0);
}

__attribute__((weak)) seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply_msginfo)
{
    (void)child;
    (void)msginfo;
    (void)reply_msginfo;
    microkit_internal_crash(seL4_NoError);
    return seL4_False;
}

void microkit_dbg_putc(int c)
{
    (void)c;
}

void microkit_dbg_puts(const char *s)
{
    (void)s;
}

void microkit_dbg_put8(seL4_Uint8 x)
{
    (void)x;
}

void microkit_dbg_put32(seL4_Uint32 x)
{
    (void)x;
}

static void deliver_notifications(seL4_Word badge)
{
    for (microkit_channel ch = 0; badge != 0; ch++, badge >>= 1) {
        if (badge & 1u) {
            notified(ch);
        }
    }
}

void sb_microkit_main(void)
{
    for (void (*const *start)(void) = __init_array_start; start != __init_array_end; start++) {
        (*start)();
    }
    microkit_have_signal = seL4_False;
    init();

    if (microkit_passive) {
        /* The monitor takes our scheduling context away once we wait; the call that waits also says so. */
        microkit_have_signal = seL4_True;
        microkit_signal_msg = seL4_MessageInfo_new(0, 0, 0, 0);
        microkit_signal_cap = MONITOR_EP;
    }

    seL4_Bool have_answer = seL4_False;
    seL4_MessageInfo_t answer = seL4_MessageInfo_new(0, 0, 0, 0);
    for (;;) {
        seL4_Word badge = 0;
        seL4_MessageInfo_t tag;

        if (have_answer) {
            /* A signal deferred inside protected() stays pending until an event without an answer. */
            tag = seL4_ReplyRecv(INPUT_CAP, answer, &badge, REPLY_CAP);
        } else if (microkit_have_signal) {
            microkit_have_signal = seL4_False;
            tag = seL4_NBSendRecv(microkit_signal_cap, microkit_signal_msg, INPUT_CAP, &badge, REPLY_CAP);
        } else {
            tag = seL4_Recv(INPUT_CAP, &badge, REPLY_CAP);
        }

        have_answer = seL4_False;
        if (badge & BADGE_FAULT) {
            have_answer = fault((microkit_child)(badge & CHILD_MASK), tag, &answer);
        } else if (badge & BADGE_CALL) {
            have_answer = seL4_True;
            answer = protected((microkit_channel)(badge & CHANNEL_MASK), tag);
        } else {
            deliver_notifications(badge);
        }
    }
}
