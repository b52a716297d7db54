/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the local end of a connection, for the hello frame and so for the audit record. It is
 * what the kernel of the bot's machine says, as far as that costs little:
 *
 *   Unix socket     uid, gid and pid of the process that connected (SO_PEERCRED, unix(7)), and the
 *                   executable behind that pid, where /proc lets us see it
 *   loopback TCP    address, and the uid that owns the client's socket (sock_diag(7)): one question
 *                   to the kernel for exactly that socket, where reading /proc/net/tcp would cost
 *                   more with each connection of the machine. A pid would need a search of /proc.
 *   other TCP       address
 */
#ifndef SALLYPORT_TUNNEL_LOCAL_CLIENT_H
#define SALLYPORT_TUNNEL_LOCAL_CLIENT_H

#include "tls/hello.h"
#include "tls/stream.h"

/* Fills *out with what can be known; what cannot is marked as absent. Never fails. */
void local_client_describe(const struct stream *stream, struct hello_local *out);

#endif
