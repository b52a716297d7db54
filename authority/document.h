/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents: roles, databases and mappings as `role apply` brings them, in the configuration's form
 * (docs/roles.md). They are judged by the same tables and rules as a configuration, all of them
 * together, before any of them is stored; each is stored as JSON of its own, without blanks and
 * with sorted keys, so that what means the same is the same text.
 *
 * A document's name is its `name`. A mapping has none and is known by what it looks at ("CN=ci-*,
 * OU=bots"), so that applying it again with other roles changes it.
 *
 * Databases have no paths of files, which would be those of some proxy's machine:
 *
 *     { "name": "shop", "address": "10.0.0.5:3306", "labels": { "env": "prod" },
 *       "tls": { "server_name": "db1.internal" } }
 *
 * Their certificates are verified by the database-server CA, for `server_name` or else the host of
 * the address, and proxies show them a certificate that the database-client CA has minted. What has
 * certificates from elsewhere stays in the configuration of the proxies.
 */
#ifndef SALLYPORT_AUTHORITY_DOCUMENT_H
#define SALLYPORT_AUTHORITY_DOCUMENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "authority/refusal.h"
#include "authority/store.h"
#include "authz/authz_config.h"
#include "base/config.h"
#include "base/error.h"
#include "control/state_limits.h"

/* Of each kind: as the proxies have it. */
#define AUTHORITY_DOCUMENTS_MAX CONTROL_STATE_ROLES_MAX
#define AUTHORITY_DATABASES_MAX CONTROL_STATE_DATABASES_MAX
/* A document in messages, "mapping CN=ci-*,OU=bots". */
#define AUTHORITY_LABEL_SIZE (STORE_DOCUMENT_SIZE + 16)

struct authority_database_tls {
    const char *server_name; /* NULL: the host of the address */
    struct config_place place;
};

/* A database's document. */
struct authority_database {
    const char *name;
    const char *address;
    struct config_map labels;
    struct authority_database_tls tls;
    struct config_place place;
};

/* For who reads documents: a CONFIG_OBJECTS_AT row. */
extern const struct config_table authority_database_table;

/* All documents, decoded. */
struct authority_documents {
    struct authz_role_config *roles;
    size_t role_count;
    struct authority_database *databases;
    size_t database_count;
    struct authz_mapping_config *mappings;
    size_t mapping_count;
    struct authz_policy *policy;
    struct config *config; /* owns what the rest points at */
};

/* Decodes what is stored. The caller releases it. */
bool authority_documents_load(struct store *store, struct authority_documents *out,
                              struct error *err) MUST_USE;
void authority_documents_release(struct authority_documents *documents);

struct authority_apply {
    const cJSON *documents; /* {"roles": […], "databases": […], "mappings": […]}, each optional */
    bool prune;             /* of the kinds that are given, what is not there goes */
    bool dry_run;           /* only judge and tell */
    int64_t now_us;
};

/*
 * Applies documents: all or none. *answer is {"added", "changed", "removed", "unchanged"}, lists of
 * {"kind", "name"}; the caller frees it with cJSON_Delete(). Within the caller's transaction.
 *
 * CONTROL_INVALID names the document and what is wrong with it; CONTROL_CONFLICT where what would
 * remain does not fit together.
 */
bool authority_documents_apply(struct store *store, const struct authority_apply *apply,
                               cJSON **answer, struct authority_refusal *refusal,
                               struct error *err) MUST_USE;

/* Removes one. CONTROL_NOT_FOUND, or CONTROL_CONFLICT when another document needs it. */
bool authority_documents_remove(struct store *store, enum store_document_kind kind,
                                const char *name, struct authority_refusal *refusal,
                                struct error *err) MUST_USE;

#endif
