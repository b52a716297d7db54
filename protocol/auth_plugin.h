/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authentication plugins of the client's side, for auth_client.c alone. Each is what MySQL's
 * and MariaDB's clients have under the same name (MySQL: sql-common/client.cc,
 * sql-common/client_authentication.cc of 9.x; MariaDB Connector/C 3.4: plugins/auth/).
 */
#ifndef SALLYPORT_PROTOCOL_AUTH_PLUGIN_H
#define SALLYPORT_PROTOCOL_AUTH_PLUGIN_H

#include "protocol/auth.h"

struct auth_plugin {
    const char *name;
    size_t scramble; /* bytes that it needs; 0: it has no use for any */
    bool in_clear;   /* sends the password itself: under TLS only */
    /* Writes the first response to auth->scramble. */
    bool (*begin)(struct auth_client *auth, struct buffer *out, struct error *err);
    /* Takes further data of the server; NULL where there is never any. */
    bool (*more)(struct auth_client *auth, struct byte_view data, struct buffer *out,
                 enum auth_step *step, struct error *err);
};

/* NULL for one that is not supported. */
const struct auth_plugin *auth_plugin_find(const char *name);

/* The one that every server understands as a first answer. */
const struct auth_plugin *auth_plugin_default(void);

/* Says why a plugin that was not found is refused and what to do. Returns false. */
bool auth_plugin_refuse(const char *name, struct error *err);

#endif
