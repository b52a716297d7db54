/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a policy, for the source files of this folder. Nobody else includes this.
 *
 * Everything hangs off the policy's blocks and is freed with them; after authz_policy_create()
 * nothing in it changes but the reference count.
 */
#ifndef SALLYPORT_AUTHZ_AUTHZ_POLICY_H
#define SALLYPORT_AUTHZ_AUTHZ_POLICY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "authz/authz.h"
#include "authz/authz_config.h"

struct authz_globs {
    const char **items;
    size_t count;
};

struct authz_label_rule {
    const char *name; /* compared exactly */
    struct authz_globs values;
};

struct authz_rules {
    struct authz_globs databases;
    struct authz_label_rule *labels;
    size_t label_count;
    struct authz_globs mysql_users;
    struct authz_globs schemas; /* of "deny": in ASCII lower case */
    bool features[AUTHZ_FEATURE_COUNT];
};

struct authz_role {
    const char *name;
    struct authz_rules allow;
    struct authz_rules deny;
    struct authz_limits limits;
};

/* One attribute of a subject pattern; the value is a glob. */
struct authz_attribute_rule {
    const char *type;
    const char *value;
};

struct authz_mapping {
    struct authz_attribute_rule *attributes; /* all must match */
    size_t attribute_count;
    const char *san_uri; /* or NULL */
    const struct authz_role **roles;
    size_t role_count;
    const char *roles_from; /* or NULL */
};

struct authz_block; /* one allocation of a policy */

struct authz_policy {
    atomic_size_t references;
    struct authz_role *roles;
    size_t role_count;
    struct authz_mapping *mappings;
    size_t mapping_count;
    struct authz_block *blocks;
};

/* Zeroed memory that goes with the policy; NULL with ERROR_MEMORY. */
void *authz_policy_take(struct authz_policy *policy, size_t count, size_t size, struct error *err);
/* A copy of the text; NULL with ERROR_MEMORY. */
char *authz_policy_copy(struct authz_policy *policy, const char *text, struct error *err);

/* The role of that name, or NULL. */
const struct authz_role *authz_policy_role(const struct authz_policy *policy, const char *name);

/*
 * Compiles a subject pattern, "CN=ci-*,OU=bots". ERROR_MALFORMED says what is wrong with it; the
 * caller adds where.
 */
bool authz_subject_compile(struct authz_policy *policy, const char *pattern,
                           struct authz_mapping *mapping, struct error *err) MUST_USE;

/* Whether a text is an attribute type: a short name, or a dotted OID. */
bool authz_attribute_type_valid(const char *type, size_t length);

/*
 * A glob on URIs: `*` and `?` do not match a slash, `**` does, and a backslash makes the next byte
 * stand for itself. Time: pattern × text.
 */
bool authz_uri_match(const char *pattern, const char *uri);

#endif
