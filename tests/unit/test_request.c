/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pki_support.h"
#include "tests/unit/tls_support.h"
#include "tls/pem.h"
#include "tls/request.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const labels[] = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", NULL};

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

static char *shell_makes(const char *name, const char *line)
{
    int status = 0;
    const char *output = pki_run(&status, "%s", line);
    cr_assert_eq(status, 0, "%s: %s", line, output);
    return slurp(name);
}

static char *create(const struct tls_key *key)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, TLS_REQUEST_PEM_MAX);
    cr_assert(tls_request_create(key, &text, &err), "%s", err.message);
    return pki_text(&text);
}

static char *create_anew(void)
{
    struct error err = {0};
    struct tls_key *key = NULL;
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    char *text = create(key);
    tls_key_free(key);
    return text;
}

static struct tls_request *parse(const char *text)
{
    struct error err = {0};
    struct tls_request *request = NULL;
    cr_assert(tls_request_parse(text, strlen(text), &request, &err), "%s", err.message);
    return request;
}

static void assert_bytes_refused(const char *text, size_t length, enum error_code code,
                                 const char *words)
{
    struct error err = {0};
    struct tls_request *request = NULL;
    cr_assert_not(tls_request_parse(text, length, &request, &err), "taken: %.300s", text);
    cr_assert_null(request);
    cr_assert_eq(err.code, code, "%s: %s", error_code_name(err.code), err.message);
    cr_assert_not_null(strstr(err.message, words), "said: %s", err.message);
    cr_assert_eq(strncmp(err.message, "the certificate request: ", 25), 0, "%s", err.message);
}

static void assert_refused(const char *text, enum error_code code, const char *words)
{
    assert_bytes_refused(text, strlen(text), code, words);
}

/* The DER form of a request, to be changed and wrapped again. */
static struct pem unwrap(const char *text)
{
    struct error err = {0};
    struct pem der;
    cr_assert(pem_block(text, strlen(text), TLS_REQUEST_PEM_MAX, labels, &der, &err), "%s",
              err.message);
    return der;
}

static char *wrap(const void *der, size_t length)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, 65536);
    cr_assert(pem_write(labels[0], der, length, &text, &err), "%s", err.message);
    return pki_text(&text);
}

Test(request, of_ours_is_verified_by_ours_and_openssl)
{
    int status = 0;
    const uint8_t *der;
    size_t length;
    struct error err = {0};
    struct tls_key *key = NULL;
    struct tls_public *public = NULL;
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    cr_assert(tls_public_of(key, &public, &err), "%s", err.message);
    char *text = create(key);
    struct tls_request *request = parse(text);
    cr_assert(tls_public_equal(tls_request_public(request), public));
    tls_request_der(request, &der, &length);
    char *again = wrap(der, length);
    cr_assert_str_eq(again, text);
    (void)pki_file("made.csr", text);
    const char *output = pki_run(&status, "openssl req -in made.csr -verify -noout -text");
    cr_assert_eq(status, 0, "%s", output);
    cr_assert_not_null(strstr(output, "self-signature verify OK"), "%s", output);
    cr_assert_not_null(strstr(output, "Subject: \n"), "%s", output);
    cr_assert_not_null(strstr(output, "ecdsa-with-SHA256"), "%s", output);
    free(again);
    free(text);
    tls_request_free(request);
    tls_request_free(NULL);
    tls_public_free(public);
    tls_key_free(key);
}

/* Whoever has a tool of his own: other curves and hashes, names, extensions that nobody knows. */
Test(request, of_openssl_is_taken_whatever_it_asks_for)
{
    static const char *const options[] = {
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha256 -subj /CN=root/O=admin",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha384 -subj /",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha512 -subj /CN=a",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha256 -subj /CN=a",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384 -subj /CN=a -newhdr",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha512 -subj /CN=a "
        "-addext subjectAltName=URI:spiffe://evil/bot/root -addext basicConstraints=CA:TRUE",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha256 -subj /CN=a "
        "-addext 1.2.3.4=critical,ASN1:UTF8String:x",
    };
    for (size_t i = 0; i < COUNT(options); i++) {
        char line[512];
        (void)snprintf(line, sizeof line, "openssl req -new -noenc -keyout o.key -out o.csr %s",
                       options[i]);
        char *text = shell_makes("o.csr", line);
        struct tls_request *request = parse(text);
        struct error err = {0};
        struct tls_key *key = NULL;
        struct tls_public *public = NULL;
        cr_assert(tls_key_read(pki_path("o.key"), &key, &err), "%s", err.message);
        cr_assert(tls_public_of(key, &public, &err), "%s", err.message);
        cr_assert(tls_public_equal(tls_request_public(request), public));
        tls_public_free(public);
        tls_key_free(key);
        tls_request_free(request);
        free(text);
    }
}

Test(request, for_another_kind_of_key_is_refused_by_its_name)
{
    static const struct {
        const char *options;
        const char *words;
    } kinds[] = {
        {"-newkey rsa:1024", "an RSA key of 1024 bits is not accepted"},
        {"-newkey rsa:2048", "an RSA key of 2048 bits is not accepted"},
        {"-newkey rsa:4096", "an RSA key of 4096 bits is not accepted"},
        {"-newkey ec -pkeyopt ec_paramgen_curve:P-224", "an EC key on P-224 is not accepted"},
        {"-newkey ec -pkeyopt ec_paramgen_curve:P-521", "an EC key on P-521 is not accepted"},
        {"-newkey ec -pkeyopt ec_paramgen_curve:secp256k1", "an EC key on secp256k1 is not"},
        {"-newkey ed25519", "an Ed25519 key is not accepted"},
    };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char line[512];
        (void)snprintf(line, sizeof line,
                       "openssl req -new -noenc -keyout k.key -out k.csr -subj /CN=a %s",
                       kinds[i].options);
        char *text = shell_makes("k.csr", line);
        assert_refused(text, ERROR_UNSUPPORTED, kinds[i].words);
        assert_refused(text, ERROR_UNSUPPORTED, "an EC key on P-256 or P-384 is needed");
        free(text);
    }
}

Test(request, signed_with_a_weak_hash_is_refused)
{
    static const struct {
        const char *hash;
        const char *words;
    } hashes[] = {{"-sha1", "ECDSA with SHA-1; "},
                  {"-sha224", "ECDSA with SHA-224; "},
                  {"-sha3-256", "2.16.840.1.101.3.4.3.10; "}};
    for (size_t i = 0; i < COUNT(hashes); i++) {
        char line[512];
        (void)snprintf(line, sizeof line,
                       "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc "
                       "-keyout h.key -out h.csr -subj /CN=a %s",
                       hashes[i].hash);
        char *text = shell_makes("h.csr", line);
        assert_refused(text, ERROR_UNSUPPORTED, hashes[i].words);
        free(text);
    }
}

/* A request with another's public key, copied from a certificate that everybody can see. */
Test(request, for_the_key_of_another_is_refused)
{
    char *mine = create_anew();
    char *other = create_anew();
    struct pem der = unwrap(mine);
    struct pem source = unwrap(other);
    /* Both begin alike: headers, version, empty subject, and 91 bytes of SubjectPublicKeyInfo. */
    unsigned char *key = memmem(der.bytes, der.length, "\x03\x42\x00\x04", 4);
    const unsigned char *wanted = memmem(source.bytes, source.length, "\x03\x42\x00\x04", 4);
    cr_assert_not_null(key);
    cr_assert_not_null(wanted);
    memcpy(key, wanted, 68);
    char *forged = wrap(der.bytes, der.length);
    assert_refused(forged, ERROR_DENIED, "not signed by the key that it is for");
    free(forged);
    free(mine);
    free(other);
    pem_release(&der);
    pem_release(&source);
}

/* Any change of a bit: of what is signed, of the algorithm, of the signature, of a length. */
Test(request, with_a_bit_flipped_is_refused)
{
    char *text = create_anew();
    struct pem der = unwrap(text);
    for (size_t bit = 0; bit < 8 * der.length; bit++) {
        struct error err = {0};
        struct tls_request *request = NULL;
        der.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        char *changed = wrap(der.bytes, der.length);
        cr_assert_not(tls_request_parse(changed, strlen(changed), &request, &err), "bit %zu", bit);
        cr_assert_neq(err.code, ERROR_NONE);
        free(changed);
        der.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    pem_release(&der);
    free(text);
}

Test(request, that_is_cut_or_longer_is_refused)
{
    char *text = create_anew();
    struct pem der = unwrap(text);
    for (size_t length = 1; length < der.length; length++) {
        char *cut = wrap(der.bytes, length);
        assert_refused(cut, ERROR_MALFORMED, "no certificate request in DER form");
        free(cut);
    }
    unsigned char *longer = calloc(1, der.length + 1);
    cr_assert_not_null(longer);
    memcpy(longer, der.bytes, der.length);
    char *more = wrap(longer, der.length + 1);
    assert_refused(more, ERROR_MALFORMED, "no certificate request in DER form");
    free(more);
    free(longer);
    pem_release(&der);
    free(text);
}

Test(request, comes_alone)
{
    char *text = create_anew();
    char *twice = pki_chain(text, text);
    char *behind = pki_chain(text, "x");
    char *before = pki_chain("Certificate Request:\n", text);
    char *spaced = pki_chain("\r\n\t ", text);
    char *ended = pki_chain(text, "\r\n \t\n");
    assert_refused(twice, ERROR_MALFORMED, "more behind its PEM block");
    assert_refused(behind, ERROR_MALFORMED, "more behind its PEM block");
    assert_refused(before, ERROR_MALFORMED, "does not begin with -----BEGIN CERTIFICATE REQUEST");
    assert_bytes_refused(text, strlen(text) + 1, ERROR_MALFORMED, "NUL");
    tls_request_free(parse(spaced));
    tls_request_free(parse(ended));
    free(twice);
    free(behind);
    free(before);
    free(spaced);
    free(ended);
    free(text);
}

Test(request, that_is_none_is_refused)
{
    struct pki ca;
    pki_ca(&ca, "bots");
    assert_refused(ca.pem, ERROR_MALFORMED, "does not begin with");
    assert_refused("", ERROR_MALFORMED, "empty");
    assert_refused("-----BEGIN CERTIFICATE REQUEST-----\n", ERROR_MALFORMED, "damaged");
    assert_refused("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
                   ERROR_MALFORMED, "damaged");
    assert_refused("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
                   ERROR_MALFORMED, "no certificate request in DER form");
    assert_refused("-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n"
                   "-----END CERTIFICATE REQUEST-----\n",
                   ERROR_MALFORMED, "damaged");
    pki_release(&ca);
}

Test(request, has_a_limit)
{
    char *text = create_anew();
    size_t length = strlen(text);
    char *large = malloc(TLS_REQUEST_PEM_MAX + 2);
    cr_assert_not_null(large);
    memset(large, '\n', TLS_REQUEST_PEM_MAX + 1);
    large[TLS_REQUEST_PEM_MAX + 1] = '\0';
    memcpy(large, text, length);
    assert_bytes_refused(large, TLS_REQUEST_PEM_MAX + 1, ERROR_LIMIT, "16385 bytes");
    large[TLS_REQUEST_PEM_MAX] = '\0';
    tls_request_free(parse(large));
    free(large);
    free(text);
}

/* RFC 2986, 4.1: the only version is 0. */
Test(request, of_another_version_is_refused)
{
    char *text = create_anew();
    struct pem der = unwrap(text);
    unsigned char *version = memmem(der.bytes, 16, "\x02\x01", 3);
    cr_assert_not_null(version);
    version[2] = 1;
    char *changed = wrap(der.bytes, der.length);
    assert_refused(changed, ERROR_MALFORMED, "no certificate request in DER form");
    free(changed);
    pem_release(&der);
    free(text);
}

/* RFC 5758, 3.2: ECDSA's algorithms have no parameters, and the signature does not cover them. */
Test(request, with_parameters_of_its_signature_is_refused)
{
    static const char plain[] = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
    unsigned char longer[512];
    char *text = create_anew();
    struct pem der = unwrap(text);
    unsigned char *algorithm = memmem(der.bytes, der.length, plain, sizeof plain - 1);
    cr_assert_not_null(algorithm);
    size_t before = (size_t)(algorithm - der.bytes) + sizeof plain - 1;
    cr_assert_lt(der.length + 2, sizeof longer);
    cr_assert_eq(der.bytes[1], 0x81);
    cr_assert_lt(der.bytes[2], 0xfe);
    memcpy(longer, der.bytes, before);
    memcpy(longer + before, "\x05\x00", 2); /* NULL */
    memcpy(longer + before + 2, der.bytes + before, der.length - before);
    longer[2] += 2;
    longer[algorithm - der.bytes + 1] += 2;
    char *changed = wrap(longer, der.length + 2);
    assert_refused(changed, ERROR_MALFORMED, "no certificate request in DER form");
    (void)pki_file("odd.csr", changed);
    int status = 0;
    const char *output = pki_run(&status, "openssl req -in odd.csr -noout -subject");
    cr_assert_eq(status, 0, "it is not well formed: %s", output);
    free(changed);
    pem_release(&der);
    free(text);
}

Test(request, says_when_there_is_no_room)
{
    struct error err = {0};
    struct tls_key *key = NULL;
    struct buffer small;
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    buffer_init(&small, 100);
    cr_assert_not(tls_request_create(key, &small, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(buffer_length(&small), 0);
    buffer_release(&small);
    tls_key_free(key);
}
