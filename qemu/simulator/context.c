/* SPDX-License-Identifier: Apache-2.0 */
/* See context.h. What a switch keeps: the registers that the platform's calling convention has the callee save. */
#include "context.h"

#include <string.h>

#if defined(__x86_64__)
enum { FRAME_WORDS = 8, FRAME_LINK = 7, RETURN_PADDING = 1 }; /* switch_x86_64.S */
#elif defined(__aarch64__)
enum { FRAME_WORDS = 20, FRAME_LINK = 11, RETURN_PADDING = 0 }; /* sel4_bridge/engine/switch.S */
#else
#error "the simulator knows the stacks of x86-64 and aarch64"
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(SANITIZED)
/* AddressSanitizer's interface (sanitizer/common_interface_defs.h, asan_interface.h), which this compiler lacks. */
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **old_bottom, size_t *old_size);
void __asan_unpoison_memory_region(const volatile void *address, size_t size);
#endif

void sb_switch(uintptr_t *from, uintptr_t to);

volatile sig_atomic_t sim_switching;
static struct sim_context *leaving; /* who switched last: its stack's bounds are learned on arrival */

#if defined(SANITIZED)
static void depart(struct sim_context *from, const struct sim_context *to)
{
    __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
}

static void arrive(void *fake_stack)
{
    __sanitizer_finish_switch_fiber(fake_stack, &leaving->bottom, &leaving->size);
}
#else
static void depart(struct sim_context *from, const struct sim_context *to)
{
    (void)from;
    (void)to;
}

static void arrive(void *fake_stack)
{
    (void)fake_stack;
}
#endif

static const struct sim_context *arriving;

static void first(void)
{
    void (*function)(void) = arriving->function;
    arrive(NULL);
    sim_switching = 0;
    function();
    __builtin_trap();
}

void sim_context_make(struct sim_context *context, void *stack, size_t size, void (*function)(void))
{
#if defined(SANITIZED)
    __asan_unpoison_memory_region(stack, size); /* of whoever ran here before and never returned */
#endif
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    uint64_t *frame = (uint64_t *)top - RETURN_PADDING - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof *frame);
#if defined(__x86_64__)
    frame[0] = UINT64_C(0x037f) << 32 | 0x1f80; /* x87 control word and MXCSR as a process starts with */
#endif
    frame[FRAME_LINK] = (uint64_t)(uintptr_t)first;
    *context = (struct sim_context){
        .stack_pointer = (uintptr_t)frame, .bottom = stack, .size = size, .function = function};
}

void sim_context_switch(struct sim_context *from, const struct sim_context *to)
{
    sim_switching = 1;
    depart(from, to);
    leaving = from;
    arriving = to;
    sb_switch(&from->stack_pointer, to->stack_pointer);
    arrive(from->fake_stack);
    sim_switching = 0;
}
