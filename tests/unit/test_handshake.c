/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/handshake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol_support.h"

/* Greetings as these servers sent them, without the packet's header. */
#define MARIADB_10_11_19                                                               \
    "0a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531000d000000"     \
    "3452224f4b66404e00fef7080200ff81150000000000001d000000475968226b77343b6924702b00" \
    "6d7973716c5f6e61746976655f70617373776f726400"
#define MYSQL_9_7_4                                                                    \
    "0a392e372e342d32000a0000007b2719296e6a522600ffffff0200ffdf1500000000000000000000" \
    "5943434b7d7c7b5701022d320063616368696e675f736861325f70617373776f726400"

static struct handshake_greeting greeting_of(const char *hex)
{
    struct bytes bytes = bytes_of(hex);
    struct handshake_greeting greeting;
    struct error err = {0};
    cr_assert(handshake_greeting_read(view(bytes), &greeting, &err), "%s", err.message);
    free(bytes.data);
    return greeting;
}

static enum error_code greeting_error(const char *hex, struct error *err)
{
    struct bytes bytes = bytes_of(hex);
    struct handshake_greeting greeting = {.connection_id = 4711};
    struct error local = {0};
    err = err ? err : &local;
    cr_assert_not(handshake_greeting_read(view(bytes), &greeting, err));
    cr_assert_eq(greeting.connection_id, 4711, "the output is left alone");
    free(bytes.data);
    return err->code;
}

static const uint8_t our_scramble[HANDSHAKE_SCRAMBLE_SIZE] = "abcdefghijklmnopqrst";

/* --- greetings --- */

Test(greeting, reads_mariadb)
{
    struct handshake_greeting greeting = greeting_of(MARIADB_10_11_19);
    cr_assert_str_eq(greeting.version, "5.5.5-10.11.19-MariaDB-0+deb12u1");
    cr_assert_eq(greeting.vendor, HANDSHAKE_MARIADB);
    cr_assert_eq(greeting.connection_id, 13);
    cr_assert_eq(greeting.capabilities, 0x81fff7fe);
    cr_assert_eq(greeting.mariadb_capabilities, 0x1d);
    cr_assert_eq(greeting.collation, 8);
    cr_assert_eq(greeting.status, STATUS_AUTOCOMMIT);
    cr_assert_arr_eq(greeting.scramble, "4R\"OKf@NGYh\"kw4;i$p+", HANDSHAKE_SCRAMBLE_SIZE);
    cr_assert_str_eq(greeting.plugin, "mysql_native_password");
}

Test(greeting, reads_mysql)
{
    struct handshake_greeting greeting = greeting_of(MYSQL_9_7_4);
    cr_assert_str_eq(greeting.version, "9.7.4-2");
    cr_assert_eq(greeting.vendor, HANDSHAKE_MYSQL);
    cr_assert_eq(greeting.connection_id, 10);
    cr_assert_eq(greeting.capabilities, 0xdfffffff);
    cr_assert_eq(greeting.mariadb_capabilities, 0);
    cr_assert_eq(greeting.collation, 255);
    cr_assert_str_eq(greeting.plugin, "caching_sha2_password");
}

static void expect_same_bytes_again(const char *hex)
{
    struct handshake_greeting greeting = greeting_of(hex);
    struct buffer out;
    struct error err = {0};
    char packet[512];
    buffer_init(&out, 4096);
    cr_assert(handshake_greeting_append(&out, &greeting, &err), "%s", err.message);
    snprintf(packet, sizeof packet, "%02x000000%s", (unsigned)(strlen(hex) / 2), hex);
    expect_hex(&out, packet);
    buffer_release(&out);
}

Test(greeting, writes_what_it_read_byte_for_byte)
{
    expect_same_bytes_again(MARIADB_10_11_19);
    expect_same_bytes_again(MYSQL_9_7_4);
}

/* A server may be started with any version string: then MariaDB shows by its bit 0. */
Test(greeting, knows_mariadb_without_its_name)
{
    struct handshake_greeting greeting =
        greeting_of("0a392e3000"
                    "0d000000"
                    "3452224f4b66404e00fef7080200ff81150000000000001d000000475968226b77343b6924702b"
                    "00"
                    "6d7973716c5f6e61746976655f70617373776f726400");
    cr_assert_eq(greeting.vendor, HANDSHAKE_MARIADB);
    cr_assert_eq(greeting.mariadb_capabilities, 0x1d);
}

/* MySQL bug 59453, and servers without CLIENT_PLUGIN_AUTH. */
Test(greeting, tolerates_the_ends_that_servers_leave_out)
{
    const char *head = "0a392e30000a0000007b2719296e6a522600ffffff0200ffdf1500000000000000000000";
    const char *scramble = "5943434b7d7c7b5701022d32";
    char hex[512];
    snprintf(hex, sizeof hex, "%s%s00%s", head, scramble, "7368613235365f70617373776f7264");
    cr_assert_str_eq(greeting_of(hex).plugin, "sha256_password");
    snprintf(hex, sizeof hex, "%s%s00", head, scramble);
    cr_assert_str_eq(greeting_of(hex).plugin, "");
    snprintf(hex, sizeof hex, "%s%s", head, scramble);
    cr_assert_str_eq(greeting_of(hex).plugin, "");
    snprintf(hex, sizeof hex, "%s%s00",
             "0a392e30000a0000007b2719296e6a522600ffffff0200f7df0000000000000000000000", scramble);
    struct handshake_greeting greeting = greeting_of(hex);
    cr_assert_not(greeting.capabilities & CAPABILITY_PLUGIN_AUTH);
    cr_assert_str_eq(greeting.plugin, "");
}

Test(greeting, takes_the_first_20_bytes_of_a_longer_scramble)
{
    struct handshake_greeting greeting =
        greeting_of("0a392e30000a0000006162636465666768"
                    "00ffffff0200ffdf2100000000000000000000"
                    "696a6b6c6d6e6f70717273747576777879414243444546"
                    "4700"
                    "6e616d6500");
    cr_assert_arr_eq(greeting.scramble, our_scramble, HANDSHAKE_SCRAMBLE_SIZE);
    cr_assert_str_eq(greeting.plugin, "name");
}

Test(greeting, refuses_servers_from_before_4_1)
{
    struct error err = {0};
    cr_assert_eq(greeting_error("09342e3000", &err), ERROR_UNSUPPORTED);
    /* No PROTOCOL_41; no SECURE_CONNECTION. */
    cr_assert_eq(greeting_error("0a342e30000a0000007b2719296e6a522600fffdff0200ffdf150000000000000"
                                "00000005943434b7d7c7b5701022d320061",
                                &err),
                 ERROR_UNSUPPORTED);
    cr_assert_eq(greeting_error("0a342e30000a0000007b2719296e6a522600ff7fff0200ffdf150000000000000"
                                "00000005943434b7d7c7b5701022d320061",
                                &err),
                 ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, "4.1"));
}

/* TRAPS.md, Handshake: 1040 and 1129 come in place of the greeting, and without SQLSTATE. */
Test(greeting, an_err_in_its_place_gives_the_servers_words)
{
    struct error err = {0};
    cr_assert_eq(greeting_error("ff1004546f6f206d616e7920636f6e6e656374696f6e73", &err),
                 ERROR_CLOSED);
    cr_assert_not_null(strstr(err.message, "1040: Too many connections"), "%s", err.message);
    cr_assert_eq(greeting_error("ff10042330383030344f6f6d", &err), ERROR_CLOSED);
    cr_assert_not_null(strstr(err.message, "1040: Oom"), "%s", err.message);
    cr_assert_eq(greeting_error("ff10", &err), ERROR_MALFORMED);
}

Test(greeting, refuses_every_truncation_before_the_scrambles_end)
{
    const size_t whole = strlen(MYSQL_9_7_4) / 2;
    const size_t scramble_end = whole - strlen("caching_sha2_password") - 2;
    for (size_t length = 0; length < whole; length++) {
        char hex[512];
        snprintf(hex, sizeof hex, "%.*s", (int)(2 * length), MYSQL_9_7_4);
        if (length < scramble_end)
            cr_assert_neq(greeting_error(hex, NULL), ERROR_NONE, "at %zu", length);
        else
            cr_assert_str_neq(greeting_of(hex).version, "", "at %zu", length);
    }
}

Test(greeting, refuses_names_that_are_too_long_or_not_printable)
{
    const char *tail = "000a0000007b2719296e6a522600ffffff0200ffdf15000000000000000000005943434b7d"
                       "7c7b5701022d3200";
    char hex[1024] = "0a", name[512];
    memset(name, '6', sizeof name);
    name[2 * HANDSHAKE_VERSION_MAX] = 0;
    strcat(strcat(hex, name), tail);
    cr_assert_eq(greeting_error(hex, NULL), ERROR_LIMIT);
    name[2 * HANDSHAKE_PLUGIN_MAX] = 0;
    snprintf(hex, sizeof hex, "0a39%s%s00", tail, name);
    cr_assert_eq(greeting_error(hex, NULL), ERROR_LIMIT);
    snprintf(hex, sizeof hex, "0a39%s%s00", tail, "1b5b324a");
    cr_assert_eq(greeting_error(hex, NULL), ERROR_MALFORMED);
}

/* --- capabilities across the legs --- */

Test(capability, offer_is_what_upstream_has_and_we_understand)
{
    uint32_t offer = capability_offer(0xdfffffff, false);
    cr_assert_not(offer &
                  (CAPABILITY_MULTI_FACTOR | CAPABILITY_EXTENSION | CAPABILITY_VERIFY_SERVER_CERT |
                   CAPABILITY_SSL | CAPABILITY_REMEMBER_OPTIONS));
    cr_assert(offer & CAPABILITY_DEPRECATE_EOF);
    cr_assert(offer & CAPABILITY_SESSION_TRACK);
    cr_assert(offer & CAPABILITY_QUERY_ATTRIBUTES);
    cr_assert(offer & CAPABILITY_OPTIONAL_METADATA);
    cr_assert(offer & CAPABILITY_COMPRESS);
    cr_assert(offer & CAPABILITY_ZSTD);
    cr_assert_not(capability_offer(0xdfffffff & ~CAPABILITY_DEPRECATE_EOF, false) &
                  CAPABILITY_DEPRECATE_EOF);
}

Test(capability, what_concerns_one_leg_does_not_depend_on_the_other)
{
    cr_assert(capability_offer(CAPABILITY_PROTOCOL_41, true) & CAPABILITY_SSL);
    cr_assert_not(capability_offer(CAPABILITY_SSL, false) & CAPABILITY_SSL);
    cr_assert(capability_offer(0, false) & CAPABILITY_PLUGIN_AUTH_LENENC);
    uint32_t login = capability_login(CAPABILITY_PROTOCOL_41 | CAPABILITY_SECURE_CONNECTION,
                                      0xffffffff, true, true);
    cr_assert_eq(login, CAPABILITY_PROTOCOL_41 | CAPABILITY_SECURE_CONNECTION);
}

Test(capability, login_says_exactly_what_the_client_accepted)
{
    uint32_t accepted = CAPABILITY_PROTOCOL_41 | CAPABILITY_FOUND_ROWS | CAPABILITY_COMPRESS;
    uint32_t login = capability_login(0x81fff7fe, accepted, true, false);
    cr_assert_eq(login & CAPABILITY_END_TO_END, accepted);
    cr_assert_not(login & CAPABILITY_ZSTD);
    cr_assert_not(login & CAPABILITY_CONNECT_WITH_DB);
    cr_assert(login & CAPABILITY_PLUGIN_AUTH);
    cr_assert(capability_login(0xffffffff, accepted, false, true) & CAPABILITY_CONNECT_WITH_DB);
    cr_assert_not(capability_login(0xffffffff, accepted, false, true) & CAPABILITY_SSL);
}

Test(greeting, for_the_client_is_the_upstreams_with_our_scramble)
{
    struct handshake_greeting upstream = greeting_of(MYSQL_9_7_4), ours;
    handshake_greeting_for_client(&upstream, true, our_scramble, &ours);
    cr_assert_str_eq(ours.version, upstream.version);
    cr_assert_eq(ours.connection_id, upstream.connection_id);
    cr_assert_eq(ours.collation, upstream.collation);
    cr_assert_eq(ours.status, upstream.status);
    cr_assert_arr_eq(ours.scramble, our_scramble, sizeof our_scramble);
    cr_assert_str_eq(ours.plugin, "caching_sha2_password");
    cr_assert(ours.capabilities & CAPABILITY_SSL);
}

/* TRAPS.md, Handshake (PX #3992): bit 0 stays clear as MariaDB has it, and the filler is zero. */
Test(greeting, for_the_client_of_mariadb_has_the_extended_flags_that_we_understand)
{
    struct handshake_greeting upstream = greeting_of(MARIADB_10_11_19), ours;
    struct buffer out;
    buffer_init(&out, 4096);
    handshake_greeting_for_client(&upstream, false, our_scramble, &ours);
    cr_assert(handshake_greeting_append(&out, &ours, NULL));
    expect_hex(&out, "64000000"
                     "0a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531000d000000"
                     "616263646566676800fef7080200ff01150000000000001d000000"
                     "696a6b6c6d6e6f707172737400"
                     "6d7973716c5f6e61746976655f70617373776f726400");
    buffer_release(&out);
}

Test(greeting, for_the_client_names_a_plugin_that_we_serve)
{
    struct handshake_greeting upstream = greeting_of(MYSQL_9_7_4), ours;
    strcpy(upstream.plugin, "sha256_password");
    handshake_greeting_for_client(&upstream, false, our_scramble, &ours);
    cr_assert_str_eq(ours.plugin, "caching_sha2_password");
    strcpy(upstream.plugin, "mysql_native_password");
    handshake_greeting_for_client(&upstream, false, our_scramble, &ours);
    cr_assert_str_eq(ours.plugin, "mysql_native_password");
    upstream = greeting_of(MARIADB_10_11_19);
    strcpy(upstream.plugin, "");
    handshake_greeting_for_client(&upstream, false, our_scramble, &ours);
    cr_assert_str_eq(ours.plugin, "mysql_native_password");
}

Test(greeting, of_our_own_reads_back)
{
    struct handshake_greeting own, back;
    struct buffer out;
    buffer_init(&out, 4096);
    handshake_greeting_own(our_scramble, &own);
    cr_assert(handshake_greeting_append(&out, &own, NULL));
    cr_assert(handshake_greeting_read(payload_in(&out, 0), &back, NULL));
    cr_assert_str_eq(back.version, own.version);
    cr_assert_eq(back.vendor, HANDSHAKE_MYSQL);
    cr_assert_eq(back.capabilities, own.capabilities);
    cr_assert_str_eq(back.plugin, own.plugin);
    cr_assert_arr_eq(back.scramble, our_scramble, sizeof our_scramble);
    cr_assert_not(own.capabilities & (CAPABILITY_SSL | CAPABILITY_LOCAL_FILES));
    buffer_release(&out);
}

/* --- AuthSwitchRequest --- */

static bool switch_read(const char *hex, char plugin[HANDSHAKE_PLUGIN_MAX], size_t *data,
                        enum error_code *code)
{
    struct bytes bytes = bytes_of(hex);
    struct byte_view view_of_data = {0};
    struct error err = {0};
    bool good = handshake_auth_switch_read(view(bytes), plugin, &view_of_data, &err);
    *data = view_of_data.length;
    *code = err.code;
    free(bytes.data);
    return good;
}

Test(auth_switch, reads_real_servers)
{
    char plugin[HANDSHAKE_PLUGIN_MAX];
    enum error_code code;
    size_t data;
    /* MariaDB 10.11.19: no NUL behind the 32 bytes. */
    cr_assert(
        switch_read("fe636c69656e745f65643235353139001bd1b3983fa48467b60883b09541552560a29fcf7"
                    "c4e47381fd1e048756d5135",
                    plugin, &data, &code));
    cr_assert_str_eq(plugin, "client_ed25519");
    cr_assert_eq(data, 32);
    /* MySQL 9.7.4: 20 bytes and a NUL. */
    cr_assert(switch_read("fe7368613235365f70617373776f72640046506c475c7c1a4e3b2023413f3a2d6108450c"
                          "2800",
                          plugin, &data, &code));
    cr_assert_str_eq(plugin, "sha256_password");
    cr_assert_eq(data, 21);
    cr_assert(switch_read("fe6100", plugin, &data, &code));
    cr_assert_eq(data, 0);
}

Test(auth_switch, refuses_the_old_form_and_malformed_ones)
{
    char plugin[HANDSHAKE_PLUGIN_MAX];
    enum error_code code;
    size_t data;
    cr_assert_not(switch_read("fe", plugin, &data, &code));
    cr_assert_eq(code, ERROR_UNSUPPORTED);
    cr_assert_not(switch_read("", plugin, &data, &code));
    cr_assert_not(switch_read("0061", plugin, &data, &code));
    cr_assert_not(switch_read("fe6162", plugin, &data, &code));
    cr_assert_eq(code, ERROR_MALFORMED);
    cr_assert_not(switch_read("fe610a6200", plugin, &data, &code));
    cr_assert_eq(code, ERROR_MALFORMED);
}

Test(auth_switch, that_we_write_reads_back)
{
    uint8_t storage[128];
    char plugin[HANDSHAKE_PLUGIN_MAX];
    struct byte_view data;
    struct buffer out;
    buffer_init_fixed(&out, storage, sizeof storage);
    cr_assert(handshake_auth_switch_payload(&out, "mysql_native_password", our_scramble, NULL));
    cr_assert(handshake_auth_switch_read(byte_view(buffer_bytes(&out), buffer_length(&out)), plugin,
                                         &data, NULL));
    cr_assert_str_eq(plugin, "mysql_native_password");
    cr_assert_eq(data.length, HANDSHAKE_SCRAMBLE_SIZE + 1);
    cr_assert_arr_eq(data.data, our_scramble, HANDSHAKE_SCRAMBLE_SIZE);
    cr_assert_eq(data.data[HANDSHAKE_SCRAMBLE_SIZE], 0);
}
