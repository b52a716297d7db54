/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/leg.h"

#include <string.h>

static bool home_begin(struct leg_home *home, struct error *err)
{
    if (home->compression)
        return true;
    /* A frame with 255 of at most one byte before it. */
    buffer_init(&home->output, COMPRESSION_FRAME_MAX + 256 * (COMPRESSION_HEADER_SIZE + (size_t)1));
    return compression_create(&home->compression, err);
}

void leg_home_release(struct leg_home *home)
{
    compression_destroy(home->compression);
    buffer_release(&home->output);
    *home = (struct leg_home){0};
}

bool leg_compress(struct leg *leg, struct leg_home *home, enum compression_method method,
                  uint8_t level, struct error *err)
{
    if (method == COMPRESSION_NONE)
        return true;
    if (!home_begin(home, err))
        return false;
    *leg = (struct leg){.home = home, .method = method, .level = level};
    buffer_init(&leg->left, COMPRESSION_PIECE_MAX);
    buffer_init(&leg->gathered, LEG_GATHER_MAX + COMPRESSION_PIECE_MAX);
    decompressor_init(&leg->decompressor, home->compression, method);
    return true;
}

void leg_close(struct leg *leg)
{
    leg->closed = true;
}

void leg_release(struct leg *leg)
{
    if (!leg->home)
        return;
    decompressor_release(&leg->decompressor);
    buffer_release(&leg->left);
    buffer_release(&leg->gathered);
    *leg = (struct leg){0};
}

/* What was left over goes first. False: part of it is still left, or the leg has closed. */
static bool give_left(struct leg *leg, leg_take *take, void *owner)
{
    size_t length = buffer_length(&leg->left);
    if (length == 0)
        return true;
    size_t taken = take(owner, buffer_bytes(&leg->left), length);
    if (leg->closed)
        return false;
    buffer_consume(&leg->left, taken);
    if (taken == length)
        buffer_release(&leg->left);
    return taken == length;
}

/* *whole: all of it was taken, and the leg has not closed. What was not taken is kept. */
static bool give(struct leg *leg, struct byte_view piece, leg_take *take, void *owner, bool *whole,
                 struct error *err)
{
    size_t taken = piece.length > 0 ? take(owner, piece.data, piece.length) : 0;
    *whole = taken == piece.length && !leg->closed;
    return *whole || leg->closed ||
           buffer_append(&leg->left, piece.data + taken, piece.length - taken, err);
}

/* Unpacks and gives, until the input is used up or the stream is paused. */
static bool unpack(struct leg *leg, struct stream *stream, struct byte_view input, size_t *at,
                   leg_take *take, void *owner, struct error *err)
{
    size_t given = 0;
    size_t consumed = 1;
    struct byte_view piece = {0};
    bool whole = true;
    while (whole && (consumed > 0 || piece.length > 0) && !stream_paused(stream)) {
        struct byte_view rest = byte_view(input.data + *at, input.length - *at);
        if (!decompressor_feed(&leg->decompressor, rest, leg->incoming, &consumed, &piece, err))
            return false;
        *at += consumed;
        given += consumed + piece.length;
        if (decompressor_begun(&leg->decompressor)) {
            given += LEG_FRAME_COST;
            if (leg->incoming != DECOMPRESSOR_ANY)
                leg->incoming = leg_next(leg);
        }
        if (!give(leg, piece, take, owner, &whole, err))
            return false;
        if (given >= LEG_BURST)
            stream_yield(stream);
    }
    return true;
}

bool leg_read(struct leg *leg, struct stream *stream, const uint8_t *data, size_t length,
              leg_take *take, void *owner, size_t *taken, struct error *err)
{
    size_t at = leg->seen ? 1 : 0;
    *taken = length;
    if (!leg->home) {
        *taken = take(owner, data, length);
        return true;
    }
    leg->seen = false;
    if (give_left(leg, take, owner) &&
        !unpack(leg, stream, byte_view(data, length), &at, take, owner, err))
        return false;
    if (leg->closed || !stream_paused(stream))
        return true;
    /* More may come out of what was taken: one byte stays, for which the stream comes again. */
    leg->seen = at == length;
    *taken = leg->seen ? length - 1 : at;
    return true;
}

/* How many frames go before those of the content, so that the last of these has the id `last`. */
static size_t padding_for(const struct leg *leg, size_t length, int last)
{
    size_t frames = (length + COMPRESSION_FRAME_MAX - 1) / COMPRESSION_FRAME_MAX;
    return last == LEG_ANY || length == 0 ? 0 : (uint8_t)(last + 1 - (int)frames - leg->outgoing);
}

/* Frames that are small leave in one write to the stream, and so in one TLS record. */
static bool write_frames(struct leg *leg, struct stream *stream, enum compression_method method,
                         struct byte_view bytes, int last, struct error *err)
{
    struct buffer *output = &leg->home->output;
    buffer_clear(output);
    bool good =
        compression_pad(&bytes, padding_for(leg, bytes.length, last), &leg->outgoing, output, err);
    while (good && bytes.length > 0) {
        size_t length = bytes.length < COMPRESSION_FRAME_MAX ? bytes.length : COMPRESSION_FRAME_MAX;
        good = compression_append(leg->home->compression, method, leg->level,
                                  byte_view(bytes.data, length), &leg->outgoing, output, err) &&
               stream_write(stream, buffer_bytes(output), buffer_length(output), err);
        bytes = byte_view(bytes.data + length, bytes.length - length);
        buffer_clear(output);
    }
    return good;
}

/* With what was gathered before it, in one frame where that is not too long. */
static bool write_behind(struct leg *leg, struct stream *stream, struct byte_view bytes, int last,
                         struct error *err)
{
    struct buffer *gathered = &leg->gathered;
    size_t length = buffer_length(gathered);
    bool good = true;
    if (length > 0 && bytes.length <= COMPRESSION_PIECE_MAX) {
        good = buffer_append(gathered, bytes.data, bytes.length, err);
        bytes = byte_view(buffer_bytes(gathered), buffer_length(gathered));
    } else if (length > 0) {
        good = write_frames(leg, stream, leg->method, byte_view(buffer_bytes(gathered), length),
                            LEG_ANY, err);
    }
    good = good && write_frames(leg, stream, leg->method, bytes, last, err);
    buffer_release(gathered);
    buffer_trim(&leg->home->output, LEG_KEEP_OUTPUT);
    return good;
}

bool leg_write(struct leg *leg, struct stream *stream, struct byte_view bytes, int last,
               struct error *err)
{
    return leg->home ? write_behind(leg, stream, bytes, last, err)
                     : stream_write(stream, bytes.data, bytes.length, err);
}

bool leg_gather(struct leg *leg, struct stream *stream, struct byte_view bytes, struct error *err)
{
    if (!leg->home || buffer_length(&leg->gathered) + bytes.length >= LEG_GATHER_MAX)
        return leg_write(leg, stream, bytes, LEG_ANY, err);
    return buffer_append(&leg->gathered, bytes.data, bytes.length, err);
}

bool leg_write_secret(struct leg *leg, struct stream *stream, struct byte_view bytes,
                      struct error *err)
{
    if (!leg->home)
        return stream_write(stream, bytes.data, bytes.length, err);
    struct buffer *output = &leg->home->output;
    bool good = write_frames(leg, stream, COMPRESSION_NONE, bytes, LEG_ANY, err);
    buffer_wipe(output);
    return good;
}
