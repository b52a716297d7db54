/* SPDX-License-Identifier: Apache-2.0 */
/* Policies out of JSON text, for the tests of authz/. */
#ifndef SALLYPORT_TESTS_UNIT_AUTHZ_SUPPORT_H
#define SALLYPORT_TESTS_UNIT_AUTHZ_SUPPORT_H

#include <criterion/criterion.h>
#include <string.h>

#include "authz/authz.h"
#include "authz/authz_config.h"

struct sections {
    struct authz_role_config *roles;
    size_t role_count;
    struct authz_mapping_config *mappings;
    size_t mapping_count;
};

static const struct config_field section_fields[] = {
    {CONFIG_OBJECTS_AT(struct sections, roles, role_count), .key = "roles",
     .table = &authz_role_table},
    {CONFIG_OBJECTS_AT(struct sections, mappings, mapping_count), .key = "mappings",
     .table = &authz_mapping_table},
};
static const struct config_table section_table = {CONFIG_TABLE(struct sections, section_fields)};

static inline bool load_policy(const char *text, struct authz_policy **policy, struct error *err)
{
    struct sections sections;
    struct config *config;
    *policy = NULL;
    if (!config_load_text("f.json", "/", text, strlen(text), &section_table, &sections, &config,
                          err))
        return false;
    bool good = authz_policy_create(config, sections.roles, sections.role_count, sections.mappings,
                                    sections.mapping_count, policy, err);
    config_free(config); /* the policy must not need it */
    return good;
}

static inline struct authz_policy *policy_of(const char *text)
{
    struct error err = {0};
    struct authz_policy *policy;
    cr_assert(load_policy(text, &policy, &err), "%s", err.message);
    return policy;
}

static const struct authz_attribute bot_attributes[] = {{"CN", "bot"}};
static const struct authz_subject bot_subject = {bot_attributes, 1, NULL, 0};

#endif
