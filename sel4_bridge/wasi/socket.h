/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: channels (channel.h) of the types TCP, UDP, LISTEN and TAKE, and the policy's words for them.
 *
 * Contract: a destination is "tcp:a.b.c.d:port" or "udp:a.b.c.d:port", compared as text. A socket connects to, and sends
 * to, what a "connect=" names, and is bound to what a "listen=" names. A datagram socket that was not bound receives
 * from granted destinations alone; a bound one may answer whom it heard last.
 */
#pragma once

#include "slot.h"

/* Whether the text is a destination. */
bool sb_socket_destination(const char *text);
