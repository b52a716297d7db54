/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/compression.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "protocol/capability.h"

_Static_assert(COMPRESSION_PIECE_MAX <= COMPRESSION_FRAME_MAX, "a piece is a part of a frame");

/* Readers that are not in use. */
struct spares {
    void *readers[COMPRESSION_SPARES_MAX];
    size_t count;
};

struct compression {
    z_stream deflater;
    bool deflater_ready;
    ZSTD_CCtx *zstd; /* NULL until it is needed */
    struct spares inflaters;
    struct spares zstd_readers;
    struct decompressor *oldest, *newest; /* that hold much, by when they were last fed */
    size_t held;                          /* by all of them */
    uint8_t piece[COMPRESSION_PIECE_MAX];
};

enum compression_method compression_method_of(uint32_t capabilities)
{
    if (capabilities & CAPABILITY_COMPRESS)
        return COMPRESSION_ZLIB;
    return capabilities & CAPABILITY_ZSTD ? COMPRESSION_ZSTD : COMPRESSION_NONE;
}

bool compression_create(struct compression **out, struct error *err)
{
    struct compression *shared = calloc(1, sizeof *shared);
    if (!shared)
        return error_set(err, ERROR_MEMORY, "out of memory for compression");
    *out = shared;
    return true;
}

static void inflater_free(void *reader)
{
    inflateEnd(reader);
    free(reader);
}

static void zstd_reader_free(void *reader)
{
    ZSTD_freeDCtx(reader);
}

void compression_destroy(struct compression *shared)
{
    if (!shared)
        return;
    if (shared->deflater_ready)
        deflateEnd(&shared->deflater);
    ZSTD_freeCCtx(shared->zstd);
    while (shared->inflaters.count > 0)
        inflater_free(shared->inflaters.readers[--shared->inflaters.count]);
    while (shared->zstd_readers.count > 0)
        zstd_reader_free(shared->zstd_readers.readers[--shared->zstd_readers.count]);
    free(shared);
}

/* --- writing --- */

/* One zlib stream of `content` into at most `room` bytes. *length 0: it does not fit. */
static bool deflate_content(struct compression *shared, struct byte_view content, uint8_t *to,
                            size_t room, size_t *length, struct error *err)
{
    z_stream *stream = &shared->deflater;
    int code =
        shared->deflater_ready ? deflateReset(stream) : deflateInit(stream, COMPRESSION_ZLIB_LEVEL);
    if (code != Z_OK)
        return error_set(err, ERROR_MEMORY, "zlib cannot compress: %s", zError(code));
    shared->deflater_ready = true;
    stream->next_in = (z_const Bytef *)content.data;
    stream->avail_in = (uInt)content.length;
    stream->next_out = to;
    stream->avail_out = (uInt)room;
    *length = deflate(stream, Z_FINISH) == Z_STREAM_END ? room - stream->avail_out : 0;
    return true;
}

static bool zstd_content(struct compression *shared, uint8_t level, struct byte_view content,
                         uint8_t *to, size_t room, size_t *length, struct error *err)
{
    if (!shared->zstd && !(shared->zstd = ZSTD_createCCtx()))
        return error_set(err, ERROR_MEMORY, "out of memory for zstd");
    int effort = level < COMPRESSION_ZSTD_LEVEL_MAX ? level : COMPRESSION_ZSTD_LEVEL_MAX;
    size_t made = ZSTD_compressCCtx(shared->zstd, to, room, content.data, content.length, effort);
    *length = ZSTD_isError(made) ? 0 : made;
    return true;
}

/* *length 0: storing it is better. */
static bool compress_content(struct compression *shared, enum compression_method method,
                             uint8_t level, struct byte_view content, uint8_t *to, size_t *length,
                             struct error *err)
{
    *length = 0;
    if (method == COMPRESSION_NONE || content.length < COMPRESSION_LENGTH_MIN)
        return true;
    size_t room = content.length - 1; /* as long as the content is no gain */
    return method == COMPRESSION_ZSTD ? zstd_content(shared, level, content, to, room, length, err)
                                      : deflate_content(shared, content, to, room, length, err);
}

static void header_write(uint8_t *to, size_t length, uint8_t sequence, size_t plain)
{
    for (size_t i = 0; i < 3; i++) {
        to[i] = (uint8_t)(length >> (8 * i));
        to[4 + i] = (uint8_t)(plain >> (8 * i));
    }
    to[3] = sequence;
}

static bool append_frame(struct compression *shared, enum compression_method method, uint8_t level,
                         struct byte_view content, uint8_t sequence, struct buffer *out,
                         struct error *err)
{
    uint8_t *room;
    size_t length;
    if (!buffer_reserve(out, COMPRESSION_HEADER_SIZE + content.length, &room, err) ||
        !compress_content(shared, method, level, content, room + COMPRESSION_HEADER_SIZE, &length,
                          err))
        return false;
    bool stored = length == 0;
    if (stored) {
        memcpy(room + COMPRESSION_HEADER_SIZE, content.data, content.length);
        length = content.length;
    }
    header_write(room, length, sequence, stored ? 0 : content.length);
    buffer_commit(out, COMPRESSION_HEADER_SIZE + length);
    return true;
}

bool compression_append(struct compression *shared, enum compression_method method, uint8_t level,
                        struct byte_view content, uint8_t *sequence, struct buffer *out,
                        struct error *err)
{
    for (size_t from = 0; from < content.length;) {
        size_t length = content.length - from;
        if (length > COMPRESSION_FRAME_MAX)
            length = COMPRESSION_FRAME_MAX;
        if (!append_frame(shared, method, level, byte_view(content.data + from, length), *sequence,
                          out, err))
            return false;
        ++*sequence;
        from += length;
    }
    return true;
}

bool compression_pad(struct byte_view *content, size_t frames, uint8_t *sequence,
                     struct buffer *out, struct error *err)
{
    for (size_t i = 0; i < frames; i++) {
        size_t length = content->length > 1 ? 1 : 0;
        uint8_t *room;
        if (!buffer_reserve(out, COMPRESSION_HEADER_SIZE + length, &room, err))
            return false;
        header_write(room, length, (*sequence)++, 0);
        if (length > 0)
            room[COMPRESSION_HEADER_SIZE] = content->data[0];
        buffer_commit(out, COMPRESSION_HEADER_SIZE + length);
        *content = byte_view(content->data + length, content->length - length);
    }
    return true;
}

/* --- readers: borrowed for the time of a frame --- */

static bool inflater_take(struct compression *shared, void **out, struct error *err)
{
    if (shared->inflaters.count > 0) {
        *out = shared->inflaters.readers[--shared->inflaters.count];
        return inflateReset(*out) == Z_OK || error_set(err, ERROR_STATE, "zlib cannot begin anew");
    }
    z_stream *stream = calloc(1, sizeof *stream);
    if (!stream || inflateInit(stream) != Z_OK) {
        free(stream);
        return error_set(err, ERROR_MEMORY, "out of memory for zlib");
    }
    *out = stream;
    return true;
}

static bool zstd_reader_take(struct compression *shared, void **out, struct error *err)
{
    struct spares *spares = &shared->zstd_readers;
    ZSTD_DCtx *reader = spares->count > 0 ? spares->readers[--spares->count] : ZSTD_createDCtx();
    if (!reader)
        return error_set(err, ERROR_MEMORY, "out of memory for zstd");
    *out = reader;
    size_t code = ZSTD_DCtx_reset(reader, ZSTD_reset_session_only);
    if (!ZSTD_isError(code))
        code = ZSTD_DCtx_setParameter(reader, ZSTD_d_windowLogMax, COMPRESSION_WINDOW_LOG_MAX);
    if (ZSTD_isError(code))
        return error_set(err, ERROR_STATE, "zstd cannot begin: %s", ZSTD_getErrorName(code));
    return true;
}

static bool reader_take(struct decompressor *decompressor, struct error *err)
{
    struct compression *shared = decompressor->shared;
    return decompressor->method == COMPRESSION_ZSTD
               ? zstd_reader_take(shared, &decompressor->reader, err)
               : inflater_take(shared, &decompressor->reader, err);
}

static void unlist(struct decompressor *decompressor)
{
    struct compression *shared = decompressor->shared;
    if (decompressor->held == 0)
        return;
    *(decompressor->older ? &decompressor->older->newer : &shared->oldest) = decompressor->newer;
    *(decompressor->newer ? &decompressor->newer->older : &shared->newest) = decompressor->older;
    shared->held -= decompressor->held;
    decompressor->held = 0;
}

/* As the one that was fed last. */
static void list(struct decompressor *decompressor, size_t held)
{
    struct compression *shared = decompressor->shared;
    decompressor->held = held;
    decompressor->older = shared->newest;
    decompressor->newer = NULL;
    *(shared->newest ? &shared->newest->newer : &shared->oldest) = decompressor;
    shared->newest = decompressor;
    shared->held += held;
}

static void rob(struct decompressor *decompressor)
{
    unlist(decompressor);
    zstd_reader_free(decompressor->reader);
    decompressor->reader = NULL;
    decompressor->robbed = true;
}

/* What libzstd has allocated, but for the part of a window that there is no content for: no byte of
 * that is ever touched. */
static void count_memory(struct decompressor *decompressor)
{
    struct compression *shared = decompressor->shared;
    size_t held = ZSTD_sizeof_DCtx(decompressor->reader);
    if (held > COMPRESSION_SPARE_SIZE + (size_t)decompressor->plain)
        held = COMPRESSION_SPARE_SIZE + (size_t)decompressor->plain;
    unlist(decompressor);
    if (held > COMPRESSION_SPARE_SIZE)
        list(decompressor, held);
    while (shared->held > COMPRESSION_READERS_MAX && shared->oldest != shared->newest)
        rob(shared->oldest);
}

static void reader_give(struct decompressor *decompressor)
{
    void *reader = decompressor->reader;
    bool is_zstd = decompressor->method == COMPRESSION_ZSTD;
    struct compression *shared = decompressor->shared;
    decompressor->reader = NULL;
    if (!reader)
        return;
    unlist(decompressor);
    struct spares *spares = is_zstd ? &shared->zstd_readers : &shared->inflaters;
    bool small = !is_zstd || ZSTD_sizeof_DCtx(reader) <= COMPRESSION_SPARE_SIZE;
    if (small && spares->count < COMPRESSION_SPARES_MAX)
        spares->readers[spares->count++] = reader;
    else if (is_zstd)
        zstd_reader_free(reader);
    else
        inflater_free(reader);
}

/* --- reading --- */

void decompressor_init(struct decompressor *decompressor, struct compression *shared,
                       enum compression_method method)
{
    *decompressor = (struct decompressor){.shared = shared, .method = method};
}

void decompressor_release(struct decompressor *decompressor)
{
    reader_give(decompressor);
}

static bool lies(struct error *err)
{
    return error_set(err, ERROR_MALFORMED,
                     "a compressed frame whose content is not as long as it says");
}

/* A header that has been read whole. */
static bool begin_frame(struct decompressor *decompressor, int due, struct error *err)
{
    struct byte_reader reader = byte_reader(decompressor->header, sizeof decompressor->header);
    uint32_t plain;
    if (!byte_reader_u24le(&reader, &decompressor->raw_left) ||
        !byte_reader_u8(&reader, &decompressor->sequence) || !byte_reader_u24le(&reader, &plain))
        return error_set(err, ERROR_STATE, "a frame header of seven bytes could not be read");
    if (due != DECOMPRESSOR_ANY && decompressor->sequence != due)
        return error_set(err, ERROR_MALFORMED,
                         "compressed frame with sequence id %u where %d is due",
                         decompressor->sequence, due);
    decompressor->begun = true;
    decompressor->raw_taken = 0;
    decompressor->compressed = plain > 0;
    decompressor->ended = !decompressor->compressed;
    decompressor->plain = plain;
    decompressor->plain_left = plain > 0 ? plain : decompressor->raw_left;
    return !decompressor->compressed || reader_take(decompressor, err);
}

/* *whole: the header is complete. */
static bool take_header(struct decompressor *decompressor, struct byte_reader *input, int due,
                        bool *whole, struct error *err)
{
    while (decompressor->have < COMPRESSION_HEADER_SIZE) {
        *whole = byte_reader_u8(input, &decompressor->header[decompressor->have]);
        if (!*whole)
            return true;
        decompressor->have++;
    }
    return begin_frame(decompressor, due, err);
}

/* What one step of either library did. */
struct step {
    size_t taken; /* of the input */
    size_t made;
    bool ended;
};

static bool inflate_step(struct decompressor *decompressor, struct byte_view input, size_t room,
                         struct step *step, struct error *err)
{
    z_stream *stream = decompressor->reader;
    stream->next_in = (z_const Bytef *)input.data;
    stream->avail_in = (uInt)input.length;
    stream->next_out = decompressor->shared->piece;
    stream->avail_out = (uInt)room;
    int code = inflate(stream, Z_NO_FLUSH);
    *step = (struct step){.taken = input.length - stream->avail_in,
                          .made = room - stream->avail_out,
                          .ended = code == Z_STREAM_END};
    if (code == Z_MEM_ERROR)
        return error_set(err, ERROR_MEMORY, "out of memory for zlib");
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return error_set(err, ERROR_MALFORMED, "a compressed frame that zlib cannot read: %s",
                         stream->msg ? stream->msg : zError(code));
    return true;
}

/*
 * RFC 8878, 3.1.1: the magic number. libzstd itself would go on to skip "skippable frames", and in
 * Debian to read the formats of before 2016, with decoders that nobody looks after.
 */
static bool zstd_magic_check(const struct decompressor *decompressor, struct byte_view input,
                             struct error *err)
{
    static const uint8_t magic[] = {0x28, 0xB5, 0x2F, 0xFD};
    for (size_t i = 0; i < input.length && decompressor->raw_taken + i < sizeof magic; i++) {
        if (input.data[i] != magic[decompressor->raw_taken + i])
            return error_set(err, ERROR_MALFORMED, "a compressed frame that is not zstd's");
    }
    return true;
}

static bool zstd_step(struct decompressor *decompressor, struct byte_view input, size_t room,
                      struct step *step, struct error *err)
{
    if (!zstd_magic_check(decompressor, input, err))
        return false;
    ZSTD_inBuffer in = {.src = input.data, .size = input.length};
    ZSTD_outBuffer out = {.dst = decompressor->shared->piece, .size = room};
    size_t code = ZSTD_decompressStream(decompressor->reader, &out, &in);
    *step = (struct step){.taken = in.pos, .made = out.pos, .ended = code == 0};
    count_memory(decompressor);
    if (ZSTD_isError(code))
        return error_set(err, ERROR_MALFORMED, "a compressed frame that zstd cannot read: %s",
                         ZSTD_getErrorName(code));
    return true;
}

static bool take_compressed(struct decompressor *decompressor, struct byte_reader *input,
                            struct byte_view *piece, struct error *err)
{
    size_t length = byte_reader_left(input);
    size_t room = decompressor->plain_left;
    if (length > decompressor->raw_left)
        length = decompressor->raw_left;
    if (room > COMPRESSION_PIECE_MAX)
        room = COMPRESSION_PIECE_MAX;
    if (room == 0)
        room = 1; /* a stream that goes on past its length shows itself here */
    struct byte_view rest = byte_view(input->data + input->offset, length);
    struct step step = {0};
    if (!(decompressor->method == COMPRESSION_ZSTD
              ? zstd_step(decompressor, rest, room, &step, err)
              : inflate_step(decompressor, rest, room, &step, err)))
        return false;
    if (step.made > decompressor->plain_left || !byte_reader_skip(input, step.taken))
        return lies(err);
    decompressor->raw_left -= (uint32_t)step.taken;
    decompressor->raw_taken += (uint32_t)step.taken;
    decompressor->plain_left -= (uint32_t)step.made;
    decompressor->ended = step.ended;
    *piece = byte_view(decompressor->shared->piece, step.made);
    if (step.ended)
        return (decompressor->raw_left == 0 && decompressor->plain_left == 0) || lies(err);
    /* All of it has been read, and nothing more comes out. */
    return decompressor->raw_left > 0 || step.made > 0 || lies(err);
}

/* Stored content needs no copy. */
static void take_stored(struct decompressor *decompressor, struct byte_reader *input,
                        struct byte_view *piece)
{
    size_t length = byte_reader_left(input);
    if (length > decompressor->raw_left)
        length = decompressor->raw_left;
    if (length > COMPRESSION_PIECE_MAX)
        length = COMPRESSION_PIECE_MAX;
    if (!byte_reader_view(input, length, piece))
        return;
    decompressor->raw_left -= (uint32_t)length;
    decompressor->plain_left -= (uint32_t)length;
}

bool decompressor_feed(struct decompressor *decompressor, struct byte_view input, int due,
                       size_t *consumed, struct byte_view *piece, struct error *err)
{
    struct byte_reader reader = byte_reader(input.data, input.length);
    bool whole = true;
    bool good = true;
    *piece = byte_view(NULL, 0);
    *consumed = 0;
    decompressor->begun = false;
    if (decompressor->robbed)
        return error_set(err, ERROR_LIMIT,
                         "too many large compressed frames have come in part at the same time");
    if (decompressor->have < COMPRESSION_HEADER_SIZE)
        good = take_header(decompressor, &reader, due, &whole, err);
    if (good && whole && decompressor->compressed)
        good = take_compressed(decompressor, &reader, piece, err);
    else if (good && whole)
        take_stored(decompressor, &reader, piece);
    *consumed = reader.offset;
    if (good && whole && decompressor->ended && decompressor->raw_left == 0) {
        decompressor->have = 0;
        reader_give(decompressor);
    }
    return good;
}
