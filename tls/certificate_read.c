/* SPDX-License-Identifier: Apache-2.0 */
/* The half of tls/certificate.h that reads: what a certificate says, serials, pins. */
#include <mbedtls/x509_crt.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "tls/certificate.h"
#include "tls/crypto.h"
#include "tls/diagnose_internal.h"
#include "tls/digest.h"
#include "tls/identity_internal.h"
#include "tls/key_internal.h"
#include "tls/pem.h"

#define PIN_PREFIX "sha256:"

_Static_assert(CERTIFICATE_LINE_SIZE == DIAGNOSE_TEXT_SIZE, "diagnose_one_line() fills a line");

/* Serials. */

bool certificate_serial_random(uint8_t serial[CERTIFICATE_SERIAL_SIZE], struct error *err)
{
    do {
        if (!crypto_random(serial, CERTIFICATE_SERIAL_SIZE, err))
            return false;
        serial[0] &= 0x7f;
    } while (serial[0] == 0);
    return true;
}

void certificate_serial_text(const uint8_t serial[CERTIFICATE_SERIAL_SIZE],
                             char out[CERTIFICATE_SERIAL_TEXT_SIZE])
{
    size_t zeros = 0;
    while (zeros + 1 < CERTIFICATE_SERIAL_SIZE && serial[zeros] == 0)
        zeros++;
    hex_encode(serial + zeros, CERTIFICATE_SERIAL_SIZE - zeros, out);
}

/* Reading. */

static bool parse(const char *pem, size_t length, mbedtls_x509_crt *out, struct error *err)
{
    struct pem text;
    if (!crypto_start(err) || !pem_copy(pem, length, CERTIFICATE_PEM_MAX, &text, err))
        return false;
    bool done = true;
    int code = 0;
    /* Mbed TLS would try bare DER as well. */
    if (!strstr((const char *)text.bytes, "-----BEGIN CERTIFICATE-----"))
        done = error_set(err, ERROR_MALFORMED, "it is not in PEM form");
    else
        code = mbedtls_x509_crt_parse(out, text.bytes, text.length + 1);
    if (code == MBEDTLS_ERR_X509_ALLOC_FAILED)
        done = error_set(err, ERROR_MEMORY, "out of memory for it");
    else if (code != 0)
        done = error_set(err, ERROR_MALFORMED, "it cannot be read");
    pem_release(&text);
    return done;
}

static bool copy_text(const char *from, char out[IDENTITY_TEXT_MAX], struct error *err)
{
    size_t length = strlen(from);
    if (length >= IDENTITY_TEXT_MAX)
        return error_set(err, ERROR_LIMIT, "its names exceed %d bytes", IDENTITY_TEXT_MAX);
    memcpy(out, from, length + 1);
    return true;
}

/* An issuer is printed as the subject of a certificate that has it: the rules are the same. */
static bool read_issuer(const mbedtls_x509_crt *certificate, struct certificate_facts *out,
                        struct error *err)
{
    struct identity identity;
    mbedtls_x509_crt turned = *certificate;
    turned.subject = certificate->issuer;
    turned.subject_alt_names = (mbedtls_x509_sequence){0};
    return identity_from_parsed(&turned, true, &identity, err) &&
           copy_text(identity.subject, out->issuer, err);
}

static bool read_subject(const mbedtls_x509_crt *certificate, struct certificate_facts *out,
                         struct error *err)
{
    struct identity identity;
    if (!identity_from_parsed(certificate, true, &identity, err) ||
        !copy_text(identity.subject, out->subject, err))
        return false;
    memcpy(out->serial, identity.serial, sizeof out->serial);
    memcpy(out->fingerprint, identity.fingerprint, sizeof out->fingerprint);
    out->not_before_us = identity.not_before_us;
    out->not_after_us = identity.not_after_us;
    return true;
}

static bool read_facts(const mbedtls_x509_crt *certificate, struct certificate_facts *out,
                       struct error *err)
{
    if (!read_subject(certificate, out, err) || !read_issuer(certificate, out, err))
        return false;
    diagnose_one_line(&certificate->subject, out->subject_line);
    diagnose_one_line(&certificate->issuer, out->issuer_line);
    digest_of(certificate->pk_raw.p, certificate->pk_raw.len, out->pin);
    out->is_ca = mbedtls_x509_crt_get_ca_istrue(certificate) == 1;
    for (const mbedtls_x509_crt *each = certificate; each; each = each->next)
        out->count++;
    out->der = malloc(certificate->raw.len);
    if (!out->der)
        return error_set(err, ERROR_MEMORY, "out of memory for it");
    out->der_length = certificate->raw.len;
    memcpy(out->der, certificate->raw.p, out->der_length);
    return true;
}

bool certificate_read(const char *pem, size_t length, struct certificate_facts *out,
                      struct error *err)
{
    mbedtls_x509_crt certificate;
    mbedtls_x509_crt_init(&certificate);
    memset(out, 0, sizeof *out);
    bool done = parse(pem, length, &certificate, err) && read_facts(&certificate, out, err);
    mbedtls_x509_crt_free(&certificate);
    return done || error_wrap(err, "the certificate");
}

void certificate_facts_release(struct certificate_facts *facts)
{
    free(facts->der);
    facts->der = NULL;
    facts->der_length = 0;
}

bool certificate_matches_key(const char *pem, size_t length, const struct tls_public *public,
                             struct error *err)
{
    mbedtls_x509_crt certificate;
    struct tls_public *named = NULL;
    mbedtls_x509_crt_init(&certificate);
    bool done = parse(pem, length, &certificate, err) &&
                tls_public_from_der(certificate.pk_raw.p, certificate.pk_raw.len, &named, err);
    if (done && !tls_public_equal(named, public))
        done = error_set(err, ERROR_DENIED, "it is for another key");
    tls_public_free(named);
    mbedtls_x509_crt_free(&certificate);
    return done || error_wrap(err, "the certificate");
}

/* Pins. */

void certificate_pin_text(const uint8_t pin[TLS_PIN_SIZE], char out[CERTIFICATE_PIN_TEXT_SIZE])
{
    memcpy(out, PIN_PREFIX, sizeof PIN_PREFIX);
    hex_encode(pin, TLS_PIN_SIZE, out + sizeof PIN_PREFIX - 1);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool certificate_pin_parse(const char *text, uint8_t pin[TLS_PIN_SIZE], struct error *err)
{
    size_t prefix = sizeof PIN_PREFIX - 1;
    if (strncmp(text, PIN_PREFIX, prefix) != 0)
        return error_set(err, ERROR_MALFORMED, "a pin begins with " PIN_PREFIX);
    text += prefix;
    if (strlen(text) != (size_t)2 * TLS_PIN_SIZE)
        return error_set(err, ERROR_MALFORMED, "a pin has %d digits behind " PIN_PREFIX ", not %zu",
                         2 * TLS_PIN_SIZE, strlen(text));
    for (size_t i = 0; i < TLS_PIN_SIZE; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return error_set(err, ERROR_MALFORMED, "a pin's digits are hexadecimal");
        pin[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
