/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "authz/authz.h"
#include "authz/authz_config.h"
#include "base/clock.h"

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

static bool load(const char *text, struct authz_policy **policy, struct error *err)
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

static struct authz_policy *policy_of(const char *text)
{
    struct error err = {0};
    struct authz_policy *policy;
    cr_assert(load(text, &policy, &err), "%s", err.message);
    return policy;
}

/* Loads what must be refused, at this position and with these words. */
static void refuses(const char *text, const char *position, const char *words)
{
    struct error err = {0};
    struct authz_policy *policy;
    char start[64];
    snprintf(start, sizeof start, "f.json:%s: ", position);
    cr_assert(!load(text, &policy, &err), "accepted: %s", text);
    cr_assert_null(policy);
    cr_assert_eq(err.code, ERROR_CONFIG, "%s", err.message);
    cr_assert(strncmp(err.message, start, strlen(start)) == 0, "%s: %s", text, err.message);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

/* A policy of these roles, all of which the bot holds. */
struct world {
    struct authz_policy *policy;
    struct authz_roles roles;
};

static const struct authz_attribute bot_attributes[] = {{"CN", "bot"}};
static const struct authz_subject bot_subject = {bot_attributes, 1, NULL, 0};

static struct world world_of(const char *roles, const char *names)
{
    char text[8192];
    struct error err = {0};
    struct world world;
    snprintf(text, sizeof text,
             "{\"roles\": [%s], \"mappings\": [{\"subject\": \"CN=*\", \"roles\": [%s]}]}", roles,
             names);
    world.policy = policy_of(text);
    cr_assert(authz_map(world.policy, &bot_subject, &world.roles, &err), "%s", err.message);
    return world;
}

static struct authz_decision ask(const struct world *world, const char *database, const char *user,
                                 const char *schema)
{
    struct authz_decision decision;
    struct authz_request request = {.database = database, .mysql_user = user, .schema = schema};
    authz_decide(&world->roles, &request, &decision);
    cr_assert_gt(strlen(decision.rule), 0);
    return decision;
}

static void allows(const struct world *world, const char *database, const char *user,
                   const char *schema)
{
    struct authz_decision decision = ask(world, database, user, schema);
    cr_assert(decision.allowed, "%s", decision.rule);
}

static void denies(const struct world *world, const char *database, const char *user,
                   const char *schema, const char *rule)
{
    struct authz_decision decision = ask(world, database, user, schema);
    cr_assert(!decision.allowed, "allowed: %s", decision.rule);
    cr_assert_str_eq(decision.rule, rule);
}

#define READER                                                                                  \
    "{\"name\": \"reader\", \"allow\": {\"databases\": [\"shop\"], \"mysql_users\": [\"ro\"], " \
    "\"schemas\": [\"shop\", \"s*\"]}}"

/* ---- deciding ---- */

Test(authz, allows_what_one_role_allows)
{
    struct world world = world_of(READER, "\"reader\"");
    allows(&world, "shop", NULL, NULL);
    allows(&world, "shop", "ro", NULL);
    allows(&world, "shop", "ro", "shop");
    allows(&world, "shop", "ro", "sales");
    cr_assert_str_eq(ask(&world, "shop", "ro", "shop").rule,
                     "role reader allows database shop, MySQL user ro, schema shop");
    cr_assert_str_eq(ask(&world, "shop", NULL, NULL).rule, "role reader allows database shop");
    authz_policy_unref(world.policy);
}

Test(authz, denies_what_no_role_allows)
{
    struct world world = world_of(READER, "\"reader\"");
    denies(&world, "bank", NULL, NULL, "no role allows database bank (roles: reader)");
    denies(&world, "bank", "ro", "shop", "no role allows database bank (roles: reader)");
    denies(&world, "shop", "root", NULL,
           "no role allows MySQL user root on database shop (roles: reader)");
    denies(&world, "shop", "ro", "mysql",
           "no role allows schema mysql on database shop (roles: reader)");
    denies(&world, "SHOP", NULL, NULL, "no role allows database SHOP (roles: reader)");
    denies(&world, "shop", "RO", NULL,
           "no role allows MySQL user RO on database shop (roles: reader)");
    denies(&world, "shop", "ro", "SHOP",
           "no role allows schema SHOP on database shop (roles: reader)");
    denies(&world, "shop", "", NULL, "no role allows MySQL user  on database shop (roles: reader)");
    denies(&world, "shop", "ro", "", "no role allows schema  on database shop (roles: reader)");
    authz_policy_unref(world.policy);
}

Test(authz, denies_everything_to_a_role_without_rules)
{
    struct world world = world_of("{\"name\": \"empty\"}", "\"empty\"");
    denies(&world, "shop", NULL, NULL, "no role allows database shop (roles: empty)");
    authz_policy_unref(world.policy);
    world =
        world_of("{\"name\": \"users\", \"allow\": {\"mysql_users\": \"*\", \"schemas\": \"*\"}}",
                 "\"users\"");
    denies(&world, "shop", "a", "b", "no role allows database shop (roles: users)");
    authz_policy_unref(world.policy);
    world = world_of("{\"name\": \"base\", \"allow\": {\"databases\": \"*\"}}", "\"base\"");
    allows(&world, "shop", NULL, NULL);
    denies(&world, "shop", "a", NULL, "no role allows MySQL user a on database shop (roles: base)");
    authz_policy_unref(world.policy);
    world =
        world_of("{\"name\": \"base\", \"allow\": {\"databases\": \"*\", \"mysql_users\": \"*\"}}",
                 "\"base\"");
    allows(&world, "shop", "a", NULL);
    denies(&world, "shop", "a", "b", "no role allows schema b on database shop (roles: base)");
    authz_policy_unref(world.policy);
}

Test(authz, denies_everything_without_roles)
{
    struct world world = {.roles = {.count = 0}};
    denies(&world, "shop", NULL, NULL, "no role allows database shop (roles: )");
    struct authz_request request = {.database = "shop", .mysql_user = "u"};
    struct authz_decision decision;
    authz_decide_feature(&world.roles, &request, AUTHZ_REPLICATION, &decision);
    cr_assert_not(decision.allowed);
    cr_assert_not(authz_any_schema(&world.roles, &request));
}

Test(authz, deny_of_any_role_beats_every_allow)
{
    static const char roles[] =
        "{\"name\": \"all\", \"allow\": {\"databases\": \"*\", \"mysql_users\": \"*\", "
        "\"schemas\": \"*\"}}, "
        "{\"name\": \"no-mysql\", \"deny\": {\"schemas\": [\"mysql\", \"Sys*\"], "
        "\"databases\": \"bank\", \"mysql_users\": \"root\", \"labels\": {\"env\": \"prod\"}}}";
    for (int i = 0; i < 2; i++) { /* in whichever order the bot holds them */
        struct world world = world_of(roles, i ? "\"all\", \"no-mysql\"" : "\"no-mysql\", \"all\"");
        allows(&world, "shop", "ro", "shop");
        denies(&world, "shop", "ro", "mysql", "role no-mysql denies schema mysql");
        denies(&world, "bank", NULL, NULL, "role no-mysql denies database bank");
        denies(&world, "shop", "root", NULL, "role no-mysql denies MySQL user root");
        authz_policy_unref(world.policy);
    }
}

/* MySQL "Identifier Case Sensitivity": with lower_case_table_names=1 the server folds the name. */
Test(authz, deny_of_a_schema_ignores_ascii_case)
{
    struct world world = world_of("{\"name\": \"r\", \"allow\": {\"databases\": \"*\", "
                                  "\"mysql_users\": \"*\", \"schemas\": \"*\"}, "
                                  "\"deny\": {\"schemas\": [\"mysql\", \"Sys*\", \"A\\\\*\"]}}",
                                  "\"r\"");
    denies(&world, "d", "u", "MySQL", "role r denies schema MySQL");
    denies(&world, "d", "u", "SYSTEM", "role r denies schema SYSTEM");
    denies(&world, "d", "u", "sys", "role r denies schema sys");
    denies(&world, "d", "u", "a*", "role r denies schema a*");
    allows(&world, "d", "u", "ab");
    allows(&world, "d", "u", "mysql2");
    authz_policy_unref(world.policy);
}

Test(authz, roles_do_not_add_up_by_halves)
{
    struct world world = world_of(
        "{\"name\": \"a\", \"allow\": {\"databases\": \"shop\", \"mysql_users\": \"writer\", "
        "\"schemas\": \"logs\"}}, "
        "{\"name\": \"b\", \"allow\": {\"databases\": \"shop\", \"mysql_users\": \"reader\", "
        "\"schemas\": \"sales\"}}, "
        "{\"name\": \"c\", \"allow\": {\"databases\": \"bank\", \"mysql_users\": \"root\", "
        "\"schemas\": \"*\"}}",
        "\"a\", \"b\", \"c\"");
    allows(&world, "shop", "writer", "logs");
    allows(&world, "shop", "reader", "sales");
    allows(&world, "bank", "root", "sales");
    denies(&world, "shop", "writer", "sales",
           "no single role allows schema sales to MySQL user writer (roles: a, b, c)");
    denies(&world, "shop", "root", NULL,
           "no role allows MySQL user root on database shop (roles: a, b, c)");
    denies(&world, "bank", "reader", "sales",
           "no role allows MySQL user reader on database bank (roles: a, b, c)");
    authz_policy_unref(world.policy);
}

/* Asks for a database with these labels: "env" with up to two values, "team" with one. */
static bool allowed_with_labels(const struct world *world, const char *database, const char *env,
                                const char *env2, const char *team)
{
    const char *const envs[] = {env, env2};
    const char *const teams[] = {team};
    struct authz_label labels[2];
    size_t count = 0;
    if (env)
        labels[count++] = (struct authz_label){"env", envs, env2 ? 2 : 1};
    if (team)
        labels[count++] = (struct authz_label){"team", teams, 1};
    struct authz_request request = {.database = database, .labels = labels, .label_count = count};
    struct authz_decision decision;
    authz_decide(&world->roles, &request, &decision);
    return decision.allowed;
}

Test(authz, labels_alone_select_databases)
{
    struct world world =
        world_of("{\"name\": \"r\", \"allow\": {\"labels\": {\"env\": [\"prod\", \"st*\"], "
                 "\"team\": \"*\"}}}",
                 "\"r\"");
    cr_assert(allowed_with_labels(&world, "x", "prod", NULL, "a"));
    cr_assert(allowed_with_labels(&world, "x", "dev", "staging", "a"));
    cr_assert_not(allowed_with_labels(&world, "x", "dev", NULL, "a"), "no value fits");
    cr_assert_not(allowed_with_labels(&world, "x", "prod", NULL, NULL), "every label must match");
    cr_assert_not(allowed_with_labels(&world, "x", NULL, NULL, "a"));
    cr_assert_not(allowed_with_labels(&world, "x", "PROD", NULL, "a"));
    authz_policy_unref(world.policy);
}

Test(authz, labels_and_databases_must_both_match)
{
    struct world world = world_of("{\"name\": \"r\", \"allow\": {\"databases\": \"shop\", "
                                  "\"labels\": {\"env\": \"prod\"}}}",
                                  "\"r\"");
    cr_assert(allowed_with_labels(&world, "shop", "prod", NULL, NULL));
    cr_assert_not(allowed_with_labels(&world, "shop", "dev", NULL, NULL));
    cr_assert_not(allowed_with_labels(&world, "shop", NULL, NULL, NULL));
    cr_assert_not(allowed_with_labels(&world, "bank", "prod", NULL, NULL));
    authz_policy_unref(world.policy);
}

Test(authz, each_denied_label_denies_by_itself)
{
    struct world world = world_of("{\"name\": \"r\", \"allow\": {\"databases\": \"*\"}, \"deny\": "
                                  "{\"labels\": {\"env\": \"prod\", \"team\": \"pay*\"}}}",
                                  "\"r\"");
    cr_assert(allowed_with_labels(&world, "x", "dev", NULL, "shop"));
    cr_assert(allowed_with_labels(&world, "x", NULL, NULL, NULL));
    cr_assert_not(allowed_with_labels(&world, "x", "prod", NULL, "shop"));
    cr_assert_not(allowed_with_labels(&world, "x", "dev", "prod", NULL), "one value is enough");
    cr_assert_not(allowed_with_labels(&world, "x", "dev", NULL, "payments"));
    authz_policy_unref(world.policy);
}

/* MySQL "Mapping of Identifiers to File Names". MariaDB 10.11.19 answers USE `#mysql50#b` with
 * 1102; a server that took it would open schema b under a name that no rule knows. */
Test(authz, denies_raw_schema_names)
{
    struct world world = world_of("{\"name\": \"r\", \"allow\": {\"databases\": \"*\", "
                                  "\"mysql_users\": \"*\", \"schemas\": \"*\"}}",
                                  "\"r\"");
    static const char rule[] = "schema names that begin with #mysql50# are not allowed";
    denies(&world, "d", "u", "#mysql50#mysql", rule);
    denies(&world, "d", "u", "#MySQL50#mysql", rule);
    allows(&world, "d", "u", "#mysql5");
    authz_policy_unref(world.policy);
}

Test(authz, denies_names_that_no_server_has)
{
    struct world world = world_of("{\"name\": \"r\", \"allow\": {\"databases\": \"*\", "
                                  "\"mysql_users\": \"*\", \"schemas\": \"*\"}}",
                                  "\"r\"");
    static char name[100000];
    memset(name, 'a', sizeof name - 1);
    denies(&world, "d", "u", name, "a schema name has at most 256 bytes");
    denies(&world, "d", name, NULL, "a MySQL user name has at most 512 bytes");
    name[513] = '\0';
    denies(&world, "d", name, NULL, "a MySQL user name has at most 512 bytes");
    name[512] = '\0';
    allows(&world, "d", name, NULL);
    name[257] = '\0';
    denies(&world, "d", "u", name, "a schema name has at most 256 bytes");
    name[256] = '\0';
    allows(&world, "d", "u", name);
    authz_policy_unref(world.policy);
}

Test(authz, texts_are_one_clean_line_whatever_the_names)
{
    struct world world = world_of(READER, "\"reader\"");
    denies(&world, "shop", "a\nb\x1b[2J\x7f\xff", NULL,
           "no role allows MySQL user a?b?[2J?? on database shop (roles: reader)");
    denies(&world, "shop", "J\xc3\xbcrgen", NULL,
           "no role allows MySQL user J\xc3\xbcrgen on database shop (roles: reader)");
    char name[200];
    memset(name, 'x', sizeof name);
    memcpy(name + 79, "\xc3\xbc", 2); /* is cut within the character */
    name[199] = '\0';
    struct authz_decision decision = ask(&world, "shop", name, NULL);
    cr_assert_not_null(strstr(decision.rule, "x? on database shop (roles: reader)"), "%s",
                       decision.rule);
    authz_policy_unref(world.policy);
}

Test(authz, a_long_list_of_roles_is_cut)
{
    char roles[4096] = "";
    char names[1024] = "";
    for (int i = 0; i < 20; i++) {
        char one[64];
        snprintf(one, sizeof one, "%s{\"name\": \"role-number-%02d\"}", i ? "," : "", i);
        strcat(roles, one);
        snprintf(one, sizeof one, "%s\"role-number-%02d\"", i ? "," : "", i);
        strcat(names, one);
    }
    struct world world = world_of(roles, names);
    struct authz_decision decision = ask(&world, "shop", NULL, NULL);
    cr_assert_not_null(strstr(decision.rule, "(roles: role-number-00, role-number-01"));
    cr_assert_not_null(strstr(decision.rule, ", and more)"), "%s", decision.rule);
    authz_policy_unref(world.policy);
}

Test(authz, hostile_texts_take_linear_time)
{
    struct world world = world_of("{\"name\": \"r\", \"allow\": {\"databases\": \"*\", "
                                  "\"mysql_users\": \"*a*a*a*a*a*a*a*a*b\"}}",
                                  "\"r\"");
    char name[513];
    memset(name, 'a', 512);
    name[512] = '\0';
    int64_t before = clock_monotonic_us();
    for (int i = 0; i < 100; i++)
        cr_assert_not(ask(&world, "d", name, NULL).allowed);
    cr_assert_lt(clock_monotonic_us() - before, 5000000);
    authz_policy_unref(world.policy);
}

/* ---- limits ---- */

#define LIMITED(name, databases, limits)                                                           \
    "{\"name\": \"" name "\", \"allow\": {\"databases\": \"" databases "\"}, \"limits\": {" limits \
    "}}"

Test(authz, the_tightest_limits_of_the_allowing_roles_hold)
{
    struct world world = world_of(
        LIMITED(
            "a", "shop",
            "\"sessions\": 20, \"idle_timeout\": \"10m\"") "," LIMITED("b", "s*",
                                                                       "\"sessions\": 5, "
                                                                       "\"idle_timeout\": \"1h\", "
                                                                       "\"session_lifetime\": "
                                                                       "\"12h\"") "," LIMITED("c",
                                                                                              "ban"
                                                                                              "k",
                                                                                              "\"se"
                                                                                              "ssio"
                                                                                              "ns\""
                                                                                              ": "
                                                                                              "1"),
        "\"a\", \"b\", \"c\"");
    struct authz_limits limits = ask(&world, "shop", NULL, NULL).limits;
    cr_assert_eq(limits.sessions, 5);
    cr_assert_eq(limits.idle_timeout_ms, 600000);
    cr_assert_eq(limits.session_lifetime_ms, 43200000);
    limits = ask(&world, "bank", NULL, NULL).limits;
    cr_assert_eq(limits.sessions, 1, "the others do not allow it, so they do not limit it");
    cr_assert_eq(limits.idle_timeout_ms, 0);
    cr_assert_eq(limits.session_lifetime_ms, 0);
    limits = ask(&world, "other", NULL, NULL).limits;
    cr_assert_eq(limits.sessions, 0);
    authz_policy_unref(world.policy);
}

/* ---- features ---- */

#define FEATURED(name, user, allow, deny)                                                    \
    "{\"name\": \"" name "\", \"allow\": {\"databases\": \"shop\", \"mysql_users\": \"" user \
    "\"" allow "}, \"deny\": {" deny "}}"

static struct authz_decision ask_feature(const struct world *world, const char *user,
                                         enum authz_feature feature)
{
    struct authz_request request = {.database = "shop", .mysql_user = user, .schema = "any"};
    struct authz_decision decision;
    authz_decide_feature(&world->roles, &request, feature, &decision);
    return decision;
}

Test(authz, features_need_a_role_that_allows_database_and_user_too)
{
    struct world world = world_of(FEATURED("copy", "repl", ", \"features\": \"replication\"",
                                           "") "," FEATURED("read", "ro", "", ""),
                                  "\"copy\", \"read\"");
    cr_assert(ask_feature(&world, "repl", AUTHZ_REPLICATION).allowed);
    cr_assert_str_eq(ask_feature(&world, "repl", AUTHZ_REPLICATION).rule,
                     "role copy allows replication");
    cr_assert_not(ask_feature(&world, "ro", AUTHZ_REPLICATION).allowed, "halves do not add up");
    cr_assert_str_eq(ask_feature(&world, "repl", AUTHZ_LOCAL_INFILE).rule,
                     "no role allows LOCAL INFILE on database shop (roles: copy, read)");
    cr_assert_not(ask_feature(&world, "repl", AUTHZ_LOCAL_INFILE).allowed);
    cr_assert_not(ask_feature(&world, "repl", AUTHZ_FEATURE_COUNT).allowed);
    authz_policy_unref(world.policy);
}

Test(authz, a_denied_feature_is_denied)
{
    struct world world = world_of(
        FEATURED("a", "*", ", \"features\": [\"replication\", \"local_infile\"]", "") "," FEATURED(
            "b", "*", "", "\"features\": \"local_infile\", \"mysql_users\": \"root\""),
        "\"a\", \"b\"");
    cr_assert(ask_feature(&world, "u", AUTHZ_REPLICATION).allowed);
    cr_assert_str_eq(ask_feature(&world, "u", AUTHZ_LOCAL_INFILE).rule,
                     "role b denies LOCAL INFILE");
    cr_assert_not(ask_feature(&world, "u", AUTHZ_LOCAL_INFILE).allowed);
    cr_assert_not(ask_feature(&world, "root", AUTHZ_REPLICATION).allowed);
    authz_policy_unref(world.policy);
}

/* ---- any schema ---- */

static bool any_schema(const char *roles, const char *names, const char *user)
{
    struct world world = world_of(roles, names);
    struct authz_request request = {.database = "shop", .mysql_user = user};
    bool any = authz_any_schema(&world.roles, &request);
    authz_policy_unref(world.policy);
    return any;
}

Test(authz, knows_when_every_schema_is_allowed)
{
    static const char all[] = "{\"name\": \"all\", \"allow\": {\"databases\": \"shop\", "
                              "\"mysql_users\": \"ro\", \"schemas\": [\"x\", \"**\"]}}";
    char two[1024];
    cr_assert(any_schema(all, "\"all\"", "ro"));
    cr_assert_not(any_schema(all, "\"all\"", "rw"));
    cr_assert_not(any_schema(all, "\"all\"", NULL), "the user is not known yet");
    cr_assert_not(any_schema(READER, "\"reader\"", "ro"));
    snprintf(two, sizeof two, "%s, %s", READER, all);
    cr_assert(any_schema(two, "\"all\", \"reader\"", "ro"));
    cr_assert(any_schema(two, "\"reader\", \"all\"", "ro"));
    snprintf(two, sizeof two, "%s, {\"name\": \"no\", \"deny\": {\"schemas\": \"mysql\"}}", all);
    cr_assert_not(any_schema(two, "\"all\", \"no\"", "ro"));
    cr_assert(any_schema(two, "\"all\"", "ro"), "a role that the bot does not hold");
    snprintf(two, sizeof two, "%s, {\"name\": \"no\", \"deny\": {\"databases\": \"shop\"}}", all);
    cr_assert_not(any_schema(two, "\"all\", \"no\"", "ro"));
}

Test(authz, a_star_with_more_is_not_every_schema)
{
    static const char role[] = "{\"name\": \"r\", \"allow\": {\"databases\": \"*\", "
                               "\"mysql_users\": \"*\", \"schemas\": \"%s\"}}";
    static const char *const some[] = {"*?", "?", "*a", "\\\\*", "a*"};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        char text[256];
        snprintf(text, sizeof text, role, some[i]);
        cr_assert_not(any_schema(text, "\"r\"", "u"), "%s", some[i]);
    }
}

/* ---- mapping ---- */

#define ROLES "\"roles\": [{\"name\": \"a\"}, {\"name\": \"b\"}, {\"name\": \"c d\"}]"

/* The names of the roles that a subject gets, in order, or the error's text. */
static const char *mapped(const char *mappings, const struct authz_subject *subject)
{
    static char text[1024];
    char json[4096];
    struct authz_roles roles;
    struct error err = {0};
    snprintf(json, sizeof json, "{" ROLES ", \"mappings\": [%s]}", mappings);
    struct authz_policy *policy = policy_of(json);
    text[0] = '\0';
    if (!authz_map(policy, subject, &roles, &err)) {
        cr_assert_eq(err.code, ERROR_DENIED);
        cr_assert_eq(roles.count, 0);
        snprintf(text, sizeof text, "%s", err.message);
    }
    for (size_t i = 0; i < roles.count; i++) {
        strcat(text, i ? "+" : "");
        strcat(text, authz_role_name(roles.roles[i]));
    }
    authz_policy_unref(policy);
    return text;
}

static const struct authz_attribute many[] = {
    {"CN", "ci-7"},   {"OU", "bots"},  {"OU", "Team, A+B"},
    {"O", "a"},       {"O", "gone"},   {"o", "b"},
    {"L", "50*off?"}, {"ST", "C:\\x"}, {"2.5.4.42", "J\xc3\xbcrgen"},
};
static const char *const uris[] = {"spiffe://acme.example/ns/shop/sa/ci", "https://other.example/"};
static const struct authz_subject rich = {many, sizeof many / sizeof *many, uris, 2};

static const char none[] = "no mapping gives this certificate a role";

/* What the rich subject gets by one pattern: "a", or nothing. */
static void by_subject(const char *pattern, bool matches)
{
    char mapping[512];
    snprintf(mapping, sizeof mapping, "{\"subject\": \"%s\", \"roles\": \"a\"}", pattern);
    cr_assert_str_eq(mapped(mapping, &rich), matches ? "a" : none, "%s", pattern);
}

Test(authz, subject_patterns_match_attributes)
{
    by_subject("CN=ci-*", true);
    by_subject("CN=ci-?", true);
    by_subject("cn=ci-7", true);
    by_subject("CN=CI-7", false);
    by_subject("CN=ci-", false);
    by_subject("CN=ci-*,OU=bots", true);
    by_subject("OU=bots,CN=ci-*", true);
    by_subject(" CN = ci-* , OU = bots ", true);
    by_subject("CN=ci-*+OU=bots", true);
    by_subject("CN=ci-*,OU=people", false);
    by_subject("CN=*,UID=*", false);
    by_subject("2.5.4.42=J\xc3\xbcrgen", true);
    by_subject("2.5.4.42=J?rgen", true);
}

Test(authz, any_value_of_a_repeated_attribute_matches)
{
    by_subject("OU=bots", true);
    by_subject("OU=Team*", true);
    by_subject("OU=bots,OU=Team*", true);
    by_subject("OU=bots,OU=nobody", false);
    by_subject("O=b", true);
}

/* RFC 4514 section 2.4 and 3. In JSON each backslash is doubled. */
Test(authz, escapes_in_subject_patterns)
{
    by_subject("OU=Team\\\\, A\\\\+B", true);
    by_subject("OU=Team\\\\2C A\\\\2bB", true);
    by_subject("OU=Team\\\\, A*", true);
    by_subject("L=50\\\\*off\\\\?", true);
    by_subject("L=50\\\\2Aoff\\\\3F", true);
    by_subject("L=5\\\\2A", false);
    by_subject("L=5*", true);
    by_subject("ST=C:\\\\\\\\x", true);
    by_subject("ST=C:\\\\5Cx", true);
    by_subject("2.5.4.42=J\\\\C3\\\\BCrgen", true);
}

/* An attribute's value never reaches over into another attribute. */
Test(authz, a_value_that_looks_like_attributes_is_one_value)
{
    static const struct authz_attribute tricky[] = {{"CN", "x,OU=bots"}, {"O", "OU=bots"}};
    static const struct authz_subject subject = {tricky, 2, NULL, 0};
    cr_assert_str_eq(mapped("{\"subject\": \"OU=bots\", \"roles\": \"a\"}", &subject), none);
    cr_assert_str_eq(mapped("{\"subject\": \"CN=x,OU=bots\", \"roles\": \"a\"}", &subject), none);
}

Test(authz, san_uris_match)
{
    static const struct {
        const char *pattern;
        bool matches;
    } cases[] = {
        {"spiffe://acme.example/ns/*/sa/ci", true},
        {"spiffe://acme.example/ns/shop/sa/ci", true},
        {"spiffe://acme.example/ns/s??p/sa/*", true},
        {"spiffe://acme.example/**", true},
        {"**/sa/ci", true},
        {"**", true},
        {"https://*/", true},
        {"*", false},
        {"spiffe://acme.example/*", false},
        {"spiffe://acme.example/ns?shop/sa/ci", false},
        {"spiffe://acme.example/ns/*/sa", false},
        {"SPIFFE://acme.example/ns/*/sa/ci", false},
        {"spiffe://acme.example/ns/\\\\*/sa/ci", false},
        {"spiffe://acme.example/ns/shop/sa/ci*", true},
        {"spiffe://**/ns/*/sa/c**i", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char mapping[512];
        snprintf(mapping, sizeof mapping, "{\"san_uri\": \"%s\", \"roles\": \"b\"}",
                 cases[i].pattern);
        cr_assert_str_eq(mapped(mapping, &rich), cases[i].matches ? "b" : none, "%s",
                         cases[i].pattern);
    }
}

/* Who may choose the name of his namespace must not reach another service account with it. */
Test(authz, a_star_in_a_san_uri_stops_at_a_slash)
{
    static const char *const injected[] = {"spiffe://acme.example/ns/me/sa/x/sa/ci",
                                           "spiffe://acme.example/ns/a/b/sa/ci",
                                           "spiffe://acme.example/ns//sa/ci/sa/ci"};
    for (size_t i = 0; i < 3; i++) {
        struct authz_subject subject = {bot_attributes, 1, &injected[i], 1};
        cr_assert_str_eq(mapped("{\"san_uri\": \"spiffe://acme.example/ns/*/sa/ci\", "
                                "\"roles\": \"a\"}",
                                &subject),
                         none, "%s", injected[i]);
    }
}

Test(authz, hostile_san_uris_take_linear_time)
{
    static char uri[8192];
    char json[1024];
    memset(uri, 'a', sizeof uri - 1);
    const char *const one[] = {uri};
    struct authz_subject subject = {bot_attributes, 1, one, 1};
    snprintf(json, sizeof json,
             "{" ROLES ", \"mappings\": [{\"san_uri\": \"**a**a*a*a**a*a**a*a*a*ab\", "
             "\"roles\": \"a\"}]}");
    struct authz_policy *policy = policy_of(json);
    struct authz_roles roles;
    int64_t before = clock_monotonic_us();
    cr_assert_not(authz_map(policy, &subject, &roles, NULL));
    cr_assert_lt(clock_monotonic_us() - before, 2000000);
    authz_policy_unref(policy);
}

Test(authz, subject_and_san_uri_must_both_match)
{
    cr_assert_str_eq(mapped("{\"subject\": \"CN=ci-*\", \"san_uri\": \"https://**\", "
                            "\"roles\": \"a\"}",
                            &rich),
                     "a");
    cr_assert_str_eq(mapped("{\"subject\": \"CN=other\", \"san_uri\": \"https://**\", "
                            "\"roles\": \"a\"}",
                            &rich),
                     none);
    cr_assert_str_eq(mapped("{\"subject\": \"CN=ci-*\", \"san_uri\": \"https://x/\", "
                            "\"roles\": \"a\"}",
                            &rich),
                     none);
}

Test(authz, roles_are_the_union_over_mappings)
{
    cr_assert_str_eq(mapped("{\"subject\": \"CN=ci-*\", \"roles\": [\"b\", \"a\", \"b\"]}, "
                            "{\"subject\": \"CN=other\", \"roles\": [\"c d\"]}, "
                            "{\"san_uri\": \"https://**\", \"roles\": [\"a\", \"c d\"]}",
                            &rich),
                     "b+a+c d");
}

Test(authz, roles_from_takes_names_out_of_the_certificate)
{
    cr_assert_str_eq(mapped("{\"roles_from\": \"O\"}", &rich), "a+b");
    cr_assert_str_eq(mapped("{\"roles_from\": \"o\", \"subject\": \"OU=bots\"}", &rich), "a+b");
    cr_assert_str_eq(mapped("{\"roles_from\": \"O\", \"subject\": \"OU=nobody\"}", &rich), none);
    cr_assert_str_eq(mapped("{\"roles_from\": \"O\", \"san_uri\": \"https://x\"}", &rich), none);
    cr_assert_str_eq(mapped("{\"roles_from\": \"UID\"}", &rich), none);
    cr_assert_str_eq(
        mapped("{\"roles_from\": \"O\", \"subject\": \"OU=bots\", \"roles\": \"c d\"}", &rich),
        "c d+a+b");
}

Test(authz, unknown_roles_in_the_certificate_are_passed_over)
{
    static const char message[] = "the certificate names no role that is configured (it has "
                                  "OU=bots, OU=Team, A+B)";
    cr_assert_str_eq(mapped("{\"roles_from\": \"OU\"}", &rich), message);
    cr_assert_str_eq(
        mapped("{\"roles_from\": \"OU\"}, {\"subject\": \"CN=*\", \"roles\": \"b\"}", &rich), "b");
    static const struct authz_attribute globs[] = {{"CN", "x"}, {"O", "*"}, {"O", "A"}};
    static const struct authz_subject subject = {globs, 3, NULL, 0};
    cr_assert_str_eq(mapped("{\"roles_from\": \"O\"}", &subject),
                     "the certificate names no role that is configured (it has O=*, O=A)");
}

Test(authz, a_subject_without_anything_gets_nothing)
{
    static const struct authz_subject nobody = {NULL, 0, NULL, 0};
    cr_assert_str_eq(mapped("{\"subject\": \"CN=*\", \"roles\": \"a\"}, {\"san_uri\": \"**\", "
                            "\"roles\": \"a\"}, {\"roles_from\": \"O\"}",
                            &nobody),
                     none);
}

Test(authz, more_roles_than_a_bot_may_hold_are_refused)
{
    static char json[16384];
    struct authz_attribute attributes[AUTHZ_ROLES_MAX + 1];
    static char names[AUTHZ_ROLES_MAX + 1][8];
    strcpy(json, "{\"roles\": [");
    for (size_t i = 0; i <= AUTHZ_ROLES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "r%zu", i);
        snprintf(json + strlen(json), 64, "%s{\"name\": \"r%zu\"}", i ? "," : "", i);
        attributes[i] = (struct authz_attribute){"O", names[i]};
    }
    strcat(json, "], \"mappings\": [{\"roles_from\": \"O\"}]}");
    struct authz_policy *policy = policy_of(json);
    struct authz_subject subject = {attributes, AUTHZ_ROLES_MAX, NULL, 0};
    struct authz_roles roles;
    struct error err = {0};
    cr_assert(authz_map(policy, &subject, &roles, &err), "%s", err.message);
    cr_assert_eq(roles.count, AUTHZ_ROLES_MAX);
    subject.attribute_count++;
    cr_assert_not(authz_map(policy, &subject, &roles, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(roles.count, 0);
    authz_policy_unref(policy);
}

/* ---- sharing ---- */

static void *use_policy(void *argument)
{
    struct authz_policy *policy = argument;
    struct authz_roles roles;
    for (int i = 0; i < 2000; i++) {
        struct authz_policy *mine = authz_policy_ref(policy);
        if (!authz_map(mine, &bot_subject, &roles, NULL))
            return argument;
        authz_policy_unref(mine);
    }
    authz_policy_unref(policy);
    return NULL;
}

Test(authz, a_policy_is_shared_over_threads_and_freed_with_its_last_reference)
{
    struct world world = world_of(READER, "\"reader\"");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, use_policy, authz_policy_ref(world.policy)),
                     0);
    authz_policy_unref(world.policy); /* the last thread frees it */
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
    authz_policy_unref(NULL);
}

/* ---- configuration mistakes ---- */

Test(authz_config, accepts_nothing)
{
    authz_policy_unref(policy_of("{}"));
    authz_policy_unref(policy_of("{\"roles\": [], \"mappings\": []}"));
}

Test(authz_config, refuses_a_role_name_twice)
{
    refuses("{\"roles\": [\n  {\"name\": \"a\"},\n  {\"name\": \"a\"}]}", "3:12",
            "there is a role \"a\" already");
}

Test(authz_config, refuses_bad_role_names)
{
    refuses("{\"roles\": [{\"name\": \"a\\nb\"}]}", "1:21", "control characters");
    refuses("{\"roles\": [{\"name\": \"\"}]}", "1:21", "empty");
    refuses("{\"roles\": [{}]}", "1:12", "name");
    refuses("{\"roles\": [{\"name\": "
            "\"0123456789012345678901234567890123456789012345678901234567890123456789\"}]}",
            "1:21", "64");
}

Test(authz_config, refuses_unknown_keys_and_wrong_types)
{
    refuses("{\"roles\": [{\"name\": \"a\", \"alow\": {}}]}", "1:26", "allow");
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"schema\": \"x\"}}]}", "1:36", "schemas");
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"labels\": [\"x\"]}}]}", "1:46", "");
    refuses("{\"roles\": [{\"name\": \"a\", \"limits\": {\"idle_timeout\": 5}}]}", "1:53", "");
}

Test(authz_config, refuses_empty_lists_and_globs)
{
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"databases\": []}}]}", "1:49",
            "at least 1");
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"schemas\": [\"x\", \"\"]}}]}", "1:53",
            "empty");
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"labels\": {}}}]}", "1:46", "at least 1");
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"labels\": {\"e\": \"x\", \"env\": "
            "[]}}}]}",
            "1:64", "label \"env\" has no values");
}

Test(authz_config, refuses_globs_that_mean_nothing)
{
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"databases\": [\"x\", \"y\\\\\"]}}]}",
            "1:55", "backslash");
    refuses("{\"roles\": [{\"name\": \"a\", \"deny\": {\"mysql_users\": \"y\\\\\"}}]}", "1:50",
            "backslash");
    refuses("{\"roles\": [{\"name\": \"a\", \"deny\": {\"labels\": {\"env\": \"y\\\\\"}}}]}",
            "1:53", "backslash");
    refuses("{\"roles\": [{\"name\": \"a\"}], \"mappings\": [\n{\"san_uri\": \"x\\\\\", "
            "\"roles\": \"a\"}]}",
            "2:13", "backslash");
}

Test(authz_config, refuses_unknown_features)
{
    refuses("{\"roles\": [{\"name\": \"a\", \"allow\": {\"features\": [\"replication\", "
            "\"local_inflie\"]}}]}",
            "1:64", "did you mean \"local_infile\"");
}

Test(authz_config, refuses_mappings_to_unknown_roles)
{
    refuses("{\"roles\": [{\"name\": \"reader\"}], \"mappings\": [\n  {\"subject\": \"CN=x\",\n"
            "   \"roles\": [\"reader\", \"raeder\"]}]}",
            "3:24", "there is no role \"raeder\"; did you mean \"reader\"?");
    refuses("{\"mappings\": [{\"subject\": \"CN=x\", \"roles\": \"q\"}]}", "1:44",
            "there is no role \"q\"");
}

Test(authz_config, refuses_mappings_without_sense)
{
    refuses("{\"mappings\": [{}]}", "1:15", "needs \"roles\" or \"roles_from\"");
    refuses("{\"mappings\": [{\"subject\": \"CN=x\"}]}", "1:15", "needs \"roles\"");
    refuses("{\"roles\": [{\"name\": \"a\"}], \"mappings\": [{\"roles\": [\"a\"]}]}", "1:51",
            "needs \"subject\" or \"san_uri\"");
    refuses("{\"roles\": [{\"name\": \"a\"}], \"mappings\": [{\"roles\": [\"a\"], "
            "\"roles_from\": \"O\"}]}",
            "1:51", "needs \"subject\" or \"san_uri\"");
    refuses("{\"mappings\": [{\"roles_from\": \"O=\"}]}", "1:30", "no attribute type");
    refuses("{\"mappings\": [{\"roles_from\": \"1.\"}]}", "1:30", "no attribute type");
}

Test(authz_config, refuses_bad_subject_patterns)
{
    static const struct {
        const char *pattern;
        const char *words;
    } cases[] = {
        {"bots", "has no \"=\""},
        {"CN=a,bots", "\"bots\" has no \"=\""},
        {"CN=a,", "has no \"=\""},
        {",CN=a", "has no \"=\""},
        {"=a", "no attribute type"},
        {"C N=a", "has no \"=\""},
        {"1x=a", "no attribute type"},
        {"1..2=a", "no attribute type"},
        {".1=a", "no attribute type"},
        {"12=a", "no attribute type"},
        {"CN=", "empty value"},
        {"CN= ,OU=x", "empty value"},
        {"CN=a;OU=b", "write \\;"},
        {"CN=\\\"a\\\"", "write \\\""},
        {"CN=<a>", "write \\<"},
        {"CN=#0403", "write \\#"},
        {"CN=a\\\\", "escapes nothing"},
        {"CN=a\\\\q", "escapes nothing"},
        {"CN=a\\\\4", "escapes nothing"},
        {"CN=a\\\\4g", "escapes nothing"},
        {"CN=a\\\\00", "control character"},
        {"CN=a\\\\7f", "control character"},
        {"CN=a\\\\ff", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"roles\": [{\"name\": \"a\"}], \"mappings\": [\n{\"roles\": \"a\", "
                 "\"subject\": \"%s\"}]}",
                 cases[i].pattern);
        refuses(text, "2:27", cases[i].words);
    }
}

Test(authz_config, finds_databases_that_do_not_exist)
{
    static const char text[] =
        "{\"roles\": [{\"name\": \"a\", \"allow\": {\"databases\": "
        "[\"shop\", \"b*\", \"a\\\\*b\"]}},\n"
        "{\"name\": \"b\", \"deny\": {\"databases\": [\"shop\", \"shpo\"]}}]}";
    static const char *const names[] = {"bank", "shop", "a*b", "shpo"};
    struct sections sections;
    struct config *config;
    struct error err = {0};
    cr_assert(config_load_text("f.json", "/", text, strlen(text), &section_table, &sections,
                               &config, &err));
    cr_assert(authz_config_check_databases(config, sections.roles, 2, names, 4, &err));
    cr_assert_not(authz_config_check_databases(config, sections.roles, 2, names, 3, &err));
    cr_assert_str_eq(err.message,
                     "f.json:2:46: there is no database \"shpo\"; did you mean \"shop\"?");
    cr_assert_not(authz_config_check_databases(config, sections.roles, 2, NULL, 0, &err));
    cr_assert_str_eq(err.message, "f.json:1:50: there is no database \"shop\"");
    config_free(config);
}
