/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA and ECDH of Mbed TLS by libcrypto, for P-256, P-384 and X25519. libcrypto's EC_KEY
 * functions are used, which OpenSSL 3 calls deprecated: making an EVP_PKEY out of numbers costs
 * more than a P-256 signature does.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls/accelerate.h"

#include <mbedtls/ecdh.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/error.h>
#include <mbedtls/platform_util.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* The bytes of a coordinate or scalar of the largest curve here. */
#define EC_BYTES_MAX 48
#define X25519_BYTES 32

static EC_GROUP *group_p256;
static EC_GROUP *group_p384;
static pthread_once_t groups_once = PTHREAD_ONCE_INIT;

static void make_groups(void)
{
    group_p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    group_p384 = EC_GROUP_new_by_curve_name(NID_secp384r1);
}

/* libcrypto's group, or NULL for a curve that is left to Mbed TLS. */
static const EC_GROUP *group_of(const mbedtls_ecp_group *grp)
{
    (void)pthread_once(&groups_once, make_groups);
    if (grp->id == MBEDTLS_ECP_DP_SECP256R1)
        return group_p256;
    return grp->id == MBEDTLS_ECP_DP_SECP384R1 ? group_p384 : NULL;
}

/* Numbers. */

static BIGNUM *number_from(const mbedtls_mpi *mpi)
{
    unsigned char bytes[EC_BYTES_MAX];
    size_t length = mbedtls_mpi_size(mpi);
    if (length > sizeof bytes || mbedtls_mpi_write_binary(mpi, bytes, length) != 0)
        return NULL;
    BIGNUM *number = BN_bin2bn(bytes, (int)length, NULL);
    mbedtls_platform_zeroize(bytes, sizeof bytes);
    return number;
}

static int number_to(const BIGNUM *number, mbedtls_mpi *mpi)
{
    unsigned char bytes[EC_BYTES_MAX];
    int length = BN_num_bytes(number);
    if (length > (int)sizeof bytes || BN_bn2bin(number, bytes) != length)
        return MBEDTLS_ERR_ECP_BAD_INPUT_DATA;
    int code = mbedtls_mpi_read_binary(mpi, bytes, (size_t)length);
    mbedtls_platform_zeroize(bytes, sizeof bytes);
    return code;
}

/* Points, in the uncompressed form of SEC 1, 2.3.3, which both libraries speak. */

static EC_POINT *point_from(const EC_GROUP *group, const mbedtls_ecp_group *grp,
                            const mbedtls_ecp_point *P)
{
    unsigned char bytes[1 + 2 * EC_BYTES_MAX];
    size_t length = 0;
    EC_POINT *point = EC_POINT_new(group);
    if (point &&
        mbedtls_ecp_point_write_binary(grp, P, MBEDTLS_ECP_PF_UNCOMPRESSED, &length, bytes,
                                       sizeof bytes) == 0 &&
        EC_POINT_oct2point(group, point, bytes, length, NULL) == 1)
        return point;
    EC_POINT_free(point);
    return NULL;
}

static int point_to(const EC_GROUP *group, const EC_POINT *point, mbedtls_ecp_group *grp,
                    mbedtls_ecp_point *R)
{
    unsigned char bytes[1 + 2 * EC_BYTES_MAX];
    size_t length =
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, bytes, sizeof bytes, NULL);
    if (length < 2) /* the point at infinity is one zero byte, and no result of a valid call */
        return MBEDTLS_ERR_ECP_INVALID_KEY;
    int code = mbedtls_ecp_point_read_binary(grp, R, bytes, length);
    mbedtls_platform_zeroize(bytes, sizeof bytes);
    return code;
}

/* Multiplication. */

static bool is_generator(const mbedtls_ecp_group *grp, const mbedtls_ecp_point *P)
{
    return P == &grp->G || mbedtls_ecp_point_cmp(P, &grp->G) == 0;
}

static int multiply_weierstrass(const EC_GROUP *group, mbedtls_ecp_group *grp, mbedtls_ecp_point *R,
                                const mbedtls_mpi *m, const mbedtls_ecp_point *P)
{
    int code = MBEDTLS_ERR_ECP_ALLOC_FAILED;
    bool generator = is_generator(grp, P);
    BIGNUM *scalar = number_from(m);
    EC_POINT *point = generator ? NULL : point_from(group, grp, P);
    EC_POINT *result = EC_POINT_new(group);
    if (!generator && !point)
        code = MBEDTLS_ERR_ECP_INVALID_KEY;
    else if (scalar && result) {
        BN_set_flags(scalar, BN_FLG_CONSTTIME);
        code = EC_POINT_mul(group, result, generator ? scalar : NULL, point,
                            generator ? NULL : scalar, NULL) == 1
                   ? point_to(group, result, grp, R)
                   : MBEDTLS_ERR_ECP_INVALID_KEY;
    }
    EC_POINT_clear_free(result);
    EC_POINT_free(point);
    BN_clear_free(scalar);
    return code;
}

static bool x25519_public(EVP_PKEY *key, unsigned char out[X25519_BYTES])
{
    size_t length = X25519_BYTES;
    return EVP_PKEY_get_raw_public_key(key, out, &length) == 1 && length == X25519_BYTES;
}

static bool x25519_derive(EVP_PKEY *key, const unsigned char peer[X25519_BYTES],
                          unsigned char out[X25519_BYTES])
{
    size_t length = X25519_BYTES;
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, X25519_BYTES);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool done = other && context && EVP_PKEY_derive_init(context) == 1 &&
                EVP_PKEY_derive_set_peer(context, other) == 1 &&
                EVP_PKEY_derive(context, out, &length) == 1 && length == X25519_BYTES;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(other);
    return done;
}

/* RFC 7748, 5: numbers are little-endian. libcrypto refuses a peer's point of small order, as
 * section 6.1 allows. */
static int multiply_x25519(mbedtls_ecp_group *grp, mbedtls_ecp_point *R, const mbedtls_mpi *m,
                           const mbedtls_ecp_point *P)
{
    unsigned char scalar[X25519_BYTES];
    unsigned char peer[X25519_BYTES];
    unsigned char result[X25519_BYTES];
    size_t length = 0;
    if (mbedtls_mpi_write_binary_le(m, scalar, sizeof scalar) != 0 ||
        mbedtls_ecp_point_write_binary(grp, P, MBEDTLS_ECP_PF_UNCOMPRESSED, &length, peer,
                                       sizeof peer) != 0 ||
        length != sizeof peer)
        return MBEDTLS_ERR_ECP_INVALID_KEY;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, sizeof scalar);
    bool done = key && (is_generator(grp, P) ? x25519_public(key, result)
                                             : x25519_derive(key, peer, result));
    int code = done ? mbedtls_ecp_point_read_binary(grp, R, result, sizeof result)
                    : MBEDTLS_ERR_ECP_INVALID_KEY;
    EVP_PKEY_free(key);
    mbedtls_platform_zeroize(scalar, sizeof scalar);
    mbedtls_platform_zeroize(result, sizeof result);
    return code;
}

int accelerate_ecp_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *R, const mbedtls_mpi *m,
                       const mbedtls_ecp_point *P, int (*f_rng)(void *, unsigned char *, size_t),
                       void *p_rng)
{
    int code = mbedtls_ecp_check_privkey(grp, m);
    if (code == 0)
        code = mbedtls_ecp_check_pubkey(grp, P);
    if (code != 0)
        return code;
    const EC_GROUP *group = group_of(grp);
    if (group)
        return multiply_weierstrass(group, grp, R, m, P);
    if (grp->id == MBEDTLS_ECP_DP_CURVE25519)
        return multiply_x25519(grp, R, m, P);
    return mbedtls_ecp_mul(grp, R, m, P, f_rng, p_rng);
}

/* The hooks: ECDH (mbedtls/ecdh.h). */

int mbedtls_ecdh_gen_public(mbedtls_ecp_group *grp, mbedtls_mpi *d, mbedtls_ecp_point *Q,
                            int (*f_rng)(void *, unsigned char *, size_t), void *p_rng)
{
    int code = mbedtls_ecp_gen_privkey(grp, d, f_rng, p_rng);
    return code == 0 ? accelerate_ecp_mul(grp, Q, d, &grp->G, f_rng, p_rng) : code;
}

int mbedtls_ecdh_compute_shared(mbedtls_ecp_group *grp, mbedtls_mpi *z, const mbedtls_ecp_point *Q,
                                const mbedtls_mpi *d, int (*f_rng)(void *, unsigned char *, size_t),
                                void *p_rng)
{
    mbedtls_ecp_point shared;
    mbedtls_ecp_point_init(&shared);
    int code = accelerate_ecp_mul(grp, &shared, d, Q, f_rng, p_rng);
    if (code == 0 && mbedtls_ecp_is_zero(&shared))
        code = MBEDTLS_ERR_ECP_BAD_INPUT_DATA;
    if (code == 0)
        code = mbedtls_mpi_copy(z, &shared.MBEDTLS_PRIVATE(X));
    mbedtls_ecp_point_free(&shared);
    return code;
}

/* The hooks: ECDSA (mbedtls/ecdsa.h), for the two curves that mbedtls_ecdsa_can_do() has in this
 * build. */

static EC_KEY *key_on(const EC_GROUP *group)
{
    EC_KEY *key = EC_KEY_new();
    if (key && EC_KEY_set_group(key, group) == 1)
        return key;
    EC_KEY_free(key);
    return NULL;
}

int mbedtls_ecdsa_sign(mbedtls_ecp_group *grp, mbedtls_mpi *r, mbedtls_mpi *s, const mbedtls_mpi *d,
                       const unsigned char *buf, size_t blen,
                       int (*f_rng)(void *, unsigned char *, size_t), void *p_rng)
{
    (void)f_rng; /* libcrypto's own generator makes the nonce */
    (void)p_rng;
    const EC_GROUP *group = group_of(grp);
    if (!group || blen > MBEDTLS_MD_MAX_SIZE || mbedtls_ecp_check_privkey(grp, d) != 0)
        return MBEDTLS_ERR_ECP_BAD_INPUT_DATA;
    int code = MBEDTLS_ERR_ECP_ALLOC_FAILED;
    EC_KEY *key = key_on(group);
    BIGNUM *secret = number_from(d);
    ECDSA_SIG *signature = NULL;
    if (key && secret && EC_KEY_set_private_key(key, secret) == 1)
        signature = ECDSA_do_sign(buf, (int)blen, key);
    if (signature) {
        code = number_to(ECDSA_SIG_get0_r(signature), r);
        if (code == 0)
            code = number_to(ECDSA_SIG_get0_s(signature), s);
    }
    ECDSA_SIG_free(signature);
    BN_clear_free(secret);
    EC_KEY_free(key);
    return code;
}

static ECDSA_SIG *signature_from(const mbedtls_mpi *r, const mbedtls_mpi *s)
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r_number = number_from(r);
    BIGNUM *s_number = number_from(s);
    if (signature && r_number && s_number && ECDSA_SIG_set0(signature, r_number, s_number) == 1)
        return signature;
    ECDSA_SIG_free(signature);
    BN_free(r_number);
    BN_free(s_number);
    return NULL;
}

int mbedtls_ecdsa_verify(mbedtls_ecp_group *grp, const unsigned char *buf, size_t blen,
                         const mbedtls_ecp_point *Q, const mbedtls_mpi *r, const mbedtls_mpi *s)
{
    const EC_GROUP *group = group_of(grp);
    if (!group || blen > MBEDTLS_MD_MAX_SIZE)
        return MBEDTLS_ERR_ECP_BAD_INPUT_DATA;
    /* A number that is too large for the curve is a wrong signature, not a failure. */
    if (mbedtls_mpi_cmp_int(r, 1) < 0 || mbedtls_mpi_cmp_mpi(r, &grp->N) >= 0 ||
        mbedtls_mpi_cmp_int(s, 1) < 0 || mbedtls_mpi_cmp_mpi(s, &grp->N) >= 0)
        return MBEDTLS_ERR_ECP_VERIFY_FAILED;
    int code = MBEDTLS_ERR_ECP_ALLOC_FAILED;
    EC_KEY *key = key_on(group);
    EC_POINT *point = point_from(group, grp, Q);
    ECDSA_SIG *signature = signature_from(r, s);
    if (!point)
        code = MBEDTLS_ERR_ECP_INVALID_KEY;
    else if (key && signature && EC_KEY_set_public_key(key, point) == 1)
        code = ECDSA_do_verify(buf, (int)blen, signature, key) == 1 ? 0
                                                                    : MBEDTLS_ERR_ECP_VERIFY_FAILED;
    ECDSA_SIG_free(signature);
    EC_POINT_free(point);
    EC_KEY_free(key);
    return code;
}
