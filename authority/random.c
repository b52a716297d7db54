/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/random.h"

#include <sodium.h>
#include <stdint.h>

#include "base/hex.h"

void random_bytes(void *bytes, size_t length)
{
    randombytes_buf(bytes, length);
}

void random_id(char out[STORE_ID_SIZE])
{
    uint8_t bytes[(STORE_ID_SIZE - 1) / 2];
    random_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, out);
}

void random_instance(char out[STORE_INSTANCE_SIZE])
{
    uint8_t bytes[(STORE_INSTANCE_SIZE - 1) / 2];
    random_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, out);
}
