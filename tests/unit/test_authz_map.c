/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/authz_support.h"

/* Loads what must be refused, at this position and with these words. */
static void refuses(const char *text, const char *position, const char *words)
{
    struct error err = {0};
    struct authz_policy *policy;
    char start[64];
    snprintf(start, sizeof start, "f.json:%s: ", position);
    cr_assert(!load_policy(text, &policy, &err), "accepted: %s", text);
    cr_assert_null(policy);
    cr_assert_eq(err.code, ERROR_CONFIG, "%s", err.message);
    cr_assert(strncmp(err.message, start, strlen(start)) == 0, "%s: %s", text, err.message);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

/* --- mapping --- */

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
static const struct authz_subject svid = {many, sizeof many / sizeof *many, uris, 1};

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
        {"https://*/", false},
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
        cr_assert_str_eq(mapped(mapping, &svid), cases[i].matches ? "b" : none, "%s",
                         cases[i].pattern);
    }
}

Test(authz, a_spiffe_id_beside_another_uri_is_none)
{
    cr_assert_str_eq(mapped("{\"san_uri\": \"spiffe://**\", \"roles\": \"b\"}", &rich), none);
    cr_assert_str_eq(mapped("{\"san_uri\": \"https://**\", \"roles\": \"b\"}", &rich), "b");
    static const char *const two[] = {"SPIFFE://acme.example/a", "spiffe://acme.example/b"};
    static const struct authz_subject both = {many, 1, two, 2};
    cr_assert_str_eq(mapped("{\"san_uri\": \"**\", \"roles\": \"b\"}", &both), none);
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

/* --- configuration mistakes --- */

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
