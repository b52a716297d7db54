/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives behind protocol/auth.h: SHA-1, SHA-256 and PBKDF2 of Mbed TLS, Ed25519 of
 * libsodium (docs/decisions/0201-libsodium.md). Safe to call from any thread.
 */
#ifndef SALLYPORT_TLS_AUTH_CRYPTO_H
#define SALLYPORT_TLS_AUTH_CRYPTO_H

#include "protocol/auth.h"

/* The table; it lives as long as the process. */
const struct auth_crypto *auth_crypto(void);

#endif
