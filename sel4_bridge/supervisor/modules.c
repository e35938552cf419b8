/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP group 64, wasel's own: status, start, stop, logs, statistics, seed. Byte-exact description: docs/PROTOCOL.md.
 */
#include <string.h>

#include "keep.h"
#include "smp.h"

/* Errors of this group; docs/PROTOCOL.md has the same list for people, tests/supervisor compares the two. */
enum {
    MODULES_UNKNOWN = 1,
    MODULES_BAD_MESSAGE = 2,
    MODULES_NO_SLOT = 3,
    MODULES_EMPTY = 4,
    MODULES_BUSY = 5,
    MODULES_TOO_LARGE = 6,
};

/* Bytes that the answer to `logs` keeps for what follows the records. */
#define LOGS_TAIL 64u
#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define LONGEST_TIMEOUT_MS (UINT64_C(1000) * 3600 * 24 * 3650) /* ten years: sums of it do not overflow */

static enum sb_smp_error general(int32_t rc)
{
    switch (rc) {
    case MODULES_NO_SLOT:
    case MODULES_EMPTY:
        return SB_SMP_NO_ENTRY;
    case MODULES_BUSY:
        return SB_SMP_BUSY;
    case MODULES_BAD_MESSAGE:
        return SB_SMP_INVALID;
    case MODULES_TOO_LARGE:
        return SB_SMP_NO_MEMORY;
    default:
        return SB_SMP_UNKNOWN;
    }
}

/* Who vouches for the module; 1 key, or 5 with a signature. */
static void put_credentials(struct sb_cbor_writer *out, const struct sb_credentials *credentials)
{
    sb_cbor_put_bool(out, "signed", credentials->is_signed);
    if (credentials->is_signed) {
        sb_cbor_put_text(out, "name", credentials->manifest.name);
        sb_cbor_put_text(out, "version", credentials->manifest.version);
        sb_cbor_put_uint(out, "sequence", credentials->manifest.sequence);
        sb_cbor_put_bytes(out, "key", credentials->key_id, sizeof credentials->key_id);
    }
}

static uint64_t credential_keys(const struct sb_image *image)
{
    return image->credentials.is_signed ? 5 : 1;
}

static void put_image(struct sb_cbor_writer *out, const struct sb_image *image)
{
    sb_cbor_put_bytes(out, "digest", image->digest, sizeof image->digest);
    sb_cbor_put_uint(out, "size", image->size);
}

static void write_slot(const struct sb_supervisor *s, struct sb_cbor_writer *out, unsigned number)
{
    const struct sb_slot *slot = &s->slots[number];
    static const char *const tiers[] = {
        [SB_TIER_INTERPRETER] = "interpreter", [SB_TIER_NATIVE] = "native"};
    const char *tier_note = slot->code_refusal != NULL ? slot->code_refusal : slot->tier_text;
    bool has_tier = slot->active.present && slot->tier != SB_TIER_UNKNOWN;
    bool has_tier_note = has_tier && slot->tier == SB_TIER_INTERPRETER && tier_note[0] != 0;
    uint64_t keys = 10;
    keys += has_tier ? 1 : 0;
    keys += has_tier_note ? 1 : 0;
    keys += slot->trial.on ? 1 : 0;
    keys += slot->reverted != SB_REVERT_NONE ? 1 : 0;
    keys += slot->active.present ? 3 + credential_keys(&slot->active) : 0;
    keys += slot->refusal != SB_ACCEPTED ? 1 : 0;
    const uint64_t sequence = sb_slot_admission(slot).sequence;
    keys += sequence != 0 ? 1 : 0;
    keys += slot->candidate.present ? 1 : 0;
    keys += slot->state == SB_SLOT_EXITED ? 1 : 0;
    keys += slot->state == SB_SLOT_TRAPPED ? 2 : 0;
    keys += slot->state == SB_SLOT_REFUSED ? 1 : 0;
    keys += slot->upload.open ? 1 : 0;
    keys += slot->state == SB_SLOT_STOPPED && slot->reason != NULL ? 1 : 0;
    keys += slot->limits.restart_at_ns != SB_NEVER ? 1 : 0;
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, keys);
    sb_cbor_put_uint(out, "slot", number);
    sb_cbor_put_text(out, "state", sb_slot_state_name(slot->state));
    if (slot->active.present) {
        put_image(out, &slot->active);
        put_credentials(out, &slot->active.credentials);
        sb_cbor_put_bool(out, "confirmed", slot->active.confirmed);
    }
    if (slot->refusal != SB_ACCEPTED) {
        sb_cbor_put_text(out, "refusal", sb_refusal_text(slot->refusal));
    }
    if (sequence != 0) {
        sb_cbor_put_uint(out, "confirmed_sequence", sequence);
    }
    if (slot->candidate.present) {
        sb_cbor_write_text(out, "candidate");
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 4 + credential_keys(&slot->candidate));
        put_image(out, &slot->candidate);
        put_credentials(out, &slot->candidate.credentials);
        sb_cbor_put_bool(out, "pending", slot->candidate.pending);
        sb_cbor_put_bool(out, "confirmed", slot->candidate.confirmed);
    }
    if (slot->upload.open) {
        sb_cbor_write_text(out, "upload");
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, slot->upload.has_digest ? 3 : 2);
        if (slot->upload.has_digest) {
            sb_cbor_put_bytes(out, "digest", slot->upload.digest, SB_SHA256_SIZE);
        }
        sb_cbor_put_uint(out, "size", slot->upload.size);
        sb_cbor_put_uint(out, "off", slot->upload.received);
    }
    if (slot->state == SB_SLOT_EXITED) {
        sb_cbor_put_uint(out, "exit", slot->exit_code);
    }
    if (slot->state == SB_SLOT_TRAPPED) {
        sb_cbor_put_text(out, "trap", slot->text);
        sb_cbor_put_text(out, "backtrace", slot->backtrace);
    }
    if (slot->state == SB_SLOT_REFUSED) {
        sb_cbor_put_text(out, "error", slot->text);
    }
    if (slot->state == SB_SLOT_STOPPED && slot->reason != NULL) {
        sb_cbor_put_text(out, "reason", slot->reason);
    }
    if (slot->trial.on) {
        uint64_t now_ns = sb_monotonic_ns(s);
        uint64_t at_ns = slot->trial.deadline_ns;
        sb_cbor_put_uint(out, "probe_ms", at_ns > now_ns ? (at_ns - now_ns) / NS_PER_MS : 0);
    }
    if (slot->reverted != SB_REVERT_NONE) {
        sb_cbor_write_text(out, "reverted");
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 3);
        sb_cbor_put_bytes(out, "digest", slot->reverted_digest, SB_SHA256_SIZE);
        sb_cbor_put_uint(out, "why", slot->reverted);
        sb_cbor_put_text(out, "reason", sb_revert_text(slot->reverted));
    }
    if (slot->limits.restart_at_ns != SB_NEVER) {
        uint64_t now_ns = sb_monotonic_ns(s);
        uint64_t at_ns = slot->limits.restart_at_ns;
        sb_cbor_put_uint(out, "restart_ms", at_ns > now_ns ? (at_ns - now_ns) / NS_PER_MS : 0);
    }
    if (has_tier) {
        sb_cbor_put_text(out, "tier", tiers[slot->tier]);
    }
    if (has_tier_note) {
        sb_cbor_put_text(out, "tier_note", tier_note);
    }
    const struct sb_slot_class *class = &sb_slot_classes[number];
    uint64_t class_percent = UINT64_C(100) * class->budget_us / class->period_us;
    bool throttled = slot->limits.percent != 0 && slot->limits.percent < class_percent;
    sb_cbor_put_text(out, "class", class->name);
    sb_cbor_put_uint(out, "budget", throttled ? slot->limits.percent : class_percent);
    sb_cbor_put_uint(out, "period_us", throttled ? SB_THROTTLE_PERIOD_US : class->period_us);
    sb_cbor_put_uint(out, "starts", slot->starts);
    sb_cbor_put_uint(out, "log_next", slot->history.next);
    sb_cbor_put_uint(out, "mail", sb_mailbox_waiting(&slot->mail));
    sb_cbor_put_uint(out, "memory", slot->memory_bytes);
    sb_cbor_put_uint(out, "bookkeeping", slot->bookkeeping_bytes);
}

static int32_t status_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    if (!sb_smp_read_body(body, NULL, 0)) {
        return MODULES_BAD_MESSAGE;
    }
    bool has_native = s->platform.code_publish != NULL;
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, has_native ? 13 : 12);
    if (has_native) {
        sb_cbor_put_text(out, "native", SB_CODE_MACHINE);
    }
    sb_cbor_put_uint(out, "protocol", SB_PROTOCOL);
    sb_cbor_put_text(out, "store", s->has_store ? "flash" : "ram");
    sb_cbor_put_text(out, "image", s->trust.development ? "development" : "release");
    sb_cbor_put_text(out, "class", s->trust.device_class);
    sb_cbor_put_text(out, "version", SB_VERSION);
    sb_cbor_put_text(out, "kernel", s->platform.kernel);
    sb_cbor_put_text(out, "board", s->platform.board);
    sb_cbor_put_uint(out, "boot_ms", s->ready_ms);
    sb_cbor_put_text(out, "random", s->system->seed_generation != 0 ? "seeded" : "unseeded");
    sb_cbor_put_uint(out, "arena", SB_ARENA_SIZE);
    sb_cbor_put_uint(out, "module_max", SB_MODULE_SIZE);
    sb_cbor_write_text(out, "slots");
    sb_cbor_write_head(out, SB_CBOR_MAJOR_ARRAY, SB_SLOTS);
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        write_slot(s, out, i);
    }
    return 0;
}

static int32_t start_error(struct sb_supervisor *s, enum sb_launch_result result, enum sb_refusal refusal)
{
    switch (result) {
    case SB_LAUNCH_OK:
        return 0;
    case SB_LAUNCH_EMPTY:
        return MODULES_EMPTY;
    case SB_LAUNCH_BUSY:
        return MODULES_BUSY;
    case SB_LAUNCH_TOO_LARGE:
        return MODULES_TOO_LARGE;
    case SB_LAUNCH_BAD_TEXT:
        return MODULES_BAD_MESSAGE;
    case SB_LAUNCH_REFUSED:
        s->reason = sb_refusal_text(refusal);
        return -SB_SMP_ACCESS_DENIED;
    }
    return MODULES_UNKNOWN;
}

/* "never", "on-failure", or nothing, which is never. */
static bool read_restart(bool given, const struct sb_cbor_string *word, bool *on_failure)
{
    static const char never[] = "never";
    static const char failure[] = "on-failure";
    *on_failure = given && word->size == sizeof failure - 1 && memcmp(word->data, failure, word->size) == 0;
    return !given || *on_failure || (word->size == sizeof never - 1 && memcmp(word->data, never, word->size) == 0);
}

bool sb_launch_read(struct sb_cbor_reader *body, struct sb_launch_request *request, uint64_t *slot)
{
    struct sb_cbor_string restart = {0};
    struct sb_cbor_field fields[] = {
        {"slot", SB_CBOR_UINT, slot, false},
        {"args", SB_CBOR_ARRAY, &request->args, false},
        {"env", SB_CBOR_ARRAY, &request->env, false},
        {"fuel", SB_CBOR_UINT, &request->fuel, false},
        {"lossless", SB_CBOR_BOOL, &request->lossless, false},
        {"grants", SB_CBOR_ARRAY, &request->grants, false},
        {"budget", SB_CBOR_UINT, &request->budget_percent, false},
        {"timeout_ms", SB_CBOR_UINT, &request->timeout_ms, false},
        {"restart", SB_CBOR_TEXT, &restart, false},
    };
    request->body = body->p;
    request->body_size = (size_t)(body->end - body->p);
    if (!sb_smp_read_body(body, fields, sizeof fields / sizeof fields[0]) || !fields[0].found ||
        (fields[6].found && (request->budget_percent < 1 || request->budget_percent > 100)) ||
        (fields[7].found && (request->timeout_ms < 1 || request->timeout_ms > LONGEST_TIMEOUT_MS)) ||
        !read_restart(fields[8].found, &restart, &request->restart_on_failure)) {
        return false;
    }
    request->metered = fields[3].found;
    return true;
}

static int32_t start_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t slot = 0;
    struct sb_launch_request request = {0};
    if (!sb_launch_read(body, &request, &slot)) {
        return MODULES_BAD_MESSAGE;
    }
    if (slot >= SB_SLOTS) {
        return MODULES_NO_SLOT;
    }
    enum sb_refusal refusal = SB_ACCEPTED;
    enum sb_launch_result result = sb_slot_start(s, (unsigned)slot, &request, &refusal);
    int32_t rc = start_error(s, result, refusal);
    if (rc == 0) {
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 1);
        sb_cbor_put_uint(out, "starts", s->slots[slot].starts);
    }
    return rc;
}

/* The one field of most requests. */
static int32_t read_slot(struct sb_cbor_reader *body, uint64_t *slot)
{
    struct sb_cbor_field fields[] = {{"slot", SB_CBOR_UINT, slot, false}};
    if (!sb_smp_read_body(body, fields, 1) || !fields[0].found) {
        return MODULES_BAD_MESSAGE;
    }
    return *slot >= SB_SLOTS ? MODULES_NO_SLOT : 0;
}

static int32_t stop_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t slot = 0;
    int32_t rc = read_slot(body, &slot);
    if (rc == 0) {
        sb_slot_stop(s, (unsigned)slot);
        if (s->slots[slot].autostart) {
            s->slots[slot].autostart = false;
            sb_keep_save(s, (unsigned)slot);
        }
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 0);
    }
    return rc;
}

static int32_t logs_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t slot = 0;
    uint64_t number = 0;
    uint64_t max = UINT64_MAX;
    struct sb_cbor_field fields[] = {
        {"slot", SB_CBOR_UINT, &slot, false},
        {"cursor", SB_CBOR_UINT, &number, false},
        {"max", SB_CBOR_UINT, &max, false},
    };
    if (!sb_smp_read_body(body, fields, 3) || !fields[0].found || !fields[1].found) {
        return MODULES_BAD_MESSAGE;
    }
    if (slot >= SB_SLOTS) {
        return MODULES_NO_SLOT;
    }
    struct sb_history *history = &s->slots[slot].history;
    sb_history_release(history, number);
    sb_move_logs(s); /* into the room that this has made */

    struct sb_history_cursor c = sb_history_seek(history, number);
    struct sb_history_cursor end = c;
    struct sb_log_record record;
    uint64_t count = 0;
    uint64_t bytes = 0;
    size_t room = sb_cbor_room(out) > LOGS_TAIL ? sb_cbor_room(out) - LOGS_TAIL : 0;
    /* First how many fit (the array's length comes before them), at least one if any does. */
    for (uint64_t used = 0; sb_history_peek(history, &end, &record); count++) {
        used += 16u + record.size; /* array head, number, stream, bool, string head: at most 15 bytes */
        bytes += record.size;
        if (used > room || (bytes > max && count > 0)) {
            break;
        }
        sb_history_skip(history, &end);
    }
    struct sb_history_cursor at = c;
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 3);
    sb_cbor_write_text(out, "records");
    sb_cbor_write_head(out, SB_CBOR_MAJOR_ARRAY, count);
    uint8_t payload[SB_LOG_MAX_RECORD];
    for (uint64_t i = 0; i < count && sb_history_peek(history, &at, &record); i++) {
        sb_cbor_write_head(out, SB_CBOR_MAJOR_ARRAY, 4);
        sb_cbor_write_uint(out, at.number);
        sb_cbor_write_uint(out, record.stream);
        sb_cbor_write_bool(out, record.ends_line != 0);
        sb_history_read(history, &at, payload);
        sb_cbor_write_bytes(out, payload, record.size);
    }
    sb_cbor_put_uint(out, "next", at.number);
    sb_cbor_put_uint(out, "dropped", c.lost);
    return 0;
}

/* From the decision to the module's first instruction, 0: it has not come that far. The engine may say what it likes. */
static uint64_t start_us(const struct sb_supervisor *s, const struct sb_slot *slot)
{
    uint64_t first = __atomic_load_n(&slot->control->first_ticks, __ATOMIC_RELAXED);
    uint64_t now = s->platform.ticks();
    uint64_t hz = s->platform.tick_hz;
    if (first <= slot->decided_ticks || first > now) {
        return 0;
    }
    uint64_t ticks = first - slot->decided_ticks;
    return ticks / hz * UINT64_C(1000000) + ticks % hz * UINT64_C(1000000) / hz;
}

static int32_t stats_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t number = 0;
    int32_t rc = read_slot(body, &number);
    if (rc != 0) {
        return rc;
    }
    sb_meter(s);
    const struct sb_slot *slot = &s->slots[number];
    const struct {
        const char *key;
        uint64_t value;
    } counters[] = {
        {"calls", slot->calls},
        {"starts", slot->starts},
        {"start_us", start_us(s, slot)},
        {"traps", slot->traps},
        {"faults", slot->faults},
        {"restarts", slot->restarts},
        {"retries", slot->limits.retries},
        {"timeouts", slot->limits.timeouts},
        {"run_us", slot->limits.run_ns / NS_PER_US},
        {"active_us", slot->limits.active_ns / NS_PER_US},
        {"cpu_us", slot->limits.cpu_ns / NS_PER_US},
        {"memory", slot->memory_bytes},
        {"bookkeeping", slot->bookkeeping_bytes},
        {"arena_peak", slot->arena_peak},
        {"log_records", slot->drain.records},
        {"log_bytes", slot->drain.bytes},
        {"log_broken", slot->drain.broken},
        {"messages", slot->drain.log->calls}, /* the wasi domain counts these */
        {"messages_refused", slot->drain.log->refused},
        {"messages_pending", slot->drain.log->pending},
        {"uart_received", s->link.received_bytes},
        {"uart_sent", s->link.sent_bytes},
        {"frames", s->frames.packets},
        {"frames_broken", s->frames.broken},
        {"requests", s->link.requests},
        {"requests_refused", s->link.errors},
        {"store_errors", s->store_errors},
        {"save_us", s->save_ns / NS_PER_US},
    };
    size_t count = sizeof counters / sizeof counters[0];
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, count);
    for (size_t i = 0; i < count; i++) {
        sb_cbor_put_uint(out, counters[i].key, counters[i].value);
    }
    return 0;
}

static int32_t seed_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    struct sb_cbor_string seed = {0};
    struct sb_cbor_field fields[] = {{"seed", SB_CBOR_BYTES, &seed, false}};
    if (!sb_smp_read_body(body, fields, 1) || !fields[0].found || seed.size != sizeof s->system->seed) {
        return MODULES_BAD_MESSAGE;
    }
    memcpy(s->system->seed, seed.data, seed.size);
    uint32_t next = s->system->seed_generation + 1u;
    __atomic_store_n(&s->system->seed_generation, next != 0 ? next : 1u, __ATOMIC_RELEASE);
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 0);
    return 0;
}

static int32_t trust_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    if (!sb_smp_read_body(body, NULL, 0)) {
        return MODULES_BAD_MESSAGE;
    }
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 4);
    sb_cbor_put_uint(out, "root_version", s->trust.version);
    sb_cbor_put_uint(out, "threshold", s->trust.threshold);
    sb_cbor_write_text(out, "roots");
    sb_cbor_write_head(out, SB_CBOR_MAJOR_ARRAY, s->trust.root_count);
    for (uint32_t i = 0; i < s->trust.root_count; i++) {
        sb_cbor_write_bytes(out, s->trust.roots[i].id, SB_KEY_ID_SIZE);
    }
    sb_cbor_write_text(out, "keys");
    sb_cbor_write_head(out, SB_CBOR_MAJOR_ARRAY, s->trust.key_count);
    for (uint32_t i = 0; i < s->trust.key_count; i++) {
        const struct sb_signing_key *key = &s->trust.keys[i];
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 3);
        sb_cbor_put_bytes(out, "key", key->public.id, SB_KEY_ID_SIZE);
        sb_cbor_put_bool(out, "revoked", key->revoked);
        sb_cbor_put_bool(out, "usable", !key->revoked && key->for_this_class);
    }
    return 0;
}

static int32_t trust_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    struct sb_cbor_string root = {0};
    struct sb_cbor_field fields[] = {{"root", SB_CBOR_BYTES, &root, false}};
    if (!sb_smp_read_body(body, fields, 1) || !fields[0].found) {
        return MODULES_BAD_MESSAGE;
    }
    enum sb_refusal refusal = sb_trust_update(&s->trust, root.data, root.size);
    if (refusal != SB_ACCEPTED) {
        s->reason = sb_refusal_text(refusal);
        return -SB_SMP_ACCESS_DENIED;
    }
    sb_slot_trust_changed(s);
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 1);
    sb_cbor_put_uint(out, "root_version", s->trust.version);
    return 0;
}

/* The wasi domain looks at the flag with every call; the records come with the slot's log. */
static int32_t trace_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t slot = 0;
    bool on = false;
    struct sb_cbor_field fields[] = {{"slot", SB_CBOR_UINT, &slot, false}, {"on", SB_CBOR_BOOL, &on, false}};
    if (!sb_smp_read_body(body, fields, 2) || !fields[0].found || !fields[1].found) {
        return MODULES_BAD_MESSAGE;
    }
    if (slot >= SB_SLOTS) {
        return MODULES_NO_SLOT;
    }
    __atomic_store_n(&s->slots[slot].launch->trace, on ? 1u : 0u, __ATOMIC_RELAXED);
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 0);
    return 0;
}

static int32_t rollback_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t slot = 0;
    int32_t rc = read_slot(body, &slot);
    if (rc == 0) {
        enum sb_refusal refusal;
        enum sb_launch_result result = sb_keep_rollback(s, (unsigned)slot, SB_REVERT_ASKED, &refusal);
        rc = start_error(s, result, refusal);
    }
    if (rc == 0) {
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 1);
        sb_cbor_put_uint(out, "starts", s->slots[slot].starts);
    }
    return rc;
}

static const struct sb_smp_command commands[] = {
    {0, status_read, NULL}, {1, NULL, start_write}, {2, NULL, stop_write},
    {3, logs_read, NULL},   {4, stats_read, NULL},  {5, NULL, seed_write},
    {6, trust_read, trust_write}, {7, NULL, trace_write}, {8, NULL, rollback_write},
    {9, NULL, sb_mail_exchange},
};

const struct sb_smp_group_table sb_wasel_group = {
    SB_GROUP_WASEL, sizeof commands / sizeof commands[0], commands, general};
