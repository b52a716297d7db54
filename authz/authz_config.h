/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration sections "roles" and "mappings": their tables, what they are decoded to, and
 * how a policy is made of that. docs/roles.md explains the keys to people.
 */
#ifndef SALLYPORT_AUTHZ_AUTHZ_CONFIG_H
#define SALLYPORT_AUTHZ_AUTHZ_CONFIG_H

#include <stdint.h>

#include "authz/authz.h"
#include "base/config.h"
#include "base/error.h"

/* The most elements of each section: comparing names at start takes their square. */
#define AUTHZ_CONFIG_ROLES_MAX    10000
#define AUTHZ_CONFIG_MAPPINGS_MAX 10000
#define AUTHZ_ROLE_NAME_MAX       64  /* bytes: names stand in records and in errors */
#define AUTHZ_PATTERN_MAX         512 /* bytes of a subject pattern or SAN URI glob */

/* "allow" and "deny". Lists hold globs; a list that is there is not empty. */
struct authz_rules_config {
    struct config_strings databases;
    struct config_map labels;
    struct config_strings mysql_users;
    struct config_strings schemas;
    struct config_strings features;
    struct config_place place;
};

/* "limits"; 0 means none. */
struct authz_limits_config {
    uint64_t sessions;
    int64_t idle_timeout;     /* milliseconds */
    int64_t session_lifetime; /* milliseconds */
};

/* One element of "roles". */
struct authz_role_config {
    const char *name;
    struct authz_rules_config allow;
    struct authz_rules_config deny;
    struct authz_limits_config limits;
    struct config_place place;
};

/* One element of "mappings". */
struct authz_mapping_config {
    const char *subject;
    const char *san_uri;
    struct config_strings roles;
    const char *roles_from;
    struct config_place place;
};

/* For CONFIG_OBJECTS_AT rows of a process's own top-level table. */
extern const struct config_table authz_role_table;
extern const struct config_table authz_mapping_table;

/*
 * Makes a policy with one reference. It copies what it needs, so the configuration may be freed
 * afterwards. Refuses, with ERROR_CONFIG at the position of the fault: more elements than the
 * limits above; a role name twice; globs, features, subject patterns and attribute types that mean
 * nothing; a mapping that no certificate or every certificate would match; a mapping without roles,
 * or with roles that are not configured. On failure *out is NULL.
 */
bool authz_policy_create(const struct config *config, const struct authz_role_config *roles,
                         size_t role_count, const struct authz_mapping_config *mappings,
                         size_t mapping_count, struct authz_policy **out,
                         struct error *err) MUST_USE;

/*
 * Whether each database that a role mentions by its plain name is one of `names`; if not,
 * ERROR_CONFIG at the first that is none, with the nearest name. Globs may match nothing.
 */
bool authz_config_check_databases(const struct config *config,
                                  const struct authz_role_config *roles, size_t role_count,
                                  const char *const *names, size_t name_count,
                                  struct error *err) MUST_USE;

#endif
