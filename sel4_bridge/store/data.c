/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See data.h.
 *
 * What a slot takes of flash is counted from a walk through its tree (once after boot) and kept up to date. littlefs keeps
 * files of at most inline_max bytes among the metadata, others in sectors; metadata lie in pairs of sectors whose logs are
 * split when compacted ones are fuller than half of metadata_max. So a directory counts two sectors, a file its
 * sectors, and each name its share of further pairs.
 *
 * One file over 600 lines: every call reads or changes the slots' count and the path buffers, which are static here.
 */
#include "data.h"

#include <string.h>

#include "sb_filetype.h"
#include "sb_layout.h"
#include "sb_wasi_calls.h"

enum { ATTRIBUTE = 'w', CACHE = 4096, FULL_PATH = SB_DATA_PATH + 32, DEPTH = 16, NAME_OVERHEAD = 64 };
enum { FIRST_COOKIE = 3 };

struct data_file {
    bool open;
    lfs_file_t file;
    struct sb_data_times times;
    struct lfs_attr attribute;
    struct lfs_file_config config;
    uint32_t counted; /* size that `used` has of it */
    uint8_t cache[CACHE] __attribute__((aligned(8)));
};

struct data_slot {
    bool walked;
    uint64_t bytes;     /* of all files */
    uint64_t bytes_max; /* the policy's limit */
    uint64_t flash;     /* bytes of flash, estimated from above */
    struct data_file files[SB_DATA_FILES];
};

static struct {
    lfs_t *lfs;
    uint32_t sector;
    struct sb_data_region *region;
    uint64_t last_inode;
    struct data_slot slots[SB_SLOTS];
    char path[FULL_PATH], other[FULL_PATH];
} data;

static uint16_t errno_of(int error)
{
    switch (error) {
    case LFS_ERR_OK:
        return SB_E_SUCCESS;
    case LFS_ERR_NOENT:
        return SB_E_NOENT;
    case LFS_ERR_EXIST:
        return SB_E_EXIST;
    case LFS_ERR_NOTDIR:
        return SB_E_NOTDIR;
    case LFS_ERR_ISDIR:
        return SB_E_ISDIR;
    case LFS_ERR_NOTEMPTY:
        return SB_E_NOTEMPTY;
    case LFS_ERR_FBIG:
        return SB_E_FBIG;
    case LFS_ERR_INVAL:
        return SB_E_INVAL;
    case LFS_ERR_NOSPC:
        return SB_E_NOSPC;
    case LFS_ERR_NAMETOOLONG:
        return SB_E_NAMETOOLONG;
    default:
        return SB_E_IO;
    }
}

/* Flash that a name takes, with what it names. */
static uint64_t cost(uint8_t type, uint64_t name_size, uint64_t size)
{
    uint64_t inside = type == LFS_TYPE_REG && size <= data.lfs->inline_max ? size : 0;
    uint64_t metadata = name_size + inside + sizeof(struct sb_data_times) + NAME_OVERHEAD;
    uint64_t own = type == LFS_TYPE_DIR ? 2 : inside == size ? 0 : (size + data.sector - 1) / data.sector;
    return own * data.sector + metadata * 2 * data.sector / (data.lfs->cfg->metadata_max / 2);
}

static uint64_t base_name_size(const char *path)
{
    uint64_t size = 0;
    for (; *path != 0; path++) {
        size = *path == '/' ? 0 : size + 1;
    }
    return size;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/* Every component is a name, and there are at most DEPTH. */
static bool good_path(const char *path, uint32_t size)
{
    uint32_t start = 0;
    uint32_t components = 0;
    for (uint32_t at = 0; at <= size && size > 0; at++) {
        if (at < size && path[at] != '/') {
            if (path[at] == 0) {
                return false;
            }
            continue;
        }
        uint32_t length = at - start;
        bool dots = path[start] == '.' && (length == 1 || (length == 2 && path[start + 1] == '.'));
        if (length == 0 || length > SB_DATA_NAME || dots || ++components > DEPTH) {
            return false;
        }
        start = at + 1;
    }
    return true;
}

static uint32_t put_root(char *out, uint64_t slot, const char *folder)
{
    memcpy(out, "/slot0/", 7); /* NOLINT(bugprone-not-null-terminated-result): the folder follows, with its zero */
    out[5] = (char)('0' + slot);
    memcpy(out + 7, folder, 5);
    return 11;
}

/* The whole path of the shared region's `from`, copied before it is looked at. */
static uint16_t take_path(char *out, uint64_t slot, const char *from, uint64_t size)
{
    uint32_t at = put_root(out, slot, "data");
    if (size > SB_DATA_PATH) {
        return SB_E_NAMETOOLONG;
    }
    if (size > 0) {
        out[at++] = '/';
        memcpy(out + at, from, size);
    }
    out[at + size] = 0;
    return good_path(out + at, (uint32_t)size) ? SB_E_SUCCESS : SB_E_INVAL;
}

static void hidden_path(char *out, uint64_t slot, uint64_t number)
{
    uint32_t at = put_root(out, slot, "gone");
    out[at++] = '/';
    for (int shift = 28; shift >= 0; shift -= 4) {
        out[at++] = "0123456789abcdef"[number >> shift & 15];
    }
    out[at] = 0;
}

static void read_times(const char *path, struct sb_data_times *times)
{
    memset(times, 0, sizeof *times);
    (void)lfs_getattr(data.lfs, path, ATTRIBUTE, times, sizeof *times);
}

static uint64_t new_inode(uint64_t now_ns)
{
    data.last_inode = now_ns > data.last_inode ? now_ns : data.last_inode + 1;
    return data.last_inode;
}

static struct data_file *file_of(struct data_slot *slot, uint64_t file)
{
    return file < SB_DATA_FILES && slot->files[file].open ? &slot->files[file] : NULL;
}

static void recount(struct data_slot *slot, struct data_file *file, uint32_t size)
{
    slot->flash += cost(LFS_TYPE_REG, 0, size);
    slot->flash -= cost(LFS_TYPE_REG, 0, file->counted);
    slot->bytes += size;
    slot->bytes -= file->counted;
    file->counted = size;
}

/* Closes it whatever happens; what was not written is lost with an error. */
static uint16_t close_file(struct data_slot *slot, struct data_file *file)
{
    int error = lfs_file_close(data.lfs, &file->file);
    file->open = false;
    if (error != LFS_ERR_OK) {
        slot->walked = false; /* what is there now is counted anew */
    }
    return errno_of(error);
}

/* Adds what lies in `path` (changed meanwhile) and below it, `depth` levels at most: one more is never made. */
/* NOLINTNEXTLINE(misc-no-recursion): depth counts down */
static int walk(struct data_slot *slot, char *path, unsigned depth)
{
    static struct lfs_info info; /* nothing of it is needed after the level below */
    lfs_dir_t directory;
    size_t length = strlen(path);
    int error = lfs_dir_open(data.lfs, &directory, path);
    while (error == LFS_ERR_OK) {
        int more = lfs_dir_read(data.lfs, &directory, &info);
        if (more <= 0) {
            error = more;
            break;
        }
        if (is_dots(info.name)) {
            continue;
        }
        slot->flash += cost(info.type, strlen(info.name), info.size);
        slot->bytes += info.type == LFS_TYPE_REG ? info.size : 0;
        if (info.type == LFS_TYPE_DIR && depth > 0 && length + 1 + strlen(info.name) < FULL_PATH) {
            path[length] = '/';
            memcpy(path + length + 1, info.name, strlen(info.name) + 1);
            error = walk(slot, path, depth - 1);
            path[length] = 0;
        }
    }
    (void)lfs_dir_close(data.lfs, &directory);
    return error;
}

/* Files that were open without a name when the power went, or the module ended. */
static int forget_gone(uint64_t number)
{
    int error = LFS_ERR_OK;
    for (bool found = true; found && error == LFS_ERR_OK;) { /* each round removes one */
        struct lfs_info info;
        lfs_dir_t directory;
        (void)put_root(data.path, number, "gone");
        data.path[11] = 0;
        found = false;
        error = lfs_dir_open(data.lfs, &directory, data.path);
        if (error != LFS_ERR_OK) {
            return error;
        }
        while (!found && lfs_dir_read(data.lfs, &directory, &info) > 0) {
            found = info.type == LFS_TYPE_REG;
        }
        (void)lfs_dir_close(data.lfs, &directory);
        if (found) {
            data.path[11] = '/';
            memcpy(data.path + 12, info.name, strlen(info.name) + 1);
            error = lfs_remove(data.lfs, data.path);
        }
    }
    return error;
}

static int make_folder(uint64_t number, const char *name)
{
    data.path[put_root(data.path, number, name)] = 0;
    int error = lfs_mkdir(data.lfs, data.path);
    return error == LFS_ERR_EXIST ? LFS_ERR_OK : error;
}

static uint16_t reset(uint64_t number, uint64_t bytes_max)
{
    struct data_slot *slot = &data.slots[number];
    uint16_t lost = SB_E_SUCCESS;
    for (unsigned i = 0; i < SB_DATA_FILES; i++) {
        if (slot->files[i].open) {
            uint16_t error = close_file(slot, &slot->files[i]);
            lost = lost != SB_E_SUCCESS ? lost : error;
        }
    }
    int error = make_folder(number, "data");
    error = error == LFS_ERR_OK ? make_folder(number, "gone") : error;
    error = error == LFS_ERR_OK ? forget_gone(number) : error;
    if (error == LFS_ERR_OK) {
        slot->bytes = slot->flash = 0;
        data.path[put_root(data.path, number, "data")] = 0;
        error = walk(slot, data.path, DEPTH);
    }
    slot->bytes_max = bytes_max;
    slot->walked = error == LFS_ERR_OK;
    return error != LFS_ERR_OK ? errno_of(error) : lost;
}

static uint16_t stat_path(struct data_slot *slot, uint64_t file, uint64_t results[SB_DATA_RESULTS])
{
    struct data_file *open = file_of(slot, file);
    struct lfs_info info = {.type = LFS_TYPE_REG};
    if (open != NULL) {
        results[0] = SB_TYPE_FILE;
        results[1] = (uint64_t)lfs_file_size(data.lfs, &open->file);
        memcpy(data.region->bytes, &open->times, sizeof open->times);
        return SB_E_SUCCESS;
    }
    int error = lfs_stat(data.lfs, data.path, &info);
    if (error == LFS_ERR_OK) {
        struct sb_data_times times;
        read_times(data.path, &times);
        memcpy(data.region->bytes, &times, sizeof times);
        results[0] = info.type == LFS_TYPE_DIR ? SB_TYPE_DIRECTORY : SB_TYPE_FILE;
        results[1] = info.type == LFS_TYPE_DIR ? 0 : info.size;
    }
    return errno_of(error);
}

static uint16_t create(struct data_slot *slot, uint64_t type, uint64_t now_ns)
{
    struct lfs_info info;
    const uint8_t kind = type == SB_TYPE_DIRECTORY ? LFS_TYPE_DIR : LFS_TYPE_REG;
    uint64_t flash = cost(kind, base_name_size(data.path), 0);
    if (type != SB_TYPE_DIRECTORY && type != SB_TYPE_FILE) {
        return SB_E_NOTSUP;
    }
    int error = lfs_stat(data.lfs, data.path, &info);
    if (error != LFS_ERR_NOENT) {
        return error == LFS_ERR_OK ? SB_E_EXIST : errno_of(error);
    }
    if (slot->flash + flash > SB_DATA_FLASH_MAX) {
        return SB_E_NOSPC;
    }
    struct sb_data_times times = {.inode = new_inode(now_ns), .atim_ns = now_ns, .mtim_ns = now_ns, .ctim_ns = now_ns};
    if (kind == LFS_TYPE_DIR) {
        error = lfs_mkdir(data.lfs, data.path);
        error = error == LFS_ERR_OK ? lfs_setattr(data.lfs, data.path, ATTRIBUTE, &times, sizeof times) : error;
    } else {
        static uint8_t cache[CACHE] __attribute__((aligned(8)));
        struct lfs_attr attribute = {ATTRIBUTE, &times, sizeof times};
        const struct lfs_file_config config = {.buffer = cache, .attrs = &attribute, .attr_count = 1};
        lfs_file_t file;
        error = lfs_file_opencfg(data.lfs, &file, data.path, LFS_O_WRONLY | LFS_O_CREAT | LFS_O_EXCL, &config);
        error = error == LFS_ERR_OK ? lfs_file_close(data.lfs, &file) : error;
    }
    slot->flash += error == LFS_ERR_OK ? flash : 0;
    return errno_of(error);
}

static uint16_t open_file(struct data_slot *slot, uint64_t *file)
{
    unsigned at = 0;
    while (at < SB_DATA_FILES && slot->files[at].open) {
        at++;
    }
    if (at == SB_DATA_FILES) {
        return SB_E_NFILE;
    }
    struct data_file *open = &slot->files[at];
    memset(&open->times, 0, sizeof open->times);
    open->attribute = (struct lfs_attr){ATTRIBUTE, &open->times, sizeof open->times};
    open->config = (struct lfs_file_config){.buffer = open->cache, .attrs = &open->attribute, .attr_count = 1};
    int error = lfs_file_opencfg(data.lfs, &open->file, data.path, LFS_O_RDWR, &open->config);
    if (error == LFS_ERR_OK) {
        open->open = true;
        open->counted = (uint32_t)lfs_file_size(data.lfs, &open->file);
        *file = at;
    }
    return errno_of(error);
}

static uint16_t seek(struct data_file *file, uint64_t offset)
{
    lfs_soff_t at = offset <= SB_DATA_FILE_MAX ? lfs_file_seek(data.lfs, &file->file, (lfs_soff_t)offset, LFS_SEEK_SET)
                                               : LFS_ERR_FBIG;
    return at < 0 ? errno_of((int)at) : SB_E_SUCCESS;
}

static uint16_t read_file(struct data_file *file, uint64_t offset, uint64_t size, uint64_t *done)
{
    if (size > SB_DATA_BYTES) {
        return SB_E_INVAL;
    }
    *done = 0;
    if (offset >= (uint64_t)lfs_file_size(data.lfs, &file->file)) {
        return SB_E_SUCCESS;
    }
    uint16_t error = seek(file, offset);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    lfs_ssize_t got = lfs_file_read(data.lfs, &file->file, data.region->bytes, (lfs_size_t)size);
    *done = got < 0 ? 0 : (uint64_t)got;
    return got < 0 ? errno_of((int)got) : SB_E_SUCCESS;
}

/* Whether the file may grow to `size` bytes. */
static uint16_t may_grow(const struct data_slot *slot, const struct data_file *file, uint64_t size)
{
    if (size > SB_DATA_FILE_MAX) {
        return SB_E_FBIG;
    }
    if (size <= file->counted) {
        return SB_E_SUCCESS;
    }
    uint64_t flash = slot->flash + cost(LFS_TYPE_REG, 0, size) - cost(LFS_TYPE_REG, 0, file->counted);
    bool fits = slot->bytes + size - file->counted <= slot->bytes_max && flash <= SB_DATA_FLASH_MAX;
    return fits ? SB_E_SUCCESS : SB_E_NOSPC;
}

/* Zeros at its end until it has `size` bytes, as many as one call writes at most; SB_PENDING: more are to come. */
static uint16_t grow(struct data_slot *slot, struct data_file *file, uint64_t size)
{
    uint64_t missing = size - file->counted;
    lfs_size_t part = (lfs_size_t)(missing < SB_DATA_BYTES ? missing : SB_DATA_BYTES);
    memset(data.region->bytes, 0, part);
    lfs_soff_t at = lfs_file_seek(data.lfs, &file->file, 0, LFS_SEEK_END);
    lfs_ssize_t written = at < 0 ? (lfs_ssize_t)at : lfs_file_write(data.lfs, &file->file, data.region->bytes, part);
    recount(slot, file, (uint32_t)lfs_file_size(data.lfs, &file->file));
    return written < 0 ? errno_of((int)written) : part < missing ? SB_PENDING : SB_E_SUCCESS;
}

static uint16_t resize(struct data_slot *slot, struct data_file *file, uint64_t size, uint64_t now_ns)
{
    uint16_t error = may_grow(slot, file, size);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (size > file->counted) {
        error = grow(slot, file, size);
    } else {
        error = errno_of(lfs_file_truncate(data.lfs, &file->file, (lfs_off_t)size));
        recount(slot, file, (uint32_t)lfs_file_size(data.lfs, &file->file));
    }
    file->times.mtim_ns = file->times.ctim_ns = now_ns;
    return error;
}

/* As much as the limit of bytes leaves; ENOSPC only if that is nothing. */
static uint16_t write_file(struct data_slot *slot, struct data_file *file, uint64_t offset, uint64_t size, uint64_t now_ns,
                           uint64_t *done)
{
    *done = 0;
    if (size > SB_DATA_BYTES) {
        return SB_E_INVAL;
    }
    if (size == 0) {
        return SB_E_SUCCESS;
    }
    uint64_t left = slot->bytes_max > slot->bytes ? slot->bytes_max - slot->bytes : 0;
    uint64_t end = file->counted + left < SB_DATA_FILE_MAX ? file->counted + left : SB_DATA_FILE_MAX;
    if (offset >= end) {
        return offset >= SB_DATA_FILE_MAX ? SB_E_FBIG : SB_E_NOSPC;
    }
    size = size < end - offset ? size : end - offset;
    uint16_t error = may_grow(slot, file, offset + size);
    if (error == SB_E_SUCCESS && offset > file->counted) { /* the gap first; what is to be written comes again then */
        error = grow(slot, file, offset);
        return error == SB_E_SUCCESS ? SB_PENDING : error;
    }
    error = error == SB_E_SUCCESS ? seek(file, offset) : error;
    if (error != SB_E_SUCCESS) {
        return error;
    }
    lfs_ssize_t written = lfs_file_write(data.lfs, &file->file, data.region->bytes, (lfs_size_t)size);
    recount(slot, file, (uint32_t)lfs_file_size(data.lfs, &file->file));
    file->times.mtim_ns = file->times.ctim_ns = now_ns;
    *done = written < 0 ? 0 : (uint64_t)written;
    return written < 0 ? errno_of((int)written) : SB_E_SUCCESS;
}

static uint16_t set_times(struct data_slot *slot, uint64_t file, const uint64_t times_ns[3])
{
    struct data_file *open = file_of(slot, file);
    struct sb_data_times times;
    if (open != NULL) {
        uint16_t error = errno_of(lfs_file_sync(data.lfs, &open->file));
        if (error != SB_E_SUCCESS) {
            return error;
        }
        times = open->times;
    } else {
        read_times(data.path, &times);
    }
    times.atim_ns = times_ns[0];
    times.mtim_ns = times_ns[1];
    times.ctim_ns = times_ns[2];
    uint16_t error = errno_of(lfs_setattr(data.lfs, data.path, ATTRIBUTE, &times, sizeof times));
    if (error == SB_E_SUCCESS && open != NULL) {
        open->times = times;
    }
    return error;
}

static uint16_t remove_path(struct data_slot *slot)
{
    struct lfs_info info;
    int error = lfs_stat(data.lfs, data.path, &info);
    error = error == LFS_ERR_OK ? lfs_remove(data.lfs, data.path) : error;
    if (error == LFS_ERR_OK) {
        slot->flash -= cost(info.type, base_name_size(data.path), info.size);
        slot->bytes -= info.type == LFS_TYPE_REG ? info.size : 0;
    }
    return errno_of(error);
}

static uint16_t rename_path(struct data_slot *slot)
{
    struct lfs_info old;
    bool replaces = lfs_stat(data.lfs, data.other, &old) == LFS_ERR_OK;
    int error = lfs_rename(data.lfs, data.path, data.other);
    if (error == LFS_ERR_OK) {
        slot->flash += cost(LFS_TYPE_REG, base_name_size(data.other), 0);
        slot->flash -= cost(LFS_TYPE_REG, base_name_size(data.path), 0);
        slot->flash -= replaces ? cost(old.type, base_name_size(data.other), old.size) : 0;
        slot->bytes -= replaces && old.type == LFS_TYPE_REG ? old.size : 0;
    }
    return errno_of(error);
}

/* Still counted while it is open: SB_DATA_UNHIDE takes it off. */
static uint16_t hide(struct data_slot *slot, uint64_t whose, uint64_t hidden)
{
    hidden_path(data.other, whose, hidden);
    return rename_path(slot);
}

static uint64_t cookie_of(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */
    for (; *name != 0; name++) {
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    }
    hash >>= 1;
    return hash < FIRST_COOKIE ? FIRST_COOKIE : hash;
}

/* The entries with the smallest cookies behind `cookie`, in order: names come and go without moving the others. */
static uint16_t list(uint64_t cookie, uint64_t *count)
{
    static struct sb_data_entry found[SB_DATA_ENTRIES];
    struct lfs_info info;
    lfs_dir_t directory;
    uint32_t used = 0;
    int error = lfs_dir_open(data.lfs, &directory, data.path);
    if (error != LFS_ERR_OK) {
        return errno_of(error);
    }
    while ((error = lfs_dir_read(data.lfs, &directory, &info)) > 0) {
        uint64_t own = cookie_of(info.name);
        if (is_dots(info.name) || own <= cookie || (used == SB_DATA_ENTRIES && own >= found[used - 1].cookie)) {
            continue;
        }
        uint32_t at = used < SB_DATA_ENTRIES ? used++ : used - 1;
        for (; at > 0 && found[at - 1].cookie > own; at--) {
            found[at] = found[at - 1];
        }
        found[at] = (struct sb_data_entry){.cookie = own,
                                           .type = info.type == LFS_TYPE_DIR ? SB_TYPE_DIRECTORY : SB_TYPE_FILE,
                                           .size = (uint8_t)strlen(info.name)};
        memcpy(found[at].name, info.name, found[at].size);
    }
    (void)lfs_dir_close(data.lfs, &directory);
    size_t length = strlen(data.path);
    for (uint32_t i = 0; i < used && length + 1 + found[i].size < FULL_PATH; i++) {
        struct sb_data_times times;
        data.path[length] = '/';
        memcpy(data.path + length + 1, found[i].name, (size_t)found[i].size + 1);
        read_times(data.path, &times);
        found[i].inode = times.inode;
    }
    memcpy(data.region->bytes, found, used * sizeof *found);
    *count = used;
    return errno_of(error);
}

static uint16_t serve_file(struct data_slot *slot, uint64_t label, const uint64_t *a, uint64_t *results)
{
    struct data_file *file = file_of(slot, a[1]);
    if (file == NULL) {
        return SB_E_BADF;
    }
    switch (label) {
    case SB_DATA_CLOSE:
        return close_file(slot, file);
    case SB_DATA_READ:
        return read_file(file, a[2], a[3], &results[0]);
    case SB_DATA_WRITE:
        return write_file(slot, file, a[2], a[3], a[4], &results[0]);
    case SB_DATA_RESIZE:
        return resize(slot, file, a[2], a[3]);
    default: /* SB_DATA_SYNC */
        return errno_of(lfs_file_sync(data.lfs, &file->file));
    }
}

static uint16_t serve_path(struct data_slot *slot, uint64_t label, const uint64_t *a, uint64_t *results)
{
    uint16_t error = SB_E_SUCCESS;
    switch (label) {
    case SB_DATA_STAT:
        return stat_path(slot, a[2], results);
    case SB_DATA_CREATE:
        return create(slot, a[2], a[3]);
    case SB_DATA_OPEN:
        return open_file(slot, &results[0]);
    case SB_DATA_TIMES:
        return set_times(slot, a[2], a + 3);
    case SB_DATA_REMOVE:
        return remove_path(slot);
    case SB_DATA_RENAME:
        error = take_path(data.other, a[0], data.region->other, a[2]);
        return error != SB_E_SUCCESS ? error : rename_path(slot);
    case SB_DATA_HIDE:
        return hide(slot, a[0], a[2]);
    default: /* SB_DATA_LIST */
        return list(a[2], &results[0]);
    }
}

uint16_t sb_data_serve(uint64_t label, const uint64_t arguments[SB_DATA_ARGUMENTS], uint64_t results[SB_DATA_RESULTS])
{
    uint64_t number = arguments[0];
    if (data.lfs == NULL) {
        return SB_E_NODEV;
    }
    if (number >= SB_SLOTS || label < SB_DATA_RESET || label > SB_DATA_LIST) {
        return SB_E_INVAL;
    }
    struct data_slot *slot = &data.slots[number];
    if (label == SB_DATA_RESET) {
        return reset(number, arguments[1]);
    }
    if (!slot->walked) {
        return SB_E_IO; /* counted anew with the next reset */
    }
    if (label == SB_DATA_UNHIDE) {
        hidden_path(data.path, number, arguments[1]);
        return remove_path(slot);
    }
    if (label == SB_DATA_CLOSE || (label >= SB_DATA_READ && label <= SB_DATA_SYNC)) {
        return serve_file(slot, label, arguments, results);
    }
    uint16_t error = SB_E_SUCCESS;
    if (arguments[1] & SB_DATA_HIDDEN) {
        hidden_path(data.path, number, arguments[1] >> 32);
    } else {
        error = take_path(data.path, number, data.region->path, arguments[1]);
    }
    return error != SB_E_SUCCESS ? error : serve_path(slot, label, arguments, results);
}

void sb_data_open(lfs_t *lfs, uint32_t sector, struct sb_data_region *region)
{
    memset(&data, 0, sizeof data);
    data.lfs = lfs;
    data.sector = sector;
    data.region = region;
}
