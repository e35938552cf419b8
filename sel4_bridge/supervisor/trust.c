/* SPDX-License-Identifier: Apache-2.0 */
/* See trust.h. */
#include "trust.h"

#include <string.h>

#include "strict_map.h"

#define ROOT_FORMAT 1u

/* COSE_Sign: tag 98, [protected {3: type}, {}, payload, signers]; a signer is [protected {1: -8, 4: id}, {}, signature]. */
#define TYPE "application/vnd.wasel.root+cbor"
static const uint8_t body_protected[] = "\xa1\x03\x78\x1f" TYPE;
#define BODY_PROTECTED_SIZE (sizeof body_protected - 1)
static const uint8_t signer_head[] = {0xa2, 0x01, 0x27, 0x04, 0x58, SB_KEY_ID_SIZE};
#define SIGNER_PROTECTED_SIZE (sizeof signer_head + SB_KEY_ID_SIZE)
_Static_assert(sizeof TYPE - 1 == 0x1f, "the text's length is in its head");

/* RFC 9679: SHA-256 of {1: 1, -1: 6, -2: key}. */
static void set_key(struct sb_public_key *out, const uint8_t key[SB_ED25519_KEY_SIZE])
{
    static const uint8_t head[] = {0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, SB_ED25519_KEY_SIZE};
    struct sb_sha256 hash;
    memcpy(out->key, key, SB_ED25519_KEY_SIZE);
    sb_sha256_init(&hash);
    sb_sha256_update(&hash, head, sizeof head);
    sb_sha256_update(&hash, key, SB_ED25519_KEY_SIZE);
    sb_sha256_final(&hash, out->id);
}

static bool read_roots(struct sb_cbor_array roots, struct sb_trust *out)
{
    if (roots.count > SB_MAX_ROOT_KEYS) {
        return false;
    }
    for (uint64_t i = 0; i < roots.count; i++) {
        struct sb_cbor_string key;
        if (!sb_strict_read_string(&roots.items, SB_CBOR_MAJOR_BYTES, &key) || key.size != SB_ED25519_KEY_SIZE) {
            return false;
        }
        set_key(&out->roots[i], key.data);
        for (uint64_t j = 0; j < i; j++) { /* a key twice would count twice */
            if (memcmp(out->roots[j].key, key.data, SB_ED25519_KEY_SIZE) == 0) {
                return false;
            }
        }
    }
    out->root_count = (uint32_t)roots.count;
    return true;
}

static bool read_classes(struct sb_cbor_array classes, const char *device_class, bool *ours)
{
    *ours = classes.count == 0;
    for (uint64_t i = 0; i < classes.count; i++) {
        struct sb_cbor_string name;
        if (!sb_strict_read_string(&classes.items, SB_CBOR_MAJOR_TEXT, &name)) {
            return false;
        }
        *ours |= name.size == strlen(device_class) && memcmp(name.data, device_class, name.size) == 0;
    }
    return true;
}

static bool read_keys(struct sb_cbor_array keys, struct sb_trust *out)
{
    if (keys.count > SB_MAX_SIGNING_KEYS) {
        return false;
    }
    for (uint64_t i = 0; i < keys.count; i++) {
        struct sb_signing_key *to = &out->keys[i];
        struct sb_cbor_string key = {0};
        struct sb_cbor_array classes = {0};
        struct sb_strict_field fields[] = {
            {"key", SB_STRICT_BYTES, &key, false},
            {"classes", SB_STRICT_ARRAY, &classes, false},
            {"revoked", SB_STRICT_BOOL, &to->revoked, false},
            {"finish", SB_STRICT_BOOL, &to->finish, false},
        };
        if (sb_strict_read_map(&keys.items, fields, 4) != SB_STRICT_OK || !fields[0].found || !fields[1].found ||
            !fields[2].found || fields[3].found != (to->revoked && to->finish) || key.size != SB_ED25519_KEY_SIZE ||
            !read_classes(classes, out->device_class, &to->for_this_class)) {
            return false;
        }
        set_key(&to->public, key.data);
        out->key_count = (uint32_t)i; /* those before this one */
        if (sb_trust_find(out, to->public.id) != NULL) {
            return false;
        }
    }
    out->key_count = (uint32_t)keys.count;
    return true;
}

/* The document's map into a zeroed `out` that knows its device class. */
static bool read_root(struct sb_cbor_reader map, struct sb_trust *out)
{
    uint64_t format = 0;
    uint64_t version = 0;
    uint64_t threshold = 0;
    struct sb_cbor_array roots = {0};
    struct sb_cbor_array keys = {0};
    struct sb_strict_field fields[] = {
        {"v", SB_STRICT_UINT, &format, false},       {"keys", SB_STRICT_ARRAY, &keys, false},
        {"roots", SB_STRICT_ARRAY, &roots, false},   {"version", SB_STRICT_UINT, &version, false},
        {"threshold", SB_STRICT_UINT, &threshold, false},
    };
    if (sb_strict_read_map(&map, fields, 5) != SB_STRICT_OK || map.p != map.end) {
        return false;
    }
    for (size_t i = 0; i < 5; i++) {
        if (!fields[i].found) {
            return false;
        }
    }
    if (format != ROOT_FORMAT || version == 0 || version > SB_MAX_ROOT_VERSION || !read_roots(roots, out) ||
        !read_keys(keys, out) || threshold == 0 || threshold > out->root_count) {
        return false;
    }
    out->version = (uint32_t)version;
    out->threshold = (uint32_t)threshold;
    return true;
}

enum sb_refusal sb_trust_load(struct sb_trust *trust, const struct sb_anchors *anchors)
{
    *trust = (struct sb_trust){.development = anchors->development, .device_class = anchors->device_class != NULL ? anchors->device_class : ""};
    if (anchors->root == NULL) {
        return SB_ACCEPTED;
    }
    struct sb_cbor_reader map = {anchors->root, anchors->root + anchors->root_size};
    if (!read_root(map, trust)) {
        *trust = (struct sb_trust){.device_class = trust->device_class};
        return SB_REFUSED_ROOT_SHAPE;
    }
    return SB_ACCEPTED;
}

/* One signer of a document. */
struct signer {
    const uint8_t *id;        /* SB_KEY_ID_SIZE bytes */
    const uint8_t *protected; /* SIGNER_PROTECTED_SIZE bytes */
    const uint8_t *signature; /* SB_ED25519_SIGNATURE_SIZE bytes */
};

struct document {
    struct sb_cbor_string payload;
    uint32_t signer_count;
    struct signer signers[SB_MAX_ROOT_KEYS * 2]; /* all old and all new ones */
};

static bool read_exactly(struct sb_cbor_reader *r, const uint8_t *bytes, size_t size)
{
    if ((size_t)(r->end - r->p) < size || memcmp(r->p, bytes, size) != 0) {
        return false;
    }
    r->p += size;
    return true;
}

static bool read_signer(struct sb_cbor_reader *r, struct signer *out)
{
    static const uint8_t begin[] = {0x83}; /* array of 3 */
    static const uint8_t empty[] = {0xa0};
    struct sb_cbor_string protected;
    struct sb_cbor_string signature;
    if (!read_exactly(r, begin, 1) || !sb_strict_read_string(r, SB_CBOR_MAJOR_BYTES, &protected) ||
        !read_exactly(r, empty, 1) || !sb_strict_read_string(r, SB_CBOR_MAJOR_BYTES, &signature) ||
        protected.size != SIGNER_PROTECTED_SIZE || memcmp(protected.data, signer_head, sizeof signer_head) != 0 ||
        signature.size != SB_ED25519_SIGNATURE_SIZE) {
        return false;
    }
    *out = (struct signer){protected.data + sizeof signer_head, protected.data, signature.data};
    return true;
}

static bool read_document(struct sb_cbor_reader r, struct document *out)
{
    static const uint8_t begin[] = {0xd8, 0x62, 0x84}; /* tag 98, array of 4 */
    static const uint8_t empty[] = {0xa0};
    struct sb_cbor_string protected;
    enum sb_cbor_major major;
    uint64_t count;
    if (!read_exactly(&r, begin, sizeof begin) || !sb_strict_read_string(&r, SB_CBOR_MAJOR_BYTES, &protected) ||
        protected.size != BODY_PROTECTED_SIZE || memcmp(protected.data, body_protected, BODY_PROTECTED_SIZE) != 0 ||
        !read_exactly(&r, empty, 1) || !sb_strict_read_string(&r, SB_CBOR_MAJOR_BYTES, &out->payload) ||
        !sb_strict_read_head(&r, &major, &count) || major != SB_CBOR_MAJOR_ARRAY ||
        count > sizeof out->signers / sizeof out->signers[0]) {
        return false;
    }
    out->signer_count = (uint32_t)count;
    for (uint32_t i = 0; i < out->signer_count; i++) {
        if (!read_signer(&r, &out->signers[i])) {
            return false;
        }
    }
    return r.p == r.end;
}

/* Sig_structure ["Signature", body protected, signer protected, h'', payload], RFC 9052 section 4.4. */
static bool signed_by(const struct document *document, const struct signer *signer, const struct sb_public_key *key)
{
    static const uint8_t begin[] = "\x85\x69Signature\x58";
    struct sb_ed25519 state;
    uint8_t head[9];
    struct sb_cbor_writer w = {.p = head, .end = head + sizeof head, .overflow = false};
    const uint8_t body_size = (uint8_t)BODY_PROTECTED_SIZE;
    const uint8_t between[] = {0x58, (uint8_t)SIGNER_PROTECTED_SIZE};
    const uint8_t external = 0x40; /* an empty byte string */
    _Static_assert(BODY_PROTECTED_SIZE >= 24 && BODY_PROTECTED_SIZE < 256, "head of two bytes");
    _Static_assert(SIGNER_PROTECTED_SIZE >= 24 && SIGNER_PROTECTED_SIZE < 256, "head of two bytes");
    if (!sb_ed25519_begin(&state, key->key, signer->signature)) {
        return false;
    }
    sb_cbor_write_head(&w, SB_CBOR_MAJOR_BYTES, document->payload.size);
    sb_ed25519_update(&state, begin, sizeof begin - 1);
    sb_ed25519_update(&state, &body_size, 1);
    sb_ed25519_update(&state, body_protected, BODY_PROTECTED_SIZE);
    sb_ed25519_update(&state, between, sizeof between);
    sb_ed25519_update(&state, signer->protected, SIGNER_PROTECTED_SIZE);
    sb_ed25519_update(&state, &external, 1);
    sb_ed25519_update(&state, head, (size_t)(w.p - head));
    sb_ed25519_update(&state, document->payload.data, document->payload.size);
    return sb_ed25519_finish(&state);
}

/* How many of these keys signed. Each key counts once, however many signatures it has. */
static uint32_t count_signers(const struct document *document, const struct sb_trust *of)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < of->root_count; k++) {
        for (uint32_t i = 0; i < document->signer_count; i++) {
            if (memcmp(document->signers[i].id, of->roots[k].id, SB_KEY_ID_SIZE) == 0 &&
                signed_by(document, &document->signers[i], &of->roots[k])) {
                count++;
                break;
            }
        }
    }
    return count;
}

enum sb_refusal sb_trust_update(struct sb_trust *trust, const uint8_t *data, size_t size)
{
    struct document document = {0};
    struct sb_trust next = {.development = trust->development, .device_class = trust->device_class};
    if (size > SB_MAX_ROOT_BYTES || !read_document((struct sb_cbor_reader){data, data + size}, &document)) {
        return SB_REFUSED_ROOT_SHAPE;
    }
    if (trust->threshold == 0 || count_signers(&document, trust) < trust->threshold) {
        return SB_REFUSED_ROOT_SIGNATURES;
    }
    if (!read_root((struct sb_cbor_reader){document.payload.data, document.payload.data + document.payload.size}, &next)) {
        return SB_REFUSED_ROOT_SHAPE;
    }
    if (count_signers(&document, &next) < next.threshold) {
        return SB_REFUSED_ROOT_OWN_SIGNATURES;
    }
    if (next.version <= trust->version) {
        return SB_REFUSED_ROOT_OLDER;
    }
    *trust = next;
    return SB_ACCEPTED;
}

const struct sb_signing_key *sb_trust_find(const struct sb_trust *trust, const uint8_t id[SB_KEY_ID_SIZE])
{
    for (uint32_t i = 0; i < trust->key_count; i++) {
        if (memcmp(trust->keys[i].public.id, id, SB_KEY_ID_SIZE) == 0) {
            return &trust->keys[i];
        }
    }
    return NULL;
}

enum sb_refusal sb_trust_check_key(const struct sb_trust *trust, const uint8_t id[SB_KEY_ID_SIZE])
{
    const struct sb_signing_key *key = sb_trust_find(trust, id);
    if (key == NULL) {
        return SB_REFUSED_UNKNOWN_KEY;
    }
    if (key->revoked) {
        return SB_REFUSED_REVOKED_KEY;
    }
    return key->for_this_class ? SB_ACCEPTED : SB_REFUSED_KEY_CLASS;
}
