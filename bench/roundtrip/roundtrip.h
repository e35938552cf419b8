/* SPDX-License-Identifier: Apache-2.0 */
/* What the measuring builds of both domains and the guest agree on. */
#pragma once

#define BARE_LABEL 0xbaeu /* no WASI call has it */
#define ROUNDS 20000u
