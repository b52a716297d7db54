/* SPDX-License-Identifier: Apache-2.0 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* use_application_keys() */
#include <arpa/inet.h>
#include <mbedtls/oid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tls/identity_internal.h"
#include "tls/stream_internal.h"
#include "tls/trust_internal.h"

/* RFC 8446, 4: content types 20 to 23 are all that a peer may begin a record with. */
#define RECORD_TYPE_FIRST 20
#define RECORD_TYPE_LAST  23

/* RFC 5280, 4.2.1.6: GeneralName's iPAddress is [7]. */
#define SAN_TAG_ADDRESS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

/* What Mbed TLS calls to send and receive. */

static int bio_send(void *context, const unsigned char *bytes, size_t length)
{
    struct stream_tls *tls = context;
    struct error err = {0};
    if (stream_emit(tls->stream, bytes, length, &err))
        return (int)length;
    stream_fail(tls->stream, &err);
    return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static bool looks_like_tls(struct stream_tls *tls, uint8_t first)
{
    if (!tls->saw_input)
        tls->plaintext = first < RECORD_TYPE_FIRST || first > RECORD_TYPE_LAST;
    tls->saw_input = true;
    return !tls->plaintext;
}

static int bio_receive(void *context, unsigned char *out, size_t size)
{
    struct stream_tls *tls = context;
    struct stream *stream = tls->stream;
    size_t kept = buffer_length(&stream->kept_input);
    const uint8_t *from = kept > 0 ? buffer_bytes(&stream->kept_input) : stream->input;
    size_t available = kept > 0 ? kept : stream->input_length;
    if (available == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (!looks_like_tls(tls, *from))
        return MBEDTLS_ERR_SSL_INVALID_RECORD;
    size_t taken = available < size ? available : size;
    memcpy(out, from, taken);
    if (kept > 0) {
        buffer_consume(&stream->kept_input, taken);
    } else {
        stream->input += taken;
        stream->input_length -= taken;
    }
    return (int)taken;
}

/* Verification, beyond what Mbed TLS checks by itself. */

static bool address_matches(const struct stream_tls *tls, const mbedtls_x509_crt *certificate)
{
    const mbedtls_x509_sequence *name = &certificate->subject_alt_names;
    for (; name && name->buf.p; name = name->next)
        if ((name->buf.tag & (MBEDTLS_ASN1_TAG_CLASS_MASK | MBEDTLS_ASN1_TAG_VALUE_MASK)) ==
                SAN_TAG_ADDRESS &&
            name->buf.len == tls->address_length &&
            memcmp(name->buf.p, tls->address, tls->address_length) == 0)
            return true;
    return false;
}

static uint32_t judge_leaf(const struct stream_tls *tls, const mbedtls_x509_crt *certificate)
{
    uint32_t flags = 0;
    if (tls->context->side == TLS_CLIENT) {
        if (tls->address_length > 0 && !address_matches(tls, certificate))
            flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
        return flags;
    }
    /* Mbed TLS takes a certificate without the extension to be good for everything. */
    if (!mbedtls_x509_crt_has_ext_type(certificate, MBEDTLS_X509_EXT_EXTENDED_KEY_USAGE))
        flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
    return flags;
}

static int keep_identity(struct stream_tls *tls, const mbedtls_x509_crt *certificate,
                         uint32_t *flags)
{
    struct identity identity;
    struct error err = {0};
    if (!identity_from_parsed(certificate, tls->context->side == TLS_CLIENT, &identity, &err)) {
        *flags |= MBEDTLS_X509_BADCERT_OTHER;
        stream_fail(tls->stream, &err);
        return 0;
    }
    free(tls->peer); /* a repeated handshake message; Mbed TLS will refuse it */
    tls->peer = identity_clone(&identity, &err);
    return tls->peer ? 0 : MBEDTLS_ERR_X509_ALLOC_FAILED;
}

/* Called for each certificate of the chain, the peer's own (depth 0) last. */
static int on_verify(void *context, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    struct stream_tls *tls = context;
    trust_forgive_clocks(certificate, flags);
    if (*flags & (MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE)) {
        tls->bad_time_us =
            identity_time_us(*flags & MBEDTLS_X509_BADCERT_EXPIRED ? &certificate->valid_to
                                                                   : &certificate->valid_from);
        tls->bad_time_is_ca = depth > 0;
    }
    *flags |= trust_judge(tls->context, certificate, depth);
    if (depth > 0)
        return 0;
    *flags |= judge_leaf(tls, certificate);
    return keep_identity(tls, certificate, flags);
}

bool stream_trusted_by(const struct stream *stream, const struct tls_context *context,
                       struct error *err)
{
    struct stream_tls *tls = stream->tls;
    if (!tls || !tls->verified)
        return error_set(err, ERROR_STATE, "no certificate was verified");
    if (!tls->peer)
        return error_set(err, ERROR_STATE, "the peer has no certificate");
    uint32_t flags = 0;
    /* Mbed TLS asks for pointers that are not const, and changes nothing behind them. */
    mbedtls_x509_crt *peer = (mbedtls_x509_crt *)(uintptr_t)mbedtls_ssl_get_peer_cert(&tls->ssl);
    if (peer && trust_verify_again(context, peer, &flags))
        return true;
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        tls->bad_time_us = tls->peer->not_after_us;
    stream_error_from_verdict(tls, flags, err);
    return false;
}

/* Life. */

static bool set_server_name(struct stream_tls *tls, const char *name, struct error *err)
{
    if (tls->context->side == TLS_SERVER)
        return name == NULL || error_set(err, ERROR_STATE, "a server expects no server name");
    if (!name || !*name)
        return error_set(err, ERROR_CONFIG, "a TLS client needs the name of its server");
    tls->server_name = strdup(name);
    if (!tls->server_name)
        return error_set(err, ERROR_MEMORY, "out of memory for a TLS connection");
    if (inet_pton(AF_INET, name, tls->address) == 1)
        tls->address_length = 4;
    else if (inet_pton(AF_INET6, name, tls->address) == 1)
        tls->address_length = 16;
    /*
     * RFC 6066, 3: an address is no server name, so none is sent, and judge_leaf() compares it with
     * the certificate. NULL says to Mbed TLS that this is meant.
     */
    if (mbedtls_ssl_set_hostname(&tls->ssl, tls->address_length > 0 ? NULL : name) != 0)
        return error_set(err, ERROR_CONFIG, "the server name %.64s is too long", name);
    return true;
}

void stream_tls_free(struct stream_tls *tls)
{
    if (!tls)
        return;
    mbedtls_ssl_free(&tls->ssl);
    tls_context_unref(tls->context);
    free(tls->server_name);
    free(tls->peer);
    free(tls);
}

bool stream_tls_create(struct stream *stream, struct tls_context *context, const char *server_name,
                       struct error *err)
{
    struct stream_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return error_set(err, ERROR_MEMORY, "out of memory for a TLS connection");
    tls->stream = stream;
    tls->context = tls_context_ref(context);
    mbedtls_ssl_init(&tls->ssl);
    bool done = true;
    if (mbedtls_ssl_setup(&tls->ssl, &context->config) != 0)
        done = error_set(err, ERROR_MEMORY, "out of memory for a TLS connection");
    if (!done || !set_server_name(tls, server_name, err)) {
        stream_tls_free(tls);
        return false;
    }
    mbedtls_ssl_set_verify(&tls->ssl, on_verify, tls);
    mbedtls_ssl_set_bio(&tls->ssl, tls, bio_send, bio_receive, NULL);
    stream->tls = tls;
    return true;
}

/* Going on. */

static bool tls_failed(struct stream *stream, int code)
{
    struct error err = {0};
    mbedtls_ssl_context *ssl = &stream->tls->ssl;
    /* Under TLS 1.2 Mbed TLS says nothing here; RFC 5246, 7.4.6, names this alert. Best effort. */
    if (code == MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE &&
        mbedtls_ssl_get_version_number(ssl) == MBEDTLS_SSL_VERSION_TLS1_2)
        (void)mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                             MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE);
    stream_error_from_tls(stream->tls, code, &err);
    stream_fail(stream, &err);
    return false;
}

/* A client that sent none, where the context does without. */
static bool came_without_certificate(const struct stream_tls *tls)
{
    return tls->context->optional && !tls->peer && !mbedtls_ssl_get_peer_cert(&tls->ssl) &&
           mbedtls_ssl_get_verify_result(&tls->ssl) == MBEDTLS_X509_BADCERT_MISSING;
}

static bool become_secured(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    (void)snprintf(tls->cipher, sizeof tls->cipher, "%s %s", mbedtls_ssl_get_version(&tls->ssl),
                   mbedtls_ssl_get_ciphersuite(&tls->ssl));
    /* Both sides always verify, so there is one; if not, nobody is better than anybody. */
    if (!came_without_certificate(tls) &&
        (!tls->peer || mbedtls_ssl_get_verify_result(&tls->ssl) != 0)) {
        stream_fail_with(stream, ERROR_TLS, "the peer was not verified");
        return false;
    }
    tls->verified = true;
    stream->events->secured(stream, stream->owner);
    return true;
}

/* What was written during the handshake comes before what `secured` makes the owner write. */
static bool send_early(struct stream *stream)
{
    struct buffer early = stream->early;
    buffer_init(&stream->early, STREAM_BACKLOG_MAX);
    struct error err = {0};
    bool sent = stream_tls_write(stream, buffer_bytes(&early), buffer_length(&early), &err);
    if (!sent)
        stream_fail(stream, &err);
    buffer_release(&early);
    return sent;
}

/*
 * RFC 8446, 4.4.4: what a server sends after its Finished is under the application keys. Mbed
 * TLS 3.6 keeps the handshake keys until the client has finished (its issue 10877), so the alert
 * that refuses a client's certificate could be read by no client. That alert is all that can be
 * sent meanwhile, and it is the last: so no record number is ever used twice when Mbed TLS starts
 * to count anew at the end of the handshake.
 */
static void use_application_keys(mbedtls_ssl_context *ssl)
{
    if (mbedtls_ssl_get_version_number(ssl) != MBEDTLS_SSL_VERSION_TLS1_3 ||
        !ssl->transform_application || ssl->transform_out == ssl->transform_application)
        return;
    ssl->transform_out = ssl->transform_application;
    memset(ssl->cur_out_ctr, 0, sizeof ssl->cur_out_ctr);
}

/*
 * Where a certificate is optional, Mbed TLS goes on with one that is bad: it is refused here, in
 * the step that has seen it, as Mbed TLS itself does where one is demanded.
 */
static int refuse_bad_certificate(struct stream_tls *tls)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(&tls->ssl);
    bool pending = flags == UINT32_MAX; /* become_secured() refuses it if it stays so */
    if (pending || flags == 0 || (flags == MBEDTLS_X509_BADCERT_MISSING && !tls->peer))
        return 0;
    (void)mbedtls_ssl_send_alert_message(&tls->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
                                         trust_alert(flags));
    return MBEDTLS_ERR_X509_CERT_VERIFY_FAILED;
}

static int do_handshake(struct stream_tls *tls)
{
    int code = 0;
    while (code == 0 && !mbedtls_ssl_is_handshake_over(&tls->ssl)) {
        code = mbedtls_ssl_handshake_step(&tls->ssl);
        if (code == 0 && tls->context->side == TLS_SERVER)
            use_application_keys(&tls->ssl);
        if (code == 0 && tls->context->optional)
            code = refuse_bad_certificate(tls);
    }
    return code;
}

static bool step_handshake(struct stream *stream)
{
    int code = do_handshake(stream->tls);
    if (code == MBEDTLS_ERR_SSL_WANT_READ)
        return false;
    if (code != 0)
        return tls_failed(stream, code);
    if (buffer_length(&stream->early) > 0 && !send_early(stream))
        return false;
    return become_secured(stream) && stream_can_read(stream);
}

/* Fills the loop's plaintext buffer, as far as the input goes. */
static size_t read_plain(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    uint8_t *plain = stream->shared->plain;
    size_t got = 0;
    while (got < STREAM_READ_CHUNK) {
        int code = mbedtls_ssl_read(&tls->ssl, plain + got, STREAM_READ_CHUNK - got);
        if (code > 0) {
            got += (size_t)code;
            continue;
        }
        if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            continue;
        if (code != MBEDTLS_ERR_SSL_WANT_READ)
            tls->result = code;
        break;
    }
    return got;
}

static bool deliver_plain(struct stream *stream, size_t length)
{
    size_t taken;
    bool go_on = stream_deliver(stream, stream->shared->plain, length, &taken);
    struct error err = {0};
    if (taken < length && stream->state == STREAM_OPEN &&
        !buffer_append(&stream->kept_plain, stream->shared->plain + taken, length - taken, &err)) {
        stream_fail(stream, &err);
        return false;
    }
    return go_on;
}

static bool finish_input(struct stream *stream)
{
    int code = stream->tls->result;
    if (code != MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return tls_failed(stream, code);
    stream->tls->result = 0;
    if (!stream->peer_ended) {
        stream->peer_ended = true;
        stream->events->ended(stream, stream->owner);
    }
    return false;
}

bool stream_tls_step(struct stream *stream)
{
    if (!stream->tls->verified)
        return step_handshake(stream);
    if (stream->peer_ended) { /* RFC 8446, 6.1: data after a close_notify is ignored */
        stream->input_length = 0;
        return false;
    }
    size_t got = stream->tls->result == 0 ? read_plain(stream) : 0;
    if (got > 0)
        return deliver_plain(stream, got);
    return stream->tls->result != 0 && finish_input(stream);
}

bool stream_tls_write(struct stream *stream, const uint8_t *bytes, size_t length, struct error *err)
{
    while (length > 0) {
        int code = mbedtls_ssl_write(&stream->tls->ssl, bytes, length);
        if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            continue;
        if (code <= 0) {
            /* bio_send() has said why already when it was the queue. */
            if (stream->failing && err)
                *err = stream->error;
            else
                stream_error_from_tls(stream->tls, code, err);
            return false;
        }
        bytes += code;
        length -= (size_t)code;
    }
    return true;
}

void stream_tls_close_notify(struct stream *stream)
{
    /* Best effort: the connection goes either way. */
    if (stream->tls->verified)
        (void)mbedtls_ssl_close_notify(&stream->tls->ssl);
}
