/* SPDX-License-Identifier: Apache-2.0 */
/* See marshal.h. Source of the layouts: WASI preview1, `iovec` and `ciovec` (pointer and length, 4 bytes each). */
#include "marshal.h"

#include <string.h>

#include "sb_layout.h"
#include "sb_wasi_calls.h"

enum { VECTOR_SIZE = 8 };

struct vector {
    uint32_t address, size;
};

static void fail(struct sb_marshal *call, uint16_t error)
{
    if (call->error == SB_E_SUCCESS) {
        call->error = error;
    }
}

static uint8_t *guest(struct sb_marshal *call, uint32_t address, uint64_t size)
{
    uint8_t *at = ee_memory_at(call->instance, address, size);
    if (at == NULL) {
        fail(call, SB_E_FAULT);
    }
    return at;
}

static void put(struct sb_marshal *call, uint64_t word)
{
    call->message.words[call->message.count++] = word; /* the generator has counted them */
}

static void out(struct sb_marshal *call, enum sb_out_kind kind, uint32_t address, uint32_t size, uint32_t bytes)
{
    call->outs[call->out_count++] = (struct sb_out_place){kind, size, address, bytes};
}

static uint32_t cut(uint64_t size)
{
    return size < SB_IO_SIZE ? (uint32_t)size : SB_IO_SIZE;
}

void sb_marshal_begin(struct sb_marshal *call, struct ee_instance *instance, void *bridge, uint32_t label)
{
    call->instance = instance;
    call->bridge = bridge;
    call->message.label = label;
    call->message.count = 0;
    call->in_size = 0;
    call->out_count = 0;
    call->all_word = 0;
    call->error = SB_E_SUCCESS;
}

void sb_put_u32(struct sb_marshal *call, uint64_t slot)
{
    put(call, (uint32_t)slot);
}

void sb_put_u64(struct sb_marshal *call, uint64_t slot)
{
    put(call, slot);
}

void sb_put_bytes(struct sb_marshal *call, uint64_t pointer, uint64_t length, uint16_t too_long)
{
    uint32_t size = (uint32_t)length;
    const uint8_t *from = guest(call, (uint32_t)pointer, size);
    if (size > SB_IO_SIZE - call->in_size) {
        fail(call, too_long);
    } else if (from != NULL) {
        memcpy(call->bridge->io + call->in_size, from, size);
        call->in_size += size;
    }
    put(call, size);
}

/* The iovecs themselves, every one of them checked; NULL after an error. */
static const uint8_t *vectors(struct sb_marshal *call, uint32_t address, uint32_t count, uint64_t *total)
{
    *total = 0;
    if (count > SB_MAX_VECTORS) {
        fail(call, SB_E_INVAL);
        return NULL;
    }
    const uint8_t *list = guest(call, address, (uint64_t)count * VECTOR_SIZE);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        struct vector vector;
        memcpy(&vector, list + (size_t)i * VECTOR_SIZE, VECTOR_SIZE);
        if (guest(call, vector.address, vector.size) == NULL) {
            return NULL;
        }
        *total += vector.size;
    }
    return list;
}

void sb_put_gather(struct sb_marshal *call, uint64_t pointer, uint64_t count)
{
    uint64_t total;
    const uint8_t *list = vectors(call, (uint32_t)pointer, (uint32_t)count, &total);
    uint32_t left = cut(total);
    put(call, left);
    for (uint32_t i = 0; list != NULL && left > 0; i++) {
        struct vector vector;
        memcpy(&vector, list + (size_t)i * VECTOR_SIZE, VECTOR_SIZE);
        uint32_t size = vector.size < left ? vector.size : left;
        const uint8_t *from = guest(call, vector.address, size);
        if (from == NULL) {
            return;
        }
        memcpy(call->bridge->io + call->in_size, from, size);
        call->in_size += size;
        left -= size;
    }
}

void sb_put_array(struct sb_marshal *call, uint64_t pointer, uint64_t count, uint32_t size)
{
    uint32_t elements = (uint32_t)count;
    if (elements > SB_IO_SIZE / size) {
        fail(call, SB_E_INVAL);
        elements = 0;
    }
    sb_put_bytes(call, pointer, (uint64_t)elements * size, SB_E_INVAL);
}

/* Source: WasmEdge's socket extension: 4 or 16 bytes, or 128 of which the first two say 1 (IPv4) or 2 (IPv6). */
enum { LONG_ADDRESS = 128, FAMILY_SIZE = 2, FAMILY_IPV4 = 1, FAMILY_IPV6 = 2 };

/* The bytes that (pointer, length) at `pointer` names; NULL after an error. */
static uint8_t *address_bytes(struct sb_marshal *call, uint32_t pointer, struct vector *vector)
{
    const uint8_t *pair = guest(call, pointer, VECTOR_SIZE);
    if (pair == NULL) {
        return NULL;
    }
    memcpy(vector, pair, VECTOR_SIZE);
    return guest(call, vector->address, vector->size);
}

void sb_put_address(struct sb_marshal *call, uint64_t pointer)
{
    struct vector vector = {0, 0};
    struct sb_address address = {0, {0}};
    const uint8_t *bytes = address_bytes(call, (uint32_t)pointer, &vector);
    uint16_t family = 0;
    if (bytes != NULL && vector.size == LONG_ADDRESS) {
        memcpy(&family, bytes, FAMILY_SIZE);
        bytes += FAMILY_SIZE;
        vector.size = family == FAMILY_IPV4 ? 4 : family == FAMILY_IPV6 ? 16 : 0;
    }
    if (vector.size != 4 && vector.size != 16) {
        fail(call, SB_E_INVAL);
    } else if (bytes != NULL) {
        address.size = vector.size;
        memcpy(address.bytes, bytes, vector.size);
    }
    put(call, address.size);
    put(call, sb_address_word(&address, 0));
    put(call, sb_address_word(&address, 1));
}

void sb_out_address(struct sb_marshal *call, uint64_t pointer)
{
    struct vector vector = {0, 0};
    if (address_bytes(call, (uint32_t)pointer, &vector) != NULL && vector.size < 4) {
        fail(call, SB_E_INVAL);
    }
    out(call, SB_OUT_ADDRESS, (uint32_t)pointer, 0, 0);
}

/* As much of the address as there is room for. */
static void give_address(struct sb_marshal *call, uint32_t pointer, const uint64_t words[3])
{
    struct vector vector = {0, 0};
    uint8_t bytes[FAMILY_SIZE + 16] = {words[0] == 16 ? FAMILY_IPV6 : FAMILY_IPV4};
    uint8_t *to = address_bytes(call, pointer, &vector);
    uint32_t size = words[0] <= 16 ? (uint32_t)words[0] : 16;
    memcpy(bytes + FAMILY_SIZE, words + 1, 16);
    if (to == NULL || size == 0) {
        return;
    }
    if (vector.size == LONG_ADDRESS) {
        memcpy(to, bytes, FAMILY_SIZE + size);
    } else {
        memcpy(to, bytes + FAMILY_SIZE, size < vector.size ? size : vector.size);
    }
}

void sb_out_u32(struct sb_marshal *call, uint64_t pointer)
{
    (void)guest(call, (uint32_t)pointer, 4);
    out(call, SB_OUT_U32, (uint32_t)pointer, 4, 0);
}

void sb_out_u64(struct sb_marshal *call, uint64_t pointer)
{
    (void)guest(call, (uint32_t)pointer, 8);
    out(call, SB_OUT_U64, (uint32_t)pointer, 8, 0);
}

void sb_out_fixed(struct sb_marshal *call, uint64_t pointer, uint32_t size)
{
    (void)guest(call, (uint32_t)pointer, size);
    out(call, SB_OUT_FIXED, (uint32_t)pointer, size, 0);
}

void sb_out_bytes(struct sb_marshal *call, uint64_t pointer, uint64_t length)
{
    (void)guest(call, (uint32_t)pointer, (uint32_t)length);
    out(call, SB_OUT_BYTES, (uint32_t)pointer, cut((uint32_t)length), 0);
    put(call, cut((uint32_t)length));
}

void sb_out_all(struct sb_marshal *call, uint64_t pointer, uint64_t length)
{
    (void)guest(call, (uint32_t)pointer, (uint32_t)length);
    out(call, SB_OUT_ALL, (uint32_t)pointer, (uint32_t)length, 0);
    call->all_word = call->message.count;
    put(call, cut((uint32_t)length));
}

void sb_out_array(struct sb_marshal *call, uint64_t pointer, uint64_t count, uint32_t size)
{
    uint64_t bytes = (uint64_t)(uint32_t)count * size;
    (void)guest(call, (uint32_t)pointer, bytes);
    out(call, SB_OUT_BYTES, (uint32_t)pointer, cut(bytes), 0);
    put(call, cut(bytes));
}

void sb_out_scatter(struct sb_marshal *call, uint64_t pointer, uint64_t count)
{
    uint64_t total;
    (void)vectors(call, (uint32_t)pointer, (uint32_t)count, &total);
    out(call, SB_OUT_SCATTER, (uint32_t)pointer, (uint32_t)count, 0);
    put(call, cut(total));
}

void sb_out_strings(struct sb_marshal *call, uint64_t pointers, uint64_t bytes)
{
    out(call, SB_OUT_STRINGS, (uint32_t)pointers, 0, (uint32_t)bytes);
}

static void copy_out(struct sb_marshal *call, uint32_t address, uint32_t from, uint32_t size)
{
    uint8_t *to = guest(call, address, size);
    if (to != NULL) {
        memcpy(to, call->bridge->io + from, size);
    }
}

static void scatter(struct sb_marshal *call, const struct sb_out_place *place, uint32_t size)
{
    uint64_t total;
    const uint8_t *list = vectors(call, place->address, place->size, &total);
    uint32_t done = 0;
    for (uint32_t i = 0; list != NULL && i < place->size && done < size; i++) {
        struct vector vector;
        memcpy(&vector, list + (size_t)i * VECTOR_SIZE, VECTOR_SIZE);
        uint32_t part = vector.size < size - done ? vector.size : size - done;
        copy_out(call, vector.address, done, part);
        done += part;
    }
}

/* `count` NUL-terminated strings of `size` bytes together: pointers to each, then the bytes. */
static void strings(struct sb_marshal *call, const struct sb_out_place *place, uint32_t count, uint32_t size)
{
    uint8_t *pointers = guest(call, place->address, (uint64_t)count * 4);
    if (pointers == NULL || guest(call, place->bytes, size) == NULL) {
        return;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t address = place->bytes + at;
        memcpy(pointers + (uint64_t)i * 4, &address, 4);
        while (at < size && call->bridge->io[at] != 0) {
            at++;
        }
        at++;
    }
    copy_out(call, place->bytes, 0, size);
}

/* The answer's results to where the module wants them. The server is trusted more than we are, the sizes aren't. */
static void take(struct sb_marshal *call)
{
    const struct sb_message *answer = &call->message;
    uint32_t word = 1;
    for (uint32_t i = 0; i < call->out_count; i++) {
        const struct sb_out_place *place = &call->outs[i];
        uint64_t value = place->kind != SB_OUT_FIXED ? answer->words[word++ % SB_MESSAGE_WORDS] : 0;
        switch (place->kind) {
        case SB_OUT_U32:
        case SB_OUT_U64: {
            uint8_t *to = guest(call, place->address, place->size);
            if (to != NULL) {
                memcpy(to, &value, place->size);
            }
            break;
        }
        case SB_OUT_FIXED:
            copy_out(call, place->address, 0, place->size);
            break;
        case SB_OUT_BYTES:
        case SB_OUT_ALL:
            copy_out(call, place->address, 0, value < place->size ? cut(value) : cut(place->size));
            break;
        case SB_OUT_SCATTER:
            scatter(call, place, cut(value));
            break;
        case SB_OUT_STRINGS:
            strings(call, place, cut(value), cut(answer->words[word++ % SB_MESSAGE_WORDS]));
            break;
        case SB_OUT_ADDRESS: {
            const uint64_t words[3] = {value, answer->words[word % SB_MESSAGE_WORDS],
                                       answer->words[(word + 1) % SB_MESSAGE_WORDS]};
            word += 2;
            give_address(call, place->address, words);
            break;
        }
        case SB_OUT_NONE:
            break;
        }
    }
}

static void send(struct sb_marshal *call)
{
    struct sb_bridge *bridge = call->bridge;
    bridge->calls++;
    bridge->transport(bridge->context, &call->message);
    if (bridge->count != NULL) {
        bridge->count(bridge->context, bridge->calls);
    }
    fail(call, (uint16_t)call->message.words[0]);
}

/* All of a buffer that may be larger than the shared one: one message after the other. */
static void fill(struct sb_marshal *call)
{
    struct sb_out_place *place = &call->outs[0];
    const struct sb_message question = call->message;
    while (call->error == SB_E_SUCCESS && place->size > 0) { /* at most 2^32 / SB_IO_SIZE rounds */
        uint32_t part = cut(place->size);
        call->message = question;
        call->message.words[call->all_word] = part;
        send(call);
        if (call->error == SB_E_SUCCESS) {
            copy_out(call, place->address, 0, part);
            place->address += part;
            place->size -= part;
        }
    }
}

enum ee_trap sb_marshal_finish(struct sb_marshal *call, uint64_t *results)
{
    if (call->error == SB_E_SUCCESS && call->out_count == 1 && call->outs[0].kind == SB_OUT_ALL) {
        fill(call);
    } else if (call->error == SB_E_SUCCESS) {
        send(call);
        if (call->error == SB_E_SUCCESS) {
            take(call);
        }
    }
    results[0] = call->error;
    return EE_TRAP_NONE;
}

enum ee_trap sb_marshal_exit(struct sb_marshal *call)
{
    call->bridge->exit_code = (uint32_t)call->message.words[0];
    send(call);
    return EE_TRAP_EXIT;
}
