/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/charset.h"

#include <errno.h>
#include <string.h>

#include "audit/audit.h"
#include "base/utf8.h"

/* UTF-8 bytes that one byte of input can become at most: two bytes of some sets make two
 * characters of three bytes, and a pair of UTF-16 makes four. */
#define CHARSET_GROWTH 4

#define ASCII       AUDIT_CHARSET_ASCII
#define DOUBLE_BYTE AUDIT_CHARSET_DOUBLE_BYTE
#define WIDE        AUDIT_CHARSET_WIDE

/*
 * sjis goes through CP932, its superset, because glibc's SJIS turns the backslash into a yen sign,
 * which it is not for the server; euckr through UHC for the same reason of extent. swe7 reads as
 * ASCII, as the server's own lexer reads it.
 */
static const struct audit_charset charsets[] = {
    {"utf8mb4", NULL, ASCII, true},
    {"utf8mb3", NULL, ASCII, true},
    {"utf8", NULL, ASCII, true},
    {"binary", NULL, ASCII, true},
    {"ascii", NULL, ASCII, true},
    {"swe7", NULL, ASCII, true},
    {"latin1", NULL, ASCII, false},
    {"armscii8", "ARMSCII-8", ASCII, false},
    {"big5", "BIG5", DOUBLE_BYTE, false},
    {"cp1250", "CP1250", ASCII, false},
    {"cp1251", "CP1251", ASCII, false},
    {"cp1256", "CP1256", ASCII, false},
    {"cp1257", "CP1257", ASCII, false},
    {"cp850", "CP850", ASCII, false},
    {"cp852", "CP852", ASCII, false},
    {"cp866", "CP866", ASCII, false},
    {"cp932", "CP932", DOUBLE_BYTE, false},
    {"dec8", "DEC-MCS", ASCII, false},
    {"eucjpms", "EUC-JP-MS", ASCII, false},
    {"euckr", "UHC", ASCII, false},
    {"gb18030", "GB18030", DOUBLE_BYTE, false},
    {"gb2312", "GB2312", ASCII, false},
    {"gbk", "GBK", DOUBLE_BYTE, false},
    {"geostd8", NULL, ASCII, true},
    {"greek", "ISO-8859-7", ASCII, false},
    {"hebrew", "ISO-8859-8", ASCII, false},
    {"hp8", "HP-ROMAN8", ASCII, false},
    {"keybcs2", NULL, ASCII, true},
    {"koi8r", "KOI8-R", ASCII, false},
    {"koi8u", "KOI8-U", ASCII, false},
    {"latin2", "ISO-8859-2", ASCII, false},
    {"latin5", "ISO-8859-9", ASCII, false},
    {"latin7", "ISO-8859-13", ASCII, false},
    {"macce", "MAC-CENTRALEUROPE", ASCII, false},
    {"macroman", "MACINTOSH", ASCII, false},
    {"sjis", "CP932", DOUBLE_BYTE, false},
    {"tis620", "TIS-620", ASCII, false},
    {"ucs2", "UCS-2BE", WIDE, false},
    {"ujis", "EUC-JP", ASCII, false},
    {"utf16", "UTF-16BE", WIDE, false},
    {"utf16le", "UTF-16LE", WIDE, false},
    {"utf32", "UTF-32BE", WIDE, false},
};

static const struct audit_charset unknown_charset = {"binary", NULL, ASCII, true};

const struct audit_charset *audit_charset_find(const char *name)
{
    if (!name)
        return &charsets[0];
    for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++)
        if (strcmp(charsets[i].name, name) == 0)
            return &charsets[i];
    return &unknown_charset;
}

void audit_converter_init(struct audit_converter *converter)
{
    memset(converter, 0, sizeof *converter);
    buffer_init(&converter->text, (size_t)CHARSET_GROWTH * AUDIT_STATEMENT_LIMIT_MAX + 64);
    buffer_init(&converter->redacted, (size_t)CHARSET_GROWTH * 2 * AUDIT_STATEMENT_LIMIT_MAX);
    buffer_init(&converter->redacted_again, (size_t)CHARSET_GROWTH * 2 * AUDIT_STATEMENT_LIMIT_MAX);
}

static void close_handle(struct audit_converter_handle *handle)
{
    if (handle->charset && handle->descriptor != (iconv_t)-1)
        iconv_close(handle->descriptor);
    handle->charset = NULL;
}

void audit_converter_release(struct audit_converter *converter)
{
    for (size_t i = 0; i < AUDIT_CONVERTER_HANDLES; i++)
        close_handle(&converter->handles[i]);
    buffer_release(&converter->text);
    buffer_release(&converter->redacted);
    buffer_release(&converter->redacted_again);
}

void audit_converter_trim(struct audit_converter *converter)
{
    buffer_trim(&converter->text, AUDIT_CONVERTER_KEEP);
    buffer_trim(&converter->redacted, AUDIT_CONVERTER_KEEP);
    buffer_trim(&converter->redacted_again, AUDIT_CONVERTER_KEEP);
}

/* The handle of a set, opened at its first use; a set that cannot be opened is remembered too. */
static iconv_t handle_of(struct audit_converter *converter, const struct audit_charset *charset)
{
    struct audit_converter_handle *oldest = &converter->handles[0];
    converter->clock++;
    for (size_t i = 0; i < AUDIT_CONVERTER_HANDLES; i++) {
        struct audit_converter_handle *handle = &converter->handles[i];
        if (handle->charset == charset) {
            handle->used = converter->clock;
            return handle->descriptor;
        }
        if (handle->used < oldest->used)
            oldest = handle;
    }
    close_handle(oldest);
    oldest->charset = charset;
    oldest->descriptor = iconv_open("UTF-8", charset->iconv);
    oldest->used = converter->clock;
    return oldest->descriptor;
}

/* Whether the bytes are the beginning of a UTF-8 character whose end was cut off. */
static bool is_cut_character(const uint8_t *bytes, size_t length)
{
    uint8_t whole[4];
    if (length == 0 || length > 3)
        return false;
    /* The second byte's range depends on the first, so both ends of the range are tried. */
    for (unsigned fill = 0x80; fill <= 0xBF; fill += 0x3F) {
        memset(whole, (int)fill, sizeof whole);
        memcpy(whole, bytes, length);
        if (utf8_sequence(whole, sizeof whole) > length)
            return true;
    }
    return false;
}

static void take_utf8(const uint8_t *bytes, size_t length, bool cut, struct audit_text *out)
{
    size_t valid = utf8_prefix(bytes, length);
    if (valid < length && !(cut && is_cut_character(bytes + valid, length - valid)))
        return;
    *out = (struct audit_text){true, bytes, valid};
}

/* cp1252 in 0x80–0x9F, its holes filled by the C1 controls of the same number. */
static const uint16_t latin1_high[32] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
};

static size_t put_latin1(uint8_t *to, uint8_t byte)
{
    uint16_t character = byte >= 0x80 && byte < 0xA0 ? latin1_high[byte - 0x80] : byte;
    if (character < 0x80) {
        to[0] = byte;
        return 1;
    }
    if (character < 0x800) {
        to[0] = (uint8_t)(0xC0 | character >> 6);
        to[1] = (uint8_t)(0x80 | (character & 0x3F));
        return 2;
    }
    to[0] = (uint8_t)(0xE0 | character >> 12);
    to[1] = (uint8_t)(0x80 | (character >> 6 & 0x3F));
    to[2] = (uint8_t)(0x80 | (character & 0x3F));
    return 3;
}

static bool take_latin1(struct audit_converter *converter, const uint8_t *bytes, size_t length,
                        struct audit_text *out, struct error *err)
{
    uint8_t *room;
    buffer_clear(&converter->text);
    if (!buffer_reserve(&converter->text, length * 3, &room, err))
        return false;
    size_t made = 0;
    for (size_t i = 0; i < length; i++)
        made += put_latin1(room + made, bytes[i]);
    buffer_commit(&converter->text, made);
    *out = (struct audit_text){true, room, made};
    return true;
}

static bool take_iconv(struct audit_converter *converter, const struct audit_charset *charset,
                       const uint8_t *bytes, size_t length, bool cut, struct audit_text *out,
                       struct error *err)
{
    uint8_t *room;
    size_t left = length;
    size_t room_left = CHARSET_GROWTH * length + 16;
    iconv_t descriptor = handle_of(converter, charset);
    if (descriptor == (iconv_t)-1)
        return true;
    buffer_clear(&converter->text);
    if (!buffer_reserve(&converter->text, room_left, &room, err))
        return false;
    char *from =
        (char *)(uintptr_t)bytes; /* iconv(3) does not write there, whatever its type says */
    char *to = (char *)room;
    iconv(descriptor, NULL, NULL, NULL, NULL);
    bool whole = iconv(descriptor, &from, &left, &to, &room_left) == 0 || (errno == EINVAL && cut);
    /* The last character of a stateful set may still be inside. */
    whole = whole && iconv(descriptor, NULL, NULL, &to, &room_left) == 0;
    size_t made = (size_t)(to - (char *)room);
    if (whole && utf8_valid(room, made))
        *out = (struct audit_text){true, room, made};
    return true;
}

static bool is_ascii(const uint8_t *bytes, size_t length)
{
    uint8_t all = 0;
    for (size_t i = 0; i < length; i++)
        all |= bytes[i];
    return all < 0x80;
}

bool audit_convert(struct audit_converter *converter, const struct audit_charset *charset,
                   const void *bytes, size_t length, bool cut, struct audit_text *out,
                   struct error *err)
{
    *out = (struct audit_text){false, bytes, length};
    if (charset->utf8)
        take_utf8(bytes, length, cut, out);
    else if (charset->form != AUDIT_CHARSET_WIDE && is_ascii(bytes, length))
        out->is_text = true;
    else if (!charset->iconv)
        return take_latin1(converter, bytes, length, out, err);
    else
        return take_iconv(converter, charset, bytes, length, cut, out, err);
    return true;
}
