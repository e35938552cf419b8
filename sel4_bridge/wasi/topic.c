/* SPDX-License-Identifier: Apache-2.0 */
/* See topic.h. */
#include "topic.h"

#include <string.h>

#include "fd.h"
#include "grants.h"

enum { OPEN_DIRECTORY = 2, OPEN_EXCLUSIVE = 4 };

/* One level of a topic or filter from `at`, without its '/'. */
static struct sb_name level(struct sb_name topic, uint32_t at)
{
    struct sb_name part = {topic.bytes + at, 0};
    while (at + part.size < topic.size && part.bytes[part.size] != '/') {
        part.size++;
    }
    return part;
}

static bool is_wildcard(struct sb_name part, char which)
{
    return part.size == 1 && part.bytes[0] == which;
}

static bool matches(struct sb_name filter, struct sb_name topic)
{
    uint32_t f = 0;
    uint32_t t = 0;
    for (;;) { /* each round takes a level of both */
        struct sb_name wanted = level(filter, f);
        if (is_wildcard(wanted, '#')) {
            return true;
        }
        struct sb_name part = level(topic, t);
        bool same = wanted.size == part.size && memcmp(wanted.bytes, part.bytes, part.size) == 0;
        if (!same && !is_wildcard(wanted, '+')) {
            return false;
        }
        f += wanted.size;
        t += part.size;
        if (f == filter.size || t == topic.size) {
            bool rest_is_any = t == topic.size && filter.size - f == 2 && memcmp(filter.bytes + f, "/#", 2) == 0;
            return (f == filter.size && t == topic.size) || rest_is_any;
        }
        f++;
        t++;
    }
}

bool sb_topic_granted(const struct sb_wasi_slot *slot, const char *word, struct sb_name topic)
{
    const char *text = NULL;
    while ((text = sb_grants_next(slot, word, text)) != NULL) {
        struct sb_name filter = {text, (uint32_t)strlen(text)};
        if (filter.size > 0 && matches(filter, topic)) {
            return true;
        }
    }
    return false;
}

/* A name that MQTT takes: levels that are not empty, no wildcard, no control character, and no dots as in paths. */
static bool is_topic(struct sb_name topic)
{
    for (uint32_t at = 0; at <= topic.size;) {
        struct sb_name part = level(topic, at);
        bool dots = part.bytes[0] == '.' && (part.size == 1 || (part.size == 2 && part.bytes[1] == '.'));
        if (part.size == 0 || dots) {
            return false;
        }
        for (uint32_t i = 0; i < part.size; i++) {
            if (part.bytes[i] == '+' || part.bytes[i] == '#' || (uint8_t)part.bytes[i] < ' ' || part.bytes[i] == 0x7f) {
                return false;
            }
        }
        at += part.size + 1;
    }
    return topic.size > 0;
}

bool sb_topics_preopen(struct sb_wasi_slot *slot)
{
    static const char name[] = "/mqtt";
    uint32_t fd;
    if (slot->channels.mail == NULL) {
        return false;
    }
    struct sb_fd open = {.kind = SB_FD_TOPICS,
                         .rights = SB_RIGHT_PATH_OPEN | SB_RIGHT_PATH_CREATE_FILE | SB_RIGHT_FD_FILESTAT_GET,
                         .inheriting = SB_RIGHTS_CHANNEL,
                         .preopen = {name, sizeof name - 1}};
    return sb_fd_open(slot, &open, &fd) == SB_E_SUCCESS;
}

static bool take_prefix(struct sb_name *path, const char *prefix)
{
    uint32_t size = (uint32_t)strlen(prefix);
    if (path->size <= size || memcmp(path->bytes, prefix, size) != 0) {
        return false;
    }
    path->bytes += size;
    path->size -= size;
    return true;
}

uint16_t sb_topic_open(struct sb_wasi_slot *slot, struct sb_in path, uint32_t oflags, uint64_t rights, uint32_t fdflags,
                       uint32_t *opened)
{
    struct sb_name topic = {(const char *)path.bytes, path.size};
    (void)take_prefix(&topic, "./");
    bool out = take_prefix(&topic, "out/");
    if (!out && !take_prefix(&topic, "in/")) {
        return SB_E_NOENT;
    }
    if (!is_topic(topic) || (oflags & OPEN_DIRECTORY) != 0) {
        return SB_E_INVAL;
    }
    if ((oflags & OPEN_EXCLUSIVE) != 0) {
        return SB_E_EXIST;
    }
    if (!sb_topic_granted(slot, out ? "publish=" : "subscribe=", topic)) {
        return SB_E_NOTCAPABLE;
    }
    struct sb_fd open = {.kind = SB_FD_CHANNEL, .flags = (uint16_t)fdflags};
    open.rights = rights & SB_RIGHTS_CHANNEL & ~(out ? SB_RIGHT_FD_READ : SB_RIGHT_FD_WRITE);
    if (topic.size > SB_CHANNEL_NAME) {
        return SB_E_NAMETOOLONG;
    }
    uint16_t error = sb_channel_new(&slot->channels, out ? SB_MAIL_PUBLISH : SB_MAIL_SUBSCRIBE, &open.channel);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    error = sb_fd_open(slot, &open, opened);
    if (error != SB_E_SUCCESS) {
        sb_channel_close(&slot->channels, open.channel);
        return error;
    }
    return sb_channel_open(&slot->channels, open.channel, topic.bytes, topic.size);
}
