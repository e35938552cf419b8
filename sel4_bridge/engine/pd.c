/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: the protection domain of one slot. It runs what the supervisor put into the control page.
 *
 * Contract: every start is microkit_pd_restart at sb_engine_entry, so init() begins from whatever a stopped or faulted
 * run left behind and resets it. The module runs on a coroutine; a WASI call that has to wait goes back to the event
 * loop until the wasi domain notifies. The outcome is written to the control page, its state last, and the supervisor
 * is notified.
 *
 * Does NOT: trust the module; the supervisor and wasi domains stand above this one and do not trust it.
 */
#include <edge_engine.h>
#include <microkit.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "coroutine.h"
#include "run.h"

#define ARENA_ALIGN 0xffffu /* a page of WebAssembly */
#include "sb_control.h"
#include "sb_counter.h"
#include "sb_ipc_buffer.h"
#include "sb_layout.h"
#include "sb_wasi_calls.h"

#define CALLS_EVERY 64u             /* calls after which the control page is told; the outcome has them all */
#define FAULT_USER_EXCEPTION 3u     /* seL4_Fault_UserException: an undefined instruction */
#define FAULT_VM 6u                 /* seL4_Fault_VMFault */

/* Where libmicrokit has the IPC buffer: entry.S gives its variable this value again. */
extern seL4_IPCBuffer __sel4_ipc_buffer_obj;
extern seL4_IPCBuffer *const sb_ipc_buffer;
__attribute__((used)) seL4_IPCBuffer *const sb_ipc_buffer = SB_IPC_BUFFER;

_Static_assert(offsetof(struct sb_control, command) == 4 && SB_COMMAND_RUN == 1, "entry.S");

uintptr_t sb_arena_vaddr, sb_module_vaddr, sb_control_vaddr, sb_io_vaddr;
uintptr_t sb_code_vaddr;  /* the module's native code: executable, written by the supervisor */
uintptr_t sb_stack_vaddr; /* of the coroutine; SB_NATIVE_STACK_HOLE below it nothing is mapped */

static struct sb_run run;
static struct sb_bridge bridge;
static uint64_t code_size; /* bytes of native code */

static struct sb_control *control(void)
{
    return (struct sb_control *)sb_control_vaddr;
}

/* What a run that goes on has used until now, for the supervisor's statistics. */
static void publish_usage(void)
{
    struct sb_control *page = control();
    struct ee_usage usage;
    ee_instance_usage(run.instance, &usage);
    page->memory_bytes = usage.memory_bytes;
    page->bookkeeping_bytes = usage.bookkeeping_bytes;
    page->calls = bridge.calls;
}

static enum ee_status start_instance(struct ee_instance *instance, struct ee_error *error)
{
    struct sb_control *page = control();
    sb_run_attach(&run, instance, (const void *)sb_code_vaddr, code_size, SB_NATIVE_STACK_SIZE - SB_NATIVE_STACK_RESERVE);
    memcpy(page->tier_text, run.tier_text, sizeof page->tier_text);
    page->tier = run.tier;
    publish_usage();
    control()->first_ticks = sb_counter_ticks();
    return ee_start(instance, error);
}

/* The bridge's transport: one protected procedure call, repeated for as long as the answer is "not yet". */
static void transport(void *context, struct sb_message *message)
{
    static uint64_t sent; /* calls of this run */
    (void)context;
    for (;;) {
        sent = sent % SB_LABEL_COUNT_MASK + 1;
        uint64_t label = message->label | sent << SB_LABEL_COUNT_SHIFT;
        for (uint32_t word = 0; word < message->count; word++) {
            microkit_mr_set((uint8_t)word, message->words[word]);
        }
        microkit_msginfo answer =
            microkit_ppcall(SB_CH_ENGINE_WASI, microkit_msginfo_new(label, (uint16_t)message->count));
        uint64_t words = microkit_msginfo_get_count(answer);
        uint64_t error = words > 0 ? microkit_mr_get(0) : SB_E_IO;
        if (error == SB_PENDING) {
            publish_usage();
            sb_coroutine_suspend();
            continue;
        }
        message->words[0] = error;
        for (uint32_t word = 1; word < SB_MESSAGE_WORDS; word++) {
            message->words[word] = word < words ? microkit_mr_get((uint8_t)word) : 0;
        }
        return;
    }
}

static void count(void *context, uint64_t calls)
{
    (void)context;
    if (calls % CALLS_EVERY == 0) {
        publish_usage();
    }
}

static void report(void)
{
    struct sb_control *page = control();
    page->exit_code = run.exit_code;
    page->trap = run.trap;
    page->memory_bytes = run.usage.memory_bytes;
    page->bookkeeping_bytes = run.usage.bookkeeping_bytes;
    page->calls = bridge.calls;
    memcpy(page->text, run.text, sizeof page->text);
    memcpy(page->backtrace, run.backtrace, sizeof page->backtrace);
    page->done_generation = page->generation;
    __atomic_store_n(&page->state, (uint32_t)run.state, __ATOMIC_RELEASE);
    microkit_notify(SB_CH_ENGINE_SUPERVISOR);
}

static void run_module(void)
{
    sb_run(&run);
    report();
}

static void start(const struct sb_control *page)
{
    uint64_t offset = page->module_offset;
    uint64_t size = page->module_size;
    if (offset > SB_MODULE_SIZE || size > SB_MODULE_SIZE - offset) {
        run.instance = NULL;
        memset(&run.usage, 0, sizeof run.usage);
        sb_run_broken(&run, "the supervisor named a module outside its region, at offset ", offset);
        report();
        return;
    }
    bridge = (struct sb_bridge){.io = (uint8_t *)sb_io_vaddr, .count = count, .transport = transport};
    run.module = (const uint8_t *)sb_module_vaddr + offset;
    run.module_size = size;
    run.arena_size = page->arena_size != 0 && page->arena_size < SB_ARENA_SIZE ? page->arena_size & ~ARENA_ALIGN : SB_ARENA_SIZE;
    run.arena = (void *)(sb_arena_vaddr + (SB_ARENA_SIZE - run.arena_size)); /* the guard follows the arena's end */
    run.stack_size = page->stack_size;
    code_size = page->code_size <= SB_CODE_SIZE ? page->code_size : 0;
    run.metered = page->metered != 0;
    run.fuel = page->fuel;
    run.bridge = &bridge;
    run.start = start_instance;
    run.call = ee_call;
    control()->state = SB_ENGINE_RUNNING;
    control()->done_generation = page->generation;
    sb_coroutine_enter((void *)sb_stack_vaddr, SB_NATIVE_STACK_SIZE, run_module);
}

static bool is_native(uint64_t pc)
{
    return pc - sb_code_vaddr < code_size;
}

static bool is_stack_hole(uint64_t address)
{
    return address - (SB_ENGINE_STACK_VADDR - SB_NATIVE_STACK_HOLE) < SB_NATIVE_STACK_HOLE; /* nowhere, in the simulator */
}

/*
 * The trap that the undefined instruction carries which stopped native code, or what the engine does for it with the
 * instance as its first argument. It was fetched from there, so it can be read.
 */
static enum ee_trap carried_trap(const struct sb_control *page)
{
    if (page->fault_label != FAULT_USER_EXCEPTION || run.instance == NULL ||
        (!is_native(page->fault_pc) && page->fault_regs[0] != (uintptr_t)run.instance)) {
        return EE_TRAP_NONE;
    }
    return ee_native_trap_at(run.instance, (const void *)page->fault_pc);
}

static void faulted(const struct sb_control *page)
{
    enum ee_trap trap = carried_trap(page);
    if (trap != EE_TRAP_NONE) {
        sb_run_native_fault(&run, page->fault_pc, page->fault_frame, trap, page->fault_address);
    } else if (page->fault_label == FAULT_VM && run.instance != NULL && is_native(page->fault_pc)) {
        trap = is_stack_hole(page->fault_address) ? EE_TRAP_STACK_EXHAUSTED : EE_TRAP_NONE;
        sb_run_native_fault(&run, page->fault_pc, page->fault_frame, trap, page->fault_address);
    } else if (page->fault_label == FAULT_VM && run.instance != NULL && is_stack_hole(page->fault_address)) {
        sb_run_native_fault(&run, page->fault_pc, 0, EE_TRAP_STACK_EXHAUSTED, page->fault_address);
    } else if (page->fault_label == FAULT_VM) {
        sb_run_fault(&run, page->fault_address, page->fault_regs);
    } else {
        sb_run_broken(&run, "the engine raised an exception at ", page->fault_pc);
    }
    report();
}

void init(void)
{
    struct sb_control page = *control();
    sb_coroutine_forget();
    switch (page.command) {
    case SB_COMMAND_RUN:
        start(&page);
        break;
    case SB_COMMAND_FAULT:
        faulted(&page);
        break;
    default:
        break; /* SB_COMMAND_IDLE: wait for events */
    }
}

void notified(microkit_channel ch)
{
    if (ch == SB_CH_ENGINE_WASI && sb_coroutine_suspended()) {
        sb_coroutine_resume();
    }
}
