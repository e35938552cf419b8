/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of the custom section `wasel.native.<target>` behind its name (docs/native.md): this header, function_count
 * entries, code_size bytes of code; little endian. For the engine, and for whoever puts the code where it may run.
 */
#pragma once

#include <stdint.h>

enum {
    EE_NATIVE_MAGIC = 0x54414e57, /* "WNAT" */
    EE_NATIVE_VERSION = 1,
    EE_NATIVE_X86_64 = 1,
    EE_NATIVE_AARCH64 = 2,
    EE_NATIVE_FUEL = 1,  /* flag: counts fuel */
    EE_NATIVE_NONE = -1, /* entry of a function that stays interpreted */
};

struct ee_native_header {
    uint32_t magic;
    uint16_t version, target;
    uint32_t abi, flags;     /* EE_NATIVE_ABI of the engine that it was made for; EE_NATIVE_FUEL */
    uint32_t function_count; /* of the module, imports included */
    uint32_t entry_offset, code_offset, code_size; /* bytes, from the section's contents */
    uint8_t module[32];      /* SHA-256 of the module's first 8 bytes and its sections that are not custom */
};
_Static_assert(sizeof(struct ee_native_header) == 64, "section.py packs this");

struct ee_native_entry {
    int32_t body, trampoline; /* bytes from the code's start, or EE_NATIVE_NONE */
};
