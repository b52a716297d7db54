/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes: who gets in, who does not, and what both sides are told. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tls_support.h"

static const enum tls_version versions[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};

static void echo_over(enum tls_version version, const char *version_text)
{
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, context_server(version), context_client("ci-1", version), "localhost");
    pair_run_until(&pair, &pair.client.secured);
    pair_run_until(&pair, &pair.server.secured);
    pair.server.echo = true;
    side_write(&pair.client, "hello", 5);
    pair_run_until_received(&pair, &pair.client, 5);
    cr_assert(side_received(&pair.client, "hello"));
    cr_assert_eq(strncmp(stream_cipher(pair.client.stream), version_text, 7), 0, "%s",
                 stream_cipher(pair.client.stream));
    cr_assert_str_eq(stream_cipher(pair.client.stream), stream_cipher(pair.server.stream));
    pair_close(&pair);
}

Test(stream_tls, echoes_over_tls_1_2)
{
    echo_over(TLS_VERSION_1_2, "TLSv1.2");
}

Test(stream_tls, echoes_over_tls_1_3)
{
    echo_over(TLS_VERSION_1_3, "TLSv1.3");
}

/* Identity of the peer. */

Test(stream_tls, tells_who_the_peer_is)
{
    struct pair pair;
    pair_open_tls(&pair, TLS_VERSION_ANY);
    const struct identity *bot = stream_peer(pair.server.stream);
    cr_assert_str_eq(bot->bot, "ci-1");
    cr_assert_str_eq(bot->subject, "CN=ci-1,O=shop-reader,OU=bots");
    cr_assert_str_eq(bot->san_uris[0], "spiffe://acme.example/bot/ci-1");
    cr_assert_str_eq(stream_peer(pair.client.stream)->bot, "proxy-1");
    cr_assert_null(stream_refused_peer(pair.server.stream));
    cr_assert_eq(strncmp(stream_peer_address(pair.server.stream), "127.0.0.1:", 10), 0);
    pair_close(&pair);
}

Test(stream_tls, knows_nobody_in_the_clear)
{
    struct pair pair;
    pair_open(&pair);
    cr_assert_null(stream_peer(pair.server.stream));
    cr_assert_null(stream_refused_peer(pair.server.stream));
    cr_assert_null(stream_alpn(pair.server.stream));
    cr_assert_str_eq(stream_cipher(pair.server.stream), "plaintext");
    pair_close(&pair);
}

/* Bad certificates of clients. */

/* The server refuses with its words, and the client is told by the alert. In TLS 1.3 the client may
 * be secured first: the refusal comes after its own part is done. */
static void assert_refused(const struct tls_settings *server, const struct tls_settings *client,
                           const char *server_words, const char *client_words)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct pair pair;
        struct tls_settings ours = *server;
        struct tls_settings theirs = *client;
        ours.version = theirs.version = versions[i];
        pair_open(&pair);
        pair_start_tls(&pair, context_make(&ours), context_make(&theirs), "localhost");
        pair_run_until(&pair, &pair.server.failed);
        cr_assert_not(pair.server.secured);
        cr_assert_not_null(strstr(pair.server.error.message, server_words), "said: %s",
                           pair.server.error.message);
        cr_assert_null(stream_peer(pair.server.stream));
        pair_run_until(&pair, &pair.client.failed);
        cr_assert_not_null(strstr(pair.client.error.message, client_words), "said: %s",
                           pair.client.error.message);
        pair_close(&pair);
    }
}

static void assert_bot_refused(const char *bot, const char *server_words, const char *client_words)
{
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client(bot);
    server.crl_file = certs_path("bot.crl");
    assert_refused(&server, &client, server_words, client_words);
}

Test(stream_tls, refuses_expired_certificate)
{
    assert_bot_refused("expired", "certificate expired on 20",
                       "the peer refused our certificate: certificate expired");
}

Test(stream_tls, refuses_certificate_that_is_not_yet_valid)
{
    assert_bot_refused("not-yet-valid", "certificate is not yet valid (valid from 20",
                       "the peer refused our certificate");
}

Test(stream_tls, refuses_revoked_certificate)
{
    assert_bot_refused("revoked", "certificate is revoked",
                       "the peer refused our certificate: certificate revoked");
}

Test(stream_tls, refuses_certificate_of_foreign_ca)
{
    assert_bot_refused("foreign", "certificate is signed by an unknown CA",
                       "the peer refused our certificate: signed by an unknown CA");
}

Test(stream_tls, refuses_certificate_for_servers)
{
    assert_bot_refused("wrong-usage", "certificate is not for client authentication",
                       "the peer refused our certificate: not for this use");
}

Test(stream_tls, refuses_client_without_certificate)
{
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    client.cert_file = client.key_file = NULL;
    assert_refused(&server, &client, "no client certificate was sent", "the peer ");
}

Test(stream_tls, tells_whose_certificate_was_refused)
{
    struct pair pair;
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("revoked");
    server.crl_file = certs_path("bot.crl");
    pair_open(&pair);
    pair_start_tls(&pair, context_make(&server), context_make(&client), "localhost");
    pair_run_until(&pair, &pair.server.failed);
    const struct identity *refused = stream_refused_peer(pair.server.stream);
    cr_assert_not_null(refused);
    cr_assert_str_eq(refused->bot, "revoked");
    cr_assert_eq(strlen(refused->fingerprint), 64);
    cr_assert_gt(strlen(refused->serial), 0);
    cr_assert_null(stream_peer(pair.server.stream));
    pair_close(&pair);
}

Test(stream_tls, knows_of_no_refused_peer_when_none_came)
{
    struct pair pair;
    struct tls_settings client = settings_client("ci-1");
    client.cert_file = client.key_file = NULL;
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_ANY), context_make(&client), "localhost");
    pair_run_until(&pair, &pair.server.failed);
    cr_assert_null(stream_refused_peer(pair.server.stream));
    pair_close(&pair);
}

Test(stream_tls, admits_others_beside_a_revocation_list)
{
    struct pair pair;
    struct tls_settings server = settings_server();
    server.crl_file = certs_path("bot.crl");
    pair_open(&pair);
    pair_start_tls(&pair, context_make(&server), context_client("ci-1", TLS_VERSION_ANY),
                   "localhost");
    pair_run_until(&pair, &pair.server.secured);
    pair_close(&pair);
}

/* The list is current when the context is made and has expired at the time of the handshake. */
Test(stream_tls, refuses_everybody_once_the_revocation_list_has_expired)
{
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    server.crl_file = certs_path("bot-short.crl");
    char command[512];
    (void)snprintf(command, sizeof command,
                   "cd %s && openssl ca -config ca/bot-ca/config -gencrl -out bot-short.crl "
                   "-crlsec 2 2>/dev/null",
                   certs_directory());
    cr_assert_eq(system(command), 0);
    struct tls_context *context = context_make(&server);
    struct pair pair;
    pair_open(&pair);
    pair_run_for(&pair, 3100);
    pair_start_tls(&pair, context, context_make(&client), "localhost");
    pair_run_until(&pair, &pair.server.failed);
    cr_assert_not_null(strstr(pair.server.error.message, "revocation list (CRL) has expired"),
                       "said: %s", pair.server.error.message);
    cr_assert_not(pair.server.secured);
    pair_close(&pair);
}

/* Two CAs are trusted and only one has a list: nobody can tell whether the other has revoked it. */
Test(stream_tls, refuses_certificate_whose_ca_has_no_revocation_list)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "cd %s && cat bot-ca.crt foreign-ca.crt > two-cas.crt",
                   certs_directory());
    cr_assert_eq(system(command), 0);
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("foreign");
    server.ca_file = certs_path("two-cas.crt");
    server.crl_file = certs_path("bot.crl");
    assert_refused(&server, &client, "there is no trusted revocation list", "the peer ");
}

/* Bad certificates of servers: the client refuses, and the server hears of it. */

static void assert_server_refused(const struct tls_settings *server,
                                  const struct tls_settings *client, const char *name,
                                  const char *client_words)
{
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct pair pair;
        struct tls_settings ours = *server;
        struct tls_settings theirs = *client;
        ours.version = theirs.version = versions[i];
        pair_open(&pair);
        pair_start_tls(&pair, context_make(&ours), context_make(&theirs), name);
        pair_run_until(&pair, &pair.client.failed);
        cr_assert_not(pair.client.secured);
        cr_assert_not_null(strstr(pair.client.error.message, client_words), "said: %s",
                           pair.client.error.message);
        cr_assert_null(stream_peer(pair.client.stream));
        pair_run_until(&pair, &pair.server.failed);
        cr_assert_not(pair.server.secured);
        pair_close(&pair);
    }
}

Test(stream_tls, refuses_server_of_another_name)
{
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    assert_server_refused(&server, &client, "db1.internal",
                          "the server's certificate is not for db1.internal");
}

Test(stream_tls, refuses_server_of_another_address)
{
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    assert_server_refused(&server, &client, "127.0.0.2",
                          "the server's certificate is not for 127.0.0.2");
    assert_server_refused(&server, &client, "::2", "the server's certificate is not for ::2");
}

Test(stream_tls, refuses_server_of_foreign_ca)
{
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    server.cert_file = certs_path("db-server.crt");
    server.key_file = certs_path("db-server.key");
    assert_server_refused(&server, &client, "localhost", "signed by an unknown CA");
}

Test(stream_tls, accepts_server_by_each_of_its_names)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1"};
    for (size_t i = 0; i < 3; i++) {
        struct pair pair;
        pair_open(&pair);
        pair_start_tls(&pair, context_server(TLS_VERSION_ANY),
                       context_client("ci-1", TLS_VERSION_ANY), names[i]);
        pair_run_until(&pair, &pair.client.secured);
        pair_run_until(&pair, &pair.server.secured);
        pair_close(&pair);
    }
}

Test(stream_tls, demands_a_server_name_of_a_client)
{
    struct pair pair;
    struct error err = {0};
    struct tls_context *client = context_client("ci-1", TLS_VERSION_ANY);
    pair_open(&pair);
    cr_assert_not(stream_start_tls(pair.client.stream, client, NULL, &err));
    cr_assert_not(stream_start_tls(pair.client.stream, client, "", &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    tls_context_unref(client);
    pair_close(&pair);
}

Test(stream_tls, starts_once)
{
    struct pair pair;
    struct error err = {0};
    pair_open_tls(&pair, TLS_VERSION_ANY);
    struct tls_context *server = context_server(TLS_VERSION_ANY);
    cr_assert_not(stream_start_tls(pair.server.stream, server, NULL, &err));
    cr_assert_eq(err.code, ERROR_STATE);
    tls_context_unref(server);
    pair_close(&pair);
}

/* ALPN. */

static const char *const mysql_only[] = {TLS_ALPN_MYSQL, NULL};
static const char *const both[] = {TLS_ALPN_CONTROL, TLS_ALPN_MYSQL, NULL};
static const char *const strange[] = {"h2", NULL};

static void negotiate(struct pair *pair, const char *const *server_names,
                      const char *const *client_names)
{
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    server.alpn = server_names;
    client.alpn = client_names;
    pair_open(pair);
    pair_start_tls(pair, context_make(&server), context_make(&client), "localhost");
}

Test(stream_tls, agrees_on_alpn)
{
    struct pair pair;
    negotiate(&pair, both, mysql_only);
    pair_run_until(&pair, &pair.client.secured);
    pair_run_until(&pair, &pair.server.secured);
    cr_assert_str_eq(stream_alpn(pair.client.stream), TLS_ALPN_MYSQL);
    cr_assert_str_eq(stream_alpn(pair.server.stream), TLS_ALPN_MYSQL);
    pair_close(&pair);
}

Test(stream_tls, accepts_client_without_alpn)
{
    struct pair pair;
    negotiate(&pair, both, NULL);
    pair_run_until(&pair, &pair.server.secured);
    cr_assert_null(stream_alpn(pair.server.stream));
    pair_close(&pair);
}

Test(stream_tls, refuses_strange_alpn)
{
    struct pair pair;
    negotiate(&pair, mysql_only, strange);
    pair_run_until(&pair, &pair.server.failed);
    pair_run_until(&pair, &pair.client.failed);
    cr_assert_not_null(strstr(pair.client.error.message, "ALPN"), "said: %s",
                       pair.client.error.message);
    pair_close(&pair);
}

Test(stream_tls, tells_when_the_versions_differ)
{
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, context_server(TLS_VERSION_1_3), context_client("ci-1", TLS_VERSION_1_2),
                   "localhost");
    pair_run_until(&pair, &pair.server.failed);
    pair_run_until(&pair, &pair.client.failed);
    cr_assert_not_null(strstr(pair.client.error.message, "version"), "said: %s",
                       pair.client.error.message);
    pair_close(&pair);
}

/* Many certificates and no two the same: a context serves many streams at once. */
Test(stream_tls, shares_a_context)
{
    struct tls_context *server = context_server(TLS_VERSION_ANY);
    for (int i = 0; i < 3; i++) {
        struct pair pair;
        pair_open(&pair);
        pair_start_tls(&pair, tls_context_ref(server),
                       context_client(i == 1 ? "report-1" : "ci-1", TLS_VERSION_ANY), "localhost");
        pair_run_until(&pair, &pair.server.secured);
        cr_assert_str_eq(stream_peer(pair.server.stream)->bot, i == 1 ? "report-1" : "ci-1");
        pair_close(&pair);
    }
    tls_context_unref(server);
}

struct contexts {
    struct tls_context *server;
    struct tls_context *client;
};

static void *shake_hands_often(void *argument)
{
    struct contexts *contexts = argument;
    for (int i = 0; i < 20; i++) {
        struct pair pair;
        pair_open(&pair);
        pair.descriptors = -1; /* the other threads open and close their own */
        pair_start_tls(&pair, tls_context_ref(contexts->server), tls_context_ref(contexts->client),
                       "localhost");
        pair_run_until(&pair, &pair.server.secured);
        side_write(&pair.server, "hello", 5);
        pair_run_until_received(&pair, &pair.client, 5);
        pair_close(&pair);
    }
    return NULL;
}

/* Each worker has its loop; the contexts, their keys and the random numbers are shared. */
Test(stream_tls, shares_contexts_between_threads)
{
    struct contexts contexts = {context_server(TLS_VERSION_ANY),
                                context_client("ci-1", TLS_VERSION_ANY)};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, shake_hands_often, &contexts), 0);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    tls_context_unref(contexts.server);
    tls_context_unref(contexts.client);
}
