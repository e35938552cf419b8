/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's calendar and pseudo-random numbers. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    char text[128];
    struct tm parts = {0};
    time_t now = time(NULL) + argc;
    srandom((unsigned)now);
    for (int i = 0; i < argc; i++) {
        if (strptime(argv[i], "%Y-%m-%dT%H:%M:%S", &parts) != NULL)
            now += mktime(&parts);
        gmtime_r(&now, &parts);
        strftime(text, sizeof text, "%a %A %b %c %d %G-W%V-%u %j %p %s %Z", &parts);
        puts(text);
        puts(asctime(&parts));
        now += random() % 1000000 + rand() + (time_t)(drand48() * 1000) + lrand48();
    }
    return (int)difftime(now, 0);
}
