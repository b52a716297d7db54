/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

/* A first allocation that holds most commands and greetings without growing. */
#define BUFFER_FIRST_CAPACITY 256

static void *(*buffer_reallocate)(void *memory, size_t size) = realloc;

void buffer_set_allocator(void *(*reallocate)(void *memory, size_t size))
{
    buffer_reallocate = reallocate ? reallocate : realloc;
}

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_init_fixed(struct buffer *buffer, void *storage, size_t size)
{
    *buffer = (struct buffer){.storage = storage, .capacity = size, .limit = size, .fixed = true};
}

void buffer_release(struct buffer *buffer)
{
    if (!buffer->fixed) {
        free(buffer->storage);
        buffer->storage = NULL;
        buffer->capacity = 0;
    }
    buffer_clear(buffer);
}

/* Moves what is held to the front, so that consumed bytes become room again. */
static void buffer_compact(struct buffer *buffer)
{
    size_t length = buffer_length(buffer);
    if (buffer->start > 0 && length > 0)
        memmove(buffer->storage, buffer->storage + buffer->start, length);
    buffer->start = 0;
    buffer->end = length;
}

static bool buffer_grow(struct buffer *buffer, size_t needed, struct error *err)
{
    size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > buffer->limit / 2 ? buffer->limit : capacity * 2;
    if (capacity > buffer->limit)
        capacity = buffer->limit;
    uint8_t *storage = buffer_reallocate(buffer->storage, capacity);
    if (!storage)
        return error_set(err, ERROR_MEMORY, "out of memory for a buffer of %zu bytes", capacity);
    buffer->storage = storage;
    buffer->capacity = capacity;
    return true;
}

bool buffer_reserve(struct buffer *buffer, size_t length, uint8_t **room, struct error *err)
{
    size_t held = buffer_length(buffer);
    if (length > buffer->limit - held)
        return error_set(err, ERROR_LIMIT, "%zu bytes more than the limit of %zu bytes",
                         length - (buffer->limit - held), buffer->limit);
    if (length > buffer->capacity - buffer->end) {
        buffer_compact(buffer);
        if (length > buffer->capacity - buffer->end &&
            (buffer->fixed || !buffer_grow(buffer, held + length, err)))
            return false;
    }
    *room = buffer->storage + buffer->end;
    return true;
}

void buffer_commit(struct buffer *buffer, size_t length)
{
    size_t room = buffer->capacity - buffer->end;
    buffer->end += length < room ? length : room;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t length, struct error *err)
{
    if (length == 0)
        return true;
    uint8_t *room;
    if (!buffer_reserve(buffer, length, &room, err))
        return false;
    memcpy(room, bytes, length);
    buffer->end += length;
    return true;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    size_t held = buffer_length(buffer);
    buffer->start += length < held ? length : held;
    if (buffer->start == buffer->end)
        buffer_clear(buffer);
}

void buffer_truncate(struct buffer *buffer, size_t length)
{
    if (length < buffer_length(buffer))
        buffer->end = buffer->start + length;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->start = 0;
    buffer->end = 0;
}

void buffer_trim(struct buffer *buffer, size_t keep)
{
    buffer_clear(buffer);
    if (buffer->capacity > keep)
        buffer_release(buffer);
}

void buffer_wipe(struct buffer *buffer)
{
    if (buffer->storage)
        explicit_bzero(buffer->storage, buffer->capacity);
    buffer_clear(buffer);
}

bool buffer_check(const struct buffer *buffer)
{
    return buffer->start <= buffer->end && buffer->end <= buffer->capacity &&
           buffer->capacity <= buffer->limit && (buffer->storage || buffer->capacity == 0);
}
