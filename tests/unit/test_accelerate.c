/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives behind TLS against published vectors, through Mbed TLS's own functions: the same
 * test holds with libcrypto behind the hooks and without it (meson option `libcrypto`).
 */
#include <criterion/criterion.h>
#include <mbedtls/ecdh.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/gcm.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <psa/crypto.h>
#include <string.h>

struct bytes {
    unsigned char data[128];
    size_t length;
};

static struct bytes hex(const char *text)
{
    struct bytes out = {.length = strlen(text) / 2};
    cr_assert_leq(out.length, sizeof out.data);
    for (size_t i = 0; i < out.length; i++) {
        unsigned value;
        cr_assert_eq(sscanf(text + 2 * i, "%2x", &value), 1);
        out.data[i] = (unsigned char)value;
    }
    return out;
}

static void start(void)
{
    cr_assert_eq(psa_crypto_init(), PSA_SUCCESS);
}

TestSuite(accelerate, .init = start);

/* GCM: the test cases of "The Galois/Counter Mode of Operation" (McGrew and Viega), appendix B. */

struct gcm_case {
    const char *key, *iv, *add, *plain, *cipher, *tag;
};

#define PLAIN_60                                                                                 \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449" \
    "a6b525b16aedf5aa0de657ba637b39"
#define ADD_20 "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define KEY_16 "feffe9928665731c6d6a8f9467308308"
#define IV_12  "cafebabefacedbaddecaf888"

static const struct gcm_case gcm_cases[] = {
    {"00000000000000000000000000000000", "000000000000000000000000", "", "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {"00000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
     "ab6e47d42cec13bdf53a67b21257bddf"},
    {KEY_16, IV_12, ADD_20, PLAIN_60,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84"
     "aa051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    /* vectors of 8 and of 60 bytes */
    {KEY_16, "cafebabefacedbad", ADD_20, PLAIN_60,
     "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c742373806900e49f24b22b097544d489"
     "6b424989b5e1ebac0f07c23f4598",
     "3612d2e79e3b0785561be14aaca2fccb"},
    {KEY_16,
     "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b"
     "525416aedbf5a0de6a57a637b39b",
     ADD_20, PLAIN_60,
     "8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca701e4a9a4fba43c90ccdcb281d48c"
     "7c6fd62875d2aca417034c34aee5",
     "619cc5aefffe0bfa462af43c1699d050"},
    /* AES-256 */
    {KEY_16 KEY_16, IV_12, ADD_20, PLAIN_60,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
     "8838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

#define GCM_CASES (sizeof gcm_cases / sizeof *gcm_cases)

static void gcm_key(mbedtls_gcm_context *gcm, const struct gcm_case *it)
{
    struct bytes key = hex(it->key);
    mbedtls_gcm_init(gcm);
    cr_assert_eq(mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, key.data, (unsigned)key.length * 8),
                 0);
}

Test(accelerate, gcm_encrypts_whole_messages)
{
    for (size_t i = 0; i < GCM_CASES; i++) {
        mbedtls_gcm_context gcm;
        struct bytes iv = hex(gcm_cases[i].iv), add = hex(gcm_cases[i].add);
        struct bytes text = hex(gcm_cases[i].plain), tag = {.length = 16};
        gcm_key(&gcm, &gcm_cases[i]);
        for (int again = 0; again < 2; again++) { /* one key serves many messages; in place */
            text = hex(gcm_cases[i].plain);
            cr_assert_eq(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, text.length, iv.data,
                                                   iv.length, add.data, add.length, text.data,
                                                   text.data, 16, tag.data),
                         0);
            cr_assert_eq(memcmp(text.data, hex(gcm_cases[i].cipher).data, text.length), 0, "%zu",
                         i);
            cr_assert_eq(memcmp(tag.data, hex(gcm_cases[i].tag).data, 16), 0, "%zu", i);
        }
        mbedtls_gcm_free(&gcm);
    }
}

static int gcm_decrypt(const struct gcm_case *it, struct bytes *text, const struct bytes *tag)
{
    mbedtls_gcm_context gcm;
    struct bytes iv = hex(it->iv), add = hex(it->add);
    gcm_key(&gcm, it);
    int code = mbedtls_gcm_auth_decrypt(&gcm, text->length, iv.data, iv.length, add.data,
                                        add.length, tag->data, tag->length, text->data, text->data);
    mbedtls_gcm_free(&gcm);
    return code;
}

Test(accelerate, gcm_decrypts_whole_messages)
{
    for (size_t i = 0; i < GCM_CASES; i++) {
        struct bytes text = hex(gcm_cases[i].cipher), tag = hex(gcm_cases[i].tag);
        cr_assert_eq(gcm_decrypt(&gcm_cases[i], &text, &tag), 0, "%zu", i);
        cr_assert_eq(memcmp(text.data, hex(gcm_cases[i].plain).data, text.length), 0, "%zu", i);
    }
}

Test(accelerate, gcm_refuses_each_changed_bit_of_tag_and_text)
{
    const struct gcm_case *it = &gcm_cases[2];
    static const unsigned char zeros[60];
    for (size_t bit = 0; bit < 128; bit++) {
        struct bytes text = hex(it->cipher), tag = hex(it->tag);
        tag.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        cr_assert_eq(gcm_decrypt(it, &text, &tag), MBEDTLS_ERR_GCM_AUTH_FAILED);
        cr_assert_eq(memcmp(text.data, zeros, text.length), 0, "plaintext is given away");
    }
    for (size_t at = 0; at < 60; at++) {
        struct bytes text = hex(it->cipher), tag = hex(it->tag);
        text.data[at] ^= 1;
        cr_assert_eq(gcm_decrypt(it, &text, &tag), MBEDTLS_ERR_GCM_AUTH_FAILED);
    }
}

Test(accelerate, gcm_checks_tag_lengths)
{
    const struct gcm_case *it = &gcm_cases[2];
    for (size_t length = 0; length <= 17; length++) {
        struct bytes text = hex(it->cipher), tag = hex(it->tag);
        tag.length = length;
        int code = gcm_decrypt(it, &text, &tag);
        if (length < 4 || length > 16)
            cr_assert_eq(code, MBEDTLS_ERR_GCM_BAD_INPUT, "%zu", length);
        else
            cr_assert_eq(code, 0, "%zu", length);
    }
}

/* In pieces of every size, both directions: the tag is told, and is that of the ciphertext. */
static void gcm_in_parts(const struct gcm_case *it, bool encrypt, size_t part)
{
    mbedtls_gcm_context gcm;
    struct bytes iv = hex(it->iv), add = hex(it->add);
    struct bytes in = hex(encrypt ? it->plain : it->cipher), out = {.length = in.length};
    unsigned char tag[16];
    size_t done = 0;
    gcm_key(&gcm, it);
    cr_assert_eq(mbedtls_gcm_starts(&gcm, encrypt ? MBEDTLS_GCM_ENCRYPT : MBEDTLS_GCM_DECRYPT,
                                    iv.data, iv.length),
                 0);
    cr_assert_eq(mbedtls_gcm_update_ad(&gcm, add.data, add.length), 0);
    size_t produced = 0;
    for (size_t at = 0; at < in.length; at += part) {
        size_t length = in.length - at < part ? in.length - at : part;
        cr_assert_eq(mbedtls_gcm_update(&gcm, in.data + at, length, out.data + produced,
                                        sizeof out.data - produced, &done),
                     0);
        produced += done;
    }
    cr_assert_eq(
        mbedtls_gcm_finish(&gcm, out.data + produced, sizeof out.data - produced, &done, tag, 16),
        0);
    cr_assert_eq(produced + done, in.length);
    cr_assert_eq(memcmp(out.data, hex(encrypt ? it->cipher : it->plain).data, out.length), 0);
    cr_assert_eq(memcmp(tag, hex(it->tag).data, 16), 0);
    mbedtls_gcm_free(&gcm);
}

Test(accelerate, gcm_works_in_parts)
{
    for (size_t i = 0; i < GCM_CASES; i++)
        for (size_t part = 1; part <= 60; part++) {
            gcm_in_parts(&gcm_cases[i], true, part);
            gcm_in_parts(&gcm_cases[i], false, part);
        }
}

Test(accelerate, gcm_in_parts_needs_room)
{
    mbedtls_gcm_context gcm;
    struct bytes iv = hex(IV_12);
    unsigned char bytes[32] = {0};
    size_t done;
    gcm_key(&gcm, &gcm_cases[2]);
    cr_assert_eq(mbedtls_gcm_starts(&gcm, MBEDTLS_GCM_ENCRYPT, iv.data, iv.length), 0);
    cr_assert_eq(mbedtls_gcm_update(&gcm, bytes, 32, bytes, 31, &done),
                 MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL);
    mbedtls_gcm_free(&gcm);
}

Test(accelerate, gcm_tells_the_tag_when_it_decrypts_unchecked)
{
    const struct gcm_case *it = &gcm_cases[2];
    mbedtls_gcm_context gcm;
    struct bytes iv = hex(it->iv), add = hex(it->add), text = hex(it->cipher);
    unsigned char tag[16];
    gcm_key(&gcm, it);
    cr_assert_eq(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_DECRYPT, text.length, iv.data,
                                           iv.length, add.data, add.length, text.data, text.data,
                                           16, tag),
                 0);
    cr_assert_eq(memcmp(tag, hex(it->tag).data, 16), 0);
    cr_assert_eq(memcmp(text.data, hex(it->plain).data, text.length), 0);
    mbedtls_gcm_free(&gcm);
}

Test(accelerate, gcm_refuses_bad_keys_and_vectors)
{
    mbedtls_gcm_context gcm;
    unsigned char key[40] = {0};
    unsigned char tag[16];
    mbedtls_gcm_init(&gcm);
    cr_assert_neq(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 64), 0);
    cr_assert_neq(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_CAMELLIA, key, 128), 0);
    cr_assert_eq(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 192), 0);
    cr_assert_eq(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 128), 0, "a second key");
    cr_assert_neq(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 0, key, 0, NULL, 0, NULL,
                                            NULL, 16, tag),
                  0);
    mbedtls_gcm_free(&gcm);
    mbedtls_gcm_free(NULL);
}

/* ECDH: RFC 5903, 8.1 and 8.2. */

static void read_number(mbedtls_mpi *out, const char *text)
{
    struct bytes bytes = hex(text);
    mbedtls_mpi_init(out);
    cr_assert_eq(mbedtls_mpi_read_binary(out, bytes.data, bytes.length), 0);
}

static void read_point(mbedtls_ecp_group *group, mbedtls_ecp_point *out, const char *text)
{
    struct bytes bytes = hex(text);
    mbedtls_ecp_point_init(out);
    cr_assert_eq(mbedtls_ecp_point_read_binary(group, out, bytes.data, bytes.length), 0);
}

static int agree(mbedtls_ecp_group_id id, const char *secret, const char *peer, mbedtls_mpi *shared)
{
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi number;
    mbedtls_ecp_group_init(&group);
    cr_assert_eq(mbedtls_ecp_group_load(&group, id), 0);
    read_number(&number, secret);
    read_point(&group, &point, peer);
    int code = mbedtls_ecdh_compute_shared(&group, shared, &point, &number, mbedtls_psa_get_random,
                                           MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_mpi_free(&number);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);
    return code;
}

static void assert_agreed(mbedtls_ecp_group_id id, const char *secret, const char *peer,
                          const char *expected)
{
    mbedtls_mpi shared, wanted;
    mbedtls_mpi_init(&shared);
    read_number(&wanted, expected);
    cr_assert_eq(agree(id, secret, peer, &shared), 0);
    cr_assert_eq(mbedtls_mpi_cmp_mpi(&shared, &wanted), 0);
    mbedtls_mpi_free(&shared);
    mbedtls_mpi_free(&wanted);
}

Test(accelerate, ecdh_p256)
{
    assert_agreed(MBEDTLS_ECP_DP_SECP256R1,
                  "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
                  "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
                  "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
                  "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
}

Test(accelerate, ecdh_p384)
{
    assert_agreed(
        MBEDTLS_ECP_DP_SECP384R1,
        "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3f"
        "aef896783ab194",
        "04e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def9"
        "6fda41d0774a3571dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1ff"
        "f83fa40142209dff5eaad96db9e6386c",
        "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09c"
        "f5d4a270f59746");
}

/* RFC 7748, 6.1. Mbed TLS's numbers of this curve are little-endian; a secret is clamped when it is
 * read. */
Test(accelerate, ecdh_x25519)
{
    struct bytes secret = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    struct bytes expected = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    unsigned char got[32];
    mbedtls_ecp_keypair key;
    mbedtls_ecp_point peer;
    mbedtls_mpi shared;
    mbedtls_ecp_keypair_init(&key);
    mbedtls_mpi_init(&shared);
    cr_assert_eq(mbedtls_ecp_read_key(MBEDTLS_ECP_DP_CURVE25519, &key, secret.data, 32), 0);
    mbedtls_ecp_group group;
    mbedtls_mpi d;
    mbedtls_ecp_point q;
    mbedtls_ecp_group_init(&group);
    mbedtls_mpi_init(&d);
    mbedtls_ecp_point_init(&q);
    cr_assert_eq(mbedtls_ecp_export(&key, &group, &d, &q), 0);
    read_point(&group, &peer, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    cr_assert_eq(mbedtls_ecdh_compute_shared(&group, &shared, &peer, &d, mbedtls_psa_get_random,
                                             MBEDTLS_PSA_RANDOM_STATE),
                 0);
    cr_assert_eq(mbedtls_mpi_write_binary_le(&shared, got, 32), 0);
    cr_assert_eq(memcmp(got, expected.data, 32), 0);
    mbedtls_mpi_free(&shared);
    mbedtls_mpi_free(&d);
    mbedtls_ecp_point_free(&q);
    mbedtls_ecp_point_free(&peer);
    mbedtls_ecp_group_free(&group);
    mbedtls_ecp_keypair_free(&key);
}

/* RFC 7748, 6.1: an all-zero result means that the peer chose a point of small order. */
Test(accelerate, ecdh_refuses_points_of_small_order)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"};
    for (size_t i = 0; i < 4; i++) {
        mbedtls_mpi shared;
        mbedtls_mpi_init(&shared);
        cr_assert_neq(agree(MBEDTLS_ECP_DP_CURVE25519,
                            "5ab1f4f3bf8e5ea0309e1b4c8c5726dfc5526b1c17c2733d7ea51873bc9d0770",
                            points[i], &shared),
                      0, "%zu", i);
        mbedtls_mpi_free(&shared);
    }
}

/* A point that is not on the curve gives the secret away, bit by bit. */
Test(accelerate, ecdh_refuses_points_off_the_curve)
{
    mbedtls_mpi shared;
    mbedtls_mpi_init(&shared);
    cr_assert_neq(agree(MBEDTLS_ECP_DP_SECP256R1,
                        "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
                        "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
                        "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ac",
                        &shared),
                  0);
    mbedtls_mpi_free(&shared);
}

Test(accelerate, ecdh_makes_keys_that_agree)
{
    static const mbedtls_ecp_group_id ids[] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1,
                                               MBEDTLS_ECP_DP_CURVE25519};
    for (size_t i = 0; i < 3; i++) {
        mbedtls_ecp_group group;
        mbedtls_mpi d[2], z[2];
        mbedtls_ecp_point q[2];
        mbedtls_ecp_group_init(&group);
        cr_assert_eq(mbedtls_ecp_group_load(&group, ids[i]), 0);
        for (int j = 0; j < 2; j++) {
            mbedtls_mpi_init(&d[j]);
            mbedtls_mpi_init(&z[j]);
            mbedtls_ecp_point_init(&q[j]);
            cr_assert_eq(mbedtls_ecdh_gen_public(&group, &d[j], &q[j], mbedtls_psa_get_random,
                                                 MBEDTLS_PSA_RANDOM_STATE),
                         0);
        }
        for (int j = 0; j < 2; j++)
            cr_assert_eq(mbedtls_ecdh_compute_shared(&group, &z[j], &q[1 - j], &d[j],
                                                     mbedtls_psa_get_random,
                                                     MBEDTLS_PSA_RANDOM_STATE),
                         0);
        cr_assert_eq(mbedtls_mpi_cmp_mpi(&z[0], &z[1]), 0);
        cr_assert_neq(mbedtls_mpi_cmp_mpi(&d[0], &d[1]), 0);
        for (int j = 0; j < 2; j++) {
            mbedtls_mpi_free(&d[j]);
            mbedtls_mpi_free(&z[j]);
            mbedtls_ecp_point_free(&q[j]);
        }
        mbedtls_ecp_group_free(&group);
    }
}

/* ECDSA: RFC 6979, A.2.5 and A.2.6, message "sample" with SHA-256. */

struct ecdsa_case {
    mbedtls_ecp_group_id id;
    const char *key, *r, *s;
};

static const struct ecdsa_case ecdsa_cases[] = {
    {MBEDTLS_ECP_DP_SECP256R1,
     "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
     "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
     "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
     "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
    {MBEDTLS_ECP_DP_SECP384R1,
     "04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a25451548"
     "0bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd25"
     "3"
     "3264720",
     "21b13d1e013c7fa1392d03c5f99af8b30c570c6f98d4ea8e354b63a21d3daa33bde1e888e63355d92fa2b3c36d8fb"
     "2"
     "cd",
     "f3aa443fb107745bf4bd77cb3891674632068a10ca67e3d45db2266fa7d1feebefdc63eccd1ac42ec0cb8668a4fa0"
     "a"
     "b0"},
};

static int verify(const struct ecdsa_case *it, const char *r_text, const char *s_text,
                  const char *message)
{
    mbedtls_ecp_group group;
    mbedtls_ecp_point key;
    mbedtls_mpi r, s;
    unsigned char hash[32];
    mbedtls_ecp_group_init(&group);
    cr_assert_eq(mbedtls_ecp_group_load(&group, it->id), 0);
    read_point(&group, &key, it->key);
    read_number(&r, r_text);
    read_number(&s, s_text);
    cr_assert_eq(mbedtls_sha256((const unsigned char *)message, strlen(message), hash, 0), 0);
    int code = mbedtls_ecdsa_verify(&group, hash, sizeof hash, &key, &r, &s);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&s);
    mbedtls_ecp_point_free(&key);
    mbedtls_ecp_group_free(&group);
    return code;
}

Test(accelerate, ecdsa_verifies)
{
    for (size_t i = 0; i < 2; i++) {
        const struct ecdsa_case *it = &ecdsa_cases[i];
        cr_assert_eq(verify(it, it->r, it->s, "sample"), 0, "%zu", i);
    }
}

Test(accelerate, ecdsa_refuses_what_does_not_fit)
{
    for (size_t i = 0; i < 2; i++) {
        const struct ecdsa_case *it = &ecdsa_cases[i];
        cr_assert_eq(verify(it, it->r, it->s, "sampld"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
        cr_assert_eq(verify(it, it->s, it->r, "sample"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
    }
}

/* FIPS 186-4, 6.4.2: r and s are 1 to n - 1. A verifier that skips this takes (0, 0) for anything.
 */
Test(accelerate, ecdsa_refuses_numbers_out_of_range)
{
    const struct ecdsa_case *it = &ecdsa_cases[0];
    static const char n[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    static const char huge[] =
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    cr_assert_eq(verify(it, "00", "00", "sample"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
    cr_assert_eq(verify(it, "00", it->s, "sample"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
    cr_assert_eq(verify(it, it->r, "00", "sample"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
    cr_assert_eq(verify(it, n, it->s, "sample"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
    cr_assert_eq(verify(it, it->r, n, "sample"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
    cr_assert_eq(verify(it, huge, huge, "sample"), MBEDTLS_ERR_ECP_VERIFY_FAILED);
}

/* Hashes longer than the curve are cut (FIPS 186-4, 6.4), shorter ones are taken as they are. */
Test(accelerate, ecdsa_signs_hashes_of_every_length)
{
    static const mbedtls_ecp_group_id ids[] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1};
    unsigned char hash[64];
    cr_assert_eq(mbedtls_sha512((const unsigned char *)"x", 1, hash, 0), 0);
    for (size_t i = 0; i < 2; i++)
        for (size_t length = 20; length <= 64; length += 4) {
            mbedtls_ecp_group group;
            mbedtls_mpi d, r, s;
            mbedtls_ecp_point q;
            mbedtls_ecp_group_init(&group);
            mbedtls_mpi_init(&d);
            mbedtls_mpi_init(&r);
            mbedtls_mpi_init(&s);
            mbedtls_ecp_point_init(&q);
            cr_assert_eq(mbedtls_ecp_group_load(&group, ids[i]), 0);
            cr_assert_eq(mbedtls_ecp_gen_keypair(&group, &d, &q, mbedtls_psa_get_random,
                                                 MBEDTLS_PSA_RANDOM_STATE),
                         0);
            cr_assert_eq(mbedtls_ecdsa_sign(&group, &r, &s, &d, hash, length,
                                            mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE),
                         0);
            cr_assert_eq(mbedtls_ecdsa_verify(&group, hash, length, &q, &r, &s), 0);
            hash[0] ^= 1;
            cr_assert_eq(mbedtls_ecdsa_verify(&group, hash, length, &q, &r, &s),
                         MBEDTLS_ERR_ECP_VERIFY_FAILED);
            mbedtls_mpi_free(&d);
            mbedtls_mpi_free(&r);
            mbedtls_mpi_free(&s);
            mbedtls_ecp_point_free(&q);
            mbedtls_ecp_group_free(&group);
        }
}

/* PSA makes TLS 1.3's keys: what it tells as public must belong to what it keeps secret. */
static void agree_by_psa(psa_ecc_family_t family, size_t bits)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_key_id_t keys[2];
    unsigned char publics[2][97], secrets[2][48];
    size_t lengths[2], secret_lengths[2];
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(family));
    psa_set_key_bits(&attributes, bits);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_DERIVE);
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDH);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(psa_generate_key(&attributes, &keys[i]), PSA_SUCCESS);
        cr_assert_eq(psa_export_public_key(keys[i], publics[i], sizeof publics[i], &lengths[i]),
                     PSA_SUCCESS);
    }
    for (int i = 0; i < 2; i++)
        cr_assert_eq(psa_raw_key_agreement(PSA_ALG_ECDH, keys[i], publics[1 - i], lengths[1 - i],
                                           secrets[i], sizeof secrets[i], &secret_lengths[i]),
                     PSA_SUCCESS);
    cr_assert_eq(secret_lengths[0], bits == 255 ? 32 : bits / 8);
    cr_assert_eq(memcmp(secrets[0], secrets[1], secret_lengths[0]), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(psa_destroy_key(keys[i]), PSA_SUCCESS);
}

Test(accelerate, psa_makes_keys_that_agree)
{
    for (int i = 0; i < 20; i++) {
        agree_by_psa(PSA_ECC_FAMILY_SECP_R1, 256);
        agree_by_psa(PSA_ECC_FAMILY_SECP_R1, 384);
        agree_by_psa(PSA_ECC_FAMILY_MONTGOMERY, 255);
    }
}
