/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A plain encoder to check against: any number up to 21 bits, in the shortest form. */
static size_t encode(uint32_t character, uint8_t out[4])
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    size_t size = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--, character >>= 6)
        out[i] = (uint8_t)(0x80 | (character & 0x3F));
    out[0] = (uint8_t)(marks[size] | character);
    return size;
}

Test(utf8, every_character_is_valid_and_decodes_to_itself)
{
    for (uint32_t character = 0; character < 0x1FFFFF; character++) {
        uint8_t bytes[4];
        size_t size = encode(character, bytes);
        bool good = character <= 0x10FFFF && !(character >= 0xD800 && character <= 0xDFFF);
        cr_assert_eq(utf8_valid(bytes, size), good, "U+%04X", character);
        cr_assert_eq(utf8_sequence(bytes, size), good ? size : 0, "U+%04X", character);
        if (good)
            cr_assert_eq(utf8_decode(bytes, size), character);
    }
}

/* Each sequence of three bytes, against the number of valid ones that counting by rule gives. */
Test(utf8, exactly_the_shortest_forms_are_valid)
{
    size_t valid = 0;
    for (uint32_t i = 0; i < 1U << 24; i++) {
        const uint8_t bytes[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        if (utf8_sequence(bytes, 3) == 3)
            valid++;
    }
    cr_assert_eq(valid, 0x10000 - 0x800 - 0x800); /* U+0800 to U+FFFF without surrogates */
}

Test(utf8, refuses_the_classic_mistakes)
{
    static const char *const refused[] = {
        "\x80",             /* a continuation alone */
        "\xC3",             /* cut off */
        "\xE2\x82",         /* cut off */
        "\xF0\x9F\x98",     /* cut off */
        "\xC3\x28",         /* followed by no continuation */
        "\xC0\xAF",         /* "/" in an overlong form */
        "\xC1\xBF",         /* overlong */
        "\xE0\x9F\xBF",     /* overlong */
        "\xF0\x8F\xBF\xBF", /* overlong */
        "\xED\xA0\x80",     /* a high surrogate */
        "\xED\xBF\xBF",     /* a low surrogate */
        "\xF4\x90\x80\x80", /* past U+10FFFF */
        "\xF5\x80\x80\x80",
        "\xFE",
        "\xFF",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        cr_assert_not(utf8_valid(refused[i], strlen(refused[i])), "case %zu", i);
        cr_assert_eq(utf8_sequence(refused[i], strlen(refused[i])), 0, "case %zu", i);
    }
}

Test(utf8, empty_and_nul_are_valid)
{
    cr_assert(utf8_valid("", 0));
    cr_assert(utf8_valid("a\0b", 3));
    cr_assert_eq(utf8_sequence("", 0), 0);
}

/* The fast path takes eight bytes: a bad one must be found at each place in and around them. */
Test(utf8, finds_the_bad_byte_at_every_position)
{
    for (size_t length = 1; length < 40; length++) {
        uint8_t *bytes = malloc(length);
        cr_assert_not_null(bytes);
        for (size_t at = 0; at < length; at++) {
            memset(bytes, 'a', length);
            cr_assert_eq(utf8_prefix(bytes, length), length);
            bytes[at] = 0xFF;
            cr_assert_eq(utf8_prefix(bytes, length), at);
            cr_assert_not(utf8_valid(bytes, length));
            bytes[at] = 0xC3;
            cr_assert_eq(utf8_prefix(bytes, length), at);
            if (at + 1 < length) {
                bytes[at + 1] = 0xA9;
                cr_assert(utf8_valid(bytes, length));
            }
        }
        free(bytes);
    }
}
