/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/proof.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "tls/identity.h"
#include "tls/stream_internal.h"
#include "tls/trust_internal.h"

struct proof {
    _Atomic unsigned references;
    int64_t not_before_us;
    int64_t not_after_us;
    size_t length;
    uint8_t chain[];
};

bool proof_create(struct byte_view chain, int64_t not_before_us, int64_t not_after_us,
                  struct proof **out, struct error *err)
{
    if (chain.length > PROOF_CHAIN_MAX)
        return error_set(err, ERROR_LIMIT, "the certificate chain is longer than %d bytes",
                         PROOF_CHAIN_MAX);
    struct proof *proof = malloc(sizeof *proof + chain.length);
    if (!proof)
        return error_set(err, ERROR_MEMORY, "out of memory");
    atomic_init(&proof->references, 1);
    proof->not_before_us = not_before_us;
    proof->not_after_us = not_after_us;
    proof->length = chain.length;
    if (chain.length > 0)
        memcpy(proof->chain, chain.data, chain.length);
    *out = proof;
    return true;
}

bool proof_of_stream(const struct stream *stream, struct proof **out, struct error *err)
{
    const struct stream_tls *tls = stream->tls;
    const mbedtls_x509_crt *peer =
        tls && tls->verified && tls->peer ? mbedtls_ssl_get_peer_cert(&tls->ssl) : NULL;
    if (!peer)
        return error_set(err, ERROR_STATE, "the peer has shown no certificate");
    struct buffer chain;
    bool good = true;
    buffer_init(&chain, PROOF_CHAIN_MAX);
    for (const mbedtls_x509_crt *each = peer; good && each; each = each->next)
        good = buffer_append(&chain, each->raw.p, each->raw.len, err);
    good = good && proof_create(byte_view(buffer_bytes(&chain), buffer_length(&chain)),
                                tls->peer->not_before_us, tls->peer->not_after_us, out, err);
    buffer_release(&chain);
    return good;
}

struct proof *proof_ref(struct proof *proof)
{
    if (proof)
        atomic_fetch_add_explicit(&proof->references, 1, memory_order_relaxed);
    return proof;
}

void proof_unref(struct proof *proof)
{
    if (proof && atomic_fetch_sub_explicit(&proof->references, 1, memory_order_acq_rel) == 1)
        free(proof);
}

int64_t proof_not_before_us(const struct proof *proof)
{
    return proof->not_before_us;
}

int64_t proof_not_after_us(const struct proof *proof)
{
    return proof->not_after_us;
}

/* Parsed anew each time: what Mbed TLS keeps inside of a certificate is not for several threads. */
static bool parse(const struct proof *proof, mbedtls_x509_crt *chain)
{
    size_t offset = 0;
    mbedtls_x509_crt *last = chain;
    while (offset < proof->length) {
        if (mbedtls_x509_crt_parse_der(chain, proof->chain + offset, proof->length - offset) != 0)
            return false;
        while (last->next)
            last = last->next;
        offset += last->raw.len;
    }
    return offset > 0;
}

bool proof_trusted_by(const struct proof *proof, const struct tls_context *context,
                      struct error *err)
{
    mbedtls_x509_crt chain;
    uint32_t flags = 0;
    mbedtls_x509_crt_init(&chain);
    bool parsed = parse(proof, &chain);
    bool trusted = parsed && trust_verify_again(context, &chain, &flags);
    mbedtls_x509_crt_free(&chain);
    if (trusted)
        return true;
    if (!parsed)
        return error_set(err, ERROR_TLS, "the renewed certificate cannot be read again");
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        return error_set(err, ERROR_TLS, "the renewed certificate is signed by an unknown CA");
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        return error_set(err, ERROR_TLS, "the renewed certificate has expired");
    return error_set(err, ERROR_TLS, "the renewed certificate is not accepted (flags 0x%x)",
                     (unsigned)flags);
}
