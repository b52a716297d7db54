/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM of Mbed TLS by libcrypto: the functions of mbedtls/gcm.h (Mbed TLS 3.6, MBEDTLS_GCM_ALT).
 * A TLS record is one call of mbedtls_gcm_crypt_and_tag() or mbedtls_gcm_auth_decrypt(), which
 * allocates nothing: the key schedule stays in the libcrypto context that mbedtls_gcm_setkey()
 * made.
 */
#include <limits.h>
#include <mbedtls/error.h>
#include <mbedtls/gcm.h>
#include <mbedtls/platform_util.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* NIST SP 800-38D, 5.2.1.2: the tag lengths that Mbed TLS allows. */
#define GCM_TAG_MIN 4
#define GCM_TAG_MAX 16

/* What libcrypto's provider takes as an initialisation vector. */
#define GCM_IV_MAX 64

/* Fetching an algorithm takes longer than a record does, so it is done once and kept for ever. */
static struct {
    EVP_CIPHER *aes_128;
    EVP_CIPHER *aes_192;
    EVP_CIPHER *aes_256;
} ciphers;
static pthread_once_t ciphers_once = PTHREAD_ONCE_INIT;

static void fetch_ciphers(void)
{
    ciphers.aes_128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    ciphers.aes_192 = EVP_CIPHER_fetch(NULL, "AES-192-GCM", NULL);
    ciphers.aes_256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static const EVP_CIPHER *cipher_for(unsigned key_bits)
{
    (void)pthread_once(&ciphers_once, fetch_ciphers);
    switch (key_bits) {
    case 128:
        return ciphers.aes_128;
    case 192:
        return ciphers.aes_192;
    case 256:
        return ciphers.aes_256;
    default:
        return NULL;
    }
}

void mbedtls_gcm_init(mbedtls_gcm_context *ctx)
{
    memset(ctx, 0, sizeof *ctx);
}

void mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
    if (!ctx)
        return;
    EVP_CIPHER_CTX_free(ctx->cipher);
    EVP_CIPHER_CTX_free(ctx->echo);
    mbedtls_platform_zeroize(ctx, sizeof *ctx);
}

int mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher,
                       const unsigned char *key, unsigned int keybits)
{
    const EVP_CIPHER *evp = cipher == MBEDTLS_CIPHER_ID_AES ? cipher_for(keybits) : NULL;
    if (!evp)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    EVP_CIPHER_CTX_free(ctx->cipher);
    EVP_CIPHER_CTX_free(ctx->echo);
    ctx->echo = NULL;
    ctx->cipher = EVP_CIPHER_CTX_new();
    if (!ctx->cipher)
        return MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
    if (EVP_CipherInit_ex(ctx->cipher, evp, NULL, key, NULL, 1) != 1)
        return MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
    return 0;
}

/* Begins a message: the key stays, direction and vector are set. */
static int begin(EVP_CIPHER_CTX *cipher, int encrypt, const unsigned char *iv, size_t iv_len)
{
    if (!cipher || iv_len == 0 || iv_len > GCM_IV_MAX)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    if ((size_t)EVP_CIPHER_CTX_get_iv_length(cipher) != iv_len &&
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_IVLEN, (int)iv_len, NULL) != 1)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    return EVP_CipherInit_ex(cipher, NULL, NULL, NULL, iv, encrypt) == 1
               ? 0
               : MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
}

/* Runs bytes through; without `out` they are additional data. */
static int run(EVP_CIPHER_CTX *cipher, unsigned char *out, const unsigned char *in, size_t length)
{
    int done = 0;
    if (length == 0)
        return 0;
    if (length > INT_MAX)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    if (EVP_CipherUpdate(cipher, out, &done, in, (int)length) != 1 ||
        (out && (size_t)done != length))
        return MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
    return 0;
}

static int finish_encryption(EVP_CIPHER_CTX *cipher, unsigned char *tag, size_t tag_len)
{
    unsigned char none[GCM_TAG_MAX];
    int done = 0;
    if (EVP_CipherFinal_ex(cipher, none, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, (int)tag_len, tag) != 1)
        return MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
    return 0;
}

static bool tag_length_allowed(size_t tag_len)
{
    return tag_len >= GCM_TAG_MIN && tag_len <= GCM_TAG_MAX;
}

/* Whole messages. */

static int encrypt_whole(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv,
                         size_t iv_len, const unsigned char *add, size_t add_len,
                         const unsigned char *input, unsigned char *output, size_t tag_len,
                         unsigned char *tag)
{
    int code = begin(ctx->cipher, 1, iv, iv_len);
    if (code == 0)
        code = run(ctx->cipher, NULL, add, add_len);
    if (code == 0)
        code = run(ctx->cipher, output, input, length);
    return code == 0 ? finish_encryption(ctx->cipher, tag, tag_len) : code;
}

int mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv,
                             size_t iv_len, const unsigned char *add, size_t add_len,
                             const unsigned char *tag, size_t tag_len, const unsigned char *input,
                             unsigned char *output)
{
    unsigned char expected[GCM_TAG_MAX];
    unsigned char none[GCM_TAG_MAX];
    int done = 0;
    if (!tag_length_allowed(tag_len))
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    memcpy(expected, tag, tag_len);
    int code = begin(ctx->cipher, 0, iv, iv_len);
    if (code == 0)
        code = run(ctx->cipher, NULL, add, add_len);
    if (code == 0)
        code = run(ctx->cipher, output, input, length);
    if (code == 0 &&
        EVP_CIPHER_CTX_ctrl(ctx->cipher, EVP_CTRL_AEAD_SET_TAG, (int)tag_len, expected) != 1)
        code = MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
    if (code == 0 && EVP_CipherFinal_ex(ctx->cipher, none, &done) != 1)
        code = MBEDTLS_ERR_GCM_AUTH_FAILED;
    if (code != 0)
        mbedtls_platform_zeroize(output, length);
    return code;
}

/*
 * Messages in parts. libcrypto tells no tag when it decrypts, but Mbed TLS's contract wants it told
 * and compared by the caller. So the plaintext is encrypted once more, by `echo`, which gives the
 * same ciphertext and the tag of it. TLS never comes here.
 */

int mbedtls_gcm_starts(mbedtls_gcm_context *ctx, int mode, const unsigned char *iv, size_t iv_len)
{
    if (mode != MBEDTLS_GCM_ENCRYPT && mode != MBEDTLS_GCM_DECRYPT)
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    ctx->mode = mode;
    int code = begin(ctx->cipher, mode == MBEDTLS_GCM_ENCRYPT, iv, iv_len);
    if (code != 0 || mode == MBEDTLS_GCM_ENCRYPT)
        return code;
    if (!ctx->echo)
        ctx->echo = EVP_CIPHER_CTX_new();
    if (!ctx->echo)
        return MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
    if (EVP_CIPHER_CTX_copy(ctx->echo, ctx->cipher) != 1)
        return MBEDTLS_ERR_ERROR_CORRUPTION_DETECTED;
    return begin(ctx->echo, 1, iv, iv_len);
}

int mbedtls_gcm_update_ad(mbedtls_gcm_context *ctx, const unsigned char *add, size_t add_len)
{
    int code = run(ctx->cipher, NULL, add, add_len);
    if (code == 0 && ctx->mode == MBEDTLS_GCM_DECRYPT)
        code = run(ctx->echo, NULL, add, add_len);
    return code;
}

static int echo_back(EVP_CIPHER_CTX *echo, const unsigned char *plain, size_t length)
{
    unsigned char thrown_away[1024];
    int code = 0;
    while (code == 0 && length > 0) {
        size_t part = length < sizeof thrown_away ? length : sizeof thrown_away;
        code = run(echo, thrown_away, plain, part);
        plain += part;
        length -= part;
    }
    return code;
}

int mbedtls_gcm_update(mbedtls_gcm_context *ctx, const unsigned char *input, size_t input_length,
                       unsigned char *output, size_t output_size, size_t *output_length)
{
    *output_length = 0;
    if (output_size < input_length)
        return MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL;
    int code = run(ctx->cipher, output, input, input_length);
    if (code == 0 && ctx->mode == MBEDTLS_GCM_DECRYPT)
        code = echo_back(ctx->echo, output, input_length);
    if (code == 0)
        *output_length = input_length;
    return code;
}

int mbedtls_gcm_finish(mbedtls_gcm_context *ctx, unsigned char *output, size_t output_size,
                       size_t *output_length, unsigned char *tag, size_t tag_len)
{
    (void)output;
    (void)output_size;
    *output_length = 0; /* nothing is ever held back */
    if (!tag_length_allowed(tag_len))
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    return finish_encryption(ctx->mode == MBEDTLS_GCM_DECRYPT ? ctx->echo : ctx->cipher, tag,
                             tag_len);
}

/* Either direction, the tag always told and never checked: so says mbedtls/gcm.h. */
static int decrypt_unchecked(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv,
                             size_t iv_len, const unsigned char *add, size_t add_len,
                             const unsigned char *input, unsigned char *output, size_t tag_len,
                             unsigned char *tag)
{
    size_t done = 0;
    int code = mbedtls_gcm_starts(ctx, MBEDTLS_GCM_DECRYPT, iv, iv_len);
    if (code == 0)
        code = mbedtls_gcm_update_ad(ctx, add, add_len);
    if (code == 0)
        code = mbedtls_gcm_update(ctx, input, length, output, length, &done);
    return code == 0 ? mbedtls_gcm_finish(ctx, NULL, 0, &done, tag, tag_len) : code;
}

int mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t length,
                              const unsigned char *iv, size_t iv_len, const unsigned char *add,
                              size_t add_len, const unsigned char *input, unsigned char *output,
                              size_t tag_len, unsigned char *tag)
{
    if (!tag_length_allowed(tag_len))
        return MBEDTLS_ERR_GCM_BAD_INPUT;
    return mode == MBEDTLS_GCM_ENCRYPT
               ? encrypt_whole(ctx, length, iv, iv_len, add, add_len, input, output, tag_len, tag)
               : decrypt_unchecked(ctx, length, iv, iv_len, add, add_len, input, output, tag_len,
                                   tag);
}
