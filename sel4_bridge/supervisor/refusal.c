/* SPDX-License-Identifier: Apache-2.0 */
/* See refusal.h. */
#include "refusal.h"

const char *sb_refusal_text(enum sb_refusal refusal)
{
    switch (refusal) {
    case SB_ACCEPTED:
        return "";
#define SB_REFUSAL(number, name, text) \
    case SB_REFUSED_##name:            \
        return "refusal " #number ": " text;
#include "refusals.def"
#undef SB_REFUSAL
    }
    return "refusal: unknown";
}
