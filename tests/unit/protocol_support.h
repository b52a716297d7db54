/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of protocol/ share: bytes written as text, and packets that were written. */
#ifndef SALLYPORT_TESTS_PROTOCOL_SUPPORT_H
#define SALLYPORT_TESTS_PROTOCOL_SUPPORT_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "protocol/packet.h"

/* Bytes written as hexadecimal digits, in memory of their own so that a read past them is seen. */
struct bytes {
    uint8_t *data;
    size_t length;
};

static inline struct bytes bytes_of(const char *hex)
{
    struct bytes bytes = {malloc(strlen(hex) / 2 + 1), strlen(hex) / 2};
    cr_assert_not_null(bytes.data);
    for (size_t i = 0; i < bytes.length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes.data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    bytes.data = realloc(bytes.data, bytes.length ? bytes.length : 1);
    return bytes;
}

static inline struct byte_view view(struct bytes bytes)
{
    return byte_view(bytes.data, bytes.length);
}

static inline void expect_hex(const struct buffer *buffer, const char *hex)
{
    struct bytes bytes = bytes_of(hex);
    cr_assert_eq(buffer_length(buffer), bytes.length, "%zu bytes, not %zu", buffer_length(buffer),
                 bytes.length);
    cr_assert_arr_eq(buffer_bytes(buffer), bytes.data, bytes.length);
    free(bytes.data);
}

static inline struct byte_view payload_in(const struct buffer *buffer, uint8_t sequence)
{
    struct byte_view payload;
    struct error err = {0};
    size_t consumed;
    bool found;
    struct byte_view held = byte_view(buffer_bytes(buffer), buffer_length(buffer));
    cr_assert(packet_take(held, PACKET_LOGIN_MAX, sequence, &found, &payload, &consumed, &err),
              "%s", err.message);
    cr_assert(found);
    cr_assert_eq(consumed, held.length);
    return payload;
}

#endif
