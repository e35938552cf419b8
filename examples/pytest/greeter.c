/* SPDX-License-Identifier: Apache-2.0 */
/* A module under test: greets its argument, again every second if told how often, and stops at an empty name. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void greet(const char *name)
{
    if (name[0] == 0) {
        __builtin_trap();
    }
    printf("hello, %s\n", name);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "whom?\n");
        return 2;
    }
    long times = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
    for (long i = 0; i < times; i++) {
        if (i > 0) {
            nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        }
        greet(argv[1]);
    }
    return 0;
}
