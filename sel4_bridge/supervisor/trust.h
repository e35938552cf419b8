/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom the device trusts: the root document, and the decision to replace it by a newer one.
 *
 * Contract: sb_trust_load takes the document that the image was built with, whose signatures the builder checked; any
 * other one comes through sb_trust_update, which changes nothing unless a threshold of the trusted root keys and a
 * threshold of the new document's root keys signed it and its version is higher. Format: docs/signing.md.
 *
 * Does NOT: keep a document beyond a power cycle.
 * Source: RFC 9052 section 4.1 (COSE_Sign), RFC 9679 (key ids), TUF specification section 5.3.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ed25519.h"
#include "refusal.h"
#include "sb_trust_limits.h"
#include "sha256.h"

#define SB_KEY_ID_SIZE SB_SHA256_SIZE

struct sb_public_key {
    uint8_t id[SB_KEY_ID_SIZE];
    uint8_t key[SB_ED25519_KEY_SIZE];
};

struct sb_signing_key {
    struct sb_public_key public;
    bool revoked;
    bool for_this_class; /* may sign for this device */
    bool finish;         /* a module of this key that runs when it is revoked runs to its end */
};

/* What an image is built with. */
struct sb_anchors {
    const uint8_t *root; /* the root document's map, without signatures; NULL: nobody is trusted */
    size_t root_size;    /* bytes */
    bool development;    /* unsigned modules run, too */
    const char *device_class;
};

struct sb_trust {
    bool development;
    const char *device_class;
    uint32_t version; /* of the root document, 0: none */
    uint32_t threshold;
    uint32_t root_count;
    uint32_t key_count;
    struct sb_public_key roots[SB_MAX_ROOT_KEYS];
    struct sb_signing_key keys[SB_MAX_SIGNING_KEYS];
};

/* Begin with an image's anchors. A document that can't be read leaves nobody trusted, and no development image. */
enum sb_refusal sb_trust_load(struct sb_trust *trust, const struct sb_anchors *anchors);

/* Replace the document by a COSE_Sign, if that is allowed. */
enum sb_refusal sb_trust_update(struct sb_trust *trust, const uint8_t *data, size_t size);

/* The signing key with that id, NULL if there is none. */
const struct sb_signing_key *sb_trust_find(const struct sb_trust *trust, const uint8_t id[SB_KEY_ID_SIZE]);

/* Whether modules by the key with that id may run here. */
enum sb_refusal sb_trust_check_key(const struct sb_trust *trust, const uint8_t id[SB_KEY_ID_SIZE]);
