/* SPDX-License-Identifier: Apache-2.0 */
/* See grants.h. */
#include "grants.h"

#include <string.h>

#include "fd.h"
#include "socket.h"
#include "topic.h"

static bool begins(const char *text, const char *with)
{
    return strlen(text) >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static bool same(const char *text, const char *other)
{
    return strlen(text) == strlen(other) && begins(text, other);
}

static bool number(const char *text, uint32_t *value)
{
    uint64_t sum = 0;
    if (*text == 0) {
        return false;
    }
    for (; *text != 0; text++) {
        if (*text < '0' || *text > '9' || sum > UINT32_MAX / 10) {
            return false;
        }
        sum = sum * 10 + (uint64_t)(*text - '0');
    }
    *value = (uint32_t)sum;
    return sum <= UINT32_MAX;
}

/* The directory of that path in the file system, made where it is missing. */
static bool make_directories(struct sb_fs *fs, struct sb_name path, uint32_t *node)
{
    *node = fs->root;
    uint32_t at = 0;
    while (at < path.size) {
        struct sb_name name = {path.bytes + at, 0};
        while (at + name.size < path.size && name.bytes[name.size] != '/') {
            name.size++;
        }
        at += name.size + 1;
        if (name.size == 1 && name.bytes[0] == '.') {
            continue;
        }
        if ((name.size == 2 && name.bytes[0] == '.' && name.bytes[1] == '.') || name.size > SB_NAME_MAX) {
            return false;
        }
        uint32_t directory = *node;
        if (name.size > 0 && fs->ops->lookup(fs, directory, name, node) != SB_E_SUCCESS &&
            fs->ops->create(fs, directory, name, SB_TYPE_DIRECTORY, node) != SB_E_SUCCESS) {
            return false;
        }
    }
    return true;
}

/* Where the directories of a path lie: on flash below /data where there is flash, else in RAM. */
static struct sb_fs *file_system(struct sb_wasi_slot *slot, struct sb_name *path)
{
    static const char data[] = "/data";
    const uint32_t size = sizeof data - 1;
    bool persistent = path->size >= size && memcmp(path->bytes, data, size) == 0 &&
                      (path->size == size || path->bytes[size] == '/');
    if (!persistent || slot->host->data == NULL) {
        return &slot->tree.fs;
    }
    path->bytes += size;
    path->size -= size;
    if (slot->flash.used) {
        return &slot->flash.fs;
    }
    uint16_t error = sb_flash_start(&slot->flash, slot->policy.max_bytes);
    return error == SB_E_SUCCESS ? &slot->flash.fs : error == SB_E_NODEV ? &slot->tree.fs : NULL;
}

static bool preopen(struct sb_wasi_slot *slot, const char *text)
{
    struct sb_name path = {text, (uint32_t)strlen(text)};
    bool read_only = path.size > 3 && memcmp(text + path.size - 3, ":ro", 3) == 0;
    path.size -= read_only ? 3 : 0;
    struct sb_name inside = path;
    for (uint32_t at = 0; at + 2 < path.size; at++) { /* "/place::/name" */
        if (text[at] == ':' && text[at + 1] == ':') {
            inside.size = at;
            path = (struct sb_name){text + at + 2, path.size - at - 2};
            break;
        }
    }
    struct sb_fs *fs = file_system(slot, &inside);
    uint32_t node;
    uint32_t fd;
    if (path.size == 0 || fs == NULL || !make_directories(fs, inside, &node)) {
        return false;
    }
    uint64_t denied = read_only ? SB_RIGHTS_CHANGE : 0;
    struct sb_fd open = {.kind = SB_FD_DIRECTORY,
                         .rights = SB_RIGHTS_DIRECTORY & ~denied,
                         /* NOLINTNEXTLINE(misc-redundant-expression): some rights are both's */
                         .inheriting = (SB_RIGHTS_DIRECTORY | SB_RIGHTS_FILE) & ~denied,
                         .node = {fs, node},
                         .preopen = path};
    return sb_fd_open(slot, &open, &fd) == SB_E_SUCCESS;
}

/* /mqtt is preopened with the first of its words. */
static bool grant_topics(struct sb_wasi_slot *slot, const char *filter)
{
    bool is_open = false;
    for (uint32_t fd = 0; fd < SB_MAX_FDS; fd++) {
        is_open |= slot->fds[fd].kind == SB_FD_TOPICS;
    }
    return *filter != 0 && (is_open || sb_topics_preopen(slot));
}

static bool apply(struct sb_wasi_slot *slot, const char *text)
{
    uint32_t value;
    if (begins(text, "dir=")) {
        return preopen(slot, text + 4);
    }
    if (begins(text, "publish=") || begins(text, "subscribe=")) {
        return grant_topics(slot, strchr(text, '=') + 1);
    }
    if (begins(text, "connect=") || begins(text, "listen=")) {
        return sb_socket_destination(strchr(text, '=') + 1);
    }
    if (same(text, "clocks=off")) {
        slot->policy.clocks = false;
        return true;
    }
    if (same(text, "random=off")) {
        slot->policy.random = false;
        return true;
    }
    if (begins(text, "files=") && number(text + 6, &value)) {
        slot->policy.max_fds = value < SB_MAX_FDS ? value : SB_MAX_FDS;
        return true;
    }
    if (begins(text, "output=") && number(text + 7, &value)) {
        slot->policy.output_rate = value;
        slot->output_left = value;
        slot->output_at_ns = slot->host->monotonic_ns(slot->host->context);
        return true;
    }
    if (begins(text, "resolution=") && number(text + 11, &value)) {
        slot->policy.resolution_ns = value;
        return true;
    }
    if (begins(text, "bytes=") && number(text + 6, &value)) {
        uint32_t blocks = value / SB_TREE_BLOCK;
        slot->policy.max_bytes = value < slot->policy.max_bytes ? value : slot->policy.max_bytes;
        slot->tree.blocks_max = blocks < slot->tree.blocks_max ? blocks : slot->tree.blocks_max;
        return true;
    }
    return false;
}

const char *sb_grants_next(const struct sb_wasi_slot *slot, const char *word, const char *after)
{
    const char *text = slot->text + slot->args_size + slot->env_size;
    for (uint32_t i = 0; i < slot->grantc; i++) {
        if ((after == NULL || text > after) && begins(text, word)) {
            return text + strlen(word);
        }
        text += strlen(text) + 1;
    }
    return NULL;
}

/* What is preopened: directories, then /mqtt. */
static int round_of(const char *text)
{
    return begins(text, "dir=") ? 1 : begins(text, "publish=") || begins(text, "subscribe=") ? 2 : 0;
}

/* Limits first: what is preopened, and how large it may get, does not depend on the order of the strings. */
void sb_grants_apply(struct sb_wasi_slot *slot)
{
    for (int round = 0; round < 3; round++) {
        const char *text = slot->text + slot->args_size + slot->env_size;
        for (uint32_t i = 0; i < slot->grantc; i++) { /* measured: grantc strings are there */
            if (round_of(text) == round && !apply(slot, text)) {
                slot->counters.refused++;
            }
            text += strlen(text) + 1;
        }
    }
}
