/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

#define UTF8_HIGH_BITS 0x8080808080808080ULL

/*
 * What may follow a first byte: the whole sequence's size and the range of its second byte, which
 * is where overlong forms, surrogates and characters past U+10FFFF show (RFC 3629, section 4).
 */
struct utf8_rule {
    size_t size;
    uint8_t second_least;
    uint8_t second_greatest;
};

static struct utf8_rule utf8_rule(uint8_t first)
{
    if (first >= 0xC2 && first <= 0xDF)
        return (struct utf8_rule){2, 0x80, 0xBF};
    if (first >= 0xE0 && first <= 0xEF)
        return (struct utf8_rule){3, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF};
    if (first >= 0xF0 && first <= 0xF4)
        return (struct utf8_rule){4, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF};
    return (struct utf8_rule){0, 0, 0};
}

size_t utf8_sequence(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    if (length == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    struct utf8_rule rule = utf8_rule(at[0]);
    if (rule.size == 0 || rule.size > length)
        return 0;
    if (at[1] < rule.second_least || at[1] > rule.second_greatest)
        return 0;
    for (size_t i = 2; i < rule.size; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return rule.size;
}

uint32_t utf8_decode(const void *bytes, size_t size)
{
    static const uint8_t masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const uint8_t *at = bytes;
    uint32_t character = at[0] & masks[size];
    for (size_t i = 1; i < size; i++)
        character = character << 6 | (at[i] & 0x3F);
    return character;
}

size_t utf8_prefix(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    size_t done = 0;
    while (done < length) {
        uint64_t eight;
        if (length - done >= sizeof eight) {
            memcpy(&eight, at + done, sizeof eight);
            if ((eight & UTF8_HIGH_BITS) == 0) {
                done += sizeof eight;
                continue;
            }
        }
        size_t size = utf8_sequence(at + done, length - done);
        if (size == 0)
            break;
        done += size;
    }
    return done;
}

bool utf8_valid(const void *bytes, size_t length)
{
    return utf8_prefix(bytes, length) == length;
}
