/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP group 1, images: upload, state, erase. Image number = engine slot; of each image, slot 0 is the active module and
 * slot 1 the candidate.
 *
 * Contract: an upload goes to the end of the region that the active module does not use. Each answer says which offset
 * is wanted next, so a sender that lost its place, or its life, goes on from there; a first chunk with the length and
 * digest of an unfinished upload, or of the finished candidate, resumes it. A chunk that comes before the one in front of
 * it is held, as long as there are no more than SB_UPLOAD_AHEAD of them. The digest is SHA-256 over the whole file,
 * computed as it arrives. What the bytes mean is found out by the engine when they are started.
 *
 * Source: Zephyr, "Application/software image management" (MCUmgr group 1).
 */
#include <string.h>

#include "keep.h"
#include "smp.h"

/* enum img_mgmt_err_code_t, as far as it is used */
enum {
    IMAGE_NO_IMAGE = 3,
    IMAGE_HASH_NOT_FOUND = 8,
    IMAGE_NO_FREE_SLOT = 9,
    IMAGE_FLASH_WRITE_FAILED = 12,
    IMAGE_INVALID_SLOT = 14,
    IMAGE_INVALID_LENGTH = 21,
    IMAGE_INVALID_HASH = 24,
    IMAGE_TOO_LARGE = 30,
    IMAGE_DATA_OVERRUN = 31,
};

static enum sb_smp_error general(int32_t rc)
{
    switch (rc) {
    case IMAGE_NO_IMAGE:
    case IMAGE_HASH_NOT_FOUND:
        return SB_SMP_NO_ENTRY;
    case IMAGE_NO_FREE_SLOT:
        return SB_SMP_NO_MEMORY;
    case IMAGE_INVALID_HASH:
        return SB_SMP_CORRUPT;
    default:
        return SB_SMP_INVALID;
    }
}

static void write_image(struct sb_cbor_writer *out, unsigned image, unsigned place, const struct sb_image *of)
{
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 9);
    sb_cbor_put_uint(out, "image", image);
    sb_cbor_put_uint(out, "slot", place);
    sb_cbor_put_text(out, "version", of->credentials.is_signed ? of->credentials.manifest.version : "0.0.0");
    sb_cbor_put_bytes(out, "hash", of->digest, sizeof of->digest);
    sb_cbor_put_bool(out, "bootable", true);
    sb_cbor_put_bool(out, "pending", of->pending);
    sb_cbor_put_bool(out, "confirmed", of->confirmed);
    sb_cbor_put_bool(out, "active", place == 0);
    sb_cbor_put_bool(out, "permanent", of->permanent);
}

static int32_t write_states(struct sb_supervisor *s, struct sb_cbor_writer *out)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        count += (uint64_t)s->slots[i].active.present + s->slots[i].candidate.present;
    }
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 2);
    sb_cbor_write_text(out, "images");
    sb_cbor_write_head(out, SB_CBOR_MAJOR_ARRAY, count);
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        if (s->slots[i].active.present) {
            write_image(out, i, 0, &s->slots[i].active);
        }
        if (s->slots[i].candidate.present) {
            write_image(out, i, 1, &s->slots[i].candidate);
        }
    }
    sb_cbor_put_uint(out, "splitStatus", 0);
    return 0;
}

static int32_t state_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    if (!sb_smp_read_body(body, NULL, 0)) {
        return -SB_SMP_INVALID;
    }
    return write_states(s, out);
}

static bool has_digest(const struct sb_image *image, const struct sb_cbor_string *digest)
{
    return image->present && memcmp(image->digest, digest->data, sizeof image->digest) == 0;
}

/* {hash, confirm}: mark a candidate for its next start, for good or for a test; confirm what runs. */
static int32_t state_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    struct sb_cbor_string digest = {0};
    bool confirm = false;
    struct sb_cbor_field fields[] = {
        {"hash", SB_CBOR_BYTES, &digest, false},
        {"confirm", SB_CBOR_BOOL, &confirm, false},
    };
    if (!sb_smp_read_body(body, fields, 2)) {
        return -SB_SMP_INVALID;
    }
    if (!fields[0].found) {
        if (!confirm) {
            return IMAGE_INVALID_HASH;
        }
        if (!s->slots[0].active.present) {
            return IMAGE_NO_IMAGE;
        }
        sb_trial_cancel(&s->slots[0]);
        s->slots[0].active.confirmed = true; /* no hash: what runs as image 0, as in mcumgr */
        sb_slot_note_confirmed(&s->slots[0]);
        sb_keep_save(s, 0);
        return write_states(s, out);
    }
    if (digest.size != SB_SHA256_SIZE) {
        return IMAGE_INVALID_HASH;
    }
    bool found = false;
    for (unsigned i = 0; i < SB_SLOTS; i++) { /* the same module may be in several slots */
        struct sb_slot *slot = &s->slots[i];
        bool candidate = has_digest(&slot->candidate, &digest);
        bool active = has_digest(&slot->active, &digest);
        if (candidate) {
            slot->candidate.pending = true;
            slot->candidate.permanent = confirm;
            slot->candidate.failures = 0;
            slot->reverted = SB_REVERT_NONE;
        }
        if (active && confirm) { /* also where the candidate is the same module once more */
            sb_trial_cancel(slot);
            slot->active.confirmed = true;
            sb_slot_note_confirmed(slot);
        }
        if (candidate || (active && confirm)) {
            sb_keep_save(s, i);
        }
        found |= candidate || active;
    }
    return found ? write_states(s, out) : IMAGE_HASH_NOT_FOUND;
}

static int32_t answer_offset(struct sb_cbor_writer *out, uint64_t offset, bool complete)
{
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, complete ? 2 : 1);
    sb_cbor_put_uint(out, "off", offset);
    if (complete) {
        sb_cbor_put_bool(out, "match", true);
    }
    return 0;
}

/* Decode what came to the module that it stands for. */
static bool make_result(struct sb_slot *slot)
{
    struct sb_upload *upload = &slot->upload;
    const struct sb_image *active = &slot->active;
    const uint8_t *base = NULL;
    uint32_t base_size = 0;
    if (upload->encoding == SB_ENCODING_DELTA) {
        if (!active->present || memcmp(active->digest, upload->base, sizeof active->digest) != 0) {
            return false; /* another module became active meanwhile */
        }
        base = slot->module + active->offset;
        base_size = active->size;
    }
    uint8_t *result = slot->module + upload->result_offset;
    if (!sb_decode(upload->encoding, slot->module + upload->offset, upload->size, base, base_size, result,
                   upload->result_size)) {
        return false;
    }
    sb_sha256_init(&upload->hash);
    sb_sha256_update(&upload->hash, result, upload->result_size);
    return true;
}

/* The whole module is here: it becomes the candidate if the digest is right and the device trusts it. */
static int32_t finish(struct sb_supervisor *s, struct sb_slot *slot, struct sb_cbor_writer *out)
{
    struct sb_upload *upload = &slot->upload;
    unsigned number = (unsigned)(slot - s->slots);
    uint8_t digest[SB_SHA256_SIZE];
    upload->open = false;
    if (upload->encoding != SB_ENCODING_NONE && !make_result(slot)) {
        sb_keep_save(s, number);
        return IMAGE_INVALID_HASH;
    }
    sb_sha256_final(&upload->hash, digest);
    if (upload->has_digest && memcmp(digest, upload->digest, sizeof digest) != 0) {
        sb_keep_save(s, number);
        return IMAGE_INVALID_HASH;
    }
    struct sb_credentials credentials;
    const struct sb_admission admission = sb_slot_admission(slot);
    slot->refusal =
        sb_admit(&s->trust, &admission, slot->module + upload->result_offset, upload->result_size, digest, &credentials);
    if (slot->refusal != SB_ACCEPTED) {
        sb_keep_save(s, number);
        s->reason = sb_refusal_text(slot->refusal);
        return -SB_SMP_ACCESS_DENIED;
    }
    if (upload->encoding != SB_ENCODING_NONE && !sb_keep_result(s, number)) {
        return IMAGE_FLASH_WRITE_FAILED;
    }
    if (!sb_keep_commit(s, number)) {
        return IMAGE_FLASH_WRITE_FAILED;
    }
    slot->admission = admission; /* the former candidate goes, and with it the way back */
    slot->candidate = (struct sb_image){
        .present = true, .offset = upload->result_offset, .size = upload->result_size, .place = upload->place,
        .credentials = credentials};
    memcpy(slot->candidate.digest, digest, sizeof digest);
    slot->reverted = SB_REVERT_NONE;
    sb_keep_save(s, number);
    return answer_offset(out, upload->size, true);
}

/* A chunk further on: into its place, to be taken when what lies before it has come. */
static int32_t hold(struct sb_slot *slot, uint64_t offset, const struct sb_cbor_string *data, struct sb_cbor_writer *out)
{
    struct sb_upload *upload = &slot->upload;
    bool held = false;
    for (uint32_t i = 0; i < upload->ahead_count && !held; i++) {
        held = upload->ahead[i].begin <= offset && offset + data->size <= upload->ahead[i].end;
    }
    if (!held && offset <= upload->size && data->size <= upload->size - offset && data->size > 0 &&
        upload->ahead_count < SB_UPLOAD_AHEAD) {
        memcpy(slot->module + upload->offset + offset, data->data, data->size);
        upload->ahead[upload->ahead_count++] = (struct sb_piece){(uint32_t)offset, (uint32_t)(offset + data->size)};
        held = true;
    }
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 2);
    sb_cbor_put_uint(out, "off", upload->received);
    sb_cbor_put_bool(out, "held", held);
    return 0;
}

/* The end of what now lies in the region without a hole; forgets the pieces that this takes up. */
static uint32_t reach(struct sb_upload *upload, uint32_t end)
{
    for (bool found = true; found;) { /* each round but the last takes a piece off the list */
        found = false;
        for (uint32_t i = 0; i < upload->ahead_count && !found; i++) {
            if (upload->ahead[i].begin <= end) {
                end = upload->ahead[i].end > end ? upload->ahead[i].end : end;
                upload->ahead[i] = upload->ahead[--upload->ahead_count];
                found = true;
            }
        }
    }
    return end;
}

/* Bytes at the offset that is wanted. */
static int32_t take(struct sb_supervisor *s, struct sb_slot *slot, const struct sb_cbor_string *data, struct sb_cbor_writer *out)
{
    struct sb_upload *upload = &slot->upload;
    if (data->size > upload->size - upload->received) {
        upload->open = false;
        sb_keep_save(s, (unsigned)(slot - s->slots));
        return IMAGE_DATA_OVERRUN;
    }
    uint8_t *to = slot->module + upload->offset + upload->received;
    memcpy(to, data->data, data->size);
    uint32_t size = reach(upload, upload->received + (uint32_t)data->size) - upload->received;
    if (!sb_keep_append(s, (unsigned)(slot - s->slots), upload->offset + upload->received, size)) {
        upload->open = false;
        return IMAGE_FLASH_WRITE_FAILED;
    }
    sb_sha256_update(&upload->hash, to, size);
    upload->received += size;
    return upload->received == upload->size ? finish(s, slot, out) : answer_offset(out, upload->received, false);
}

/* What a first chunk says. */
struct first_chunk {
    uint64_t size;                /* bytes that will come */
    struct sb_cbor_string digest; /* of the module */
    struct sb_cbor_string data;
    uint64_t encoding;
    uint64_t result_size; /* of the module, with an encoding */
    struct sb_cbor_string base;
};

static bool same_digest(const uint8_t ours[SB_SHA256_SIZE], const struct sb_cbor_string *theirs)
{
    return theirs->size == SB_SHA256_SIZE && memcmp(ours, theirs->data, SB_SHA256_SIZE) == 0;
}

static int32_t check_first(const struct sb_slot *slot, const struct first_chunk *chunk)
{
    if (chunk->digest.data != NULL && chunk->digest.size != SB_SHA256_SIZE) {
        return IMAGE_INVALID_HASH;
    }
    if (chunk->size == 0 || chunk->result_size == 0) {
        return IMAGE_INVALID_LENGTH;
    }
    if (chunk->size > SB_MODULE_SIZE || chunk->result_size > SB_MODULE_SIZE) {
        return IMAGE_TOO_LARGE;
    }
    if (chunk->encoding > SB_ENCODING_DELTA || (chunk->encoding != SB_ENCODING_NONE && chunk->digest.data == NULL)) {
        return -SB_SMP_INVALID;
    }
    if (chunk->encoding == SB_ENCODING_DELTA &&
        (!slot->active.present || !same_digest(slot->active.digest, &chunk->base))) {
        return IMAGE_HASH_NOT_FOUND;
    }
    return 0;
}

/* The first chunk: opens an upload, or finds that there is one to go on with. */
static int32_t begin(struct sb_supervisor *s, struct sb_slot *slot, const struct first_chunk *chunk,
                     struct sb_cbor_writer *out)
{
    struct sb_upload *upload = &slot->upload;
    bool named = chunk->digest.data != NULL;
    int32_t rc = check_first(slot, chunk);
    if (rc != 0) {
        return rc;
    }
    if (named && upload->open && upload->has_digest && upload->size == chunk->size &&
        upload->encoding == (enum sb_encoding)chunk->encoding && same_digest(upload->digest, &chunk->digest) &&
        (chunk->encoding != SB_ENCODING_DELTA || same_digest(upload->base, &chunk->base))) {
        return upload->received > 0 ? answer_offset(out, upload->received, false) : take(s, slot, &chunk->data, out);
    }
    if (named && slot->candidate.size == chunk->result_size && has_digest(&slot->candidate, &chunk->digest)) {
        return answer_offset(out, chunk->size, true);
    }
    if (slot->trial.on) {
        return -SB_SMP_BUSY; /* it would take the place of the module to go back to */
    }
    struct sb_upload next = {.open = true,
                             .has_digest = named,
                             .size = (uint32_t)chunk->size,
                             .encoding = (enum sb_encoding)chunk->encoding,
                             .result_size = (uint32_t)chunk->result_size};
    if (!sb_slot_place_upload(slot, &next)) {
        return IMAGE_NO_FREE_SLOT;
    }
    if (named) {
        memcpy(next.digest, chunk->digest.data, SB_SHA256_SIZE);
    }
    if (chunk->encoding == SB_ENCODING_DELTA) {
        memcpy(next.base, chunk->base.data, SB_SHA256_SIZE);
    }
    *upload = next;
    sb_sha256_init(&upload->hash);
    if (!sb_keep_begin(s, (unsigned)(slot - s->slots))) {
        upload->open = false;
        return IMAGE_FLASH_WRITE_FAILED;
    }
    return take(s, slot, &chunk->data, out);
}

static int32_t upload_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t image = s->upload_image;
    uint64_t offset = 0;
    struct first_chunk chunk = {0};
    bool upgrade = false; /* module versions are not compared: nothing is an upgrade or a downgrade here */
    struct sb_cbor_field fields[] = {
        {"image", SB_CBOR_UINT, &image, false},  {"off", SB_CBOR_UINT, &offset, false},
        {"len", SB_CBOR_UINT, &chunk.size, false},  {"sha", SB_CBOR_BYTES, &chunk.digest, false},
        {"data", SB_CBOR_BYTES, &chunk.data, false}, {"upgrade", SB_CBOR_BOOL, &upgrade, false},
        {"enc", SB_CBOR_UINT, &chunk.encoding, false}, {"size", SB_CBOR_UINT, &chunk.result_size, false},
        {"base", SB_CBOR_BYTES, &chunk.base, false},
    };
    if (!sb_smp_read_body(body, fields, sizeof fields / sizeof fields[0]) || !fields[1].found || !fields[4].found) {
        return -SB_SMP_INVALID;
    }
    if (offset == 0 && !fields[0].found) {
        image = 0;
    }
    if (image >= SB_SLOTS) {
        return IMAGE_INVALID_SLOT;
    }
    struct sb_slot *slot = &s->slots[image];
    if (offset == 0) {
        if (!fields[2].found) {
            return IMAGE_INVALID_LENGTH;
        }
        if (chunk.encoding == SB_ENCODING_NONE) {
            chunk.result_size = chunk.size;
        }
        s->upload_image = (uint32_t)image;
        return begin(s, slot, &chunk, out);
    }
    if (!slot->upload.open) { /* the last chunk again, or a sender that must start over */
        const struct sb_upload *upload = &slot->upload;
        const uint32_t total = upload->size != 0 ? upload->size : slot->candidate.size; /* 0 after a loss of power */
        bool repeated = slot->candidate.present && offset <= total && offset + chunk.data.size == total;
        return answer_offset(out, repeated ? total : 0, repeated);
    }
    if (offset > slot->upload.received) {
        return hold(slot, offset, &chunk.data, out);
    }
    if (offset != slot->upload.received) {
        return answer_offset(out, slot->upload.received, false);
    }
    return take(s, slot, &chunk.data, out);
}

/* {"slot": n}: n / 2 is the image, odd its candidate (default: image 0's), even its active module. */
static int32_t erase_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t place = 1;
    struct sb_cbor_field fields[] = {{"slot", SB_CBOR_UINT, &place, false}};
    if (!sb_smp_read_body(body, fields, 1)) {
        return -SB_SMP_INVALID;
    }
    if (place / 2 >= SB_SLOTS) {
        return IMAGE_INVALID_SLOT;
    }
    struct sb_slot *slot = &s->slots[place / 2];
    if (place % 2 == 0) {
        if (slot->state == SB_SLOT_RUNNING) {
            return -SB_SMP_BUSY;
        }
        sb_slot_note_confirmed(slot);
        sb_limits_cancel(s, (unsigned)(place / 2));
        slot->active = (struct sb_image){0};
        slot->state = SB_SLOT_EMPTY;
        slot->autostart = false;
    } else {
        slot->upload.open = false;
        slot->candidate = (struct sb_image){0};
    }
    sb_keep_save(s, (unsigned)(place / 2));
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 0);
    return 0;
}

static const struct sb_smp_command commands[] = {
    {0, state_read, state_write},
    {1, NULL, upload_write},
    {5, NULL, erase_write},
};

const struct sb_smp_group_table sb_image_group = {
    SB_GROUP_IMAGE, sizeof commands / sizeof commands[0], commands, general};
