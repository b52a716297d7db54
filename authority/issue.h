/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates: one function for each kind. Each signs with the CA of its kind that signs now, and
 * writes the ledger. Who may have what was decided before (join.h, renew.h); from a request (CSR)
 * only the key is taken.
 *
 *     kind             subject                          SAN                             use
 *     bot              CN=<bot>,O=<role>…,OU=bots       spiffe://<td>/bot/<bot>         client
 *                                                       sallyport:instance:<id>
 *     proxy            CN=<proxy>,OU=proxies            spiffe://<td>/proxy/<proxy>     both
 *                                                       its hosts
 *     authority        CN=authority,OU=authority        spiffe://<td>/authority         both
 *                                                       its hosts
 *     database client  CN=<MySQL user>                  spiffe://<td>/proxy/<proxy>     client
 *     database server  CN=<first host>                  its hosts                       server
 *
 * The CA differs by kind, and so do OU and the path of the SPIFFE id: a bot called "authority" or
 * "proxy" is a bot to everybody. All begin AUTHORITY_BACKDATE early and end in whole seconds.
 */
#ifndef SALLYPORT_AUTHORITY_ISSUE_H
#define SALLYPORT_AUTHORITY_ISSUE_H

#include "authority/core.h"
#include "tls/certificate.h"
#include "tls/key.h"
#include "tls/request.h"

/* Room for a certificate in PEM and the CA's behind it: base64 and its lines take 137 % of DER. */
#define AUTHORITY_CHAIN_SIZE (CERTIFICATE_DER_MAX * 3 / 2 + STORE_PEM_SIZE)

/* Whose SAN URI says that it is of one instance: this and the id. */
#define AUTHORITY_INSTANCE_URI "sallyport:instance:"

struct authority_certificate {
    char chain[AUTHORITY_CHAIN_SIZE]; /* PEM, leaf first */
    char serial[STORE_SERIAL_SIZE];
    int64_t not_after_us;
    int64_t renew_at_us; /* after a third of its lifetime */
};

/* A bot's, for one generation of an instance. */
struct authority_bot_certificate {
    const struct store_bot *bot; /* with the roles of now */
    const char *instance;
    int64_t generation;
};

/* ERROR_LIMIT: the bot has more roles than a certificate can name, AUTHORITY_ROLES_MAX. */
bool authority_issue_bot(struct authority *authority, const struct tls_public *key,
                         const struct authority_bot_certificate *wanted, int64_t now_us,
                         struct authority_certificate *out, struct error *err) MUST_USE;

bool authority_issue_proxy(struct authority *authority, const struct tls_public *key,
                           const char *name, const struct authority_hosts *hosts, int64_t now_us,
                           struct authority_certificate *out, struct error *err) MUST_USE;

/* For the authority's own hosts (settings). The chain has the service CA behind the leaf: whoever
 * joins knows that CA by its pin alone. ERROR_CONFIG when it has no hosts. */
bool authority_issue_self(struct authority *authority, const struct tls_public *key, int64_t now_us,
                          struct authority_certificate *out, struct error *err) MUST_USE;

/* For a proxy that logs in as a MySQL user; the name has been checked. */
bool authority_issue_client(struct authority *authority, const struct tls_public *key,
                            const char *mysql_user, const char *proxy, int64_t now_us,
                            struct authority_certificate *out, struct error *err) MUST_USE;

/* ttl_us 0: the default. CONTROL_INVALID: a lifetime that cannot be. */
bool authority_issue_server(struct authority *authority, const struct tls_public *key,
                            const struct authority_hosts *hosts, int64_t ttl_us, int64_t now_us,
                            struct authority_certificate *out, struct authority_refusal *refusal,
                            struct error *err) MUST_USE;

/* Reads a request; CONTROL_BAD_CSR with what is wrong with it. Ends with tls_request_free(). */
bool authority_read_csr(const char *csr, struct tls_request **out,
                        struct authority_refusal *refusal, struct error *err) MUST_USE;

/* `sign_database`: for a CSR, or (NULL) for a key that is made and handed out once. */
struct authority_server_wanted {
    const char *const *names;
    size_t name_count;
    int64_t ttl_us; /* 0: the default */
    const char *csr;
};

struct authority_server {
    struct authority_certificate certificate;
    struct buffer key; /* PEM; empty for a CSR. A secret: authority_server_release() */
};

/* CONTROL_INVALID (names, ttl), CONTROL_BAD_CSR. */
bool authority_sign_database(struct authority *authority,
                             const struct authority_server_wanted *wanted, int64_t now_us,
                             struct authority_server *out, struct authority_refusal *refusal,
                             struct error *err) MUST_USE;
/* Wipes the key. Safe to call twice. */
void authority_server_release(struct authority_server *server);

#endif
