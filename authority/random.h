/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and secrets out of the system's random numbers (libsodium: getrandom(2)). They cannot fail.
 */
#ifndef SALLYPORT_AUTHORITY_RANDOM_H
#define SALLYPORT_AUTHORITY_RANDOM_H

#include <stddef.h>

#include "authority/store.h"

void random_bytes(void *bytes, size_t length);

/* 64 bits, for tokens and locks. */
void random_id(char out[STORE_ID_SIZE]);

/* 128 bits, for instances. */
void random_instance(char out[STORE_INSTANCE_SIZE]);

#endif
