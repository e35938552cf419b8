/* SPDX-License-Identifier: Apache-2.0 */
/* Why an update was refused: one number and one text for each reason, from refusals.def. */
#pragma once

enum sb_refusal {
    SB_ACCEPTED = 0,
#define SB_REFUSAL(number, name, text) SB_REFUSED_##name = number,
#include "refusals.def"
#undef SB_REFUSAL
};

/* "refusal 10: the module's bytes are not those that were signed"; the empty text for SB_ACCEPTED. Static. */
const char *sb_refusal_text(enum sb_refusal refusal);
