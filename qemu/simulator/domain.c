/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protection domains as shared objects: loading, starting at their entry, and turning signals into faults.
 *
 * Contract: each domain is its own file <folder>/<name>.so, so each has its own variables. A restart gives it a fresh
 * stack and leaves its memory alone. SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGTRAP while a domain runs become its fault
 * message; while the simulator itself runs, they are its bug and end it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "sim.h"

enum {
    STACK_SIZE = 262144, /* bytes; the host's frames, sanitizers and signals need more than a device's stack has */
    GUARD_SIZE = 4096,
    HANDLER_STACK_SIZE = 65536,
    KERNEL_SIMULATOR = 2, /* sb_kernel_kind of supervisor/pd.c */
};

static uint8_t handler_stack[HANDLER_STACK_SIZE] __attribute__((aligned(16)));

static void *symbol(void *library, const struct sim_domain_row *row, const char *name)
{
    void *address = dlsym(library, name);
    if (address == NULL) {
        sim_fail("domain %s has no symbol %s", row->name, name);
    }
    return address;
}

static void set_variable(void *library, const struct sim_domain_row *row, const char *name, uint64_t value)
{
    *(volatile uint64_t *)symbol(library, row, name) = value;
}

/* What the builder of an image writes into a domain's file. */
static void patch(void *library, int index)
{
    const struct sim_domain_row *row = &sim_domains[index];
    uint64_t notifications = 0, calls = 0, irqs = 0;
    for (int i = 0; i < SIM_ENDS; i++) {
        if (sim_ends[i].domain == index) {
            notifications |= UINT64_C(1) << sim_ends[i].channel;
            calls |= (uint64_t)sim_ends[i].calls << sim_ends[i].channel;
        }
    }
    for (int i = 0; i < SIM_IRQS; i++) {
        if (sim_irqs[i].domain == index) {
            irqs |= UINT64_C(1) << sim_irqs[i].channel;
        }
    }
    set_variable(library, row, "microkit_notifications", notifications);
    set_variable(library, row, "microkit_pps", calls);
    set_variable(library, row, "microkit_irqs", irqs);
    (void)strncpy(symbol(library, row, "microkit_name"), row->name, 64);
    for (int i = 0; i < SIM_MAPS; i++) {
        if (sim_maps[i].domain == index) {
            set_variable(library, row, sim_maps[i].symbol, (uint64_t)(uintptr_t)sim_mapping(i));
        }
    }
    volatile uint32_t *kind = dlsym(library, "sb_kernel_kind");
    if (kind != NULL) {
        *kind = KERNEL_SIMULATOR;
    }
}

void sim_load(void)
{
    for (int i = 0; i < SIM_DOMAINS; i++) {
        struct sim_domain *domain = &sim.domains[i];
        char path[4096];
        domain->row = &sim_domains[i];
        domain->priority = domain->row->priority;
        (void)snprintf(path, sizeof path, "%s/%s.so", sim.options.folder, domain->row->name);
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) {
            sim_fail("%s", dlerror());
        }
        patch(library, i);
        void *start = symbol(library, domain->row, "sb_microkit_main");
        memcpy((void *)&domain->start, (const void *)&start, sizeof start);
        domain->buffer = symbol(library, domain->row, "__sel4_ipc_buffer_obj");
        uint8_t *stack = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack + GUARD_SIZE, STACK_SIZE, PROT_READ | PROT_WRITE) != 0) {
            sim_fail("no memory for a stack: %s", strerror(errno));
        }
        domain->stack = stack + GUARD_SIZE;
        sim_domain_restart(domain);
    }
}

static void first(void)
{
    sim.in_kernel = 0;
    sim.current->start();
}

void sim_domain_restart(struct sim_domain *domain)
{
    domain->redo = domain->faulted = false;
    sim_context_make(&domain->context, domain->stack, STACK_SIZE, first);
    sim_wake(domain);
}

static void save_registers(struct sim_fault *fault, const ucontext_t *context)
{
#if defined(__x86_64__)
    static const int order[6] = {REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9};
    for (int i = 0; i < 6; i++) {
        fault->regs[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
    }
    fault->regs[6] = fault->regs[7] = 0;
    fault->pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    fault->sp = (uint64_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    for (int i = 0; i < 8; i++) {
        fault->regs[i] = context->uc_mcontext.regs[i];
    }
    fault->pc = context->uc_mcontext.pc;
    fault->sp = context->uc_mcontext.sp;
#endif
}

/* Runs on its own stack, since the domain's may be the reason; leaves it for good. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    struct sim_domain *domain = sim.current;
    if (domain == NULL || sim.in_kernel || sim_switching) {
        (void)signal(number, SIG_DFL);
        sim_fail("bug of the simulator: signal %d (%s), address %p", number, strsignal(number), info->si_addr);
    }
    sim.in_kernel = 1;
    sim.entries++;
    bool memory = number == SIGSEGV || number == SIGBUS;
    domain->fault = (struct sim_fault){
        .label = memory ? seL4_Fault_VMFault : seL4_Fault_UserException,
        .address = memory ? (uint64_t)(uintptr_t)info->si_addr : 0,
        .code = (uint64_t)number,
    };
    save_registers(&domain->fault, context);
    sim_fault_sent(domain);
    sim_leave(domain);
    sim_fail("bug of the simulator: domain %s goes on behind its fault", domain->row->name);
}

void sim_catch_faults(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    (void)sigemptyset(&action.sa_mask);
    if (sigaltstack(&stack, NULL) != 0) {
        sim_fail("no stack for signals: %s", strerror(errno));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
}
