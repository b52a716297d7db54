/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/identity_check.h"

#include <mbedtls/x509_crt.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tls/certificate.h"
#include "tls/context.h"
#include "tls/identity.h"

static bool check_bot(const struct identity_claim *claim, const struct identity *identity,
                      struct error *err)
{
    if (strcmp(identity->bot, claim->name) != 0)
        return error_set(err, ERROR_DENIED, "it names the bot '%.64s', and the answer '%.64s'",
                         identity->bot, claim->name);
    if (claim->expected && strcmp(claim->expected, claim->name) != 0)
        return error_set(err, ERROR_DENIED, "it is for the bot '%.64s', not for '%.64s'",
                         claim->name, claim->expected);
    return true;
}

static bool check_name(const struct identity_claim *claim, const struct certificate_facts *facts,
                       struct error *err)
{
    struct identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return error_set(err, ERROR_MEMORY, "out of memory");
    bool right = identity_from_certificate(facts->der, facts->der_length, identity, err) &&
                 check_bot(claim, identity, err);
    free(identity);
    return right;
}

static bool check_time(const struct identity_claim *claim, const struct certificate_facts *facts,
                       struct error *err)
{
    char when[CLOCK_TIME_SIZE];
    if (claim->now_us <= facts->not_after_us)
        return true;
    clock_format(facts->not_after_us, when);
    return error_set(err, ERROR_DENIED,
                     "it expired at %.19sZ by this machine's clock: check the clock", when);
}

static bool check_key(const struct identity_claim *claim, struct error *err)
{
    struct tls_public *public;
    if (!tls_public_of(claim->key, &public, err))
        return false;
    bool fits =
        certificate_matches_key(claim->certificate, strlen(claim->certificate), public, err);
    tls_public_free(public);
    return fits;
}

/* The bots' CA is not known here, and need not be: proxies judge. But a chain that does not hold
 * together would be judged by nobody but them, and too late. */
static bool check_chain(const struct identity_claim *claim, struct error *err)
{
    mbedtls_x509_crt chain;
    uint32_t flags = 0;
    mbedtls_x509_crt_init(&chain);
    const unsigned char *text = (const unsigned char *)claim->certificate;
    bool holds = mbedtls_x509_crt_parse(&chain, text, strlen(claim->certificate) + 1) == 0;
    mbedtls_x509_crt *last = &chain;
    while (holds && last->next)
        last = last->next;
    if (holds && last != &chain) {
        (void)mbedtls_x509_crt_verify(&chain, last, NULL, NULL, &flags, NULL, NULL);
        holds = (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) == 0;
    }
    mbedtls_x509_crt_free(&chain);
    return holds || error_set(err, ERROR_DENIED, "its chain does not hold together");
}

/* As it will be loaded. */
static bool check_use(const struct identity_claim *claim, struct error *err)
{
    struct tls_context *context;
    const struct tls_settings settings = {
        .side = TLS_CLIENT,
        .cert_pem = claim->certificate,
        .key_pem = claim->key_pem,
        .ca_pem = claim->ca,
        .pem_giver = "the authority",
    };
    if (!tls_context_create(&settings, &context, err))
        return false;
    tls_context_unref(context);
    return true;
}

bool identity_check(const struct identity_claim *claim, struct error *err)
{
    struct certificate_facts facts = {0};
    bool right = certificate_read(claim->certificate, strlen(claim->certificate), &facts, err) &&
                 (!facts.is_ca || error_set(err, ERROR_DENIED, "it is a CA's")) &&
                 check_name(claim, &facts, err) && check_time(claim, &facts, err) &&
                 check_key(claim, err) && check_chain(claim, err) && check_use(claim, err);
    certificate_facts_release(&facts);
    return right || error_wrap(err, "the certificate that the authority sent is of no use");
}
