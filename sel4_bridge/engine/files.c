/* SPDX-License-Identifier: Apache-2.0 */
/* See files.h. The module has been validated, so its sections are well-formed; the entries are checked here. */
#include "files.h"

#include <string.h>

#include "sb_layout.h"
#include "sb_wasi_calls.h"

static const char section_name[] = "wasel.files";

enum { MODULE_HEADER = 8, CUSTOM_SECTION = 0, ENTRY_HEADER = 8 };
enum { TYPE_DIRECTORY = 3, TYPE_FILE = 4, TYPE_SYMLINK = 7 };
enum { OPEN_CREATE = 1, OPEN_TRUNCATE = 8 };

struct entry {
    uint32_t fd;
    const uint8_t *path, *content;
    uint32_t path_size, content_size;
};

static uint16_t send(struct sb_bridge *bridge, uint32_t label, uint32_t count, const uint64_t *words,
                     struct sb_message *answer)
{
    answer->label = label;
    answer->count = count;
    memcpy(answer->words, words, count * sizeof *words);
    bridge->transport(bridge->context, answer);
    return (uint16_t)answer->words[0];
}

static uint16_t make_directory(struct sb_bridge *bridge, const struct entry *entry)
{
    struct sb_message answer;
    memcpy(bridge->io, entry->path, entry->path_size);
    uint16_t error = send(bridge, SB_WASI_PATH_CREATE_DIRECTORY, 2, (uint64_t[]){entry->fd, entry->path_size}, &answer);
    return error == SB_E_EXIST ? SB_E_SUCCESS : error;
}

static uint16_t make_symlink(struct sb_bridge *bridge, const struct entry *entry)
{
    struct sb_message answer;
    if (entry->content_size > SB_IO_SIZE - entry->path_size) {
        return SB_E_NAMETOOLONG;
    }
    memcpy(bridge->io, entry->content, entry->content_size);
    memcpy(bridge->io + entry->content_size, entry->path, entry->path_size);
    return send(bridge, SB_WASI_PATH_SYMLINK, 3, (uint64_t[]){entry->content_size, entry->fd, entry->path_size},
                &answer);
}

/* Every round writes a byte at least, or ends. */
static uint16_t write_all(struct sb_bridge *bridge, uint64_t fd, const uint8_t *bytes, uint32_t size)
{
    struct sb_message answer;
    uint16_t error = SB_E_SUCCESS;
    for (uint32_t done = 0; done < size && error == SB_E_SUCCESS;) {
        uint32_t part = size - done < SB_IO_SIZE ? size - done : SB_IO_SIZE;
        memcpy(bridge->io, bytes + done, part);
        error = send(bridge, SB_WASI_FD_WRITE, 2, (uint64_t[]){fd, part}, &answer);
        if (error == SB_E_SUCCESS && (answer.words[1] == 0 || answer.words[1] > part)) {
            error = SB_E_IO;
        }
        done += (uint32_t)answer.words[1];
    }
    return error;
}

static uint16_t make_file(struct sb_bridge *bridge, const struct entry *entry)
{
    struct sb_message answer;
    memcpy(bridge->io, entry->path, entry->path_size);
    const uint64_t open[] = {entry->fd,         0, entry->path_size, OPEN_CREATE | OPEN_TRUNCATE,
                             SB_RIGHT_FD_WRITE, 0, 0};
    uint16_t error = send(bridge, SB_WASI_PATH_OPEN, 7, open, &answer);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    uint64_t fd = answer.words[1];
    error = write_all(bridge, fd, entry->content, entry->content_size);
    uint16_t closed = send(bridge, SB_WASI_FD_CLOSE, 1, &fd, &answer);
    return error != SB_E_SUCCESS ? error : closed;
}

static uint16_t make(struct sb_bridge *bridge, uint8_t type, const struct entry *entry)
{
    switch (type) {
    case TYPE_DIRECTORY:
        return make_directory(bridge, entry);
    case TYPE_FILE:
        return make_file(bridge, entry);
    case TYPE_SYMLINK:
        return make_symlink(bridge, entry);
    default:
        return SB_E_INVAL;
    }
}

static bool install(struct sb_bridge *bridge, const uint8_t *at, const uint8_t *end, struct sb_text *why)
{
    while (at < end) {
        struct entry entry = {.fd = 0};
        uint16_t path_size;
        if (end - at < ENTRY_HEADER) {
            sb_text_string(why, "its section wasel.files is cut off");
            return false;
        }
        memcpy(&path_size, at + 2, 2);
        memcpy(&entry.content_size, at + 4, 4);
        entry.fd = at[1];
        entry.path_size = path_size;
        entry.path = at + ENTRY_HEADER;
        entry.content = entry.path + path_size;
        if ((uint64_t)(end - entry.path) < (uint64_t)path_size + entry.content_size) {
            sb_text_string(why, "its section wasel.files is cut off");
            return false;
        }
        uint16_t error = make(bridge, at[0], &entry);
        if (error != SB_E_SUCCESS) {
            sb_text_string(why, "its file ");
            sb_text_name(why, (const char *)entry.path, entry.path_size);
            sb_text_string(why, " cannot be made: errno ");
            sb_text_decimal(why, error);
            return false;
        }
        at = entry.content + entry.content_size;
    }
    return true;
}

/* An unsigned LEB128 number of at most 32 bits; the module is valid, so it is whole. */
static uint32_t number(const uint8_t **at, const uint8_t *end)
{
    uint32_t value = 0;
    for (uint32_t shift = 0; *at < end && shift < 35; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint32_t)(byte & 0x7f) << (shift & 31u);
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    return value;
}

bool sb_files_install(struct sb_bridge *bridge, const uint8_t *module, size_t size, struct sb_text *why)
{
    const uint8_t *end = module + size;
    const uint8_t *at = module + MODULE_HEADER;
    while (at < end) {
        uint8_t id = *at++;
        uint32_t section_size = number(&at, end);
        if (section_size > (uint64_t)(end - at)) {
            return true; /* not a module that validates */
        }
        const uint8_t *section_end = at + section_size;
        if (id == CUSTOM_SECTION) {
            const uint8_t *body = at;
            uint32_t name_size = number(&body, section_end);
            if (name_size == sizeof section_name - 1 && name_size <= (uint64_t)(section_end - body) &&
                memcmp(body, section_name, name_size) == 0) {
                return install(bridge, body + name_size, section_end, why);
            }
        }
        at = section_end;
    }
    return true;
}
