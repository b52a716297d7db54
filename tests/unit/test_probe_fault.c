/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proxy/probe_fault.h"

static const struct probe_fault_place place = {.user = "reader",
                                               .schema = "shop",
                                               .server_name = "db1.internal",
                                               .subject = "/CN=sallyport-proxy",
                                               .issuer = "/CN=Client CA"};

Test(probe_fault, each_has_a_name_of_its_own)
{
    for (enum probe_fault a = PROBE_FAULT_NONE; a < PROBE_FAULT_COUNT; a++) {
        cr_assert_not_null(probe_fault_name(a), "fault %d", (int)a);
        for (enum probe_fault b = PROBE_FAULT_NONE; b < a; b++)
            cr_assert_str_neq(probe_fault_name(a), probe_fault_name(b));
    }
    cr_assert_str_eq(probe_fault_name(PROBE_FAULT_COUNT), "unknown");
}

Test(probe_fault, each_says_what_to_do)
{
    char advice[2048];
    for (enum probe_fault fault = PROBE_FAULT_RESOLVE; fault < PROBE_FAULT_COUNT; fault++) {
        probe_fault_advice(fault, &place, advice, sizeof advice);
        cr_assert_gt(strlen(advice), 20, "%s", probe_fault_name(fault));
        cr_assert_eq(advice[strlen(advice) - 1], '.', "%s", advice);
    }
    probe_fault_advice(PROBE_FAULT_NONE, &place, advice, sizeof advice);
    cr_assert_str_empty(advice);
    probe_fault_advice(PROBE_FAULT_COUNT, &place, advice, sizeof advice);
    cr_assert_str_empty(advice);
}

Test(probe_fault, advice_names_what_it_is_about)
{
    char advice[2048];
    probe_fault_advice(PROBE_FAULT_ACCESS, &place, advice, sizeof advice);
    cr_assert_not_null(
        strstr(advice, "REQUIRE SUBJECT '/CN=sallyport-proxy' AND ISSUER '/CN=Client CA'"));
    probe_fault_advice(PROBE_FAULT_SERVER_NAME, &place, advice, sizeof advice);
    cr_assert_not_null(strstr(advice, "db1.internal"));
    probe_fault_advice(PROBE_FAULT_SCHEMA_DENIED, &place, advice, sizeof advice);
    cr_assert_not_null(strstr(advice, "schema shop"));
}

static const char *advice_of(enum probe_fault fault, bool minted, bool authority_ca)
{
    static char advice[2048];
    struct probe_fault_place other = place;
    other.minted = minted;
    other.authority_ca = authority_ca;
    probe_fault_advice(fault, &other, advice, sizeof advice);
    return advice;
}

Test(probe_fault, advice_knows_the_authority)
{
    cr_assert_not_null(strstr(advice_of(PROBE_FAULT_SERVER_UNTRUSTED, true, true),
                              "sallyport ca sign-database --host db1.internal"));
    cr_assert_null(strstr(advice_of(PROBE_FAULT_SERVER_UNTRUSTED, true, false), "sign-database"));
    cr_assert_not_null(strstr(advice_of(PROBE_FAULT_OWN_CERTIFICATE, true, true),
                              "sallyport ca export database-client"));
    cr_assert_null(strstr(advice_of(PROBE_FAULT_OWN_CERTIFICATE, false, false), "ca export"));
    cr_assert_not_null(strstr(advice_of(PROBE_FAULT_ACCESS, true, true), "ALTER USER"));
    cr_assert_not_null(strstr(advice_of(PROBE_FAULT_OWN_TIME, true, true), "authority"));
    cr_assert_not_null(strstr(advice_of(PROBE_FAULT_OWN_TIME, false, false), "tls.cert"));
}

Test(probe_fault, advice_is_cut_to_its_room)
{
    char advice[16];
    memset(advice, 'x', sizeof advice);
    probe_fault_advice(PROBE_FAULT_ACCESS, &place, advice, sizeof advice);
    cr_assert_eq(strlen(advice), sizeof advice - 1);
}

Test(probe_fault, server_errors)
{
    cr_assert_eq(probe_fault_of_error(1045), PROBE_FAULT_ACCESS);
    cr_assert_eq(probe_fault_of_error(1129), PROBE_FAULT_HOST_BLOCKED);
    cr_assert_eq(probe_fault_of_error(1130), PROBE_FAULT_HOST_NOT_ALLOWED);
    cr_assert_eq(probe_fault_of_error(1040), PROBE_FAULT_TOO_MANY);
    cr_assert_eq(probe_fault_of_error(1049), PROBE_FAULT_SCHEMA_UNKNOWN);
    cr_assert_eq(probe_fault_of_error(3118), PROBE_FAULT_LOCKED);
    cr_assert_eq(probe_fault_of_error(4151), PROBE_FAULT_LOCKED);
    cr_assert_eq(probe_fault_of_error(1820), PROBE_FAULT_PASSWORD_EXPIRED);
    cr_assert_eq(probe_fault_of_error(1862), PROBE_FAULT_PASSWORD_EXPIRED);
    cr_assert_eq(probe_fault_of_error(0), PROBE_FAULT_SERVER_ERROR);
    cr_assert_eq(probe_fault_of_error(65535), PROBE_FAULT_SERVER_ERROR);
}

/* Another account of the same server is tried after these only. */
Test(probe_fault, whose_fault_it_is)
{
    cr_assert(probe_fault_is_of_account(PROBE_FAULT_NONE));
    cr_assert(probe_fault_is_of_account(PROBE_FAULT_ACCESS));
    cr_assert(probe_fault_is_of_account(PROBE_FAULT_LOCKED));
    cr_assert(probe_fault_is_of_account(PROBE_FAULT_PLUGIN));
    cr_assert_not(probe_fault_is_of_account(PROBE_FAULT_SERVER_NAME));
    cr_assert_not(probe_fault_is_of_account(PROBE_FAULT_OWN_CERTIFICATE));
    cr_assert_not(probe_fault_is_of_account(PROBE_FAULT_HOST_BLOCKED));
    cr_assert_not(probe_fault_is_of_account(PROBE_FAULT_COUNT));
}

/* docs/database.md has a row for each, and none for what does not exist. */
Test(probe_fault, documentation_has_each)
{
    char line[4096], wanted[64];
    unsigned rows = 0;
    for (enum probe_fault fault = PROBE_FAULT_RESOLVE; fault < PROBE_FAULT_COUNT; fault++) {
        FILE *page = fopen("docs/database.md", "r");
        bool found = false;
        cr_assert_not_null(page);
        snprintf(wanted, sizeof wanted, "| `%s` |", probe_fault_name(fault));
        while (!found && fgets(line, sizeof line, page))
            found = strncmp(line, wanted, strlen(wanted)) == 0;
        fclose(page);
        cr_expect(found, "docs/database.md lacks the row: %s …", wanted);
        rows += found;
    }
    cr_assert_eq(rows, PROBE_FAULT_COUNT - 1);
}
