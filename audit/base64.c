/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/base64.h"

#include <stdint.h>

/* Input bytes that are encoded before a write: a multiple of 3. */
#define BASE64_STEP 192

static size_t encode(const uint8_t *from, size_t length, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t made = 0;
    for (size_t i = 0; i < length; i += 3) {
        size_t have = length - i;
        uint32_t group = (uint32_t)from[i] << 16;
        group |= have > 1 ? (uint32_t)from[i + 1] << 8 : 0;
        group |= have > 2 ? from[i + 2] : 0;
        to[made++] = digits[group >> 18];
        to[made++] = digits[group >> 12 & 63];
        to[made++] = have > 1 ? digits[group >> 6 & 63] : '=';
        to[made++] = have > 2 ? digits[group & 63] : '=';
    }
    return made;
}

void audit_base64(struct byte_writer *writer, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    char digits[BASE64_STEP / 3 * 4];
    while (length > 0) {
        size_t step = length < BASE64_STEP ? length : BASE64_STEP;
        byte_writer_bytes(writer, digits, encode(from, step, digits));
        from += step;
        length -= step;
    }
}
