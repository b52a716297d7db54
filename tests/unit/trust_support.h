/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes between contexts of all kinds, for the tests of whom they trust, and a world of
 * certificates in memory that is theirs.
 */
#ifndef SALLYPORT_TESTS_TRUST_SUPPORT_H
#define SALLYPORT_TESTS_TRUST_SUPPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tests/unit/pki_support.h"
#include "tests/unit/tls_support.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Those that every rule is tried in. */
extern const enum tls_version versions[2];

/* What came of a handshake. */
struct outcome {
    bool secured; /* on both sides */
    char server[ERROR_MESSAGE_SIZE];
    char client[ERROR_MESSAGE_SIZE];
    char refused[256]; /* whom the server's stream says it refused */
};

/* Opens the pair and begins a handshake; the client asks for the server of that name. */
void start(struct pair *pair, struct tls_settings server, struct tls_settings client,
           const char *name, enum tls_version version);
/* A whole handshake, in a pair of its own. `wanted`: whether it is to succeed, on both sides. */
struct outcome shake_hands(const struct tls_settings *server, const struct tls_settings *client,
                           const char *name, enum tls_version version, bool wanted);
void assert_accepted(const struct tls_settings *server, const struct tls_settings *client,
                     const char *name);
/* The client refuses its server, in these words. */
void assert_server_refused(const struct tls_settings *server, const struct tls_settings *client,
                           const char *name, const char *words);
/* There is no context of these settings, for that reason. */
void assert_not_made(const struct tls_settings *settings, enum error_code code, const char *words);

/* A service CA with a server, and a bot CA with a client. */
struct world {
    struct pki services;
    struct pki bots;
    struct pki server;
    struct pki client;
    char *chain; /* the server's certificate and its CA's */
    uint8_t pin[TLS_PIN_SIZE];
};

void world_make(struct world *world);
void world_release(struct world *world);
/* What the two are set up with; the texts are the world's. */
struct tls_settings world_server(const struct world *world);
struct tls_settings world_client(const struct world *world);

/* The pin of a certificate's key. */
void pin_of(const char *pem, uint8_t pin[TLS_PIN_SIZE]);

#endif
