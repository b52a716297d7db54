/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: certificate identity -> roles -> decision.
 *
 * A policy is an immutable snapshot made from configuration; all workers share it and a reload
 * makes another one. Deciding takes no lock and allocates nothing.
 *
 * Rules (docs/roles.md):
 *  - What no role allows is denied. A deny rule of any role that the bot holds beats every allow.
 *  - One role must allow database, MySQL user and schema together: roles do not add up by halves.
 *  - allow.databases and allow.labels: where both are given both must match; where neither is given
 * the role allows no database. An absent allow.mysql_users or allow.schemas allows none. A login
 *    without a schema needs no schema rule.
 *  - Each deny list denies by itself, and each label in deny.labels. All labels in allow.labels
 * must match, each by any of its values.
 *  - A schema name that begins with "#mysql50#" is denied: it would be a second name for a schema.
 *  - Names are globs. MySQL users and databases compare exactly, schemas without regard to ASCII
 * case in deny rules (a server may fold it: lower_case_table_names) and exactly in allow rules.
 *
 * authz/authz_config.h makes policies; authz/use_scan.h finds the schemas that a statement names in
 * USE.
 */
#ifndef SALLYPORT_AUTHZ_AUTHZ_H
#define SALLYPORT_AUTHZ_AUTHZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define AUTHZ_ROLES_MAX     64  /* roles that one bot may hold; more is refused */
#define AUTHZ_RULE_TEXT_MAX 256 /* a decision's rule as text, its NUL included; longer is cut */
/* Longest names in bytes; longer ones are denied. Servers allow a schema 64 characters, a user 32
 * (MySQL) or 128 (MariaDB), each of up to 4 bytes ("Identifier Length Limits"; MariaDB "Identifier
 * Names"). */
#define AUTHZ_SCHEMA_MAX     256
#define AUTHZ_MYSQL_USER_MAX 512

struct authz_policy; /* reference counted, immutable */
struct authz_role;   /* a role's rules, owned by its policy */

/* Who asks, reduced to what mappings look at. All borrowed; tls/identity.h says what the texts
 * hold. */
struct authz_attribute {
    const char *type; /* "CN", "O", "OU", … */
    const char *value;
};
struct authz_subject {
    const struct authz_attribute *attributes;
    size_t attribute_count;
    const char *const *san_uris;
    size_t san_uri_count;
};

/* A database's label: one name, any number of values. Borrowed. */
struct authz_label {
    const char *name;
    const char *const *values;
    size_t value_count;
};

/* The roles of one subject under one policy. Plain data, copied freely; holds while a reference to
 * the policy is held. With count 0 everything is denied. */
struct authz_roles {
    const struct authz_role *roles[AUTHZ_ROLES_MAX];
    size_t count;
};

/*
 * What is asked for. mysql_user and schema: NULL means "not known yet" (then not judged), so a
 * caller judges again when it learns them. Texts are bytes that a peer sent: they may hold anything
 * but NUL.
 */
struct authz_request {
    const char *database;
    const struct authz_label *labels;
    size_t label_count;
    const char *mysql_user;
    const char *schema;
};

/* The most restrictive values among the roles that allowed. 0 means no limit. */
struct authz_limits {
    uint64_t sessions; /* at once, for each bot */
    int64_t idle_timeout_ms;
    int64_t session_lifetime_ms;
};

/* Commands that need more than access to a schema; a role allows them by "features". */
enum authz_feature { AUTHZ_REPLICATION, AUTHZ_LOCAL_INFILE, AUTHZ_FEATURE_COUNT };

/*
 * The rule is for people, in records and in errors to the client: "role shop-reader denies schema
 * mysql", "no role allows MySQL user root on database shop (roles: shop-reader)". It does not name
 * the bot: the caller does. It is valid UTF-8 without control characters, whatever the request
 * held.
 */
struct authz_decision {
    bool allowed;
    char rule[AUTHZ_RULE_TEXT_MAX];
    struct authz_limits limits; /* when allowed */
};

struct authz_policy *authz_policy_ref(struct authz_policy *policy);
void authz_policy_unref(struct authz_policy *policy); /* NULL allowed; safe from any thread */

/*
 * Maps a subject to its roles: the union over all mappings that match. A role name in the
 * certificate that is not configured is passed over. False with ERROR_DENIED when no role remains
 * (the message names those that were passed over), with ERROR_LIMIT for more than AUTHZ_ROLES_MAX;
 * *out is empty then.
 */
bool authz_map(const struct authz_policy *policy, const struct authz_subject *subject,
               struct authz_roles *out, struct error *err) MUST_USE;

/* One role alone, for questions about a role instead of a bot; count 0: there is none of that name.
 */
void authz_role_alone(const struct authz_policy *policy, const char *name, struct authz_roles *out);

/* A role's name, for records. */
const char *authz_role_name(const struct authz_role *role);

/* Judges a login, COM_CHANGE_USER, or (user and schema not known yet) a dial. */
void authz_decide(const struct authz_roles *roles, const struct authz_request *request,
                  struct authz_decision *out);

/* Whether a role that allows the request's database and user allows the feature too, and no role
 * denies any of them. The request's schema is not judged. */
void authz_decide_feature(const struct authz_roles *roles, const struct authz_request *request,
                          enum authz_feature feature, struct authz_decision *out);

/*
 * Whether every schema is allowed to the request's database and user (and none is denied): then
 * statements need not be looked at for USE, and need not be held. False while the user is not
 * known.
 */
bool authz_any_schema(const struct authz_roles *roles, const struct authz_request *request);

#endif
