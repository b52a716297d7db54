/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/request.h"

#include <mbedtls/asn1.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_csr.h>
#include <stdlib.h>
#include <string.h>

#include "tls/crypto.h"
#include "tls/key_internal.h"
#include "tls/pem.h"

#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)

/* Room for a request of ours in DER: 238 bytes on P-384. */
#define REQUEST_DER_MAX 512

#define OID_TEXT_MAX 128

struct tls_request {
    struct pem der;
    struct tls_public *public;
};

/* What is needed of a request: pointers into its DER form. */
struct parts {
    const uint8_t *signed_bytes; /* the CertificationRequestInfo, its header included */
    size_t signed_length;
    const uint8_t *key; /* SubjectPublicKeyInfo */
    size_t key_length;
    mbedtls_asn1_buf algorithm; /* of the signature: an OID */
    bool parameters;            /* ... that has some */
    const uint8_t *signature;
    size_t signature_length;
};

/* RFC 5758, 3.2. The first three are accepted. */
static const struct {
    const char *oid;
    const char *name;
    mbedtls_md_type_t hash;
} signatures[] = {
    {"1.2.840.10045.4.3.2", "ECDSA with SHA-256", MBEDTLS_MD_SHA256},
    {"1.2.840.10045.4.3.3", "ECDSA with SHA-384", MBEDTLS_MD_SHA384},
    {"1.2.840.10045.4.3.4", "ECDSA with SHA-512", MBEDTLS_MD_SHA512},
    {"1.2.840.10045.4.3.1", "ECDSA with SHA-224", MBEDTLS_MD_NONE},
    {"1.2.840.10045.4.1", "ECDSA with SHA-1", MBEDTLS_MD_NONE},
};

/* Making one. */

bool tls_request_create(const struct tls_key *key, struct buffer *pem, struct error *err)
{
    unsigned char der[REQUEST_DER_MAX];
    mbedtls_x509write_csr request;
    mbedtls_x509write_csr_init(&request);
    mbedtls_x509write_csr_set_md_alg(&request, key_hash(&key->pk));
    mbedtls_x509write_csr_set_key(&request, key_pk(key));
    int length = mbedtls_x509write_csr_der(&request, der, sizeof der, mbedtls_psa_get_random,
                                           MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_x509write_csr_free(&request);
    if (length <= 0)
        return crypto_failed(err, length, "cannot make a certificate request");
    return pem_write("CERTIFICATE REQUEST", der + sizeof der - length, (size_t)length, pem, err);
}

/* Reading one. */

static bool malformed(struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "it is no certificate request in DER form");
}

/* Steps over one value with this tag; *value and *size are its contents. */
static bool take(unsigned char **at, const unsigned char *end, int tag, unsigned char **value,
                 size_t *size)
{
    if (mbedtls_asn1_get_tag(at, end, size, tag) != 0)
        return false;
    *value = *at;
    *at += *size;
    return true;
}

/*
 * RFC 2986, 4.1: CertificationRequestInfo ::= SEQUENCE { version INTEGER { v1(0) }, subject Name,
 * subjectPKInfo SubjectPublicKeyInfo, attributes [0] Attributes }.
 */
static bool split_info(unsigned char *at, const unsigned char *end, struct parts *parts)
{
    int version = -1;
    size_t size;
    unsigned char *value;
    if (mbedtls_asn1_get_int(&at, end, &version) != 0 || version != 0 ||
        !take(&at, end, SEQUENCE, &value, &size))
        return false;
    parts->key = at;
    if (!take(&at, end, SEQUENCE, &value, &size))
        return false;
    parts->key_length = (size_t)(at - parts->key);
    return take(&at, end, MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED, &value,
                &size) &&
           at == end;
}

static bool split_algorithm(unsigned char *at, const unsigned char *end, struct parts *parts)
{
    unsigned char *value;
    if (!take(&at, end, MBEDTLS_ASN1_OID, &value, &parts->algorithm.len))
        return false;
    parts->algorithm.p = value;
    parts->parameters = at != end;
    return true;
}

/* RFC 2986, 4.2: CertificationRequest ::= SEQUENCE { info, algorithm, signature BIT STRING }. */
static bool split(const struct pem *der, struct parts *parts)
{
    unsigned char *at = der->bytes;
    unsigned char *end = at + der->length;
    unsigned char *value;
    size_t size;
    if (!take(&at, end, SEQUENCE, &value, &size) || at != end)
        return false;
    at = value;
    parts->signed_bytes = at;
    if (!take(&at, end, SEQUENCE, &value, &size) || !split_info(value, value + size, parts))
        return false;
    parts->signed_length = (size_t)(at - parts->signed_bytes);
    if (!take(&at, end, SEQUENCE, &value, &size) || !split_algorithm(value, value + size, parts))
        return false;
    if (mbedtls_asn1_get_bitstring_null(&at, end, &parts->signature_length) != 0)
        return false;
    parts->signature = at;
    return at + parts->signature_length == end;
}

static bool choose_hash(const mbedtls_asn1_buf *algorithm, mbedtls_md_type_t *hash,
                        struct error *err)
{
    char text[OID_TEXT_MAX];
    if (mbedtls_oid_get_numeric_string(text, sizeof text, algorithm) <= 0)
        return malformed(err);
    const char *name = text;
    *hash = MBEDTLS_MD_NONE;
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (strcmp(signatures[i].oid, text) == 0) {
            name = signatures[i].name;
            *hash = signatures[i].hash;
        }
    return *hash != MBEDTLS_MD_NONE ||
           error_set(err, ERROR_UNSUPPORTED,
                     "its signature is %s; ECDSA with SHA-256, SHA-384 or SHA-512 is needed", name);
}

static bool verify(const struct tls_public *public, const struct parts *parts, struct error *err)
{
    mbedtls_md_type_t hash;
    unsigned char digest[MBEDTLS_MD_MAX_SIZE];
    if (!choose_hash(&parts->algorithm, &hash, err))
        return false;
    if (parts->parameters) /* RFC 5758, 3.2: ECDSA's algorithms have none */
        return malformed(err);
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(hash);
    int code = mbedtls_md(info, parts->signed_bytes, parts->signed_length, digest);
    if (code == 0)
        code = mbedtls_pk_verify(key_public_pk(public), hash, digest, mbedtls_md_get_size(info),
                                 parts->signature, parts->signature_length);
    if (code == MBEDTLS_ERR_ECP_ALLOC_FAILED)
        return error_set(err, ERROR_MEMORY, "out of memory to verify it");
    return code == 0 || error_set(err, ERROR_DENIED, "it is not signed by the key that it is for");
}

static bool read_request(const char *pem, size_t length, struct tls_request *request,
                         struct error *err)
{
    static const char *const labels[] = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", NULL};
    struct parts parts = {0};
    if (!pem_block(pem, length, TLS_REQUEST_PEM_MAX, labels, &request->der, err))
        return false;
    if (!split(&request->der, &parts))
        return malformed(err);
    return tls_public_from_der(parts.key, parts.key_length, &request->public, err) &&
           verify(request->public, &parts, err);
}

bool tls_request_parse(const char *pem, size_t length, struct tls_request **out, struct error *err)
{
    struct tls_request *request = calloc(1, sizeof *request);
    if (!request)
        return error_set(err, ERROR_MEMORY, "out of memory for a certificate request");
    if (!read_request(pem, length, request, err)) {
        tls_request_free(request);
        return error_wrap(err, "the certificate request");
    }
    *out = request;
    return true;
}

const struct tls_public *tls_request_public(const struct tls_request *request)
{
    return request->public;
}

void tls_request_der(const struct tls_request *request, const uint8_t **bytes, size_t *length)
{
    *bytes = request->der.bytes;
    *length = request->der.length;
}

void tls_request_free(struct tls_request *request)
{
    if (!request)
        return;
    tls_public_free(request->public);
    pem_release(&request->der);
    free(request);
}
