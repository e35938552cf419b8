/* SPDX-License-Identifier: Apache-2.0 */
/* See store.h. */
#include "store.h"

#include <string.h>

#include "lfs_port.h"

#define READ_UNIT 4u
#define PROGRAM_UNIT 16u  /* bytes; a small commit stays small */
#define CACHE 4096u       /* bytes, of the file system and of each open file: two flash buffers */
#define LOOKAHEAD 32u     /* bytes: a bit for each of 256 sectors */
#define METADATA 16384u   /* bytes of a log of metadata before it is compacted; all of a sector would be read each time */
#define BLOCK_CYCLES 500  /* erases of a metadata block before it moves on */

/* A module on its way to flash. */
struct sb_store_upload {
    lfs_file_t file;
    bool open;
    uint8_t cache[CACHE] __attribute__((aligned(8)));
    struct lfs_file_config config;
};

static struct {
    struct sb_flash flash;
    struct sb_store_memory memory;
    struct lfs_config config;
    lfs_t lfs;
    bool mounted;
    bool formatted;
    struct sb_store_upload uploads[SB_SLOTS];
    uint8_t read_cache[CACHE] __attribute__((aligned(8)));
    uint8_t program_cache[CACHE] __attribute__((aligned(8)));
    uint8_t lookahead[LOOKAHEAD] __attribute__((aligned(8)));
    uint8_t file_cache[CACHE] __attribute__((aligned(8))); /* of a file that is open during one call */
} store;

static int flash_error(enum sb_flash_status status)
{
    return status == SB_FLASH_OK ? LFS_ERR_OK : status == SB_FLASH_FAILED ? LFS_ERR_CORRUPT : LFS_ERR_IO;
}

static int block_read(const struct lfs_config *config, lfs_block_t block, lfs_off_t offset, void *out, lfs_size_t size)
{
    return flash_error(sb_flash_read(&store.flash, block * config->block_size + offset, out, size));
}

static int block_program(const struct lfs_config *config, lfs_block_t block, lfs_off_t offset, const void *data,
                         lfs_size_t size)
{
    return flash_error(sb_flash_program(&store.flash, block * config->block_size + offset, data, size));
}

static int block_erase(const struct lfs_config *config, lfs_block_t block)
{
    return flash_error(sb_flash_erase(&store.flash, block * config->block_size));
}

static int block_sync(const struct lfs_config *config)
{
    (void)config;
    return LFS_ERR_OK; /* each operation waits until the chips are done */
}

static enum sb_store_status status_of(int error)
{
    switch (error) {
    case LFS_ERR_OK:
        return SB_STORE_OK;
    case LFS_ERR_NOENT:
        return SB_STORE_NONE;
    case LFS_ERR_NOSPC:
        return SB_STORE_FULL;
    default:
        return SB_STORE_BROKEN;
    }
}

static const char *path_of(char path[16], uint64_t slot, const char *file)
{
    memcpy(path, "/slot0/", 8);
    path[5] = (char)('0' + slot);
    memcpy(path + 7, file, strlen(file) + 1);
    return path;
}
_Static_assert(SB_SLOTS <= 10, "a slot's number is one digit");

static const char *module_path(char path[16], uint64_t slot, uint64_t place)
{
    return path_of(path, slot, place == 0 ? "a.wasm" : "b.wasm");
}

static int make_folders(void)
{
    for (unsigned slot = 0; slot < SB_SLOTS; slot++) {
        char path[16];
        path_of(path, slot, "");
        path[6] = 0;
        int error = lfs_mkdir(&store.lfs, path);
        if (error != LFS_ERR_OK && error != LFS_ERR_EXIST) {
            return error;
        }
    }
    return LFS_ERR_OK;
}

enum sb_store_status sb_store_open(volatile void *flash, uint32_t mapped_size, const struct sb_store_memory *memory)
{
    memset(&store, 0, sizeof store);
    store.memory = *memory;
    if (sb_flash_probe(&store.flash, flash, mapped_size) != SB_FLASH_OK) {
        return SB_STORE_ABSENT;
    }
    store.config = (struct lfs_config){
        .read = block_read,
        .prog = block_program,
        .erase = block_erase,
        .sync = block_sync,
        .read_size = READ_UNIT,
        .prog_size = PROGRAM_UNIT,
        .block_size = store.flash.sector,
        .block_count = store.flash.size / store.flash.sector,
        .block_cycles = BLOCK_CYCLES,
        .cache_size = CACHE,
        .lookahead_size = LOOKAHEAD,
        .metadata_max = METADATA < store.flash.sector ? METADATA : store.flash.sector,
        .read_buffer = store.read_cache,
        .prog_buffer = store.program_cache,
        .lookahead_buffer = store.lookahead,
    };
    int error = lfs_mount(&store.lfs, &store.config);
    if (error != LFS_ERR_OK) { /* new flash, or power went while it was formatted: nothing is lost that could be read */
        store.formatted = true;
        error = lfs_format(&store.lfs, &store.config);
        error = error == LFS_ERR_OK ? lfs_mount(&store.lfs, &store.config) : error;
    }
    store.mounted = error == LFS_ERR_OK;
    error = store.mounted ? make_folders() : error;
    sb_data_open(store.mounted ? &store.lfs : NULL, store.flash.sector, memory->data);
    return status_of(error);
}

/* Drop an unfinished file: one in error is closed without a commit, by lfs_file_close's contract in lfs.c. */
static void forget_upload(struct sb_store_upload *upload)
{
    if (upload->open) {
        upload->file.flags |= LFS_F_ERRED;
        lfs_file_close(&store.lfs, &upload->file);
        upload->open = false;
    }
}

static enum sb_store_status begin(uint64_t slot, uint64_t place)
{
    struct sb_store_upload *upload = &store.uploads[slot];
    char path[16];
    if (place >= SB_STORE_PLACES) {
        return SB_STORE_BAD_CALL;
    }
    forget_upload(upload);
    upload->config = (struct lfs_file_config){.buffer = upload->cache};
    int error = lfs_file_opencfg(&store.lfs, &upload->file, module_path(path, slot, place),
                                 LFS_O_WRONLY | LFS_O_CREAT | LFS_O_TRUNC, &upload->config);
    upload->open = error == LFS_ERR_OK;
    return status_of(error);
}

static bool in_module(uint64_t offset, uint64_t size)
{
    return offset <= SB_MODULE_SIZE && size <= SB_MODULE_SIZE - offset;
}

static enum sb_store_status append(uint64_t slot, uint64_t offset, uint64_t size)
{
    struct sb_store_upload *upload = &store.uploads[slot];
    if (!upload->open || !in_module(offset, size)) {
        return SB_STORE_BAD_CALL;
    }
    lfs_ssize_t written =
        lfs_file_write(&store.lfs, &upload->file, store.memory.modules[slot] + offset, (lfs_size_t)size);
    if (written < 0) {
        forget_upload(upload);
        return status_of((int)written);
    }
    return SB_STORE_OK;
}

static enum sb_store_status commit(uint64_t slot)
{
    struct sb_store_upload *upload = &store.uploads[slot];
    if (!upload->open) {
        return SB_STORE_BAD_CALL;
    }
    upload->open = false;
    return status_of(lfs_file_close(&store.lfs, &upload->file));
}

static enum sb_store_status sync_upload(uint64_t slot)
{
    struct sb_store_upload *upload = &store.uploads[slot];
    return upload->open ? status_of(lfs_file_sync(&store.lfs, &upload->file)) : SB_STORE_BAD_CALL;
}

/* Read a whole file of at most `max` bytes; *size is its size. */
static enum sb_store_status read_file(const char *path, void *out, uint32_t max, uint32_t *size)
{
    const struct lfs_file_config config = {.buffer = store.file_cache};
    lfs_file_t file;
    int error = lfs_file_opencfg(&store.lfs, &file, path, LFS_O_RDONLY, &config);
    if (error != LFS_ERR_OK) {
        return status_of(error);
    }
    lfs_soff_t length = lfs_file_size(&store.lfs, &file);
    lfs_ssize_t done = length < 0 || (uint32_t)length > max
                           ? LFS_ERR_NOENT
                           : lfs_file_read(&store.lfs, &file, out, (lfs_size_t)length);
    lfs_file_close(&store.lfs, &file);
    if (done < 0) {
        return status_of((int)done);
    }
    *size = (uint32_t)done;
    return done == length ? SB_STORE_OK : SB_STORE_BROKEN;
}

static enum sb_store_status load(uint64_t slot, uint64_t place, uint64_t offset, uint64_t size)
{
    char path[16];
    uint32_t length;
    if (place >= SB_STORE_PLACES || !in_module(offset, size)) {
        return SB_STORE_BAD_CALL;
    }
    enum sb_store_status status =
        read_file(module_path(path, slot, place), store.memory.modules[slot] + offset, (uint32_t)size, &length);
    return status == SB_STORE_OK && length != size ? SB_STORE_NONE : status;
}

static enum sb_store_status resume(uint64_t slot, uint64_t place, uint64_t offset, uint64_t most)
{
    struct sb_store_upload *upload = &store.uploads[slot];
    char path[16];
    uint32_t size;
    if (place >= SB_STORE_PLACES || !in_module(offset, most)) {
        return SB_STORE_BAD_CALL;
    }
    forget_upload(upload);
    module_path(path, slot, place);
    enum sb_store_status status = read_file(path, store.memory.modules[slot] + offset, (uint32_t)most, &size);
    if (status != SB_STORE_OK) {
        return status;
    }
    upload->config = (struct lfs_file_config){.buffer = upload->cache};
    int error = lfs_file_opencfg(&store.lfs, &upload->file, path, LFS_O_WRONLY | LFS_O_APPEND, &upload->config);
    upload->open = error == LFS_ERR_OK;
    store.memory.record->upload.received = size;
    return status_of(error);
}

static uint32_t record_crc(const struct sb_store_record *record)
{
    const uint32_t skip = (uint32_t)(sizeof record->version + sizeof record->crc);
    return lfs_crc(0xffffffffu, (const uint8_t *)record + skip, SB_STORE_RECORD_HEAD + record->request_size - skip);
}

static enum sb_store_status save(uint64_t slot)
{
    static struct sb_store_record copy; /* what is checked is what is written */
    const struct lfs_file_config config = {.buffer = store.file_cache};
    lfs_file_t file;
    char path[16];
    copy = *store.memory.record;
    if (copy.version != SB_STORE_RECORD_VERSION || copy.request_size > SB_STORE_REQUEST_MAX) {
        return SB_STORE_BAD_CALL;
    }
    copy.crc = record_crc(&copy);
    int error = lfs_file_opencfg(&store.lfs, &file, path_of(path, slot, "record"),
                                 LFS_O_WRONLY | LFS_O_CREAT | LFS_O_TRUNC, &config);
    if (error != LFS_ERR_OK) {
        return status_of(error);
    }
    lfs_ssize_t written = lfs_file_write(&store.lfs, &file, &copy, SB_STORE_RECORD_HEAD + copy.request_size);
    error = lfs_file_close(&store.lfs, &file);
    return status_of(written < 0 ? (int)written : error);
}

static enum sb_store_status recall(uint64_t slot)
{
    static struct sb_store_record copy;
    char path[16];
    uint32_t size;
    memset(&copy, 0, sizeof copy);
    enum sb_store_status status = read_file(path_of(path, slot, "record"), &copy, sizeof copy, &size);
    if (status != SB_STORE_OK) {
        return status;
    }
    if (size < SB_STORE_RECORD_HEAD || copy.version != SB_STORE_RECORD_VERSION ||
        copy.request_size != size - SB_STORE_RECORD_HEAD || copy.crc != record_crc(&copy)) {
        return SB_STORE_NONE; /* of another version of this software, or damaged */
    }
    *store.memory.record = copy;
    return SB_STORE_OK;
}

enum sb_store_status sb_store_serve(uint64_t label, const uint64_t arguments[SB_STORE_ARGUMENTS], uint64_t results[2])
{
    uint64_t slot = arguments[0];
    if (!store.mounted) {
        return SB_STORE_ABSENT;
    }
    if (label == SB_STORE_INFO) {
        results[0] = store.flash.size;
        results[1] = store.formatted;
        return SB_STORE_OK;
    }
    if (slot >= SB_SLOTS) {
        return SB_STORE_BAD_CALL;
    }
    switch (label) {
    case SB_STORE_BEGIN:
        return begin(slot, arguments[1]);
    case SB_STORE_APPEND:
        return append(slot, arguments[1], arguments[2]);
    case SB_STORE_COMMIT:
        return commit(slot);
    case SB_STORE_LOAD:
        return load(slot, arguments[1], arguments[2], arguments[3]);
    case SB_STORE_SAVE:
        return save(slot);
    case SB_STORE_RECALL:
        return recall(slot);
    case SB_STORE_SYNC:
        return sync_upload(slot);
    case SB_STORE_RESUME:
        return resume(slot, arguments[1], arguments[2], arguments[3]);
    default:
        return SB_STORE_BAD_CALL;
    }
}
