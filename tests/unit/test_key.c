/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "tests/unit/pki_support.h"
#include "tests/unit/tls_support.h"
#include "tls/crypto.h"
#include "tls/digest.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char *slurp(const char *name)
{
    FILE *file = fopen(pki_path(name), "r");
    cr_assert_not_null(file, "%s", name);
    char *text = calloc(1, 65536);
    cr_assert_not_null(text);
    cr_assert_gt(fread(text, 1, 65535, file), 0);
    cr_assert_eq(fclose(file), 0);
    return text;
}

static void shell(const char *line)
{
    int status = 0;
    const char *output = pki_run(&status, "%s", line);
    cr_assert_eq(status, 0, "%s: %s", line, output);
}

static struct tls_key *generate(void)
{
    struct error err = {0};
    struct tls_key *key = NULL;
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    return key;
}

static struct tls_key *parse_key(const char *text)
{
    struct error err = {0};
    struct tls_key *key = NULL;
    cr_assert(tls_key_parse(text, strlen(text), &key, &err), "%s", err.message);
    return key;
}

static struct tls_public *public_of(const struct tls_key *key)
{
    struct error err = {0};
    struct tls_public *public = NULL;
    cr_assert(tls_public_of(key, &public, &err), "%s", err.message);
    return public;
}

static struct tls_public *parse_public(const char *text)
{
    struct error err = {0};
    struct tls_public *public = NULL;
    cr_assert(tls_public_parse(text, strlen(text), &public, &err), "%s", err.message);
    return public;
}

static bool same_key(const struct tls_key *a, const struct tls_key *b)
{
    struct tls_public *one = public_of(a);
    struct tls_public *other = public_of(b);
    bool same = tls_public_equal(one, other);
    tls_public_free(one);
    tls_public_free(other);
    return same;
}

static char *private_text(const struct tls_key *key)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, TLS_KEY_PEM_MAX);
    cr_assert(tls_key_write(key, &text, &err), "%s", err.message);
    return pki_text(&text);
}

static char *public_text(const struct tls_key *key)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, TLS_KEY_PEM_MAX);
    cr_assert(tls_key_public(key, &text, &err), "%s", err.message);
    return pki_text(&text);
}

static void assert_key_refused(const char *text, size_t length, enum error_code code,
                               const char *words)
{
    struct error err = {0};
    struct tls_key *key = NULL;
    cr_assert_not(tls_key_parse(text, length, &key, &err), "taken: %.200s", text);
    cr_assert_null(key);
    cr_assert_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
    cr_assert_null(strstr(err.message, "BEGIN PRIVATE"), "a key in a message");
}

static void assert_public_refused(const char *text, enum error_code code, const char *words)
{
    struct error err = {0};
    struct tls_public *public = NULL;
    cr_assert_not(tls_public_parse(text, strlen(text), &public, &err), "taken: %.200s", text);
    cr_assert_null(public);
    cr_assert_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
}

/* Private keys. */

Test(key, is_new_each_time)
{
    struct tls_key *one = generate();
    struct tls_key *other = generate();
    cr_assert_not(same_key(one, other));
    tls_key_free(one);
    tls_key_free(other);
    tls_key_free(NULL);
}

Test(key, is_written_and_read)
{
    for (int i = 0; i < 50; i++) { /* numbers with leading zeros included */
        struct tls_key *key = generate();
        char *text = private_text(key);
        struct tls_key *again = parse_key(text);
        cr_assert(same_key(key, again));
        free(text);
        tls_key_free(again);
        tls_key_free(key);
    }
}

Test(key, is_pkcs8_that_openssl_reads)
{
    int status = 0;
    struct tls_key *key = generate();
    char *text = private_text(key);
    cr_assert_eq(strncmp(text, "-----BEGIN PRIVATE KEY-----\n", 28), 0);
    (void)pki_file("made.key", text);
    const char *output = pki_run(&status, "openssl pkey -in made.key -check -noout -text");
    cr_assert_eq(status, 0, "%s", output);
    cr_assert_not_null(strstr(output, "Key is valid"), "%s", output);
    cr_assert_not_null(strstr(output, "NIST CURVE: P-256"), "%s", output);
    free(text);
    text = public_text(key);
    (void)pki_file("made.pub", text);
    output = pki_run(&status, "openssl pkey -in made.key -pubout | cmp - made.pub");
    cr_assert_eq(status, 0, "%s", output);
    free(text);
    tls_key_free(key);
}

/* All forms in which tools write EC keys. P-384 keys are written as well as read. */
Test(key, reads_what_openssl_writes)
{
    static const char *const commands[] = {
        "openssl ecparam -name prime256v1 -genkey -noout -out form.key",
        "openssl ecparam -name prime256v1 -genkey -out form.key", /* EC PARAMETERS before it */
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out form.key",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out form.key",
        "openssl ecparam -name secp384r1 -genkey -noout -out form.key",
        "openssl ecparam -name prime256v1 -genkey -noout | openssl ec -no_public -out form.key",
        "openssl ecparam -name secp384r1 -genkey -noout | openssl ec -conv_form compressed "
        "-out form.key",
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | sed 's/$/\\r/' "
        "> form.key",
    };
    for (size_t i = 0; i < COUNT(commands); i++) {
        shell(commands[i]);
        char *text = slurp("form.key");
        struct tls_key *key = parse_key(text);
        char *public = public_text(key);
        (void)pki_file("form.pub", public);
        shell("openssl pkey -in form.key -pubout -ec_conv_form uncompressed | cmp - form.pub");
        char *written = private_text(key);
        (void)pki_file("again.key", written);
        shell("openssl pkey -in again.key -check -noout");
        free(written);
        free(public);
        free(text);
        tls_key_free(key);
    }
}

Test(key, refuses_other_kinds)
{
    static const struct {
        const char *options;
        const char *words;
    } kinds[] = {
        {"-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "an RSA key of 2048 bits is not accepted"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "not accepted; an EC key on P-256"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:P-224", "not accepted; an EC key on P-256"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:P-521", "not accepted; an EC key on P-256"},
        {"-algorithm ED25519", "not accepted; an EC key on P-256"},
        {"-algorithm X25519", "not accepted; an EC key on P-256"},
    };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        int status = 0;
        const char *output = pki_run(&status, "openssl genpkey %s -out kind.key", kinds[i].options);
        cr_assert_eq(status, 0, "%s", output);
        char *text = slurp("kind.key");
        assert_key_refused(text, strlen(text), ERROR_UNSUPPORTED, kinds[i].words);
        free(text);
    }
}

Test(key, refuses_encrypted_ones)
{
    shell("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes128 "
          "-pass pass:secret -out locked8.key");
    shell("openssl ecparam -name prime256v1 -genkey -noout | "
          "openssl ec -aes128 -passout pass:secret -out locked1.key");
    char *text = slurp("locked8.key");
    assert_key_refused(text, strlen(text), ERROR_UNSUPPORTED, "encrypted");
    free(text);
    text = slurp("locked1.key");
    assert_key_refused(text, strlen(text), ERROR_UNSUPPORTED, "encrypted");
    free(text);
}

Test(key, refuses_what_is_none)
{
    static const char no_key[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_key_refused("", 0, ERROR_MALFORMED, "empty");
    assert_key_refused("hello", 5, ERROR_MALFORMED, "no private key in PEM form");
    assert_key_refused(no_key, sizeof no_key - 1, ERROR_MALFORMED, "no private key");
    assert_key_refused("a\0b", 3, ERROR_MALFORMED, "NUL");
    char *large = malloc(TLS_KEY_PEM_MAX + 1);
    cr_assert_not_null(large);
    memset(large, 'A', TLS_KEY_PEM_MAX + 1);
    assert_key_refused(large, TLS_KEY_PEM_MAX + 1, ERROR_LIMIT, "16385 bytes");
    free(large);
    struct tls_key *key = generate();
    char *text = public_text(key);
    assert_key_refused(text, strlen(text), ERROR_MALFORMED, "no private key");
    free(text);
    text = private_text(key);
    assert_key_refused(text, strlen(text) / 2, ERROR_MALFORMED, "no private key");
    free(text);
    tls_key_free(key);
}

/* RFC 5915, 3: the public key that is written beside the private one is another's. */
Test(key, refuses_halves_that_do_not_fit)
{
    shell("for n in 1 2; do openssl ecparam -name prime256v1 -genkey -noout -out half$n.key; "
          "openssl ec -in half$n.key -outform DER -out half$n.der; done; "
          "{ head -c 56 half1.der; tail -c +57 half2.der; } > mixed.der && "
          "{ echo '-----BEGIN EC PRIVATE KEY-----'; base64 -w 64 mixed.der; "
          "echo '-----END EC PRIVATE KEY-----'; } > mixed.key");
    char *text = slurp("mixed.key");
    assert_key_refused(text, strlen(text), ERROR_MALFORMED, "do not fit together");
    free(text);
}

/* Files. */

static void assert_file_refused(const char *name, enum error_code code, const char *words)
{
    struct error err = {0};
    struct tls_key *key = NULL;
    const char *path = pki_path(name);
    int descriptors = open_descriptors();
    cr_assert_not(tls_key_read(path, &key, &err));
    cr_assert_null(key);
    cr_assert_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
    cr_assert_eq(strncmp(err.message, path, strlen(path)), 0, "names no file: %s", err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
    cr_assert_eq(open_descriptors(), descriptors);
}

Test(key, is_read_from_a_file)
{
    struct error err = {0};
    struct tls_key *key = generate();
    struct tls_key *again = NULL;
    char *text = private_text(key);
    cr_assert(tls_key_read(pki_file("own.key", text), &again, &err), "%s", err.message);
    cr_assert(same_key(key, again));
    tls_key_free(again);
    cr_assert_eq(chmod(pki_path("own.key"), 0400), 0);
    cr_assert(tls_key_read(pki_path("own.key"), &again, &err), "%s", err.message);
    tls_key_free(again);
    tls_key_free(key);
    free(text);
}

/* I8. */
Test(key, refuses_a_file_that_others_may_read)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0610, 0601, 0777};
    struct tls_key *key = generate();
    char *text = private_text(key);
    const char *path = pki_file("open.key", text);
    for (size_t i = 0; i < COUNT(modes); i++) {
        cr_assert_eq(chmod(path, modes[i]), 0);
        assert_file_refused("open.key", ERROR_CONFIG, "open to other users");
    }
    free(text);
    tls_key_free(key);
}

Test(key, refuses_files_that_are_no_key_files)
{
    struct tls_key *key = generate();
    char *text = private_text(key);
    (void)pki_file("real.key", text);
    shell("ln -sf real.key link.key && ln -sf nothing dangling.key && mkdir -p dir.key && "
          "chmod 700 dir.key && mkfifo -m 600 pipe.key && : > empty.key && chmod 600 empty.key && "
          "truncate -s 20K large.key && chmod 600 large.key");
    (void)pki_file("garbage.key", "hello\n");
    assert_file_refused("link.key", ERROR_CONFIG, "symbolic link");
    assert_file_refused("dangling.key", ERROR_CONFIG, "symbolic link");
    assert_file_refused("missing.key", ERROR_SYSTEM, "No such file");
    assert_file_refused("dir.key", ERROR_CONFIG, "not a regular file");
    assert_file_refused("pipe.key", ERROR_CONFIG, "not a regular file");
    assert_file_refused("empty.key", ERROR_CONFIG, "has 0 bytes");
    assert_file_refused("large.key", ERROR_CONFIG, "not 1 to 16384");
    assert_file_refused("garbage.key", ERROR_MALFORMED, "no private key");
    free(text);
    tls_key_free(key);
}

/* Signatures. */

static void sign(const struct tls_key *key, const uint8_t digest[TLS_DIGEST_SIZE],
                 struct buffer *out)
{
    struct error err = {0};
    buffer_init(out, 256);
    cr_assert(tls_key_sign(key, digest, out, &err), "%s", err.message);
}

static void assert_not_signed(const struct tls_public *public, const uint8_t *digest,
                              const void *signature, size_t length)
{
    struct error err = {0};
    cr_assert_not(tls_public_verify(public, digest, signature, length, &err));
    cr_assert_eq(err.code, ERROR_DENIED, "%s", err.message);
}

Test(key, signs_what_its_public_half_verifies)
{
    struct error err = {0};
    uint8_t digest[TLS_DIGEST_SIZE];
    digest_of("hello", 5, digest);
    for (int i = 0; i < 30; i++) {
        struct buffer signature;
        struct tls_key *key = generate();
        struct tls_public *public = public_of(key);
        sign(key, digest, &signature);
        cr_assert(tls_public_verify(public, digest, buffer_bytes(&signature),
                                    buffer_length(&signature), &err),
                  "%s", err.message);
        buffer_release(&signature);
        tls_public_free(public);
        tls_key_free(key);
    }
}

Test(key, verifies_nothing_else)
{
    uint8_t digest[TLS_DIGEST_SIZE];
    uint8_t bytes[TLS_SIGNATURE_MAX + 2] = {0};
    struct buffer signature;
    struct tls_key *key = generate();
    struct tls_key *other_key = generate();
    struct tls_public *public = public_of(key);
    struct tls_public *other = public_of(other_key);
    digest_of("hello", 5, digest);
    sign(key, digest, &signature);
    size_t length = buffer_length(&signature);
    memcpy(bytes, buffer_bytes(&signature), length);
    assert_not_signed(other, digest, bytes, length);
    assert_not_signed(public, digest, bytes, length + 1); /* a byte behind it */
    assert_not_signed(public, digest, bytes, sizeof bytes);
    for (size_t cut = 0; cut < length; cut++)
        assert_not_signed(public, digest, bytes, cut);
    for (size_t i = 0; i < length; i++) {
        bytes[i] ^= 1;
        assert_not_signed(public, digest, bytes, length);
        bytes[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        digest[i] ^= 0x80;
        assert_not_signed(public, digest, bytes, length);
        digest[i] ^= 0x80;
    }
    buffer_release(&signature);
    tls_public_free(public);
    tls_public_free(other);
    tls_key_free(key);
    tls_key_free(other_key);
}

/* What a bot's own tool could send, and what others can check. */
Test(key, agrees_with_openssl_on_signatures)
{
    int status = 0;
    static const char *const curves[] = {"P-256", "P-384"};
    for (size_t i = 0; i < COUNT(curves); i++) {
        uint8_t digest[TLS_DIGEST_SIZE];
        uint8_t bytes[256];
        struct error err = {0};
        const char *output =
            pki_run(&status,
                    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:%s -out s.key && "
                    "openssl pkey -in s.key -pubout -out s.pub && printf hello > s.txt && "
                    "openssl dgst -sha256 -sign s.key -out s.sig s.txt",
                    curves[i]);
        cr_assert_eq(status, 0, "%s", output);
        char *text = slurp("s.pub");
        struct tls_public *public = parse_public(text);
        free(text);
        FILE *file = fopen(pki_path("s.sig"), "r");
        cr_assert_not_null(file);
        size_t length = fread(bytes, 1, sizeof bytes, file);
        cr_assert_eq(fclose(file), 0);
        digest_of("hello", 5, digest);
        cr_assert(tls_public_verify(public, digest, bytes, length, &err), "%s", err.message);

        struct buffer signature;
        text = slurp("s.key");
        struct tls_key *key = parse_key(text);
        free(text);
        sign(key, digest, &signature);
        file = fopen(pki_path("s.sig"), "w");
        cr_assert_not_null(file);
        cr_assert_eq(fwrite(buffer_bytes(&signature), 1, buffer_length(&signature), file),
                     buffer_length(&signature));
        cr_assert_eq(fclose(file), 0);
        shell("openssl dgst -sha256 -verify s.pub -signature s.sig s.txt");
        buffer_release(&signature);
        tls_public_free(public);
        tls_key_free(key);
    }
}

static void *sign_often(void *argument)
{
    uint8_t digest[TLS_DIGEST_SIZE];
    struct tls_public *public = public_of(argument);
    for (int i = 0; i < 100; i++) {
        struct buffer signature;
        struct error err = {0};
        digest_of(&i, sizeof i, digest);
        sign(argument, digest, &signature);
        cr_assert(tls_public_verify(public, digest, buffer_bytes(&signature),
                                    buffer_length(&signature), &err),
                  "%s", err.message);
        buffer_release(&signature);
    }
    tls_public_free(public);
    return NULL;
}

Test(key, is_shared_by_threads)
{
    pthread_t threads[4];
    struct tls_key *key = generate();
    for (size_t i = 0; i < COUNT(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, sign_often, key), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    tls_key_free(key);
}

/* Public keys. */

Test(key, refuses_public_keys_of_other_kinds_and_says_which)
{
    static const struct {
        const char *options;
        const char *words;
    } kinds[] = {
        {"-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "an RSA key of 1024 bits is not accepted"},
        {"-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "an RSA key of 2048 bits is not accepted"},
        {"-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", "an RSA key for PSS is not accepted"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1", "an EC key on secp256k1 is not"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:P-224", "an EC key on P-224 is not accepted"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:P-521", "an EC key on P-521 is not accepted"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1", "on brainpoolP256r1 is not"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:sect233k1", "an unknown curve (1.3.132.0.26)"},
        {"-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
         "an EC key whose curve is not named is not accepted"},
        {"-algorithm ED25519", "an Ed25519 key is not accepted"},
        {"-algorithm ED448", "an Ed448 key is not accepted"},
        {"-algorithm X25519", "an X25519 key is not accepted"},
    };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        int status = 0;
        const char *output = pki_run(
            &status, "openssl genpkey %s -out k.key && openssl pkey -in k.key -pubout -out k.pub",
            kinds[i].options);
        cr_assert_eq(status, 0, "%s", output);
        char *text = slurp("k.pub");
        assert_public_refused(text, ERROR_UNSUPPORTED, kinds[i].words);
        assert_public_refused(text, ERROR_UNSUPPORTED, "an EC key on P-256 or P-384 is needed");
        free(text);
    }
}

Test(key, takes_one_public_key_and_nothing_else)
{
    struct tls_key *key = generate();
    char *text = public_text(key);
    char *twice = pki_chain(text, text);
    char *behind = pki_chain(text, "hello\n");
    char *before = pki_chain("hello\n", text);
    char *spaced = pki_chain("\n \t", text);
    assert_public_refused(twice, ERROR_MALFORMED, "more behind its PEM block");
    assert_public_refused(behind, ERROR_MALFORMED, "more behind its PEM block");
    assert_public_refused(before, ERROR_MALFORMED, "does not begin with -----BEGIN PUBLIC KEY");
    assert_public_refused("", ERROR_MALFORMED, "empty");
    tls_public_free(parse_public(spaced));
    text[30] = '!';
    assert_public_refused(text, ERROR_MALFORMED, "damaged");
    free(twice);
    free(behind);
    free(before);
    free(spaced);
    free(text);
    text = private_text(key);
    assert_public_refused(text, ERROR_MALFORMED, "does not begin with");
    free(text);
    tls_key_free(key);
}

/* A point that is not on the curve gives secrets away in other protocols; it is no key in ours. */
Test(key, refuses_points_that_are_not_on_the_curve)
{
    shell(
        "openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -outform DER "
        "-out p.der && { head -c 90 p.der; tail -c 1 p.der | tr '\\000-\\377' '\\001-\\377\\000'; "
        "} > off.der && { echo '-----BEGIN PUBLIC KEY-----'; base64 -w 64 off.der; "
        "echo '-----END PUBLIC KEY-----'; } > off.pub");
    char *text = slurp("off.pub");
    assert_public_refused(text, ERROR_MALFORMED, "no point of its curve");
    free(text);
}

Test(key, survives_public_keys_that_are_cut_or_flipped)
{
    struct tls_key *key = generate();
    char *text = public_text(key);
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        struct error err = {0};
        struct tls_public *public = NULL;
        if (i + 2 < length) /* the last line's end does not matter */
            cr_assert_not(tls_public_parse(text, i, &public, &err));
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        if (tls_public_parse(text, length, &public, &err))
            tls_public_free(public);
        text[i] = was;
    }
    free(text);
    tls_key_free(key);
}

/* The pin is what `openssl pkey -pubin -outform DER | sha256sum` prints. */
Test(key, has_the_pin_that_others_compute)
{
    int status = 0;
    uint8_t pin[TLS_PIN_SIZE];
    char hex[HEX_SIZE(TLS_PIN_SIZE)];
    struct tls_key *key = generate();
    struct tls_public *public = public_of(key);
    char *text = public_text(key);
    (void)pki_file("pin.pub", text);
    tls_public_pin(public, pin);
    hex_encode(pin, sizeof pin, hex);
    const char *output =
        pki_run(&status, "openssl pkey -pubin -in pin.pub -outform DER | sha256sum");
    cr_assert_eq(strncmp(output, hex, strlen(hex)), 0, "%s and %s", hex, output);
    free(text);
    tls_public_free(public);
    tls_key_free(key);
}

/* SEC 1, 2.3.3: two encodings of one point are one key, with one pin. */
Test(key, is_the_same_when_its_point_is_compressed)
{
    uint8_t pins[2][TLS_PIN_SIZE];
    shell("openssl ecparam -name prime256v1 -genkey -noout -out c.key && "
          "openssl pkey -in c.key -pubout -out long.pub && "
          "openssl pkey -in c.key -pubout -ec_conv_form compressed -out short.pub && "
          "! cmp -s long.pub short.pub");
    char *text = slurp("long.pub");
    struct tls_public *one = parse_public(text);
    free(text);
    text = slurp("short.pub");
    struct tls_public *other = parse_public(text);
    free(text);
    cr_assert(tls_public_equal(one, other));
    tls_public_pin(one, pins[0]);
    tls_public_pin(other, pins[1]);
    cr_assert_eq(memcmp(pins[0], pins[1], TLS_PIN_SIZE), 0);
    tls_public_free(one);
    tls_public_free(other);
}

Test(key, public_half_is_written_and_read)
{
    struct error err = {0};
    struct tls_key *key = generate();
    struct tls_public *public = public_of(key);
    struct buffer text;
    buffer_init(&text, TLS_KEY_PEM_MAX);
    cr_assert(tls_public_write(public, &text, &err), "%s", err.message);
    char *written = pki_text(&text);
    struct tls_public *again = parse_public(written);
    cr_assert(tls_public_equal(public, again));
    tls_public_free(again);
    tls_public_free(public);
    tls_public_free(NULL);
    tls_key_free(key);
    free(written);
}

Test(key, says_when_there_is_no_room)
{
    struct error err = {0};
    uint8_t digest[TLS_DIGEST_SIZE] = {0};
    struct buffer small;
    struct tls_key *key = generate();
    buffer_init(&small, 64);
    cr_assert_not(tls_key_write(key, &small, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_not(tls_key_public(key, &small, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_not(tls_key_sign(key, digest, &small, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(buffer_length(&small), 0);
    buffer_release(&small);
    tls_key_free(key);
}

Test(key, random_bytes_are_not_the_same_twice)
{
    struct error err = {0};
    uint8_t one[32] = {0};
    uint8_t other[32] = {0};
    cr_assert(crypto_random(one, sizeof one, &err), "%s", err.message);
    cr_assert(crypto_random(other, sizeof other, &err), "%s", err.message);
    cr_assert_neq(memcmp(one, other, sizeof one), 0);
}
