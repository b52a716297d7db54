/* SPDX-License-Identifier: Apache-2.0 */
#include "authz/authz_config.h"

#include "base/glob.h"
#include "base/suggest.h"

/* Lists have at least one element, so that an empty list is never taken for an absent one: absent
 * databases with labels beside them mean "any database with these labels". */
static const struct config_field rules_fields[] = {
    {CONFIG_STRINGS_AT(struct authz_rules_config, databases), .key = "databases", .least = 1,
     .help = "globs of database names"},
    {CONFIG_MAP_AT(struct authz_rules_config, labels), .key = "labels", .least = 1,
     .help = "database labels: name to globs of values"},
    {CONFIG_STRINGS_AT(struct authz_rules_config, mysql_users), .key = "mysql_users", .least = 1,
     .help = "globs of MySQL user names"},
    {CONFIG_STRINGS_AT(struct authz_rules_config, schemas), .key = "schemas", .least = 1,
     .help = "globs of schema names"},
    {CONFIG_STRINGS_AT(struct authz_rules_config, features), .key = "features", .least = 1,
     .help = "replication, local_infile"},
};

static const struct config_table rules_table = {
    CONFIG_TABLE(struct authz_rules_config, rules_fields),
    .place = CONFIG_PLACE_AT(struct authz_rules_config, place)};

static const struct config_field limits_fields[] = {
    {CONFIG_UNSIGNED_AT(struct authz_limits_config, sessions), .key = "sessions", .fallback = "0",
     .help = "sessions at once, for each bot; 0: no limit"},
    {CONFIG_DURATION_AT(struct authz_limits_config, idle_timeout), .key = "idle_timeout",
     .fallback = "0s", .help = "a session without a command for so long is ended; 0s: never"},
    {CONFIG_DURATION_AT(struct authz_limits_config, session_lifetime), .key = "session_lifetime",
     .fallback = "0s", .help = "a session is ended when it is so old; 0s: never"},
};

static const struct config_table limits_table = {
    CONFIG_TABLE(struct authz_limits_config, limits_fields)};

static const struct config_field role_fields[] = {
    {CONFIG_STRING_AT(struct authz_role_config, name), .key = "name", .required = true,
     .greatest = AUTHZ_ROLE_NAME_MAX, .help = "what mappings and certificates call it"},
    {CONFIG_INLINE_AT(struct authz_role_config, allow), .key = "allow", .table = &rules_table,
     .help = "what bots with this role may use"},
    {CONFIG_INLINE_AT(struct authz_role_config, deny), .key = "deny", .table = &rules_table,
     .help = "what they may not use, whatever any role allows"},
    {CONFIG_INLINE_AT(struct authz_role_config, limits), .key = "limits", .table = &limits_table,
     .help = "limits of their sessions"},
};

const struct config_table authz_role_table = {CONFIG_TABLE(struct authz_role_config, role_fields),
                                              .place =
                                                  CONFIG_PLACE_AT(struct authz_role_config, place)};

static const struct config_field mapping_fields[] = {
    {CONFIG_STRING_AT(struct authz_mapping_config, subject), .key = "subject",
     .greatest = AUTHZ_PATTERN_MAX,
     .help = "attributes that the certificate's subject must have, e.g. CN=ci-*,OU=bots"},
    {CONFIG_STRING_AT(struct authz_mapping_config, san_uri), .key = "san_uri",
     .greatest = AUTHZ_PATTERN_MAX,
     .help = "glob that a SAN URI of the certificate must match; * stops at a slash, ** does not"},
    {CONFIG_STRINGS_AT(struct authz_mapping_config, roles), .key = "roles", .least = 1,
     .greatest = AUTHZ_ROLES_MAX, .help = "the roles that it gives"},
    {CONFIG_STRING_AT(struct authz_mapping_config, roles_from), .key = "roles_from",
     .help = "subject attribute whose values name roles, e.g. O"},
};

const struct config_table authz_mapping_table = {
    CONFIG_TABLE(struct authz_mapping_config, mapping_fields),
    .place = CONFIG_PLACE_AT(struct authz_mapping_config, place)};

static bool check_database(const struct config *config, const struct authz_rules_config *rules,
                           size_t index, const char *const *names, size_t name_count,
                           struct error *err)
{
    const char *wanted = rules->databases.items[index];
    if (glob_is_wild(wanted))
        return true;
    struct suggestion nearest = suggestion_for(wanted);
    for (size_t i = 0; i < name_count; i++) {
        if (glob_match(wanted, names[i]))
            return true;
        suggestion_try(&nearest, names[i]);
    }
    return config_error_item(config, rules->place, "databases", index, err,
                             "there is no database \"%s\"%s%s%s", wanted,
                             nearest.name ? "; did you mean \"" : "",
                             nearest.name ? nearest.name : "", nearest.name ? "\"?" : "");
}

static bool check_rules(const struct config *config, const struct authz_rules_config *rules,
                        const char *const *names, size_t name_count, struct error *err)
{
    for (size_t i = 0; i < rules->databases.count; i++)
        if (!check_database(config, rules, i, names, name_count, err))
            return false;
    return true;
}

bool authz_config_check_databases(const struct config *config,
                                  const struct authz_role_config *roles, size_t role_count,
                                  const char *const *names, size_t name_count, struct error *err)
{
    for (size_t i = 0; i < role_count; i++)
        if (!check_rules(config, &roles[i].allow, names, name_count, err) ||
            !check_rules(config, &roles[i].deny, names, name_count, err))
            return false;
    return true;
}
