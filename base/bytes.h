/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked reading and writing of network bytes. No other code takes a number or a string out of
 * bytes that a peer sent.
 *
 * Reading: a struct byte_reader borrows the bytes. Each read returns true and moves on, or returns
 * false and has no side effect at all (neither the position nor *value changes), so a caller can
 * wait for more bytes and try again. Reads chain with &&. Strings are returned as views into the
 * bytes: they are not NUL-terminated and live as long as the bytes.
 *
 * Writing: a struct byte_writer appends to a buffer, whose limit bounds it. A failed append is
 * remembered and the rest is dropped; byte_writer_finish() reports it once, at the end.
 *
 * Length-encoded integers and strings are those of the MySQL protocol (MySQL source documentation,
 * "Protocol::LengthEncodedInteger"; 0xFB means NULL where a value may be NULL and 0xFF is invalid).
 */
#ifndef SALLYPORT_BASE_BYTES_H
#define SALLYPORT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Borrowed bytes. data is never NULL while length is not 0. */
struct byte_view {
    const uint8_t *data;
    size_t length;
};

struct byte_reader {
    const uint8_t *data;
    size_t length;
    size_t offset; /* <= length */
};

static inline struct byte_view byte_view(const void *data, size_t length)
{
    return (struct byte_view){data, length};
}

/* A view of a C string, without its NUL. */
struct byte_view byte_view_of(const char *text);
bool byte_view_equals(struct byte_view view, const char *text);

static inline struct byte_reader byte_reader(const void *data, size_t length)
{
    return (struct byte_reader){data, length, 0};
}

static inline size_t byte_reader_left(const struct byte_reader *reader)
{
    return reader->length - reader->offset;
}

bool byte_reader_u8(struct byte_reader *reader, uint8_t *value) MUST_USE;
bool byte_reader_u16le(struct byte_reader *reader, uint16_t *value) MUST_USE;
bool byte_reader_u24le(struct byte_reader *reader, uint32_t *value) MUST_USE;
bool byte_reader_u32le(struct byte_reader *reader, uint32_t *value) MUST_USE;
bool byte_reader_u64le(struct byte_reader *reader, uint64_t *value) MUST_USE;
bool byte_reader_u32be(struct byte_reader *reader, uint32_t *value) MUST_USE;

/*
 * Four bytes that the caller has checked to be there. For loops over small packets in bulk, where a
 * call for each field is most of the cost (response_pass_rows()); everything else uses a reader.
 */
static inline uint32_t byte_load_u32le(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The next byte, without moving on. */
bool byte_reader_peek(const struct byte_reader *reader, uint8_t *value) MUST_USE;

/* The next `length` bytes. */
bool byte_reader_view(struct byte_reader *reader, size_t length, struct byte_view *value) MUST_USE;
bool byte_reader_skip(struct byte_reader *reader, size_t length) MUST_USE;

/* Up to the next NUL, which is consumed and not part of the value. */
bool byte_reader_cstring(struct byte_reader *reader, struct byte_view *value) MUST_USE;

/* All that is left; never fails. */
struct byte_view byte_reader_rest(struct byte_reader *reader);

/* A length-encoded integer; 0xFB (NULL) and 0xFF are refused. */
bool byte_reader_lenenc(struct byte_reader *reader, uint64_t *value) MUST_USE;

/* A length-encoded string whose length is checked against what is left. NULL is refused. */
bool byte_reader_lenenc_view(struct byte_reader *reader, struct byte_view *value) MUST_USE;

struct byte_writer {
    struct buffer *out; /* borrowed */
    bool failed;
};

static inline struct byte_writer byte_writer(struct buffer *out)
{
    return (struct byte_writer){out, false};
}

void byte_writer_u8(struct byte_writer *writer, uint8_t value);
void byte_writer_u16le(struct byte_writer *writer, uint16_t value);
void byte_writer_u24le(struct byte_writer *writer, uint32_t value);
void byte_writer_u32le(struct byte_writer *writer, uint32_t value);
void byte_writer_u64le(struct byte_writer *writer, uint64_t value);
void byte_writer_u32be(struct byte_writer *writer, uint32_t value);
void byte_writer_bytes(struct byte_writer *writer, const void *bytes, size_t length);
void byte_writer_zeros(struct byte_writer *writer, size_t count);
/* The text and a NUL. The text must hold no NUL. */
void byte_writer_cstring(struct byte_writer *writer, const char *text);
void byte_writer_lenenc(struct byte_writer *writer, uint64_t value);
void byte_writer_lenenc_bytes(struct byte_writer *writer, const void *bytes, size_t length);

/* Whether everything was written. */
bool byte_writer_finish(const struct byte_writer *writer, struct error *err) MUST_USE;

#endif
