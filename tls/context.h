/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a TLS endpoint needs, made once and shared: its certificate and key, whom it trusts, which
 * certificates are revoked, its ALPN protocols. A context is immutable after it was made and
 * counted by reference; it may be shared by the loops of several threads.
 *
 * TLS 1.2 and 1.3, AEAD suites with ECDHE only (tls/mbedtls_config.h). Both sides always verify the
 * peer: there is no option to turn that off. A server demands a client certificate with the
 * extended key usage clientAuth (one without that extension is refused), a client a server
 * certificate whose name matches, with serverAuth or, as databases make them, without extended key
 * usage.
 *
 * A server whose clients come to get their first certificate lets them in without one
 * (client_certificate_optional). Only the absence is forgiven: a certificate that is presented is
 * verified as ever, and refused with the same alerts.
 *
 * A client that does not have its server's CA yet knows it by the pin of its key (ca_pin). Then the
 * server sends its CA's certificate along, and is believed when that has exactly the pinned key, is
 * marked as a CA's, is valid now and signed the server's own certificate, with nothing in between.
 * What it says beyond that is not believed: whoever holds the pinned key may say anything.
 *
 * Where several CAs are given, each may sign: also two of the same name with different keys, as
 * there are while a CA is being replaced.
 *
 * A CRL is demanded of the CA that signed the peer's certificate once crl_file is given, and it
 * must be current at the time of the handshake: a revocation list that is missing or too old
 * refuses everybody (fails closed).
 *
 * No session is ever resumed: docs/decisions/0102-no-tls-resumption.md.
 */
#ifndef SALLYPORT_TLS_CONTEXT_H
#define SALLYPORT_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tls/key.h"

/*
 * A certificate of a peer that begins this little in the future is taken as valid already: it was
 * made by a CA that is trusted, so the clocks differ. Its end gets no such grace
 * (docs/decisions/0507-clocks-that-differ.md).
 */
#define TLS_CLOCK_SKEW_US INT64_C(900000000)

#define TLS_ALPN_MYSQL   "sallyport-mysql/1"
#define TLS_ALPN_CONTROL "sallyport-control/1"

/* The largest certificate, key or CRL file, or PEM text, that is read. */
#define TLS_FILE_MAX (4 * 1024 * 1024)

enum tls_side { TLS_SERVER, TLS_CLIENT };

/* Pins the protocol version; TLS_VERSION_ANY (0) negotiates the best of the two. */
enum tls_version { TLS_VERSION_ANY, TLS_VERSION_1_2, TLS_VERSION_1_3 };

struct tls_context;

struct tls_settings {
    enum tls_side side;
    /* PEM: certificate, then intermediates; a client may have none (NULL). */
    const char *cert_file;
    /* PEM; refused when group or others may read it. */
    const char *key_file;
    /* PEM: the CAs that sign the peer's certificate. */
    const char *ca_file;
    /* PEM, or NULL; must hold a current CRL: an expired one is an error. */
    const char *crl_file;
    /* The same as texts that end with NUL: each is used instead of its file when set. Where both
     * are, the text is what the file said when its owner read it, and errors name the file. */
    const char *cert_pem;
    const char *key_pem;
    const char *ca_pem;
    /* Whose texts these are, for messages: "the certificate given by the authority". */
    const char *pem_giver;
    /* A client's: instead of CAs and CRL, SHA-256 of the CA's SubjectPublicKeyInfo. Copied. */
    const uint8_t *ca_pin; /* TLS_PIN_SIZE bytes, or NULL */
    /* A server's: a client may come without a certificate; stream_peer() is NULL then. */
    bool client_certificate_optional;
    /* NULL-terminated, or NULL: no ALPN. Copied. A client without ALPN is accepted; one that offers
     * only others is refused by an alert. */
    const char *const *alpn;
    enum tls_version version;
};

/*
 * Reads the files and checks that they fit: the key belongs to the certificate, the certificate is
 * valid now (only a warning in the log if not: a tunnel whose certificate has expired must still be
 * able to say so), the CA file holds at least one certificate. The error names the file, or says
 * which of the texts it is.
 */
bool tls_context_create(const struct tls_settings *settings, struct tls_context **out,
                        struct error *err) MUST_USE;

struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL allowed; safe from any thread */

/* The context's own certificate's identity-independent validity, for local expiry checks. */
int64_t tls_context_not_before_us(const struct tls_context *context);
int64_t tls_context_not_after_us(const struct tls_context *context);

#endif
