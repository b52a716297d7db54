/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of what kind a public key is that somebody else made, told from its bytes alone: so that whoever
 * gave it learns what it is and what is wanted. For tls/ only.
 */
#ifndef SALLYPORT_TLS_KEY_KIND_H
#define SALLYPORT_TLS_KEY_KIND_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define KEY_WANTED "an EC key on P-256 or P-384 is needed"

/*
 * Whether a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7; DER) that fills `length` bytes exactly says
 * that it is EC (RFC 5480, 2.1.1) on P-256 or P-384. The point is not looked at. ERROR_MALFORMED,
 * or ERROR_UNSUPPORTED with "an RSA key of 1024 bits is not accepted; …".
 */
bool key_kind_check(const uint8_t *der, size_t length, struct error *err) MUST_USE;

#endif
