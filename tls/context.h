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
 * A CRL is demanded of the CA that signed the peer's certificate once crl_file is given, and it
 * must be current at the time of the handshake: a revocation list that is missing or too old
 * refuses everybody (fails closed).
 *
 * No session is ever resumed: docs/decisions/0102-no-tls-resumption.md.
 */
#ifndef SALLYPORT_TLS_CONTEXT_H
#define SALLYPORT_TLS_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TLS_ALPN_MYSQL   "sallyport-mysql/1"
#define TLS_ALPN_CONTROL "sallyport-control/1"

/* The largest certificate, key or CRL file that is read. */
#define TLS_FILE_MAX (4 * 1024 * 1024)

enum tls_side { TLS_SERVER, TLS_CLIENT };

/* Pins the protocol version; TLS_VERSION_ANY (0) negotiates the best of the two. */
enum tls_version { TLS_VERSION_ANY, TLS_VERSION_1_2, TLS_VERSION_1_3 };

struct tls_context;

struct tls_settings {
    enum tls_side side;
    const char *cert_file; /* PEM: certificate, then intermediates; a client may have none (NULL) */
    const char *key_file;  /* PEM; refused when group or others may read it */
    const char *ca_file;   /* PEM: the CAs that sign the peer's certificate */
    const char *crl_file;  /* PEM, or NULL; must hold a current CRL: an expired one is an error */
    const char *const *alpn; /* NULL-terminated, or NULL: no ALPN. Copied. A client without ALPN is
                              * accepted; one that offers only others is refused by an alert */
    enum tls_version version;
};

/*
 * Reads the files and checks that they fit: the key belongs to the certificate, the certificate is
 * valid now (only a warning in the log if not: a tunnel whose certificate has expired must still be
 * able to say so), the CA file holds at least one certificate. The error names the file.
 */
bool tls_context_create(const struct tls_settings *settings, struct tls_context **out,
                        struct error *err) MUST_USE;

struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL allowed; safe from any thread */

/* The context's own certificate's identity-independent validity, for local expiry checks. */
int64_t tls_context_not_before_us(const struct tls_context *context);
int64_t tls_context_not_after_us(const struct tls_context *context);

#endif
