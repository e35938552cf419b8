/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: a domain whose parent may write anything into its registers; it spins. */
#include "say.h"

void init(void)
{
    for (volatile uint64_t i = 0;; i++) {
    }
}

void notified(microkit_channel ch)
{
    (void)ch;
}
