/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a module brings along in its custom section `wasel.files`: put into its directories before it starts, by
 * the same WASI calls that the module could make, so the policy holds for them too.
 *
 * The section after its name: entries of u8 type (3 directory, 4 file, 7 symbolic link), u8 descriptor of the preopened
 * directory, u16 length of the path, u32 length of the content, the path (relative), the content; little endian.
 * sel4_bridge/files.py writes it.
 */
#pragma once

#include <stddef.h>

#include "marshal.h"
#include "text.h"

/* True: all of them are there, or there were none. False: `why` says which one is not, and the errno. */
bool sb_files_install(struct sb_bridge *bridge, const uint8_t *module, size_t size, struct sb_text *why);
