/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guarded arenas, native code, SIGSEGV and SIGILL for hosted systems; contract in guard.h. Linux on x86-64 and aarch64.
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
    _Atomic uintptr_t code, code_end; /* native code of the instance in it; 0: none */
};

struct entry {
    sigjmp_buf escape;
    struct entry *outer;
    uint64_t address;
    uint64_t regs[8];
    uint64_t pc, frame;
    struct ee_instance *entered;
};

static struct arena arenas[MAX_ARENAS];
static atomic_bool installed;
static struct sigaction previous_fault, previous_trap;
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

static void copy_registers(const ucontext_t *context, struct entry *entry)
{
    uint64_t *regs = entry->regs;
#if defined(__x86_64__)
    static const int order[6] = {REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9};
    for (int i = 0; i < 6; i++)
        regs[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
    regs[6] = regs[7] = 0;
    entry->pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    entry->frame = (uint64_t)context->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    for (int i = 0; i < 8; i++)
        regs[i] = context->uc_mcontext.regs[i];
    entry->pc = context->uc_mcontext.pc;
    entry->frame = context->uc_mcontext.regs[29];
#else
#error "guard.c knows the registers of x86-64 and aarch64"
#endif
}

/* The instance whose native code contains pc, or NULL. */
static struct ee_instance *native_owner(uint64_t pc)
{
    for (size_t i = 0; i < MAX_ARENAS; i++) {
        uintptr_t code = atomic_load_explicit(&arenas[i].code, memory_order_relaxed);
        if (code != 0 && pc >= code && pc < atomic_load_explicit(&arenas[i].code_end, memory_order_relaxed))
            return (struct ee_instance *)atomic_load_explicit(&arenas[i].base, memory_order_relaxed);
    }
    return NULL;
}

/* The instance that an address lies in the arena of, or NULL. */
static struct ee_instance *arena_owner(uint64_t address)
{
    for (size_t i = 0; i < MAX_ARENAS; i++) {
        uintptr_t end = atomic_load_explicit(&arenas[i].end, memory_order_relaxed);
        uintptr_t base = atomic_load_explicit(&arenas[i].base, memory_order_relaxed);
        if (end > 1 && address >= base && address < end)
            return (struct ee_instance *)base;
    }
    return NULL;
}

/* Is the undefined instruction that stopped this a trap? One of the engine itself has the instance as its argument. */
static bool is_trap(const struct entry *entry)
{
    struct ee_instance *in = native_owner(entry->pc);
    if (in == NULL)
        in = arena_owner(entry->regs[0]);
    return in != NULL && ee_native_trap_at(in, (const void *)(uintptr_t)entry->pc) != EE_TRAP_NONE;
}

/*
 * The instance whose code was running: calls may lead from one instance into others. Each instance is the first thing
 * in its arena, and the second argument register of its code points to its call stack (src/interpret.h).
 */
static struct ee_instance *running(struct ee_instance *entered, const uint64_t regs[8])
{
    struct ee_instance *found = arena_owner(regs[1]);
    return found != NULL ? found : entered;
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    struct entry *entry = innermost;
    bool undefined = signal_number == SIGILL;
    if (entry != NULL)
        copy_registers(context, entry);
    if (entry == NULL || !(undefined ? is_trap(entry) : is_in_guard((uintptr_t)info->si_addr))) {
        /* Not ours: put back what was there, and let the instruction fault again. */
        (void)sigaction(signal_number, undefined ? &previous_trap : &previous_fault, NULL);
        atomic_store(&installed, false);
        return;
    }
    entry->address = (uintptr_t)info->si_addr;
    struct ee_instance *in = native_owner(entry->pc);
    if (in == NULL && undefined)
        in = arena_owner(entry->regs[0]);
    enum ee_trap trap = undefined ? ee_native_trap_at(in, (const void *)(uintptr_t)entry->pc) : EE_TRAP_NONE;
    /* Recorded here, while the stack that it ran on is as it was. */
    if (in != NULL)
        ee_native_fault(in, entry->pc, entry->frame, trap, entry->address);
    else
        ee_fault(running(entry->entered, entry->regs), entry->address, entry->regs);
    siglongjmp(entry->escape, 1);
}

static void prepare_thread(void)
{
    if (!atomic_exchange(&installed, true)) {
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        (void)sigemptyset(&action.sa_mask);
        (void)sigaction(SIGSEGV, &action, &previous_fault);
        (void)sigaction(SIGILL, &action, &previous_trap);
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
            uintptr_t code = atomic_exchange(&arenas[i].code, 0);
            if (code != 0)
                (void)munmap((void *)code, atomic_load(&arenas[i].code_end) - code);
            (void)munmap(arena, size + EE_GUARD_SIZE);
            return;
        }
    }
}

enum ee_status ee_guard_start(struct ee_instance *instance, struct ee_error *error)
{
    struct entry entry;
    prepare_thread();
    entry.outer = innermost;
    entry.entered = instance;
    if (sigsetjmp(entry.escape, 0) != 0) {
        innermost = entry.outer;
        if (error != NULL) {
            *error = (struct ee_error){.status = EE_TRAPPED, .offset = EE_NO_INDEX, .function = EE_NO_INDEX};
            const char *text = ee_trap_text(ee_instance_trap(instance));
            strncpy(error->text, text, sizeof error->text - 1);
        }
        return EE_TRAPPED;
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
    entry.entered = instance;
    if (sigsetjmp(entry.escape, 0) != 0) {
        innermost = entry.outer;
        return EE_TRAPPED;
    }
    innermost = &entry;
    enum ee_status status = ee_call(instance, index, args, arg_slots, results, result_slots);
    innermost = entry.outer;
    return status;
}

enum ee_status ee_guard_native(struct ee_instance *instance, size_t stack_bytes, struct ee_error *error)
{
    const uint8_t *bytes;
    size_t size;
    if (!ee_native_section(instance, &bytes, &size))
        return EE_OK;
    size_t slot = 0;
    while (slot < MAX_ARENAS && atomic_load(&arenas[slot].base) != (uintptr_t)instance)
        slot++;
    size_t mapped = (size + 4095) / 4096 * 4096;
    uint8_t *code = slot == MAX_ARENAS
                        ? MAP_FAILED
                        : mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    enum ee_status status = EE_NO_MEMORY;
    if (code != MAP_FAILED) {
        memcpy(code, bytes, size);
        __builtin___clear_cache((char *)code, (char *)code + size);
        if (mprotect(code, mapped, PROT_READ | PROT_EXEC) == 0)
            status = ee_native_attach(instance, code, stack_bytes, error);
        if (status == EE_OK) {
            atomic_store(&arenas[slot].code_end, (uintptr_t)code + mapped);
            atomic_store(&arenas[slot].code, (uintptr_t)code);
            return EE_OK;
        }
        (void)munmap(code, mapped);
    }
    if (status == EE_NO_MEMORY) {
        *error = (struct ee_error){.status = status, .offset = EE_NO_INDEX, .function = EE_NO_INDEX};
        strncpy(error->text, "no memory for native code", sizeof error->text - 1);
    }
    return status;
}
