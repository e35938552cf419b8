/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariant, for every string of bytes: each reader of files on the device (sections, signature, manifest, root document,
 * compressed uploads) reads nothing outside it, writes nothing outside its result, ends, and accepts no unsigned file on
 * a release image; what it names lies in the file.
 *
 * The first byte says what the rest is taken for.
 *
 * libFuzzer's entry for sel4_bridge/supervisor; build and use: python -m tests.fuzz.
 */
#include <stdlib.h>
#include <string.h>

#include "admit.h"
#include "encoding.h"

enum { MODULE, MANIFEST, SIGNATURE, ROOT, ROOT_FILE, DEFLATE, DELTA, KINDS };
enum { OUT = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct sb_slice slice, size_t size)
{
    if (slice.offset > size || slice.size > size - slice.offset)
        abort();
}

static void manifest_at(const uint8_t *file, struct sb_slice where, size_t size)
{
    struct sb_manifest manifest;
    if (sb_manifest_read(file, where, &manifest) == SB_ACCEPTED) {
        inside(manifest.health_line, size);
        inside(manifest.env, size);
        inside(manifest.policy, size);
        if (memchr(manifest.name, 0, sizeof manifest.name) == NULL)
            abort();
    }
}

static void module(const uint8_t *file, uint32_t size)
{
    static const struct sb_admission slot = {
        .slot_class = "general", .arena_size = 8u << 20, .budget_us = 500, .period_us = 1000};
    static const struct sb_trust nobody = {.device_class = "qemu-virt"};
    struct sb_module_parts parts;
    struct sb_credentials credentials;
    struct sb_slice custom;
    uint8_t digest[SB_SHA256_SIZE];
    if (sb_module_parts(file, size, &parts) == SB_ACCEPTED) {
        if (parts.has_manifest) {
            inside(parts.manifest, size);
            manifest_at(file, parts.manifest, size);
        }
        if (parts.has_signature)
            inside(parts.signature, size);
        if (parts.payload_size > size)
            abort();
    }
    if (sb_module_custom(file, size, "wasel.native.aarch64", &custom))
        inside(custom, size);
    (void)sb_module_core_digest(file, size, digest);
    if (sb_admit(&nobody, &slot, file, size, digest, &credentials) == SB_ACCEPTED)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sb_trust trust;
    static uint8_t out[OUT];
    struct sb_signature signature;
    if (size < 4)
        return 0;
    unsigned kind = data[0] % KINDS;
    uint32_t wanted = (uint32_t)data[1] | (uint32_t)data[2] << 8;
    uint32_t base = data[3];
    size -= 4;
    uint8_t *file = malloc(size != 0 ? size : 1); /* of exactly that size, for the sanitizer */
    if (file == NULL)
        abort();
    memcpy(file, data + 4, size);
    base = base < size ? base : (uint32_t)size;
    const struct sb_anchors anchors = {file, size, false, "qemu-virt"};
    switch (kind) {
    case MODULE:
        module(file, (uint32_t)size);
        break;
    case MANIFEST:
        manifest_at(file, (struct sb_slice){0, (uint32_t)size}, size);
        break;
    case SIGNATURE:
        (void)sb_signature_read(file, (uint32_t)size, &signature);
        break;
    case ROOT:
        if (sb_trust_load(&trust, &anchors) != SB_ACCEPTED && (trust.key_count != 0 || trust.development))
            abort();
        if (trust.root_count > SB_MAX_ROOT_KEYS || trust.key_count > SB_MAX_SIGNING_KEYS)
            abort();
        break;
    case ROOT_FILE:
        memset(&trust, 0, sizeof trust);
        if (sb_trust_update(&trust, file, size) == SB_ACCEPTED)
            abort(); /* nobody is trusted, so nobody can be replaced */
        break;
    case DEFLATE:
        (void)sb_decode(SB_ENCODING_DEFLATE, file, size, NULL, 0, out, wanted);
        break;
    default:
        (void)sb_decode(SB_ENCODING_DELTA, file + base, size - base, file, base, out, wanted);
        break;
    }
    free(file);
    return 0;
}
