/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/auth_crypto.h"

#include <string.h>

#include <mbedtls/pkcs5.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <sodium.h>

static bool sha1(const void *data, size_t length, uint8_t digest[20])
{
    return mbedtls_sha1(data, length, digest) == 0;
}

static bool sha256(const void *data, size_t length, uint8_t digest[32])
{
    return mbedtls_sha256(data, length, digest, 0) == 0;
}

static bool pbkdf2_sha512(const char *password, const uint8_t *salt, size_t salt_length,
                          unsigned iterations, uint8_t *key, size_t key_length)
{
    return mbedtls_pkcs5_pbkdf2_hmac_ext(MBEDTLS_MD_SHA512, (const unsigned char *)password,
                                         strlen(password), salt, salt_length, iterations,
                                         (uint32_t)key_length, key) == 0;
}

static bool ed25519_sign(const uint8_t seed[32], const void *message, size_t length,
                         uint8_t signature[64])
{
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    bool good = sodium_init() >= 0 && crypto_sign_seed_keypair(public_key, secret_key, seed) == 0 &&
                crypto_sign_detached(signature, NULL, message, length, secret_key) == 0;
    sodium_memzero(secret_key, sizeof secret_key);
    return good;
}

/* SHA-512 over up to three pieces, as a scalar modulo the group's order. */
static void hash_to_scalar(struct byte_view first, struct byte_view second, struct byte_view third,
                           uint8_t scalar[crypto_core_ed25519_SCALARBYTES])
{
    crypto_hash_sha512_state state;
    uint8_t wide[crypto_hash_sha512_BYTES];
    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, first.data, first.length);
    crypto_hash_sha512_update(&state, second.data, second.length);
    crypto_hash_sha512_update(&state, third.data, third.length);
    crypto_hash_sha512_final(&state, wide);
    crypto_core_ed25519_scalar_reduce(scalar, wide);
    sodium_memzero(wide, sizeof wide);
    sodium_memzero(&state, sizeof state);
}

/* The password's digest: a clamped scalar in the first half, RFC 8032's prefix in the second. */
static void expand_password(const char *password, uint8_t expanded[crypto_hash_sha512_BYTES])
{
    crypto_hash_sha512(expanded, (const uint8_t *)password, strlen(password));
    expanded[0] &= 248;
    expanded[31] &= 127;
    expanded[31] |= 64;
}

/*
 * RFC 8032, section 5.1.6, from step 2 on. The steps are written out because libsodium's own
 * signature starts from a seed of 32 bytes, and here a password of any length stands for it.
 */
static bool ed25519_password_sign(const char *password, const void *message, size_t length,
                                  uint8_t signature[64])
{
    uint8_t expanded[crypto_hash_sha512_BYTES];
    uint8_t public_key[crypto_core_ed25519_BYTES];
    uint8_t nonce[crypto_core_ed25519_SCALARBYTES], challenge[crypto_core_ed25519_SCALARBYTES];
    uint8_t product[crypto_core_ed25519_SCALARBYTES];
    const struct byte_view text = byte_view(message, length);
    if (sodium_init() < 0)
        return false;
    expand_password(password, expanded);
    hash_to_scalar(byte_view(expanded + 32, 32), text, byte_view("", 0), nonce);
    bool good = crypto_scalarmult_ed25519_base_noclamp(public_key, expanded) == 0 &&
                crypto_scalarmult_ed25519_base_noclamp(signature, nonce) == 0;
    hash_to_scalar(byte_view(signature, 32), byte_view(public_key, sizeof public_key), text,
                   challenge);
    crypto_core_ed25519_scalar_mul(product, challenge, expanded);
    crypto_core_ed25519_scalar_add(signature + 32, product, nonce);
    sodium_memzero(expanded, sizeof expanded);
    sodium_memzero(nonce, sizeof nonce);
    sodium_memzero(product, sizeof product);
    return good;
}

const struct auth_crypto *auth_crypto(void)
{
    static const struct auth_crypto table = {
        .sha1 = sha1,
        .sha256 = sha256,
        .pbkdf2_sha512 = pbkdf2_sha512,
        .ed25519_sign = ed25519_sign,
        .ed25519_password_sign = ed25519_password_sign,
        .random = randombytes_buf,
        .wipe = mbedtls_platform_zeroize,
    };
    return &table;
}
