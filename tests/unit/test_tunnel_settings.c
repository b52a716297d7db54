/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/settings.h"

#define ONE "\"listen\":\"127.0.0.1:3306\",\"proxy\":\"proxy.internal:3308\","
#define TWO "\"name\":\"shop\",\"database\":\"shop\",\"identity\":\"id\""

static void takes(const char *text, struct tunnel_config *config)
{
    struct error err = {0};
    cr_assert(tunnel_config_load_text(text, "/etc/sallyport", config, &err), "%s", err.message);
}

static void refuses(const char *text, const char *word)
{
    struct tunnel_config config;
    struct error err = {0};
    cr_assert_not(tunnel_config_load_text(text, "/etc/sallyport", &config, &err), "%s", text);
    cr_assert_eq(err.code, ERROR_CONFIG, "%s", err.message);
    cr_assert(strstr(err.message, word), "%s: %s", text, err.message);
    cr_assert_null(config.source);
}

Test(tunnel_settings, fills_in_what_is_not_said)
{
    struct tunnel_config config;
    takes("{\"tunnels\":[{" ONE TWO "}]}", &config);
    const struct tunnel_settings *tunnel = &config.tunnels[0];
    cr_assert_eq(config.tunnel_count, 1);
    cr_assert_str_eq(tunnel->server_name, "proxy.internal");
    cr_assert_str_eq(tunnel->identity, "/etc/sallyport/id");
    cr_assert_eq(tunnel->ready_connections, 2);
    cr_assert_eq(tunnel->max_connections, 1000);
    cr_assert_eq(tunnel->connect_timeout_ms, 10000);
    cr_assert_eq(tunnel->mode, 0600);
    cr_assert_eq(tunnel->listen.port, 3306);
    cr_assert_eq(tunnel->proxy.port, 3308);
    cr_assert_eq(config.drain_timeout_ms, 30000);
    cr_assert_eq(config.log.level, LOG_INFO);
    cr_assert_eq(config.log.format, LOG_FORMAT_AUTO);
    tunnel_config_release(&config);
    tunnel_config_release(&config);
}

Test(tunnel_settings, takes_all_that_can_be_said)
{
    struct tunnel_config config;
    takes("{ // comment\n"
          "\"tunnels\":[{\"name\":\"a\",\"listen\":\"unix:/run/x.sock\",\"mode\":\"0660\","
          "\"proxy\":\"[::1]:3308\",\"server_name\":\"proxy\",\"database\":\"shop\","
          "\"identity\":\"/id\",\"ready_connections\":0,\"max_connections\":5,"
          "\"connect_timeout\":\"250ms\"}],"
          "\"drain_timeout\":\"0\",\"log\":{\"level\":\"debug\",\"format\":\"json\"}}",
          &config);
    const struct tunnel_settings *tunnel = &config.tunnels[0];
    cr_assert_str_eq(tunnel->listen.path, "/run/x.sock");
    cr_assert_eq(tunnel->mode, 0660);
    cr_assert_str_eq(tunnel->proxy.host, "::1");
    cr_assert_str_eq(tunnel->server_name, "proxy");
    cr_assert_eq(tunnel->ready_connections, 0);
    cr_assert_eq(tunnel->connect_timeout_ms, 250);
    cr_assert_eq(config.drain_timeout_ms, 0);
    cr_assert_eq(config.log.level, LOG_DEBUG);
    cr_assert_eq(config.log.format, LOG_FORMAT_JSON);
    tunnel_config_release(&config);
}

Test(tunnel_settings, refuses_mistakes_and_says_where)
{
    refuses("{\"tunnels\":[]}", "tunnels");
    refuses("{}", "tunnels");
    refuses("{\"tunnels\":[{" TWO "}]}", "listen");
    refuses("{\"tunnels\":[{\"listne\":1," ONE TWO "}]}", "listen");
    refuses("{\"tunnels\":[{\"listen\":\"localhost:1\",\"proxy\":\"p:1\"," TWO "}]}", "in numbers");
    refuses("{\"tunnels\":[{\"listen\":\"3306\",\"proxy\":\"p:1\"," TWO "}]}", "no port");
    refuses("{\"tunnels\":[{\"listen\":\"127.0.0.1:1\",\"proxy\":\"p\"," TWO "}]}", "no port");
    refuses("{\"tunnels\":[{\"listen\":\"127.0.0.1:1\",\"proxy\":\"p:0\"," TWO "}]}", "HOST:PORT");
    refuses("{\"tunnels\":[{\"listen\":\"127.0.0.1:1\",\"proxy\":\"unix:/p\"," TWO "}]}",
            "HOST:PORT");
    refuses("{\"tunnels\":[{\"ready_connections\":65," ONE TWO "}]}", "ready_connections");
    refuses("{\"tunnels\":[{\"max_connections\":0," ONE TWO "}]}", "max_connections");
    refuses("{\"tunnels\":[{\"connect_timeout\":\"10\"," ONE TWO "}]}", "connect_timeout");
    refuses("{\"tunnels\":[{" ONE "\"name\":\"a\",\"database\":\"a\\u0007\",\"identity\":\"i\"}]}",
            "database");
    refuses("{\"tunnels\":[{" ONE TWO "}],\"log\":{\"level\":\"loud\"}}", "loud");
}

Test(tunnel_settings, refuses_a_mode_that_is_none)
{
    static const char *const modes[] = {"660x", "0888", "rw", "66", "01777", "1777", ""};
    char text[512];
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        (void)snprintf(text, sizeof text, "{\"tunnels\":[{\"mode\":\"%s\"," ONE TWO "}]}",
                       modes[i]);
        refuses(text, "mode");
    }
}

Test(tunnel_settings, refuses_two_of_the_same)
{
    refuses("{\"tunnels\":[{" ONE TWO "},\n{\"listen\":\"127.0.0.1:2\",\"proxy\":\"p:1\"," TWO
            "}]}",
            "2:");
    refuses("{\"tunnels\":[{" ONE TWO "},{" ONE
            "\"name\":\"b\",\"database\":\"b\",\"identity\":\"i\"}]}",
            "'shop' listens on");
}

Test(tunnel_settings, allows_any_port_twice)
{
    struct tunnel_config config;
    takes("{\"tunnels\":[{\"listen\":\"127.0.0.1:0\",\"proxy\":\"p:1\"," TWO "},"
          "{\"listen\":\"127.0.0.1:0\",\"proxy\":\"p:1\",\"name\":\"b\",\"database\":\"b\","
          "\"identity\":\"i\"}]}",
          &config);
    tunnel_config_release(&config);
}

Test(tunnel_settings, reads_flags_by_the_same_rules)
{
    struct tunnel_config config;
    struct error err = {0};
    struct tunnel_flags flags = {.proxy = "proxy:3308",
                                 .database = "shop",
                                 .listen = "127.0.0.1:3306",
                                 .identity = "/id",
                                 .ready = "7",
                                 .server_name = "name"};
    cr_assert(tunnel_config_from_flags(&flags, &config, &err), "%s", err.message);
    cr_assert_eq(config.tunnel_count, 1);
    cr_assert_str_eq(config.tunnels[0].name, "shop");
    cr_assert_str_eq(config.tunnels[0].server_name, "name");
    cr_assert_str_eq(config.tunnels[0].identity, "/id");
    cr_assert_eq(config.tunnels[0].ready_connections, 7);
    cr_assert_eq(config.drain_timeout_ms, 30000);
    tunnel_config_release(&config);
    flags.listen = "nonsense";
    cr_assert_not(tunnel_config_from_flags(&flags, &config, &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
}

Test(tunnel_settings, refuses_flags_that_do_not_do)
{
    static const char *const readies[] = {"", "x", "-1", "65", "7x", " 7", "99999999999999999999"};
    const struct tunnel_flags good = {
        .proxy = "p:1", .database = "d", .listen = "127.0.0.1:1", .identity = "/id"};
    struct tunnel_config config;
    struct error err = {0};
    for (size_t i = 0; i < sizeof readies / sizeof *readies; i++) {
        struct tunnel_flags flags = good;
        flags.ready = readies[i];
        cr_assert_not(tunnel_config_from_flags(&flags, &config, &err), "%s", readies[i]);
        cr_assert(strstr(err.message, "--ready"), "%s", err.message);
    }
    struct tunnel_flags flags = good;
    flags.identity = NULL;
    cr_assert_not(tunnel_config_from_flags(&flags, &config, &err));
    cr_assert(strstr(err.message, "--identity"), "%s", err.message);
    flags = good;
    flags.proxy = "";
    cr_assert_not(tunnel_config_from_flags(&flags, &config, &err));
    cr_assert(strstr(err.message, "--proxy"), "%s", err.message);
}

Test(tunnel_settings, takes_a_database_whose_name_is_too_long_for_a_tunnel)
{
    char database[200];
    struct tunnel_config config;
    struct error err = {0};
    memset(database, 'd', sizeof database);
    database[sizeof database - 1] = '\0';
    const struct tunnel_flags flags = {
        .proxy = "p:1", .database = database, .listen = "127.0.0.1:1", .identity = "/id"};
    cr_assert(tunnel_config_from_flags(&flags, &config, &err), "%s", err.message);
    cr_assert_str_eq(config.tunnels[0].name, "tunnel");
    tunnel_config_release(&config);
}

Test(tunnel_settings, copies_text_for_those_who_outlive_the_configuration)
{
    struct tunnel_config config;
    struct tunnel_settings copy;
    takes("{\"tunnels\":[{" ONE TWO "}]}", &config);
    cr_assert(tunnel_settings_copy(&config.tunnels[0], &copy, NULL));
    tunnel_config_release(&config);
    cr_assert_str_eq(copy.name, "shop");
    cr_assert_str_eq(copy.server_name, "proxy.internal");
    cr_assert_str_eq(copy.identity, "/etc/sallyport/id");
    tunnel_settings_release(&copy);
    tunnel_settings_release(&copy);
}

Test(tunnel_settings, says_why_a_file_cannot_be_read)
{
    struct tunnel_config config;
    struct error err = {0};
    cr_assert_not(tunnel_config_load("/nonexistent/tunnel.conf", &config, &err));
    cr_assert(strstr(err.message, "/nonexistent/tunnel.conf"), "%s", err.message);
}
