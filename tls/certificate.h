/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates (RFC 5280): signed by a CA of ours, and read back.
 *
 * What certificate_sign() makes is X.509 v3 with basic constraints, key usage, extended key usage
 * (not for a CA), subject and authority key identifier and the SANs that were asked for; signed by
 * ECDSA with the hash that goes with the issuer's curve. It is read back before it is handed out:
 * what tls/identity.h would refuse is not signed.
 */
#ifndef SALLYPORT_TLS_CERTIFICATE_H
#define SALLYPORT_TLS_CERTIFICATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "tls/identity.h"
#include "tls/key.h"

/* RFC 5280, appendix A.1: ub-common-name, ub-organization-name, ub-organizational-unit-name. */
#define CERTIFICATE_NAME_MAX 64 /* characters, of each attribute's value */
/* The most attributes of a subject: what a reader of ours takes. */
#define CERTIFICATE_NAMES_MAX IDENTITY_ATTRIBUTES_MAX
/* The most SANs of each kind. */
#define CERTIFICATE_SANS_MAX IDENTITY_SAN_URIS_MAX
/* The longest SAN URI: the SPIFFE ID standard, 2.3. */
#define CERTIFICATE_URI_MAX 2048
/* The largest certificate that is signed, in DER form: a chain of two fits into one TLS record. */
#define CERTIFICATE_DER_MAX 7168
/* Room for a name as a database account's REQUIRE clause has it; a longer one ends in "…". */
#define CERTIFICATE_LINE_SIZE 1024
/* The longest PEM text of certificates that is read. */
#define CERTIFICATE_PEM_MAX (256 * 1024)

#define CERTIFICATE_SERIAL_SIZE      16
#define CERTIFICATE_SERIAL_TEXT_SIZE (2 * CERTIFICATE_SERIAL_SIZE + 1)
#define CERTIFICATE_PIN_TEXT_SIZE    (sizeof "sha256:" + 2 * TLS_PIN_SIZE)

/* An attribute of a subject. UTF-8; PrintableString where its characters allow, else UTF8String. */
struct certificate_name {
    const char *type;  /* "CN", "O" or "OU" */
    const char *value; /* 1 to CERTIFICATE_NAME_MAX characters, no control characters */
};

enum certificate_use {
    CERTIFICATE_CLIENT, /* extended key usage clientAuth */
    CERTIFICATE_SERVER, /* serverAuth */
    CERTIFICATE_BOTH,   /* both */
    CERTIFICATE_CA,     /* signs certificates, none of which is a CA (path length 0), and CRLs */
};

struct certificate_template {
    const struct certificate_name
        *names; /* the subject, in the certificate's order; at least one */
    size_t name_count;
    const char *const *san_uris; /* printable ASCII with a scheme */
    size_t san_uri_count;
    const char *const *san_dns; /* names of hosts; the first label may be "*" */
    size_t san_dns_count;
    const char *const *san_ips; /* "10.0.0.5", "::1" */
    size_t san_ip_count;
    int64_t not_before_us;                   /* wall time; cut to whole seconds */
    int64_t not_after_us;                    /* the last second of validity; cut to the issuer's */
    uint8_t serial[CERTIFICATE_SERIAL_SIZE]; /* big-endian, not all zero */
    enum certificate_use use;
    const struct tls_public *public; /* NULL in a self-signed one: the issuer's own */
};

/*
 * Appends the certificate in PEM. `issuer_pem` (NUL-terminated; its first certificate counts) must
 * be a CA's with issuer_key as its key; NULL makes it self-signed. It never outlives its issuer;
 * when nothing of its time is left then, or the issuer has expired, that is ERROR_CONFIG.
 * ERROR_MALFORMED or ERROR_LIMIT are for names that cannot be, ERROR_CONFIG for an issuer that may
 * not sign this.
 */
bool certificate_sign(const struct certificate_template *template, const struct tls_key *issuer_key,
                      const char *issuer_pem, struct buffer *pem, struct error *err) MUST_USE;

/* 128 random bits less the top one, so that it is positive; the first byte is never zero. */
bool certificate_serial_random(uint8_t serial[CERTIFICATE_SERIAL_SIZE], struct error *err) MUST_USE;

/* The serial as identity.h and certificate_facts write it: hex without leading zero bytes. */
void certificate_serial_text(const uint8_t serial[CERTIFICATE_SERIAL_SIZE],
                             char out[CERTIFICATE_SERIAL_TEXT_SIZE]);

/* What a certificate says. */
struct certificate_facts {
    char subject[IDENTITY_TEXT_MAX]; /* as identity.h: "CN=ci-1,O=reader,OU=bots" */
    char issuer[IDENTITY_TEXT_MAX];
    char subject_line[CERTIFICATE_LINE_SIZE]; /* as databases compare it: "/CN=ci-1/O=reader" */
    char issuer_line[CERTIFICATE_LINE_SIZE];
    char serial[64];       /* as identity.h */
    char fingerprint[65];  /* SHA-256 of the DER form */
    int64_t not_before_us; /* wall time */
    int64_t not_after_us;
    uint8_t pin[TLS_PIN_SIZE]; /* SHA-256 of its SubjectPublicKeyInfo */
    bool is_ca;
    size_t count; /* certificates in the text */
    uint8_t *der; /* of the first */
    size_t der_length;
};

/*
 * Reads the first certificate of a PEM text; the others must be certificates too. It is not
 * verified. A certificate that names nobody is taken. Ends with certificate_facts_release().
 */
bool certificate_read(const char *pem, size_t length, struct certificate_facts *out,
                      struct error *err) MUST_USE;
void certificate_facts_release(struct certificate_facts *facts);

/* Whether a certificate (PEM, the first) is for this key. *err says what is wrong if not. */
bool certificate_matches_key(const char *pem, size_t length, const struct tls_public *public,
                             struct error *err) MUST_USE;

/* A pin as people copy it: "sha256:" and 64 hexadecimal digits, which are printed in lower case. */
void certificate_pin_text(const uint8_t pin[TLS_PIN_SIZE], char out[CERTIFICATE_PIN_TEXT_SIZE]);
bool certificate_pin_parse(const char *text, uint8_t pin[TLS_PIN_SIZE], struct error *err) MUST_USE;

#endif
