/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bound value of a prepared statement's parameter, as clients send it. (MySQL source
 * documentation, "Binary Protocol Value"; MariaDB manual, "COM_STMT_EXECUTE", "Binary parameter
 * encoding".)
 *
 * A type that MySQL and MariaDB read differently, or not at all, as a parameter is refused with
 * ERROR_UNSUPPORTED: what we cannot read as the server does must not pass (DESIGN.md, I6). Of
 * INT24, YEAR, BIT and GEOMETRY MySQL takes a length-encoded string (setup_one_conversion_function
 * in sql/sql_prepare.cc of 8.0) and MariaDB 10.11 no bytes at all, so that the next parameter would
 * be read out of them. NEWDATE, TIMESTAMP2, DATETIME2, TIME2, TYPED_ARRAY, BOOL and MariaDB's
 * compressed types are internal. Client libraries send none of these.
 */
#ifndef SALLYPORT_PROTOCOL_VALUE_H
#define SALLYPORT_PROTOCOL_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

/* Room for a date and time whose every field is as large as the wire allows, and its NUL. */
#define VALUE_TEXT_SIZE 64

enum value_kind {
    VALUE_NULL,
    VALUE_INTEGER,  /* integer */
    VALUE_UNSIGNED, /* unsigned_integer */
    VALUE_DOUBLE,   /* number */
    VALUE_FLOAT,    /* number, of single precision */
    VALUE_TEXT,  /* bytes in the connection's character set: strings, decimals, JSON, ENUM, SET */
    VALUE_BYTES, /* bytes: blobs, VECTOR */
    VALUE_DATETIME,  /* text, as MySQL prints it */
    VALUE_LONG_DATA, /* bytes that COM_STMT_SEND_LONG_DATA brought (cut at STATEMENT_LONG_VALUE_MAX)
                      */
    VALUE_DEFAULT,   /* bulk execute only: the column's default */
    VALUE_IGNORE,    /* bulk execute only: leave the column as it is */
    VALUE_UNSEEN,    /* it lies behind the part of the command that was captured */
};

struct value {
    enum value_kind kind;
    int64_t integer;
    uint64_t unsigned_integer;
    double number;
    struct byte_view bytes;
    uint64_t full_length;       /* of the bytes; greater than bytes.length where they were cut */
    char text[VALUE_TEXT_SIZE]; /* "2026-01-31 23:59:59.123456", "-838:59:59.000000" */
};

/* Whether this code (a type byte and a flag byte, little-endian) is one that parameters may have.
 */
bool value_type_check(uint16_t type, struct error *err) MUST_USE;

/*
 * Reads the next value, of a type that value_type_check() accepts. `unseen`: how many bytes of the
 * command follow those that the reader has; what lies in them is VALUE_UNSEEN, or a cut string.
 */
bool value_read(struct byte_reader *reader, uint16_t type, uint64_t unseen, struct value *out,
                struct error *err) MUST_USE;

#endif
