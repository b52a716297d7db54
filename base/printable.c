/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define PRINTABLE_ELLIPSIS "\xE2\x80\xA6"

struct range {
    uint32_t first, last;
};

/* Characters that show nothing, or change how others show: Unicode 15, categories Cc, Cf, Zl, Zp,
 * with the fillers and variation selectors, which show nothing either. In rising order. */
static const struct range hidden[] = {
    {0x00, 0x1F},       {0x7F, 0x9F},       {0xAD, 0xAD},        {0x034F, 0x034F},
    {0x0600, 0x0605},   {0x061C, 0x061C},   {0x06DD, 0x06DD},    {0x070F, 0x070F},
    {0x0890, 0x0891},   {0x08E2, 0x08E2},   {0x115F, 0x1160},    {0x17B4, 0x17B5},
    {0x180B, 0x180F},   {0x200B, 0x200F},   {0x2028, 0x202E},    {0x2060, 0x206F},
    {0x3164, 0x3164},   {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},    {0xFFA0, 0xFFA0},
    {0xFFF0, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD},  {0x13430, 0x1343F},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0x10FFFF},
};

/* Marks that stand on the character before them and take no column: the common blocks. */
static const struct range combining[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x064B, 0x065F}, {0x0E34, 0x0E3A},
    {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0xFE20, 0xFE2F},
};

/* Characters of two columns: East Asian wide and full-width forms, and pictures. */
static const struct range wide[] = {
    {0x1100, 0x115E},   {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},
    {0x17000, 0x18CFF}, {0x1B000, 0x1B2FF}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
    {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

static bool within(uint32_t character, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count && ranges[i].first <= character; i++)
        if (character <= ranges[i].last)
            return true;
    return false;
}

#define WITHIN(character, ranges) within(character, ranges, sizeof(ranges) / sizeof *(ranges))

/* How one character is shown. */
struct glyph {
    char bytes[12];
    size_t length;
    size_t columns;
};

static void glyph_escape(struct glyph *glyph, uint32_t character)
{
    static const char *const letters = "abtnvfr"; /* from U+0007 on */
    int length;
    if (character >= 7 && character <= 13)
        length = snprintf(glyph->bytes, sizeof glyph->bytes, "\\%c", letters[character - 7]);
    else if (character < 0x100)
        length = snprintf(glyph->bytes, sizeof glyph->bytes, "\\x%02x", character);
    else if (character < 0x10000)
        length = snprintf(glyph->bytes, sizeof glyph->bytes, "\\u%04x", character);
    else
        length = snprintf(glyph->bytes, sizeof glyph->bytes, "\\U%06x", character);
    glyph->length = (size_t)length;
    glyph->columns = glyph->length;
}

/* The glyph of the character at `text`; returns the bytes that it takes there. */
static size_t glyph_of(const uint8_t *text, size_t length, struct glyph *glyph)
{
    if (*text >= 0x20 && *text < 0x7F) {
        *glyph = (struct glyph){{(char)*text}, 1, 1};
        return 1;
    }
    size_t size = utf8_sequence(text, length);
    uint32_t character = size > 0 ? utf8_decode(text, size) : *text;
    if (size == 0 || WITHIN(character, hidden)) {
        glyph_escape(glyph, character);
        return size ? size : 1;
    }
    memcpy(glyph->bytes, text, size);
    glyph->length = size;
    glyph->columns = WITHIN(character, combining) ? 0 : WITHIN(character, wide) ? 2 : 1;
    return size;
}

/* Whether what is left fits into the columns left. Looks no further than needed. */
static bool rest_fits(const uint8_t *text, size_t length, size_t columns)
{
    size_t used = 0;
    while (length > 0 && used <= columns) {
        struct glyph glyph;
        size_t size = glyph_of(text, length, &glyph);
        used += glyph.columns;
        text += size;
        length -= size;
    }
    return used <= columns;
}

size_t printable_write(struct byte_writer *writer, const void *text, size_t length, size_t columns,
                       bool *cut)
{
    const uint8_t *at = text;
    size_t used = 0;
    bool fits = columns == 0 || rest_fits(at, length, columns);
    if (cut)
        *cut = !fits;
    while (length > 0) {
        struct glyph glyph;
        size_t size = glyph_of(at, length, &glyph);
        if (!fits && used + glyph.columns > columns - 1) {
            byte_writer_bytes(writer, PRINTABLE_ELLIPSIS, strlen(PRINTABLE_ELLIPSIS));
            return used + 1;
        }
        byte_writer_bytes(writer, glyph.bytes, glyph.length);
        used += glyph.columns;
        at += size;
        length -= size;
    }
    return used;
}
