/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wasi: the protection domain that serves the WASI calls of every slot.
 *
 * Contract: an engine calls with a message of sb_message.h on its own channel; the channel alone says which slot it is.
 * Nothing here blocks: a call that waits is answered SB_PENDING, and the engine is notified when it should ask again,
 * at its timer's end or when the supervisor has read from a full log. Output notifies the supervisor.
 * The kernel charges a call's time to this domain, not to the caller, who could so keep the CPU from engines of its
 * priority for ever. So the time that a slot's calls take in the store is owed to the others: while one of them runs and
 * does not wait, the slot's next call is answered SB_PENDING for as long as that.
 *
 * Does NOT: start or stop engines. Time is CNTPCT (sb_counter.h).
 */
#include <microkit.h>
#include <stddef.h>
#include <stdint.h>

#include "output.h"
#include "random.h"
#include "sb_counter.h"
#include "sb_system.h"
#include "slot.h"

#define COUNTERS_EVERY 64u /* calls; the statistics lag behind by less */
#define NS_PER_S UINT64_C(1000000000)
#define TURN_NS UINT64_C(1000000) /* an engine's time slice: less is not worth a pause */

uintptr_t sb_system_vaddr, sb_data_vaddr;
#define SB_X(s) uintptr_t sb_io##s##_vaddr, sb_launch##s##_vaddr, sb_log##s##_vaddr, sb_mail##s##_vaddr, sb_tree##s##_vaddr;
SB_EACH_SLOT(SB_X)
#undef SB_X

struct pd_slot {
    struct sb_wasi_slot wasi;
    struct sb_output output;
    uint64_t wake_ns; /* UINT64_MAX: no wish */
    bool waits_for_output;
    bool waits;           /* its last call was answered SB_PENDING, and nobody has woken it since */
    uint64_t owed_ns;     /* time that the store has worked for it */
    uint64_t pause_end_ns; /* until then the others have their turn; 0: no pause */
    uint64_t count; /* of the sender, in the last call's label */
    struct sb_message answer; /* to it */
};

static struct pd_slot slots[SB_SLOTS];
static struct sb_random random_state;
static uint32_t seed_generation; /* of the seed last mixed in */
static uint64_t armed_ns = UINT64_MAX;
static uint64_t frequency_hz;
static uint64_t store_ns; /* of the call that is being served */

static uint64_t ticks_to_ns(uint64_t count)
{
    return count / frequency_hz * NS_PER_S + count % frequency_hz * NS_PER_S / frequency_hz;
}

/* Rounded up, so that a wake-up is never early. */
static uint64_t ns_to_ticks(uint64_t ns)
{
    return ns / NS_PER_S * frequency_hz + (ns % NS_PER_S * frequency_hz + NS_PER_S - 1) / NS_PER_S;
}

static uint64_t monotonic_ns(void *context)
{
    (void)context;
    return ticks_to_ns(sb_counter_ticks());
}

static uint64_t realtime_ns(void *context)
{
    const struct sb_system *system = (const struct sb_system *)sb_system_vaddr;
    return monotonic_ns(context) + __atomic_load_n(&system->realtime_offset_ns, __ATOMIC_RELAXED);
}

/* A seed that changes while it is copied is mixed in again with the next request. */
static void random_bytes(void *context, uint8_t *out, uint32_t size)
{
    (void)context;
    const struct sb_system *system = (const struct sb_system *)sb_system_vaddr;
    uint32_t generation = __atomic_load_n(&system->seed_generation, __ATOMIC_ACQUIRE);
    if (generation != seed_generation) {
        uint8_t seed[sizeof system->seed];
        __builtin_memcpy(seed, system->seed, sizeof seed);
        sb_random_seed(&random_state, seed);
        seed_generation = generation;
    }
    sb_random_bytes(&random_state, out, size);
}

static uint32_t output(void *context, uint32_t slot, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size)
{
    (void)context;
    uint32_t done = sb_output_write(&slots[slot].output, stream, bytes, size);
    if (done > 0) {
        microkit_notify(SB_CH_WASI_SUPERVISOR);
    }
    return done;
}

static bool output_wake(void *context, uint32_t slot)
{
    (void)context;
    slots[slot].waits_for_output = !sb_output_wait(&slots[slot].output);
    if (slots[slot].waits_for_output) {
        microkit_notify(SB_CH_WASI_SUPERVISOR);
    }
    return !slots[slot].waits_for_output;
}

static void trace(void *context, uint32_t slot, const uint8_t *record, uint32_t size)
{
    (void)context;
    if (sb_output_record(&slots[slot].output, SB_LOG_TRACE, record, size)) {
        microkit_notify(SB_CH_WASI_SUPERVISOR);
    }
}

static uint32_t input(void *context, uint32_t slot, uint8_t *bytes, uint32_t size)
{
    (void)context;
    (void)slot;
    (void)bytes;
    (void)size;
    return 0; /* nobody types on a device */
}

/* The timer keeps one deadline for us: the earliest of all slots. */
static void arm(void)
{
    uint64_t earliest_ns = UINT64_MAX;
    for (uint32_t s = 0; s < SB_SLOTS; s++) {
        if (slots[s].wake_ns < earliest_ns) {
            earliest_ns = slots[s].wake_ns;
        }
    }
    if (earliest_ns != armed_ns) {
        armed_ns = earliest_ns;
        microkit_mr_set(0, earliest_ns == UINT64_MAX ? 0 : ns_to_ticks(earliest_ns));
        (void)microkit_ppcall(SB_CH_WASI_TIMER, microkit_msginfo_new(SB_TIMER_SET, 1));
    }
}

static void wake_at(void *context, uint32_t slot, uint64_t deadline_ns)
{
    (void)context;
    slots[slot].wake_ns = deadline_ns;
    arm();
}

static uint16_t ask_store(void *context, uint64_t label, const uint64_t arguments[SB_DATA_ARGUMENTS],
                          uint64_t results[SB_DATA_RESULTS])
{
    (void)context;
    for (unsigned i = 0; i < SB_DATA_ARGUMENTS; i++) {
        microkit_mr_set((seL4_Uint8)i, arguments[i]);
    }
    uint64_t start_ns = monotonic_ns(context);
    (void)microkit_ppcall(SB_CH_WASI_STORE, microkit_msginfo_new(label, SB_DATA_ARGUMENTS));
    store_ns += monotonic_ns(context) - start_ns;
    for (unsigned i = 0; i < SB_DATA_RESULTS; i++) {
        results[i] = microkit_mr_get((seL4_Uint8)(1 + i));
    }
    return (uint16_t)microkit_mr_get(0);
}

static struct sb_wasi_host host = {
    .monotonic_ns = monotonic_ns,
    .realtime_ns = realtime_ns,
    .random = random_bytes,
    .output = output,
    .output_wake = output_wake,
    .trace = trace,
    .input = input,
    .wake_at = wake_at,
    .data = ask_store,
};

void init(void)
{
    frequency_hz = sb_counter_hz();
    host.data_region = (struct sb_data_region *)sb_data_vaddr;
    host.resolution_ns = (NS_PER_S + frequency_hz - 1) / frequency_hz; /* one tick */
    uint8_t boot_seed[32] = {0};
    uint64_t now = sb_counter_ticks();
    __builtin_memcpy(boot_seed, &now, sizeof now); /* predictable; the agent's seed is what counts */
    sb_random_seed(&random_state, boot_seed);
#define SB_X(s)                                                                                                   \
    sb_wasi_slot_init(&slots[s].wasi, s, &host, (uint8_t *)sb_io##s##_vaddr,                                      \
                      (const struct sb_launch *)sb_launch##s##_vaddr, (struct sb_mail *)sb_mail##s##_vaddr,       \
                      (void *)sb_tree##s##_vaddr, SB_TREE_SIZE);                                                  \
    slots[s].output = (struct sb_output){(struct sb_log *)sb_log##s##_vaddr, 0};                                  \
    slots[s].wake_ns = UINT64_MAX;
    SB_EACH_SLOT(SB_X)
#undef SB_X
}

static void wake(uint32_t slot)
{
    slots[slot].waits = false;
    microkit_notify(SB_CH_WASI_ENGINE(slot));
}

static void timer_fired(void)
{
    uint64_t now_ns = monotonic_ns(NULL);
    armed_ns = UINT64_MAX; /* the timer has forgotten it */
    for (uint32_t s = 0; s < SB_SLOTS; s++) {
        if (slots[s].wake_ns <= now_ns) {
            slots[s].wake_ns = UINT64_MAX;
            wake(s);
        }
    }
    arm();
}

/* The supervisor has read from a log, a run is over, or there is mail. */
static void supervisor_notified(void)
{
    for (uint32_t s = 0; s < SB_SLOTS; s++) {
        sb_wasi_slot_ended(&slots[s].wasi);
        if (sb_wasi_slot_mail(&slots[s].wasi)) {
            wake(s);
        }
        if (slots[s].waits_for_output) {
            slots[s].waits_for_output = false;
            wake(s);
        }
    }
}

void notified(microkit_channel ch)
{
    if (ch == SB_CH_WASI_TIMER) {
        timer_fired();
    } else if (ch == SB_CH_WASI_SUPERVISOR) {
        supervisor_notified();
    }
}

/* For the supervisor's statistics. Not after every call: a page more to touch costs more than the call's own work. */
static void publish_counters(const struct pd_slot *slot)
{
    slot->output.ring->calls = slot->wasi.counters.calls;
    slot->output.ring->refused = slot->wasi.counters.refused;
    slot->output.ring->pending = slot->wasi.counters.pending;
}

static microkit_msginfo send_answer(const struct sb_message *answer)
{
    for (uint32_t word = 0; word < answer->count; word++) {
        microkit_mr_set((uint8_t)word, answer->words[word]);
    }
    return microkit_msginfo_new(answer->label, (uint16_t)answer->count);
}

/* For the supervisor's meter; a start that follows a wait ends it too. */
static void note_waiting(struct pd_slot *slot, bool waits)
{
    struct sb_log *ring = slot->output.ring;
    if (ring->waiting_since_ns != 0) {
        ring->waited_ns += monotonic_ns(NULL) - ring->waiting_since_ns;
        ring->waiting_since_ns = 0;
    }
    if (waits) {
        ring->waiting_since_ns = monotonic_ns(NULL);
    }
}

/* Another slot's module could use the CPU now. */
static bool others_run(uint32_t number)
{
    for (uint32_t s = 0; s < SB_SLOTS; s++) {
        const struct sb_launch *launch = slots[s].wasi.launch;
        uint32_t generation = __atomic_load_n(&launch->generation, __ATOMIC_RELAXED);
        bool over = __atomic_load_n(&launch->ended, __ATOMIC_RELAXED) == generation;
        if (s != number && generation != 0 && !over && !slots[s].waits) {
            return true;
        }
    }
    return false;
}

/* The slot's call is not served yet: its pause goes on. */
static bool pauses(struct pd_slot *slot, uint32_t number)
{
    if (monotonic_ns(NULL) >= slot->pause_end_ns || !others_run(number)) {
        slot->pause_end_ns = 0;
        return false;
    }
    wake_at(NULL, number, slot->pause_end_ns);
    return true;
}

/* After a call that the store has worked for. One of which a part is done goes on after as long as that part took. */
static void owe(struct pd_slot *slot, uint32_t number, bool pending)
{
    slot->owed_ns += store_ns;
    if (slot->owed_ns >= TURN_NS) {
        slot->pause_end_ns = monotonic_ns(NULL) + slot->owed_ns;
        slot->owed_ns = 0;
    }
    if (pending) {
        wake_at(NULL, number, slot->pause_end_ns != 0 && others_run(number) ? slot->pause_end_ns : monotonic_ns(NULL));
    }
    store_ns = 0;
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo msginfo)
{
    uint32_t number = ch - SB_CH_WASI_ENGINE(0);
    if (number >= SB_SLOTS) {
        microkit_mr_set(0, SB_E_INVAL);
        return microkit_msginfo_new(0, 1);
    }
    struct pd_slot *slot = &slots[number];
    uint64_t label = microkit_msginfo_get_label(msginfo);
    uint64_t count = label >> SB_LABEL_COUNT_SHIFT;
    uint32_t generation = __atomic_load_n(&slot->wasi.launch->generation, __ATOMIC_ACQUIRE);
    if (count != 0 && count == slot->count && generation == slot->wasi.generation) {
        return send_answer(&slot->answer); /* the caller was suspended before it had it: sb_message.h */
    }
    if (slot->output.ring->waiting_since_ns != 0) {
        note_waiting(slot, false);
    }
    /* More words than a message has stay in count, and so make the message wrong. */
    struct sb_message message = {
        .label = label & SB_LABEL_NUMBER_MASK,
        .count = (uint32_t)microkit_msginfo_get_count(msginfo),
    };
    for (uint32_t word = 0; word < message.count && word < SB_MESSAGE_WORDS; word++) {
        message.words[word] = microkit_mr_get((uint8_t)word);
    }
    slot->waits = false;
    if (slot->pause_end_ns != 0 && pauses(slot, number)) {
        message = (struct sb_message){.count = 1, .words = {SB_PENDING}};
    } else {
        sb_wasi_serve(&slot->wasi, &message);
    }
    if (store_ns != 0) {
        owe(slot, number, message.words[0] == SB_PENDING);
    }
    if (message.words[0] == SB_PENDING) {
        slot->waits = true;
        note_waiting(slot, true);
    }
    if (message.words[0] != SB_E_SUCCESS || slot->wasi.counters.calls % COUNTERS_EVERY == 0) {
        publish_counters(slot);
    }
    slot->count = count;
    slot->answer.label = message.label;
    slot->answer.count = message.count;
    for (uint32_t word = 0; word < message.count; word++) {
        slot->answer.words[word] = message.words[word];
    }
    return send_answer(&message);
}
