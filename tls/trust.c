/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/trust_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tls/digest.h"
#include "tls/identity_internal.h"
#include "tls/material_internal.h"

/* SHA-1 is not here, nor are RSA keys below 2048 bits or curves below 128 bits of strength. */
const mbedtls_x509_crt_profile trust_profile = {
    .allowed_mds = MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    .allowed_pks = MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECKEY) | MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECDSA) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_RSA) |
                   MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_RSASSA_PSS),
    .allowed_curves = MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) |
                      MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1),
    .rsa_min_bitlen = 2048,
};

/* Revocation lists. */

static bool same_name(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

static bool has_crl_for(const struct tls_context *context, const mbedtls_x509_crt *certificate)
{
    for (const mbedtls_x509_crl *list = &context->revoked; list; list = list->next)
        if (list->version != 0 && same_name(&list->issuer_raw, &certificate->issuer_raw))
            return true;
    return false;
}

static bool crl_is_of(const mbedtls_x509_crl *list, const mbedtls_x509_crt *authorities)
{
    for (const mbedtls_x509_crt *ca = authorities; ca; ca = ca->next)
        if (same_name(&list->issuer_raw, &ca->subject_raw))
            return true;
    return false;
}

static bool check_crls(const char *path, const struct tls_context *context, struct error *err)
{
    for (const mbedtls_x509_crl *list = &context->revoked; list; list = list->next) {
        char time[CLOCK_TIME_SIZE];
        if (mbedtls_x509_time_is_past(&list->next_update)) {
            clock_format(identity_time_us(&list->next_update), time);
            return error_set(err, ERROR_CONFIG,
                             "%s: the revocation list expired on %.10s; fetch a current one", path,
                             time);
        }
        if (mbedtls_x509_time_is_future(&list->this_update))
            return error_set(err, ERROR_CONFIG, "%s: the revocation list is not yet valid", path);
        if (!crl_is_of(list, &context->authorities))
            return error_set(err, ERROR_CONFIG,
                             "%s: holds the revocation list of a CA that is not in the CA file",
                             path);
    }
    return true;
}

static bool load_crls(const struct tls_settings *settings, struct tls_context *context,
                      struct error *err)
{
    if (!material_crls(settings->crl_file, &context->revoked, err) ||
        !check_crls(settings->crl_file, context, err))
        return false;
    context->has_crl = true;
    return true;
}

/* A CA that is known by its pin. */

static bool has_pinned_key(const struct tls_context *context, const mbedtls_x509_crt *certificate)
{
    uint8_t pin[DIGEST_SIZE];
    digest_of(certificate->pk_raw.p, certificate->pk_raw.len, pin);
    return memcmp(pin, context->ca_pin, sizeof pin) == 0;
}

/* Marked as a CA's: Mbed TLS lets trusted certificates without extensions (version 1) sign too. */
static bool may_be_trusted(const struct tls_context *context, const mbedtls_x509_crt *certificate)
{
    return mbedtls_x509_crt_get_ca_istrue(certificate) == 1 && has_pinned_key(context, certificate);
}

/*
 * Mbed TLS asks whom it may trust as the signer of `child`, which what the peer sent with it
 * follows: those certificates that have the pinned key. It goes on to check the name, the signature
 * and the time of each, as with CAs from a file. They become Mbed TLS's to free.
 */
static int find_pinned(void *arg, const mbedtls_x509_crt *child, mbedtls_x509_crt **candidates)
{
    const struct tls_context *context = arg;
    *candidates = NULL;
    for (const mbedtls_x509_crt *sent = child->next; sent; sent = sent->next) {
        if (!may_be_trusted(context, sent))
            continue;
        if (!*candidates) {
            *candidates = calloc(1, sizeof **candidates);
            if (!*candidates)
                return MBEDTLS_ERR_X509_ALLOC_FAILED;
            mbedtls_x509_crt_init(*candidates);
        }
        int code = mbedtls_x509_crt_parse_der(*candidates, sent->raw.p, sent->raw.len);
        if (code != 0)
            return code;
    }
    return 0;
}

/*
 * Every certificate above the peer's own has the pinned key, so that there is none in between; and
 * the peer's own has not: trust in a key to sign is no trust in it to serve.
 */
static bool breaks_pin(const struct tls_context *context, const mbedtls_x509_crt *certificate,
                       int depth)
{
    return depth == 0 ? has_pinned_key(context, certificate)
                      : !may_be_trusted(context, certificate);
}

static bool set_pin(const struct tls_settings *settings, struct tls_context *context,
                    struct error *err)
{
    if (settings->side != TLS_CLIENT)
        return error_set(err, ERROR_CONFIG, "only a TLS client can trust a CA by its pin");
    if (settings->ca_file || settings->ca_pem || settings->crl_file)
        return error_set(err, ERROR_CONFIG,
                         "a CA's pin stands alone: no CA file and no revocation list beside it");
    memcpy(context->ca_pin, settings->ca_pin, sizeof context->ca_pin);
    context->pinned = true;
    mbedtls_ssl_conf_ca_cb(&context->config, find_pinned, context);
    return true;
}

/* All of it. */

bool trust_load(const struct tls_settings *settings, struct tls_context *context, struct error *err)
{
    if (settings->ca_pin)
        return set_pin(settings, context, err);
    struct material source = material_authorities(settings);
    if (!material_is_given(&source))
        return error_set(err, ERROR_CONFIG, "a CA file is needed to verify the peer");
    if (!material_certificates(&source, &context->authorities, err))
        return false;
    if (settings->crl_file && !load_crls(settings, context, err))
        return false;
    mbedtls_ssl_conf_ca_chain(&context->config, &context->authorities,
                              context->has_crl ? &context->revoked : NULL);
    return true;
}

int trust_verify(const struct tls_context *context, mbedtls_x509_crt *chain, uint32_t *flags,
                 int (*judge)(void *, mbedtls_x509_crt *, int, uint32_t *), void *arg)
{
    /* Mbed TLS asks for pointers that are not const, and changes nothing behind them. */
    struct tls_context *mutable = (struct tls_context *)(uintptr_t)context;
    if (context->pinned)
        return mbedtls_x509_crt_verify_with_ca_cb(chain, find_pinned, mutable, &trust_profile, NULL,
                                                  flags, judge, arg);
    return mbedtls_x509_crt_verify_with_profile(chain, &mutable->authorities,
                                                context->has_crl ? &mutable->revoked : NULL,
                                                &trust_profile, NULL, flags, judge, arg);
}

uint32_t trust_judge(const struct tls_context *context, const mbedtls_x509_crt *certificate,
                     int depth)
{
    uint32_t flags = 0;
    if (context->pinned && breaks_pin(context, certificate, depth))
        flags |= MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    if (depth == 0 && context->has_crl && !has_crl_for(context, certificate))
        flags |= MBEDTLS_X509_BADCRL_NOT_TRUSTED;
    return flags;
}

void trust_forgive_clocks(const mbedtls_x509_crt *certificate, uint32_t *flags)
{
    if (*flags & MBEDTLS_X509_BADCERT_FUTURE &&
        identity_time_us(&certificate->valid_from) <= clock_wall_us() + TLS_CLOCK_SKEW_US)
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_FUTURE;
}

static int judge_again(void *arg, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    trust_forgive_clocks(certificate, flags);
    *flags |= trust_judge(arg, certificate, depth);
    return 0;
}

bool trust_verify_again(const struct tls_context *context, mbedtls_x509_crt *chain, uint32_t *flags)
{
    return trust_verify(context, chain, flags, judge_again, (void *)(uintptr_t)context) == 0;
}

/* In the order in which Mbed TLS 3.6 chooses (mbedtls_ssl_verify_certificate()), where it does. */
static const struct {
    uint32_t flags;
    unsigned char alert;
} alerts[] = {
    {MBEDTLS_X509_BADCERT_OTHER, MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, MBEDTLS_SSL_ALERT_MSG_BAD_CERT},
    {MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
         MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
     MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT},
    {MBEDTLS_X509_BADCERT_EXPIRED, MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED},
    {MBEDTLS_X509_BADCERT_REVOKED, MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED},
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA},
};

unsigned char trust_alert(uint32_t flags)
{
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++)
        if (flags & alerts[i].flags)
            return alerts[i].alert;
    return MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN;
}
