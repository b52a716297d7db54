/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small authority for the tunnel's tests: real TLS, real certificates, the rules of generations,
 * and modes in which it misbehaves. It signs with the bot CA and the service CA of the test
 * certificates, so that the test's proxy accepts whom it lets in.
 */
#ifndef SALLYPORT_TESTS_AUTHORITY_PEER_H
#define SALLYPORT_TESTS_AUTHORITY_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "control/message.h"
#include "tests/unit/tunnel_support.h"
#include "tls/key.h"

#define AUTHORITY_TOKEN \
    "sallyport-join-1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

enum authority_mode {
    AUTHORITY_GOOD,
    AUTHORITY_REFUSES,      /* answers `refusal` to what gives certificates, and to confirm */
    AUTHORITY_GARBAGE,      /* bytes that are no frame */
    AUTHORITY_NO_SENSE,     /* an answer without the fields that it must have */
    AUTHORITY_SILENT,       /* no answer */
    AUTHORITY_DROPS,        /* issues, and closes without saying so */
    AUTHORITY_OTHER_BOT,    /* a certificate of another bot */
    AUTHORITY_LIES,         /* another bot's certificate under this one's name */
    AUTHORITY_OTHER_KEY,    /* for a key that nobody asked with */
    AUTHORITY_EXPIRED,      /* one that has expired */
    AUTHORITY_FUTURE,       /* one that begins in ten minutes: the bot's clock is behind */
    AUTHORITY_BROKEN_CHAIN, /* behind it the wrong CA */
    AUTHORITY_OTHER_INSTANCE,
    AUTHORITY_A_CA, /* a CA's certificate */
};

struct authority {
    struct world *world;
    uv_tcp_t listener;
    struct address address;
    uint8_t pin[TLS_PIN_SIZE];
    struct tls_context *context;
    struct tls_key *bot_ca_key, *service_ca_key;
    char *bot_ca, *service_ca, *foreign_ca; /* PEM */
    struct list peers;

    /* To be set by tests. */
    enum authority_mode mode;
    struct control_failure refusal;
    const char *only; /* the request that the mode is for; NULL: all */
    const char *bot;  /* whom a token joins */
    int64_t life_ms;  /* of certificates */
    int64_t renew_ms; /* after how much of it to renew; 0: a third */
    int64_t skew_ms;  /* its clock, beside this machine's */
    struct tls_public *bound_key;

    /* What came. */
    int joins, join_keys, renewals, confirmations, failures;
    bool token_used, confirmed, superseded;
    uint64_t generation;
    char serial[64], previous[64]; /* of the certificate that is current, and the one before */
    char *last_csr;
};

/* Listens on loopback in the world's loop. */
void authority_open(struct authority *authority, struct world *world);
void authority_close(struct authority *authority);
/* Stops listening and drops what is open; authority_start() goes on at the same port. */
void authority_stop(struct authority *authority);
void authority_start(struct authority *authority);

/* From now on it shows a certificate of the same CA with another OU, e.g. a proxy's. */
void authority_pose(struct authority *authority, const char *unit);

/* Makes an identity by hand: certificate, key, CA as plain files. */
void authority_install(struct authority *authority, const char *directory, const char *bot,
                       int64_t begin_ms, int64_t end_ms);

#endif
