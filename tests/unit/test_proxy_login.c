/* SPDX-License-Identifier: Apache-2.0 */
/* From the first byte to the command phase: what clients may do wrong, state by state. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "protocol/command.h"
#include "tests/unit/proxy_support.h"

TestSuite(proxy_login, .fini = files_remove);

#define QUICK "\"login_timeout\":\"200ms\",\"upstream_timeout\":\"200ms\""

static struct stage stage;

static void open_stage(const char *limits)
{
    const struct stage_options options = {.limits = limits};
    stage_open(&stage, &options);
}

static void close_stage(const char *event, const char *reason, const char *words)
{
    stage_close(&stage);
    expect_closing(event, reason, words);
    files_remove();
}

Test(proxy_login, works_and_says_goodbye)
{
    struct peer *client, *database;
    open_stage(NULL);
    stage_ready(&stage, &client, &database);
    stage_ping(client, database);
    peer_command(client, COMMAND_QUIT, "");
    peer_gone(client);
    peer_gone(database);
    cr_assert(database->quit);
    close_stage("session.end", "client_quit", "");
}

/* --- CLIENT_TLS --- */

Test(proxy_login, plaintext_where_tls_is_due_ends_it)
{
    open_stage(NULL);
    struct peer *client = stage_connect(&stage);
    peer_write(client, "GET / HTTP/1.1\r\n\r\n", 18);
    peer_wait_gone(client);
    cr_assert_eq(stage_dials(&stage), 0);
    close_stage("session.denied", "client_tls", "plaintext where TLS is due");
}

Test(proxy_login, client_that_never_shakes_hands_is_dropped)
{
    open_stage(QUICK);
    struct peer *client = stage_connect(&stage);
    peer_gone(client);
    close_stage("session.denied", "login_timeout", "(client_tls)");
}

Test(proxy_login, client_that_leaves_in_the_handshake)
{
    open_stage(NULL);
    peer_close(stage_connect(&stage));
    stage_run_for(&stage, 50);
    close_stage("session.denied", "client_tls", "");
}

static void refuses_bot(const char *bot)
{
    open_stage(NULL);
    struct peer *client = stage_connect(&stage);
    peer_client_tls(client, bot, true);
    peer_wait_gone(client); /* in TLS 1.3 the client is done before it is refused */
    cr_assert_eq(stage_dials(&stage), 0, "a database was dialled for %s", bot);
    close_stage("session.denied", "client_tls", "");
}

Test(proxy_login, certificates_that_are_no_good_dial_nothing)
{
    refuses_bot("expired");
    refuses_bot("not-yet-valid");
    refuses_bot("revoked");
    refuses_bot("foreign");
    refuses_bot("wrong-usage");
}

/* --- HELLO --- */

static void refuses_hello(const void *frame, size_t length, const char *words)
{
    open_stage(NULL);
    struct peer *client = stage_connect(&stage);
    peer_client_tls(client, "ci-1", true);
    peer_write(client, frame, length);
    peer_expect_error(client, 0, 1835, words);
    peer_gone(client);
    cr_assert_eq(stage_dials(&stage), 0);
    close_stage("session.denied", "client_protocol", words);
}

Test(proxy_login, refuses_hellos_that_are_none)
{
    refuses_hello("\xFF\xFF\xFF\xFF", 4, "hello");
    refuses_hello("\0\0\0\0", 4, "hello");
    refuses_hello("\0\0\0\x02[]", 6, "hello");
    refuses_hello("\0\0\0\x04nope", 8, "hello");
    refuses_hello("\0\0\0\x1f{\"version\":1,\"database\":\"shop\"}+", 36,
                  "before the server's greeting");
}

Test(proxy_login, connection_that_is_never_used_leaves_no_record)
{
    open_stage("\"ready_timeout\":\"1s\"");
    struct peer *left = stage_connect(&stage), *kept = stage_connect(&stage);
    peer_client_tls(left, "ci-1", true);
    peer_client_tls(kept, "ci-1", true);
    peer_close(left);
    peer_gone(kept);
    stage_close(&stage);
    cJSON *records = stage_records();
    cr_assert_eq(cJSON_GetArraySize(records), 0);
    cJSON_Delete(records);
}

static void refuses_database(const char *bot, const char *database, char text[256])
{
    open_stage(NULL);
    struct peer *client = stage_connect(&stage);
    peer_client_tls(client, bot, true);
    peer_hello(client, database);
    struct packet_err refusal;
    struct error err = {0};
    cr_assert(packet_err_read(peer_packet(client, 0), &refusal, &err));
    (void)snprintf(text, 256, "%.*s", (int)refusal.message.length,
                   (const char *)refusal.message.data);
    cr_assert_eq(refusal.code, 1045, "%s", text);
    peer_gone(client);
    cr_assert_eq(stage_dials(&stage), 0);
    close_stage("session.denied", "denied", "");
}

Test(proxy_login, bot_without_a_role_dials_nothing)
{
    char text[256];
    refuses_database("norole", "shop", text);
    cr_assert_str_eq(text, "sallyport: bot norole: no mapping gives this certificate a role");
}

Test(proxy_login, unknown_and_denied_databases_look_alike)
{
    char unknown[256], denied[256];
    refuses_database("ci-1", "stock", unknown);
    const struct stage_options options = {
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"other-*\",\"mysql_users\":\"*\"}}"};
    stage_open(&stage, &options);
    struct peer *client = stage_client(&stage, "ci-1");
    struct packet_err refusal;
    cr_assert(packet_err_read(peer_packet(client, 0), &refusal, NULL));
    (void)snprintf(denied, sizeof denied, "%.*s", (int)refusal.message.length,
                   (const char *)refusal.message.data);
    close_stage("session.denied", "denied", "no role allows database shop");
    char *name = strstr(unknown, "stock");
    cr_assert_not_null(name);
    char *end = strstr(denied, "shop");
    cr_assert_not_null(end);
    cr_assert_eq(strncmp(unknown, denied, (size_t)(name - unknown)), 0);
    cr_assert_str_eq(name + strlen("stock"), end + strlen("shop"));
}

/* --- DIALLING --- */

Test(proxy_login, client_is_told_when_the_login_takes_too_long)
{
    open_stage("\"login_timeout\":\"200ms\"");
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_expect_error(client, 0, 1159, "the login was not complete in time");
    peer_gone(client);
    peer_greet(database); /* given up, but not left as a connect error */
    peer_expect_retirement(database);
    close_stage("session.denied", "login_timeout", "dialling");
}

Test(proxy_login, each_step_does_not_have_the_whole_time_again)
{
    open_stage("\"login_timeout\":\"600ms\"");
    int64_t begun = clock_monotonic_us();
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    stage_run_for(&stage, 400);
    peer_greet(database);
    peer_read_greeting(client);
    peer_expect_error(client, 1, 1159, "the login was not complete in time");
    cr_assert_lt(clock_monotonic_us() - begun, 850000);
    peer_expect_retirement(database);
    close_stage("session.denied", "login_timeout", "login");
}

Test(proxy_login, client_that_leaves_while_the_database_is_dialled)
{
    open_stage(NULL);
    struct peer *client = stage_client(&stage, "ci-1");
    struct peer *database = stage_database(&stage);
    peer_close(client);
    peer_greet(database);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_closed", "");
}

/* --- LOGIN --- */

static void client_logs_in_with(const void *bytes, size_t length, unsigned code, const char *words)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_write(client, bytes, length);
    struct byte_view answer = peer_packet(client, 1);
    struct packet_err refusal;
    char text[256];
    cr_assert(packet_err_read(answer, &refusal, NULL));
    (void)snprintf(text, sizeof text, "%.*s", (int)refusal.message.length,
                   (const char *)refusal.message.data);
    cr_assert_eq(refusal.code, code, "%s", text);
    cr_assert_not_null(strstr(text, words), "%s", text);
    peer_gone(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_protocol", words);
}

Test(proxy_login, packets_that_no_server_would_take_for_a_login)
{
    client_logs_in_with("\x01\0\0\x00\x01", 5, 1835, "sequence"); /* COM_QUIT */
    client_logs_in_with("\x01\x00\x01\x01", 4, 1835, "65537");    /* 65537 bytes to come */
    client_logs_in_with("\xff\xff\xff\x01", 4, 1835, "");         /* 16 MiB to come */
}

Test(proxy_login, malformed_logins)
{
    static const char *const payloads[] = {"\x01\0\0\x01X", "\x04\0\0\x01\0\0\0\0"};
    static const size_t lengths[] = {5, 8};
    for (size_t i = 0; i < 2; i++) {
        struct peer *client, *database;
        stage_to_login(&stage, NULL, &client, &database);
        peer_write(client, payloads[i], lengths[i]);
        peer_expect_error(client, 2, 1043, "");
        peer_gone(client);
        peer_expect_retirement(database);
        close_stage("session.denied", "client_protocol", "");
    }
}

Test(proxy_login, more_than_one_packet_of_login)
{
    struct peer *client, *database;
    struct buffer both;
    struct error err = {0};
    struct handshake_login login = {.capabilities = STAGE_CAPABILITIES & ~CAPABILITY_SSL &
                                                    ~CAPABILITY_CONNECT_WITH_DB,
                                    .collation = 45,
                                    .user = "reader",
                                    .plugin = "mysql_native_password"};
    stage_to_login(&stage, NULL, &client, &database);
    buffer_init(&both, 1024);
    cr_assert(handshake_login_append(&both, 1, &login, &err));
    cr_assert(packet_append(&both, 0, "\x03SELECT 1", 9, &err));
    peer_write(client, buffer_bytes(&both), buffer_length(&both));
    buffer_release(&both);
    peer_expect_error(client, 2, 1835, "more came than one packet");
    peer_gone(client);
    peer_wait_gone(database);
    close_stage("session.denied", "client_protocol", "more came than one packet");
}

Test(proxy_login, login_in_two_pieces_is_one)
{
    struct peer *client, *database;
    struct handshake_login login;
    stage_to_login(&stage, NULL, &client, &database);
    static const uint8_t packet[] = {41,  0,   0,   1,   0x05, 0xa2, 0x0a, 0x01, 0, 0, 0, 1,
                                     45,  0,   0,   0,   0,    0,    0,    0,    0, 0, 0, 0,
                                     0,   0,   0,   0,   0,    0,    0,    0,    0, 0, 0, 0,
                                     'r', 'e', 'a', 'd', 'e',  'r',  0,    0,    0};
    cr_assert_eq(sizeof packet, 45);
    for (size_t i = 0; i < sizeof packet; i += 15) {
        peer_write(client, packet + i, 15);
        stage_run_for(&stage, 20);
    }
    peer_take_login(database, &login);
    cr_assert_str_eq(login.user, "reader");
    close_stage("session.denied", "draining", "");
}

Test(proxy_login, client_that_leaves_instead_of_logging_in)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_write(client, "\x20\0", 2);
    peer_close(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_closed", "");
}

Test(proxy_login, client_that_resets_instead_of_logging_in)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_reset(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_lost", "");
}

Test(proxy_login, client_that_never_logs_in)
{
    struct peer *client, *database;
    stage_to_login(&stage, "\"login_timeout\":\"300ms\"", &client, &database);
    peer_expect_error(client, 1, 1159, "(login)");
    peer_gone(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "login_timeout", "");
}

static void refuses_login(const char *user, const char *schema, unsigned code, const char *words)
{
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_login(client, user, schema);
    peer_expect_error(client, 2, code, words);
    peer_gone(client);
    peer_expect_retirement(database); /* no byte of the bot's went to the database */
    close_stage("session.denied", "denied", words);
}

Test(proxy_login, users_and_schemas_that_no_role_allows)
{
    refuses_login("root", "", 1045, "root");
    refuses_login("", "", 1045, "");
    refuses_login("reader", "secret", 1044, "secret");
    refuses_login("reader", "SECRET", 1044, "SECRET");
    refuses_login("root", "secret", 1045, "root");
}

/* --- AUTH --- */

/* The client names a plugin that the proxy does not speak, and is asked to switch. */
static void open_to_switch(const char *limits, struct peer **client, struct peer **database)
{
    stage_to_login(&stage, limits, client, database);
    peer_login_with(*client, "reader", "", "dialog", 1);
    struct byte_view request = peer_packet(*client, 2);
    cr_assert_gt(request.length, 20);
    cr_assert_eq(request.data[0], PACKET_AUTH_SWITCH);
}

Test(proxy_login, client_with_another_plugin_is_switched)
{
    struct peer *client, *database;
    struct handshake_login login;
    open_to_switch(NULL, &client, &database);
    peer_send(client, 3, "", 0);
    peer_take_login(database, &login);
    peer_ok(database, 3);
    peer_expect_ok(client, 4);
    stage_ping(client, database);
    close_stage("session.end", "draining", "");
}

Test(proxy_login, wrong_answers_to_a_switch)
{
    static const char *const answers[] = {"\x00\0\0\x02", "\x01\x00\x01\x03", "\xff\xff\xff\x03"};
    for (size_t i = 0; i < 3; i++) {
        struct peer *client, *database;
        open_to_switch(NULL, &client, &database);
        peer_write(client, answers[i], 4);
        peer_expect_error(client, 3, 1835, "");
        peer_gone(client);
        peer_expect_retirement(database);
        close_stage("session.denied", "client_protocol", "");
    }
}

Test(proxy_login, client_that_leaves_at_a_switch)
{
    struct peer *client, *database;
    open_to_switch(NULL, &client, &database);
    peer_close(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_closed", "");
}

Test(proxy_login, client_that_never_answers_a_switch)
{
    struct peer *client, *database;
    open_to_switch("\"login_timeout\":\"300ms\"", &client, &database);
    peer_expect_error(client, 3, 1159, "(auth)");
    peer_expect_retirement(database);
    close_stage("session.denied", "login_timeout", "");
}

/* --- capabilities --- */

Test(proxy_login, local_files_are_cleared_unless_a_role_allows_them)
{
    struct handshake_login login;
    struct peer *client, *database;
    stage_to_login(&stage, NULL, &client, &database);
    peer_login(client, "reader", "");
    peer_take_login(database, &login);
    cr_assert_not(login.capabilities & CAPABILITY_LOCAL_FILES);
    close_stage("session.denied", "draining", "");
    const struct stage_options options = {
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":\"reader\","
                 "\"features\":\"local_infile\"}}"};
    stage_open(&stage, &options);
    client = stage_client(&stage, "ci-1");
    database = stage_database(&stage);
    peer_greet(database);
    peer_read_greeting(client);
    peer_login(client, "reader", "");
    peer_take_login(database, &login);
    cr_assert(login.capabilities & CAPABILITY_LOCAL_FILES);
    stage_close(&stage);
}

/* --- limits --- */

Test(proxy_login, sessions_past_the_bots_limit_are_refused)
{
    const struct stage_options options = {
        .roles = "{\"name\":\"r\",\"allow\":{\"databases\":\"shop\",\"mysql_users\":\"reader\"},"
                 "\"limits\":{\"sessions\":1}}"};
    struct peer *first, *database;
    stage_open(&stage, &options);
    stage_ready(&stage, &first, &database);
    struct peer *second = stage_client(&stage, "ci-1");
    struct peer *retired = stage_database(&stage);
    peer_greet(retired);
    peer_read_greeting(second);
    peer_login(second, "reader", "");
    peer_expect_error(second, 2, 1040, "bot ci-1 has 1 sessions already");
    peer_gone(second);
    peer_expect_retirement(retired);
    peer_command(first, COMMAND_QUIT, "");
    peer_gone(first);
    stage_run_for(&stage, 50);
    stage_ready(&stage, &first, &database);
    stage_close(&stage);
}

Test(proxy_login, connections_past_the_limits_are_dropped)
{
    open_stage("\"pending\":1");
    struct peer *first = stage_connect(&stage);
    stage_run_for(&stage, 50);
    struct peer *second = stage_connect(&stage);
    peer_gone(second);
    peer_client_tls(first, "ci-1", true);
    cr_assert_not(first->gone);
    cr_assert_eq(atomic_load(&stage.worker.counters.refused), 1);
    stage_close(&stage);
}

/* --- STARTTLS --- */

static const uint8_t ssl_request[] = {32, 0, 0, 1, 0x01, 0xaa, 0x0a, 0x01, 0, 0, 0, 1,
                                      45, 0, 0, 0, 0,    0,    0,    0,    0, 0, 0, 0,
                                      0,  0, 0, 0, 0,    0,    0,    0,    0, 0, 0, 0};

static void open_starttls(struct peer **client, struct peer **database)
{
    const struct stage_options options = {.starttls = true};
    stage_open(&stage, &options);
    *client = stage_connect(&stage);
    *database = stage_database(&stage);
    peer_greet(*database);
    peer_read_greeting(*client);
}

Test(proxy_login, starttls_works)
{
    struct peer *client, *database;
    struct handshake_login login;
    open_starttls(&client, &database);
    peer_write(client, ssl_request, sizeof ssl_request);
    peer_client_tls(client, "ci-1", false);
    peer_login_with(client, "reader", "", "mysql_native_password", 2);
    peer_take_login(database, &login);
    peer_ok(database, 3);
    peer_expect_ok(client, 3);
    stage_ping(client, database);
    close_stage("session.end", "draining", "");
}

Test(proxy_login, starttls_login_in_the_clear_is_refused)
{
    struct peer *client, *database;
    open_starttls(&client, &database);
    peer_login(client, "reader", "");
    peer_expect_error(client, 2, 1045, "TLS with a client certificate is required");
    peer_gone(client);
    peer_expect_retirement(database); /* I1: of the client no byte */
    close_stage("session.denied", "denied", "");
}

Test(proxy_login, starttls_with_plaintext_behind_the_request_is_refused)
{
    struct peer *client, *database;
    uint8_t both[sizeof ssl_request + 5] = {0};
    open_starttls(&client, &database);
    memcpy(both, ssl_request, sizeof ssl_request);
    memcpy(both + sizeof ssl_request, "\x01\0\0\x02\x0e", 5);
    peer_write(client, both, sizeof both);
    peer_wait_gone(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_tls", "plaintext where TLS is due");
}

Test(proxy_login, starttls_asked_for_twice_is_refused)
{
    struct peer *client, *database;
    uint8_t again[sizeof ssl_request];
    open_starttls(&client, &database);
    peer_write(client, ssl_request, sizeof ssl_request);
    peer_client_tls(client, "ci-1", false);
    memcpy(again, ssl_request, sizeof again);
    again[3] = 2;
    peer_write(client, again, sizeof again);
    peer_expect_error(client, 3, 1043, "twice");
    peer_gone(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_protocol", "twice");
}

Test(proxy_login, starttls_with_a_certificate_that_is_no_good_gives_the_database_nothing)
{
    struct peer *client, *database;
    open_starttls(&client, &database);
    peer_write(client, ssl_request, sizeof ssl_request);
    peer_client_tls(client, "revoked", false);
    peer_wait_gone(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_tls", "");
}

Test(proxy_login, starttls_bot_without_a_role_gives_the_database_nothing)
{
    struct peer *client, *database;
    open_starttls(&client, &database);
    peer_write(client, ssl_request, sizeof ssl_request);
    peer_client_tls(client, "norole", false);
    peer_login_with(client, "reader", "", "mysql_native_password", 2);
    peer_expect_error(client, 3, 1045, "no mapping gives this certificate a role");
    peer_gone(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "denied", "");
}

Test(proxy_login, starttls_client_that_leaves_before_anything)
{
    struct peer *client, *database;
    open_starttls(&client, &database);
    peer_reset(client);
    peer_expect_retirement(database);
    close_stage("session.denied", "client_lost", "");
}
