/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "proxy/require_clause.h"

static struct require_clause clause;

static void read_length(const char *statement, size_t length)
{
    require_clause_read(byte_view(statement, length), &clause);
}

static void expect(const char *statement, enum require_kind kind, const char *text)
{
    read_length(statement, strlen(statement));
    cr_assert_eq(clause.kind, kind, "%s: %d", statement, (int)clause.kind);
    cr_assert_str_eq(clause.text, text);
}

/* MariaDB 10.11 and 11.8, SHOW CREATE USER. */
Test(require_clause, mariadb)
{
    expect("CREATE USER `reader`@`%` REQUIRE ISSUER '/CN=Database Client CA' SUBJECT '/CN=proxy'",
           REQUIRE_SPECIFIED, "ISSUER '/CN=Database Client CA' AND SUBJECT '/CN=proxy'");
    cr_assert(clause.subject && clause.issuer && !clause.cipher);
    expect("CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*AB'", REQUIRE_NONE, "NONE");
    expect("CREATE USER `a`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE X509 WITH "
           "MAX_QUERIES_PER_HOUR 1 ACCOUNT LOCK",
           REQUIRE_X509, "X509");
}

/* MySQL 9.7, SHOW CREATE USER. */
Test(require_clause, mysql)
{
    expect("CREATE USER `reader`@`%` IDENTIFIED WITH 'caching_sha2_password' REQUIRE SUBJECT "
           "'/CN=proxy' ISSUER '/CN=CA' CIPHER 'x' PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK PASSWORD "
           "HISTORY DEFAULT PASSWORD REUSE INTERVAL DEFAULT PASSWORD REQUIRE CURRENT DEFAULT",
           REQUIRE_SPECIFIED, "SUBJECT '/CN=proxy' AND ISSUER '/CN=CA' AND CIPHER 'x'");
    cr_assert(clause.subject && clause.issuer && clause.cipher);
    expect("CREATE USER `a`@`%` IDENTIFIED WITH 'x' REQUIRE NONE PASSWORD EXPIRE DEFAULT",
           REQUIRE_NONE, "NONE");
    expect("CREATE USER `a`@`%` REQUIRE SSL ACCOUNT UNLOCK", REQUIRE_SSL, "SSL");
}

Test(require_clause, password_require_current_is_another_clause)
{
    expect("CREATE USER `a`@`%` PASSWORD REQUIRE CURRENT DEFAULT", REQUIRE_NONE, "NONE");
    expect("CREATE USER `a`@`%` PASSWORD REQUIRE CURRENT REQUIRE X509", REQUIRE_X509, "X509");
}

Test(require_clause, grants_of_old_servers)
{
    expect("GRANT USAGE ON *.* TO 'a'@'%' IDENTIFIED BY PASSWORD '*AB' REQUIRE SUBJECT '/CN=a'",
           REQUIRE_SPECIFIED, "SUBJECT '/CN=a'");
    cr_assert(clause.subject && !clause.issuer);
    expect("GRANT USAGE ON *.* TO 'a'@'%'", REQUIRE_NONE, "NONE");
}

Test(require_clause, words_of_any_case_and_any_space)
{
    expect("create user a\n\trequire\r\nsubject\t'/CN=a'  and issuer'/CN=b'", REQUIRE_SPECIFIED,
           "subject '/CN=a' AND issuer '/CN=b'");
}

/* A name or a hash that looks like the clause is passed over. */
Test(require_clause, strings_are_passed_over)
{
    expect("CREATE USER `x REQUIRE X509`@`%`", REQUIRE_NONE, "NONE");
    expect("CREATE USER `x`` REQUIRE X509`@`%` REQUIRE SSL", REQUIRE_SSL, "SSL");
    expect("CREATE USER 'x'' REQUIRE X509'@'%' REQUIRE SSL", REQUIRE_SSL, "SSL");
    expect("CREATE USER 'x\\' REQUIRE X509'@'%' REQUIRE SSL", REQUIRE_SSL, "SSL");
    expect("CREATE USER \"x\"\" REQUIRE X509\"@'%' REQUIRE SSL", REQUIRE_SSL, "SSL");
    expect("CREATE USER a REQUIRE SUBJECT '/CN=it''s \\'one\\''", REQUIRE_SPECIFIED,
           "SUBJECT '/CN=it''s \\'one\\''");
    expect("CREATE USER REQUIREMENTS", REQUIRE_NONE, "NONE");
}

Test(require_clause, what_cannot_be_read_is_unknown)
{
    static const char *const statements[] = {
        "",
        "SELECT REQUIRE X509",
        "CREATE USER a REQUIRE",
        "CREATE USER a REQUIRE SOMETHING",
        "CREATE USER a REQUIRE SUBJECT",
        "CREATE USER a REQUIRE SUBJECT X509",
        "CREATE USER a REQUIRE SUBJECT `x`",
        "CREATE USER a REQUIRE SUBJECT 'x' SUBJECT 'y'",
        "CREATE USER a REQUIRE SUBJECT 'x' AND ISSUER 'y",
        "CREATE USER 'a REQUIRE X509",
        "CREATE USER a REQUIRE SUBJECT '\xff'",
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        expect(statements[i], REQUIRE_UNKNOWN, "");
        cr_assert(!clause.subject && !clause.issuer && !clause.cipher);
    }
}

Test(require_clause, a_nul_or_too_long_a_name_is_unknown)
{
    static const char nul[] = "CREATE USER a REQUIRE SUBJECT '/CN=a\0b'";
    read_length(nul, sizeof nul - 1);
    cr_assert_eq(clause.kind, REQUIRE_UNKNOWN);
    char statement[2 * REQUIRE_CLAUSE_MAX] = "CREATE USER a REQUIRE SUBJECT '";
    size_t used = strlen(statement);
    memset(statement + used, 'x', REQUIRE_CLAUSE_MAX);
    strcpy(statement + used + REQUIRE_CLAUSE_MAX, "'");
    expect(statement, REQUIRE_UNKNOWN, "");
}

Test(require_clause, every_cut_is_read_within_its_bounds)
{
    static const char whole[] = "CREATE USER `a`@'%' REQUIRE ISSUER '/CN=\\'' AND SUBJECT '/CN=b'";
    for (size_t length = 0; length < sizeof whole; length++) {
        char *copy = malloc(length ? length : 1);
        memcpy(copy, whole, length);
        read_length(copy, length);
        free(copy);
    }
    cr_assert_eq(clause.kind, REQUIRE_SPECIFIED, "the NUL at its end is no word");
}
