/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guarded arenas and SIGSEGV for hosted systems; contract in guard.h. Linux on x86-64 and aarch64.
 *
 * The handler runs on an alternate stack of each thread that enters an instance, since it interrupts code that may be
 * anywhere on its own. It leaves by siglongjmp; SA_NODEFER makes that possible without saving the signal mask, which
 * would cost a system call per ee_guard_call.
 */
#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum {
    MAX_ARENAS = 16384, /* 8 GiB each fill the 128 TiB of a process */
    HANDLER_STACK = 65536,
};

struct arena {
    _Atomic uintptr_t base;
    _Atomic uintptr_t end; /* 0: free; 1: being made */
};

struct entry {
    sigjmp_buf escape;
    struct entry *outer;
    uint64_t address;
    uint64_t regs[8];
};

static struct arena arenas[MAX_ARENAS];
static atomic_bool installed;
static struct sigaction previous_action;
static _Thread_local struct entry *innermost;
static _Thread_local bool has_stack;
static _Thread_local _Alignas(16) uint8_t handler_stack[HANDLER_STACK];

static bool is_in_guard(uintptr_t address)
{
    for (size_t i = 0; i < MAX_ARENAS; i++) {
        uintptr_t end = atomic_load_explicit(&arenas[i].end, memory_order_relaxed);
        if (end > 1 && address >= end && address - end < EE_GUARD_SIZE)
            return true;
    }
    return false;
}

static void copy_registers(const ucontext_t *context, uint64_t regs[8])
{
#if defined(__x86_64__)
    static const int order[6] = {REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9};
    for (int i = 0; i < 6; i++)
        regs[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
    regs[6] = regs[7] = 0;
#elif defined(__aarch64__)
    for (int i = 0; i < 8; i++)
        regs[i] = context->uc_mcontext.regs[i];
#else
#error "guard.c knows the registers of x86-64 and aarch64"
#endif
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    struct entry *entry = innermost;
    if (entry == NULL || !is_in_guard((uintptr_t)info->si_addr)) {
        /* Not ours: put back what was there, and let the instruction fault again. */
        (void)sigaction(signal_number, &previous_action, NULL);
        atomic_store(&installed, false);
        return;
    }
    entry->address = (uintptr_t)info->si_addr;
    copy_registers(context, entry->regs);
    siglongjmp(entry->escape, 1);
}

static void prepare_thread(void)
{
    if (!atomic_exchange(&installed, true)) {
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        (void)sigemptyset(&action.sa_mask);
        (void)sigaction(SIGSEGV, &action, &previous_action);
    }
    if (has_stack)
        return;
    stack_t old;
    if (sigaltstack(NULL, &old) == 0 && old.ss_flags & SS_DISABLE) {
        stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
        (void)sigaltstack(&stack, NULL);
    }
    has_stack = true;
}

void *ee_guard_map(size_t size)
{
    size_t slot = 0;
    for (; slot < MAX_ARENAS; slot++) {
        uintptr_t expected = 0;
        if (atomic_compare_exchange_strong(&arenas[slot].end, &expected, 1))
            break;
    }
    if (slot == MAX_ARENAS || size % 4096 != 0) {
        if (slot != MAX_ARENAS)
            atomic_store(&arenas[slot].end, 0);
        errno = slot == MAX_ARENAS ? ENOMEM : EINVAL;
        return NULL;
    }
    uint8_t *base = mmap(NULL, size + EE_GUARD_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        atomic_store(&arenas[slot].end, 0);
        return NULL;
    }
    if (mprotect(base, size, PROT_READ | PROT_WRITE) != 0) {
        int reason = errno;
        (void)munmap(base, size + EE_GUARD_SIZE);
        atomic_store(&arenas[slot].end, 0);
        errno = reason;
        return NULL;
    }
    atomic_store(&arenas[slot].base, (uintptr_t)base);
    atomic_store(&arenas[slot].end, (uintptr_t)base + size);
    return base;
}

void ee_guard_unmap(void *arena, size_t size)
{
    if (arena == NULL)
        return;
    uintptr_t end = (uintptr_t)arena + size;
    for (size_t i = 0; i < MAX_ARENAS; i++) {
        uintptr_t expected = end;
        if (atomic_compare_exchange_strong(&arenas[i].end, &expected, 0)) {
            (void)munmap(arena, size + EE_GUARD_SIZE);
            return;
        }
    }
}

/*
 * The instance whose code was running: calls may lead from one instance into others. Each instance is the first thing
 * in its arena, and the second argument register of its code points to its call stack (src/interpret.h).
 */
static struct ee_instance *running(struct ee_instance *entered, const uint64_t regs[8])
{
    for (size_t i = 0; i < MAX_ARENAS; i++) {
        uintptr_t end = atomic_load_explicit(&arenas[i].end, memory_order_relaxed);
        uintptr_t base = atomic_load_explicit(&arenas[i].base, memory_order_relaxed);
        if (end > 1 && regs[1] >= base && regs[1] < end)
            return (struct ee_instance *)base;
    }
    return entered;
}

/* What came out of a fault: the entry is no longer the innermost. */
static enum ee_status leave(struct ee_instance *instance, struct entry *entry)
{
    innermost = entry->outer;
    ee_fault(running(instance, entry->regs), entry->address, entry->regs);
    return EE_TRAPPED;
}

enum ee_status ee_guard_start(struct ee_instance *instance, struct ee_error *error)
{
    struct entry entry;
    prepare_thread();
    entry.outer = innermost;
    if (sigsetjmp(entry.escape, 0) != 0) {
        enum ee_status status = leave(instance, &entry);
        if (error != NULL) {
            *error = (struct ee_error){.status = status, .offset = EE_NO_INDEX, .function = EE_NO_INDEX};
            const char *text = ee_trap_text(ee_instance_trap(instance));
            strncpy(error->text, text, sizeof error->text - 1);
        }
        return status;
    }
    innermost = &entry;
    enum ee_status status = ee_start(instance, error);
    innermost = entry.outer;
    return status;
}

enum ee_status ee_guard_call(struct ee_instance *instance, uint32_t index, const uint64_t *args, uint32_t arg_slots,
                             uint64_t *results, uint32_t result_slots)
{
    struct entry entry;
    prepare_thread();
    entry.outer = innermost;
    if (sigsetjmp(entry.escape, 0) != 0)
        return leave(instance, &entry);
    innermost = &entry;
    enum ee_status status = ee_call(instance, index, args, arg_slots, results, result_slots);
    innermost = entry.outer;
    return status;
}
