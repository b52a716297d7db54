/* SPDX-License-Identifier: Apache-2.0 */
/* Whom contexts trust that an authority and those who join it use: see tls/context.h. Trust by the
 * pin of a CA's key is in test_stream_pin.c. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/trust_support.h"

/* Client certificates that are optional. */

static struct tls_settings optional_server(void)
{
    struct tls_settings settings = settings_server();
    settings.client_certificate_optional = true;
    settings.crl_file = certs_path("bot.crl");
    return settings;
}

static struct tls_settings anonymous_client(void)
{
    struct tls_settings settings = settings_client("ci-1");
    settings.cert_file = settings.key_file = NULL;
    return settings;
}

Test(stream_trust, client_may_come_without_certificate)
{
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct pair pair;
        struct error err = {0};
        start(&pair, optional_server(), anonymous_client(), "localhost", versions[i]);
        pair_run_until(&pair, &pair.server.secured);
        pair_run_until(&pair, &pair.client.secured);
        cr_assert_null(stream_peer(pair.server.stream));
        cr_assert_null(stream_refused_peer(pair.server.stream));
        cr_assert_str_eq(stream_peer(pair.client.stream)->bot, "proxy-1");
        side_write(&pair.client, "join", 4);
        pair_run_until_received(&pair, &pair.server, 4);
        side_write(&pair.server, "welcome", 7);
        pair_run_until_received(&pair, &pair.client, 7);
        cr_assert(side_received(&pair.client, "welcome"));
        /* Nobody is trusted by no context. */
        struct tls_settings same = optional_server();
        struct tls_context *context = context_make(&same);
        cr_assert_not(stream_trusted_by(pair.server.stream, context, &err));
        cr_assert_not_null(strstr(err.message, "has no certificate"), "%s", err.message);
        tls_context_unref(context);
        pair_close(&pair);
    }
}

Test(stream_trust, optional_certificate_that_is_good_names_the_peer)
{
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct pair pair;
        struct error err = {0};
        start(&pair, optional_server(), settings_client("ci-1"), "localhost", versions[i]);
        pair_run_until(&pair, &pair.server.secured);
        cr_assert_str_eq(stream_peer(pair.server.stream)->bot, "ci-1");
        struct tls_context *context = context_server(TLS_VERSION_ANY);
        cr_assert(stream_trusted_by(pair.server.stream, context, &err), "%s", err.message);
        tls_context_unref(context);
        pair_close(&pair);
    }
}

/* Optional is no more lenient than demanded: the same refusal, in the same words, by the same
 * alert, with the same name for the audit log. */
static void assert_same_refusal(const struct tls_settings *client, const char *bot)
{
    struct tls_settings optional = optional_server();
    struct tls_settings demanded = optional;
    demanded.client_certificate_optional = false;
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct outcome wanted = shake_hands(&demanded, client, "localhost", versions[i], false);
        struct outcome outcome = shake_hands(&optional, client, "localhost", versions[i], false);
        cr_assert_str_eq(outcome.server, wanted.server);
        cr_assert_str_eq(outcome.client, wanted.client);
        cr_assert_str_eq(outcome.refused, wanted.refused);
        cr_assert_str_eq(outcome.refused, bot);
        cr_assert_not_null(strstr(outcome.client, "the peer "), "%s", outcome.client);
    }
}

Test(stream_trust, optional_certificate_that_is_bad_is_refused)
{
    static const char *const bots[] = {"expired", "not-yet-valid", "revoked", "foreign",
                                       "wrong-usage"};
    for (size_t i = 0; i < COUNT(bots); i++) {
        struct tls_settings client = settings_client(bots[i]);
        assert_same_refusal(&client, bots[i]);
    }
}

/* Neither CN nor SAN URI: verified, and nobody. Signed by the CA that the server trusts. */
Test(stream_trust, optional_certificate_that_names_nobody_is_refused)
{
    struct pki bots;
    struct pki leaf;
    static const struct certificate_name names[] = {{"OU", "bots"}};
    pki_ca(&bots, "bot CA");
    struct certificate_template template = pki_template(names, COUNT(names), CERTIFICATE_CLIENT);
    pki_issue(&bots, &template, &leaf);
    struct tls_settings server = settings_server();
    struct tls_settings client = settings_client("ci-1");
    server.ca_pem = bots.pem;
    client.cert_pem = leaf.pem;
    client.key_pem = leaf.key_pem;
    for (size_t i = 0; i < COUNT(versions); i++) {
        server.client_certificate_optional = false;
        struct outcome wanted = shake_hands(&server, &client, "localhost", versions[i], false);
        server.client_certificate_optional = true;
        struct outcome outcome = shake_hands(&server, &client, "localhost", versions[i], false);
        cr_assert_not_null(strstr(outcome.server, "names nobody"), "%s", outcome.server);
        cr_assert_str_eq(outcome.server, wanted.server);
        cr_assert_str_eq(outcome.client, wanted.client);
    }
    pki_release(&leaf);
    pki_release(&bots);
}

Test(stream_trust, only_servers_do_without_certificates)
{
    struct tls_settings settings = settings_client("ci-1");
    settings.client_certificate_optional = true;
    assert_not_made(&settings, ERROR_CONFIG, "only a TLS server can do without");
}

/* PEM in memory. */

/* What certificate.h makes is what context.h accepts, on both sides. */
Test(stream_trust, contexts_are_made_of_texts)
{
    struct world world;
    world_make(&world);
    struct tls_settings server = world_server(&world);
    struct tls_settings client = world_client(&world);
    assert_accepted(&server, &client, "localhost");
    assert_accepted(&server, &client, "127.0.0.1");
    assert_server_refused(&server, &client, "proxy-1", "is not for proxy-1");
    world_release(&world);
}

Test(stream_trust, texts_are_copied)
{
    struct world world;
    world_make(&world);
    struct tls_settings server = world_server(&world);
    struct tls_settings client = world_client(&world);
    struct tls_context *server_context = context_make(&server);
    struct tls_context *client_context = context_make(&client);
    world_release(&world);
    struct pair pair;
    pair_open(&pair);
    pair_start_tls(&pair, server_context, client_context, "localhost");
    pair_run_until(&pair, &pair.server.secured);
    pair_close(&pair);
}

Test(stream_trust, texts_are_used_instead_of_files)
{
    struct world world;
    world_make(&world);
    struct tls_settings server = world_server(&world);
    struct tls_settings client = world_client(&world);
    server.cert_file = server.key_file = server.ca_file = "/nonexistent";
    client.cert_file = client.key_file = client.ca_file = "/nonexistent";
    assert_accepted(&server, &client, "localhost");
    world_release(&world);
}

Test(stream_trust, messages_name_texts_by_their_giver)
{
    struct world world;
    world_make(&world);
    struct tls_settings settings = world_client(&world);
    settings.pem_giver = "the authority";
    settings.cert_pem = "garbage";
    assert_not_made(&settings, ERROR_CONFIG,
                    "the certificate given by the authority: holds no certificate in PEM form");
    settings = world_client(&world);
    settings.key_pem = "garbage";
    assert_not_made(&settings, ERROR_CONFIG,
                    "the private key given by the caller: holds no private key in PEM form");
    settings = world_client(&world);
    settings.ca_pem = "";
    assert_not_made(&settings, ERROR_MALFORMED, "the CA certificates given by the caller: ");
    settings = world_client(&world);
    settings.key_pem = world.server.key_pem;
    assert_not_made(&settings, ERROR_CONFIG,
                    "the private key given by the caller: is not the key of the certificate the "
                    "certificate given by the caller");
    settings = world_client(&world);
    settings.key_pem = NULL;
    assert_not_made(&settings, ERROR_CONFIG, "a certificate and a key are needed");
    world_release(&world);
}

/* Several CAs. */

/* While a CA is replaced there are two of one name, and both sign. */
Test(stream_trust, two_cas_of_one_name_both_count)
{
    struct world world;
    struct pki next;
    struct pki client;
    struct pki stranger;
    struct pki outsider;
    world_make(&world);
    pki_ca(&next, "bot CA");
    pki_ca(&stranger, "bot CA");
    pki_client(&next, "ci-2", &client);
    pki_client(&stranger, "ci-3", &outsider);
    char *old_first = pki_chain(world.bots.pem, next.pem);
    char *new_first = pki_chain(next.pem, world.bots.pem);
    const char *const orders[] = {old_first, new_first};
    for (size_t i = 0; i < COUNT(orders); i++) {
        struct tls_settings server = world_server(&world);
        struct tls_settings one = world_client(&world);
        struct tls_settings other = world_client(&world);
        server.ca_pem = orders[i];
        other.cert_pem = client.pem;
        other.key_pem = client.key_pem;
        assert_accepted(&server, &one, "localhost");
        assert_accepted(&server, &other, "localhost");
        server.ca_pem = NULL;
        server.ca_file = pki_file("cas.crt", orders[i]);
        assert_accepted(&server, &other, "localhost");
        other.cert_pem = outsider.pem;
        other.key_pem = outsider.key_pem;
        for (size_t v = 0; v < COUNT(versions); v++) {
            struct outcome outcome = shake_hands(&server, &other, "localhost", versions[v], false);
            cr_assert_not_null(strstr(outcome.server, "unknown CA"), "%s", outcome.server);
        }
    }
    free(old_first);
    free(new_first);
    pki_release(&next);
    pki_release(&stranger);
    pki_release(&client);
    pki_release(&outsider);
    world_release(&world);
}
