/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be told about a connection that stands or has failed, for people who set one up
 * (`sallyport db check`): kinds of failure that need different help, the names in the peer's
 * certificate, and our own certificate's names as a database account's REQUIRE clause writes them.
 */
#ifndef SALLYPORT_TLS_DIAGNOSE_H
#define SALLYPORT_TLS_DIAGNOSE_H

#include "tls/context.h"
#include "tls/stream.h"

#define DIAGNOSE_TEXT_SIZE 1024 /* of each text, its NUL included; longer ones end in "…" */

enum diagnosis {
    DIAGNOSIS_NONE,             /* nothing failed, or nothing of these */
    DIAGNOSIS_REFUSED,          /* nothing listens there */
    DIAGNOSIS_UNREACHABLE,      /* another error of connecting */
    DIAGNOSIS_PEER_UNTRUSTED,   /* the peer's certificate: no CA of ours signed it */
    DIAGNOSIS_PEER_NAME,        /* … it is for another host */
    DIAGNOSIS_PEER_TIME,        /* … it has expired, or is not valid yet, or its CA */
    DIAGNOSIS_PEER_CERTIFICATE, /* … another fault of it */
    DIAGNOSIS_OWN_CERTIFICATE,  /* the peer's alert is about our certificate (RFC 8446, 6.2) */
    DIAGNOSIS_OWN_EXPIRED,      /* … it says that it has expired */
    DIAGNOSIS_OWN_BAD, /* … it says that it is bad, as OpenSSL does of one that is not valid
                        * yet (ssl/statem/statem_lib.c, x509table) */
    DIAGNOSIS_TLS,     /* another alert */
};

/* Whether and why a stream failed. To be asked in its `failed` event. */
enum diagnosis diagnose_stream(const struct stream *stream);

/*
 * The DNS names and addresses in the certificate that the peer presented, verified or not:
 * "DNS:db1.internal, IP:10.0.0.5". "" where there is none, or it is not known any more. Valid
 * UTF-8.
 */
void diagnose_peer_names(const struct stream *stream, char out[DIAGNOSE_TEXT_SIZE]);

/*
 * Our certificate's subject and issuer in OpenSSL's one-line form, "/O=acme/CN=proxy-1", which
 * servers compare with REQUIRE SUBJECT and ISSUER letter by letter (X509_NAME_oneline()). "" where
 * the context has no certificate.
 */
void diagnose_own_subject(const struct tls_context *context, char out[DIAGNOSE_TEXT_SIZE]);
void diagnose_own_issuer(const struct tls_context *context, char out[DIAGNOSE_TEXT_SIZE]);

#endif
