/* SPDX-License-Identifier: Apache-2.0 */
/* Takes its configuration from environment variables, checks all of it before it begins, and says what is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct configuration {
    const char *site;
    long interval_ms; /* 10 to 60,000 */
};

/* Return 0, or -1 after a line on stderr. */
static int configure(struct configuration *out) {
    out->site = getenv("SITE");
    if (out->site == NULL || out->site[0] == 0) {
        fprintf(stderr, "SITE is missing: where is this device?\n");
        return -1;
    }
    const char *text = getenv("INTERVAL_MS");
    out->interval_ms = 1000;
    if (text != NULL) {
        char *end;
        errno = 0;
        out->interval_ms = strtol(text, &end, 10);
        if (errno != 0 || *end != 0 || out->interval_ms < 10 || out->interval_ms > 60000) {
            fprintf(stderr, "INTERVAL_MS=%s: a number from 10 to 60000 is needed\n", text);
            return -1;
        }
    }
    return 0;
}

int main(void) {
    struct configuration configuration;
    if (configure(&configuration) != 0) {
        return 2;
    }
    printf("site %s, every %ld ms\n", configuration.site, configuration.interval_ms);
    return 0;
}
