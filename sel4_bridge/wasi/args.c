/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments and environment of a slot, from its launch page. Source: preview1, args_get, environ_get. */
#include <string.h>

#include "sb_wasi_handlers.h"

_Static_assert(sizeof(((struct sb_wasi_slot *)0)->text) <= SB_IO_SIZE, "all strings fit into one answer");

uint16_t sb_wasi_args_get(struct sb_wasi_slot *slot, struct sb_out *argv, uint32_t *argv_count)
{
    memcpy(argv->bytes, slot->text, slot->args_size);
    argv->used = slot->args_size;
    *argv_count = slot->argc;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_args_sizes_get(struct sb_wasi_slot *slot, uint32_t *argc, uint32_t *argv_size)
{
    *argc = slot->argc;
    *argv_size = slot->args_size;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_environ_get(struct sb_wasi_slot *slot, struct sb_out *environ, uint32_t *environ_count)
{
    memcpy(environ->bytes, slot->text + slot->args_size, slot->env_size);
    environ->used = slot->env_size;
    *environ_count = slot->envc;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_environ_sizes_get(struct sb_wasi_slot *slot, uint32_t *environc, uint32_t *environ_size)
{
    *environc = slot->envc;
    *environ_size = slot->env_size;
    return SB_E_SUCCESS;
}
