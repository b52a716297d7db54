/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/context.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/error.h>
#include <mbedtls/pem.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/psa_util.h>
#include <psa/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tls/context_internal.h"
#include "tls/identity_internal.h"

/* SHA-1 is not here, nor are RSA keys below 2048 bits or curves below 128 bits of strength. */
static const mbedtls_x509_crt_profile certificate_profile = {
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

/* P-256 first: it is what libcrypto does fastest, and what our own CAs use. */
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;
static psa_status_t crypto_status;

static void start_crypto(void)
{
    crypto_status = psa_crypto_init();
}

/* A whole small file; the memory is zeroed before it is freed because it may hold a key. */
struct tls_file {
    unsigned char *bytes; /* NUL-terminated, as Mbed TLS wants PEM */
    size_t length;        /* the NUL included */
};

static void file_release(struct tls_file *file)
{
    if (file->bytes) {
        mbedtls_platform_zeroize(file->bytes, file->length);
        free(file->bytes);
    }
    *file = (struct tls_file){0};
}

static bool read_all(int fd, const char *path, size_t size, struct tls_file *file,
                     struct error *err)
{
    file->bytes = calloc(1, size + 1);
    if (!file->bytes)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    file->length = size + 1;
    for (size_t at = 0; at < size;) {
        ssize_t got = read(fd, file->bytes + at, size - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_system(err, errno, "%s", path);
        if (got == 0)
            return error_set(err, ERROR_CONFIG, "%s: was cut while it was read; try again", path);
        at += (size_t)got;
    }
    return true;
}

static bool check_file(int fd, const char *path, bool secret, size_t *size, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_system(err, errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_CONFIG, "%s: not a regular file", path);
    if (secret && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return error_set(err, ERROR_CONFIG,
                         "%s: the private key is open to other users (mode %04o); chmod 600 it",
                         path, (unsigned)(status.st_mode & 07777));
    if (status.st_size <= 0 || status.st_size > TLS_FILE_MAX)
        return error_set(err, ERROR_CONFIG, "%s: has %lld bytes, not 1 to %d", path,
                         (long long)status.st_size, TLS_FILE_MAX);
    *size = (size_t)status.st_size;
    return true;
}

static bool file_read(const char *path, bool secret, struct tls_file *file, struct error *err)
{
    *file = (struct tls_file){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_system(err, errno, "%s", path);
    size_t size = 0;
    bool done = check_file(fd, path, secret, &size, err) && read_all(fd, path, size, file, err);
    (void)close(fd);
    if (!done)
        file_release(file);
    return done;
}

/* `code` as Mbed TLS gives it: negative, or the number of certificates that did not parse. */
static bool parse_failed(struct error *err, const char *path, const char *what, int code)
{
    if (code > 0)
        return error_set(err, ERROR_CONFIG, "%s: %d of its certificates cannot be read", path,
                         code);
    if (code == MBEDTLS_ERR_PEM_NO_HEADER_FOOTER_PRESENT ||
        code == MBEDTLS_ERR_X509_INVALID_FORMAT || code == MBEDTLS_ERR_PK_KEY_INVALID_FORMAT)
        return error_set(err, ERROR_CONFIG, "%s: holds no %s in PEM form", path, what);
    if (code == MBEDTLS_ERR_PK_PASSWORD_REQUIRED)
        return error_set(err, ERROR_CONFIG,
                         "%s: the key is encrypted; give one without a passphrase, mode 600", path);
    char words[160];
    mbedtls_strerror(code, words, sizeof words);
    return error_set(err, ERROR_CONFIG, "%s: cannot read the %s: %s", path, what, words);
}

static bool load_certificates(const char *path, mbedtls_x509_crt *out, struct error *err)
{
    struct tls_file file;
    if (!file_read(path, false, &file, err))
        return false;
    int code = mbedtls_x509_crt_parse(out, file.bytes, file.length);
    file_release(&file);
    if (code != 0)
        return parse_failed(err, path, "certificate", code);
    return true;
}

static bool load_key(const char *path, mbedtls_pk_context *out, struct error *err)
{
    struct tls_file file;
    if (!file_read(path, true, &file, err))
        return false;
    int code = mbedtls_pk_parse_key(out, file.bytes, file.length, NULL, 0, mbedtls_psa_get_random,
                                    MBEDTLS_PSA_RANDOM_STATE);
    file_release(&file);
    if (code != 0)
        return parse_failed(err, path, "private key", code);
    return true;
}

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
    if (!settings->cert_file && !settings->key_file && settings->side == TLS_CLIENT)
        return true;
    if (!settings->cert_file || !settings->key_file)
        return error_set(err, ERROR_CONFIG, "a certificate and a key are needed, not one of them");
    if (!load_certificates(settings->cert_file, &context->certificate, err) ||
        !load_key(settings->key_file, &context->key, err))
        return false;
    if (mbedtls_pk_check_pair(&context->certificate.pk, &context->key, mbedtls_psa_get_random,
                              MBEDTLS_PSA_RANDOM_STATE) != 0)
        return error_set(err, ERROR_CONFIG, "%s: is not the key of the certificate %s",
                         settings->key_file, settings->cert_file);
    warn_about_validity(settings->cert_file, &context->certificate);
    int code = mbedtls_ssl_conf_own_cert(&context->config, &context->certificate, &context->key);
    return code == 0 || parse_failed(err, settings->cert_file, "certificate", code);
}

static bool same_name(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

bool tls_context_has_crl_for(const struct tls_context *context, const mbedtls_x509_crt *certificate)
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

static bool load_trust(const struct tls_settings *settings, struct tls_context *context,
                       struct error *err)
{
    if (!settings->ca_file)
        return error_set(err, ERROR_CONFIG, "a CA file is needed to verify the peer");
    if (!load_certificates(settings->ca_file, &context->authorities, err))
        return false;
    if (settings->crl_file) {
        struct tls_file file;
        if (!file_read(settings->crl_file, false, &file, err))
            return false;
        int code = mbedtls_x509_crl_parse(&context->revoked, file.bytes, file.length);
        file_release(&file);
        if (code != 0 || context->revoked.version == 0)
            return parse_failed(err, settings->crl_file, "revocation list",
                                code ? code : MBEDTLS_ERR_X509_INVALID_FORMAT);
        if (!check_crls(settings->crl_file, context, err))
            return false;
        context->has_crl = true;
    }
    mbedtls_ssl_conf_ca_chain(&context->config, &context->authorities,
                              context->has_crl ? &context->revoked : NULL);
    return true;
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
    int endpoint = settings->side == TLS_SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
    if (mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        return error_set(err, ERROR_MEMORY, "out of memory for a TLS context");
    mbedtls_ssl_conf_rng(config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_cert_profile(config, &certificate_profile);
    mbedtls_ssl_conf_groups(config, groups);
    set_versions(settings->version, config);
    mbedtls_ssl_conf_tls13_key_exchange_modes(config,
                                              MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
    if (settings->side == TLS_CLIENT)
        mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    else
        mbedtls_ssl_conf_new_session_tickets(config, 0);
    return load_trust(settings, context, err) && load_own(settings, context, err) &&
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
    if (pthread_once(&crypto_once, start_crypto) != 0 || crypto_status != PSA_SUCCESS)
        return error_set(err, ERROR_TLS, "cannot start the cryptography library");
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
