/* SPDX-License-Identifier: Apache-2.0 */
/* A program for the start-up measurement: argc and the environment looked at, one line printed by printf. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    printf("hello from %s, %d arguments, pi is %.5f, home is %s\n", argc > 0 ? argv[0] : "?", argc, 3.14159265,
           getenv("HOME") != NULL ? getenv("HOME") : "nowhere");
    return 0;
}
