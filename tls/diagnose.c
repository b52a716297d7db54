/* SPDX-License-Identifier: Apache-2.0 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* in_msg: the alert; session_negotiate: a refused peer */
#include "tls/diagnose.h"

#include <arpa/inet.h>
#include <mbedtls/oid.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "tls/diagnose_internal.h"
#include "tls/stream_internal.h"

/* RFC 5280, 4.2.1.6: GeneralName's dNSName is [2], its iPAddress [7]. */
#define SAN_DNS     (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2)
#define SAN_ADDRESS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

#define ALERT_CERTIFICATE_REQUIRED 116 /* RFC 8446, 6.2 */

/* --- kinds of failure --- */

static enum diagnosis from_verdict(uint32_t flags)
{
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        return DIAGNOSIS_PEER_UNTRUSTED;
    if (flags & (MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE))
        return DIAGNOSIS_PEER_TIME;
    return flags & MBEDTLS_X509_BADCERT_CN_MISMATCH ? DIAGNOSIS_PEER_NAME
                                                    : DIAGNOSIS_PEER_CERTIFICATE;
}

static enum diagnosis from_alert(unsigned alert)
{
    switch (alert) {
    case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
        return DIAGNOSIS_OWN_EXPIRED;
    case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
        return DIAGNOSIS_OWN_BAD;
    case MBEDTLS_SSL_ALERT_MSG_NO_CERT:
    case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
    case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
    case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
    case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
    case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED:
    case ALERT_CERTIFICATE_REQUIRED:
        return DIAGNOSIS_OWN_CERTIFICATE;
    default:
        return DIAGNOSIS_TLS;
    }
}

static enum diagnosis from_tls(const struct stream_tls *tls)
{
    const mbedtls_ssl_context *ssl = &tls->ssl;
    uint32_t flags = mbedtls_ssl_get_verify_result(ssl);
    if (flags != 0 && flags != UINT32_MAX)
        return from_verdict(flags);
    if (ssl->in_msgtype == MBEDTLS_SSL_MSG_ALERT && ssl->in_msg &&
        ssl->in_msg[0] == MBEDTLS_SSL_ALERT_LEVEL_FATAL)
        return from_alert(ssl->in_msg[1]);
    return DIAGNOSIS_NONE;
}

enum diagnosis diagnose_stream(const struct stream *stream)
{
    if (stream->connect_error != 0)
        return stream->connect_error == UV_ECONNREFUSED ? DIAGNOSIS_REFUSED : DIAGNOSIS_UNREACHABLE;
    return stream->tls ? from_tls(stream->tls) : DIAGNOSIS_NONE;
}

/* --- names --- */

/* Appends printable UTF-8 as it is and all else as \xHH, as X509_NAME_oneline() writes it. */
static void add(char out[DIAGNOSE_TEXT_SIZE], const void *bytes, size_t length, bool ascii)
{
    static const char more[] = "…";
    const uint8_t *at = bytes;
    size_t used = strlen(out);
    for (size_t i = 0; i < length;) {
        size_t size = ascii || at[i] < ' ' ? 0 : utf8_sequence(at + i, length - i);
        if (ascii && at[i] >= ' ' && at[i] <= '~')
            size = 1;
        if (used + 4 + sizeof more > DIAGNOSE_TEXT_SIZE) {
            memcpy(out + used, more, sizeof more);
            return;
        }
        if (size > 0)
            memcpy(out + used, at + i, size);
        else
            (void)snprintf(out + used, 5, "\\x%02X", at[i]);
        used += size > 0 ? size : 4;
        out[used] = '\0';
        i += size > 0 ? size : 1;
    }
}

static void add_text(char out[DIAGNOSE_TEXT_SIZE], const char *text)
{
    add(out, text, strlen(text), false);
}

static void add_name(char out[DIAGNOSE_TEXT_SIZE], const char *kind, const void *name,
                     size_t length)
{
    if (out[0])
        add_text(out, ", ");
    add_text(out, kind);
    add(out, name, length, true);
}

static const mbedtls_x509_crt *presented(const struct stream *stream)
{
    if (!stream->tls)
        return NULL;
    const mbedtls_ssl_context *ssl = &stream->tls->ssl;
    const mbedtls_x509_crt *verified = mbedtls_ssl_get_peer_cert(ssl);
    if (verified)
        return verified;
    return ssl->session_negotiate ? ssl->session_negotiate->peer_cert : NULL;
}

void diagnose_peer_names(const struct stream *stream, char out[DIAGNOSE_TEXT_SIZE])
{
    const mbedtls_x509_crt *certificate = presented(stream);
    out[0] = '\0';
    const mbedtls_x509_sequence *name = certificate ? &certificate->subject_alt_names : NULL;
    for (; name && name->buf.p; name = name->next) {
        char address[INET6_ADDRSTRLEN];
        int tag = name->buf.tag & (MBEDTLS_ASN1_TAG_CLASS_MASK | MBEDTLS_ASN1_TAG_VALUE_MASK);
        int family = name->buf.len == 4 ? AF_INET : AF_INET6;
        if (tag == SAN_DNS)
            add_name(out, "DNS:", name->buf.p, name->buf.len);
        else if (tag == SAN_ADDRESS && (name->buf.len == 4 || name->buf.len == 16) &&
                 inet_ntop(family, name->buf.p, address, sizeof address))
            add_name(out, "IP:", address, strlen(address));
    }
}

void diagnose_one_line(const mbedtls_x509_name *name, char out[DIAGNOSE_TEXT_SIZE])
{
    out[0] = '\0';
    for (; name && name->oid.p; name = name->next) {
        const char *type = NULL;
        char dotted[64];
        if (mbedtls_oid_get_attr_short_name(&name->oid, &type) != 0 || !type)
            type = mbedtls_oid_get_numeric_string(dotted, sizeof dotted, &name->oid) > 0 ? dotted
                                                                                         : "?";
        add_text(out, "/");
        add_text(out, type);
        add_text(out, "=");
        add(out, name->val.p, name->val.len, true);
    }
}

void diagnose_own_subject(const struct tls_context *context, char out[DIAGNOSE_TEXT_SIZE])
{
    diagnose_one_line(&context->certificate.subject, out);
}

void diagnose_own_issuer(const struct tls_context *context, char out[DIAGNOSE_TEXT_SIZE])
{
    diagnose_one_line(&context->certificate.issuer, out);
}
