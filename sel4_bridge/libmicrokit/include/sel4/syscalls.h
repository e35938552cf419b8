/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MCS system calls as functions.
 *
 * Registers (seL4 reference manual, "System Calls", and libsel4's AArch64 stubs): x7 the number, x0 the capability in
 * and the badge out, x1 the message info, x2-x5 message registers 0-3 (the rest lie in the IPC buffer), x6 the reply
 * object, x8 the capability to send to in NBSendRecv. Each function leaves message registers 0-3 in the IPC buffer
 * too, as libsel4 does, so seL4_GetMR(0) works after any receive.
 */
#pragma once

#include <sel4/constants.h>
#include <sel4/trap.h>
#include <sel4/types.h>

extern seL4_IPCBuffer *__sel4_ipc_buffer;

static inline seL4_IPCBuffer *seL4_GetIPCBuffer(void)
{
    return __sel4_ipc_buffer;
}

static inline seL4_Word seL4_GetMR(int i)
{
    return __sel4_ipc_buffer->msg[i];
}

static inline void seL4_SetCap(int i, seL4_CPtr cptr)
{
    seL4_GetIPCBuffer()->caps_or_badges[i] = cptr;
}

static inline void seL4_SetMR(int i, seL4_Word mr)
{
    __sel4_ipc_buffer->msg[i] = mr;
}

static inline void sel4_load_mrs(struct sel4_frame *f)
{
    for (int i = 0; i < seL4_FastMessageRegisters; i++) {
        f->mr[i] = seL4_GetMR(i);
    }
}

static inline seL4_MessageInfo_t sel4_store_mrs(const struct sel4_frame *f, seL4_Word *sender)
{
    for (int i = 0; i < seL4_FastMessageRegisters; i++) {
        seL4_SetMR(i, f->mr[i]);
    }
    if (sender != seL4_Null) {
        *sender = f->x0;
    }
    seL4_MessageInfo_t info = {{f->info}};
    return info;
}

static inline void seL4_Send(seL4_CPtr dest, seL4_MessageInfo_t msgInfo)
{
    struct sel4_frame f = {.x0 = dest, .info = msgInfo.words[0]};
    sel4_load_mrs(&f);
    sel4_trap(seL4_SysSend, &f);
}

static inline void seL4_NBSend(seL4_CPtr dest, seL4_MessageInfo_t msgInfo)
{
    struct sel4_frame f = {.x0 = dest, .info = msgInfo.words[0]};
    sel4_load_mrs(&f);
    sel4_trap(seL4_SysNBSend, &f);
}

static inline void seL4_Signal(seL4_CPtr dest)
{
    struct sel4_frame f = {.x0 = dest};
    sel4_trap(seL4_SysSend, &f);
}

static inline seL4_MessageInfo_t seL4_Call(seL4_CPtr dest, seL4_MessageInfo_t msgInfo)
{
    struct sel4_frame f = {.x0 = dest, .info = msgInfo.words[0]};
    sel4_load_mrs(&f);
    sel4_trap(seL4_SysCall, &f);
    return sel4_store_mrs(&f, (seL4_Word *)seL4_Null);
}

static inline seL4_MessageInfo_t seL4_Recv(seL4_CPtr src, seL4_Word *sender, seL4_CPtr reply)
{
    struct sel4_frame f = {.x0 = src, .reply = reply};
    sel4_trap(seL4_SysRecv, &f);
    return sel4_store_mrs(&f, sender);
}

static inline seL4_MessageInfo_t seL4_NBRecv(seL4_CPtr src, seL4_Word *sender, seL4_CPtr reply)
{
    struct sel4_frame f = {.x0 = src, .reply = reply};
    sel4_trap(seL4_SysNBRecv, &f);
    return sel4_store_mrs(&f, sender);
}

static inline seL4_MessageInfo_t seL4_Wait(seL4_CPtr src, seL4_Word *sender)
{
    struct sel4_frame f = {.x0 = src};
    sel4_trap(seL4_SysWait, &f);
    return sel4_store_mrs(&f, sender);
}

static inline seL4_MessageInfo_t seL4_NBWait(seL4_CPtr src, seL4_Word *sender)
{
    struct sel4_frame f = {.x0 = src};
    sel4_trap(seL4_SysNBWait, &f);
    return sel4_store_mrs(&f, sender);
}

static inline seL4_MessageInfo_t seL4_Poll(seL4_CPtr src, seL4_Word *sender)
{
    return seL4_NBWait(src, sender);
}

static inline seL4_MessageInfo_t seL4_ReplyRecv(seL4_CPtr src, seL4_MessageInfo_t msgInfo, seL4_Word *sender,
                                                seL4_CPtr reply)
{
    struct sel4_frame f = {.x0 = src, .info = msgInfo.words[0], .reply = reply};
    sel4_load_mrs(&f);
    sel4_trap(seL4_SysReplyRecv, &f);
    return sel4_store_mrs(&f, sender);
}

static inline seL4_MessageInfo_t seL4_NBSendRecv(seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_CPtr src,
                                                 seL4_Word *sender, seL4_CPtr reply)
{
    struct sel4_frame f = {.x0 = src, .info = msgInfo.words[0], .reply = reply, .x8 = dest};
    sel4_load_mrs(&f);
    sel4_trap(seL4_SysNBSendRecv, &f);
    return sel4_store_mrs(&f, sender);
}

static inline seL4_MessageInfo_t seL4_NBSendWait(seL4_CPtr dest, seL4_MessageInfo_t msgInfo, seL4_CPtr src,
                                                 seL4_Word *sender)
{
    struct sel4_frame f = {.x0 = src, .info = msgInfo.words[0], .reply = dest};
    sel4_load_mrs(&f);
    sel4_trap(seL4_SysNBSendWait, &f);
    return sel4_store_mrs(&f, sender);
}

static inline void seL4_Yield(void)
{
    struct sel4_frame f = {0};
    sel4_trap(seL4_SysYield, &f);
}
