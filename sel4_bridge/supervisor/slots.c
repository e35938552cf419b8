/* SPDX-License-Identifier: Apache-2.0 */
/* Where modules lie in a slot's region and which one is active: see slots.h. No I/O. */
#include "slots.h"

#include <string.h>

#define ALIGNMENT 16u /* bytes, of a module in its region */

const char *sb_slot_state_name(enum sb_slot_state state)
{
    static const char *const names[] = {
        [SB_SLOT_EMPTY] = "empty",     [SB_SLOT_STOPPED] = "stopped", [SB_SLOT_RUNNING] = "running",
        [SB_SLOT_EXITED] = "exited",   [SB_SLOT_TRAPPED] = "trapped", [SB_SLOT_REFUSED] = "refused",
    };
    return names[state];
}

bool sb_slot_place(const struct sb_slot *slot, uint32_t size, uint32_t *offset)
{
    if (size > SB_MODULE_SIZE) {
        return false;
    }
    uint32_t top = (SB_MODULE_SIZE - size) & ~(ALIGNMENT - 1u);
    if (!slot->active.present) {
        *offset = 0;
        return true;
    }
    if (slot->active.offset != 0) { /* active at the top */
        *offset = 0;
        return size <= slot->active.offset;
    }
    *offset = top;
    return top >= slot->active.size && top != 0;
}

bool sb_slot_place_upload(const struct sb_slot *slot, struct sb_upload *upload)
{
    const struct sb_image *active = &slot->active;
    if (!sb_slot_place(slot, upload->result_size, &upload->result_offset)) {
        return false;
    }
    upload->offset = upload->result_offset;
    if (upload->encoding == SB_ENCODING_NONE) {
        return true;
    }
    uint32_t begin = upload->result_offset + upload->result_size; /* both at most SB_MODULE_SIZE */
    uint32_t end = SB_MODULE_SIZE;
    if (active->present && active->offset == 0) { /* the module lies at the top */
        begin = active->size;
        end = upload->result_offset;
    } else if (active->present) {
        end = active->offset;
    }
    begin = (begin + ALIGNMENT - 1u) & ~(ALIGNMENT - 1u);
    upload->offset = begin;
    return begin <= end && upload->size <= end - begin;
}

static bool reverts(const struct sb_slot *slot)
{
    return slot->active.present && !slot->active.confirmed && slot->candidate.present && slot->candidate.confirmed;
}

bool sb_slot_would_switch(const struct sb_slot *slot)
{
    return slot->candidate.present && (slot->candidate.pending || !slot->active.present || reverts(slot));
}

struct sb_admission sb_slot_admission(const struct sb_slot *slot)
{
    const struct sb_image *active = &slot->active;
    uint64_t sequence = active->credentials.manifest.sequence;
    struct sb_admission admission = slot->admission;
    if (active->present && active->confirmed && active->credentials.is_signed && sequence >= admission.sequence) {
        admission.sequence = sequence;
        memcpy(admission.digest, active->digest, sizeof active->digest);
    }
    return admission;
}

void sb_slot_note_confirmed(struct sb_slot *slot)
{
    slot->admission = sb_slot_admission(slot);
}

void sb_slot_note_reverted(struct sb_slot *slot, enum sb_revert why, const uint8_t digest[SB_SHA256_SIZE])
{
    slot->reverted = why;
    memcpy(slot->reverted_digest, digest, sizeof slot->reverted_digest);
}

void sb_slot_switch(struct sb_slot *slot)
{
    if (!sb_slot_would_switch(slot)) {
        return;
    }
    struct sb_image former = slot->active;
    bool revert = !slot->candidate.pending && former.present;
    slot->active = slot->candidate;
    slot->active.confirmed = slot->candidate.permanent || revert || !former.present;
    slot->active.pending = false;
    slot->active.permanent = false;
    slot->candidate = former;
    slot->candidate.pending = false;
    slot->candidate.permanent = false;
    if (revert) {
        slot->candidate.confirmed = false;
        sb_slot_note_reverted(slot, SB_REVERT_NOT_CONFIRMED, former.digest);
    }
}
