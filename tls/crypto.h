/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What everything here that makes or checks keys needs first: the cryptography library started
 * once, random bytes, and words for what it refused.
 */
#ifndef SALLYPORT_TLS_CRYPTO_H
#define SALLYPORT_TLS_CRYPTO_H

#include <stddef.h>

#include "base/error.h"

/* Starts the library for the process. Cheap when it runs already; safe from any thread. */
bool crypto_start(struct error *err) MUST_USE;

/* Fills `out` with bytes that nobody can guess. */
bool crypto_random(void *out, size_t length, struct error *err) MUST_USE;

/*
 * ERROR_MEMORY or ERROR_TLS for a negative result of the library: "<text>: <the library's words>".
 * Returns false.
 */
bool crypto_failed(struct error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
