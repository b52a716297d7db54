/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/key_kind.h"

#include <mbedtls/asn1.h>
#include <mbedtls/oid.h>
#include <string.h>

#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)

#define OID_TEXT_MAX 128

/* RFC 3279, 2.3; RFC 5480, 2.1; RFC 8410, 3. */
static const struct {
    const char *oid;
    const char *words;
} algorithms[] = {
    {"1.2.840.113549.1.1.1", "an RSA key"}, {"1.2.840.113549.1.1.10", "an RSA key for PSS"},
    {"1.2.840.10040.4.1", "a DSA key"},     {"1.2.840.10046.2.1", "a Diffie-Hellman key"},
    {"1.3.101.110", "an X25519 key"},       {"1.3.101.111", "an X448 key"},
    {"1.3.101.112", "an Ed25519 key"},      {"1.3.101.113", "an Ed448 key"},
};

/* RFC 5480, 2.1.1.1; RFC 5639, 4.1; SEC 2. */
static const struct {
    const char *oid;
    const char *name;
    bool wanted;
} curves[] = {
    {"1.2.840.10045.3.1.7", "P-256", true},
    {"1.3.132.0.34", "P-384", true},
    {"1.3.132.0.35", "P-521", false},
    {"1.3.132.0.33", "P-224", false},
    {"1.2.840.10045.3.1.1", "P-192", false},
    {"1.3.132.0.10", "secp256k1", false},
    {"1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1", false},
    {"1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1", false},
    {"1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1", false},
    {"1.2.156.10197.1.301", "SM2", false},
};

static bool malformed(struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "there is no public key in DER form");
}

static bool oid_text(const mbedtls_asn1_buf *oid, char out[OID_TEXT_MAX])
{
    return oid->len > 0 && mbedtls_oid_get_numeric_string(out, OID_TEXT_MAX, oid) > 0;
}

/* RFC 8017, A.1.1: RSAPublicKey ::= SEQUENCE { modulus INTEGER, … }. 0 when it cannot be told. */
static size_t modulus_bits(unsigned char *at, const unsigned char *end)
{
    size_t length = 0;
    if (mbedtls_asn1_get_bitstring_null(&at, end, &length) != 0 ||
        mbedtls_asn1_get_tag(&at, end, &length, SEQUENCE) != 0 ||
        mbedtls_asn1_get_tag(&at, end, &length, MBEDTLS_ASN1_INTEGER) != 0)
        return 0;
    for (; length > 0 && *at == 0; at++)
        length--;
    size_t bits = 8 * length;
    for (unsigned top = length > 0 ? *at : 0x80; !(top & 0x80); top <<= 1)
        bits--;
    return bits;
}

static bool refuse_algorithm(const char *oid, unsigned char *key, const unsigned char *end,
                             struct error *err)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        if (strcmp(algorithms[i].oid, oid) != 0)
            continue;
        size_t bits = i == 0 ? modulus_bits(key, end) : 0;
        if (bits > 0)
            return error_set(err, ERROR_UNSUPPORTED, "%s of %zu bits is not accepted; " KEY_WANTED,
                             algorithms[i].words, bits);
        return error_set(err, ERROR_UNSUPPORTED, "%s is not accepted; " KEY_WANTED,
                         algorithms[i].words);
    }
    return error_set(err, ERROR_UNSUPPORTED,
                     "a key of an unknown kind (%s) is not accepted; " KEY_WANTED, oid);
}

/* RFC 5480, 2.1.1: specifiedCurve and implicitCurve are not allowed. */
static bool check_curve(unsigned char *at, const unsigned char *end, struct error *err)
{
    mbedtls_asn1_buf oid = {0};
    char text[OID_TEXT_MAX];
    if (mbedtls_asn1_get_tag(&at, end, &oid.len, MBEDTLS_ASN1_OID) != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "an EC key whose curve is not named is not accepted; " KEY_WANTED);
    oid.p = at;
    if (at + oid.len != end || !oid_text(&oid, text))
        return malformed(err);
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        if (strcmp(curves[i].oid, text) == 0)
            return curves[i].wanted ||
                   error_set(err, ERROR_UNSUPPORTED, "an EC key on %s is not accepted; " KEY_WANTED,
                             curves[i].name);
    return error_set(err, ERROR_UNSUPPORTED,
                     "an EC key on an unknown curve (%s) is not accepted; " KEY_WANTED, text);
}

bool key_kind_check(const uint8_t *der, size_t length, struct error *err)
{
    /* Mbed TLS's reader asks for a pointer that is not const, and writes nothing. */
    unsigned char *at = (unsigned char *)(uintptr_t)der;
    const unsigned char *end = der + length;
    mbedtls_asn1_buf oid = {0};
    char text[OID_TEXT_MAX];
    size_t size = 0;
    if (mbedtls_asn1_get_tag(&at, end, &size, SEQUENCE) != 0 || at + size != end ||
        mbedtls_asn1_get_tag(&at, end, &size, SEQUENCE) != 0)
        return malformed(err);
    unsigned char *key = at + size;
    if (mbedtls_asn1_get_tag(&at, key, &oid.len, MBEDTLS_ASN1_OID) != 0)
        return malformed(err);
    oid.p = at;
    at += oid.len;
    if (!oid_text(&oid, text))
        return malformed(err);
    if (strcmp(text, "1.2.840.10045.2.1") != 0)
        return refuse_algorithm(text, key, end, err);
    return check_curve(at, key, err);
}
