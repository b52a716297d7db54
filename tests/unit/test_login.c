/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/handshake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol_support.h"

/* --- logins --- */

#define OFFERED                                       \
    ((CAPABILITY_END_TO_END | CAPABILITY_LEG_LOCAL) & \
     ~(CAPABILITY_SSL | CAPABILITY_REMEMBER_OPTIONS))

/* The login's 32 fixed bytes: capabilities, 16 MiB, collation utf8mb4_general_ci, filler. */
#define FIXED(capabilities) \
    capabilities "00000001" \
                 "2d"       \
                 "0000000000000000000000000000000000000000000000"
#define FLAGS_41             "00020000" /* PROTOCOL_41 */
#define FLAGS_SECURE         "00820000" /* and SECURE_CONNECTION */
#define FLAGS_SECURE_DB      "08820000" /* and CONNECT_WITH_DB */
#define FLAGS_SECURE_PLUGIN  "00820800" /* and PLUGIN_AUTH */
#define FLAGS_ATTRIBUTES     "00821800" /* and PLUGIN_AUTH, CONNECT_ATTRS */
#define FLAGS_LENENC         "00822000" /* and PLUGIN_AUTH_LENENC */
#define FLAGS_SECURE_DB_PLUG "08820800"

static bool login_read(const char *hex, uint32_t offered, struct handshake_login *login,
                       struct error *err)
{
    struct bytes bytes = bytes_of(hex);
    bool good = handshake_login_read(view(bytes), offered, login, err);
    if (good) { /* the views are into bytes that go away */
        login->auth_response.data = NULL;
        login->attributes.data = NULL;
    }
    free(bytes.data);
    return good;
}

static struct handshake_login login_of(const char *hex)
{
    struct handshake_login login;
    struct error err = {0};
    cr_assert(login_read(hex, OFFERED, &login, &err), "%s", err.message);
    cr_assert_not(login.is_ssl_request);
    cr_assert_not(login.is_change_user);
    return login;
}

static enum error_code login_error_offering(const char *hex, uint32_t offered)
{
    struct handshake_login login = {.max_packet = 4711};
    struct error err = {0};
    cr_assert_not(login_read(hex, offered, &login, &err), "%s", hex);
    cr_assert_eq(login.max_packet, 4711);
    cr_assert(err.message[0]);
    return err.code;
}

static enum error_code login_error(const char *hex)
{
    return login_error_offering(hex, OFFERED);
}

Test(login, reads_the_mariadb_client_10_11_19)
{
    struct handshake_login login =
        login_of("8ca2bf0000001000210000000000000000000000000000000000000000000000626f62000073686f"
                 "70006d7973716c5f6e61746976655f70617373776f7264007f035f6f73054c696e75780c5f636c69"
                 "656e745f6e616d650a6c69626d617269616462045f7069640532393938350f5f636c69656e745f76"
                 "657273696f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f6772616d5f6e"
                 "616d65056d7973716c0c5f7365727665725f686f7374093132372e302e302e31");
    cr_assert_eq(login.capabilities, 0x00bfa28c);
    cr_assert_eq(login.max_packet, 0x100000);
    cr_assert_eq(login.collation, 33);
    cr_assert_str_eq(login.user, "bob");
    cr_assert_str_eq(login.schema, "shop");
    cr_assert_str_eq(login.plugin, "mysql_native_password");
    cr_assert_eq(login.auth_response.length, 0);
    cr_assert_eq(login.attributes.length, 127);
}

/* It sets multi-factor and compression's neighbours whether offered or not. */
Test(login, reads_the_mysql_client_9_7_4_and_clears_what_was_not_offered)
{
    struct handshake_login login = login_of(
        "85a2bf1900000001ff0000000000000000000000000000000000000000000000626f620020c76e2898612a4cf0"
        "42c77fa8c4702c4c64c0c2c557c53c4d75595aaa6abae80963616368696e675f736861325f70617373776f7264"
        "0072045f706964053330313032095f706c6174666f726d067838365f3634035f6f73054c696e75780c5f636c69"
        "656e745f6e616d65086c69626d7973716c076f735f7573657204726f6f740f5f636c69656e745f76657273696f"
        "6e05392e372e340c70726f6772616d5f6e616d65056d7973716c");
    cr_assert_eq(login.capabilities, 0x09bfa285);
    cr_assert_str_eq(login.user, "bob");
    cr_assert_str_eq(login.schema, "");
    cr_assert_str_eq(login.plugin, "caching_sha2_password");
    cr_assert_eq(login.auth_response.length, 32);
    cr_assert_eq(login.attributes.length, 114);
}

Test(login, reads_pymysql_1_0_2)
{
    struct handshake_login login = login_of(
        "0da23a00ffffff002d0000000000000000000000000000000000000000000000626f620020c76e2898612a4cf0"
        "42c77fa8c4702c4c64c0c2c557c53c4d75595aaa6abae80973686f700063616368696e675f736861325f706173"
        "73776f726400360c5f636c69656e745f6e616d650770796d7973716c045f7069640533303130370f5f636c6965"
        "6e745f76657273696f6e05312e302e32");
    cr_assert_str_eq(login.schema, "shop");
    cr_assert_eq(login.auth_response.length, 32);
    cr_assert_eq(login.attributes.length, 54);
}

/* Node's older `mysql` does not know plugins, and offers LONG_FLAG, ODBC, … all the same. */
Test(login, reads_node_mysql_2_18)
{
    struct handshake_login login =
        login_of("cff3060000000000210000000000000000000000000000000000000000000000626f6200148817c5"
                 "0fa779daef010ee7577825b0847df9842e73686f7000");
    cr_assert_not(login.capabilities & CAPABILITY_PLUGIN_AUTH);
    cr_assert_str_eq(login.plugin, "");
    cr_assert_str_eq(login.schema, "shop");
    cr_assert_eq(login.auth_response.length, 20);
}

/* MariaDB's connector for Node puts extended capabilities into the filler. */
Test(login, reads_node_mariadb_3_5_and_ignores_extended_capabilities)
{
    const char *tail =
        "626f62000073686f70006d7973716c5f6e61746976655f70617373776f726400fc6a000c5f"
        "636c69656e745f6e616d65164d61726961444220636f6e6e6563746f722f4e6f64650f5f636c"
        "69656e745f76657273696f6e05332e352e34035f6f73056c696e75780c5f636c69656e745f68"
        "6f737402766d0d5f6e6f64655f76657273696f6e0732302e32302e32";
    char hex[1024];
    snprintf(hex, sizeof hex, "0aa3be0100000040e0%s1d000000%s",
             "00000000000000000000000000000000000000", tail);
    struct handshake_login login = login_of(hex);
    cr_assert_eq(login.collation, 224);
    cr_assert_str_eq(login.user, "bob");
    cr_assert_eq(login.attributes.length, 106);
}

Test(login, reads_the_response_in_its_three_forms)
{
    cr_assert_eq(login_of(FIXED(FLAGS_41) "626f6200"
                                          "616200")
                     .auth_response.length,
                 2);
    cr_assert_eq(login_of(FIXED(FLAGS_SECURE) "626f6200"
                                              "03610062")
                     .auth_response.length,
                 3);
    cr_assert_eq(login_of(FIXED(FLAGS_LENENC) "626f6200"
                                              "fc0200"
                                              "6162")
                     .auth_response.length,
                 2);
}

Test(login, tolerates_what_servers_tolerate_at_the_end)
{
    cr_assert_str_eq(login_of(FIXED(FLAGS_SECURE_PLUGIN) "626f620000").plugin, "");
    cr_assert_str_eq(login_of(FIXED(FLAGS_SECURE_PLUGIN) "626f620000"
                                                         "6162")
                         .plugin,
                     "ab");
    cr_assert_eq(login_of(FIXED(FLAGS_ATTRIBUTES) "626f620000"
                                                  "616200")
                     .attributes.length,
                 0);
    cr_assert_str_eq(login_of(FIXED(FLAGS_SECURE) "626f620000"
                                                  "0000")
                         .user,
                     "bob");
}

/* A client that asks for zstd sends a level, even if we do not offer it (MySQL 8.0.18+). */
Test(login, lets_a_zstd_level_stand_at_the_end)
{
    struct handshake_login login;
    cr_assert(login_read(FIXED("00820004") "626f620000"
                                           "03",
                         OFFERED & ~CAPABILITY_ZSTD, &login, NULL));
    cr_assert_not(login.capabilities & CAPABILITY_ZSTD);
    cr_assert_eq(login.zstd_level, 3);
    cr_assert_eq(login_error(FIXED("00820004") "626f620000"
                                               "0303"),
                 ERROR_MALFORMED);
}

/* libmariadb 3.3 and later write it as four bytes (plugins/auth/my_auth.c). */
Test(login, takes_a_zstd_level_of_four_bytes_and_none_at_all)
{
    cr_assert_eq(login_of(FIXED("00820004") "626f620000"
                                            "07000000")
                     .zstd_level,
                 7);
    cr_assert_eq(login_of(FIXED("00820004") "626f620000").zstd_level, 0);
}

Test(login, refuses_what_is_malformed)
{
    static const char *const bad[] = {
        "",
        "00820000",
        FIXED(FLAGS_SECURE),                     /* no user */
        FIXED(FLAGS_SECURE) "626f62",            /* user without its NUL */
        FIXED(FLAGS_SECURE) "626f6200",          /* no response */
        FIXED(FLAGS_SECURE) "626f6200036162",    /* response past the end */
        FIXED(FLAGS_41) "626f62006162",          /* response without its NUL */
        FIXED(FLAGS_LENENC) "626f6200fe",        /* cut length */
        FIXED(FLAGS_LENENC) "626f6200fb",        /* NULL */
        FIXED(FLAGS_LENENC) "626f6200ff",        /* no length at all */
        FIXED(FLAGS_SECURE_DB) "626f620000",     /* no schema */
        FIXED(FLAGS_SECURE_DB) "626f620000736f", /* schema without its NUL */
        FIXED(FLAGS_SECURE) "626f62000041",      /* bytes behind the end */
        FIXED(FLAGS_SECURE_PLUGIN) "626f620000611b00",
        FIXED(FLAGS_ATTRIBUTES) "626f62000061000501610162", /* attributes past the end */
        FIXED(FLAGS_ATTRIBUTES) "626f62000061000201ff",     /* a key that is no string */
        FIXED(FLAGS_ATTRIBUTES) "626f620000610002016b",     /* a key without a value */
        FIXED(FLAGS_ATTRIBUTES) "626f6200006100020261",     /* a key past the attributes */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(login_error(bad[i]), ERROR_MALFORMED, "case %zu", i);
}

/* TRAPS.md: check every length-encoded length against the packet (ClickHouse #107599). */
Test(login, refuses_lengths_of_many_gigabytes)
{
    cr_assert_eq(login_error(FIXED(FLAGS_LENENC) "626f6200fe00000000ffffff7f"), ERROR_MALFORMED);
    cr_assert_eq(login_error(FIXED(FLAGS_LENENC) "626f6200feffffffffffffffff"), ERROR_MALFORMED);
    cr_assert_eq(login_error(FIXED(FLAGS_ATTRIBUTES) "626f6200006100fdffffff"), ERROR_MALFORMED);
}

Test(login, refuses_the_protocol_of_before_4_1)
{
    cr_assert_eq(login_error(FIXED("00800000") "626f620000"), ERROR_UNSUPPORTED);
}

Test(login, refuses_flags_that_change_the_layout_and_were_not_offered)
{
    const char *hex = FIXED(FLAGS_SECURE_DB) "626f62000073686f7000";
    cr_assert_str_eq(login_of(hex).schema, "shop");
    cr_assert_eq(login_error_offering(hex, OFFERED & ~CAPABILITY_CONNECT_WITH_DB), ERROR_MALFORMED);
    cr_assert_eq(login_error_offering(FIXED(FLAGS_SECURE_PLUGIN) "626f6200006100",
                                      OFFERED & ~CAPABILITY_PLUGIN_AUTH),
                 ERROR_MALFORMED);
    /* Read without its flag this one is well-formed, and says something else. */
    cr_assert_eq(login_error_offering(FIXED(FLAGS_SECURE_DB) "626f620002610073686f7000",
                                      OFFERED & ~CAPABILITY_SECURE_CONNECTION),
                 ERROR_MALFORMED);
}

/* In the first case the name fits exactly. */
Test(login, refuses_names_that_are_too_long)
{
    static const struct {
        size_t user, schema, plugin;
        bool good;
    } cases[] = {
        {HANDSHAKE_USER_MAX - 1, HANDSHAKE_SCHEMA_MAX - 1, HANDSHAKE_PLUGIN_MAX - 1, true},
        {HANDSHAKE_USER_MAX, 1, 1, false},
        {1, HANDSHAKE_SCHEMA_MAX, 1, false},
        {1, 1, HANDSHAKE_PLUGIN_MAX, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char hex[4096] = FIXED(FLAGS_SECURE_DB_PLUG);
        for (size_t n = 0; n < cases[i].user; n++)
            strcat(hex, "61");
        strcat(hex, "0000");
        for (size_t n = 0; n < cases[i].schema; n++)
            strcat(hex, "62");
        strcat(hex, "00");
        for (size_t n = 0; n < cases[i].plugin; n++)
            strcat(hex, "63");
        strcat(hex, "00");
        if (cases[i].good)
            cr_assert_eq(strlen(login_of(hex).user), cases[i].user);
        else
            cr_assert_eq(login_error(hex), ERROR_LIMIT, "case %zu", i);
    }
}

/* The server would see another name than the one that was judged (I1, I2). */
Test(login, takes_the_quotes_from_a_user_as_servers_do)
{
    cr_assert_str_eq(login_of(FIXED(FLAGS_SECURE) "27726f6f742700"
                                                  "00")
                         .user,
                     "root");
    cr_assert_str_eq(login_of(FIXED(FLAGS_SECURE) "27726f6f7400"
                                                  "00")
                         .user,
                     "'root");
    cr_assert_str_eq(login_of(FIXED(FLAGS_SECURE) "2700"
                                                  "00")
                         .user,
                     "'");
    cr_assert_str_eq(login_of(FIXED(FLAGS_SECURE) "272700"
                                                  "00")
                         .user,
                     "");
    cr_assert_eq(login_error(FIXED(FLAGS_SECURE) "2727726f6f74272700"
                                                 "00"),
                 ERROR_UNSUPPORTED);
}

static void with_collation(char *hex, const char *collation)
{
    memcpy(hex + 16, collation, 2);
}

Test(login, refuses_names_that_the_server_would_read_otherwise)
{
    char ascii[] = FIXED(FLAGS_SECURE) "726f6f7400"
                                       "00";
    char umlaut[] = FIXED(FLAGS_SECURE) "6dc3bc6c6c657200"
                                        "00";
    char latin1[] = FIXED(FLAGS_SECURE) "6dfc6c6c657200"
                                        "00";
    cr_assert_str_eq(login_of(ascii).user, "root");
    cr_assert_str_eq(login_of(umlaut).user, "m\xc3\xbcller");
    cr_assert_eq(login_error(latin1), ERROR_MALFORMED, "not UTF-8");
    with_collation(ascii, "08"); /* latin1_swedish_ci */
    with_collation(umlaut, "08");
    cr_assert_str_eq(login_of(ascii).user, "root");
    cr_assert_eq(login_error(umlaut), ERROR_UNSUPPORTED);
    with_collation(umlaut, "ff"); /* utf8mb4_0900_ai_ci, the default of MySQL 8 and 9 */
    cr_assert_str_eq(login_of(umlaut).user, "m\xc3\xbcller");
    with_collation(umlaut, "fa"); /* gb18030_bin */
    cr_assert_eq(login_error(umlaut), ERROR_UNSUPPORTED);
    with_collation(ascii, "11"); /* filename: there "@0072" is an r */
    cr_assert_eq(login_error(ascii), ERROR_UNSUPPORTED);
    with_collation(ascii, "0a"); /* swe7_swedish_ci */
    cr_assert_eq(login_error(ascii), ERROR_UNSUPPORTED);
}

Test(login, refuses_every_truncation)
{
    const char *whole = FIXED("08823800") "626f6200"
                                          "03616263"
                                          "73686f7000"
                                          "6e616d6500"
                                          "06"
                                          "016b0476616c75";
    (void)login_error(whole); /* its attributes are one byte short: the whole is bad as well */
    for (size_t digits = 0; digits < strlen(whole); digits += 2) {
        char hex[256];
        struct handshake_login login;
        snprintf(hex, sizeof hex, "%.*s", (int)digits, whole);
        size_t fields = digits / 2;
        bool tolerated = fields >= 32 + 4 + 4 + 5 && fields <= 32 + 4 + 4 + 5 + 5;
        cr_assert_eq(login_read(hex, OFFERED, &login, NULL), tolerated, "at %zu", fields);
    }
}

/* --- SSLRequest --- */

Test(ssl_request, is_exactly_the_fixed_part_with_the_bit)
{
    struct handshake_login login;
    const uint32_t offered = OFFERED | CAPABILITY_SSL;
    cr_assert(login_read(FIXED("008a0000"), offered, &login, NULL));
    cr_assert(login.is_ssl_request);
    cr_assert(login.capabilities & CAPABILITY_SSL);
    cr_assert_eq(login.max_packet, 0x01000000);
    cr_assert_eq(login.collation, 45);
    cr_assert_eq(login_error(FIXED("008a0000")), ERROR_UNSUPPORTED, "it was not offered");
    cr_assert_eq(login_error_offering(FIXED("00820000"), offered), ERROR_MALFORMED, "no bit");
}

/* TRAPS.md, Handshake: trust what happened, not the bit. */
Test(ssl_request, is_not_a_login_that_has_the_bit)
{
    struct handshake_login login;
    cr_assert(login_read(FIXED("008a0000") "626f620000", OFFERED | CAPABILITY_SSL, &login, NULL));
    cr_assert_not(login.is_ssl_request);
    cr_assert_str_eq(login.user, "bob");
    cr_assert_not(login_of(FIXED("008a0000") "626f620000").capabilities & CAPABILITY_SSL);
}

Test(ssl_request, that_we_write_reads_back)
{
    struct buffer out;
    struct handshake_login login;
    buffer_init(&out, 100);
    const struct handshake_login request = {
        .capabilities = CAPABILITY_PROTOCOL_41, .max_packet = 1u << 24, .collation = 2304 + 45};
    cr_assert(handshake_ssl_request_append(&out, 1, &request, NULL));
    expect_hex(&out, "20000001" FIXED("000a0000"));
    cr_assert(handshake_login_read(payload_in(&out, 1), OFFERED | CAPABILITY_SSL, &login, NULL));
    cr_assert(login.is_ssl_request);
    buffer_release(&out);
}

/* MariaDB's server reads the last 4 filler bytes only from a client that leaves bit 0 clear, and a
 * MySQL client's filler must not be taken for flags. (MariaDB manual, "Connection".) */
Test(login, extended_flags_go_with_a_clear_bit_0)
{
    const uint32_t understood = CAPABILITY_MARIADB_END_TO_END;
    for (int mysql = 0; mysql <= 1; mysql++) {
        struct buffer out;
        struct handshake_login login;
        const struct handshake_login request = {
            .capabilities = CAPABILITY_PROTOCOL_41 | (mysql ? CAPABILITY_LONG_PASSWORD : 0),
            .mariadb_capabilities = understood};
        buffer_init(&out, 100);
        cr_assert(handshake_ssl_request_append(&out, 1, &request, NULL));
        cr_assert_eq(out.storage[out.end - 4], mysql ? 0 : understood);
        if (mysql)
            out.storage[out.end - 4] = 0xFF; /* filler of a careless client */
        cr_assert(
            handshake_login_read(payload_in(&out, 1), OFFERED | CAPABILITY_SSL, &login, NULL));
        cr_assert_eq(login.mariadb_capabilities, mysql ? 0 : understood);
        buffer_release(&out);
    }
}

/* --- what we write as a client --- */

static const struct handshake_login sample = {
    .capabilities = CAPABILITY_PROTOCOL_41 | CAPABILITY_SECURE_CONNECTION |
                    CAPABILITY_CONNECT_WITH_DB | CAPABILITY_PLUGIN_AUTH | CAPABILITY_CONNECT_ATTRS |
                    CAPABILITY_PLUGIN_AUTH_LENENC,
    .max_packet = 1u << 24,
    .collation = 45,
    .user = "bob",
    .schema = "shop",
    .plugin = "caching_sha2_password",
    .auth_response = {(const uint8_t *)"0123456789", 10},
    .attributes = {(const uint8_t *)"\1k\5value", 8},
};

static void expect_round_trip(const struct handshake_login *login)
{
    struct buffer out;
    struct handshake_login back;
    struct error err = {0};
    buffer_init(&out, PACKET_LOGIN_MAX + PACKET_HEADER_SIZE);
    cr_assert(handshake_login_append(&out, 1, login, &err), "%s", err.message);
    cr_assert(handshake_login_read(payload_in(&out, 1), OFFERED, &back, &err), "%s", err.message);
    cr_assert_eq(back.capabilities, login->capabilities);
    cr_assert_str_eq(back.user, login->user);
    bool has_schema = login->capabilities & CAPABILITY_CONNECT_WITH_DB;
    cr_assert_str_eq(back.schema, has_schema ? login->schema : "");
    bool has_plugin = login->capabilities & CAPABILITY_PLUGIN_AUTH;
    cr_assert_str_eq(back.plugin, has_plugin ? login->plugin : "");
    cr_assert_eq(back.auth_response.length, login->auth_response.length);
    cr_assert_arr_eq(back.auth_response.data, login->auth_response.data,
                     login->auth_response.length);
    if (login->capabilities & CAPABILITY_CONNECT_ATTRS)
        cr_assert_arr_eq(back.attributes.data, login->attributes.data, login->attributes.length);
    buffer_release(&out);
}

Test(login, that_we_write_reads_back_in_every_layout)
{
    static const uint32_t optional[] = {
        CAPABILITY_CONNECT_WITH_DB,    CAPABILITY_PLUGIN_AUTH,       CAPABILITY_CONNECT_ATTRS,
        CAPABILITY_PLUGIN_AUTH_LENENC, CAPABILITY_SECURE_CONNECTION,
    };
    for (unsigned mask = 0; mask < 32; mask++) {
        struct handshake_login login = sample;
        for (unsigned bit = 0; bit < 5; bit++) {
            if (mask & (1u << bit))
                login.capabilities &= ~optional[bit];
        }
        expect_round_trip(&login);
    }
}

Test(login, that_we_write_has_the_zstd_level_at_its_end)
{
    struct buffer out;
    struct handshake_login back, login = sample;
    login.capabilities |= CAPABILITY_ZSTD;
    login.zstd_level = 7;
    buffer_init(&out, PACKET_LOGIN_MAX);
    cr_assert(handshake_login_append(&out, 1, &login, NULL));
    cr_assert_eq(buffer_bytes(&out)[buffer_length(&out) - 1], 7);
    cr_assert(handshake_login_read(payload_in(&out, 1), OFFERED | CAPABILITY_ZSTD, &back, NULL));
    cr_assert(back.capabilities & CAPABILITY_ZSTD);
    cr_assert_eq(back.zstd_level, 7);
    buffer_release(&out);
}

Test(login, that_we_write_has_no_extended_capabilities)
{
    struct buffer out;
    struct handshake_login login = sample;
    login.capabilities = CAPABILITY_PROTOCOL_41 | CAPABILITY_SECURE_CONNECTION;
    login.auth_response.length = 2;
    buffer_init(&out, PACKET_LOGIN_MAX);
    cr_assert(handshake_login_append(&out, 1, &login, NULL));
    expect_hex(&out, "27000001" FIXED(FLAGS_SECURE) "626f6200"
                                                    "023031");
    buffer_release(&out);
}

Test(login, refuses_to_write_a_response_that_does_not_fit)
{
    uint8_t response[300];
    struct buffer out;
    struct error err = {0};
    struct handshake_login login = sample;
    memset(response, 'x', sizeof response);
    login.auth_response = byte_view(response, sizeof response);
    expect_round_trip(&login);
    buffer_init(&out, PACKET_LOGIN_MAX);
    login.capabilities &= ~CAPABILITY_PLUGIN_AUTH_LENENC;
    cr_assert_not(handshake_login_append(&out, 1, &login, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    login.capabilities &= ~CAPABILITY_SECURE_CONNECTION;
    expect_round_trip(&login);
    response[7] = 0;
    cr_assert_not(handshake_login_append(&out, 1, &login, &err), "a NUL would end it");
    cr_assert_eq(buffer_length(&out), 0);
    buffer_release(&out);
}

Test(login, that_does_not_fit_its_buffer_leaves_it_alone)
{
    uint8_t storage[60];
    struct buffer out;
    struct error err = {0};
    buffer_init_fixed(&out, storage, sizeof storage);
    cr_assert_not(handshake_login_append(&out, 1, &sample, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(buffer_length(&out), 0);
}

/* --- COM_CHANGE_USER --- */

static bool change_read(const char *hex, uint32_t capabilities, struct handshake_login *login)
{
    struct bytes bytes = bytes_of(hex);
    struct error err = {0};
    bool good = handshake_change_user_read(view(bytes), capabilities, login, &err);
    cr_assert_eq(good, err.message[0] == 0);
    free(bytes.data);
    return good;
}

Test(change_user, reads_libmariadb_3_3)
{
    struct handshake_login login;
    cr_assert(change_read(
        "11616e6e00148817c50fa779daef010ee7577825b0847df9842e6f74686572002d006d7973716c5f6e61746976"
        "655f70617373776f7264006c035f6f73054c696e75780c5f636c69656e745f6e616d650a6c69626d6172696164"
        "62045f7069640533303232360f5f636c69656e745f76657273696f6e06332e332e3230095f706c6174666f726d"
        "067838365f36340c5f7365727665725f686f7374093132372e302e302e31",
        OFFERED, &login));
    cr_assert(login.is_change_user);
    cr_assert_not(login.is_ssl_request);
    cr_assert_eq(login.capabilities, OFFERED);
    cr_assert_str_eq(login.user, "ann");
    cr_assert_str_eq(login.schema, "other");
    cr_assert_str_eq(login.plugin, "mysql_native_password");
    cr_assert_eq(login.collation, 45);
    cr_assert_eq(login.auth_response.length, 20);
    cr_assert_eq(login.attributes.length, 108);
}

Test(change_user, reads_node_mysql2_and_node_mysql)
{
    struct handshake_login login;
    cr_assert(change_read("11616e6e00148817c50fa779daef010ee7577825b0847df9842e73686f7000e0006d797"
                          "3716c5f6e61746976655f70617373776f72640000",
                          OFFERED, &login));
    cr_assert_eq(login.collation, 224);
    cr_assert_eq(login.attributes.length, 0);
    cr_assert(change_read("11616e6e00148817c50fa779daef010ee7577825b0847df9842e73686f70002100",
                          0x0006f3cf, &login));
    cr_assert_str_eq(login.schema, "shop");
    cr_assert_str_eq(login.plugin, "");
}

Test(change_user, may_end_behind_the_schema)
{
    struct handshake_login login;
    cr_assert(change_read("11616e6e000000", OFFERED, &login));
    cr_assert_str_eq(login.user, "ann");
    cr_assert_eq(login.collation, 0);
}

Test(change_user, refuses_what_is_malformed)
{
    static const char *const bad[] = {
        "",
        "03616e6e000000", /* another command */
        "11616e6e",       /* user without its NUL */
        "11616e6e00",     /* no response */
        "11616e6e00ff00", /* response past the end */
        "11616e6e0000",   /* no schema */
        "11616e6e000000"
        "2d", /* half a collation */
        "11616e6e000000"
        "2d00"
        "6100"
        "05016b", /* attributes past the end */
        "11616e6e000000"
        "2d00"
        "6100"
        "00"
        "00", /* bytes behind the end */
        "11fc6e6e000000"
        "0800", /* not ASCII in latin1 */
        "11616e6e000000"
        "1100", /* filename */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct handshake_login login = {.max_packet = 4711};
        cr_assert_not(change_read(bad[i], OFFERED, &login), "case %zu", i);
        cr_assert_eq(login.max_packet, 4711);
    }
}

/* Servers take quotes away at login only. */
Test(change_user, keeps_quotes)
{
    struct handshake_login login;
    cr_assert(change_read("1127616e6e27000000", OFFERED, &login));
    cr_assert_str_eq(login.user, "'ann'");
}

Test(change_user, that_we_write_reads_back)
{
    struct buffer out;
    struct handshake_login back;
    struct error err = {0};
    buffer_init(&out, 4096);
    cr_assert(handshake_change_user_append(&out, sample.capabilities, &sample, NULL));
    cr_assert(handshake_change_user_read(payload_in(&out, 0), sample.capabilities, &back, &err),
              "%s", err.message);
    cr_assert_str_eq(back.user, "bob");
    cr_assert_str_eq(back.schema, "shop");
    cr_assert_str_eq(back.plugin, "caching_sha2_password");
    cr_assert_eq(back.collation, 45);
    cr_assert(byte_view_equals(back.auth_response, "0123456789"));
    cr_assert_eq(back.attributes.length, 8);
    buffer_release(&out);
}

/* The field has one byte of length, LENENC or not (MySQL's parse_com_change_user_packet()). */
Test(change_user, refuses_to_write_a_response_of_more_than_255_bytes)
{
    static const uint8_t response[256];
    struct buffer out;
    struct error err = {0};
    struct handshake_login login = sample;
    buffer_init(&out, 4096);
    login.auth_response = byte_view(response, 256);
    cr_assert_not(handshake_change_user_append(&out, login.capabilities, &login, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    login.auth_response.length = 255;
    cr_assert(handshake_change_user_append(&out, login.capabilities, &login, &err));
    buffer_release(&out);
}
