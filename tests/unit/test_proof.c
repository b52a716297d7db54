/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate that was shown once is judged again, by those who are trusted then. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pki_support.h"
#include "tests/unit/tls_support.h"
#include "tls/proof.h"

static const enum tls_version versions[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};

/* A server whose clients' CAs are those in the text. */
static struct tls_context *trusting(const char *ca_pem)
{
    struct tls_settings settings = settings_server();
    settings.ca_file = NULL;
    settings.crl_file = NULL;
    settings.ca_pem = ca_pem;
    return context_make(&settings);
}

static struct tls_settings client_of(const struct pki *bot)
{
    struct tls_settings settings = settings_client("ci-1");
    settings.cert_file = settings.key_file = NULL;
    settings.cert_pem = bot->pem;
    settings.key_pem = bot->key_pem;
    return settings;
}

/* What is left of a handshake that is long over. */
static struct proof *shown_by(const struct pki *bot, const char *ca_pem, enum tls_version version)
{
    struct pair pair;
    struct proof *proof;
    struct error err = {0};
    struct tls_settings client = client_of(bot);
    client.version = version;
    pair_open(&pair);
    pair_start_tls(&pair, trusting(ca_pem), context_make(&client), "localhost");
    pair_run_until(&pair, &pair.server.secured);
    pair_run_until(&pair, &pair.client.secured);
    cr_assert(proof_of_stream(pair.server.stream, &proof, &err), "%s", err.message);
    cr_assert_eq(proof_not_after_us(proof), stream_peer(pair.server.stream)->not_after_us);
    cr_assert_eq(proof_not_before_us(proof), stream_peer(pair.server.stream)->not_before_us);
    pair_close(&pair);
    return proof;
}

static void trusted(const struct proof *proof, const char *ca_pem)
{
    struct error err = {0};
    struct tls_context *context = trusting(ca_pem);
    cr_assert(proof_trusted_by(proof, context, &err), "%s", err.message);
    tls_context_unref(context);
}

static void refused(const struct proof *proof, const char *ca_pem, const char *words)
{
    struct error err = {0};
    struct tls_context *context = trusting(ca_pem);
    cr_assert_not(proof_trusted_by(proof, context, &err));
    cr_assert_eq(err.code, ERROR_TLS);
    cr_assert(strstr(err.message, words), "%s", err.message);
    tls_context_unref(context);
}

Test(proof, is_trusted_as_long_as_its_ca_is)
{
    struct pki old, new, bot;
    pki_ca(&old, "bots 1");
    pki_ca(&new, "bots 2");
    pki_client(&new, "ci-1", &bot);
    char *both = pki_chain(old.pem, new.pem);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct proof *proof = shown_by(&bot, both, versions[i]);
        trusted(proof, both);
        trusted(proof, new.pem);
        refused(proof, old.pem, "unknown CA");
        proof_unref(proof);
    }
    free(both);
    pki_release(&bot);
    pki_release(&new);
    pki_release(&old);
}

Test(proof, a_ca_of_the_same_name_with_another_key_does_not_do)
{
    struct pki ca, other, bot;
    pki_ca(&ca, "bots");
    pki_ca(&other, "bots");
    pki_client(&ca, "ci-1", &bot);
    struct proof *proof = shown_by(&bot, ca.pem, TLS_VERSION_1_3);
    refused(proof, other.pem, "unknown CA");
    proof_unref(proof);
    pki_release(&bot);
    pki_release(&other);
    pki_release(&ca);
}

Test(proof, keeps_a_chain_of_several_and_lives_as_long_as_it_is_held)
{
    struct pki ca, bot;
    pki_ca(&ca, "bots");
    pki_client(&ca, "ci-1", &bot);
    char *longer = pki_chain(bot.pem, ca.pem);
    struct pki with_ca = bot;
    with_ca.pem = longer;
    struct proof *proof = shown_by(&with_ca, ca.pem, TLS_VERSION_1_3);
    trusted(proof, ca.pem);
    cr_assert(proof_ref(proof) == proof);
    proof_unref(proof);
    trusted(proof, ca.pem);
    proof_unref(proof);
    proof_unref(NULL);
    cr_assert_null(proof_ref(NULL));
    free(longer);
    pki_release(&bot);
    pki_release(&ca);
}

Test(proof, none_without_a_certificate)
{
    struct pair pair;
    struct proof *proof = NULL;
    struct error err = {0};
    pair_open(&pair);
    cr_assert_not(proof_of_stream(pair.server.stream, &proof, &err));
    cr_assert_eq(err.code, ERROR_STATE);
    cr_assert_null(proof);
    pair_close(&pair);
}

Test(proof, bytes_that_are_no_certificate_prove_nothing)
{
    static const char *const chains[] = {"", "DER", "\x30\x82\xff\xff", "\x30\x03\x02\x01\x01"};
    struct pki ca;
    struct error err = {0};
    pki_ca(&ca, "bots");
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        struct proof *proof;
        cr_assert(
            proof_create(byte_view(chains[i], strlen(chains[i])), 1, INT64_MAX, &proof, &err));
        refused(proof, ca.pem, "cannot be read again");
        proof_unref(proof);
    }
    pki_release(&ca);
}

Test(proof, is_bounded)
{
    static uint8_t chain[PROOF_CHAIN_MAX + 1];
    struct proof *proof = NULL;
    struct error err = {0};
    cr_assert_not(proof_create(byte_view(chain, sizeof chain), 1, 2, &proof, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_null(proof);
    cr_assert(proof_create(byte_view(chain, sizeof chain - 1), 1, 2, &proof, &err));
    proof_unref(proof);
}

struct judge {
    struct proof *proof;
    struct tls_context *context;
    bool trusted;
};

static void *judge_often(void *arg)
{
    struct judge *judge = arg;
    judge->trusted = true;
    for (int i = 0; i < 50; i++)
        judge->trusted = proof_trusted_by(judge->proof, judge->context, NULL) && judge->trusted;
    proof_unref(judge->proof);
    return NULL;
}

Test(proof, workers_judge_it_at_once)
{
    struct pki ca, bot;
    struct judge judges[4];
    pthread_t threads[4];
    pki_ca(&ca, "bots");
    pki_client(&ca, "ci-1", &bot);
    struct proof *proof = shown_by(&bot, ca.pem, TLS_VERSION_1_3);
    struct tls_context *context = trusting(ca.pem);
    for (size_t i = 0; i < 4; i++) {
        judges[i] = (struct judge){proof_ref(proof), context, false};
        cr_assert_eq(pthread_create(&threads[i], NULL, judge_often, &judges[i]), 0);
    }
    proof_unref(proof);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(judges[i].trusted);
    }
    tls_context_unref(context);
    pki_release(&bot);
    pki_release(&ca);
}
