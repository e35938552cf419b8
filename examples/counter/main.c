/* SPDX-License-Identifier: Apache-2.0 */
/* Counts its own starts in /data/starts. The new number replaces the old one by a rename: there is no moment without one. */
#include <stdio.h>
#include <stdlib.h>

static unsigned read_count(void) {
    unsigned count = 0;
    FILE *file = fopen("/data/starts", "r");
    if (file != NULL) {
        char text[16];
        if (fgets(text, sizeof text, file) != NULL) {
            count = (unsigned)strtoul(text, NULL, 10);
        }
        fclose(file);
    }
    return count;
}

int main(void) {
    unsigned count = read_count() + 1;
    FILE *file = fopen("/data/starts.new", "w");
    if (file == NULL) {
        perror("/data/starts.new");
        return 1;
    }
    /* fclose writes it through to flash */
    if (fprintf(file, "%u\n", count) < 0 || fclose(file) != 0 || rename("/data/starts.new", "/data/starts") != 0) {
        perror("/data/starts");
        return 1;
    }
    printf("start %u\n", count);
    return 0;
}
