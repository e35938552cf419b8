/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor makes of its engines' reports and faults.
 *
 * Contract: the control page is the engine's too, and the engine may be hostile: each field is copied once, then
 * checked; texts are terminated here and what can't be printed is replaced.
 */
#include <string.h>

#include "keep.h"

/* Copy a text of at most size - 1 bytes: what is neither printable ASCII nor a newline becomes '?'. */
static void copy_text(char *out, const volatile char *in, size_t size)
{
    size_t i = 0;
    for (; i + 1 < size; i++) {
        char c = in[i];
        if (c == 0) {
            break;
        }
        out[i] = (c >= ' ' && c < 0x7f) || c == '\n' ? c : '?';
    }
    out[i] = 0;
}

/* Whatever an engine says: without code in its region it runs none. */
static void copy_tier(struct sb_slot *slot)
{
    uint32_t tier = slot->control->tier;
    slot->tier = tier == SB_TIER_NATIVE && slot->code_size > 0 ? SB_TIER_NATIVE
                 : tier == SB_TIER_UNKNOWN                     ? SB_TIER_UNKNOWN
                                                               : SB_TIER_INTERPRETER;
    copy_text(slot->tier_text, slot->control->tier_text, sizeof slot->tier_text);
}

static void copy_usage(struct sb_slot *slot)
{
    const volatile struct sb_control *control = slot->control;
    uint64_t memory = control->memory_bytes;
    uint64_t bookkeeping = control->bookkeeping_bytes;
    slot->memory_bytes = memory <= SB_ARENA_SIZE ? memory : SB_ARENA_SIZE;
    slot->bookkeeping_bytes = bookkeeping <= SB_ARENA_SIZE ? bookkeeping : SB_ARENA_SIZE;
    slot->calls = control->calls;
    uint64_t arena = slot->memory_bytes + slot->bookkeeping_bytes;
    arena = arena <= SB_ARENA_SIZE ? arena : SB_ARENA_SIZE;
    slot->arena_peak = arena > slot->arena_peak ? arena : slot->arena_peak;
}

void sb_engine_notified(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    const volatile struct sb_control *control = slot->control;
    if (slot->state != SB_SLOT_RUNNING) {
        return;
    }
    uint32_t state = __atomic_load_n(&slot->control->state, __ATOMIC_ACQUIRE);
    if (control->done_generation != slot->generation) {
        return; /* of an earlier run */
    }
    copy_usage(slot);
    copy_tier(slot);
    switch (state) {
    case SB_ENGINE_EXITED:
        slot->exit_code = control->exit_code;
        slot->state = SB_SLOT_EXITED;
        break;
    case SB_ENGINE_TRAPPED:
        copy_text(slot->text, control->text, sizeof slot->text);
        copy_text(slot->backtrace, control->backtrace, sizeof slot->backtrace);
        slot->traps++;
        slot->state = SB_SLOT_TRAPPED;
        break;
    case SB_ENGINE_REFUSED:
        copy_text(slot->text, control->text, sizeof slot->text);
        slot->state = SB_SLOT_REFUSED;
        break;
    default: /* idle or running: nothing ended */
        return;
    }
    sb_limits_end(s, number, slot->state == SB_SLOT_TRAPPED || (slot->state == SB_SLOT_EXITED && slot->exit_code != 0));
    if (sb_trial_run_ended(s, number)) {
        return;
    }
    if (slot->state != SB_SLOT_EXITED || slot->exit_code == 0) {
        sb_keep_run_ended(s, number, slot->state != SB_SLOT_EXITED);
    }
}

#define MOST_IDLE_SIGNALS 64u /* an engine of ours sends one notification a run */

void sb_engine_signalled(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    sb_engine_notified(s, number);
    if (slot->state == SB_SLOT_RUNNING && ++slot->idle_signals > MOST_IDLE_SIGNALS) {
        sb_engine_give_up(s, number, "engine fault: the engine floods the supervisor with notifications");
    }
}

static void trapped(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    slot->backtrace[0] = 0;
    slot->traps++;
    slot->state = SB_SLOT_TRAPPED;
    sb_limits_end(s, number, true);
    if (!sb_trial_run_ended(s, number)) {
        sb_keep_run_ended(s, number, true);
    }
}

void sb_engine_give_up(struct sb_supervisor *s, unsigned number, const char *why)
{
    sb_drain_logs(s);
    copy_text(s->slots[number].text, why, sizeof s->slots[number].text);
    trapped(s, number);
}

static void record_engine_fault(struct sb_slot *slot, const struct sb_fault *fault)
{
    static const char digits[] = "0123456789abcdef";
    static const char pattern[] = "engine fault 0x? at pc 0x????????????????, address 0x????????????????";
    uint64_t values[] = {fault->label, fault->pc, fault->address};
    unsigned widths[] = {1, 16, 16};
    unsigned value = 0;
    unsigned left = widths[0];
    _Static_assert(sizeof pattern <= SB_TEXT_SIZE, "the text fits");
    for (size_t i = 0; i < sizeof pattern; i++) {
        slot->text[i] = pattern[i];
        if (pattern[i] == '?') {
            slot->text[i] = digits[values[value] >> (4 * --left) & 15u];
            if (left == 0 && value < 2) {
                left = widths[++value];
            }
        }
    }
}

#define FAULT_HANDLING_NS UINT64_C(500000000) /* a throttled engine needs several periods for it */

void sb_engine_faulted(struct sb_supervisor *s, unsigned number, const struct sb_fault *fault)
{
    struct sb_slot *slot = &s->slots[number];
    slot->faults++;
    sb_drain_logs(s);
    if (slot->state != SB_SLOT_RUNNING || slot->handling_fault) {
        if (slot->state == SB_SLOT_RUNNING) {
            record_engine_fault(slot, fault);
            trapped(s, number);
        } else {
            s->platform.engine_stop(number);
        }
        return;
    }
    struct sb_control *control = slot->control;
    control->fault_label = fault->label;
    control->fault_pc = fault->pc;
    control->fault_address = fault->address;
    memcpy(control->fault_regs, fault->regs, sizeof control->fault_regs);
    control->fault_frame = fault->frame;
    control->generation = slot->generation;
    __atomic_store_n(&control->command, SB_COMMAND_FAULT, __ATOMIC_RELEASE);
    slot->handling_fault = true;
    slot->fault_deadline_ns = sb_monotonic_ns(s) + FAULT_HANDLING_NS;
    slot->restarts++;
    s->platform.engine_stop(number);
    s->platform.engine_restart(number);
    sb_limits_arm(s);
}
