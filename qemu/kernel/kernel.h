/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stand-in kernel: objects and what the files of this folder offer each other.
 *
 * What this is: a small EL1 kernel for QEMU's virt machine that answers the seL4 MCS system calls at the ABI for the
 * fixed systems that Microkit describes. It is a simulator for tests and demonstrations, and it is not seL4: nothing
 * about it is proved. Everything is created at boot; there is no allocation, no capability transfer and no change of
 * an address space afterwards. One core; the kernel itself is never interrupted.
 *
 * Sources: seL4 reference manual, libsel4's interface headers, Microkit's manual and tool, and what the genuine kernel
 * is seen to do. Not the genuine kernel's source.
 */
#pragma once

#include "layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_DOMAINS = 63, /* Microkit's own maximum */
    MAX_IRQ = 288,    /* GIC interrupt numbers on virt */
    CSPACE_SLOTS = 512,
    CSPACE_BITS = 9,
    MAX_MESSAGE = 120, /* words */
    FAST_REGISTERS = 4,
    PRIORITIES = 256,
};

/* Registers of a thread. The assembler in vectors.S knows the order and pins it with the offsets below. */
struct context {
    uint64_t x[31];
    uint64_t sp, pc, spsr;
    uint64_t tpidr, tpidrro;
    unsigned __int128 q[32];
    uint64_t fpsr, fpcr;
};
_Static_assert(offsetof(struct context, sp) == 248, "vectors.S");
_Static_assert(offsetof(struct context, q) == 288, "vectors.S");
_Static_assert(offsetof(struct context, fpsr) == 800, "vectors.S");

/* What EL0 may choose of its state register: the flags. EL0t; asynchronous aborts and fast interrupts masked. */
static inline uint64_t user_spsr(uint64_t wanted)
{
    return (wanted & 0xf0000000u) | 0x140u;
}

struct thread;
struct notification;

struct refill {
    uint64_t time;   /* ticks: usable from then */
    uint64_t amount; /* ticks */
};

/* Scheduling context: budget in every period; a round robin time slice when both are equal. */
struct budget {
    uint64_t budget, period; /* ticks */
    struct refill refill[2]; /* amounts sum to budget; ordered by time */
    unsigned refills;        /* 1 or 2 */
    uint64_t used;           /* ticks used of refill[0] and not charged yet */
    struct thread *thread;   /* who runs on it now, or NULL */
};

enum thread_state {
    INACTIVE, /* suspended, faulted without a handler, or its caller went away */
    RUNNABLE,
    BLOCKED_SEND,
    BLOCKED_RECEIVE,
    BLOCKED_REPLY,
    BLOCKED_NOTIFICATION,
};

enum queue_kind { QUEUE_NONE, QUEUE_READY, QUEUE_RELEASE, QUEUE_OBJECT };

struct queue {
    struct thread *head, *tail;
};

struct endpoint {
    struct queue senders, receivers; /* by priority, first come first served among equals */
};

struct notification {
    uint64_t word; /* pending badges; `active` tells a pending badge of 0 from none */
    bool active;
    struct thread *bound;
    struct budget *budget; /* of a passive domain */
    struct queue waiters;
};

struct reply {
    struct thread *receiver; /* waits with this reply object */
    struct thread *caller;   /* waits for the answer */
    struct budget *donated;  /* went with the call and comes back with the answer; NULL: none did */
};

enum cap_type { CAP_NULL, CAP_ENDPOINT, CAP_NOTIFICATION, CAP_REPLY, CAP_THREAD, CAP_IRQ, CAP_VSPACE, CAP_MONITOR };

struct cap {
    enum cap_type type;
    uint64_t badge; /* CAP_IRQ: the interrupt number */
    void *object;
};

struct fault {
    uint64_t label; /* seL4_Fault_tag; 0: none */
    uint64_t length;
    uint64_t mr[16];
};

struct thread {
    struct context context; /* first: vectors.S */
    char name[65];
    unsigned priority;
    unsigned max_priority; /* it may be given at most, and give to others */
    enum thread_state state;
    uint64_t restart_pc; /* where a stopped thread goes on: its system call again, or the faulting instruction */
    struct budget *budget;
    struct budget own_budget;

    struct thread *next, *previous; /* in `queue` */
    enum queue_kind queued;
    struct queue *queue;

    struct endpoint *endpoint; /* blocked on */
    struct notification *waits_on;
    uint64_t badge;    /* of the message it sends */
    bool is_call;      /* wants an answer */
    struct reply *offers; /* BLOCKED_RECEIVE: reply object for the next caller */
    struct reply *awaits; /* BLOCKED_REPLY */
    struct fault fault;

    struct endpoint *fault_endpoint; /* NULL: no parent, the kernel prints a line */
    uint64_t fault_badge;
    struct notification *notification;
    uint64_t *ipc_buffer; /* word 0 is the tag, words 1..120 the message registers */
    uint64_t ttbr;
    struct cap *cspace;
};
_Static_assert(offsetof(struct thread, context) == 0, "vectors.S");

/* main.c */
void kernel_main(void);
struct context *kernel_entry(struct context *context, uint64_t kind);
extern char kernel_image[]; /* first byte of the image; the description lies behind kernel_end */
extern char kernel_end[];

/* console.c: lines for the operator on PL011, kernel trouble only */
void print(const char *text);
void print_hex(uint64_t value);
_Noreturn void panic(const char *why);

/* memory.c */
void memory_init(uint64_t base, uint64_t size);
uint64_t memory_take(uint64_t size, uint64_t align); /* physical, cleared; stops the kernel when RAM is out */
void *memory_at(uint64_t phys);
void memory_clear(void *at, uint64_t size);
void memory_copy(void *to, const void *from, uint64_t size);

/* space.c: address spaces */
void space_protect_kernel(void);
uint64_t space_new(unsigned asid); /* value for TTBR0_EL1 */
void space_map(uint64_t ttbr, uint64_t vaddr, uint64_t phys, uint64_t size, uint64_t flags);

/* setup.c: objects out of the boot description */
void setup(void);

/* schedule.c: every thread that may run is current, in a ready queue or in the release queue */
extern struct thread *current;
extern uint64_t now; /* ticks, read at kernel entry */
void schedule_wake(struct thread *thread); /* state has become RUNNABLE */
void schedule_stop(struct thread *thread); /* state is no longer RUNNABLE, or its budget was taken */
void schedule_priority(struct thread *thread, unsigned priority);
void schedule_yield(void);
void schedule_timer_fired(void);
void budget_init(struct budget *budget, uint64_t budget_us, uint64_t period_us);
void budget_give(struct budget *budget, struct thread *thread); /* thread has none */
struct budget *budget_take(struct thread *thread);
struct thread *schedule(void); /* who runs next; waits for interrupts while nobody can */
void queue_insert(struct queue *queue, struct thread *thread); /* by priority */
void queue_remove(struct thread *thread);
uint64_t clock_now(void);

/* ipc.c */
void ipc_send(struct endpoint *endpoint, struct thread *sender, uint64_t badge, bool blocking, bool call);
void ipc_receive(struct endpoint *endpoint, struct thread *receiver, struct reply *reply, bool blocking);
void ipc_reply(struct reply *reply, struct thread *replier);
void ipc_cancel(struct thread *thread);
void notification_signal(struct notification *notification, uint64_t badge);
void notification_wait(struct notification *notification, struct thread *thread, bool blocking);
void message_answer(struct thread *thread, uint64_t label, uint64_t length, const uint64_t *words);
uint64_t message_word(const struct thread *thread, uint64_t index);
void message_set(struct thread *thread, uint64_t index, uint64_t word);

/* fault.c */
void fault_raise(struct thread *thread, uint64_t label, uint64_t length);
void fault_from_exception(struct thread *thread, uint64_t esr, uint64_t far);
void fault_cap(struct thread *thread, uint64_t cptr, bool receiving);
void fault_unknown_syscall(struct thread *thread);
bool fault_resume(struct thread *thread, const struct thread *replier); /* takes the answer; false: stays stopped */

/* syscall.c */
const struct cap *lookup(const struct thread *thread, uint64_t cptr); /* NULL when the address has no slot */
void syscall(struct thread *thread);

/* invoke.c: returns an error label; fills the answer's words */
struct answer {
    uint64_t length;
    uint64_t mr[36];
};
uint64_t invoke(struct thread *caller, const struct cap *cap, uint64_t info, struct answer *answer);

/* gic.c */
void gic_init(void);
void gic_route(unsigned irq, struct notification *notification, uint64_t badge, bool edge);
void gic_acknowledge(unsigned irq);
void gic_handle(void);
