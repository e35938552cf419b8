/* SPDX-License-Identifier: Apache-2.0 */
/* See keep.h. */
#include "keep.h"

#include <string.h>

_Static_assert(SB_STORE_DIGEST_SIZE == SB_SHA256_SIZE, "one digest");
_Static_assert(SB_STORE_REQUEST_MAX == SB_FRAME_MESSAGE_MAX, "every start request can be kept");

#define SYNC_STEP 65536u /* bytes of an upload that a loss of power may cost */

static bool call(struct sb_supervisor *s, enum sb_store_label label, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t arguments[SB_STORE_ARGUMENTS] = {a, b, c, d};
    enum sb_store_status status = s->platform.store(label, arguments);
    s->store_errors += status == SB_STORE_FULL || status == SB_STORE_BROKEN;
    return status == SB_STORE_OK;
}

/* Neither the active module's place nor, if it can be helped, a candidate's: that stays until the new one is whole. */
static uint32_t free_place(const struct sb_slot *slot)
{
    const struct sb_image *used = slot->active.present ? &slot->active : &slot->candidate;
    return used->present ? 1u - used->place : 0;
}

bool sb_keep_begin(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    slot->upload.place = free_place(slot);
    slot->candidate = (struct sb_image){0}; /* its file may be the one that begins */
    if (!s->has_store) {
        return true;
    }
    if (!call(s, SB_STORE_BEGIN, number, slot->upload.place, 0, 0)) {
        return false;
    }
    if (slot->upload.has_digest) { /* nobody could go on with one that has none */
        if (!call(s, SB_STORE_SYNC, number, 0, 0, 0)) {
            return false;
        }
        sb_keep_save(s, number);
    }
    return true;
}

bool sb_keep_append(struct sb_supervisor *s, unsigned number, uint32_t offset, uint32_t size)
{
    struct sb_upload *upload = &s->slots[number].upload;
    if (!s->has_store) {
        return true;
    }
    if (!call(s, SB_STORE_APPEND, number, offset, size, 0)) {
        return false;
    }
    uint32_t received = upload->received + size;
    if (upload->has_digest && received < upload->size && received - upload->synced >= SYNC_STEP) {
        upload->synced = received;
        return call(s, SB_STORE_SYNC, number, 0, 0, 0);
    }
    return true;
}

bool sb_keep_result(struct sb_supervisor *s, unsigned number)
{
    const struct sb_upload *upload = &s->slots[number].upload;
    if (!s->has_store) {
        return true;
    }
    sb_keep_save(s, number); /* without an upload: what its file has from here on is not what came */
    return call(s, SB_STORE_BEGIN, number, upload->place, 0, 0) &&
           call(s, SB_STORE_APPEND, number, upload->result_offset, upload->result_size, 0);
}

bool sb_keep_commit(struct sb_supervisor *s, unsigned number)
{
    return !s->has_store || call(s, SB_STORE_COMMIT, number, 0, 0, 0);
}

static struct sb_store_image image_out(const struct sb_image *image)
{
    struct sb_store_image out = {.place = SB_STORE_NO_PLACE};
    if (image->present) {
        out.place = image->place;
        out.size = image->size;
        out.flags = (image->pending ? SB_STORE_PENDING : 0u) | (image->permanent ? SB_STORE_PERMANENT : 0u) |
                    (image->confirmed ? SB_STORE_CONFIRMED : 0u);
        out.failures = image->failures;
        memcpy(out.digest, image->digest, sizeof out.digest);
    }
    return out;
}

void sb_keep_save(struct sb_supervisor *s, unsigned number)
{
    const struct sb_slot *slot = &s->slots[number];
    if (!s->has_store) {
        return;
    }
    struct sb_store_record *record = s->platform.store_record;
    memset(record, 0, SB_STORE_RECORD_HEAD);
    record->version = SB_STORE_RECORD_VERSION;
    record->active = image_out(&slot->active);
    record->candidate = image_out(&slot->candidate);
    const struct sb_upload *upload = &slot->upload;
    if (upload->open && upload->has_digest) {
        record->upload = (struct sb_store_upload_record){
            .place = upload->place, .size = upload->size, .encoding = upload->encoding, .result_size = upload->result_size};
        memcpy(record->upload.digest, upload->digest, sizeof record->upload.digest);
        memcpy(record->upload.base, upload->base, sizeof record->upload.base);
    }
    record->sequence = slot->admission.sequence;
    memcpy(record->sequence_digest, slot->admission.digest, sizeof record->sequence_digest);
    record->reverted = slot->reverted;
    memcpy(record->reverted_digest, slot->reverted_digest, sizeof record->reverted_digest);
    record->autostart = slot->autostart;
    record->request_size = slot->request_size;
    memcpy(record->request, slot->request, slot->request_size);
    uint64_t before_ns = sb_monotonic_ns(s);
    (void)call(s, SB_STORE_SAVE, number, 0, 0, 0);
    s->save_ns = sb_monotonic_ns(s) - before_ns;
}

void sb_keep_request(struct sb_slot *slot, const struct sb_launch_request *request)
{
    slot->autostart = true;
    if (request->body != NULL && request->body != slot->request && request->body_size <= sizeof slot->request) {
        slot->request_size = (uint32_t)request->body_size;
        memcpy(slot->request, request->body, request->body_size);
    }
}

/* Read a module into the slot's region and look at it as at an upload. */
static bool image_in(struct sb_supervisor *s, unsigned number, const struct sb_store_image *in, struct sb_image *out)
{
    struct sb_slot *slot = &s->slots[number];
    struct sb_image image = {
        .present = true,
        .pending = (in->flags & SB_STORE_PENDING) != 0,
        .permanent = (in->flags & SB_STORE_PERMANENT) != 0,
        .confirmed = (in->flags & SB_STORE_CONFIRMED) != 0,
        .failures = in->failures,
        .place = in->place,
        .size = in->size,
    };
    if (in->place >= SB_STORE_PLACES || in->size == 0 || !sb_slot_place(slot, in->size, &image.offset) ||
        !call(s, SB_STORE_LOAD, number, in->place, image.offset, in->size)) {
        return false;
    }
    struct sb_sha256 hash;
    sb_sha256_init(&hash);
    sb_sha256_update(&hash, slot->module + image.offset, image.size);
    sb_sha256_final(&hash, image.digest);
    if (memcmp(image.digest, in->digest, sizeof image.digest) != 0) {
        return false; /* power went between this module's file and its record */
    }
    if (sb_admit(&s->trust, &slot->admission, slot->module + image.offset, image.size, image.digest,
                 &image.credentials) != SB_ACCEPTED) {
        return false;
    }
    *out = image;
    return true;
}

/* Go on with an upload where its file on flash ends. */
static void upload_in(struct sb_supervisor *s, unsigned number, const struct sb_store_upload_record *in)
{
    struct sb_slot *slot = &s->slots[number];
    struct sb_upload *upload = &slot->upload;
    *upload = (struct sb_upload){.has_digest = true,
                                 .size = in->size,
                                 .place = in->place,
                                 .encoding = (enum sb_encoding)in->encoding,
                                 .result_size = in->result_size};
    memcpy(upload->digest, in->digest, sizeof upload->digest);
    memcpy(upload->base, in->base, sizeof upload->base);
    if (in->size == 0 || in->encoding > SB_ENCODING_DELTA || in->place != free_place(slot) ||
        in->size > SB_MODULE_SIZE || in->result_size > SB_MODULE_SIZE || !sb_slot_place_upload(slot, upload) ||
        !call(s, SB_STORE_RESUME, number, in->place, upload->offset, in->size)) {
        return;
    }
    uint32_t received = s->platform.store_record->upload.received;
    if (received >= in->size) {
        return; /* power went when it was whole and nothing named it yet: it comes once more */
    }
    upload->open = true;
    upload->received = upload->synced = received;
    sb_sha256_init(&upload->hash);
    sb_sha256_update(&upload->hash, slot->module + upload->offset, received);
}

static void restore_slot(struct sb_supervisor *s, unsigned number)
{
    static struct sb_store_record record; /* a copy: a save on the way overwrites the shared page */
    struct sb_slot *slot = &s->slots[number];
    if (!call(s, SB_STORE_RECALL, number, 0, 0, 0)) {
        return;
    }
    record = *s->platform.store_record;
    slot->admission.sequence = record.sequence;
    memcpy(slot->admission.digest, record.sequence_digest, sizeof record.sequence_digest);
    sb_slot_note_reverted(slot, record.reverted < SB_REVERTS ? (enum sb_revert)record.reverted : SB_REVERT_NONE,
                          record.reverted_digest);
    slot->autostart = record.autostart != 0;
    slot->request_size = record.request_size <= sizeof slot->request ? record.request_size : 0;
    memcpy(slot->request, record.request, slot->request_size);
    (void)image_in(s, number, &record.active, &slot->active);
    (void)image_in(s, number, &record.candidate, &slot->candidate);
    if (!slot->candidate.present) {
        upload_in(s, number, &record.upload);
    }
    slot->state = slot->active.present ? SB_SLOT_STOPPED : SB_SLOT_EMPTY;
}

static enum sb_launch_result start_as_before(struct sb_supervisor *s, unsigned number, enum sb_refusal *refusal)
{
    const struct sb_slot *slot = &s->slots[number];
    struct sb_cbor_reader body = {.p = slot->request, .end = slot->request + slot->request_size};
    struct sb_launch_request request = {0};
    uint64_t ignored;
    if (slot->request_size > 0 && !sb_launch_read(&body, &request, &ignored)) {
        return SB_LAUNCH_BAD_TEXT;
    }
    *refusal = SB_ACCEPTED;
    return sb_slot_start(s, number, &request, refusal);
}

void sb_keep_restore(struct sb_supervisor *s)
{
    s->has_store = false;
    if (s->platform.store == NULL || !call(s, SB_STORE_INFO, 0, 0, 0, 0)) {
        return;
    }
    s->has_store = true;
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        restore_slot(s, i);
    }
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        enum sb_refusal refusal;
        if (s->slots[i].autostart) {
            (void)start_as_before(s, i, &refusal); /* one that is refused now stays stopped, its state says so */
        }
    }
}

enum sb_launch_result sb_keep_rollback(struct sb_supervisor *s, unsigned number, enum sb_revert why,
                                       enum sb_refusal *refusal)
{
    struct sb_slot *slot = &s->slots[number];
    *refusal = SB_ACCEPTED;
    if (!slot->active.present || !slot->candidate.present || !slot->candidate.confirmed ||
        memcmp(slot->active.digest, slot->candidate.digest, sizeof slot->active.digest) == 0) {
        return SB_LAUNCH_EMPTY;
    }
    const struct sb_image active = slot->active;
    const struct sb_image candidate = slot->candidate;
    const enum sb_revert reverted = slot->reverted;
    uint8_t reverted_digest[SB_SHA256_SIZE];
    memcpy(reverted_digest, slot->reverted_digest, sizeof reverted_digest);
    sb_slot_note_reverted(slot, why, active.digest);
    slot->active.confirmed = false;
    slot->candidate.pending = true;
    slot->candidate.permanent = true;
    slot->candidate.failures = 0;
    enum sb_launch_result result = start_as_before(s, number, refusal);
    if (result != SB_LAUNCH_OK) {
        slot->active = active;
        slot->candidate = candidate;
        sb_slot_note_reverted(slot, reverted, reverted_digest);
    }
    return result;
}

void sb_keep_run_ended(struct sb_supervisor *s, unsigned number, bool failed)
{
    struct sb_image *active = &s->slots[number].active;
    enum sb_refusal refusal;
    if (!failed) {
        if (active->failures > 0) {
            active->failures = 0;
            sb_keep_save(s, number);
        }
        return;
    }
    active->failures++;
    if (active->failures >= SB_KEEP_MAX_FAILURES && sb_keep_rollback(s, number, SB_REVERT_FAILURES, &refusal) == SB_LAUNCH_OK) {
        return;
    }
    sb_keep_save(s, number);
}
