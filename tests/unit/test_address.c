/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/address.h"

static struct address parse(const char *text)
{
    struct address address;
    struct error err = {0};
    cr_assert(address_parse(text, &address, &err), "%s: %s", text, err.message);
    return address;
}

static void refuses(const char *text, const char *word)
{
    struct address address = {.port = 7};
    struct error err = {0};
    cr_assert_not(address_parse(text, &address, &err), "%s was taken", text);
    cr_assert_eq(err.code, ERROR_MALFORMED);
    cr_assert(strstr(err.message, word), "%s: %s", text, err.message);
    cr_assert_eq(address.port, 7, "untouched on failure");
}

Test(address, reads_each_form)
{
    struct address address = parse("127.0.0.1:3306");
    cr_assert_eq(address.kind, ADDRESS_HOST);
    cr_assert_str_eq(address.host, "127.0.0.1");
    cr_assert_eq(address.port, 3306);

    address = parse("[::1]:3307");
    cr_assert_str_eq(address.host, "::1");
    cr_assert_eq(address.port, 3307);

    address = parse("db-1.internal_x:65535");
    cr_assert_str_eq(address.host, "db-1.internal_x");
    cr_assert_eq(address.port, 65535);

    address = parse("unix:/run/shop.sock");
    cr_assert_eq(address.kind, ADDRESS_UNIX);
    cr_assert_str_eq(address.path, "/run/shop.sock");
    cr_assert_str_eq(address.host, "");
}

Test(address, prints_what_it_reads)
{
    static const char *const texts[] = {"127.0.0.1:3306", "[::1]:1",          "[fe80::1:2]:65535",
                                        "host:0",         "unix:/run/x.sock", "unix:relative"};
    char out[ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct address address = parse(texts[i]);
        cr_assert_str_eq(address_format(&address, out), texts[i]);
    }
}

Test(address, refuses_what_is_none)
{
    refuses("", "no port");
    refuses("localhost", "no port");
    refuses("[::1]", "no port");
    refuses(":3306", "no host");
    refuses("::1:3306", "brackets");
    refuses("[::1:3306", "not an address");
    refuses("[::g]:3306", "not an IPv6 address");
    refuses("[127.0.0.1]:3306", "not an IPv6 address");
    refuses("127.0.0.256:3306", "not an IPv4 address");
    refuses("1.2.3:3306", "not an IPv4 address");
    refuses("host:65536", "port");
    refuses("host:-1", "port");
    refuses("host:", "port");
    refuses("host:0x10", "port");
    refuses("host:33 06", "port");
    refuses("host:100000000000000000000", "port");
    refuses("ho st:1", "not an address");
    refuses("ho\nst:1", "not an address");
    refuses("/run/shop.sock", "unix:/run/shop.sock");
    refuses("unix:", "no path");
}

Test(address, bounds_a_socket_path_at_107_bytes)
{
    char text[ADDRESS_PATH_SIZE + 16] = "unix:/";
    size_t start = strlen("unix:");
    memset(text + start + 1, 'x', 106);
    struct address address = parse(text);
    cr_assert_eq(strlen(address.path), 107);
    text[start + 107] = 'x';
    refuses(text, "107");
}

Test(address, bounds_a_host)
{
    char text[ADDRESS_HOST_SIZE + 16];
    memset(text, 'h', ADDRESS_HOST_SIZE);
    strcpy(text + ADDRESS_HOST_SIZE - 1, ":1");
    (void)parse(text);
    memset(text, 'h', ADDRESS_HOST_SIZE);
    strcpy(text + ADDRESS_HOST_SIZE, ":1");
    refuses(text, "too long");
}

Test(address, knows_what_needs_no_resolver)
{
    struct address four = parse("10.0.0.1:1"), six = parse("[::1]:1"), name = parse("h:1"),
                   path = parse("unix:/x");
    cr_assert(address_is_numeric(&four));
    cr_assert(address_is_numeric(&six));
    cr_assert_not(address_is_numeric(&name));
    cr_assert_not(address_is_numeric(&path));
}

Test(address, knows_what_only_this_machine_reaches)
{
    static const char *const local[] = {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "unix:/x"};
    static const char *const open[] = {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "localhost:1",
                                       "128.0.0.1:1"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
        struct address address = parse(local[i]);
        cr_assert(address_is_local(&address), "%s", local[i]);
    }
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        struct address address = parse(open[i]);
        cr_assert_not(address_is_local(&address), "%s", open[i]);
    }
}

Test(address, compares_all_of_it)
{
    struct address one = parse("h:1"), same = parse("h:1"), port = parse("h:2"),
                   host = parse("g:1"), path = parse("unix:/a"), other = parse("unix:/b");
    cr_assert(address_equals(&one, &same));
    cr_assert_not(address_equals(&one, &port));
    cr_assert_not(address_equals(&one, &host));
    cr_assert_not(address_equals(&one, &path));
    cr_assert_not(address_equals(&path, &other));
}
