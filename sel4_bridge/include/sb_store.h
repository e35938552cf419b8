/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor asks of the store domain: protected calls, and the record of a slot in their shared page.
 *
 * Contract: label and arguments as below; MR0 of the answer is an enum sb_store_status. Modules go through the slot's
 * module region, which both domains map: nothing is copied on the way. A slot has two files for modules, its places 0
 * and 1, and one record that says which of them counts. A file under way is not on flash until SB_STORE_COMMIT (or SB_STORE_SYNC, as far as it is then), a record
 * is on flash when SB_STORE_SAVE has answered: power may go at any time, each is there whole, old or new.
 */
#pragma once

#include <stdint.h>

#define SB_STORE_DIGEST_SIZE 32u /* SHA-256 */

#define SB_STORE_PLACES 2u
#define SB_STORE_NO_PLACE SB_STORE_PLACES
#define SB_STORE_RECORD_VERSION 2u
#define SB_STORE_REQUEST_MAX 8192u /* bytes of a start request that are kept */

enum sb_store_label {
    SB_STORE_INFO = 1,   /* -> status, flash bytes, 1 if this boot formatted it */
    SB_STORE_BEGIN = 2,  /* slot, place: a new file; one a slot, an unfinished one is forgotten */
    SB_STORE_APPEND = 3, /* slot, offset in the module region, bytes: from there to the file's end */
    SB_STORE_COMMIT = 4, /* slot: the file replaces what was in its place */
    SB_STORE_LOAD = 5,   /* slot, place, offset in the module region, bytes: all of a file that has exactly this size */
    SB_STORE_SAVE = 6,   /* slot: the record in the shared page replaces the slot's */
    SB_STORE_RECALL = 7, /* slot: the slot's record to the shared page */
    SB_STORE_SYNC = 16,  /* slot: what the file under way has until now is on flash, and stays if power goes */
    SB_STORE_RESUME = 17, /* slot, place, offset in the module region, bytes at most: read a synced file and go on with
                             it; its size to the record's upload.received in the shared page */
};
#define SB_STORE_ARGUMENTS 4u

enum sb_store_status {
    SB_STORE_OK = 0,
    SB_STORE_ABSENT = 1,   /* no flash that works */
    SB_STORE_BAD_CALL = 2, /* the caller's fault: unknown label, number out of range, nothing begun */
    SB_STORE_NONE = 3,     /* no such file or record, or not of that size */
    SB_STORE_FULL = 4,
    SB_STORE_BROKEN = 5, /* flash or file system failed */
};

/* A module in its place. */
struct sb_store_image {
    uint32_t place;    /* SB_STORE_NO_PLACE: there is none */
    uint32_t size;     /* bytes */
    uint32_t flags;    /* SB_STORE_PENDING ... */
    uint32_t failures; /* starts in a row that ended in a trap or a refusal */
    uint8_t digest[SB_STORE_DIGEST_SIZE];
};
enum { SB_STORE_PENDING = 1, SB_STORE_PERMANENT = 2, SB_STORE_CONFIRMED = 4 };

/* An upload that goes on after a loss of power. */
struct sb_store_upload_record {
    uint32_t place;
    uint32_t size;     /* bytes that come, 0: there is none */
    uint32_t received; /* answer of SB_STORE_RESUME; 0 on flash */
    uint32_t encoding; /* enum sb_encoding */
    uint32_t result_size; /* bytes of the module */
    uint8_t digest[SB_STORE_DIGEST_SIZE]; /* of the module */
    uint8_t base[SB_STORE_DIGEST_SIZE];   /* of the module that a delta begins with */
};

/* All that a slot knows across a loss of power; little endian, on flash up to the request's last byte. */
struct sb_store_record {
    uint32_t version; /* SB_STORE_RECORD_VERSION */
    uint32_t crc;     /* CRC-32 over the rest, written by the store */
    struct sb_store_image active, candidate;
    struct sb_store_upload_record upload;
    uint64_t sequence; /* highest that was confirmed, and the module that had it */
    uint8_t sequence_digest[SB_STORE_DIGEST_SIZE];
    uint8_t reverted_digest[SB_STORE_DIGEST_SIZE]; /* the module from which the slot went back last */
    uint32_t reverted;     /* why: enum sb_revert, 0: it did not */
    uint32_t autostart;    /* 1: was started and not stopped */
    uint32_t request_size; /* bytes */
    uint8_t request[SB_STORE_REQUEST_MAX]; /* the body of the last start request, docs/PROTOCOL.md */
};
#define SB_STORE_RECORD_HEAD ((uint32_t)__builtin_offsetof(struct sb_store_record, request))
