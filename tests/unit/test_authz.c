/* SPDX-License-Identifier: Apache-2.0 */
#include "authz/authz.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/authz_support.h"

/* A policy of these roles, all of which the bot holds. */
struct world {
    struct authz_policy *policy;
    struct authz_roles roles;
};

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

/* --- deciding --- */

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
    denies(&world, "shop", NULL, NULL, "no role allows database shop (roles: none)");
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

/* --- limits --- */

Test(authz, the_tightest_limits_of_the_allowing_roles_hold)
{
    static const char roles[] =
        "{\"name\": \"a\", \"allow\": {\"databases\": \"shop\"}, "
        "\"limits\": {\"sessions\": 20, \"idle_timeout\": \"10m\"}}, "
        "{\"name\": \"b\", \"allow\": {\"databases\": \"s*\"}, \"limits\": "
        "{\"sessions\": 5, \"idle_timeout\": \"1h\", \"session_lifetime\": \"12h\"}}, "
        "{\"name\": \"c\", \"allow\": {\"databases\": \"bank\"}, "
        "\"limits\": {\"sessions\": 1}}";
    struct world world = world_of(roles, "\"a\", \"b\", \"c\"");
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

/* --- features --- */

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

/* --- any schema --- */

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

/* --- sharing --- */

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
