/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishes a temperature every 200 ms: writes a line to /mqtt/out/TOPIC. There is no sensor under QEMU, so the value is
 * a triangle wave between 20.0 and 24.9 degrees; a real one would stand in `temperature`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double temperature(unsigned step) {
    unsigned phase = step % 98;
    return 20.0 + 0.1 * (phase < 50 ? phase : 98 - phase);
}

int main(int argc, char **argv) {
    const char *topic = argc > 1 ? argv[1] : "room/temperature";
    char path[128];
    snprintf(path, sizeof path, "/mqtt/out/%s", topic);
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        printf("%s: %s\n", topic, strerror(errno));
        return 1;
    }
    printf("publishing %s\n", topic);
    fflush(stdout);
    for (unsigned step = 0;; step++) {
        fprintf(out, "%.1f\n", temperature(step)); /* a line is a message */
        fflush(out);
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
}
