/* SPDX-License-Identifier: Apache-2.0 */
/* From decoded configuration to a policy that owns all it needs. */
#include "authz/authz_policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/suggest.h"

/* --- memory --- */

struct authz_block {
    struct authz_block *next;
    max_align_t bytes[];
};

void *authz_policy_take(struct authz_policy *policy, size_t count, size_t size, struct error *err)
{
    size_t bytes;
    struct authz_block *block = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) &&
        !__builtin_add_overflow(bytes, sizeof *block, &bytes))
        block = calloc(1, bytes);
    if (!block) {
        error_set(err, ERROR_MEMORY, "out of memory for the roles");
        return NULL;
    }
    block->next = policy->blocks;
    policy->blocks = block;
    return block->bytes;
}

char *authz_policy_copy(struct authz_policy *policy, const char *text, struct error *err)
{
    size_t size = strlen(text) + 1;
    char *copy = authz_policy_take(policy, size, 1, err);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

static void policy_free(struct authz_policy *policy)
{
    while (policy->blocks) {
        struct authz_block *block = policy->blocks;
        policy->blocks = block->next;
        free(block);
    }
    free(policy);
}

struct authz_policy *authz_policy_ref(struct authz_policy *policy)
{
    atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
    return policy;
}

void authz_policy_unref(struct authz_policy *policy)
{
    if (policy && atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) == 1)
        policy_free(policy);
}

const struct authz_role *authz_policy_role(const struct authz_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->role_count; i++)
        if (strcmp(policy->roles[i].name, name) == 0)
            return &policy->roles[i];
    return NULL;
}

/* --- roles --- */

/* Where the elements that are compiled stand, for messages. */
struct section {
    const struct config *config;
    struct config_place place;
    const char *key;
};

static bool copy_globs(struct authz_policy *policy, const struct section *section,
                       const struct config_strings *from, struct authz_globs *to, struct error *err)
{
    if (from->count == 0)
        return true;
    to->items = authz_policy_take(policy, from->count, sizeof *to->items, err);
    if (!to->items)
        return false;
    for (size_t i = 0; i < from->count; i++) {
        struct error problem = {0};
        if (!glob_check(from->items[i], &problem))
            return config_error_item(section->config, section->place, section->key, i, err, "%s",
                                     problem.message);
        to->items[i] = authz_policy_copy(policy, from->items[i], err);
        if (!to->items[i])
            return false;
        to->count++;
    }
    return true;
}

static bool copy_label(struct authz_policy *policy, const struct section *section, size_t index,
                       const struct config_map_entry *from, struct authz_label_rule *to,
                       struct error *err)
{
    if (from->values.count == 0)
        return config_error_item(section->config, section->place, section->key, index, err,
                                 "label \"%s\" has no values, so it would match nothing: write "
                                 "[\"*\"] for any value, or leave the label out",
                                 from->key);
    for (size_t i = 0; i < from->values.count; i++) {
        struct error problem = {0};
        if (!glob_check(from->values.items[i], &problem))
            return config_error_item(section->config, section->place, section->key, index, err,
                                     "%s", problem.message);
    }
    to->name = authz_policy_copy(policy, from->key, err);
    return to->name && copy_globs(policy, section, &from->values, &to->values, err);
}

static bool copy_labels(struct authz_policy *policy, const struct section *section,
                        const struct config_map *from, struct authz_rules *to, struct error *err)
{
    if (from->count == 0)
        return true;
    to->labels = authz_policy_take(policy, from->count, sizeof *to->labels, err);
    if (!to->labels)
        return false;
    for (size_t i = 0; i < from->count; i++, to->label_count++)
        if (!copy_label(policy, section, i, &from->entries[i], &to->labels[i], err))
            return false;
    return true;
}

static const char *const feature_names[AUTHZ_FEATURE_COUNT] = {
    [AUTHZ_REPLICATION] = "replication",
    [AUTHZ_LOCAL_INFILE] = "local_infile",
};

static bool copy_feature(const struct section *section, const struct config_strings *from,
                         size_t index, struct authz_rules *to, struct error *err)
{
    struct suggestion nearest = suggestion_for(from->items[index]);
    for (size_t i = 0; i < AUTHZ_FEATURE_COUNT; i++) {
        if (strcmp(from->items[index], feature_names[i]) == 0) {
            to->features[i] = true;
            return true;
        }
        suggestion_try(&nearest, feature_names[i]);
    }
    return config_error_item(section->config, section->place, section->key, index, err,
                             "there is no feature \"%s\"; did you mean \"%s\"? (features: "
                             "replication, local_infile)",
                             from->items[index], nearest.name ? nearest.name : feature_names[0]);
}

static bool copy_rules(struct authz_policy *policy, const struct config *config,
                       const struct authz_rules_config *from, struct authz_rules *to,
                       struct error *err)
{
    struct section section = {config, from->place, "databases"};
    if (!copy_globs(policy, &section, &from->databases, &to->databases, err))
        return false;
    section.key = "labels";
    if (!copy_labels(policy, &section, &from->labels, to, err))
        return false;
    section.key = "mysql_users";
    if (!copy_globs(policy, &section, &from->mysql_users, &to->mysql_users, err))
        return false;
    section.key = "schemas";
    if (!copy_globs(policy, &section, &from->schemas, &to->schemas, err))
        return false;
    section.key = "features";
    for (size_t i = 0; i < from->features.count; i++)
        if (!copy_feature(&section, &from->features, i, to, err))
            return false;
    return true;
}

static void lower_globs(struct authz_globs *globs)
{
    for (size_t i = 0; i < globs->count; i++)
        for (char *at = (char *)globs->items[i]; *at; at++)
            if (*at >= 'A' && *at <= 'Z')
                *at = (char)(*at | 0x20);
}

/* Role names stand in log lines and errors as they are. */
static bool check_role_name(const struct config *config, const struct authz_role_config *role,
                            struct error *err)
{
    for (const char *at = role->name; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            return config_error(config, role->place, "name", err,
                                "a role's name must not hold control characters");
    return true;
}

static bool compile_role(struct authz_policy *policy, const struct config *config,
                         const struct authz_role_config *from, struct error *err)
{
    if (!check_role_name(config, from, err))
        return false;
    if (authz_policy_role(policy, from->name))
        return config_error(config, from->place, "name", err,
                            "there is a role \"%s\" already: names must differ", from->name);
    struct authz_role *role = &policy->roles[policy->role_count];
    role->name = authz_policy_copy(policy, from->name, err);
    if (!role->name || !copy_rules(policy, config, &from->allow, &role->allow, err) ||
        !copy_rules(policy, config, &from->deny, &role->deny, err))
        return false;
    lower_globs(&role->deny.schemas);
    role->limits = (struct authz_limits){
        .sessions = from->limits.sessions,
        .idle_timeout_ms = from->limits.idle_timeout,
        .session_lifetime_ms = from->limits.session_lifetime,
    };
    policy->role_count++;
    return true;
}

/* --- mappings --- */

static bool find_role(const struct authz_policy *policy, const struct config *config,
                      const struct authz_mapping_config *mapping, size_t index,
                      const struct authz_role **out, struct error *err)
{
    const char *wanted = mapping->roles.items[index];
    *out = authz_policy_role(policy, wanted);
    if (*out)
        return true;
    struct suggestion nearest = suggestion_for(wanted);
    for (size_t i = 0; i < policy->role_count; i++)
        suggestion_try(&nearest, policy->roles[i].name);
    return config_error_item(config, mapping->place, "roles", index, err,
                             "there is no role \"%s\"%s%s%s", wanted,
                             nearest.name ? "; did you mean \"" : "",
                             nearest.name ? nearest.name : "", nearest.name ? "\"?" : "");
}

static bool check_mapping_shape(const struct config *config,
                                const struct authz_mapping_config *mapping, struct error *err)
{
    bool selects = mapping->subject || mapping->san_uri;
    if (mapping->roles.count == 0 && !mapping->roles_from)
        return config_error(config, mapping->place, NULL, err,
                            "a mapping needs \"roles\" or \"roles_from\": it gives no role");
    if (mapping->roles.count > 0 && !selects)
        return config_error(config, mapping->place, "roles", err,
                            "a mapping with \"roles\" needs \"subject\" or \"san_uri\": this one "
                            "would give its roles to every bot (if that is meant, write "
                            "\"subject\": \"CN=*\")");
    if (mapping->roles_from &&
        !authz_attribute_type_valid(mapping->roles_from, strlen(mapping->roles_from)))
        return config_error(config, mapping->place, "roles_from", err,
                            "\"%s\" is no attribute type: write one such as \"O\" or \"OU\"",
                            mapping->roles_from);
    return true;
}

static bool compile_subject(struct authz_policy *policy, const struct config *config,
                            const struct authz_mapping_config *from, struct authz_mapping *mapping,
                            struct error *err)
{
    struct error problem = {0};
    if (!from->subject || authz_subject_compile(policy, from->subject, mapping, &problem))
        return true;
    if (problem.code != ERROR_MALFORMED)
        return error_set(err, problem.code, "%s", problem.message);
    return config_error(config, from->place, "subject", err, "%s", problem.message);
}

static bool compile_san_uri(struct authz_policy *policy, const struct config *config,
                            const struct authz_mapping_config *from, struct authz_mapping *mapping,
                            struct error *err)
{
    struct error problem = {0};
    if (!from->san_uri)
        return true;
    if (!glob_check(from->san_uri, &problem))
        return config_error(config, from->place, "san_uri", err, "%s", problem.message);
    mapping->san_uri = authz_policy_copy(policy, from->san_uri, err);
    return mapping->san_uri != NULL;
}

static bool compile_mapping(struct authz_policy *policy, const struct config *config,
                            const struct authz_mapping_config *from, struct error *err)
{
    struct authz_mapping *mapping = &policy->mappings[policy->mapping_count];
    if (!check_mapping_shape(config, from, err) ||
        !compile_subject(policy, config, from, mapping, err) ||
        !compile_san_uri(policy, config, from, mapping, err))
        return false;
    if (from->roles_from) {
        mapping->roles_from = authz_policy_copy(policy, from->roles_from, err);
        if (!mapping->roles_from)
            return false;
    }
    if (from->roles.count > 0) {
        mapping->roles = authz_policy_take(policy, from->roles.count, sizeof *mapping->roles, err);
        if (!mapping->roles)
            return false;
    }
    for (size_t i = 0; i < from->roles.count; i++, mapping->role_count++)
        if (!find_role(policy, config, from, i, &mapping->roles[i], err))
            return false;
    policy->mapping_count++;
    return true;
}

/* --- the policy --- */

static bool check_counts(const struct config *config, const struct authz_role_config *roles,
                         size_t role_count, const struct authz_mapping_config *mappings,
                         size_t mapping_count, struct error *err)
{
    if (role_count > AUTHZ_CONFIG_ROLES_MAX)
        return config_error(config, roles[AUTHZ_CONFIG_ROLES_MAX].place, NULL, err,
                            "more than %d roles", AUTHZ_CONFIG_ROLES_MAX);
    if (mapping_count > AUTHZ_CONFIG_MAPPINGS_MAX)
        return config_error(config, mappings[AUTHZ_CONFIG_MAPPINGS_MAX].place, NULL, err,
                            "more than %d mappings", AUTHZ_CONFIG_MAPPINGS_MAX);
    return true;
}

static bool compile(struct authz_policy *policy, const struct config *config,
                    const struct authz_role_config *roles, size_t role_count,
                    const struct authz_mapping_config *mappings, size_t mapping_count,
                    struct error *err)
{
    policy->roles = authz_policy_take(policy, role_count, sizeof *policy->roles, err);
    policy->mappings = authz_policy_take(policy, mapping_count, sizeof *policy->mappings, err);
    if (!policy->roles || !policy->mappings)
        return false;
    for (size_t i = 0; i < role_count; i++)
        if (!compile_role(policy, config, &roles[i], err))
            return false;
    for (size_t i = 0; i < mapping_count; i++)
        if (!compile_mapping(policy, config, &mappings[i], err))
            return false;
    return true;
}

bool authz_policy_create(const struct config *config, const struct authz_role_config *roles,
                         size_t role_count, const struct authz_mapping_config *mappings,
                         size_t mapping_count, struct authz_policy **out, struct error *err)
{
    *out = NULL;
    if (!check_counts(config, roles, role_count, mappings, mapping_count, err))
        return false;
    struct authz_policy *policy = calloc(1, sizeof *policy);
    if (!policy)
        return error_set(err, ERROR_MEMORY, "out of memory for the roles");
    atomic_init(&policy->references, 1);
    if (!compile(policy, config, roles, role_count, mappings, mapping_count, err)) {
        policy_free(policy);
        return false;
    }
    *out = policy;
    return true;
}
