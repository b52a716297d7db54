/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TYPE_UNSIGNED 0x8000u /* in the flag byte; no other flag is defined for clients of ours */

/* How a type's values lie in the packet. */
enum value_form {
    FORM_REFUSED = 0,
    FORM_NULL, /* no bytes */
    FORM_INTEGER,
    FORM_FLOAT,
    FORM_DOUBLE,
    FORM_DATE,
    FORM_DATETIME,
    FORM_TIME,
    FORM_TEXT,
    FORM_BYTES,
};

struct value_layout {
    uint8_t form;
    uint8_t width; /* of integers */
};

/* enum enum_field_types of MySQL 9.x (include/field_types.h) and MariaDB 11.8. */
static const struct value_layout value_layouts[256] = {
    [0] = {FORM_TEXT, 0},      /* DECIMAL */
    [1] = {FORM_INTEGER, 1},   /* TINY */
    [2] = {FORM_INTEGER, 2},   /* SHORT */
    [3] = {FORM_INTEGER, 4},   /* LONG */
    [4] = {FORM_FLOAT, 4},     /* FLOAT */
    [5] = {FORM_DOUBLE, 8},    /* DOUBLE */
    [6] = {FORM_NULL, 0},      /* NULL */
    [7] = {FORM_DATETIME, 0},  /* TIMESTAMP */
    [8] = {FORM_INTEGER, 8},   /* LONGLONG */
    [10] = {FORM_DATE, 0},     /* DATE */
    [11] = {FORM_TIME, 0},     /* TIME */
    [12] = {FORM_DATETIME, 0}, /* DATETIME */
    [15] = {FORM_TEXT, 0},     /* VARCHAR */
    [242] = {FORM_BYTES, 0},   /* VECTOR */
    [245] = {FORM_TEXT, 0},    /* JSON */
    [246] = {FORM_TEXT, 0},    /* NEWDECIMAL */
    [247] = {FORM_TEXT, 0},    /* ENUM */
    [248] = {FORM_TEXT, 0},    /* SET */
    [249] = {FORM_BYTES, 0},   /* TINY_BLOB */
    [250] = {FORM_BYTES, 0},   /* MEDIUM_BLOB */
    [251] = {FORM_BYTES, 0},   /* LONG_BLOB */
    [252] = {FORM_BYTES, 0},   /* BLOB */
    [253] = {FORM_TEXT, 0},    /* VAR_STRING */
    [254] = {FORM_TEXT, 0},    /* STRING */
};

bool value_type_check(uint16_t type, struct error *err)
{
    if (value_layouts[type & 0xFF].form == FORM_REFUSED)
        return error_set(err, ERROR_UNSUPPORTED,
                         "parameters of type %u are not supported: bind it as a string or blob",
                         type & 0xFFu);
    if (type & 0xFF00 & ~TYPE_UNSIGNED)
        return error_set(err, ERROR_UNSUPPORTED, "a parameter has unknown type flags 0x%02x",
                         (unsigned)type >> 8);
    return true;
}

static bool value_malformed(struct error *err)
{
    return error_set(err, ERROR_MALFORMED, "a bound value goes past the end of its command");
}

/* What is left here is only the beginning of a value. */
static bool value_unseen(struct byte_reader *reader, struct value *out)
{
    (void)byte_reader_rest(reader);
    out->kind = VALUE_UNSEEN;
    return true;
}

/* Whether `width` bytes are here; false with *err or with the value VALUE_UNSEEN. */
static bool value_take(struct byte_reader *reader, size_t width, uint64_t unseen,
                       struct byte_view *bytes, struct value *out)
{
    if (byte_reader_view(reader, width, bytes))
        return true;
    if (width - byte_reader_left(reader) <= unseen)
        (void)value_unseen(reader, out);
    return false;
}

/* A little-endian number of up to eight bytes. */
static uint64_t value_le(struct byte_view bytes)
{
    uint8_t padded[8] = {0};
    uint64_t number = 0;
    memcpy(padded, bytes.data, bytes.length < sizeof padded ? bytes.length : sizeof padded);
    struct byte_reader reader = byte_reader(padded, sizeof padded);
    if (!byte_reader_u64le(&reader, &number))
        return 0;
    return number;
}

static void value_integer(struct byte_view bytes, bool is_unsigned, struct value *out)
{
    uint64_t number = value_le(bytes);
    out->kind = is_unsigned ? VALUE_UNSIGNED : VALUE_INTEGER;
    out->unsigned_integer = number;
    switch (is_unsigned ? 0 : bytes.length) {
    case 1:
        out->integer = (int8_t)number;
        break;
    case 2:
        out->integer = (int16_t)number;
        break;
    case 4:
        out->integer = (int32_t)number;
        break;
    default:
        out->integer = (int64_t)number;
    }
}

static void value_number(struct byte_view bytes, struct value *out)
{
    uint64_t bits = value_le(bytes);
    if (bytes.length == sizeof(float)) {
        uint32_t half = (uint32_t)bits;
        float single;
        memcpy(&single, &half, sizeof single);
        out->kind = VALUE_FLOAT;
        out->number = (double)single;
    } else {
        memcpy(&out->number, &bits, sizeof out->number);
        out->kind = VALUE_DOUBLE;
    }
}

static bool value_fixed(struct byte_reader *reader, const struct value_layout *layout,
                        bool is_unsigned, uint64_t unseen, struct value *out, struct error *err)
{
    struct byte_view bytes;
    if (!value_take(reader, layout->width, unseen, &bytes, out))
        return out->kind == VALUE_UNSEEN || value_malformed(err);
    if (layout->form == FORM_INTEGER)
        value_integer(bytes, is_unsigned, out);
    else
        value_number(bytes, out);
    return true;
}

/* Fields of a date and time on the wire; those that were left out are 0. */
struct value_moment {
    uint16_t year;
    uint8_t month, day, hour, minute, second;
    uint32_t microsecond;
    uint16_t displacement; /* a signed number of minutes */
};

static bool value_moment_read(struct byte_view bytes, struct value_moment *moment)
{
    struct byte_reader reader = byte_reader(bytes.data, bytes.length);
    size_t length = bytes.length;
    return (length < 4 ||
            (byte_reader_u16le(&reader, &moment->year) && byte_reader_u8(&reader, &moment->month) &&
             byte_reader_u8(&reader, &moment->day))) &&
           (length < 7 ||
            (byte_reader_u8(&reader, &moment->hour) && byte_reader_u8(&reader, &moment->minute) &&
             byte_reader_u8(&reader, &moment->second))) &&
           (length < 11 || byte_reader_u32le(&reader, &moment->microsecond)) &&
           (length < 13 || byte_reader_u16le(&reader, &moment->displacement)) &&
           byte_reader_left(&reader) == 0;
}

/* Prints to the end of out->text. */
static void value_print(struct value *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void value_print(struct value *out, const char *format, ...)
{
    size_t have = strnlen(out->text, sizeof out->text);
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(out->text + have, sizeof out->text - have, format, arguments);
    va_end(arguments);
    if (written < 0)
        out->text[have] = '\0';
}

/*
 * Lengths: 0 for all zero, 4 date, 7 with time, 11 with microseconds, 13 with a time zone
 * displacement (MySQL from 8.0.19 on, include/my_time.h and libmysql/libmysql.cc). Of a DATE the
 * servers use the date alone.
 */
static bool value_datetime(struct byte_view bytes, bool date_only, struct value *out,
                           struct error *err)
{
    struct value_moment at = {0};
    size_t length = bytes.length;
    if ((length != 0 && length != 4 && length != 7 && length != 11 && length != 13) ||
        !value_moment_read(bytes, &at))
        return error_set(err, ERROR_MALFORMED, "a bound date has %zu bytes", length);
    out->kind = VALUE_DATETIME;
    value_print(out, "%04u-%02u-%02u", at.year, at.month, at.day);
    if (date_only)
        return true;
    value_print(out, " %02u:%02u:%02u", at.hour, at.minute, at.second);
    if (length >= 11)
        value_print(out, ".%06" PRIu32, at.microsecond);
    if (length >= 13) {
        int minutes = (int16_t)at.displacement;
        int size = minutes < 0 ? -minutes : minutes;
        value_print(out, "%c%02d:%02d", minutes < 0 ? '-' : '+', size / 60, size % 60);
    }
    return true;
}

/* Lengths: 0 for zero, 8 sign, days, hours, minutes and seconds, 12 with microseconds. */
static bool value_time(struct byte_view bytes, struct value *out, struct error *err)
{
    struct byte_reader reader = byte_reader(bytes.data, bytes.length);
    uint8_t negative = 0, hour = 0, minute = 0, second = 0;
    uint32_t days = 0, microsecond = 0;
    bool ok = bytes.length == 0 ||
              ((bytes.length == 8 || bytes.length == 12) && byte_reader_u8(&reader, &negative) &&
               byte_reader_u32le(&reader, &days) && byte_reader_u8(&reader, &hour) &&
               byte_reader_u8(&reader, &minute) && byte_reader_u8(&reader, &second) &&
               (bytes.length == 8 || byte_reader_u32le(&reader, &microsecond)));
    if (!ok)
        return error_set(err, ERROR_MALFORMED, "a bound time has %zu bytes", bytes.length);
    out->kind = VALUE_DATETIME;
    value_print(out, "%s%02" PRIu64 ":%02u:%02u", negative ? "-" : "", (uint64_t)days * 24 + hour,
                minute, second);
    if (bytes.length == 12)
        value_print(out, ".%06" PRIu32, microsecond);
    return true;
}

static bool value_temporal(struct byte_reader *reader, uint8_t form, uint64_t unseen,
                           struct value *out, struct error *err)
{
    struct byte_view bytes;
    if (!value_take(reader, 1, unseen, &bytes, out) ||
        !value_take(reader, bytes.data[0], unseen, &bytes, out))
        return out->kind == VALUE_UNSEEN || value_malformed(err);
    if (form == FORM_TIME)
        return value_time(bytes, out, err);
    return value_datetime(bytes, form == FORM_DATE, out, err);
}

static bool value_string(struct byte_reader *reader, uint8_t form, uint64_t unseen,
                         struct value *out, struct error *err)
{
    uint64_t length;
    uint8_t first = 0xFC;
    /* Nothing at all, or fewer bytes than the longest length takes, may be the beginning of one. */
    bool cut_length = unseen > 0 && byte_reader_left(reader) < 9 &&
                      (!byte_reader_peek(reader, &first) || (first >= 0xFC && first <= 0xFE));
    if (!byte_reader_lenenc(reader, &length))
        return cut_length ? value_unseen(reader, out) : value_malformed(err);
    size_t left = byte_reader_left(reader);
    if (length > left && length - left > unseen)
        return value_malformed(err);
    out->kind = form == FORM_TEXT ? VALUE_TEXT : VALUE_BYTES;
    out->full_length = length;
    if (length <= left && byte_reader_view(reader, (size_t)length, &out->bytes))
        return true;
    out->bytes = byte_reader_rest(reader);
    return true;
}

bool value_read(struct byte_reader *reader, uint16_t type, uint64_t unseen, struct value *out,
                struct error *err)
{
    const struct value_layout *layout = &value_layouts[type & 0xFF];
    *out = (struct value){0};
    switch (layout->form) {
    case FORM_INTEGER:
    case FORM_FLOAT:
    case FORM_DOUBLE:
        return value_fixed(reader, layout, type & TYPE_UNSIGNED, unseen, out, err);
    case FORM_DATE:
    case FORM_DATETIME:
    case FORM_TIME:
        return value_temporal(reader, layout->form, unseen, out, err);
    case FORM_TEXT:
    case FORM_BYTES:
        return value_string(reader, layout->form, unseen, out, err);
    case FORM_NULL:
        return error_set(err, ERROR_MALFORMED, "a parameter of type NULL is not marked as NULL");
    default:
        return value_type_check(type, err);
    }
}
