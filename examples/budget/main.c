/* SPDX-License-Identifier: Apache-2.0 */
/* Takes all the CPU time that it can get, and says so once. */
#include <stdio.h>

int main(void) {
    printf("busy\n");
    fflush(stdout);
    for (volatile unsigned n = 0;; n++) {
    }
}
