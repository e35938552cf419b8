/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that libmicrokit makes, and the endpoints, notifications, TCBs and interrupts behind them.
 *
 * Contract: capabilities are where the Microkit tool puts them (microkit.h); what a domain was not given answers as an
 * empty slot does. A domain receives its notification first, then callers and faults by priority, then by arrival. One
 * answer may be outstanding a domain, as with Microkit's one reply object.
 *
 * Does NOT: invoke anything but TCBs of children (registers, suspend, resume, priority) and interrupt handlers
 * (acknowledge); let a parent answer a fault. Those end the simulator by name: no domain of ours does that.
 * Source: seL4 Reference Manual, chapters "Message Passing", "Notifications", "Faults"; Microkit manual 2.0.1.
 */
#include <microkit.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

enum { INPUT_CAP = 1, REPLY_CAP = 4 };

#define BADGE_CALL (UINT64_C(1) << 63)
#define BADGE_FAULT (UINT64_C(1) << 62)
#define BADGE_NUMBER UINT64_C(0xff)

static bool irq_masked[SIM_IRQS ? SIM_IRQS : 1];

static struct sim_domain *domain_at(int index)
{
    return &sim.domains[index];
}

static seL4_MessageInfo_t info_of(const struct sel4_frame *frame)
{
    return (seL4_MessageInfo_t){{frame->info}};
}

static seL4_Word get_word(const struct sim_domain *domain, seL4_Word index)
{
    return index < seL4_FastMessageRegisters ? domain->frame->mr[index] : domain->buffer->msg[index];
}

static void set_word(struct sim_domain *domain, seL4_Word index, seL4_Word value)
{
    if (index < seL4_FastMessageRegisters) {
        domain->frame->mr[index] = value;
    } else {
        domain->buffer->msg[index] = value;
    }
}

static seL4_Word message_length(const struct sim_domain *domain)
{
    seL4_Word length = seL4_MessageInfo_get_length(info_of(domain->frame));
    return length < seL4_MsgMaxLength ? length : seL4_MsgMaxLength;
}

/* Copies the message of one domain's system call into another's; capabilities never travel. */
static void transfer(const struct sim_domain *from, struct sim_domain *to)
{
    seL4_Word length = message_length(from);
    for (seL4_Word i = 0; i < length || i < seL4_FastMessageRegisters; i++) {
        set_word(to, i, i < length ? get_word(from, i) : 0);
    }
    to->frame->info = seL4_MessageInfo_new(seL4_MessageInfo_get_label(info_of(from->frame)), 0, 0, length).words[0];
}

static void deliver_fault(const struct sim_domain *from, struct sim_domain *to)
{
    const struct sim_fault *fault = &from->fault;
    uint64_t words[] = {fault->pc, fault->address, 0, fault->code};
    if (fault->label == seL4_Fault_UserException) {
        words[1] = fault->sp;
        words[2] = 0;
        words[3] = fault->code;
    }
    for (seL4_Word i = 0; i < seL4_FastMessageRegisters; i++) {
        to->frame->mr[i] = words[i];
    }
    to->frame->info = seL4_MessageInfo_new(fault->label, 0, 0, seL4_FastMessageRegisters).words[0];
}

/* Who waits longest at `to` among those of the highest priority. */
static struct sim_domain *first_sender(const struct sim_domain *to)
{
    struct sim_domain *first = NULL;
    for (int i = 0; i < SIM_DOMAINS; i++) {
        struct sim_domain *domain = domain_at(i);
        bool sends = domain->state == SIM_CALLING || domain->state == SIM_FAULTED;
        if (!sends || domain->peer != to || domain->taken) {
            continue;
        }
        if (first == NULL || domain->priority > first->priority ||
            (domain->priority == first->priority && domain->queued_at < first->queued_at)) {
            first = domain;
        }
    }
    return first;
}

/* Gives a domain that is in a receive what waits for it. */
static bool receive(struct sim_domain *domain)
{
    if (domain->notification != 0) {
        domain->frame->x0 = domain->notification;
        domain->frame->info = 0;
        domain->notification = 0;
        return true;
    }
    struct sim_domain *sender = first_sender(domain);
    if (sender == NULL) {
        return false;
    }
    if (sender->state == SIM_FAULTED) {
        deliver_fault(sender, domain);
    } else {
        transfer(sender, domain);
    }
    domain->frame->x0 = sender->sender_badge;
    sender->taken = true;
    return true;
}

static void poke(struct sim_domain *domain)
{
    if (domain->state == SIM_RECEIVING && receive(domain)) {
        sim_wake(domain);
    }
}

static void notify(struct sim_domain *domain, unsigned channel)
{
    domain->notification |= UINT64_C(1) << channel;
    poke(domain);
}

bool sim_interrupt(int number)
{
    for (int i = 0; i < SIM_IRQS; i++) {
        if (sim_irqs[i].number == number && !irq_masked[i]) {
            irq_masked[i] = true;
            notify(domain_at(sim_irqs[i].domain), sim_irqs[i].channel);
            return true;
        }
    }
    return false;
}

static const struct sim_end_row *find_end(const struct sim_domain *domain, seL4_Word channel)
{
    for (int i = 0; i < SIM_ENDS; i++) {
        if (domain_at(sim_ends[i].domain) == domain && sim_ends[i].channel == channel) {
            return &sim_ends[i];
        }
    }
    return NULL;
}

static void queue_at(struct sim_domain *domain, struct sim_domain *peer, uint64_t badge, enum sim_state state)
{
    domain->peer = peer;
    domain->sender_badge = badge;
    domain->taken = false;
    domain->queued_at = ++sim.arrivals;
    domain->state = state;
    poke(peer);
}

void sim_fault_sent(struct sim_domain *domain)
{
    const struct sim_domain_row *row = domain->row;
    if (row->parent == SIM_ROOT) {
        sim_fail("domain %s faulted: label %llu, pc %#llx (%s+%#llx), address %#llx", row->name,
                 (unsigned long long)domain->fault.label, (unsigned long long)domain->fault.pc, row->name,
                 (unsigned long long)(domain->fault.pc - (uint64_t)(uintptr_t)domain->start),
                 (unsigned long long)domain->fault.address);
    }
    queue_at(domain, domain_at(row->parent), BADGE_FAULT | row->child, SIM_FAULTED);
}

/* The answer to whoever's message this domain took. */
static void reply(struct sim_domain *domain)
{
    for (int i = 0; i < SIM_DOMAINS; i++) {
        struct sim_domain *caller = domain_at(i);
        if (!caller->taken || caller->peer != domain) {
            continue;
        }
        if (caller->state == SIM_FAULTED) {
            sim_fail("domain %s answers a fault of %s: resuming a fault is not simulated", domain->row->name,
                     caller->row->name);
        }
        transfer(domain, caller);
        caller->taken = false;
        sim_wake(caller);
        return;
    }
}

void sim_suspend(struct sim_domain *domain)
{
    domain->redo |= domain->state == SIM_RECEIVING || domain->state == SIM_CALLING;
    domain->faulted |= domain->state == SIM_FAULTED;
    domain->taken = false;
    domain->peer = NULL;
    domain->state = SIM_STOPPED;
}

/* Goes on where it was suspended: a system call that it waited in is made again, a fault happens again. */
static void resume(struct sim_domain *domain)
{
    if (domain->state != SIM_STOPPED) {
        return;
    }
    if (domain->faulted) {
        domain->faulted = false;
        sim_fault_sent(domain);
    } else {
        sim_wake(domain);
    }
}

static seL4_Error read_registers(struct sim_domain *domain, const struct sim_domain *target)
{
    seL4_UserContext registers = {.pc = target->fault.pc, .sp = target->fault.sp};
    const uint64_t *arguments = target->fault.regs;
    seL4_Word words[sizeof registers / sizeof(seL4_Word)];
    registers.x0 = arguments[0];
    registers.x1 = arguments[1];
    registers.x2 = arguments[2];
    registers.x3 = arguments[3];
    registers.x4 = arguments[4];
    registers.x5 = arguments[5];
    registers.x6 = arguments[6];
    registers.x7 = arguments[7];
    memcpy(words, &registers, sizeof words);
    for (seL4_Word i = 0; i < sizeof words / sizeof words[0]; i++) {
        set_word(domain, i, words[i]);
    }
    return seL4_NoError;
}

static seL4_Error invoke_tcb(struct sim_domain *domain, struct sim_domain *target, seL4_Word label, seL4_Word *length)
{
    switch (label) {
    case TCBReadRegisters:
        *length = sizeof(seL4_UserContext) / sizeof(seL4_Word);
        return read_registers(domain, target);
    case TCBWriteRegisters:
        if (get_word(domain, 2) != SIM_ENTRY) {
            sim_fail("domain %s restarts %s at %#lx: only its entry point is simulated", domain->row->name,
                     target->row->name, get_word(domain, 2));
        }
        sim_suspend(target);
        sim_domain_restart(target);
        if ((get_word(domain, 0) & 1u) == 0) {
            target->state = SIM_STOPPED;
        }
        return seL4_NoError;
    case TCBSuspend:
        sim_suspend(target);
        return seL4_NoError;
    case TCBResume:
        resume(target);
        return seL4_NoError;
    case TCBSetPriority:
        if (get_word(domain, 0) > (seL4_Word)target->row->priority) {
            return seL4_RangeError; /* above what its own capability, the authority, allows */
        }
        target->priority = (int)get_word(domain, 0);
        return seL4_NoError;
    default:
        sim_fail("domain %s invokes the TCB of %s with label %lu: not simulated", domain->row->name,
                 target->row->name, label);
    }
}

static struct sim_domain *child_of(const struct sim_domain *domain, seL4_Word child)
{
    for (int i = 0; i < SIM_DOMAINS; i++) {
        const struct sim_domain_row *row = domain_at(i)->row;
        if (row->parent != SIM_ROOT && domain_at(row->parent) == domain && row->child == child) {
            return domain_at(i);
        }
    }
    return NULL;
}

static int irq_of(const struct sim_domain *domain, seL4_Word channel)
{
    for (int i = 0; i < SIM_IRQS; i++) {
        if (domain_at(sim_irqs[i].domain) == domain && sim_irqs[i].channel == channel) {
            return i;
        }
    }
    return -1;
}

static void acknowledge(struct sim_domain *domain, seL4_Word channel)
{
    int row = irq_of(domain, channel);
    if (row >= 0) {
        irq_masked[row] = false;
        sim.tick = 1; /* the deadline may have passed again */
        sim_uart_level();
    }
}

/* A call of an object of the kernel: answered at once. */
static void invoke(struct sim_domain *domain, seL4_CPtr cap)
{
    seL4_Word label = seL4_MessageInfo_get_label(info_of(domain->frame));
    seL4_Word length = 0;
    seL4_Error error = seL4_InvalidCapability;
    if (cap >= BASE_TCB_CAP && cap < BASE_TCB_CAP + SIM_CHANNELS) {
        struct sim_domain *target = child_of(domain, cap - BASE_TCB_CAP);
        if (target != NULL) {
            error = invoke_tcb(domain, target, label, &length);
        }
    } else if (cap >= BASE_IRQ_CAP && cap < BASE_IRQ_CAP + SIM_CHANNELS && label == IRQAckIRQ) {
        acknowledge(domain, cap - BASE_IRQ_CAP);
        error = seL4_NoError;
    }
    domain->frame->info = seL4_MessageInfo_new(error, 0, 0, length).words[0];
}

static void call(struct sim_domain *domain, seL4_CPtr cap)
{
    if (cap < BASE_ENDPOINT_CAP || cap >= BASE_ENDPOINT_CAP + SIM_CHANNELS) {
        invoke(domain, cap);
        return;
    }
    const struct sim_end_row *end = find_end(domain, cap - BASE_ENDPOINT_CAP);
    if (end == NULL || !end->calls) {
        sim_fail("domain %s calls on channel %lu, which it may not", domain->row->name, cap - BASE_ENDPOINT_CAP);
    }
    queue_at(domain, domain_at(end->peer), BADGE_CALL | end->peer_channel, SIM_CALLING);
}

static void send(struct sim_domain *domain, seL4_CPtr cap)
{
    if (cap >= BASE_IRQ_CAP && cap < BASE_IRQ_CAP + SIM_CHANNELS) {
        acknowledge(domain, cap - BASE_IRQ_CAP); /* libmicrokit's deferred acknowledgement */
        return;
    }
    const struct sim_end_row *end = NULL;
    if (cap >= BASE_OUTPUT_NOTIFICATION_CAP && cap < BASE_OUTPUT_NOTIFICATION_CAP + SIM_CHANNELS) {
        end = find_end(domain, cap - BASE_OUTPUT_NOTIFICATION_CAP);
    }
    if (end != NULL) {
        notify(domain_at(end->peer), end->peer_channel);
    }
}

static void wait(struct sim_domain *domain, seL4_CPtr cap)
{
    if (cap != INPUT_CAP) {
        sim_fail("domain %s receives from capability %lu: not simulated", domain->row->name, cap);
    }
    domain->state = SIM_RECEIVING;
    poke(domain);
}

static void dispatch(struct sim_domain *domain, seL4_Syscall_ID number, seL4_CPtr cap)
{
    switch (number) {
    case seL4_SysSend:
    case seL4_SysNBSend:
        send(domain, cap);
        break;
    case seL4_SysCall:
        call(domain, cap);
        break;
    case seL4_SysReplyRecv:
        reply(domain);
        wait(domain, cap);
        break;
    case seL4_SysNBSendRecv:
        send(domain, domain->frame->x8);
        wait(domain, cap);
        break;
    case seL4_SysRecv:
        wait(domain, cap);
        break;
    default:
        sim_fail("domain %s makes system call %d: not simulated", domain->row->name, (int)number);
    }
}

void sel4_trap(seL4_Syscall_ID number, struct sel4_frame *frame)
{
    struct sim_domain *domain = sim.current;
    do {
        sim.in_kernel = 1;
        sim.entries++;
        domain->frame = frame;
        domain->redo = false;
        dispatch(domain, number, frame->x0);
        sim_leave(domain);
    } while (domain->redo);
}
