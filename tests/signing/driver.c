/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's verifier on the host, for tests: commands on standard input, results on standard output.
 *
 * Contract: a command is one byte, a u32 length (little endian) and that many bytes; each is answered with a u32, the
 * refusal's number. Every input lies in a block of exactly its size, so that sanitizers see a read past its end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admit.h"

enum {
    LOAD = 'l',   /* u8 development, then the root document's map: the image's anchors */
    UPDATE = 'u', /* a root document with its signatures */
    PAST = 'p',   /* u64 sequence, 32 bytes digest: what the slot confirmed */
    ADMIT = 'a',  /* 32 bytes digest, then the module */
};

static struct sb_trust trust;
static struct sb_admission slot = {.slot_class = "general", .arena_size = 8u << 20, .budget_us = 500, .period_us = 1000};

static uint8_t *block(const uint8_t *data, size_t size)
{
    uint8_t *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) {
        exit(2);
    }
    memcpy(memory, data, size);
    return memory;
}

static enum sb_refusal run(int command, const uint8_t *data, uint32_t size)
{
    enum sb_refusal refusal = SB_ACCEPTED;
    struct sb_credentials credentials;
    uint8_t *copy = NULL;
    switch (command) {
    case LOAD: {
        copy = block(data + 1, size - 1);
        const struct sb_anchors anchors = {copy, size - 1, data[0] != 0, "qemu-virt"};
        refusal = sb_trust_load(&trust, &anchors);
        break;
    }
    case UPDATE:
        copy = block(data, size);
        refusal = sb_trust_update(&trust, copy, size);
        break;
    case PAST:
        memcpy(&slot.sequence, data, 8);
        memcpy(slot.digest, data + 8, SB_SHA256_SIZE);
        break;
    case ADMIT:
        copy = block(data + SB_SHA256_SIZE, size - SB_SHA256_SIZE);
        refusal = sb_admit(&trust, &slot, copy, size - SB_SHA256_SIZE, data, &credentials);
        if (refusal == SB_ACCEPTED && credentials.is_signed) { /* asked again, nothing has changed */
            refusal = sb_admit_again(&trust, &slot, &credentials, data);
        }
        break;
    default:
        exit(2);
    }
    free(copy);
    return refusal;
}

int main(void)
{
    int command;
    while ((command = getchar()) != EOF) {
        uint32_t size;
        if (fread(&size, sizeof size, 1, stdin) != 1) {
            return 2;
        }
        uint8_t *data = malloc(size + 1u);
        if (data == NULL || fread(data, 1, size, stdin) != size) {
            return 2;
        }
        uint32_t answer = (uint32_t)run(command, data, size);
        free(data);
        fwrite(&answer, sizeof answer, 1, stdout);
        fflush(stdout);
    }
    return 0;
}
