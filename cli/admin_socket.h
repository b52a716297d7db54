/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the authority's administration socket is, and whether to believe it.
 *
 * The first of these that is given: --socket PATH; -c FILE, the configuration of `sallyport serve`
 * (authority.admin_socket, or admin.sock in authority.directory); the environment variable
 * SALLYPORT_ADMIN_SOCKET; the default. Of the configuration nothing else is looked at: a running
 * authority is administered even where the file has a mistake elsewhere by now.
 *
 * Who answers at the socket could tell an administrator to paste anything on a bot's machine. So
 * the socket must be root's or the caller's own. Root also takes one of another user (the authority
 * may run as one) if nobody but its owner and root could have put it there.
 */
#ifndef SALLYPORT_CLI_ADMIN_SOCKET_H
#define SALLYPORT_CLI_ADMIN_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define ADMIN_SOCKET_DEFAULT  "/run/sallyport/admin.sock"
#define ADMIN_SOCKET_VARIABLE "SALLYPORT_ADMIN_SOCKET"
#define ADMIN_SOCKET_SIZE     4096 /* of a path, its NUL included */

/* NULL: not given. ERROR_CONFIG for a configuration that does not say it, at its place. */
bool admin_socket_find(const char *socket, const char *config, char out[ADMIN_SOCKET_SIZE],
                       struct error *err) MUST_USE;

/* Whether this user should believe what answers there; *err says what is wrong and what to do. */
bool admin_socket_check(const char *path, uid_t user, struct error *err) MUST_USE;

#endif
