/* SPDX-License-Identifier: Apache-2.0 */
/* See filestat.h. */
#include "filestat.h"

#include <string.h>

enum { ATIM = 1, ATIM_NOW = 2, MTIM = 4, MTIM_NOW = 8, ALL_FLAGS = 15 };

/* u64 device, u64 inode at 8, u8 type at 16, u64 links at 24, size at 32, atim at 40, mtim at 48, ctim at 56. */
void sb_filestat_put(struct sb_out *out, uint64_t device, const struct sb_stat *stat)
{
    const uint64_t words[8] = {device,     stat->inode,   (uint64_t)stat->type, stat->links,
                               stat->size, stat->atim_ns, stat->mtim_ns,        stat->ctim_ns};
    _Static_assert(sizeof words == 64, "the table's size");
    memcpy(out->bytes, words, sizeof words);
}

uint16_t sb_filestat_set_times(struct sb_wasi_slot *slot, struct sb_node node, uint64_t atim_ns, uint64_t mtim_ns,
                               uint32_t flags)
{
    struct sb_stat stat;
    bool both = (flags & (ATIM | ATIM_NOW)) == (ATIM | ATIM_NOW) || (flags & (MTIM | MTIM_NOW)) == (MTIM | MTIM_NOW);
    if (both || (flags & ~(uint32_t)ALL_FLAGS) != 0) {
        return SB_E_INVAL;
    }
    uint16_t error = node.fs->ops->stat(node.fs, node.id, &stat);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    uint64_t now_ns = slot->host->realtime_ns(slot->host->context);
    uint64_t atim = flags & ATIM ? atim_ns : flags & ATIM_NOW ? now_ns : stat.atim_ns;
    uint64_t mtim = flags & MTIM ? mtim_ns : flags & MTIM_NOW ? now_ns : stat.mtim_ns;
    return node.fs->ops->set_times(node.fs, node.id, atim, mtim);
}
