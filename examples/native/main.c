/* SPDX-License-Identifier: Apache-2.0 */
/* Counts primes with a sieve, and how long that takes by the device's own clock. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LIMIT = 200000, ROUNDS = 5 };

static uint8_t composite[LIMIT];

static unsigned sieve(void) {
    unsigned found = 0;
    memset(composite, 0, sizeof composite);
    for (unsigned n = 2; n < LIMIT; n++) {
        if (!composite[n]) {
            found++;
            for (uint64_t m = (uint64_t)n * n; m < LIMIT; m += n) {
                composite[m] = 1;
            }
        }
    }
    return found;
}

int main(void) {
    struct timespec from, to;
    unsigned found = 0;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int round = 0; round < ROUNDS; round++) {
        found = sieve();
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ms = 1e3 * (double)(to.tv_sec - from.tv_sec) + 1e-6 * (double)(to.tv_nsec - from.tv_nsec);
    printf("%u primes below %d, %d times: %.1f ms\n", found, LIMIT, ROUNDS, ms);
    return 0;
}
