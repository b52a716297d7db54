/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A join token, shown once, and exactly what to do with it: lines to be pasted into a shell on the
 * bot's machine, or into a proxy's configuration. The token stands in no command line there, for
 * all users of a machine can read those (I8).
 */
#ifndef SALLYPORT_CLI_ADMIN_TOKEN_H
#define SALLYPORT_CLI_ADMIN_TOKEN_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/admin.h"
#include "cli/admin_file.h"

/* What the tunnel's command line is made of, where the command line here did not say it. */
#define ADMIN_JOIN_PROXY    "PROXY-HOST:3308"
#define ADMIN_JOIN_DATABASE "DATABASE"
#define ADMIN_JOIN_LISTEN   "127.0.0.1:3306"

#define ADMIN_TOKEN_MAX 256 /* bytes */

struct admin_join {
    const char *name; /* of the bot or the proxy; all here is borrowed */
    bool is_proxy;
    const char *bound_key;  /* the bot's key file: it joins with that instead of a token */
    const char *token_file; /* where the token is to be written; NULL: it is shown */
    const char *proxy;      /* NULL: a placeholder is shown */
    const char *database;   /* likewise */
    struct admin_file file; /* of admin_join_begin() */
};

/* Opens the file for the token, if there is to be one: before anything is asked. Returns an exit
 * code. */
int admin_join_begin(struct admin_join *join);

/* Writes the token where it goes, and prints what to do: as text, or the answer as JSON. Ends the
 * join. Returns an exit code. */
int admin_join_show(const struct admin *admin, struct admin_join *join, cJSON *answer);

/* For a request that failed: nothing is left. */
void admin_join_abandon(struct admin_join *join);

/* A word as a shell reads it, quoted only where it must be; false when it does not fit. */
bool admin_shell_word(const char *word, char *out, size_t size) MUST_USE;

#endif
