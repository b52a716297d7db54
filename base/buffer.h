/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte buffer with a limit: bytes are appended at the end and consumed at the start.
 *
 * Invariant, checked by buffer_check():
 *     start <= end <= capacity <= limit, and storage is NULL only while capacity is 0.
 *
 * A growable buffer allocates on demand, at least doubling, and never past its limit. A fixed
 * buffer uses storage of the caller and never allocates. Appending may move the bytes: pointers
 * from buffer_bytes() hold until the next append or reserve. When everything has been consumed both
 * positions return to 0, so that a buffer in steady use neither grows nor copies.
 */
#ifndef SALLYPORT_BASE_BUFFER_H
#define SALLYPORT_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct buffer {
    uint8_t *storage;
    size_t start;    /* first byte not yet consumed */
    size_t end;      /* one past the last byte */
    size_t capacity; /* bytes of storage */
    size_t limit;    /* capacity never exceeds this */
    bool fixed;      /* storage belongs to the caller */
};

/* An empty buffer that may grow to `limit` bytes. Allocates nothing yet. */
void buffer_init(struct buffer *buffer, size_t limit);

/* An empty buffer over `size` bytes of the caller's storage. */
void buffer_init_fixed(struct buffer *buffer, void *storage, size_t size);

/* Frees owned storage and empties the buffer, which may be used again. Safe to call twice. */
void buffer_release(struct buffer *buffer);

/* The bytes that are held, and their number. */
static inline const uint8_t *buffer_bytes(const struct buffer *buffer)
{
    return buffer->storage ? buffer->storage + buffer->start : (const uint8_t *)"";
}

static inline size_t buffer_length(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

/*
 * Makes room for `length` more bytes; *room points at it. What was written there counts once
 * buffer_commit() says so. Fails with ERROR_LIMIT past the limit, ERROR_MEMORY without memory; the
 * bytes held are untouched then.
 */
bool buffer_reserve(struct buffer *buffer, size_t length, uint8_t **room,
                    struct error *err) MUST_USE;

/* Counts `length` bytes written into reserved room. */
void buffer_commit(struct buffer *buffer, size_t length);

/* Appends a copy of `length` bytes. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t length,
                   struct error *err) MUST_USE;

/* Drops `length` bytes (at most what is held) from the start. They can be read until the next bytes
 * are appended, or memory is given back. */
void buffer_consume(struct buffer *buffer, size_t length);

/* Cuts the bytes held to the first `length`. */
void buffer_truncate(struct buffer *buffer, size_t length);

/* Drops all bytes and keeps the storage. */
void buffer_clear(struct buffer *buffer);

/* Drops all bytes, and frees the storage when it is larger than `keep`: for buffers that idle. */
void buffer_trim(struct buffer *buffer, size_t keep);

/*
 * Overwrites the whole storage with zeros, in a way that no compiler leaves out, and drops all
 * bytes; the storage stays. For what may hold a secret. A buffer that has grown has left copies
 * behind: reserve room for everything before a secret goes in.
 */
void buffer_wipe(struct buffer *buffer);

/* Whether the invariant holds. */
bool buffer_check(const struct buffer *buffer);

/*
 * The allocator behind every buffer, so that a test can make the nth allocation fail. NULL puts
 * realloc(3) back. Not for use while threads run.
 */
void buffer_set_allocator(void *(*reallocate)(void *memory, size_t size));

#endif
