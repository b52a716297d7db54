/* SPDX-License-Identifier: Apache-2.0 */
/* Trust in a CA of which only the pin of its key is known: see tls/context.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/trust_support.h"

static struct tls_settings pinning_client(const struct world *world)
{
    return (struct tls_settings){.side = TLS_CLIENT, .ca_pin = world->pin};
}

static struct tls_settings joinable_server(const struct world *world)
{
    struct tls_settings settings = world_server(world);
    settings.client_certificate_optional = true;
    return settings;
}

/* The server shows this chain instead of its own; it must be for this key. */
static void assert_chain_refused(const struct world *world, const char *chain, const char *key,
                                 const char *words)
{
    struct tls_settings server = joinable_server(world);
    struct tls_settings client = pinning_client(world);
    server.cert_pem = chain;
    server.key_pem = key;
    assert_server_refused(&server, &client, "localhost", words);
}

Test(stream_pin, pin_of_the_ca_is_enough)
{
    struct world world;
    world_make(&world);
    struct tls_settings server = joinable_server(&world);
    struct tls_settings client = pinning_client(&world);
    assert_accepted(&server, &client, "localhost");
    assert_accepted(&server, &client, "127.0.0.1");
    /* With a certificate of its own as well, and with others sent in between. */
    client.cert_pem = world.client.pem;
    client.key_pem = world.client.key_pem;
    assert_accepted(&server, &client, "localhost");
    char *junk = pki_chain(world.server.pem, world.bots.pem);
    char *chain = pki_chain(junk, world.services.pem);
    server.cert_pem = chain;
    assert_accepted(&server, &client, "localhost");
    free(junk);
    free(chain);
    world_release(&world);
}

Test(stream_pin, pin_is_copied)
{
    struct world world;
    world_make(&world);
    struct tls_settings server = joinable_server(&world);
    struct tls_settings client = pinning_client(&world);
    struct tls_context *context = context_make(&client);
    memset(world.pin, 0, sizeof world.pin);
    struct pair pair;
    pair_open(&pair);
    pair.server.anonymous_peer = true;
    pair_start_tls(&pair, context_make(&server), context, "localhost");
    pair_run_until(&pair, &pair.client.secured);
    pair_run_until(&pair, &pair.server.secured);
    pair_close(&pair);
    world_release(&world);
}

Test(stream_pin, pin_of_another_key_refuses)
{
    struct world world;
    world_make(&world);
    struct tls_settings server = joinable_server(&world);
    for (size_t bit = 0; bit < 256; bit += 85) {
        struct tls_settings client = pinning_client(&world);
        world.pin[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_server_refused(&server, &client, "localhost", "signed by an unknown CA");
        world.pin[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    world_release(&world);
}

Test(stream_pin, pin_needs_the_ca_to_be_sent)
{
    struct world world;
    world_make(&world);
    assert_chain_refused(&world, world.server.pem, world.server.key_pem, "unknown CA");
    char *wrong = pki_chain(world.server.pem, world.bots.pem);
    assert_chain_refused(&world, wrong, world.server.key_pem, "unknown CA");
    free(wrong);
    world_release(&world);
}

/* The pinned CA's certificate is public: anybody can send it along. */
Test(stream_pin, pin_refuses_what_the_pinned_ca_did_not_sign)
{
    struct world world;
    struct pki other;
    struct pki leaf;
    world_make(&world);
    pki_ca(&other, "service CA"); /* of the same name */
    pki_server(&other, &leaf);
    char *with_pinned = pki_chain(leaf.pem, world.services.pem);
    char *with_own = pki_chain(leaf.pem, other.pem);
    char *with_both = pki_chain(with_own, world.services.pem);
    assert_chain_refused(&world, with_pinned, leaf.key_pem, "unknown CA");
    assert_chain_refused(&world, with_own, leaf.key_pem, "unknown CA");
    assert_chain_refused(&world, with_both, leaf.key_pem, "unknown CA");
    free(with_pinned);
    free(with_own);
    free(with_both);
    pki_release(&leaf);
    pki_release(&other);
    pki_ca(&other, "another CA"); /* of another name */
    pki_server(&other, &leaf);
    with_pinned = pki_chain(leaf.pem, world.services.pem);
    assert_chain_refused(&world, with_pinned, leaf.key_pem, "unknown CA");
    free(with_pinned);
    pki_release(&leaf);
    pki_release(&other);
    world_release(&world);
}

/* A certificate made by openssl(1); `out` has a key as a text and no struct tls_key. */
static void make_by_openssl(const char *options, struct pki *out)
{
    int status = 0;
    *out = (struct pki){0};
    const char *output = pki_run(
        &status,
        "printf '[req]\\ndistinguished_name=n\\n[n]\\n' > c.cnf && { test -e made.key || openssl "
        "ecparam -name prime256v1 -genkey -noout -out made.key; } && openssl req -x509 -new "
        "-config c.cnf -key made.key -out made.crt %s && cat made.crt",
        options);
    cr_assert_eq(status, 0, "%s", output);
    const char *begin = strstr(output, "-----BEGIN CERTIFICATE");
    cr_assert_not_null(begin, "%s", output);
    out->pem = strdup(begin);
    output = pki_run(&status, "cat made.key");
    out->key_pem = strdup(output);
    cr_assert(out->pem && out->key_pem);
}

/* The pinned key itself serves, as a plain certificate, as a CA, alone and twice. */
Test(stream_pin, pin_is_no_trust_in_a_leaf_with_that_key)
{
    static const char *const options[] = {
        "-days 2 -subj /CN=a -addext subjectAltName=DNS:localhost",
        "-days 2 -subj /CN=a -addext subjectAltName=DNS:localhost "
        "-addext basicConstraints=critical,CA:TRUE",
        "-days 2 -subj /CN=a -addext subjectAltName=DNS:localhost "
        "-addext basicConstraints=critical,CA:TRUE "
        "-addext keyUsage=keyCertSign,digitalSignature -addext extendedKeyUsage=serverAuth",
    };
    struct world world;
    world_make(&world);
    for (size_t i = 0; i < COUNT(options); i++) {
        struct pki leaf;
        make_by_openssl(options[i], &leaf);
        pin_of(leaf.pem, world.pin);
        char *twice = pki_chain(leaf.pem, leaf.pem);
        assert_chain_refused(&world, leaf.pem, leaf.key_pem, "unknown CA");
        assert_chain_refused(&world, twice, leaf.key_pem, "unknown CA");
        free(twice);
        pki_release(&leaf);
    }
    world_release(&world);
}

/* Signs a server's certificate by the key of make_by_openssl(), whatever its certificate says. */
static void sign_by_openssl(struct pki *out)
{
    int status = 0;
    *out = (struct pki){0};
    const char *output = pki_run(
        &status,
        "echo subjectAltName=DNS:localhost > leaf.ext && openssl req -new -newkey ec -pkeyopt "
        "ec_paramgen_curve:P-256 -noenc -keyout leaf.key -config c.cnf -subj /CN=leaf "
        "-out leaf.csr 2>/dev/null && openssl x509 -req -in leaf.csr -CA made.crt -CAkey made.key "
        "-set_serial 7 -days 2 -out leaf.crt -extfile leaf.ext 2>/dev/null; cat leaf.crt");
    const char *begin = strstr(output, "-----BEGIN CERTIFICATE");
    cr_assert_not_null(begin, "%s", output);
    out->pem = strdup(begin);
    output = pki_run(&status, "cat leaf.key");
    out->key_pem = strdup(output);
    cr_assert(out->pem && out->key_pem);
}

/* Each has the pinned key, sent with a certificate that this key has signed. */
Test(stream_pin, pin_refuses_cas_that_are_none)
{
    static const struct {
        const char *options;
        const char *words; /* NULL: it is one, and accepted */
    } kinds[] = {
        {"-days 2 -subj /CN=a -addext basicConstraints=CA:TRUE", NULL},
        {"-days 2 -subj /CN=a -addext keyUsage=keyCertSign", "unknown CA"}, /* no constraints */
        {"-days 2 -subj /CN=a -x509v1", "unknown CA"},
        {"-days 2 -subj /CN=a -addext basicConstraints=CA:FALSE", "unknown CA"},
        {"-days 2 -subj /CN=a -addext basicConstraints=CA:TRUE -addext keyUsage=digitalSignature",
         "unknown CA"},
    };
    struct world world;
    world_make(&world);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct pki ca;
        struct pki leaf;
        if (strstr(kinds[i].options, "-x509v1")) { /* this openssl has no option for it */
            int status = 0;
            const char *output = pki_run(
                &status, "openssl req -new -config c.cnf -key made.key -subj /CN=a -out v1.csr && "
                         "openssl x509 -req -in v1.csr -key made.key -days 2 -out made.crt "
                         "2>/dev/null && openssl x509 -in made.crt -noout -text | "
                         "grep -q 'Version: 1' && cat made.crt");
            cr_assert_eq(status, 0, "%s", output);
            ca = (struct pki){.pem = strdup(output), .key_pem = strdup("")};
        } else {
            make_by_openssl(kinds[i].options, &ca);
        }
        sign_by_openssl(&leaf);
        pin_of(ca.pem, world.pin);
        char *chain = pki_chain(leaf.pem, ca.pem);
        if (kinds[i].words) {
            assert_chain_refused(&world, chain, leaf.key_pem, kinds[i].words);
        } else {
            struct tls_settings server = joinable_server(&world);
            struct tls_settings client = pinning_client(&world);
            server.cert_pem = chain;
            server.key_pem = leaf.key_pem;
            assert_accepted(&server, &client, "localhost");
        }
        free(chain);
        pki_release(&leaf);
        pki_release(&ca);
    }
    world_release(&world);
}

static char *sign_anew(const struct pki *issuer, const char *issuer_pem,
                       const struct tls_public *public, int64_t from_us, int64_t until_us)
{
    static const char *const hosts[] = {"localhost"};
    static const struct certificate_name names[] = {{"CN", "service CA"}, {"O", "acme"}};
    struct error err = {0};
    struct buffer text;
    struct certificate_template template =
        pki_template(names, COUNT(names), public ? CERTIFICATE_SERVER : CERTIFICATE_CA);
    template.public = public;
    template.san_dns = hosts;
    template.san_dns_count = public ? COUNT(hosts) : 0;
    template.not_before_us = clock_wall_us() + from_us;
    template.not_after_us = clock_wall_us() + until_us;
    buffer_init(&text, CERTIFICATE_PEM_MAX);
    cr_assert(certificate_sign(&template, issuer->key, issuer_pem, &text, &err), "%s", err.message);
    return pki_text(&text);
}

Test(stream_pin, pin_refuses_what_is_not_valid_now)
{
    static const struct {
        int64_t from_us;
        int64_t until_us;
        const char *words;
    } times[] = {
        {-10 * PKI_HOUR, -PKI_HOUR, "certificate expired on 20"},
        {PKI_HOUR, 2 * PKI_HOUR, "certificate is not yet valid"},
    };
    struct world world;
    struct error err = {0};
    struct tls_public *public = NULL;
    world_make(&world);
    cr_assert(tls_public_of(world.server.key, &public, &err), "%s", err.message);
    for (size_t i = 0; i < COUNT(times); i++) {
        char words[64];
        char *leaf = sign_anew(&world.services, world.services.pem, public, times[i].from_us,
                               times[i].until_us);
        char *chain = pki_chain(leaf, world.services.pem);
        assert_chain_refused(&world, chain, world.server.key_pem, times[i].words);
        free(chain);
        free(leaf);
        /* The same key and name in a CA certificate out of its time; the leaf is current. */
        char *ca = sign_anew(&world.services, NULL, NULL, times[i].from_us, times[i].until_us);
        chain = pki_chain(world.server.pem, ca);
        (void)snprintf(words, sizeof words, "CA %s", times[i].words);
        assert_chain_refused(&world, chain, world.server.key_pem, words);
        free(chain);
        free(ca);
    }
    tls_public_free(public);
    world_release(&world);
}

/* The other's clock is ahead of ours; that its certificate ends is a fact by any clock. */
Test(stream_pin, a_beginning_within_what_clocks_differ_by_is_no_reason)
{
    struct world world;
    struct error err = {0};
    struct tls_public *public = NULL;
    world_make(&world);
    cr_assert(tls_public_of(world.server.key, &public, &err), "%s", err.message);
    struct tls_settings server = joinable_server(&world);
    struct tls_settings client = pinning_client(&world);
    char *leaf = sign_anew(&world.services, world.services.pem, public,
                           TLS_CLOCK_SKEW_US - 10 * INT64_C(1000000), 2 * PKI_HOUR);
    char *chain = pki_chain(leaf, world.services.pem);
    server.cert_pem = chain;
    assert_accepted(&server, &client, "localhost");
    free(chain);
    free(leaf);
    char *ca = sign_anew(&world.services, NULL, NULL, TLS_CLOCK_SKEW_US - 10 * INT64_C(1000000),
                         2 * PKI_HOUR);
    chain = pki_chain(world.server.pem, ca);
    server.cert_pem = chain;
    assert_accepted(&server, &client, "localhost");
    free(chain);
    free(ca);
    leaf = sign_anew(&world.services, world.services.pem, public,
                     TLS_CLOCK_SKEW_US + 10 * INT64_C(1000000), 2 * PKI_HOUR);
    chain = pki_chain(leaf, world.services.pem);
    assert_chain_refused(&world, chain, world.server.key_pem, "certificate is not yet valid");
    free(chain);
    free(leaf);
    leaf =
        sign_anew(&world.services, world.services.pem, public, -PKI_HOUR, -10 * INT64_C(1000000));
    chain = pki_chain(leaf, world.services.pem);
    assert_chain_refused(&world, chain, world.server.key_pem, "certificate expired on");
    free(chain);
    free(leaf);
    tls_public_free(public);
    world_release(&world);
}

Test(stream_pin, pin_refuses_other_names_and_uses)
{
    struct world world;
    struct pki client;
    world_make(&world);
    struct tls_settings server = joinable_server(&world);
    struct tls_settings pinning = pinning_client(&world);
    assert_server_refused(&server, &pinning, "db1.internal", "is not for db1.internal");
    assert_server_refused(&server, &pinning, "127.0.0.2", "is not for 127.0.0.2");
    assert_server_refused(&server, &pinning, "proxy-1", "is not for proxy-1");

    /* A client's certificate of the pinned CA, for localhost. */
    static const char *const hosts[] = {"localhost"};
    static const struct certificate_name names[] = {{"CN", "a"}};
    struct certificate_template template = pki_template(names, COUNT(names), CERTIFICATE_CLIENT);
    template.san_dns = hosts;
    template.san_dns_count = COUNT(hosts);
    pki_issue(&world.services, &template, &client);
    char *chain = pki_chain(client.pem, world.services.pem);
    /* Our server does not even try. */
    assert_chain_refused(&world, chain, client.key_pem, "the peer refused the handshake");
    free(chain);
    pki_release(&client);
    world_release(&world);
}

/* The pinned CA has signed another CA, which signed the server: two steps are one too many. */
Test(stream_pin, pin_refuses_cas_in_between)
{
    int status = 0;
    struct world world;
    world_make(&world);
    const char *output = pki_run(
        &status,
        "printf '[req]\\ndistinguished_name=n\\n[n]\\n' > c.cnf && "
        "for n in root middle leaf; do openssl ecparam -name prime256v1 -genkey -noout "
        "-out $n.key; openssl req -new -config c.cnf -key $n.key -subj /CN=$n -out $n.csr; done; "
        "echo basicConstraints=CA:TRUE > ca.ext; echo subjectAltName=DNS:localhost > leaf.ext; "
        "openssl x509 -req -in root.csr -key root.key -extfile ca.ext -days 2 -out root.crt && "
        "openssl x509 -req -in middle.csr -CA root.crt -CAkey root.key -extfile ca.ext -days 2 "
        "-set_serial 2 -out middle.crt && "
        "openssl x509 -req -in leaf.csr -CA middle.crt -CAkey middle.key -extfile leaf.ext "
        "-days 2 -set_serial 3 -out leaf.crt && cat leaf.crt middle.crt root.crt > chain.pem && "
        "openssl verify -CAfile root.crt -untrusted middle.crt leaf.crt && chmod 600 leaf.key");
    cr_assert_eq(status, 0, "%s", output);
    struct tls_settings server = joinable_server(&world);
    struct tls_settings client = {.side = TLS_CLIENT, .ca_file = pki_path("root.crt")};
    server.cert_pem = server.key_pem = NULL;
    server.cert_file = pki_path("chain.pem");
    server.key_file = pki_path("leaf.key");
    assert_accepted(&server, &client, "localhost"); /* as CAs from a file are trusted */
    output = pki_run(&status, "cat root.crt");
    pin_of(output, world.pin);
    client = pinning_client(&world);
    assert_server_refused(&server, &client, "localhost", "unknown CA");
    /* Whoever pins the one in between trusts it for what it signed itself. */
    output = pki_run(&status, "cat middle.crt");
    pin_of(output, world.pin);
    assert_accepted(&server, &client, "localhost");
    world_release(&world);
}

Test(stream_pin, pin_judges_peers_again)
{
    struct world world;
    struct pair pair;
    struct error err = {0};
    world_make(&world);
    struct tls_settings pinning = pinning_client(&world);
    start(&pair, joinable_server(&world), pinning, "localhost", TLS_VERSION_ANY);
    pair_run_until(&pair, &pair.client.secured);
    struct tls_context *same = context_make(&pinning);
    world.pin[0] ^= 1;
    struct tls_context *other = context_make(&pinning);
    cr_assert(stream_trusted_by(pair.client.stream, same, &err), "%s", err.message);
    cr_assert_not(stream_trusted_by(pair.client.stream, other, &err));
    cr_assert_not_null(strstr(err.message, "unknown CA"), "%s", err.message);
    tls_context_unref(same);
    tls_context_unref(other);
    pair_run_until(&pair, &pair.server.secured);
    pair_close(&pair);
    world_release(&world);
}

Test(stream_pin, pin_stands_alone)
{
    struct world world;
    world_make(&world);
    struct tls_settings settings = pinning_client(&world);
    settings.ca_pem = world.services.pem;
    assert_not_made(&settings, ERROR_CONFIG, "stands alone");
    settings = pinning_client(&world);
    settings.ca_file = certs_path("bot-ca.crt");
    assert_not_made(&settings, ERROR_CONFIG, "stands alone");
    settings = pinning_client(&world);
    settings.crl_file = certs_path("bot.crl");
    assert_not_made(&settings, ERROR_CONFIG, "stands alone");
    settings = world_server(&world);
    settings.ca_pem = NULL;
    settings.ca_pin = world.pin;
    assert_not_made(&settings, ERROR_CONFIG, "only a TLS client");
    world_release(&world);
}
