/* SPDX-License-Identifier: Apache-2.0 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* in_msg: the alert that was received */
#include <ctype.h>
#include <mbedtls/error.h>
#include <string.h>

#include "base/clock.h"
#include "tls/stream_internal.h"

/* RFC 8446, 6: the alerts that say something about us, in words that say what to do about it. */
static const struct {
    uint8_t alert;
    const char *words;
} alert_words[] = {
    {MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED, "refused our certificate: certificate expired"},
    {MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED, "refused our certificate: certificate revoked"},
    {MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA, "refused our certificate: signed by an unknown CA"},
    {MBEDTLS_SSL_ALERT_MSG_BAD_CERT, "refused our certificate: bad certificate"},
    {MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT,
     "refused our certificate: not for this use (check its extended key usage)"},
    {MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN, "refused our certificate"},
    {MBEDTLS_SSL_ALERT_MSG_NO_CERT, "demands a certificate and we sent none"},
    {116 /* certificate_required */, "demands a certificate and we sent none"},
    {MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED, "refused our certificate: access denied"},
    {MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE,
     "refused the handshake: no cipher suite, curve or certificate that both sides accept"},
    {MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION, "refused the TLS version"},
    {MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME, "does not know the server name we asked for"},
    {MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL, "speaks no ALPN protocol that we offered"},
    {MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR, "refused the handshake: a signature did not verify"},
    {MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY, "refused the handshake: insufficient security"},
    {MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE, "ended TLS: unexpected message"},
    {MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC, "ended TLS: a record failed its integrity check"},
    {MBEDTLS_SSL_ALERT_MSG_RECORD_OVERFLOW, "ended TLS: a record was too long"},
    {MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR, "ended TLS: a message could not be decoded"},
    {MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER, "ended TLS: illegal parameter"},
    {MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR, "ended TLS: internal error of the peer"},
    {MBEDTLS_SSL_ALERT_MSG_USER_CANCELED, "ended TLS: canceled"},
};

static void describe_alert(unsigned alert, struct error *err)
{
    for (size_t i = 0; i < sizeof alert_words / sizeof *alert_words; i++)
        if (alert_words[i].alert == alert) {
            error_set(err, ERROR_TLS, "the peer %s", alert_words[i].words);
            return;
        }
    error_set(err, ERROR_TLS, "the peer ended TLS with alert %u", alert);
}

/* Most telling first: a foreign CA's word about dates and names is worth nothing. */
static const struct {
    uint32_t flags;
    const char *words;
} verdict_words[] = {
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "certificate is signed by an unknown CA"},
    {MBEDTLS_X509_BADCERT_REVOKED, "certificate is revoked"},
    {MBEDTLS_X509_BADCRL_EXPIRED, "certificate cannot be verified: the revocation list (CRL) has "
                                  "expired; install a current one"},
    {MBEDTLS_X509_BADCRL_FUTURE,
     "certificate cannot be verified: the revocation list (CRL) is not yet valid"},
    {MBEDTLS_X509_BADCRL_NOT_TRUSTED | MBEDTLS_X509_BADCRL_BAD_MD | MBEDTLS_X509_BADCRL_BAD_PK |
         MBEDTLS_X509_BADCRL_BAD_KEY,
     "certificate cannot be verified: there is no trusted revocation list (CRL) of its CA"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE, "certificate's key usage does not allow TLS"},
    {MBEDTLS_X509_BADCERT_BAD_MD, "certificate is signed with a hash that is too weak"},
    {MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
     "certificate's key is of a kind or size that is not accepted"},
};

static bool describe_time(const struct stream_tls *tls, uint32_t flags, struct error *err)
{
    char time[CLOCK_TIME_SIZE];
    const char *whose = tls->bad_time_is_ca ? "CA certificate" : "certificate";
    clock_format(tls->bad_time_us, time);
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        error_set(err, ERROR_TLS, "%s expired on %.10s", whose, time);
    else if (flags & MBEDTLS_X509_BADCERT_FUTURE)
        error_set(err, ERROR_TLS, "%s is not yet valid (valid from %.10s %.8s UTC)", whose, time,
                  time + 11);
    else
        return false;
    return true;
}

static bool describe_use(const struct stream_tls *tls, uint32_t flags, struct error *err)
{
    bool server = tls->context->side == TLS_SERVER;
    if (flags & MBEDTLS_X509_BADCERT_MISSING)
        error_set(err, ERROR_TLS, "no %s certificate was sent", server ? "client" : "server");
    else if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
        error_set(err, ERROR_TLS, "the server's certificate is not for %s", tls->server_name);
    else if (flags & MBEDTLS_X509_BADCERT_EXT_KEY_USAGE)
        error_set(err, ERROR_TLS, "certificate is not for %s authentication",
                  server ? "client" : "server");
    else
        return false;
    return true;
}

void stream_error_from_verdict(const struct stream_tls *tls, uint32_t flags, struct error *err)
{
    for (size_t i = 0; i < 2; i++)
        if (flags & verdict_words[i].flags) {
            error_set(err, ERROR_TLS, "%s", verdict_words[i].words);
            return;
        }
    if (describe_time(tls, flags, err) || describe_use(tls, flags, err))
        return;
    for (size_t i = 2; i < sizeof verdict_words / sizeof *verdict_words; i++)
        if (flags & verdict_words[i].flags) {
            error_set(err, ERROR_TLS, "%s", verdict_words[i].words);
            return;
        }
    error_set(err, ERROR_TLS, "certificate was refused (flags 0x%x)", (unsigned)flags);
}

static const struct {
    int code;
    enum error_code kind;
    const char *words;
} failure_words[] = {
    {MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE, ERROR_TLS, "no client certificate was sent"},
    {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, ERROR_TLS,
     "the peer speaks no TLS version that is allowed here (1.2 and 1.3)"},
    {MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL, ERROR_TLS, "no ALPN protocol in common"},
    {MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, ERROR_TLS,
     "no cipher suite, curve or signature algorithm in common"},
    {MBEDTLS_ERR_SSL_INVALID_MAC, ERROR_MALFORMED, "a TLS record failed its integrity check"},
    {MBEDTLS_ERR_SSL_INVALID_RECORD, ERROR_MALFORMED, "the peer sent a malformed TLS record"},
    /* So Mbed TLS calls a record longer than its buffer. */
    {MBEDTLS_ERR_SSL_BAD_INPUT_DATA, ERROR_MALFORMED,
     "the peer sent a TLS record that is too long"},
    {MBEDTLS_ERR_SSL_DECODE_ERROR, ERROR_MALFORMED, "the peer sent a malformed TLS message"},
    {MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER, ERROR_MALFORMED,
     "the peer sent a TLS message with an illegal parameter"},
    {MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, ERROR_MALFORMED,
     "the peer sent a TLS message that is out of place"},
    {MBEDTLS_ERR_SSL_UNEXPECTED_RECORD, ERROR_MALFORMED,
     "the peer sent a TLS record that is out of place"},
    {MBEDTLS_ERR_SSL_ALLOC_FAILED, ERROR_MEMORY, "out of memory for a TLS connection"},
    {MBEDTLS_ERR_X509_ALLOC_FAILED, ERROR_MEMORY, "out of memory for a TLS connection"},
};

static void describe_failure(int code, struct error *err)
{
    for (size_t i = 0; i < sizeof failure_words / sizeof *failure_words; i++)
        if (failure_words[i].code == code) {
            error_set(err, failure_words[i].kind, "%s", failure_words[i].words);
            return;
        }
    char words[160];
    mbedtls_strerror(code, words, sizeof words);
    error_set(err, ERROR_TLS, "TLS failed: %s", words);
}

void stream_error_from_tls(const struct stream_tls *tls, int code, struct error *err)
{
    const mbedtls_ssl_context *ssl = &tls->ssl;
    uint32_t flags = mbedtls_ssl_get_verify_result(ssl);
    if (tls->plaintext)
        error_set(err, ERROR_MALFORMED, "the peer sent plaintext where TLS is due");
    else if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE && ssl->in_msg)
        describe_alert(ssl->in_msg[1], err);
    else if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || code == MBEDTLS_ERR_SSL_BAD_CERTIFICATE)
        stream_error_from_verdict(tls, flags == UINT32_MAX ? 0 : flags, err);
    else
        describe_failure(code, err);
}

bool stream_error_is_unknown_ca(const struct error *err)
{
    return err->code == ERROR_TLS && strstr(err->message, "certificate is signed by an unknown CA");
}

bool stream_error_is_certificate(const struct error *err)
{
    return err->code == ERROR_TLS && (strstr(err->message, "peer refused our certificate") ||
                                      strstr(err->message, "peer demands a certificate"));
}
