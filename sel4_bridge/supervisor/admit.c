/* SPDX-License-Identifier: Apache-2.0 */
/* See admit.h. */
#include "admit.h"

#include <string.h>

static bool same(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && memcmp(a, b, strlen(a)) == 0;
}

static enum sb_refusal check_sequence(const struct sb_manifest *manifest, const struct sb_admission *slot,
                                      const uint8_t digest[SB_SHA256_SIZE])
{
    if (manifest->sequence > slot->sequence || manifest->downgrade_from >= slot->sequence) {
        return SB_ACCEPTED; /* sequences begin with 1: a slot without a past takes any */
    }
    if (manifest->sequence < slot->sequence) {
        return SB_REFUSED_OLDER;
    }
    return memcmp(digest, slot->digest, SB_SHA256_SIZE) == 0 ? SB_ACCEPTED : SB_REFUSED_REPLAYED;
}

static enum sb_refusal check_slot(const struct sb_manifest *manifest, const struct sb_trust *trust,
                                  const struct sb_admission *slot)
{
    if (manifest->device_class[0] != 0 && !same(manifest->device_class, trust->device_class)) {
        return SB_REFUSED_DEVICE_CLASS;
    }
    if (manifest->slot_class[0] != 0 && !same(manifest->slot_class, slot->slot_class)) {
        return SB_REFUSED_SLOT_CLASS;
    }
    if (manifest->arena > slot->arena_size || manifest->stack > slot->arena_size) {
        return SB_REFUSED_ARENA;
    }
    /* budget/period at most the slot's; both periods are below 2^32: no overflow */
    if ((uint64_t)manifest->budget_us * slot->period_us > (uint64_t)slot->budget_us * manifest->period_us) {
        return SB_REFUSED_BUDGET;
    }
    return SB_ACCEPTED;
}

enum sb_refusal sb_admit(const struct sb_trust *trust, const struct sb_admission *slot, const uint8_t *module,
                         uint32_t size, const uint8_t digest[SB_SHA256_SIZE], struct sb_credentials *out)
{
    struct sb_module_parts parts;
    struct sb_signature signature;
    *out = (struct sb_credentials){0};
    enum sb_refusal refusal = sb_module_parts(module, size, &parts);
    if (!parts.has_signature && !parts.has_manifest && trust->development) {
        return SB_ACCEPTED; /* whatever it is, the engine will say */
    }
    if (refusal != SB_ACCEPTED) {
        return refusal;
    }
    if (!parts.has_signature) {
        return SB_REFUSED_UNSIGNED;
    }
    refusal = sb_signature_read(module + parts.signature.offset, parts.signature.size, &signature);
    if (refusal == SB_ACCEPTED) {
        refusal = sb_signature_verify(&signature, trust, module, parts.payload_size);
    }
    if (refusal == SB_ACCEPTED) {
        refusal = sb_manifest_read(module, parts.manifest, &out->manifest);
    }
    if (refusal == SB_ACCEPTED && out->manifest.size != parts.manifest_start) {
        refusal = SB_REFUSED_SIZE;
    }
    if (refusal == SB_ACCEPTED) {
        refusal = check_slot(&out->manifest, trust, slot);
    }
    if (refusal == SB_ACCEPTED) {
        refusal = check_sequence(&out->manifest, slot, digest);
    }
    if (refusal != SB_ACCEPTED) {
        return refusal;
    }
    out->is_signed = true;
    memcpy(out->key_id, signature.key_id, SB_KEY_ID_SIZE);
    return SB_ACCEPTED;
}

enum sb_refusal sb_admit_again(const struct sb_trust *trust, const struct sb_admission *slot,
                               const struct sb_credentials *credentials, const uint8_t digest[SB_SHA256_SIZE])
{
    if (!credentials->is_signed) {
        return trust->development ? SB_ACCEPTED : SB_REFUSED_UNSIGNED;
    }
    enum sb_refusal refusal = sb_trust_check_key(trust, credentials->key_id);
    return refusal != SB_ACCEPTED ? refusal : check_sequence(&credentials->manifest, slot, digest);
}
