/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native code on its way from a module to where its slot's engine executes it (region code<slot>: supervisor rw, engine
 * rx, nobody else).
 *
 * Contract: called while the engine is stopped, for a module that was admitted: on a release image a signature vouches
 * for the code, which lies before it in the file. Checked here: bounds, machine, format, and that it was made for this
 * module; what the instructions do is the kernel's to contain. Whatever is wrong is said in code_refusal, the engine
 * interprets, and no former module's code is left behind. A module that starts again finds its code in place.
 */
#include <ee_native_format.h>
#include <string.h>

#include "supervisor.h"

#define SECTION "wasel.native." SB_CODE_MACHINE

/* NULL: the section is right, and *code is its code. */
static const char *check(const uint8_t *module, uint32_t module_size, struct sb_slice section, struct sb_slice *code)
{
    struct ee_native_header header;
    uint8_t digest[SB_SHA256_SIZE];
    if (section.size < sizeof header) {
        return "its native code is malformed";
    }
    memcpy(&header, module + section.offset, sizeof header);
    uint64_t entries_end = header.entry_offset + (uint64_t)header.function_count * sizeof(struct ee_native_entry);
    if (header.magic != EE_NATIVE_MAGIC || header.entry_offset < sizeof header || entries_end > section.size ||
        header.code_size == 0 || (uint64_t)header.code_offset + header.code_size > section.size) {
        return "its native code is malformed";
    }
    if (header.version != EE_NATIVE_VERSION || header.target != EE_NATIVE_AARCH64) {
        return "its native code was made for another engine or machine";
    }
    if (header.code_size > SB_CODE_SIZE) {
        return "its native code does not fit";
    }
    if (!sb_module_core_digest(module, module_size, digest) ||
        memcmp(digest, header.module, sizeof header.module) != 0) {
        return "its native code was made for another module";
    }
    *code = (struct sb_slice){section.offset + header.code_offset, header.code_size};
    return NULL;
}

void sb_code_place(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    const struct sb_image *image = &slot->active;
    const uint8_t *module = slot->module + image->offset;
    struct sb_slice section;
    struct sb_slice code = {0, 0};
    if (slot->code_known && memcmp(slot->code_digest, image->digest, sizeof image->digest) == 0) {
        return;
    }
    slot->code_refusal = NULL;
    if (sb_module_custom(module, image->size, SECTION, &section)) {
        slot->code_refusal = s->platform.code_publish == NULL ? "this device runs no native code"
                                                              : check(module, image->size, section, &code);
    }
    uint32_t touched = code.size > slot->code_size ? code.size : slot->code_size;
    if (touched > 0 && s->platform.code_publish != NULL) {
        memcpy(slot->code, module + code.offset, code.size);
        memset(slot->code + code.size, 0, touched - code.size);
        s->platform.code_publish(slot->code, touched);
    }
    slot->code_size = code.size;
    slot->code_known = true;
    memcpy(slot->code_digest, image->digest, sizeof image->digest);
}
