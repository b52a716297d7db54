/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of mistake in a proxy's configuration is found, with its place. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/settings.h"

/* One thing a line, so that places are easy to count. */
static const char good[] = "{\n"
                           "\"proxy\": {\n"
                           "  \"listeners\": [\n"
                           "    {\"address\": \"127.0.0.1:3308\"},\n"
                           "    {\"address\": \"127.0.0.1:3307\", \"starttls\": true, "
                           "\"database\": \"shop\"}\n"
                           "  ],\n"
                           "  \"tls\": {\"cert\": \"p.crt\", \"key\": \"p.key\", \"client_ca\": "
                           "\"/etc/ca.crt\"},\n"
                           "  \"limits\": {\"sessions\": 10}\n"
                           "},\n"
                           "\"databases\": [\n"
                           "  {\"name\": \"shop\", \"address\": \"db:3306\",\n"
                           "   \"tls\": {\"ca\": \"ca.crt\", \"cert\": \"c.crt\", \"key\": "
                           "\"c.key\"},\n"
                           "   \"passwords\": [{\"mysql_user\": \"a\", \"file\": \"a.pw\"},\n"
                           "                 {\"mysql_user\": \"b\", \"file\": \"b.pw\"}]}\n"
                           "],\n"
                           "\"roles\": [{\"name\": \"r\", \"allow\": {\"databases\": \"shop\"}}],\n"
                           "\"mappings\": [{\"subject\": \"CN=a\", \"roles\": \"r\"}],\n"
                           "\"audit\": {\"directory\": \"audit\"}\n"
                           "}\n";

static char directory[] = "/tmp/sallyport-settings-XXXXXX";
static char path[128];

static void make_directory(void)
{
    cr_assert_not_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/proxy.conf", directory);
}

static void remove_directory(void)
{
    (void)unlink(path);
    (void)rmdir(directory);
}

TestSuite(proxy_settings, .init = make_directory, .fini = remove_directory);

/* Writes the good file with `from`, which is in it once, replaced by `to`. */
static void write_with(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    cr_assert_not_null(at, "%s", from);
    cr_assert_null(strstr(at + 1, from), "%s stands there twice", from);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_gt(fprintf(file, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)), 0);
    cr_assert_eq(fclose(file), 0);
}

/* That file is refused with exactly this, behind its name. */
static void refuses(const char *from, const char *to, const char *place_and_message)
{
    struct settings settings;
    struct config *config = NULL;
    struct error err = {0};
    char expected[ERROR_MESSAGE_SIZE];
    write_with(from, to);
    (void)snprintf(expected, sizeof expected, "%s:%s", path, place_and_message);
    cr_assert_not(settings_load(path, &settings, &config, &err), "%s was accepted", to);
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_str_eq(err.message, expected);
    cr_assert_null(config);
}

static void accepts(const char *from, const char *to)
{
    struct settings settings;
    struct config *config = NULL;
    struct error err = {0};
    write_with(from, to);
    cr_assert(settings_load(path, &settings, &config, &err), "%s", err.message);
    config_free(config);
}

Test(proxy_settings, fills_in_what_is_not_said)
{
    struct settings settings;
    struct config *config;
    struct error err = {0};
    char joined[128];
    write_with("\"sessions\": 10", "");
    cr_assert(settings_load(path, &settings, &config, &err), "%s", err.message);
    const struct limit_settings *limits = &settings.proxy.limits;
    cr_assert_str_eq(settings.proxy.name, "proxy");
    cr_assert_eq(settings.proxy.listener_count, 2);
    cr_assert_not(settings.proxy.listeners[0].starttls);
    cr_assert_null(settings.proxy.listeners[0].database);
    cr_assert(settings.proxy.listeners[1].starttls);
    cr_assert_eq(settings.proxy.workers, 0);
    cr_assert_null(settings.proxy.tls.crl);
    cr_assert_str_eq(settings.proxy.tls.client_ca, "/etc/ca.crt");
    (void)snprintf(joined, sizeof joined, "%s/p.crt", directory);
    cr_assert_str_eq(settings.proxy.tls.cert, joined);
    cr_assert_eq(limits->sessions, 10000);
    cr_assert_eq(limits->pending, 2000);
    cr_assert_eq(limits->statements, 16382);
    cr_assert_eq(limits->login_timeout_ms, 10000);
    cr_assert_eq(limits->ready_timeout_ms, 60000);
    cr_assert_eq(limits->upstream_timeout_ms, 10000);
    cr_assert_eq(limits->audit_timeout_ms, 30000);
    cr_assert_eq(limits->drain_timeout_ms, 30000);
    cr_assert_eq(settings.audit.durability, DURABILITY_PROCESS);
    cr_assert_eq(settings.audit.statement_limit, 1024 * 1024);
    cr_assert_eq(settings.audit.file_size, 256 * 1024 * 1024);
    cr_assert_eq(settings.log.level, LOG_INFO);
    cr_assert_eq(settings.log.format, LOG_FORMAT_AUTO);
    config_free(config);
}

Test(proxy_settings, limits_that_are_absent_have_their_defaults)
{
    struct settings settings;
    struct config *config;
    struct error err = {0};
    write_with(",\n  \"limits\": {\"sessions\": 10}", "");
    cr_assert(settings_load(path, &settings, &config, &err), "%s", err.message);
    cr_assert_eq(settings.proxy.limits.login_timeout_ms, 10000);
    cr_assert_eq(settings.proxy.limits.statements, 16382);
    config_free(config);
}

Test(proxy_settings, refuses_a_file_that_is_not_there)
{
    struct settings settings;
    struct config *config = NULL;
    struct error err = {0};
    cr_assert_not(settings_load("/nonexistent/proxy.conf", &settings, &config, &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_not_null(strstr(err.message, "/nonexistent/proxy.conf"), "%s", err.message);
    cr_assert_null(config);
}

Test(proxy_settings, refuses_a_key_that_does_not_exist)
{
    refuses("\"limits\"", "\"limit\"",
            "8:3: unknown key \"limit\" in \"proxy\": did you mean \"limits\"?");
}

Test(proxy_settings, refuses_a_section_that_is_missing)
{
    refuses(",\n\"audit\": {\"directory\": \"audit\"}", "",
            "1:1: the file needs the key \"audit\"");
}

Test(proxy_settings, refuses_an_address_that_is_none)
{
    refuses("127.0.0.1:3308", "127.0.0.1",
            "4:17: '127.0.0.1' has no port: write HOST:PORT, [IPV6]:PORT or unix:/PATH");
}

Test(proxy_settings, refuses_to_listen_on_a_unix_socket)
{
    refuses("127.0.0.1:3308", "unix:/run/s.sock",
            "4:17: the proxy listens on TCP only: write HOST:PORT");
}

Test(proxy_settings, refuses_starttls_without_a_database)
{
    refuses(", \"database\": \"shop\"", "",
            "5:5: a STARTTLS listener needs \"database\": MySQL clients cannot name one before the "
            "server's greeting");
}

Test(proxy_settings, refuses_a_listener_for_a_database_that_does_not_exist)
{
    refuses("\"database\": \"shop\"", "\"database\": \"shpo\"",
            "5:65: there is no database \"shpo\" in \"databases\"");
}

Test(proxy_settings, refuses_no_listener_at_all)
{
    refuses("\n    {\"address\": \"127.0.0.1:3308\"},\n    {\"address\": \"127.0.0.1:3307\", "
            "\"starttls\": true, \"database\": \"shop\"}\n  ",
            "", "3:16: \"proxy.listeners\" needs at least 1, and has 0");
}

Test(proxy_settings, refuses_a_database_twice)
{
    refuses("\"b.pw\"}]}",
            "\"b.pw\"}]},\n{\"name\": \"shop\", \"address\": \"x:1\", \"tls\": "
            "{\"ca\": \"a\", \"cert\": \"b\", \"key\": \"c\"}}",
            "15:10: the database \"shop\" is defined twice");
}

Test(proxy_settings, refuses_a_database_without_a_port)
{
    refuses("db:3306", "db", "11:31: 'db' has no port: write HOST:PORT, [IPV6]:PORT or unix:/PATH");
}

Test(proxy_settings, refuses_a_database_behind_a_unix_socket)
{
    refuses("db:3306", "unix:/run/mysqld.sock",
            "11:31: a database is reached by TLS over TCP: write HOST:PORT");
}

Test(proxy_settings, refuses_a_database_without_tls)
{
    refuses("\n   \"tls\": {\"ca\": \"ca.crt\", \"cert\": \"c.crt\", \"key\": \"c.key\"},", "",
            "11:3: \"tls\" needs \"ca\", \"cert\" and \"key\": there is no authority that would "
            "provide them");
}

Test(proxy_settings, refuses_half_a_certificate)
{
    refuses("\"cert\": \"c.crt\", ", "",
            "12:11: \"cert\" and \"key\" belong together: give both or none");
}

/* --- with an authority --- */

#define AUTHORITY "\"authority\": {\"directory\": \"a\", \"trust_domain\": \"acme.example\"}"

static void load(const char *text, bool good_text, const char *message)
{
    struct settings settings;
    struct config *config = NULL;
    struct error err = {0};
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(settings_load(path, &settings, &config, &err), good_text, "%s", err.message);
    if (!good_text)
        cr_assert_not_null(strstr(err.message, message), "%s", err.message);
    config_free(config);
}

Test(proxy_settings, an_authority_provides_what_is_left_out)
{
    load("{" AUTHORITY ",\"proxy\":{\"listeners\":[{\"address\":\"[::1]:1\"}]},"
         "\"audit\":{\"directory\":\"audit\"}}",
         true, NULL);
    load("{\"proxy\":{\"listeners\":[{\"address\":\"[::1]:1\",\"starttls\":true,"
         "\"database\":\"later\"}],\"names\":\"p\","
         "\"authority\":{\"address\":\"a:3309\",\"identity\":\"i\"}},"
         "\"databases\":[{\"name\":\"x\",\"address\":\"x:3306\"}],"
         "\"audit\":{\"directory\":\"audit\"}}",
         true, NULL);
    load("{" AUTHORITY ",\"audit\":{\"directory\":\"audit\"}}", true, NULL);
}

Test(proxy_settings, refuses_what_nobody_provides)
{
    load("{\"audit\":{\"directory\":\"audit\"}}", false, "neither \"proxy\" nor \"authority\"");
    load("{\"proxy\":{\"listeners\":[{\"address\":\"[::1]:1\"}]},"
         "\"audit\":{\"directory\":\"audit\"}}",
         false, "\"proxy.tls\" is missing");
    refuses("\"roles\": [{\"name\": \"r\", \"allow\": {\"databases\": \"shop\"}}],\n", "",
            "2:10: \"roles\" is missing, and there is no authority that would provide it");
}

Test(proxy_settings, refuses_an_authority_that_cannot_be)
{
    static const char *const sections[][2] = {
        {"\"address\":\"unix:/a\",\"identity\":\"i\"", "HOST:PORT"},
        {"\"address\":\"a:1\"", "identity"},
        {"\"address\":\"a:1\",\"identity\":\"i\",\"ca_pin\":\"sha256:12\"", "sha256"},
        {"\"address\":\"a:1\",\"identity\":\"i\",\"stale_after\":\"1s\"", "stale_after"},
        {"\"address\":\"a:1\",\"identity\":\"i\",\"when_stale\":\"x\"", "when_stale"},
        {"\"address\":\"a:1\",\"identity\":\"i\",\"join\":\"sallyport-join-1.0123456789abcdef.A\"",
         "not the token"},
        {"\"address\":\"a:1\",\"identity\":\"i\"", "1:10: \"names\" is missing"},
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "{\"proxy\":{\"listeners\":[{\"address\":\"[::1]:1\"}],\"authority\":{%s}},"
                       "\"audit\":{\"directory\":\"audit\"}}",
                       sections[i][0]);
        load(text, false, sections[i][1]);
    }
}

Test(proxy_settings, refuses_names_that_the_authority_would_refuse)
{
    static const char *const proxies[][2] = {
        {"\"names\":\"*.acme.example\"", "wildcards are not allowed"},
        {"\"names\":[\"0.0.0.0\"]", "0.0.0.0"},
        {"\"name\":\"a/b\"", "a/b"},
    };
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "{" AUTHORITY ",\"proxy\":{%s,\"listeners\":[{\"address\":\"[::1]:1\"}]},"
                       "\"audit\":{\"directory\":\"audit\"}}",
                       proxies[i][0]);
        load(text, false, proxies[i][1]);
    }
}

/* Beside an authority client_ca alone adds one's own bots. */
Test(proxy_settings, own_certificate_is_needed_without_an_authority_alone)
{
    load("{" AUTHORITY ",\"proxy\":{\"listeners\":[{\"address\":\"[::1]:1\"}],"
         "\"tls\":{\"client_ca\":\"ca.crt\"}},\"audit\":{\"directory\":\"audit\"}}",
         true, NULL);
    load("{" AUTHORITY ",\"proxy\":{\"listeners\":[{\"address\":\"[::1]:1\"}],"
         "\"tls\":{\"client_ca\":\"ca.crt\",\"key\":\"p.key\"}},\"audit\":{\"directory\":\"audit\"}"
         "}",
         false, "\"cert\" and \"key\" belong together");
    load("{\"proxy\":{\"listeners\":[{\"address\":\"[::1]:1\"}],"
         "\"tls\":{\"client_ca\":\"ca.crt\"}},\"databases\":[{\"name\":\"x\",\"address\":\"x:1\"}],"
         "\"roles\":[{\"name\":\"r\"}],\"mappings\":[{\"subject\":\"CN=x\",\"roles\":\"r\"}],"
         "\"audit\":{\"directory\":\"audit\"}}",
         false, "\"cert\" is missing, and there is no authority");
}

Test(proxy_settings, refuses_a_revocation_list_beside_an_authority)
{
    refuses("\"client_ca\": \"/etc/ca.crt\"}",
            "\"client_ca\": \"/etc/ca.crt\", \"crl\": \"bot.crl\"},\n"
            "\"authority\": {\"address\": \"a:1\", \"identity\": \"i\"}",
            "7:79: with an authority, certificates are locked instead of revoked: the list could "
            "not be asked of its own CA");
}

Test(proxy_settings, refuses_two_passwords_of_one_user)
{
    refuses("\"mysql_user\": \"b\"", "\"mysql_user\": \"a\"",
            "14:33: MySQL user \"a\" has a password already");
}

Test(proxy_settings, takes_limits_at_their_bounds)
{
    accepts("\"sessions\": 10", "\"sessions\": 1");
    accepts("\"sessions\": 10", "\"sessions\": 1000000");
    accepts("\"sessions\": 10", "\"login_timeout\": \"100ms\"");
    accepts("\"sessions\": 10", "\"login_timeout\": \"10m\"");
    accepts("\"sessions\": 10", "\"drain_timeout\": \"0s\"");
    accepts("\"directory\": \"audit\"",
            "\"directory\": \"audit\", \"statement_limit\": \"1k\", \"file_size\": 65536");
}

static void refuses_limit(const char *limit)
{
    struct settings settings;
    struct config *config = NULL;
    struct error err = {0};
    char prefix[160];
    write_with("\"sessions\": 10", limit);
    (void)snprintf(prefix, sizeof prefix, "%s:8:", path);
    cr_assert_not(settings_load(path, &settings, &config, &err), "%s was accepted", limit);
    cr_assert_eq(strncmp(err.message, prefix, strlen(prefix)), 0, "%s", err.message);
}

Test(proxy_settings, refuses_limits_past_their_bounds)
{
    refuses_limit("\"sessions\": 0");
    refuses_limit("\"sessions\": 1000001");
    refuses_limit("\"sessions\": -1");
    refuses_limit("\"sessions\": 1.5");
    refuses_limit("\"sessions\": \"10\"");
    refuses_limit("\"pending\": 0");
    refuses_limit("\"statements\": 65537");
    refuses_limit("\"login_timeout\": \"99ms\"");
    refuses_limit("\"login_timeout\": \"601s\"");
    refuses_limit("\"login_timeout\": 10");
    refuses_limit("\"drain_timeout\": \"2d\"");
    refuses_limit("\"audit_timeout\": \"1y\"");
}

Test(proxy_settings, refuses_an_audit_section_that_is_wrong)
{
    refuses("\"directory\": \"audit\"", "\"directory\": \"\"",
            "18:24: \"audit.directory\" must not be empty");
    refuses("{\"directory\": \"audit\"}", "{\"directory\": \"audit\", \"durability\": \"disk\"}",
            "18:47: \"audit.durability\" must be one of \"process\", \"fsync\", not \"disk\"");
}
