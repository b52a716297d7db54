/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that a reload can change, made once and then immutable: the policy, the databases
 * with their TLS contexts and passwords, the proxy's own TLS context, the limits. Counted by
 * reference: each worker holds one, and each session holds the one it judges by, so an old snapshot
 * lives until its last session has moved on. Deciding by it takes no lock.
 */
#ifndef SALLYPORT_PROXY_SNAPSHOT_H
#define SALLYPORT_PROXY_SNAPSHOT_H

#include <netinet/in.h>

#include "authz/authz.h"
#include "base/address.h"
#include "proxy/settings.h"
#include "tls/context.h"

struct database {
    const char *name;
    struct address address;
    const char *server_name; /* what its certificate must say */
    struct tls_context *tls;
    struct authz_label *labels;
    size_t label_count;
    const struct password_settings *users; /* [password_count], and at the same index: */
    char **passwords;                      /* wiped when the snapshot goes */
    size_t password_count;
};

struct snapshot {
    struct settings settings; /* owned through config */
    struct config *config;
    struct authz_policy *policy;
    struct tls_context *server_tls;
    struct database *databases;
    size_t database_count;
    _Atomic unsigned references;
};

/* Reads a file and everything that it names: phase one of a reload, and the whole of `sallyport
 * check`. */
bool snapshot_create(const char *path, struct snapshot **out, struct error *err) MUST_USE;

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL allowed; safe from any thread */

/* NULL: there is none of that name. */
const struct database *snapshot_database(const struct snapshot *snapshot, const char *name);

/* The password of a MySQL user, "" for none. Never to be logged. */
const char *database_password(const struct database *database, const char *mysql_user);

/*
 * Whether a running process can go from one to the other: listeners, workers, and the audit log
 * cannot change without a restart. The error names the key.
 */
bool snapshot_can_follow(const struct snapshot *running, const struct snapshot *next,
                         struct error *err) MUST_USE;

#endif
