/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says which version it is, what it was started with, and does a little work that can be checked. Built twice, with
 * -DVERSION=1 and -DVERSION=2, to show an update: plain C and wasi-libc, nothing of wasel in it.
 */
#include <stdio.h>
#include <stdlib.h>

#ifndef VERSION
#define VERSION 1
#endif

/* How many primes there are below `limit`, by trial division. */
static unsigned primes_below(unsigned limit) {
    unsigned found = 0;
    for (unsigned n = 2; n < limit; n++) {
        unsigned divisor = 2;
        while (divisor * divisor <= n && n % divisor != 0) {
            divisor++;
        }
        found += divisor * divisor > n;
    }
    return found;
}

int main(int argc, char **argv) {
    const char *who = getenv("WHO");
    printf("hello, %s: this is version %d\n", who != NULL ? who : "world", VERSION);
    for (int i = 1; i < argc; i++) {
        printf("argument %d: %s\n", i, argv[i]);
    }
#if VERSION >= 2
    printf("new in version 2: the square root of 2 is about %.6f\n", __builtin_sqrt(2.0));
#endif
    const unsigned limit = 1000u * VERSION;
    printf("there are %u primes below %u\n", primes_below(limit), limit);
    return 0;
}
