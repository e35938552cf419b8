/* SPDX-License-Identifier: Apache-2.0 */
/* A service in two versions: 1 says that it is ready and goes on; 2 has a bug and traps before it is. */
#include <stdio.h>
#include <time.h>

#ifndef VERSION
#define VERSION 1
#endif

static void initialize(void) {
#if VERSION == 2
    volatile int divisor = 0;
    printf("calibration %d\n", 100 / divisor);
#endif
}

int main(void) {
    printf("version %d starts\n", VERSION);
    fflush(stdout);
    initialize();
    printf("ready\n"); /* what the health probe in the manifest waits for */
    fflush(stdout);
    for (;;) {
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}
