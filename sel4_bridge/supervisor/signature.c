/* SPDX-License-Identifier: Apache-2.0 */
/* See signature.h. */
#include "signature.h"

#include <string.h>

#include "strict_map.h"

#define TYPE "application/wasm"
_Static_assert(sizeof TYPE - 1 == 0x10, "the text's length is in its head");

/* The protected header up to the key id: {1: -8, 3: TYPE, 4: h'...'} */
static const uint8_t protected_head[] = "\xa3\x01\x27\x03\x70" TYPE "\x04\x58\x20";
#define PROTECTED_HEAD_SIZE (sizeof protected_head - 1)
#define PROTECTED_SIZE (PROTECTED_HEAD_SIZE + SB_KEY_ID_SIZE)
_Static_assert(PROTECTED_SIZE >= 24 && PROTECTED_SIZE < 256, "head of two bytes");

static const uint8_t envelope_head[] = {0xd2, 0x84, 0x58, PROTECTED_SIZE};
static const uint8_t envelope_middle[] = {0xa0, 0xf6, 0x58, SB_ED25519_SIGNATURE_SIZE};
#define PROTECTED_AT (sizeof envelope_head)
#define MIDDLE_AT (PROTECTED_AT + PROTECTED_SIZE)
#define SIGNATURE_AT (MIDDLE_AT + sizeof envelope_middle)
#define ENVELOPE_SIZE (SIGNATURE_AT + SB_ED25519_SIGNATURE_SIZE)

/* Whether this is some COSE_Sign1 that names another algorithm than EdDSA, or none: worth an error of its own. */
static bool has_other_algorithm(const uint8_t *data, uint32_t size)
{
    struct sb_cbor_reader r = {data, data + size};
    struct sb_cbor_string protected;
    enum sb_cbor_major major;
    uint64_t value;
    if (!sb_strict_read_head(&r, &major, &value) || major != SB_CBOR_MAJOR_TAG || value != 18 ||
        !sb_strict_read_head(&r, &major, &value) || major != SB_CBOR_MAJOR_ARRAY || value != 4 ||
        !sb_strict_read_string(&r, SB_CBOR_MAJOR_BYTES, &protected)) {
        return false;
    }
    struct sb_cbor_reader header = {protected.data, protected.data + protected.size};
    if (protected.size == 0) {
        return true;
    }
    if (!sb_strict_read_head(&header, &major, &value) || major != SB_CBOR_MAJOR_MAP) {
        return false;
    }
    if (value == 0) {
        return true;
    }
    /* Label 1 is the least key of a deterministic map: if it is not the first, it is not there. */
    if (!sb_strict_read_head(&header, &major, &value)) {
        return false;
    }
    if (major != SB_CBOR_MAJOR_UINT || value != 1) {
        return true;
    }
    return !(sb_strict_read_head(&header, &major, &value) && major == SB_CBOR_MAJOR_NEGATIVE && value == 7); /* -8 */
}

enum sb_refusal sb_signature_read(const uint8_t *data, uint32_t size, struct sb_signature *out)
{
    if (has_other_algorithm(data, size)) {
        return SB_REFUSED_ALGORITHM;
    }
    if (size != ENVELOPE_SIZE || memcmp(data, envelope_head, sizeof envelope_head) != 0 ||
        memcmp(data + PROTECTED_AT, protected_head, PROTECTED_HEAD_SIZE) != 0 ||
        memcmp(data + MIDDLE_AT, envelope_middle, sizeof envelope_middle) != 0) {
        return SB_REFUSED_SIGNATURE_SHAPE;
    }
    memcpy(out->key_id, data + PROTECTED_AT + PROTECTED_HEAD_SIZE, SB_KEY_ID_SIZE);
    memcpy(out->bytes, data + SIGNATURE_AT, SB_ED25519_SIGNATURE_SIZE);
    return SB_ACCEPTED;
}

/* Sig_structure ["Signature1", protected, h'', payload], RFC 9052 section 4.4. */
enum sb_refusal sb_signature_verify(const struct sb_signature *signature, const struct sb_trust *trust,
                                    const uint8_t *payload, uint32_t payload_size)
{
    static const uint8_t begin[] = "\x84\x6aSignature1\x58";
    static const uint8_t protected_size = PROTECTED_SIZE;
    struct sb_ed25519 state;
    uint8_t tail[10] = {0x40}; /* no external data, then the payload's head */
    struct sb_cbor_writer w = {.p = tail + 1, .end = tail + sizeof tail, .overflow = false};
    enum sb_refusal refusal = sb_trust_check_key(trust, signature->key_id);
    if (refusal != SB_ACCEPTED) {
        return refusal;
    }
    const struct sb_signing_key *key = sb_trust_find(trust, signature->key_id);
    if (!sb_ed25519_begin(&state, key->public.key, signature->bytes)) {
        return SB_REFUSED_BAD_SIGNATURE;
    }
    sb_cbor_write_head(&w, SB_CBOR_MAJOR_BYTES, payload_size);
    sb_ed25519_update(&state, begin, sizeof begin - 1);
    sb_ed25519_update(&state, &protected_size, 1);
    sb_ed25519_update(&state, protected_head, PROTECTED_HEAD_SIZE);
    sb_ed25519_update(&state, signature->key_id, SB_KEY_ID_SIZE);
    sb_ed25519_update(&state, tail, (size_t)(w.p - tail));
    sb_ed25519_update(&state, payload, payload_size);
    return sb_ed25519_finish(&state) ? SB_ACCEPTED : SB_REFUSED_BAD_SIGNATURE;
}
