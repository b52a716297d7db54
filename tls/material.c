/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/material_internal.h"

#include <mbedtls/error.h>
#include <mbedtls/pem.h>
#include <mbedtls/psa_util.h>
#include <stdio.h>
#include <string.h>

#include "tls/pem.h"

static struct material make(const char *file, const char *pem, const char *what, const char *giver)
{
    struct material source = {.file = file, .pem = pem};
    if (!file)
        (void)snprintf(source.given, sizeof source.given, "the %s given by %.64s", what,
                       giver ? giver : "the caller");
    return source;
}

struct material material_certificate(const struct tls_settings *settings)
{
    return make(settings->cert_file, settings->cert_pem, "certificate", settings->pem_giver);
}

struct material material_key(const struct tls_settings *settings)
{
    return make(settings->key_file, settings->key_pem, "private key", settings->pem_giver);
}

struct material material_authorities(const struct tls_settings *settings)
{
    return make(settings->ca_file, settings->ca_pem, "CA certificates", settings->pem_giver);
}

bool material_is_given(const struct material *source)
{
    return source->file || source->pem;
}

const char *material_name(const struct material *source)
{
    return source->file ? source->file : source->given;
}

static bool load(const struct material *source, enum pem_file kind, struct pem *out,
                 struct error *err)
{
    if (!source->pem)
        return pem_read(source->file, kind, TLS_FILE_MAX, out, err);
    return pem_copy(source->pem, strlen(source->pem), TLS_FILE_MAX, out, err) ||
           error_wrap(err, "%s", material_name(source));
}

/* `code` as Mbed TLS gives it: negative, or the number of certificates that did not parse. */
static bool parse_failed(struct error *err, const char *name, const char *what, int code)
{
    if (code > 0)
        return error_set(err, ERROR_CONFIG, "%s: %d of its certificates cannot be read", name,
                         code);
    if (code == MBEDTLS_ERR_PEM_NO_HEADER_FOOTER_PRESENT ||
        code == MBEDTLS_ERR_X509_INVALID_FORMAT || code == MBEDTLS_ERR_PK_KEY_INVALID_FORMAT)
        return error_set(err, ERROR_CONFIG, "%s: holds no %s in PEM form", name, what);
    if (code == MBEDTLS_ERR_PK_PASSWORD_REQUIRED)
        return error_set(err, ERROR_CONFIG,
                         "%s: the key is encrypted; give one without a passphrase, mode 600", name);
    char words[160];
    mbedtls_strerror(code, words, sizeof words);
    return error_set(err, ERROR_CONFIG, "%s: cannot read the %s: %s", name, what, words);
}

bool material_certificates(const struct material *source, mbedtls_x509_crt *out, struct error *err)
{
    struct pem text;
    if (!load(source, PEM_FILE, &text, err))
        return false;
    int code = mbedtls_x509_crt_parse(out, text.bytes, text.length + 1);
    pem_release(&text);
    return code == 0 || parse_failed(err, material_name(source), "certificate", code);
}

bool material_private_key(const struct material *source, mbedtls_pk_context *out, struct error *err)
{
    struct pem text;
    if (!load(source, PEM_FILE_SECRET, &text, err))
        return false;
    int code = mbedtls_pk_parse_key(out, text.bytes, text.length + 1, NULL, 0,
                                    mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    pem_release(&text);
    return code == 0 || parse_failed(err, material_name(source), "private key", code);
}

bool material_crls(const char *file, mbedtls_x509_crl *out, struct error *err)
{
    struct pem text;
    if (!pem_read(file, PEM_FILE, TLS_FILE_MAX, &text, err))
        return false;
    int code = mbedtls_x509_crl_parse(out, text.bytes, text.length + 1);
    pem_release(&text);
    if (code == 0 && out->version == 0)
        code = MBEDTLS_ERR_X509_INVALID_FORMAT;
    return code == 0 || parse_failed(err, file, "revocation list", code);
}
