/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/context.h"

#include <mbedtls/psa_util.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "tls/context_internal.h"
#include "tls/crypto.h"
#include "tls/identity_internal.h"
#include "tls/material_internal.h"
#include "tls/trust_internal.h"

/* P-256 first: it is what libcrypto does fastest, and what our own CAs use. */
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static void warn_about_validity(const char *path, const mbedtls_x509_crt *certificate)
{
    char time[CLOCK_TIME_SIZE];
    if (mbedtls_x509_time_is_past(&certificate->valid_to)) {
        clock_format(identity_time_us(&certificate->valid_to), time);
        log_warning("our certificate has expired", "file", path, "expired", time, NULL);
    } else if (mbedtls_x509_time_is_future(&certificate->valid_from)) {
        clock_format(identity_time_us(&certificate->valid_from), time);
        log_warning("our certificate is not yet valid", "file", path, "valid_from", time, NULL);
    }
}

static bool load_own(const struct tls_settings *settings, struct tls_context *context,
                     struct error *err)
{
    struct material certificate = material_certificate(settings);
    struct material key = material_key(settings);
    bool has_certificate = material_is_given(&certificate);
    bool has_key = material_is_given(&key);
    if (!has_certificate && !has_key && settings->side == TLS_CLIENT)
        return true;
    if (!has_certificate || !has_key)
        return error_set(err, ERROR_CONFIG, "a certificate and a key are needed, not one of them");
    if (!material_certificates(&certificate, &context->certificate, err) ||
        !material_private_key(&key, &context->key, err))
        return false;
    if (mbedtls_pk_check_pair(&context->certificate.pk, &context->key, mbedtls_psa_get_random,
                              MBEDTLS_PSA_RANDOM_STATE) != 0)
        return error_set(err, ERROR_CONFIG, "%s: is not the key of the certificate %s",
                         material_name(&key), material_name(&certificate));
    warn_about_validity(material_name(&certificate), &context->certificate);
    int code = mbedtls_ssl_conf_own_cert(&context->config, &context->certificate, &context->key);
    return code == 0 || crypto_failed(err, code, "%s", material_name(&certificate));
}

static bool set_alpn(const char *const *names, struct tls_context *context, struct error *err)
{
    size_t count = 0;
    for (; names && names[count]; count++) {
        if (count == TLS_ALPN_MAX)
            return error_set(err, ERROR_LIMIT, "more than %d ALPN protocols", TLS_ALPN_MAX);
        context->alpn_text[count] = strdup(names[count]);
        if (!context->alpn_text[count])
            return error_set(err, ERROR_MEMORY, "out of memory for a TLS context");
        context->alpn[count] = context->alpn_text[count];
    }
    if (count > 0 && mbedtls_ssl_conf_alpn_protocols(&context->config, context->alpn) != 0)
        return error_set(err, ERROR_CONFIG, "an ALPN protocol name is empty or too long");
    return true;
}

static void set_versions(enum tls_version version, mbedtls_ssl_config *config)
{
    mbedtls_ssl_conf_min_tls_version(config, version == TLS_VERSION_1_3
                                                 ? MBEDTLS_SSL_VERSION_TLS1_3
                                                 : MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(config, version == TLS_VERSION_1_2
                                                 ? MBEDTLS_SSL_VERSION_TLS1_2
                                                 : MBEDTLS_SSL_VERSION_TLS1_3);
}

static bool configure(const struct tls_settings *settings, struct tls_context *context,
                      struct error *err)
{
    mbedtls_ssl_config *config = &context->config;
    if (settings->client_certificate_optional && settings->side != TLS_SERVER)
        return error_set(err, ERROR_CONFIG, "only a TLS server can do without a certificate");
    context->optional = settings->client_certificate_optional;
    int endpoint = settings->side == TLS_SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    if (mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return error_set(err, ERROR_MEMORY, "out of memory for a TLS context");
    mbedtls_ssl_conf_rng(config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    /* "Optional" lets bad certificates pass as well: tls/stream_tls.c refuses those. */
    mbedtls_ssl_conf_authmode(config, context->optional ? MBEDTLS_SSL_VERIFY_OPTIONAL
                                                        : MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_cert_profile(config, &trust_profile);
    mbedtls_ssl_conf_groups(config, groups);
    set_versions(settings->version, config);
    mbedtls_ssl_conf_tls13_key_exchange_modes(config,
                                              MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
    if (settings->side == TLS_CLIENT)
        mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    else
        mbedtls_ssl_conf_new_session_tickets(config, 0);
    return trust_load(settings, context, err) && load_own(settings, context, err) &&
           set_alpn(settings->alpn, context, err);
}

static void context_free(struct tls_context *context)
{
    mbedtls_ssl_config_free(&context->config);
    mbedtls_x509_crt_free(&context->certificate);
    mbedtls_pk_free(&context->key);
    mbedtls_x509_crt_free(&context->authorities);
    mbedtls_x509_crl_free(&context->revoked);
    for (size_t i = 0; i < TLS_ALPN_MAX; i++)
        free(context->alpn_text[i]);
    free(context);
}

bool tls_context_create(const struct tls_settings *settings, struct tls_context **out,
                        struct error *err)
{
    if (!crypto_start(err))
        return false;
    struct tls_context *context = calloc(1, sizeof *context);
    if (!context)
        return error_set(err, ERROR_MEMORY, "out of memory for a TLS context");
    atomic_init(&context->references, 1);
    context->side = settings->side;
    mbedtls_ssl_config_init(&context->config);
    mbedtls_x509_crt_init(&context->certificate);
    mbedtls_pk_init(&context->key);
    mbedtls_x509_crt_init(&context->authorities);
    mbedtls_x509_crl_init(&context->revoked);
    if (!configure(settings, context, err)) {
        context_free(context);
        return false;
    }
    *out = context;
    return true;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context && atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) == 1)
        context_free(context);
}

int64_t tls_context_not_before_us(const struct tls_context *context)
{
    return context->certificate.version ? identity_time_us(&context->certificate.valid_from)
                                        : INT64_MIN;
}

int64_t tls_context_not_after_us(const struct tls_context *context)
{
    return context->certificate.version ? identity_time_us(&context->certificate.valid_to)
                                        : INT64_MAX;
}
