/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls on sockets and signals. Source: preview1, sock_* and proc_raise.
 *
 * A module has no sockets yet: every open descriptor is something else, and no signal can be raised in it. What isn't
 * there is refused by its errno: ENOTSOCK, ENOTSUP.
 */
#include "fd.h"
#include "sb_wasi_handlers.h"

static uint16_t no_socket(struct sb_wasi_slot *slot, uint32_t fd)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, 0, &open);
    return error == SB_E_SUCCESS ? SB_E_NOTSOCK : error;
}

uint16_t sb_wasi_sock_accept(struct sb_wasi_slot *slot, uint32_t fd, uint32_t flags, uint32_t *opened)
{
    (void)flags;
    (void)opened;
    return no_socket(slot, fd);
}

uint16_t sb_wasi_sock_recv(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *ri_data, uint32_t ri_flags,
                           uint32_t *ro_datalen, uint32_t *ro_flags)
{
    (void)ri_data;
    (void)ri_flags;
    (void)ro_datalen;
    (void)ro_flags;
    return no_socket(slot, fd);
}

uint16_t sb_wasi_sock_send(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in si_data, uint32_t si_flags,
                           uint32_t *so_datalen)
{
    (void)si_data;
    (void)si_flags;
    (void)so_datalen;
    return no_socket(slot, fd);
}

uint16_t sb_wasi_sock_shutdown(struct sb_wasi_slot *slot, uint32_t fd, uint32_t how)
{
    (void)how;
    return no_socket(slot, fd);
}

uint16_t sb_wasi_proc_raise(struct sb_wasi_slot *slot, uint32_t signal)
{
    (void)slot;
    (void)signal;
    return SB_E_NOTSUP;
}
