/* SPDX-License-Identifier: Apache-2.0 */
/* See mail.h; the command's bytes are in docs/PROTOCOL.md. */
#include "mail.h"

#include "smp.h"

enum { MAIL_BAD_MESSAGE = 2, MAIL_NO_SLOT = 3 }; /* of group 64 */
enum { ANSWER_TAIL = 64, RECORD_HEAD = 3 };      /* bytes of CBOR behind the records, and before each */

void sb_mailbox_init(struct sb_mailbox *box, struct sb_mail *mail)
{
    box->mail = mail;
    if (mail != NULL) {
        box->up = (struct sb_mail_end){.head = &mail->up_head, .tail = &mail->up_tail, .data = mail->up};
        box->down = (struct sb_mail_end){.head = &mail->down_head, .tail = &mail->down_tail, .data = mail->down};
    }
}

uint32_t sb_mailbox_waiting(const struct sb_mailbox *box)
{
    return box->mail != NULL ? sb_mail_used(&box->up) : 0;
}

bool sb_mailbox_release(struct sb_mailbox *box, uint64_t number)
{
    uint16_t size;
    bool moved = false;
    while (box->up_first < number && sb_mail_peek(&box->up, 0, &size)) { /* at most what the ring holds */
        sb_mail_drop(&box->up, size + 2u);
        box->up_first++;
        moved = true;
    }
    return moved && __atomic_exchange_n(&box->mail->up_waits, 0u, __ATOMIC_ACQ_REL) != 0;
}

static bool read_bytes(struct sb_cbor_reader *items, struct sb_cbor_string *out)
{
    enum sb_cbor_major major;
    uint64_t size;
    if (!sb_cbor_read_head(items, &major, &size) || major != SB_CBOR_MAJOR_BYTES ||
        size > (uint64_t)(items->end - items->p)) {
        return false;
    }
    *out = (struct sb_cbor_string){items->p, (size_t)size};
    items->p += size;
    return true;
}

/* Takes records from `number` on; false: they are no byte strings. *moved: there are new ones for the wasi domain. */
static bool deliver(struct sb_mailbox *box, uint64_t number, const struct sb_cbor_array *records, bool *moved)
{
    struct sb_cbor_reader items = records->items;
    for (uint64_t i = 0; i < records->count; i++, number++) {
        struct sb_cbor_string record;
        if (!read_bytes(&items, &record) || record.size > SB_MAIL_MAX) {
            return false;
        }
        if (number == box->down_next &&
            sb_mail_put(&box->down, record.data, (uint32_t)record.size, NULL, 0)) {
            box->down_next++;
            *moved = true;
        }
    }
    return true;
}

/* How many records fit into `room` bytes of an answer. */
static uint64_t count_fitting(const struct sb_mailbox *box, size_t room)
{
    uint64_t count = 0;
    uint16_t size;
    for (uint32_t at = 0; sb_mail_peek(&box->up, at, &size); at += size + 2u, count++) {
        if (room < (size_t)size + RECORD_HEAD) {
            break;
        }
        room -= (size_t)size + RECORD_HEAD;
    }
    return count;
}

static void write_records(const struct sb_mailbox *box, struct sb_cbor_writer *out)
{
    static uint8_t record[SB_MAIL_MAX];
    size_t room = sb_cbor_room(out);
    uint64_t count = count_fitting(box, room > ANSWER_TAIL ? room - ANSWER_TAIL : 0);
    uint32_t at = 0;
    uint16_t size = 0;
    sb_cbor_write_text(out, "data");
    sb_cbor_write_head(out, SB_CBOR_MAJOR_ARRAY, count);
    for (uint64_t i = 0; i < count && sb_mail_peek(&box->up, at, &size); i++, at += size + 2u) {
        sb_mail_copy_out(box->up.data, box->up.own + at + 2, record, size);
        sb_cbor_write_bytes(out, record, size);
    }
}

int32_t sb_mail_exchange(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    uint64_t slot = 0;
    uint64_t up = 0;
    uint64_t down = 0;
    struct sb_cbor_array records = {0};
    struct sb_cbor_field fields[] = {
        {"slot", SB_CBOR_UINT, &slot, false},
        {"up", SB_CBOR_UINT, &up, false},
        {"down", SB_CBOR_UINT, &down, false},
        {"data", SB_CBOR_ARRAY, &records, false},
    };
    bool moved = false;
    if (!sb_smp_read_body(body, fields, 4) || !fields[0].found) {
        return MAIL_BAD_MESSAGE;
    }
    if (slot >= SB_SLOTS || s->slots[slot].mail.mail == NULL) {
        return MAIL_NO_SLOT;
    }
    struct sb_mailbox *box = &s->slots[slot].mail;
    moved = sb_mailbox_release(box, up);
    if (!deliver(box, down, &records, &moved)) {
        return MAIL_BAD_MESSAGE;
    }
    if (moved) {
        s->platform.wasi_notify();
    }
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 3);
    sb_cbor_put_uint(out, "up", box->up_first);
    sb_cbor_put_uint(out, "down", box->down_next);
    write_records(box, out);
    return 0;
}
