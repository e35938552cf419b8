/* SPDX-License-Identifier: Apache-2.0 */
/* SMP header, dispatch and error bodies: see smp.h. */
#include "smp.h"

#define VERSION_1 0u
#define VERSION_2 1u

struct header {
    uint8_t op;
    uint8_t version; /* 0: SMP version 1 */
    uint16_t length;
    uint16_t group;
    uint8_t sequence;
    uint8_t command;
};

static uint16_t read_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static struct header read_header(const uint8_t *p)
{
    return (struct header){
        .op = p[0] & 7u,
        .version = (uint8_t)(p[0] >> 3 & 3u),
        .length = read_be16(p + 2),
        .group = read_be16(p + 4),
        .sequence = p[6],
        .command = p[7],
    };
}

static void write_header(uint8_t *p, const struct header *h, size_t length)
{
    p[0] = (uint8_t)((unsigned)h->version << 3 | (h->op + 1u)); /* the answer's op follows the request's */
    p[1] = 0;
    p[2] = (uint8_t)(length >> 8);
    p[3] = (uint8_t)length;
    p[4] = (uint8_t)(h->group >> 8);
    p[5] = (uint8_t)h->group;
    p[6] = h->sequence;
    p[7] = h->command;
}

bool sb_smp_read_body(struct sb_cbor_reader *body, struct sb_cbor_field *fields, size_t count)
{
    return sb_cbor_read_map(body, fields, count) && body->p == body->end;
}

static const struct sb_smp_group_table *find_group(uint16_t group)
{
    static const struct sb_smp_group_table *const groups[] = {&sb_os_group, &sb_image_group, &sb_wasel_group};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (groups[i]->group == group) {
            return groups[i];
        }
    }
    return NULL;
}

static sb_smp_handler *find_handler(const struct sb_smp_group_table *group, const struct header *h)
{
    for (size_t i = 0; group != NULL && i < group->count; i++) {
        if (group->commands[i].id == h->command) {
            return h->op == SB_SMP_READ ? group->commands[i].read : group->commands[i].write;
        }
    }
    return NULL;
}

static int32_t run(struct sb_supervisor *s, const struct header *h, const uint8_t *body, size_t size,
                   struct sb_cbor_writer *out)
{
    if (h->version > VERSION_2) {
        return -SB_SMP_TOO_NEW;
    }
    if (h->length != size) {
        return -SB_SMP_INVALID;
    }
    sb_smp_handler *handler = find_handler(find_group(h->group), h);
    if (handler == NULL) {
        return -SB_SMP_NOT_SUPPORTED;
    }
    static const uint8_t empty_map = 0xa0;
    struct sb_cbor_reader reader = {.p = body, .end = body + size};
    if (size == 0) { /* no map is an empty map */
        reader = (struct sb_cbor_reader){.p = &empty_map, .end = &empty_map + 1};
    }
    int32_t rc = handler(s, &reader, out);
    return rc == 0 && out->overflow ? -SB_SMP_TOO_LONG : rc;
}

static void write_error(const struct header *h, int32_t rc, const char *reason, struct sb_cbor_writer *out)
{
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, reason != NULL ? 2 : 1);
    if (rc > 0 && h->version == VERSION_2) {
        sb_cbor_write_text(out, "err");
        sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 2);
        sb_cbor_put_uint(out, "group", h->group);
        sb_cbor_put_uint(out, "rc", (uint64_t)rc);
    } else {
        sb_cbor_put_uint(out, "rc", rc > 0 ? (uint64_t)find_group(h->group)->general(rc) : (uint64_t)-rc);
    }
    if (reason != NULL) {
        sb_cbor_put_text(out, "rsn", reason);
    }
}

size_t sb_smp_serve(struct sb_supervisor *s, const uint8_t *request, size_t size, uint8_t *answer, size_t capacity)
{
    sb_supervisor_poll(s);
    size_t length = sb_smp_answer(s, request, size, answer, capacity);
    sb_drain_logs(s); /* lines that reading the log has moved */
    return length;
}

size_t sb_smp_answer(struct sb_supervisor *s, const uint8_t *request, size_t size, uint8_t *answer, size_t capacity)
{
    if (size < SB_SMP_HEADER_SIZE || capacity < SB_SMP_HEADER_SIZE) {
        return 0;
    }
    struct header h = read_header(request);
    if (h.op != SB_SMP_READ && h.op != SB_SMP_WRITE) {
        return 0;
    }
    struct sb_cbor_writer out = {.p = answer + SB_SMP_HEADER_SIZE, .end = answer + capacity, .overflow = false};
    s->link.requests++;
    s->reason = NULL;
    int32_t rc = run(s, &h, request + SB_SMP_HEADER_SIZE, size - SB_SMP_HEADER_SIZE, &out);
    if (rc != 0) {
        s->link.errors++;
        out = (struct sb_cbor_writer){.p = answer + SB_SMP_HEADER_SIZE, .end = answer + capacity, .overflow = false};
        write_error(&h, rc, s->reason, &out);
    }
    size_t length = (size_t)(out.p - answer) - SB_SMP_HEADER_SIZE;
    write_header(answer, &h, length);
    return SB_SMP_HEADER_SIZE + length;
}
