/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and stopping a slot's engine: fills the launch and control pages, then restarts the engine's domain.
 *
 * Contract: everything in the request is checked before anything changes; a request that is refused leaves the slot as
 * it was. The engine is stopped while its pages are written.
 */
#include <string.h>

#include "supervisor.h"

static bool has_nul(const struct sb_cbor_string *string)
{
    for (size_t i = 0; i < string->size; i++) {
        if (string->data[i] == 0) {
            return true;
        }
    }
    return false;
}

/* Count the strings of one array and their bytes with NULs. */
static enum sb_launch_result check_strings(const struct sb_cbor_array *array, uint64_t *count, uint64_t *size)
{
    struct sb_cbor_reader items = array->items;
    if (array->count > SB_LAUNCH_MAX_STRINGS) {
        return SB_LAUNCH_TOO_LARGE;
    }
    for (uint64_t i = 0; i < array->count; i++) {
        struct sb_cbor_string string;
        if (!sb_cbor_read_text(&items, &string) || has_nul(&string)) {
            return SB_LAUNCH_BAD_TEXT;
        }
        *size += string.size + 1;
    }
    *count += array->count;
    if (*count > SB_LAUNCH_MAX_STRINGS || *size > sizeof((struct sb_launch *)0)->text) {
        return SB_LAUNCH_TOO_LARGE;
    }
    return SB_LAUNCH_OK;
}

/* The array was checked: every item is a text that fits. */
static char *copy_strings(const struct sb_cbor_array *array, char *out)
{
    struct sb_cbor_reader items = array->items;
    for (uint64_t i = 0; i < array->count; i++) {
        struct sb_cbor_string string;
        if (!sb_cbor_read_text(&items, &string)) {
            break;
        }
        memcpy(out, string.data, string.size);
        out += string.size;
        *out++ = 0;
    }
    return out;
}

static void fill_launch(struct sb_slot *slot, const struct sb_launch_request *request)
{
    struct sb_launch *launch = slot->launch;
    char *end = copy_strings(&request->env, copy_strings(&request->args, launch->text));
    end = copy_strings(&request->grants, end);
    launch->argc = (uint32_t)request->args.count;
    launch->envc = (uint32_t)request->env.count;
    launch->grantc = (uint32_t)request->grants.count;
    launch->text_size = (uint32_t)(end - launch->text);
    launch->lossless = request->lossless;
    __atomic_store_n(&launch->generation, slot->generation, __ATOMIC_RELEASE);
}

static void fill_control(struct sb_slot *slot, const struct sb_launch_request *request)
{
    struct sb_control *control = slot->control;
    memset(control, 0, sizeof *control);
    control->generation = slot->generation;
    control->module_offset = slot->active.offset;
    control->module_size = slot->active.size;
    control->fuel = request->fuel;
    control->metered = request->metered;
    __atomic_store_n(&control->command, SB_COMMAND_RUN, __ATOMIC_RELEASE);
}

enum sb_launch_result sb_slot_start(struct sb_supervisor *s, unsigned number, const struct sb_launch_request *request)
{
    struct sb_slot *slot = &s->slots[number];
    uint64_t count = 0;
    uint64_t size = 0;
    enum sb_launch_result result = check_strings(&request->args, &count, &size);
    if (result == SB_LAUNCH_OK) {
        result = check_strings(&request->env, &count, &size);
    }
    if (result == SB_LAUNCH_OK) {
        result = check_strings(&request->grants, &count, &size);
    }
    if (result != SB_LAUNCH_OK) {
        return result;
    }
    if (!slot->active.present && !slot->candidate.present) {
        return SB_LAUNCH_EMPTY;
    }
    if (slot->state == SB_SLOT_RUNNING && !(slot->candidate.present && slot->candidate.pending)) {
        return SB_LAUNCH_BUSY;
    }
    if (slot->state == SB_SLOT_RUNNING) {
        sb_slot_stop(s, number);
    }
    s->platform.engine_stop(number);
    sb_slot_switch(slot);
    slot->generation++;
    slot->starts++;
    slot->restarts++;
    slot->handling_fault = false;
    slot->exit_code = 0;
    slot->memory_bytes = 0;
    slot->bookkeeping_bytes = 0;
    slot->calls = 0;
    slot->text[0] = 0;
    slot->backtrace[0] = 0;
    slot->history.lossless = request->lossless;
    fill_launch(slot, request);
    fill_control(slot, request);
    slot->state = SB_SLOT_RUNNING;
    s->platform.engine_restart(number);
    return SB_LAUNCH_OK;
}

void sb_slot_stop(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    sb_drain_logs(s);
    if (slot->state != SB_SLOT_RUNNING) {
        return;
    }
    s->platform.engine_stop(number);
    slot->control->command = SB_COMMAND_IDLE;
    slot->handling_fault = false;
    slot->state = SB_SLOT_STOPPED;
}
