/* SPDX-License-Identifier: Apache-2.0 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* the parts of a key pair */
#include "tls/key.h"

#include <mbedtls/asn1write.h>
#include <mbedtls/ecdh.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/psa_util.h>
#include <stdlib.h>
#include <string.h>

#include "tls/crypto.h"
#include "tls/digest.h"
#include "tls/key_internal.h"
#include "tls/key_kind.h"
#include "tls/pem.h"

/* Room for a private key in PKCS #8 (DER): 138 bytes on P-256, 185 on P-384. */
#define PRIVATE_DER_MAX 256

static const char out_of_memory[] = "out of memory for a key";

mbedtls_md_type_t key_hash(const mbedtls_pk_context *pk)
{
    return mbedtls_pk_ec(*pk)->grp.id == MBEDTLS_ECP_DP_SECP384R1 ? MBEDTLS_MD_SHA384
                                                                  : MBEDTLS_MD_SHA256;
}

bool key_check_kind(const mbedtls_pk_context *pk, struct error *err)
{
    mbedtls_pk_type_t type = mbedtls_pk_get_type(pk);
    if (type == MBEDTLS_PK_RSA)
        return error_set(err, ERROR_UNSUPPORTED,
                         "an RSA key of %zu bits is not accepted; " KEY_WANTED,
                         mbedtls_pk_get_bitlen(pk));
    if (type != MBEDTLS_PK_ECKEY)
        return error_set(err, ERROR_UNSUPPORTED,
                         "a key of another kind is not accepted; " KEY_WANTED);
    mbedtls_ecp_group_id curve = mbedtls_pk_ec(*pk)->grp.id;
    if (curve != MBEDTLS_ECP_DP_SECP256R1 && curve != MBEDTLS_ECP_DP_SECP384R1)
        return error_set(err, ERROR_UNSUPPORTED,
                         "an EC key on another curve is not accepted; " KEY_WANTED);
    return true;
}

/* Private keys. */

static bool key_allocate(struct tls_key **out, struct error *err)
{
    if (!crypto_start(err))
        return false;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return error_set(err, ERROR_MEMORY, out_of_memory);
    mbedtls_pk_init(&(*out)->pk);
    return true;
}

void tls_key_free(struct tls_key *key)
{
    if (!key)
        return;
    mbedtls_pk_free(&key->pk); /* zeroes the numbers */
    free(key);
}

static int generate(mbedtls_pk_context *pk)
{
    int code = mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (code != 0)
        return code;
    mbedtls_ecp_keypair *pair = mbedtls_pk_ec(*pk);
    code = mbedtls_ecp_group_load(&pair->grp, MBEDTLS_ECP_DP_SECP256R1);
    if (code != 0)
        return code;
    /* A pair for ECDH and one for ECDSA are the same thing, and only this goes to libcrypto. */
    return mbedtls_ecdh_gen_public(&pair->grp, &pair->d, &pair->Q, mbedtls_psa_get_random,
                                   MBEDTLS_PSA_RANDOM_STATE);
}

bool tls_key_generate(struct tls_key **out, struct error *err)
{
    struct tls_key *key = NULL;
    if (!key_allocate(&key, err))
        return false;
    int code = generate(&key->pk);
    if (code != 0) {
        tls_key_free(key);
        return crypto_failed(err, code, "cannot make a key");
    }
    *out = key;
    return true;
}

static bool parse_failed(int code, struct error *err)
{
    if (code == MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE || code == MBEDTLS_ERR_PK_UNKNOWN_PK_ALG ||
        code == MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE)
        return error_set(err, ERROR_UNSUPPORTED,
                         "a key of this kind or curve is not accepted; " KEY_WANTED);
    if (code == MBEDTLS_ERR_PK_ALLOC_FAILED || code == MBEDTLS_ERR_PEM_ALLOC_FAILED)
        return error_set(err, ERROR_MEMORY, out_of_memory);
    return error_set(err, ERROR_MALFORMED, "it holds no private key in PEM form that can be read");
}

/* RFC 5958, 3 and RFC 1421, 4.6.1.1. */
static bool is_encrypted(const char *text)
{
    return strstr(text, "-----BEGIN ENCRYPTED PRIVATE KEY-----") ||
           strstr(text, "Proc-Type: 4,ENCRYPTED");
}

static bool parse_text(const struct pem *text, struct tls_key *key, struct error *err)
{
    if (is_encrypted((const char *)text->bytes))
        return error_set(err, ERROR_UNSUPPORTED,
                         "the key is encrypted; give one without a passphrase, mode 600");
    /* Mbed TLS would try bare DER as well. */
    if (!strstr((const char *)text->bytes, "-----BEGIN "))
        return error_set(err, ERROR_MALFORMED, "it holds no private key in PEM form");
    int code = mbedtls_pk_parse_key(&key->pk, text->bytes, text->length + 1, NULL, 0,
                                    mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    if (code != 0)
        return parse_failed(code, err);
    if (!key_check_kind(&key->pk, err))
        return false;
    if (mbedtls_pk_check_pair(&key->pk, &key->pk, mbedtls_psa_get_random,
                              MBEDTLS_PSA_RANDOM_STATE) != 0)
        return error_set(err, ERROR_MALFORMED, "the two halves of the key do not fit together");
    return true;
}

static bool key_from_text(const struct pem *text, struct tls_key **out, struct error *err)
{
    struct tls_key *key = NULL;
    if (!key_allocate(&key, err))
        return false;
    if (!parse_text(text, key, err)) {
        tls_key_free(key);
        return false;
    }
    *out = key;
    return true;
}

bool tls_key_parse(const char *pem, size_t length, struct tls_key **out, struct error *err)
{
    struct pem text;
    bool done =
        pem_copy(pem, length, TLS_KEY_PEM_MAX, &text, err) && key_from_text(&text, out, err);
    pem_release(&text);
    return done || error_wrap(err, "the private key");
}

bool tls_key_read(const char *file, struct tls_key **out, struct error *err)
{
    struct pem text;
    if (!pem_read(file, PEM_FILE_SECRET_OWNED, TLS_KEY_PEM_MAX, &text, err))
        return false;
    bool done = key_from_text(&text, out, err);
    if (!done)
        error_wrap(err, "%s", file);
    pem_release(&text);
    return done;
}

/* Puts a header before the `length` bytes at *at; the new length, or what Mbed TLS returned. */
static int enclose(unsigned char **at, unsigned char *start, int length, unsigned char tag)
{
    if (length < 0)
        return length;
    int size = mbedtls_asn1_write_len(at, start, (size_t)length);
    if (size < 0)
        return size;
    int more = mbedtls_asn1_write_tag(at, start, tag);
    return more < 0 ? more : length + size + more;
}

static int write_algorithm(const mbedtls_pk_context *pk, unsigned char **at, unsigned char *start)
{
    const char *oid = NULL;
    size_t length = 0;
    int code = mbedtls_oid_get_oid_by_ec_grp(mbedtls_pk_ec(*pk)->grp.id, &oid, &length);
    if (code == 0)
        code = mbedtls_asn1_write_oid(at, start, oid, length);
    return code < 0 ? code
                    : mbedtls_asn1_write_algorithm_identifier(
                          at, start, MBEDTLS_OID_EC_ALG_UNRESTRICTED,
                          MBEDTLS_OID_SIZE(MBEDTLS_OID_EC_ALG_UNRESTRICTED), (size_t)code);
}

/* RFC 5208, 5: SEQUENCE { version 0, algorithm, OCTET STRING of an ECPrivateKey }, at the end. */
static int write_pkcs8(const mbedtls_pk_context *pk, unsigned char *out, size_t size)
{
    int length = mbedtls_pk_write_key_der(pk, out, size);
    unsigned char *at = out + size - (length > 0 ? length : 0);
    length = enclose(&at, out, length, MBEDTLS_ASN1_OCTET_STRING);
    if (length < 0)
        return length;
    int algorithm = write_algorithm(pk, &at, out);
    if (algorithm < 0)
        return algorithm;
    int version = mbedtls_asn1_write_int(&at, out, 0);
    if (version < 0)
        return version;
    return enclose(&at, out, length + algorithm + version,
                   MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
}

bool tls_key_write(const struct tls_key *key, struct buffer *pem, struct error *err)
{
    unsigned char der[PRIVATE_DER_MAX];
    int length = write_pkcs8(&key->pk, der, sizeof der);
    bool done = length > 0
                    ? pem_write("PRIVATE KEY", der + sizeof der - length, (size_t)length, pem, err)
                    : crypto_failed(err, length, "cannot write the private key");
    mbedtls_platform_zeroize(der, sizeof der);
    return done;
}

bool tls_key_public(const struct tls_key *key, struct buffer *pem, struct error *err)
{
    struct tls_public *public = NULL;
    if (!tls_public_of(key, &public, err))
        return false;
    bool done = tls_public_write(public, pem, err);
    tls_public_free(public);
    return done;
}

bool tls_key_sign(const struct tls_key *key, const uint8_t digest[TLS_DIGEST_SIZE],
                  struct buffer *signature, struct error *err)
{
    unsigned char *room = NULL;
    size_t length = 0;
    if (!buffer_reserve(signature, TLS_SIGNATURE_MAX, &room, err))
        return false;
    int code = mbedtls_pk_sign(key_pk(key), MBEDTLS_MD_SHA256, digest, TLS_DIGEST_SIZE, room,
                               TLS_SIGNATURE_MAX, &length, mbedtls_psa_get_random,
                               MBEDTLS_PSA_RANDOM_STATE);
    if (code != 0)
        return crypto_failed(err, code, "cannot sign");
    buffer_commit(signature, length);
    return true;
}

/* Public keys. */

void tls_public_free(struct tls_public *public)
{
    if (!public)
        return;
    mbedtls_pk_free(&public->pk);
    free(public);
}

/* Writes the key anew, so that equal keys have equal bytes: a point may have come compressed. */
static bool write_der(struct tls_public *public, struct error *err)
{
    int length = mbedtls_pk_write_pubkey_der(&public->pk, public->der, sizeof public->der);
    if (length <= 0)
        return crypto_failed(err, length, "cannot write the public key");
    public->length = (size_t)length;
    memmove(public->der, public->der + sizeof public->der - length, public->length);
    return true;
}

static bool read_der(const uint8_t *der, size_t length, struct tls_public *public,
                     struct error *err)
{
    /* Says what is wrong with the key, before Mbed TLS takes it to be one. */
    if (!key_kind_check(der, length, err))
        return false;
    unsigned char *at = (unsigned char *)(uintptr_t)der;
    int code = mbedtls_pk_parse_subpubkey(&at, der + length, &public->pk);
    if (code == MBEDTLS_ERR_PK_ALLOC_FAILED)
        return error_set(err, ERROR_MEMORY, out_of_memory);
    if (code != 0 || at != der + length)
        return error_set(err, ERROR_MALFORMED, "the key is no point of its curve");
    return key_check_kind(&public->pk, err) && write_der(public, err);
}

bool tls_public_from_der(const uint8_t *der, size_t length, struct tls_public **out,
                         struct error *err)
{
    if (!crypto_start(err))
        return false;
    struct tls_public *public = calloc(1, sizeof *public);
    if (!public)
        return error_set(err, ERROR_MEMORY, out_of_memory);
    mbedtls_pk_init(&public->pk);
    if (!read_der(der, length, public, err)) {
        tls_public_free(public);
        return false;
    }
    *out = public;
    return true;
}

bool tls_public_parse(const char *pem, size_t length, struct tls_public **out, struct error *err)
{
    static const char *const labels[] = {"PUBLIC KEY", NULL};
    struct pem der;
    bool done = pem_block(pem, length, TLS_KEY_PEM_MAX, labels, &der, err) &&
                tls_public_from_der(der.bytes, der.length, out, err);
    pem_release(&der);
    return done || error_wrap(err, "the public key");
}

bool tls_public_of(const struct tls_key *key, struct tls_public **out, struct error *err)
{
    unsigned char der[TLS_PUBLIC_DER_MAX];
    int length = mbedtls_pk_write_pubkey_der(&key->pk, der, sizeof der);
    if (length <= 0)
        return crypto_failed(err, length, "cannot write the public key");
    return tls_public_from_der(der + sizeof der - length, (size_t)length, out, err);
}

bool tls_public_write(const struct tls_public *public, struct buffer *pem, struct error *err)
{
    return pem_write("PUBLIC KEY", public->der, public->length, pem, err);
}

bool tls_public_verify(const struct tls_public *public, const uint8_t digest[TLS_DIGEST_SIZE],
                       const void *signature, size_t length, struct error *err)
{
    int code = length > TLS_SIGNATURE_MAX
                   ? MBEDTLS_ERR_ECP_VERIFY_FAILED
                   : mbedtls_pk_verify(key_public_pk(public), MBEDTLS_MD_SHA256, digest,
                                       TLS_DIGEST_SIZE, signature, length);
    if (code == MBEDTLS_ERR_ECP_ALLOC_FAILED)
        return error_set(err, ERROR_MEMORY, "out of memory to verify a signature");
    return code == 0 || error_set(err, ERROR_DENIED, "the signature does not verify");
}

void tls_public_pin(const struct tls_public *public, uint8_t pin[TLS_PIN_SIZE])
{
    digest_of(public->der, public->length, pin);
}

bool tls_public_equal(const struct tls_public *a, const struct tls_public *b)
{
    return a->length == b->length && memcmp(a->der, b->der, a->length) == 0;
}
