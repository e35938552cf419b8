/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a module may import: the WASI calls of the table, under the module names of the table, with exactly their types.
 *
 * Contract: sb_imports_resolve is an ee_resolver whose context is a struct sb_imports. What it refuses it names in
 * `refusal`, with the type expected and the type found where the name is known.
 */
#pragma once

#include <edge_engine.h>

#include "marshal.h"

struct sb_wasi_row {
    const char *name;
    const char *signature; /* "iiI:i" */
    bool unstable;         /* links from wasi_unstable too */
    ee_host_fn stub;       /* context: struct sb_bridge */
};

extern const struct sb_wasi_row sb_wasi_rows[]; /* generated, SB_WASI_CALLS of them */

struct sb_imports {
    struct sb_bridge *bridge;
    char refusal[192]; /* NUL-terminated, empty: nothing was refused */
};

bool sb_imports_resolve(void *context, const struct ee_import_request *request, struct ee_import *import);
