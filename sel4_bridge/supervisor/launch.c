/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and stopping a slot's engine: fills the launch and control pages, then restarts the engine's domain.
 *
 * Contract: everything in the request is checked before anything changes; a request that is refused leaves the slot as
 * it was. The engine is stopped while its pages are written. What a signed module's manifest says about environment,
 * policy and limits comes out of the module's file, which only the supervisor can write.
 */
#include <string.h>

#include "keep.h"

#define NS_PER_MS UINT64_C(1000000)

static bool has_nul(const struct sb_cbor_string *string)
{
    for (size_t i = 0; i < string->size; i++) {
        if (string->data[i] == 0) {
            return true;
        }
    }
    return false;
}

/* What a start brings, from the request and the module's manifest. */
struct strings {
    struct sb_cbor_array args;
    struct sb_cbor_array env;
    struct sb_cbor_array defaults; /* of the manifest: environment that the request does not set */
    struct sb_cbor_array grants;
};

static struct sb_cbor_array manifest_array(const struct sb_slot *slot, const struct sb_image *image,
                                           struct sb_slice where, uint32_t count)
{
    const uint8_t *begin = slot->module + image->offset + where.offset;
    return (struct sb_cbor_array){.items = {begin, begin + where.size}, .count = count};
}

static struct strings collect(const struct sb_slot *slot, const struct sb_image *image,
                              const struct sb_launch_request *request)
{
    const struct sb_manifest *manifest = &image->credentials.manifest;
    struct strings strings = {.args = request->args, .env = request->env, .grants = request->grants};
    if (image->credentials.is_signed) {
        strings.defaults = manifest_array(slot, image, manifest->env, manifest->env_count);
        strings.grants = manifest_array(slot, image, manifest->policy, manifest->policy_count);
    }
    return strings;
}

/* The length of a variable's name with its '='. */
static size_t name_size(const struct sb_cbor_string *variable)
{
    size_t size = 0;
    while (size < variable->size && variable->data[size] != '=') {
        size++;
    }
    return size < variable->size ? size + 1 : size;
}

/* Whether one of `env` sets the same variable. */
static bool is_set(const struct sb_cbor_array *env, const struct sb_cbor_string *variable)
{
    struct sb_cbor_reader items = env->items;
    size_t size = name_size(variable);
    for (uint64_t i = 0; i < env->count; i++) {
        struct sb_cbor_string other;
        if (!sb_cbor_read_text(&items, &other)) {
            break;
        }
        if (name_size(&other) == size && memcmp(other.data, variable->data, size) == 0) {
            return true;
        }
    }
    return false;
}

static const struct sb_cbor_array nothing;

/* Count the strings of one array and their bytes with NULs; not those that `except` sets, too. */
static enum sb_launch_result check_strings(const struct sb_cbor_array *array, const struct sb_cbor_array *except,
                                           uint64_t *count, uint64_t *size)
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
        if (!is_set(except, &string)) {
            *size += string.size + 1;
            ++*count;
        }
    }
    if (*count > SB_LAUNCH_MAX_STRINGS || *size > sizeof((struct sb_launch *)0)->text) {
        return SB_LAUNCH_TOO_LARGE;
    }
    return SB_LAUNCH_OK;
}

/* The array was checked: every item is a text that fits. */
static char *copy_strings(const struct sb_cbor_array *array, const struct sb_cbor_array *except, char *out,
                          uint32_t *count)
{
    struct sb_cbor_reader items = array->items;
    for (uint64_t i = 0; i < array->count; i++) {
        struct sb_cbor_string string;
        if (!sb_cbor_read_text(&items, &string)) {
            break;
        }
        if (is_set(except, &string)) {
            continue;
        }
        memcpy(out, string.data, string.size);
        out += string.size;
        *out++ = 0;
        ++*count;
    }
    return out;
}

static enum sb_launch_result check_all(const struct strings *strings)
{
    uint64_t count = 0;
    uint64_t size = 0;
    enum sb_launch_result result = check_strings(&strings->args, &nothing, &count, &size);
    if (result == SB_LAUNCH_OK) {
        result = check_strings(&strings->env, &nothing, &count, &size);
    }
    if (result == SB_LAUNCH_OK) {
        result = check_strings(&strings->defaults, &strings->env, &count, &size);
    }
    if (result == SB_LAUNCH_OK) {
        result = check_strings(&strings->grants, &nothing, &count, &size);
    }
    return result;
}

static void fill_launch(struct sb_slot *slot, const struct sb_launch_request *request)
{
    struct sb_launch *launch = slot->launch;
    const struct strings strings = collect(slot, &slot->active, request);
    launch->argc = launch->envc = launch->grantc = 0;
    char *end = copy_strings(&strings.args, &nothing, launch->text, &launch->argc);
    end = copy_strings(&strings.env, &nothing, end, &launch->envc);
    end = copy_strings(&strings.defaults, &strings.env, end, &launch->envc);
    end = copy_strings(&strings.grants, &nothing, end, &launch->grantc);
    launch->text_size = (uint32_t)(end - launch->text);
    launch->lossless = request->lossless;
}

static void fill_control(struct sb_slot *slot)
{
    struct sb_control *control = slot->control;
    memset(control, 0, sizeof *control);
    control->generation = slot->generation;
    control->module_offset = slot->active.offset;
    control->module_size = slot->active.size;
    control->code_size = slot->code_size;
    control->fuel = slot->fuel;
    control->metered = slot->metered;
    const struct sb_manifest *manifest = &slot->active.credentials.manifest; /* all zero without a signature */
    control->stack_size = manifest->stack;
    control->arena_size = manifest->arena;
    if (manifest->fuel != 0 && (!slot->metered || manifest->fuel < slot->fuel)) {
        control->fuel = manifest->fuel;
        control->metered = 1;
    }
    __atomic_store_n(&control->command, SB_COMMAND_RUN, __ATOMIC_RELEASE);
}

/* What class, manifest and request give: the least of the three. */
static void set_limits(struct sb_slot *slot, const struct sb_slot_class *class, const struct sb_launch_request *request)
{
    const struct sb_manifest *manifest = &slot->active.credentials.manifest; /* all zero without a signature */
    struct sb_limits *limits = &slot->limits;
    uint64_t percent = UINT64_C(100) * class->budget_us / class->period_us;
    if (manifest->budget_us != 0 && UINT64_C(100) * manifest->budget_us / manifest->period_us < percent) {
        percent = UINT64_C(100) * manifest->budget_us / manifest->period_us;
    }
    if (request->budget_percent != 0 && request->budget_percent < percent) {
        percent = request->budget_percent;
    }
    limits->percent = percent > 0 ? (uint32_t)percent : 1;
    limits->timeout_ns = request->timeout_ms * NS_PER_MS;
    limits->restart_on_failure = request->restart_on_failure;
}

/* The active module, with the launch page as it is; the engine is stopped. */
static void run(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    slot->generation++;
    slot->restarts++;
    slot->idle_signals = 0;
    slot->handling_fault = false;
    slot->exit_code = 0;
    slot->memory_bytes = 0;
    slot->bookkeeping_bytes = 0;
    slot->calls = 0;
    slot->tier = SB_TIER_UNKNOWN;
    slot->tier_text[0] = 0;
    slot->text[0] = 0;
    slot->backtrace[0] = 0;
    slot->reason = NULL;
    __atomic_store_n(&slot->launch->generation, slot->generation, __ATOMIC_RELEASE);
    sb_code_place(s, number);
    fill_control(slot);
    slot->state = SB_SLOT_RUNNING;
    sb_trial_begin(s, number);
    sb_limits_begin(s, number);
    s->platform.engine_restart(number);
}

/* What is checked again at each start, and what a signed module does not take from the request. */
static enum sb_refusal check_trust(const struct sb_supervisor *s, const struct sb_slot *slot,
                                   const struct sb_image *image, const struct sb_launch_request *request)
{
    if (image->credentials.is_signed && request->grants.count > 0) {
        return SB_REFUSED_GRANTS;
    }
    return sb_admit_again(&s->trust, &slot->admission, &image->credentials, image->digest);
}

enum sb_launch_result sb_slot_start(struct sb_supervisor *s, unsigned number, const struct sb_launch_request *request,
                                    enum sb_refusal *refusal)
{
    struct sb_slot *slot = &s->slots[number];
    const uint64_t decided_ticks = s->platform.ticks();
    const struct sb_image *next = sb_slot_would_switch(slot) ? &slot->candidate : &slot->active;
    const struct strings strings = collect(slot, next, request);
    enum sb_launch_result result = check_all(&strings);
    if (result != SB_LAUNCH_OK) {
        return result;
    }
    if (!slot->active.present && !slot->candidate.present) {
        return SB_LAUNCH_EMPTY;
    }
    if (slot->state == SB_SLOT_RUNNING && !(slot->candidate.present && slot->candidate.pending)) {
        return SB_LAUNCH_BUSY;
    }
    *refusal = check_trust(s, slot, next, request);
    if (*refusal != SB_ACCEPTED) {
        return SB_LAUNCH_REFUSED;
    }
    if (slot->state == SB_SLOT_RUNNING) {
        sb_slot_stop(s, number);
    }
    s->platform.engine_stop(number);
    sb_slot_switch(slot);
    sb_limits_cancel(s, number);
    slot->decided_ticks = decided_ticks;
    slot->starts++;
    slot->history.lossless = request->lossless;
    slot->fuel = request->fuel;
    slot->metered = request->metered;
    set_limits(slot, &sb_slot_classes[number], request);
    fill_launch(slot, request);
    sb_keep_request(slot, request);
    sb_keep_save(s, number); /* before the engine runs what it names */
    run(s, number);
    return SB_LAUNCH_OK;
}

/* The slot's module may not run, and is stopped for this reason. */
static void give_up(struct sb_supervisor *s, unsigned number, enum sb_refusal refusal)
{
    struct sb_slot *slot = &s->slots[number];
    sb_slot_stop(s, number);
    slot->state = slot->active.present ? SB_SLOT_STOPPED : SB_SLOT_EMPTY;
    slot->reason = sb_refusal_text(refusal);
}

bool sb_slot_start_again(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    const struct sb_launch_request nothing_new = {0};
    if (!slot->active.present) {
        sb_limits_cancel(s, number);
        return false;
    }
    enum sb_refusal refusal = check_trust(s, slot, &slot->active, &nothing_new);
    if (refusal != SB_ACCEPTED) {
        give_up(s, number, refusal);
        return false;
    }
    slot->decided_ticks = s->platform.ticks();
    s->platform.engine_stop(number);
    run(s, number);
    return true;
}

void sb_slot_trust_changed(struct sb_supervisor *s)
{
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        struct sb_slot *slot = &s->slots[i];
        const struct sb_credentials *credentials = &slot->active.credentials;
        if (!slot->active.present || !credentials->is_signed) {
            continue;
        }
        enum sb_refusal refusal = sb_trust_check_key(&s->trust, credentials->key_id);
        const struct sb_signing_key *key = sb_trust_find(&s->trust, credentials->key_id);
        if (refusal == SB_ACCEPTED) {
            continue;
        }
        if (slot->state != SB_SLOT_RUNNING) {
            sb_limits_cancel(s, i);
        } else if (key != NULL && key->finish) {
            slot->limits.restart_on_failure = false;
        } else {
            give_up(s, i, refusal);
        }
    }
}

void sb_slot_stop(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    sb_drain_logs(s);
    bool runs = slot->state == SB_SLOT_RUNNING;
    sb_limits_cancel(s, number);
    if (!runs) {
        return;
    }
    slot->reason = NULL;
    slot->control->command = SB_COMMAND_IDLE;
    slot->state = SB_SLOT_STOPPED;
    sb_limits_end(s, number, false);
}
