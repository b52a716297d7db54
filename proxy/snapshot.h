/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration, and what an authority provides beside it (proxy/provision.h), made into what
 * sessions are judged by. Everything that a reload or the authority can change, made once and then
 * immutable: the policy, the databases with their TLS contexts and passwords, the proxy's own TLS
 * context, the limits. Counted by reference: each worker holds one, and each session holds the one
 * it judges by, so an old snapshot lives until its last session has moved on. Deciding by it takes
 * no lock.
 */
#ifndef SALLYPORT_PROXY_SNAPSHOT_H
#define SALLYPORT_PROXY_SNAPSHOT_H

#include <netinet/in.h>

#include "authz/authz.h"
#include "base/address.h"
#include "proxy/local_files.h"
#include "proxy/provision.h"
#include "proxy/settings.h"
#include "tls/context.h"

/* A client certificate that is one MySQL user's alone. */
struct minted_tls {
    const char *mysql_user;
    struct tls_context *tls;
};

struct database {
    const char *name;
    struct address address;
    const char *server_name;   /* what its certificate must say */
    struct tls_context *tls;   /* for every MySQL user; NULL: one of `minted` */
    struct minted_tls *minted; /* [minted_count], by MySQL user */
    size_t minted_count;
    bool shares_minted; /* with the other databases that the authority's CA signs for */
    struct authz_label *labels;
    size_t label_count;
    const struct password_settings *users; /* [password_count], and at the same index: */
    char *const *passwords;                /* of the snapshot's `files` */
    size_t password_count;
};

struct snapshot {
    struct settings settings;    /* owned through config */
    struct config *config;       /* of `base` when there is one */
    struct local_files *files;   /* likewise */
    struct snapshot *base;       /* the one that read the configuration; NULL: this one */
    struct provision *provision; /* NULL: the configuration names no authority */
    struct tls_context *bot_tls; /* trusts the authority's bots and no others; NULL: no authority */
    struct authz_policy *policy;
    struct tls_context *server_tls;
    struct database *databases;
    size_t database_count;
    _Atomic unsigned references;
};

/* Reads a file and everything that it names: phase one of a reload, and the whole of `sallyport
 * check`. */
bool snapshot_create(const char *path, struct provision *provision, struct snapshot **out,
                     struct error *err) MUST_USE;

/*
 * The same configuration with another provision, without a look at any file: what files said when
 * the configuration was read is shared. Fails without memory, or by what the provision says.
 */
bool snapshot_provide(struct snapshot *running, struct provision *provision, struct snapshot **out,
                      struct error *err) MUST_USE;

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL allowed; safe from any thread */

/* NULL: there is none of that name. */
const struct database *snapshot_database(const struct snapshot *snapshot, const char *name);

/* What to log in with as a MySQL user; NULL: its certificate was not minted (yet). */
struct tls_context *database_tls(const struct database *database, const char *mysql_user);

/* The password of a MySQL user, "" for none. Never to be logged. */
const char *database_password(const struct database *database, const char *mysql_user);

/*
 * Whether a running process can go from one to the other: which services there are, listeners,
 * workers, and the audit log cannot change without a restart. The error names the key.
 */
bool snapshot_can_follow(const struct snapshot *running, const struct snapshot *next,
                         struct error *err) MUST_USE;

/* Logs a warning that names each key whose change is followed at the next start only: what concerns
 * the authority, here or elsewhere. `started` is what the process started with. */
void settings_tell_unfollowed(const struct settings *started, const struct settings *next);

#endif
