/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "authority/names.h"
#include "base/utf8.h"

static struct authority_refusal refusal;

#define INVALID(call, words)                                                \
    do {                                                                    \
        refusal = (struct authority_refusal){0};                            \
        cr_assert(!(call), "%s was taken", #call);                          \
        cr_assert_eq(refusal.code, CONTROL_INVALID);                        \
        cr_assert(strstr(refusal.message, (words)), "%s", refusal.message); \
    } while (0)

/* `count` times the letter a. */
static const char *of_length(size_t count)
{
    static char text[4096];
    memset(text, 'a', count);
    text[count] = '\0';
    return text;
}

Test(authority_names, plain_names_are_taken)
{
    static const char *const good[] = {"a", "7", "ci-1", "Build.Agent_3", "proxy", "authority"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(authority_name_check("bot", good[i], &refusal), "%s", good[i]);
    cr_expect(authority_name_check("bot", of_length(64), &refusal));
}

Test(authority_names, what_would_read_as_another_name_is_not)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "-rf",
        "_x",
        ".hidden",
        "a b",
        " a",
        "a ",
        "a/b",
        "a,O=admin",
        "a+O=admin",
        "a=b",
        "a\\b",
        "a\nb",
        "a\tb",
        "a\x7f",
        "\xc3\xa9t\xc3\xa9",
        "a\xff",
        "*",
        "ci-*",
        "a\"b",
        "a'b",
        "a;b",
        "a#b",
        "#a",
        "a%00b",
        "a@b",
        "a\xe2\x80\xae"
        "b", /* right-to-left override */
        "\xd0\xb0"
        "dmin", /* a Cyrillic a */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        INVALID(authority_name_check("bot", bad[i], &refusal), "1 to 64 letters, digits");
    INVALID(authority_name_check("role", of_length(65), &refusal), "name of a role");
}

Test(authority_names, a_refused_name_is_shown_harmlessly)
{
    INVALID(authority_name_check("bot", "a\x1b[31m\xff\n", &refusal), "\\x1b[31m\\xff\\n");
    INVALID(authority_name_check("bot", of_length(4000), &refusal), "aaa\xe2\x80\xa6");
    cr_assert(utf8_valid(refusal.message, strlen(refusal.message)));
}

Test(authority_names, databases_may_be_longer)
{
    cr_assert(authority_database_check(of_length(255), &refusal));
    INVALID(authority_database_check(of_length(256), &refusal), "1 to 255");
    INVALID(authority_database_check("*", &refusal), "name of a database");
}

Test(authority_names, roles_fit_into_a_certificate)
{
    static char texts[AUTHORITY_ROLES_MAX + 1][8];
    const char *roles[AUTHORITY_ROLES_MAX + 1];
    for (size_t i = 0; i <= AUTHORITY_ROLES_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "r%zu", i);
        roles[i] = texts[i];
    }
    cr_assert(authority_roles_check(roles, AUTHORITY_ROLES_MAX, &refusal));
    cr_assert(authority_roles_check(NULL, 0, &refusal));
    INVALID(authority_roles_check(roles, AUTHORITY_ROLES_MAX + 1, &refusal), "at most 30 roles");
    roles[3] = "r1";
    INVALID(authority_roles_check(roles, 5, &refusal), "the role r1 stands there twice");
    roles[3] = "a/b";
    INVALID(authority_roles_check(roles, 5, &refusal), "name of a role");
}

/* X509_NAME_oneline() prints CN="reader/O=ops" as "/CN=reader/O=ops", which is another account's
 * subject. */
Test(authority_names, mysql_users_cannot_print_as_another_subject)
{
    static const char *const good[] = {"reader", "app_rw", "a.b-c", "svc$1", "user@host",
                                       "x~1",    "%",      "-",     "_"};
    static const char *const bad[] = {"",         "reader/O=ops", "a=b",   "a\\xC3", "a b",
                                      "\xc3\xa9", "a\nb",         "a,b",   "a+b",    "a\"b",
                                      "a'b",      "a`b",          "a\x7f", "#a",     "a;b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(authority_mysql_user_check(good[i], &refusal), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        INVALID(authority_mysql_user_check(bad[i], &refusal), "are allowed");
    cr_assert(authority_mysql_user_check(of_length(64), &refusal));
    INVALID(authority_mysql_user_check(of_length(65), &refusal), "1 to 64");
}

Test(authority_names, trust_domains)
{
    cr_assert(authority_trust_domain_check("acme.example", &refusal));
    cr_assert(authority_trust_domain_check("a-b_c.9", &refusal));
    cr_assert(authority_trust_domain_check(of_length(255), &refusal));
    INVALID(authority_trust_domain_check(of_length(256), &refusal), "1 to 255");
    INVALID(authority_trust_domain_check("", &refusal), "trust domain");
    INVALID(authority_trust_domain_check("Acme", &refusal), "lower-case");
    INVALID(authority_trust_domain_check("acme/bot/admin", &refusal), "lower-case");
    INVALID(authority_trust_domain_check("acme:443", &refusal), "lower-case");
    INVALID(authority_trust_domain_check("acme example", &refusal), "lower-case");
}

Test(authority_names, reasons_are_counted_in_characters)
{
    char text[4 * 201 + 1] = "";
    for (size_t i = 0; i < 200; i++)
        memcpy(text + 2 * i, "\xc3\xa9", 3);
    cr_assert(authority_reason_check(text, &refusal));
    memcpy(text + 400, "x", 2);
    INVALID(authority_reason_check(text, &refusal), "1 to 200 characters");
    INVALID(authority_reason_check("", &refusal), "1 to 200 characters");
}

Test(authority_names, reasons_cannot_forge_a_line)
{
    static const char *const bad[] = {"a\nb",
                                      "a\rb",
                                      "\x1b[2J",
                                      "a\xe2\x80\xae"
                                      "b",
                                      "a\xe2\x80\xa8"
                                      "b",
                                      "a\xff",
                                      "a\xc2\x85"
                                      "b",
                                      "a\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        INVALID(authority_reason_check(bad[i], &refusal), "printable UTF-8");
    cr_assert(authority_reason_check("key found in a public gist; \"see #42\" \\o/", &refusal));
}

static struct authority_hosts hosts;

static bool reads(const char *name)
{
    return authority_hosts_read(&name, 1, &hosts, &refusal);
}

Test(authority_names, hosts_are_kept_as_they_compare)
{
    static const char *const names[] = {"DB1.Internal",    "db1.internal", "10.0.0.5", "::1",
                                        "0:0:0:0:0:0:0:1", "localhost",    "x_y.z"};
    cr_assert(authority_hosts_read(names, 7, &hosts, &refusal), "%s", refusal.message);
    cr_assert_eq(hosts.count, 5);
    cr_assert_str_eq(hosts.names[0], "db1.internal");
    cr_assert_not(hosts.numeric[0]);
    cr_assert_str_eq(hosts.names[2], "::1");
    cr_assert(hosts.numeric[1] && hosts.numeric[2]);
    cr_assert(authority_hosts_have(&hosts, "localhost"));
    cr_assert_not(authority_hosts_have(&hosts, "internal"));
}

Test(authority_names, hosts_that_are_none)
{
    static const char *const bad[] = {
        "",
        "*",
        "*.internal",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a b",
        "a/b",
        "1.2.3",
        "1.2.3.4.5",
        "999.1.1.1",
        "0.0.0.0",
        "::",
        "a:3306",
        "[::1]",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "a,DNS:b",
        "a\nb",
        "\xc3\xa9.fr",
        "127.1",
        "0x7f.1",
        "host.123",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        INVALID(reads(bad[i]), "neither the DNS name nor the IP address");
    INVALID(reads(of_length(64)), "neither");
    INVALID(reads(of_length(300)), "neither");
    INVALID(authority_hosts_read(NULL, 0, &hosts, &refusal), "1 to 16");
    static const char *many[AUTHORITY_HOSTS_MAX + 1];
    for (size_t i = 0; i <= AUTHORITY_HOSTS_MAX; i++)
        many[i] = "a";
    INVALID(authority_hosts_read(many, AUTHORITY_HOSTS_MAX + 1, &hosts, &refusal), "1 to 16");
}
