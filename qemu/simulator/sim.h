/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host simulator: a kernel for protection domains that live as coroutines in one process. What its files share.
 *
 *   kernel.c    system calls and the objects behind them       schedule.c  who runs, slices, idling
 *   domain.c    loading, restarting and faulting domains        memory.c    regions, mappings, register accesses
 *   clock.c     counter, deadline, real or virtual time          uart.c      PL011 over a socket
 *   flash.c     NOR flash over a file, power cuts                record.c    recording and replaying what came from outside
 *
 * Contract: one thread. Domains enter through sel4_trap, the counter and register accesses; while one of those is
 * served, in_kernel is set and signals only leave a mark. Everything that a domain can see depends on the inputs that
 * record.c records, and on nothing else.
 *
 * Does NOT: protect domains from each other beyond page permissions: they share an address space. It is a tool for
 * tests and never described as seL4.
 */
#pragma once

#include <sel4/sel4.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"
#include "sim_system.h"

enum { SIM_CHANNELS = 62, SIM_ROOT = -1 };

enum sim_state {
    SIM_STOPPED,   /* suspended, or not started */
    SIM_RUNNABLE,
    SIM_RECEIVING, /* waits for a call, a fault or a notification */
    SIM_CALLING,   /* its message waits for the callee, or the callee has not answered */
    SIM_FAULTED,   /* its fault waits for the parent, or the parent has not answered */
};

struct sim_fault {
    uint64_t label; /* seL4_Fault_VMFault or seL4_Fault_UserException */
    uint64_t pc, sp, address, code;
    uint64_t regs[8]; /* argument registers, in the order of the calling convention */
};

struct sim_domain {
    const struct sim_domain_row *row;
    enum sim_state state;
    int priority;
    struct sim_context context;
    void *stack;
    struct sel4_frame *frame; /* of the system call it is in */
    void (*start)(void);      /* libmicrokit's entry point */
    seL4_IPCBuffer *buffer;
    uint64_t notification;    /* badge bits that wait */
    uint64_t sender_badge;    /* SIM_CALLING or SIM_FAULTED: the badge of our message */
    struct sim_domain *peer;  /* the same: who gets it */
    bool taken;               /* the same: the peer has it and has not answered */
    uint64_t queued_at;       /* the same: order of arrival */
    uint64_t turn;            /* order among equals: least goes first */
    bool redo;                /* suspended in its system call: make it again when resumed */
    bool faulted;             /* SIM_STOPPED: its fault comes again when resumed */
    struct sim_fault fault;
    uint64_t used_ns;         /* of the slice */
    uint64_t period_used_ns;  /* of the budget */
    uint64_t period_start_ns;
    uint64_t readings, read_at, last_ticks; /* of the counter in virtual time */
};

struct sim_options {
    const char *folder; /* of the domains' shared objects */
    int uart;           /* listening or connected socket, -1: none */
    int client;         /* connected socket besides a listening one, -1: none */
    bool virtual_time;
    bool wait;          /* for a client before the first instruction */
    bool seeded;
    uint64_t seed;
    const char *record, *replay, *flash;
    const char *digest; /* of this build, in recordings */
    uint64_t cut_at;    /* power goes at the Nth program or erase of flash; 0: never */
    int cut_phase;      /* 0 before it, 1 half way, 2 after it */
    bool rtc_given;
    uint32_t rtc;       /* seconds since the epoch at boot */
};

struct sim {
    struct sim_options options;
    struct sim_domain domains[SIM_DOMAINS];
    struct sim_domain *current; /* NULL: idle */
    struct sim_context loop;    /* the scheduler's */
    volatile sig_atomic_t in_kernel;
    volatile sig_atomic_t tick;          /* the timer's signal came: look at clock and socket */
    volatile sig_atomic_t reset, ending; /* signals that ask for a reset, an end */
    uint64_t entries;           /* into the kernel; the place of an input in a recording */
    uint64_t arrivals, turns;
};
extern struct sim sim;

/* main.c. Says why on stderr and ends the process; 70 as sysexits' EX_SOFTWARE. */
__attribute__((noreturn, format(printf, 1, 2))) void sim_fail(const char *format, ...);

/* domain.c */
void sim_load(void);
void sim_domain_restart(struct sim_domain *domain); /* runnable from its entry, its memory as it is */
void sim_catch_faults(void);

/* kernel.c */
bool sim_interrupt(int number);           /* notify who has it; false: masked until acknowledged, or nobody */
void sim_fault_sent(struct sim_domain *domain);
void sim_suspend(struct sim_domain *domain);

/* schedule.c */
void sim_leave(struct sim_domain *domain); /* end of a kernel entry; comes back when `domain` goes on */
void sim_run(void);                       /* the scheduler; comes back when the process shall end */
void sim_wake(struct sim_domain *domain);
void sim_rotate(uint64_t passed_ns);      /* the running engine's slice ends, that much virtual time later */
void sim_set_budgets(uint64_t allowed);   /* bit d: domain d has budget left */

/* clock.c */
void sim_clock_init(void);
uint64_t sim_now_ns(void);                /* since boot, unrecorded: never shown to a domain but through the counter */
void sim_clock_charge(uint64_t ns);       /* virtual time passes */
uint64_t sim_clock_wait_ns(void);         /* until the deadline; UINT64_MAX: none */
void sim_clock_check(void);               /* interrupts if the deadline has passed */
void sim_clock_due(void);                 /* replay: it has passed */
uint32_t sim_clock_rtc(void);

/* memory.c */
void sim_map_all(void);
void *sim_mapping(int map);

/* uart.c */
void sim_uart_init(void);
uint32_t sim_uart_read(uint32_t offset);
void sim_uart_write(uint32_t offset, uint32_t value);
void sim_uart_level(void);                /* interrupt while there is reason to */
/* Bytes to and from the socket; waits for some, or for a client (-1: without end). True: something came. */
bool sim_uart_exchange(int64_t wait_ns);
void sim_uart_input(const uint8_t *bytes, size_t size);
void sim_uart_flush(void);
int sim_uart_client(void);                /* the connected socket, -1: none */

/* flash.c */
void sim_flash_map(int map);
uint32_t sim_flash_read(uint32_t offset);
void sim_flash_write(uint32_t offset, uint32_t value);
void sim_flash_end(void);                 /* of the process: tell how many programs and erases there were */

/* record.c */
enum sim_event {
    SIM_EVENT_COUNTER = 'C', /* the counter was read: ticks since the last reading */
    SIM_EVENT_INPUT = 'I',   /* bytes came over the UART */
    SIM_EVENT_DEADLINE = 'D', /* the timer's interrupt came (real time) */
    SIM_EVENT_ROTATE = 'R',  /* a slice ended; virtual nanoseconds that passed */
    SIM_EVENT_BUDGET = 'B',  /* budgets were looked at; bit d: domain d may run */
    SIM_EVENT_END = 'E',
};
void sim_record_init(void);
bool sim_replaying(void);
void sim_record_event(enum sim_event kind, uint64_t value, const uint8_t *bytes, size_t size);
uint64_t sim_replay_counter(void);        /* the recorded reading */
bool sim_replay_events(void);             /* apply what came after this entry; false: nothing did */
void sim_replay_stuck(void);              /* nobody can run and nothing came: the recording ends here, or is another's */
void sim_record_flush(void);
