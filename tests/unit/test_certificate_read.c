/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pki_support.h"
#include "tls/certificate.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* One CA for each test, and one key that certificates are for. */
static struct pki ca;
static struct tls_key *key;
static struct tls_public *public;

static void set_up(void)
{
    struct error err = {0};
    pki_ca(&ca, "bot CA");
    cr_assert(tls_key_generate(&key, &err), "%s", err.message);
    cr_assert(tls_public_of(key, &public, &err), "%s", err.message);
}

static void tear_down(void)
{
    tls_public_free(public);
    tls_key_free(key);
    pki_release(&ca);
}

TestSuite(certificate_read, .init = set_up, .fini = tear_down);

static struct certificate_facts read_facts(const char *pem)
{
    struct error err = {0};
    struct certificate_facts facts;
    cr_assert(certificate_read(pem, strlen(pem), &facts, &err), "%s", err.message);
    return facts;
}

static void read_identity(const char *pem, struct identity *out)
{
    struct error err = {0};
    struct certificate_facts facts = read_facts(pem);
    cr_assert(identity_from_certificate(facts.der, facts.der_length, out, &err), "%s", err.message);
    certificate_facts_release(&facts);
}

/* Reading. */

Test(certificate_read, is_read_with_all_its_facts)
{
    char pin[CERTIFICATE_PIN_TEXT_SIZE];
    struct pki leaf;
    struct identity identity;
    uint8_t wanted[TLS_PIN_SIZE];
    struct error err = {0};
    struct tls_public *own = NULL;
    pki_client(&ca, "ci-1", &leaf);
    char *chain = pki_chain(leaf.pem, ca.pem);
    struct certificate_facts facts = read_facts(chain);
    read_identity(chain, &identity);
    cr_assert_str_eq(facts.subject, "CN=ci-1,OU=bots");
    cr_assert_str_eq(facts.issuer, "CN=bot CA,O=acme");
    cr_assert_str_eq(facts.subject_line, "/CN=ci-1/OU=bots");
    cr_assert_str_eq(facts.serial, identity.serial);
    cr_assert_str_eq(facts.fingerprint, identity.fingerprint);
    cr_assert_eq(facts.not_after_us, identity.not_after_us);
    cr_assert_eq(facts.count, 2);
    cr_assert_not(facts.is_ca);
    cr_assert(tls_public_of(leaf.key, &own, &err), "%s", err.message);
    tls_public_pin(own, wanted);
    cr_assert_eq(memcmp(wanted, facts.pin, sizeof wanted), 0);
    certificate_facts_release(&facts);
    certificate_facts_release(&facts);
    facts = read_facts(ca.pem);
    cr_assert(facts.is_ca);
    cr_assert_eq(facts.count, 1);
    cr_assert_str_eq(facts.subject, facts.issuer);
    certificate_pin_text(facts.pin, pin);
    certificate_facts_release(&facts);

    int status = 0;
    (void)pki_file("ca.crt", ca.pem);
    const char *said = pki_run(&status, "openssl x509 -in ca.crt -noout -pubkey | "
                                        "openssl pkey -pubin -outform DER | sha256sum");
    cr_assert_eq(strncmp(said, pin + 7, 64), 0, "%s and %s", said, pin);
    free(chain);
    tls_public_free(own);
    pki_release(&leaf);
}

static void assert_not_read(const char *pem, size_t length, enum error_code code)
{
    struct error err = {0};
    struct certificate_facts facts;
    cr_assert_not(certificate_read(pem, length, &facts, &err), "%.200s", pem);
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_null(facts.der);
    cr_assert_eq(strncmp(err.message, "the certificate: ", 17), 0, "%s", err.message);
}

Test(certificate_read, that_is_none_is_not_read)
{
    struct certificate_facts facts = read_facts(ca.pem);
    assert_not_read("", 0, ERROR_MALFORMED);
    assert_not_read("hello", 5, ERROR_MALFORMED);
    assert_not_read((const char *)facts.der, facts.der_length, ERROR_MALFORMED);
    assert_not_read(ca.pem, strlen(ca.pem) / 2, ERROR_MALFORMED);
    assert_not_read(ca.key_pem, strlen(ca.key_pem), ERROR_MALFORMED);
    certificate_facts_release(&facts);
    char *damaged = pki_chain(ca.pem, ca.pem);
    damaged[strlen(ca.pem) + 60] = '!';
    assert_not_read(damaged, strlen(damaged), ERROR_MALFORMED);
    free(damaged);
    char *large = calloc(1, CERTIFICATE_PEM_MAX + 1);
    cr_assert_not_null(large);
    memset(large, 'A', CERTIFICATE_PEM_MAX + 1);
    assert_not_read(large, CERTIFICATE_PEM_MAX + 1, ERROR_LIMIT);
    free(large);
}

Test(certificate_read, tells_whose_key_it_is_for)
{
    struct error err = {0};
    struct pki leaf;
    struct tls_public *own = NULL;
    pki_client(&ca, "ci-1", &leaf);
    cr_assert(tls_public_of(leaf.key, &own, &err), "%s", err.message);
    cr_assert(certificate_matches_key(leaf.pem, strlen(leaf.pem), own, &err), "%s", err.message);
    cr_assert_not(certificate_matches_key(leaf.pem, strlen(leaf.pem), public, &err));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert_not(certificate_matches_key("x", 1, own, &err));
    cr_assert_eq(err.code, ERROR_MALFORMED);
    tls_public_free(own);
    pki_release(&leaf);
}

/* Pins. */

Test(certificate_read, pins_are_printed_and_read)
{
    uint8_t pin[TLS_PIN_SIZE];
    uint8_t again[TLS_PIN_SIZE];
    char text[CERTIFICATE_PIN_TEXT_SIZE];
    struct error err = {0};
    for (size_t i = 0; i < sizeof pin; i++)
        pin[i] = (uint8_t)(i * 37 + 200);
    certificate_pin_text(pin, text);
    cr_assert_eq(strlen(text), 71);
    cr_assert_eq(strncmp(text, "sha256:c8ed", 11), 0, "%s", text);
    cr_assert(certificate_pin_parse(text, again, &err), "%s", err.message);
    cr_assert_eq(memcmp(pin, again, sizeof pin), 0);
    for (char *at = text + 7; *at; at++)
        if (*at >= 'a')
            *at = (char)(*at - 'a' + 'A');
    cr_assert(certificate_pin_parse(text, again, &err), "%s", err.message);
    cr_assert_eq(memcmp(pin, again, sizeof pin), 0);
}

Test(certificate_read, pins_that_are_none_are_refused)
{
    char text[CERTIFICATE_PIN_TEXT_SIZE + 1];
    uint8_t pin[TLS_PIN_SIZE] = {0};
    struct error err = {0};
    certificate_pin_text(pin, text);
    static const char *const bad[] = {"",          "sha256",    "sha256:", "sha1:00",
                                      "SHA256:00", "sha256:zz", "00"};
    for (size_t i = 0; i < COUNT(bad); i++)
        cr_assert_not(certificate_pin_parse(bad[i], pin, &err), "%s", bad[i]);
    cr_assert_eq(err.code, ERROR_MALFORMED);
    text[70] = 'g';
    cr_assert_not(certificate_pin_parse(text, pin, &err));
    text[70] = ' ';
    cr_assert_not(certificate_pin_parse(text, pin, &err));
    text[70] = '\0';
    cr_assert_not(certificate_pin_parse(text, pin, &err));
    memcpy(text + 70, "00", 3);
    cr_assert_not(certificate_pin_parse(text, pin, &err));
}
