/* SPDX-License-Identifier: Apache-2.0 */
/* The section "authority" of the configuration. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "authority/settings.h"

struct file {
    struct authority_config authority;
};

static const struct config_field fields[] = {
    {CONFIG_INLINE_AT(struct file, authority), .key = "authority",
     .table = &authority_settings_table, .required = true},
};
static const struct config_table table = {CONFIG_TABLE(struct file, fields)};

static struct config *config;

/* JSON with ' for ", inside of the section. */
static bool read_section(const char *inside, struct authority_service_settings *out,
                         struct error *err)
{
    char text[8192];
    struct file file;
    snprintf(text, sizeof text, "{\n  'authority': {\n    %s } }", inside);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    config_free(config);
    config = NULL;
    return config_load_text("a.json", "/etc/sallyport", text, strlen(text), &table, &file, &config,
                            err) &&
           authority_settings_read(config, &file.authority, out, err);
}

static void free_config(void)
{
    config_free(config);
}

TestSuite(authority_settings, .fini = free_config);

Test(authority_settings, has_defaults_for_all_but_two)
{
    struct authority_service_settings settings;
    struct error err = {0};
    cr_assert(read_section("'directory':'state','trust_domain':'acme.example'", &settings, &err),
              "%s", err.message);
    cr_assert_str_eq(settings.directory, "/etc/sallyport/state");
    cr_assert_str_eq(settings.socket_path, "/etc/sallyport/state/admin.sock");
    cr_assert_str_eq(settings.listen.host, "0.0.0.0");
    cr_assert_eq(settings.listen.port, 3309);
    cr_assert_eq(settings.core.bot_ttl_us, AUTHORITY_HOUR);
    cr_assert_eq(settings.core.proxy_ttl_us, 24 * AUTHORITY_HOUR);
    cr_assert_eq(settings.core.client_ttl_us, AUTHORITY_HOUR);
    cr_assert_eq(settings.core.server_ttl_us, 90 * AUTHORITY_DAY);
    cr_assert_eq(settings.core.token_ttl_us, AUTHORITY_HOUR);
    cr_assert_geq(settings.core.hosts.count, 1, "this machine's name");
}

Test(authority_settings, is_named_after_the_host_that_it_listens_on)
{
    struct authority_service_settings settings;
    struct error err = {0};
    cr_assert(read_section("'directory':'/s','trust_domain':'t','listen':'Auth.Internal:1'",
                           &settings, &err),
              "%s", err.message);
    cr_assert_str_eq(settings.core.hosts.names[0], "auth.internal");
    cr_assert(read_section("'directory':'/s','trust_domain':'t','names':['a.b','10.0.0.1']",
                           &settings, &err));
    cr_assert_eq(settings.core.hosts.count, 2);
    cr_assert(settings.core.hosts.numeric[1]);
}

Test(authority_settings, says_where_it_is_wrong)
{
#define NEEDED "'directory':'/s','trust_domain':'t',\n    "
    static const struct {
        const char *inside, *words;
    } cases[] = {
        {"'directory':'/s'", "trust_domain"},
        {"'trust_domain':'t'", "directory"},
        {"'directory':'/s','trust_domain':'Acme'", "a.json:3:"},
        {NEEDED "'listen':'nowhere'", "a.json:4:"},
        {NEEDED "'listen':'unix:/x'", "TLS over TCP"},
        {NEEDED "'names':['ok', 'not ok']", "a.json:4:"},
        {NEEDED "'names':['*.x']", "a.json:4:"},
        {NEEDED "'shared_names':['ok', 'not ok']", "a.json:4:"},
        {NEEDED "'shared_names':[]", "a.json:4:"},
        {NEEDED "'names':[]", "a.json:4:"},
        {NEEDED "'bot_ttl':'1s'", "a.json:4:"},
        {NEEDED "'bot_ttl':'25h'", "a.json:4:"},
        {NEEDED "'service_ttl':'2d'", "a.json:4:"},
        {NEEDED "'database_client_ttl':'3600'", "a.json:4:"},
        {NEEDED "'database_server_ttl':'826d'", "a.json:4:"},
        {NEEDED "'token_ttl':'8d'", "a.json:4:"},
        {NEEDED "'limits':{'connections':10,'per_address':11}", "per_address"},
        {NEEDED "'bot-ttl':'1h'", "bot_ttl"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct authority_service_settings settings;
        struct error err = {0};
        cr_assert(!read_section(cases[i].inside, &settings, &err), "%s", cases[i].inside);
        cr_assert_eq(err.code, ERROR_CONFIG, "%s", err.message);
        cr_assert(strstr(err.message, cases[i].words), "%s", err.message);
    }
}

Test(authority_settings, refuses_a_socket_path_that_no_socket_can_have)
{
    struct authority_service_settings settings;
    struct error err = {0};
    char inside[1024], path[256];
    memset(path, 'd', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    snprintf(inside, sizeof inside, "'directory':'/%s','trust_domain':'t'", path);
    cr_assert(!read_section(inside, &settings, &err));
    cr_assert(strstr(err.message, "admin_socket"), "%s", err.message);
    snprintf(inside, sizeof inside,
             "'directory':'/%s','trust_domain':'t','admin_socket':'/run/a.sock'", path);
    cr_assert(read_section(inside, &settings, &err), "%s", err.message);
    cr_assert_str_eq(settings.socket_path, "/run/a.sock");
    path[AUTHORITY_SOCKET_PATH_MAX - 1] = '\0'; /* with the slash as long as may be */
    snprintf(inside, sizeof inside, "'directory':'/s','trust_domain':'t','admin_socket':'/%s'",
             path);
    cr_assert(read_section(inside, &settings, &err), "%s", err.message);
    cr_assert_eq(strlen(settings.socket_path), AUTHORITY_SOCKET_PATH_MAX);
}
