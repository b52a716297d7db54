/* SPDX-License-Identifier: Apache-2.0 */
/* Small CAs in memory and what they sign, and openssl(1) as the second opinion on it. */
#ifndef SALLYPORT_TESTS_PKI_SUPPORT_H
#define SALLYPORT_TESTS_PKI_SUPPORT_H

#include <stddef.h>

#include "base/buffer.h"
#include "tls/certificate.h"
#include "tls/key.h"

#define PKI_MINUTE INT64_C(60000000)
#define PKI_HOUR   (60 * PKI_MINUTE)

/* A key and its certificate; both texts end with NUL. */
struct pki {
    struct tls_key *key;
    char *key_pem;
    char *pem;
};

/* A buffer's text on the heap. Releases the buffer. */
char *pki_text(struct buffer *buffer);

/* A subject of a few attributes that is valid from a minute ago for an hour, with a new serial. */
struct certificate_template pki_template(const struct certificate_name *names, size_t count,
                                         enum certificate_use use);

/* A CA of that name, valid for a day. */
void pki_ca(struct pki *ca, const char *name);
/* Signs the template for a new key; its `public` is filled in. The test fails when that fails. */
void pki_issue(const struct pki *ca, struct certificate_template *template, struct pki *out);
/* A server for localhost and 127.0.0.1, and a client CN=name,OU=bots. */
void pki_server(const struct pki *ca, struct pki *out);
void pki_client(const struct pki *ca, const char *name, struct pki *out);
void pki_release(struct pki *pki);

/* Two PEM texts, one behind the other, on the heap. */
char *pki_chain(const char *first, const char *second);

/* Where a file of the test's scratch directory is, in one of a few static buffers. */
const char *pki_path(const char *name);
/* Writes such a file, mode 0600; its path. */
const char *pki_file(const char *name, const char *text);

/*
 * Runs a command line by the shell in the scratch directory; its output (both streams), in a static
 * buffer, and its exit status.
 */
const char *pki_run(int *status, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
