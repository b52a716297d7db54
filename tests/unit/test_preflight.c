/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "proxy/preflight.h"
#include "tests/unit/proxy_support.h"

#define NOW (INT64_C(1800000000) * 1000000)

static struct preflight_warning warnings[PREFLIGHT_WARNINGS_MAX];

static struct probe_facts good_facts(void)
{
    return (struct probe_facts){
        .accepted = true,
        .secure_transport = PROBE_YES,
        .current_user = "reader@%",
        .require = {.kind = REQUIRE_SPECIFIED,
                    .subject = true,
                    .issuer = true,
                    .text = "SUBJECT '/CN=a' AND ISSUER '/CN=b'"},
        .server = {.not_after_us = NOW + 100 * PREFLIGHT_DAY_US},
        .has_skew = true,
        .skew_us = 1000,
    };
}

static size_t warnings_of(const struct probe_facts *facts, int64_t own_until_us)
{
    memset(warnings, 0, sizeof warnings);
    return preflight_warnings(facts, "reader", own_until_us, NOW, warnings);
}

static void expect_one(const struct probe_facts *facts, int64_t own_until_us, const char *kind,
                       const char *words)
{
    cr_assert_eq(warnings_of(facts, own_until_us), 1);
    cr_assert_str_eq(warnings[0].kind, kind);
    cr_assert_not_null(strstr(warnings[0].message, words), "%s", warnings[0].message);
}

#define LONG_AWAY (NOW + 100 * PREFLIGHT_DAY_US)

Test(preflight, nothing_to_warn_of)
{
    struct probe_facts facts = good_facts();
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0);
}

Test(preflight, warns_of_plaintext)
{
    struct probe_facts facts = good_facts();
    facts.secure_transport = PROBE_NO;
    expect_one(&facts, LONG_AWAY, "secure_transport_off", "OFF");
    facts.secure_transport = PROBE_UNKNOWN;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0);
}

Test(preflight, warns_of_accounts_without_subject)
{
    struct probe_facts facts = good_facts();
    facts.require = (struct require_clause){.kind = REQUIRE_NONE, .text = "NONE"};
    expect_one(&facts, LONG_AWAY, "no_require_subject", "reader@% has REQUIRE NONE: anyone could");
    facts.require = (struct require_clause){.kind = REQUIRE_X509, .text = "X509"};
    expect_one(&facts, LONG_AWAY, "no_require_subject", "anyone with a certificate that fits");
    facts.current_user[0] = '\0';
    expect_one(&facts, LONG_AWAY, "no_require_subject", "the account reader has");
    facts.require.kind = REQUIRE_UNKNOWN;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0, "what is not known is not made up");
}

Test(preflight, warns_of_accounts_without_issuer)
{
    struct probe_facts facts = good_facts();
    facts.require.issuer = false;
    expect_one(&facts, LONG_AWAY, "no_require_issuer", "any CA in the server's ssl_ca");
    facts.accepted = false;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0);
}

Test(preflight, warns_of_certificates_near_their_end)
{
    struct probe_facts facts = good_facts();
    facts.server.not_after_us = NOW + 14 * PREFLIGHT_DAY_US;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0);
    facts.server.not_after_us -= 1;
    expect_one(&facts, LONG_AWAY, "server_certificate_expires", "in 13 days");
    facts.server.not_after_us = 0;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0, "not known");
    expect_one(&facts, NOW + PREFLIGHT_DAY_US, "own_certificate_expires", "in 1 day:");
    expect_one(&facts, NOW - 1, "own_certificate_expires", "has expired");
}

Test(preflight, warns_of_clocks_that_differ)
{
    struct probe_facts facts = good_facts();
    facts.skew_us = -PREFLIGHT_SKEW_MAX_US;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0);
    facts.skew_us = -PREFLIGHT_SKEW_MAX_US - 1;
    expect_one(&facts, LONG_AWAY, "clock_skew", "5 seconds behind");
    facts.skew_within_us = 1000000;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0, "it may be the way there and back");
    facts.skew_us = INT64_C(7200) * 1000000;
    expect_one(&facts, LONG_AWAY, "clock_skew", "7200 seconds ahead of");
    facts.has_skew = false;
    cr_assert_eq(warnings_of(&facts, LONG_AWAY), 0);
}

Test(preflight, days_are_rounded_down)
{
    cr_assert_eq(preflight_days_left(NOW, NOW), 0);
    cr_assert_eq(preflight_days_left(NOW + PREFLIGHT_DAY_US - 1, NOW), 0);
    cr_assert_eq(preflight_days_left(NOW + PREFLIGHT_DAY_US, NOW), 1);
    cr_assert_eq(preflight_days_left(NOW - 1, NOW), -1);
    cr_assert_eq(preflight_days_left(NOW - PREFLIGHT_DAY_US, NOW), -1);
    cr_assert_eq(preflight_days_left(NOW - PREFLIGHT_DAY_US - 1, NOW), -2);
}

/* --- which accounts --- */

static struct preflight_target target;

/* The accounts that these roles give for "shop". */
static void users_of(const char *roles)
{
    struct stage stage;
    stage_open(&stage, &(struct stage_options){.roles = roles,
                                               .mappings = "{\"subject\":\"CN=ci-1\",\"roles\":"
                                                           "[\"a\"]}"});
    memset(&target, 0, sizeof target);
    target.database = snapshot_database(stage.snapshot, "shop");
    preflight_users(stage.snapshot, &target);
    static char names[PREFLIGHT_USERS_MAX][64];
    for (size_t i = 0; i < target.account_count; i++) {
        snprintf(names[i], sizeof names[i], "%s", target.accounts[i].user);
        target.accounts[i].user = names[i];
    }
    stage_close(&stage);
    files_remove();
}

#define ALLOW(users) \
    "\"allow\":{\"databases\":[\"shop\"],\"schemas\":[\"*\"],\"mysql_users\":[" users "]}"

Test(preflight, accounts_are_those_of_roles_by_name)
{
    users_of("{\"name\":\"a\"," ALLOW(
        "\"one\",\"two*\",\"t?o\",\"three\"") "},"
                                              "{\"name\":\"b\"," ALLOW("\"three\",\"four\"") "}");
    cr_assert_eq(target.account_count, 3);
    cr_assert_str_eq(target.accounts[0].user, "one");
    cr_assert_str_eq(target.accounts[1].user, "three");
    cr_assert_str_eq(target.accounts[2].user, "four");
    cr_assert_not(target.more_users);
}

Test(preflight, accounts_of_other_databases_and_denied_ones_are_left_out)
{
    users_of(
        "{\"name\":\"a\"," ALLOW("\"one\",\"two\"") ",\"deny\":{\"mysql_users\":[\"o*\"]}},"
                                                    "{\"name\":\"b\",\"allow\":{\"databases\":["
                                                    "\"other*\"],\"mysql_users\":[\"three\"]}}");
    cr_assert_eq(target.account_count, 1);
    cr_assert_str_eq(target.accounts[0].user, "two");
}

Test(preflight, accounts_are_at_most_so_many)
{
    char roles[4096] = "{\"name\":\"a\",\"allow\":{\"databases\":[\"shop\"],\"schemas\":[\"*\"],"
                       "\"mysql_users\":[\"u0\"";
    for (unsigned i = 1; i <= PREFLIGHT_USERS_MAX; i++)
        snprintf(roles + strlen(roles), sizeof roles - strlen(roles), ",\"u%u\"", i);
    strcat(roles, "]}}");
    users_of(roles);
    cr_assert_eq(target.account_count, PREFLIGHT_USERS_MAX);
    cr_assert(target.more_users);
}
