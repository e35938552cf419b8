/* SPDX-License-Identifier: Apache-2.0 */
/* Decodes a message whose length field lies, and so reads past its memory: argument 1 is the length. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct message {
    uint32_t length; /* bytes that follow, says the sender */
    const uint8_t *body;
};

static unsigned checksum(const uint8_t *bytes, uint32_t length) {
    unsigned sum = 0;
    for (uint32_t i = 0; i < length; i++) {
        sum += bytes[i];
    }
    return sum;
}

static unsigned decode(const struct message *message) {
    return checksum(message->body, message->length); /* nobody checked the length */
}

int main(int argc, char **argv) {
    static const uint8_t body[4] = {1, 2, 3, 4};
    struct message message = {argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : sizeof body, body};
    printf("checksum %u\n", decode(&message));
    return 0;
}
