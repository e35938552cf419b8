/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs: priorities with preemption, round robin among equals, and scheduling contexts (struct budget).
 *
 * Among equals the one that woke last goes first, the one whose slice is used up last, as measured on genuine seL4.
 *
 * Contract: a RUNNABLE thread with a budget is either `current`, in the ready queue of its priority, or, while its next
 * refill lies in the future, in the release queue; every other thread is in none of them. Budgets follow the manual's
 * section "Scheduling Contexts": with budget == period a time slice that starts anew when used up; otherwise a
 * sporadic server with two refills: time used comes back one period after the refill it was taken from became usable.
 * Kernel time counts as the time of whoever ran. The kernel's clock is the virtual counter, which EL0 cannot read; the
 * virtual timer wakes it.
 */
#include "kernel.h"

enum { MINIMUM_US = 10 }; /* shorter refills are joined with the next */

struct thread *current;
uint64_t now;

static struct budget *running;      /* of `current` since `started`; NULL while idle */
static uint64_t started;            /* ticks: time before it is accounted for */
static struct queue ready[PRIORITIES];
static uint64_t ready_bits[PRIORITIES / 64];
static struct queue release_queue;  /* by time of the first refill */
static uint64_t ticks_per_us_x1000; /* 62500 on virt */
static uint64_t armed_for = ~0ul;   /* ticks: when the timer will interrupt; ~0: it won't */

void fpu_save(struct context *context);
void fpu_load(const struct context *context);

uint64_t clock_now(void)
{
    uint64_t ticks;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}

static uint64_t to_ticks(uint64_t us)
{
    if (ticks_per_us_x1000 == 0) {
        uint64_t hz;
        __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
        ticks_per_us_x1000 = hz / 1000;
    }
    return us * ticks_per_us_x1000 / 1000;
}

/* Queues. */

static void link_before(struct queue *queue, struct thread *place, struct thread *thread)
{
    thread->next = place;
    thread->previous = place ? place->previous : queue->tail;
    if (thread->previous) {
        thread->previous->next = thread;
    } else {
        queue->head = thread;
    }
    if (place) {
        place->previous = thread;
    } else {
        queue->tail = thread;
    }
    thread->queue = queue;
}

void queue_insert(struct queue *queue, struct thread *thread)
{
    struct thread *place = queue->head;
    while (place && place->priority >= thread->priority) {
        place = place->next;
    }
    link_before(queue, place, thread);
    thread->queued = QUEUE_OBJECT;
}

void queue_remove(struct thread *thread)
{
    if (thread->queued == QUEUE_NONE) {
        return;
    }
    if (thread->previous) {
        thread->previous->next = thread->next;
    } else {
        thread->queue->head = thread->next;
    }
    if (thread->next) {
        thread->next->previous = thread->previous;
    } else {
        thread->queue->tail = thread->previous;
    }
    if (thread->queued == QUEUE_READY && thread->queue->head == NULL) {
        ready_bits[thread->priority / 64] &= ~(1ul << thread->priority % 64);
    }
    thread->next = thread->previous = NULL;
    thread->queued = QUEUE_NONE;
    thread->queue = NULL;
}

static int highest_ready(void)
{
    for (int word = PRIORITIES / 64 - 1; word >= 0; word--) {
        if (ready_bits[word] != 0) {
            return word * 64 + 63 - __builtin_clzl(ready_bits[word]);
        }
    }
    return -1;
}

/* Budgets. */

static bool round_robin(const struct budget *b)
{
    return b->budget == b->period;
}

void budget_init(struct budget *b, uint64_t budget_us, uint64_t period_us)
{
    b->budget = to_ticks(budget_us);
    b->period = to_ticks(period_us);
    b->refill[0].time = 0;
    b->refill[0].amount = b->budget;
    b->refills = 1;
}

/* What is left of the first refill waits for the second, which may begin earlier by as much and ends when it would. */
static void join_refills(struct budget *b)
{
    if (b->refills == 2) {
        b->refill[0].time = b->refill[1].time - b->refill[0].amount;
        b->refill[0].amount += b->refill[1].amount;
        b->refills = 1;
    }
}

/* Takes the used time off. Round robin: true when the slice has ended. Otherwise refill[0].time may now lie ahead. */
static bool charge(struct budget *b)
{
    uint64_t used = b->used;
    b->used = 0;
    if (round_robin(b)) {
        if (used >= b->refill[0].amount) {
            b->refill[0].amount = b->budget;
            return true;
        }
        b->refill[0].amount -= used;
        return false;
    }
    bool exhausted = false;
    while (used >= b->refill[0].amount) { /* ends: `used` falls by a refill that is not empty */
        struct refill done = b->refill[0];
        used -= done.amount;
        done.time += b->period;
        if (b->refills == 2) {
            b->refill[0] = b->refill[1];
            b->refill[1] = done;
        } else {
            b->refill[0] = done;
        }
        exhausted = used < to_ticks(MINIMUM_US); /* the rest is our own delay, not the thread's */
    }
    if (used > 0 && !exhausted) {
        struct refill part = {b->refill[0].time + b->period, used};
        b->refill[0].amount -= used;
        join_refills(b); /* there is no room for a third */
        b->refill[1] = part;
        b->refills = 2;
    }
    if (b->refills == 2 && b->refill[0].amount < to_ticks(MINIMUM_US)) {
        join_refills(b);
    }
    return false;
}

/* What was usable long ago counts as usable from now: time not used is lost, not saved up. */
static void refresh(struct budget *b)
{
    if (round_robin(b) || b == running) {
        return;
    }
    if (b->refills == 2 && b->refill[1].time <= now) {
        b->refill[0].amount += b->refill[1].amount;
        b->refills = 1;
    }
    if (b->refill[0].time < now) {
        b->refill[0].time = now;
    }
}

static bool usable(const struct budget *b)
{
    return round_robin(b) || b->refill[0].time <= now;
}

/* Puts a runnable thread into the queue it belongs to. */
static void place(struct thread *thread, bool first)
{
    struct budget *b = thread->budget;
    if (usable(b)) {
        struct queue *queue = &ready[thread->priority];
        link_before(queue, first ? queue->head : NULL, thread);
        thread->queued = QUEUE_READY;
        ready_bits[thread->priority / 64] |= 1ul << thread->priority % 64;
        return;
    }
    struct thread *after = release_queue.head;
    while (after && after->budget->refill[0].time <= b->refill[0].time) {
        after = after->next;
    }
    link_before(&release_queue, after, thread);
    thread->queued = QUEUE_RELEASE;
}

void schedule_wake(struct thread *thread)
{
    if (thread == current || thread->budget == NULL || thread->queued != QUEUE_NONE) {
        return;
    }
    refresh(thread->budget);
    place(thread, true);
}

void schedule_stop(struct thread *thread)
{
    if (thread->queued == QUEUE_READY || thread->queued == QUEUE_RELEASE) {
        queue_remove(thread);
    }
}

/* In a ready queue it goes to the head of its new one, as a thread that wakes does. */
void schedule_priority(struct thread *thread, unsigned priority)
{
    enum queue_kind queued = thread->queued;
    struct queue *queue = thread->queue;
    if (queued == QUEUE_READY || queued == QUEUE_OBJECT) {
        queue_remove(thread);
    }
    thread->priority = priority;
    if (queued == QUEUE_READY) {
        place(thread, true);
    } else if (queued == QUEUE_OBJECT) {
        queue_insert(queue, thread);
    }
}

void budget_give(struct budget *b, struct thread *thread)
{
    thread->budget = b;
    b->thread = thread;
    if (thread->state == RUNNABLE) {
        schedule_wake(thread);
    }
}

struct budget *budget_take(struct thread *thread)
{
    struct budget *b = thread->budget;
    if (b) {
        schedule_stop(thread);
        b->thread = NULL;
        thread->budget = NULL;
    }
    return b;
}

void schedule_yield(void)
{
    if (running) {
        running->used = running->refill[0].amount;
    }
}

/* The running budget is used up: its thread, current or already queued, waits for the next slice or refill. */
static void expire(void)
{
    struct thread *thread = running->thread;
    charge(running);
    running = NULL;
    if (thread && thread->state == RUNNABLE) {
        schedule_stop(thread);
        if (thread == current) {
            current = NULL;
        }
        place(thread, false);
    }
}

static void release(void)
{
    while (release_queue.head && release_queue.head->budget->refill[0].time <= now) {
        struct thread *thread = release_queue.head;
        queue_remove(thread);
        refresh(thread->budget);
        place(thread, true);
    }
}

void schedule_timer_fired(void)
{
    __asm__ volatile("msr cntv_ctl_el0, %0\n\tisb" ::"r"(0ul));
    armed_for = ~0ul;
}

static void arm(uint64_t ticks)
{
    __asm__ volatile("msr cntv_cval_el0, %0\n\tmsr cntv_ctl_el0, %1" ::"r"(ticks), "r"(1ul));
}

/*
 * Has QEMU's main loop look again at everything it waits for. When it should wake because a device's state changed (the
 * UART's FIFO has room, a timer was set), a write to the flash right after that can take the wake-up away: the emulated
 * CPU's thread waits for the file in aio_poll(), which clears the event that both share, and the main loop sleeps on.
 * Setting the timer wakes it; called where whoever may have written has done its work.
 */
static void wake_main_loop(void)
{
    if (armed_for != ~0ul) {
        arm(armed_for);
    } else {
        arm(now + to_ticks(1000000));
        __asm__ volatile("msr cntv_ctl_el0, %0" ::"r"(0ul));
    }
}

/*
 * An interrupt that comes too early does no harm, and QEMU makes arming the timer expensive: it is armed again only for
 * an earlier deadline than the last.
 */
static void set_timer(void)
{
    uint64_t deadline = ~0ul;
    if (release_queue.head) {
        deadline = release_queue.head->budget->refill[0].time;
    }
    if (running) {
        uint64_t end = now + running->refill[0].amount - running->used;
        deadline = end < deadline ? end : deadline;
    }
    if (deadline < armed_for) {
        armed_for = deadline;
        arm(deadline);
    }
}

static void account(void)
{
    if (running) {
        running->used += now - started;
    }
    started = now;
}

static void load(struct thread *thread)
{
    static struct thread *loaded; /* whose FPU state, thread registers and address space the core holds */
    if (loaded == thread) {
        return;
    }
    if (loaded) {
        fpu_save(&loaded->context);
        __asm__ volatile("mrs %0, tpidr_el0" : "=r"(loaded->context.tpidr));
    }
    loaded = thread;
    fpu_load(&thread->context);
    __asm__ volatile("msr tpidr_el0, %0\n\tmsr tpidrro_el0, %1\n\tmsr ttbr0_el1, %2\n\tisb" ::"r"(thread->context.tpidr),
                     "r"(thread->context.tpidrro), "r"(thread->ttbr));
}

struct thread *schedule(void)
{
    static unsigned last_priority; /* of the thread that ran last */
    for (;;) {
        account();
        if (running && running->used >= running->refill[0].amount) {
            expire();
        }
        release();
        if (current && (current->state != RUNNABLE || current->budget == NULL)) {
            current = NULL;
        }
        int best = highest_ready();
        if (current && (int)current->priority < best) {
            if (running && !round_robin(running)) {
                charge(running);
            }
            struct thread *preempted = current;
            current = NULL;
            place(preempted, true);
            best = highest_ready();
        }
        if (current == NULL && best >= 0) {
            current = ready[best].head;
            queue_remove(current);
        }
        if (current) {
            if (current->budget != running) {
                if (running) {
                    charge(running);
                }
                running = current->budget;
            }
            load(current);
            set_timer();
            if (current->priority < last_priority) {
                wake_main_loop();
            }
            last_priority = current->priority;
            return current;
        }
        if (running) {
            charge(running);
            running = NULL;
        }
        set_timer();
        wake_main_loop();
        last_priority = 0;
        __asm__ volatile("dsb sy\n\twfi");
        now = clock_now();
        started = now;
        gic_handle();
        now = clock_now();
    }
}
