/* SPDX-License-Identifier: Apache-2.0 */
/* A guest with a feature per first argument: what a C program sees of the bridge. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        abort();
    }
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int all(const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(1, bytes, size);
        if (done <= 0) {
            return 1;
        }
        bytes += done;
        size -= (size_t)done;
    }
    return 0;
}

static unsigned char large[200000];

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "hello") == 0) {
        puts("hello");
        fputs("to stderr\n", stderr);
    } else if (strcmp(what, "args") == 0) {
        for (int i = 0; i < argc; i++) {
            printf("%s|", argv[i]);
        }
        putchar('\n');
        for (char **entry = environ; *entry != NULL; entry++) {
            puts(*entry);
        }
    } else if (strcmp(what, "cat") == 0) {
        ssize_t got;
        while ((got = read(0, large, sizeof large)) > 0) {
            if (all(large, (size_t)got) != 0) {
                return 1;
            }
        }
    } else if (strcmp(what, "large") == 0) {
        for (size_t i = 0; i < sizeof large; i++) {
            large[i] = (unsigned char)(i % 251);
        }
        return all(large, sizeof large);
    } else if (strcmp(what, "exit") == 0) {
        exit(atoi(argv[2]));
    } else if (strcmp(what, "sleep") == 0) {
        uint64_t before = now_ns(CLOCK_MONOTONIC);
        usleep((useconds_t)atoi(argv[2]) * 1000u);
        printf("%llu\n", (unsigned long long)(now_ns(CLOCK_MONOTONIC) - before));
    } else if (strcmp(what, "count") == 0) {
        for (int i = 0; i < atoi(argv[2]); i++) {
            printf("line %d\n", i);
            usleep(2000);
        }
    } else if (strcmp(what, "clocks") == 0) {
        struct timespec resolution;
        puts(now_ns(CLOCK_REALTIME) / 1000000000u > 1577836800u ? "realtime past 2020" : "realtime wrong");
        uint64_t before = now_ns(CLOCK_MONOTONIC);
        puts(now_ns(CLOCK_MONOTONIC) >= before ? "monotonic goes on" : "monotonic goes back");
        puts(clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && resolution.tv_nsec > 0 ? "resolution given" : "none");
    } else if (strcmp(what, "random") == 0) {
        for (size_t at = 0; at < sizeof large; at += 200) { /* getentropy gives at most 256 bytes at a time */
            if (getentropy(large + at, 200) != 0) {
                return 1;
            }
        }
        return all(large, sizeof large);
    } else {
        return 2;
    }
    return 0;
}
