/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compressed protocol's frames, written and read. Hostile frames are made with the libraries
 * themselves, so that everything but the lie under test is right.
 */
#include "protocol/compression.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "protocol/capability.h"

#define ROOM (40u * 1024 * 1024)

/* One side of a connection, with what came out of it. */
struct reader {
    struct compression *shared;
    struct decompressor decompressor;
    struct buffer content;
    size_t largest_piece;
    int due;
};

static void reader_open(struct reader *reader, enum compression_method method)
{
    *reader = (struct reader){0};
    cr_assert(compression_create(&reader->shared, NULL));
    decompressor_init(&reader->decompressor, reader->shared, method);
    buffer_init(&reader->content, ROOM);
}

static void reader_close(struct reader *reader)
{
    decompressor_release(&reader->decompressor);
    compression_destroy(reader->shared);
    buffer_release(&reader->content);
}

/* Feeds all of it, in pieces of at most `cut` bytes. False: it was refused, with *err. */
static bool read_all(struct reader *reader, const uint8_t *bytes, size_t length, size_t cut,
                     struct error *err)
{
    size_t at = 0;
    for (;;) {
        struct byte_view piece;
        size_t consumed;
        size_t part = length - at < cut ? length - at : cut;
        if (!decompressor_feed(&reader->decompressor, byte_view(bytes + at, part), reader->due,
                               &consumed, &piece, err))
            return false;
        cr_assert_leq(consumed, part);
        if (decompressor_begun(&reader->decompressor) && reader->due != DECOMPRESSOR_ANY)
            reader->due = (uint8_t)(reader->decompressor.sequence + 1);
        if (piece.length > reader->largest_piece)
            reader->largest_piece = piece.length;
        cr_assert(buffer_append(&reader->content, piece.data, piece.length, NULL));
        at += consumed;
        if (consumed == 0 && piece.length == 0)
            return true;
    }
}

static void expect_content(struct reader *reader, const uint8_t *content, size_t length)
{
    cr_assert_eq(buffer_length(&reader->content), length, "%zu bytes, not %zu",
                 buffer_length(&reader->content), length);
    cr_assert(length == 0 || memcmp(buffer_bytes(&reader->content), content, length) == 0);
}

/* Text that packs well. */
static uint8_t *text_of(size_t length)
{
    uint8_t *text = malloc(length + 1);
    cr_assert(text);
    for (size_t i = 0; i < length; i++)
        text[i] = (uint8_t)("SELECT name FROM items WHERE id = "[i % 34] + (int)(i / 4096 % 3));
    return text;
}

/* Bytes that do not pack. */
static uint8_t *noise_of(size_t length)
{
    uint8_t *noise = malloc(length + 1);
    uint64_t state = 88172645463325252u;
    cr_assert(noise);
    for (size_t i = 0; i < length; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise[i] = (uint8_t)state;
    }
    return noise;
}

/* A frame's header by hand. */
static void put_header(struct buffer *out, size_t length, uint8_t sequence, size_t plain)
{
    struct byte_writer writer = byte_writer(out);
    byte_writer_u24le(&writer, (uint32_t)length);
    byte_writer_u8(&writer, sequence);
    byte_writer_u24le(&writer, (uint32_t)plain);
    cr_assert(byte_writer_finish(&writer, NULL));
}

/* Packs with the library itself; returns the length. */
static size_t pack(enum compression_method method, const uint8_t *content, size_t length,
                   uint8_t *out, size_t room)
{
    if (method == COMPRESSION_ZSTD) {
        size_t made = ZSTD_compress(out, room, content, length, 3);
        cr_assert_not(ZSTD_isError(made));
        return made;
    }
    uLongf made = room;
    cr_assert_eq(compress(out, &made, content, length), Z_OK);
    return made;
}

/* A frame of packed text that says `plain` bytes of content and carries `packed` bytes, or as many
 * as there are for SIZE_MAX. */
static enum error_code lying_frame(enum compression_method method, size_t length, size_t plain,
                                   size_t packed, size_t cut)
{
    struct reader reader;
    struct buffer frame;
    struct error err = {0};
    uint8_t *text = text_of(length);
    uint8_t *space = calloc(1, length + 4096);
    cr_assert(space);
    size_t made = pack(method, text, length, space, length + 4096);
    size_t carried = packed == SIZE_MAX ? made : packed;
    reader_open(&reader, method);
    buffer_init(&frame, ROOM);
    put_header(&frame, carried, 0, plain);
    cr_assert(buffer_append(&frame, space, carried, NULL));
    bool good = read_all(&reader, buffer_bytes(&frame), buffer_length(&frame), cut, &err);
    cr_assert_leq(buffer_length(&reader.content), plain);
    reader_close(&reader);
    buffer_release(&frame);
    free(text);
    free(space);
    return good ? ERROR_NONE : err.code;
}

static size_t packed_length(enum compression_method method, size_t length)
{
    uint8_t *text = text_of(length);
    uint8_t *space = malloc(length + 4096);
    size_t made = pack(method, text, length, space, length + 4096);
    free(text);
    free(space);
    return made;
}

#define EACH_METHOD(method) \
    for (enum compression_method method = COMPRESSION_ZLIB; method <= COMPRESSION_ZSTD; method++)

/* --- what was agreed --- */

Test(compression, method_is_the_servers_choice)
{
    cr_assert_eq(compression_method_of(0), COMPRESSION_NONE);
    cr_assert_eq(compression_method_of(CAPABILITY_COMPRESS), COMPRESSION_ZLIB);
    cr_assert_eq(compression_method_of(CAPABILITY_ZSTD), COMPRESSION_ZSTD);
    cr_assert_eq(compression_method_of(CAPABILITY_ZSTD | CAPABILITY_COMPRESS), COMPRESSION_ZLIB);
}

/* --- writing --- */

/* Appends `content` and checks that it reads back, in input cut in several ways. */
static void expect_round_trip(enum compression_method method, const uint8_t *content, size_t length,
                              const size_t *cuts, size_t cut_count)
{
    struct compression *shared;
    struct buffer frames;
    uint8_t sequence = 250;
    cr_assert(compression_create(&shared, NULL));
    buffer_init(&frames, ROOM);
    cr_assert(compression_append(shared, method, 3, byte_view(content, length), &sequence, &frames,
                                 NULL));
    for (size_t i = 0; i < cut_count; i++) {
        struct reader reader;
        struct error err = {0};
        reader_open(&reader, method);
        reader.due = 250;
        cr_assert(read_all(&reader, buffer_bytes(&frames), buffer_length(&frames), cuts[i], &err),
                  "%s", err.message);
        expect_content(&reader, content, length);
        cr_assert_leq(reader.largest_piece, COMPRESSION_PIECE_MAX);
        cr_assert_eq(reader.due, sequence);
        reader_close(&reader);
    }
    buffer_release(&frames);
    compression_destroy(shared);
}

Test(compression, what_is_written_reads_back)
{
    static const size_t lengths[] = {1, 49, 50, 51, 1000, 65535, 65536, 65537, 1000000};
    static const size_t cuts[] = {SIZE_MAX, 1, 7, 4096};
    EACH_METHOD(method)
    {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            uint8_t *text = text_of(lengths[i]);
            uint8_t *noise = noise_of(lengths[i]);
            expect_round_trip(method, text, lengths[i], cuts, 4);
            expect_round_trip(method, noise, lengths[i], cuts, lengths[i] > 70000 ? 1 : 4);
            free(text);
            free(noise);
        }
    }
}

/* A frame holds 2^24-1 bytes at most: what is longer goes on in the next (sql-common/net_serv.cc,
 * net_write_buff()). */
Test(compression, long_content_goes_into_several_frames)
{
    static const size_t cuts[] = {SIZE_MAX, 65536};
    static const size_t lengths[] = {COMPRESSION_FRAME_MAX, COMPRESSION_FRAME_MAX + 1u,
                                     2u * COMPRESSION_FRAME_MAX + 77};
    uint8_t *text = text_of(lengths[2]);
    EACH_METHOD(method)
    {
        for (size_t i = 0; i < 3; i++)
            expect_round_trip(method, text, lengths[i], cuts, 2);
    }
    free(text);
}

static uint8_t first_frame_is_packed(enum compression_method method, const uint8_t *content,
                                     size_t length)
{
    struct compression *shared;
    struct buffer frames;
    uint8_t sequence = 0;
    cr_assert(compression_create(&shared, NULL));
    buffer_init(&frames, ROOM);
    cr_assert(compression_append(shared, method, 3, byte_view(content, length), &sequence, &frames,
                                 NULL));
    const uint8_t *head = buffer_bytes(&frames);
    bool packed = head[4] | head[5] | head[6];
    cr_assert(packed || buffer_length(&frames) == length + COMPRESSION_HEADER_SIZE);
    cr_assert(!packed || buffer_length(&frames) < length + COMPRESSION_HEADER_SIZE);
    buffer_release(&frames);
    compression_destroy(shared);
    return packed;
}

Test(compression, stores_what_is_short_and_what_does_not_get_shorter)
{
    uint8_t *text = text_of(5000);
    uint8_t *noise = noise_of(5000);
    memset(text, 'a', 100);
    EACH_METHOD(method)
    {
        cr_assert_not(first_frame_is_packed(method, text, COMPRESSION_LENGTH_MIN - 1));
        cr_assert(first_frame_is_packed(method, text, COMPRESSION_LENGTH_MIN));
        cr_assert_not(first_frame_is_packed(method, noise, 5000));
    }
    cr_assert_not(first_frame_is_packed(COMPRESSION_NONE, text, 100));
    free(text);
    free(noise);
}

/* What the other side's library makes of our frames: it has no lenience of ours. */
Test(compression, libraries_read_what_is_written)
{
    uint8_t *text = text_of(30000);
    EACH_METHOD(method)
    {
        struct compression *shared;
        struct buffer frames;
        uint8_t sequence = 9, back[30000];
        cr_assert(compression_create(&shared, NULL));
        buffer_init(&frames, ROOM);
        cr_assert(compression_append(shared, method, 22, byte_view(text, 30000), &sequence, &frames,
                                     NULL));
        const uint8_t *head = buffer_bytes(&frames);
        size_t packed = head[0] | (size_t)head[1] << 8;
        uLongf length = sizeof back;
        cr_assert_eq(head[3], 9);
        cr_assert_eq(head[4] | head[5] << 8, 30000);
        cr_assert_eq(buffer_length(&frames), packed + 7);
        if (method == COMPRESSION_ZLIB)
            cr_assert_eq(uncompress(back, &length, head + 7, packed), Z_OK);
        else
            length = ZSTD_decompress(back, sizeof back, head + 7, packed);
        cr_assert_eq(length, 30000);
        cr_assert_arr_eq(back, text, 30000);
        buffer_release(&frames);
        compression_destroy(shared);
    }
    free(text);
}

Test(compression, a_full_buffer_is_an_error_and_holds_whole_frames)
{
    struct compression *shared;
    struct buffer frames;
    struct error err = {0};
    uint8_t sequence = 0;
    uint8_t *noise = noise_of(1000);
    cr_assert(compression_create(&shared, NULL));
    buffer_init(&frames, 1500);
    cr_assert(compression_append(shared, COMPRESSION_ZLIB, 3, byte_view(noise, 1000), &sequence,
                                 &frames, NULL));
    cr_assert_not(compression_append(shared, COMPRESSION_ZLIB, 3, byte_view(noise, 1000), &sequence,
                                     &frames, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(buffer_length(&frames), 1007);
    cr_assert_eq(sequence, 1);
    buffer_release(&frames);
    compression_destroy(shared);
    free(noise);
}

/* --- reading --- */

Test(compression, frames_of_no_content_pass)
{
    struct reader reader;
    reader_open(&reader, COMPRESSION_ZLIB);
    cr_assert(
        read_all(&reader, (const uint8_t *)"\0\0\0\0\0\0\0\3\0\0\1\0\0\0abc", 17, SIZE_MAX, NULL));
    expect_content(&reader, (const uint8_t *)"abc", 3);
    reader_close(&reader);
}

Test(compression, a_frame_with_another_sequence_id_is_refused)
{
    static const uint8_t due[] = {0, 1, 255};
    for (size_t i = 0; i < 3; i++) {
        struct reader reader;
        struct error err = {0};
        uint8_t frame[] = {1, 0, 0, (uint8_t)(due[i] + 1), 0, 0, 0, 'a'};
        reader_open(&reader, COMPRESSION_ZLIB);
        reader.due = due[i];
        cr_assert_not(read_all(&reader, frame, sizeof frame, SIZE_MAX, &err));
        cr_assert_eq(err.code, ERROR_MALFORMED);
        reader_close(&reader);
        reader_open(&reader, COMPRESSION_ZLIB);
        reader.due = DECOMPRESSOR_ANY;
        cr_assert(read_all(&reader, frame, sizeof frame, SIZE_MAX, &err));
        reader_close(&reader);
    }
}

Test(compression, a_length_that_lies_is_refused)
{
    static const size_t lengths[] = {60, 5000, 200000};
    static const size_t cuts[] = {SIZE_MAX, 1, 100};
    EACH_METHOD(method)
    {
        for (size_t i = 0; i < 9; i++) {
            size_t length = lengths[i / 3], cut = cuts[i % 3];
            cr_assert_eq(lying_frame(method, length, length, SIZE_MAX, cut), ERROR_NONE);
            cr_assert_eq(lying_frame(method, length, length - 1, SIZE_MAX, cut), ERROR_MALFORMED);
            cr_assert_eq(lying_frame(method, length, length + 1, SIZE_MAX, cut), ERROR_MALFORMED);
            cr_assert_eq(lying_frame(method, length, 1, SIZE_MAX, cut), ERROR_MALFORMED);
            cr_assert_eq(lying_frame(method, length, COMPRESSION_FRAME_MAX, SIZE_MAX, cut),
                         ERROR_MALFORMED);
        }
    }
}

Test(compression, a_stream_that_ends_early_or_is_followed_by_more_is_refused)
{
    EACH_METHOD(method)
    {
        size_t whole = packed_length(method, 5000);
        for (size_t carried = 0; carried < whole; carried++)
            cr_assert_eq(lying_frame(method, 5000, 5000, carried, SIZE_MAX), ERROR_MALFORMED,
                         "%zu of %zu bytes", carried, whole);
        cr_assert_eq(lying_frame(method, 5000, 5000, whole + 1, SIZE_MAX), ERROR_MALFORMED);
        cr_assert_eq(lying_frame(method, 5000, 5000, whole + 500, 1), ERROR_MALFORMED);
    }
}

/* What comes in part is only waited for. */
Test(compression, half_a_frame_is_no_error)
{
    EACH_METHOD(method)
    {
        struct reader reader;
        struct buffer frame;
        uint8_t sequence = 0;
        uint8_t *text = text_of(3000);
        reader_open(&reader, method);
        buffer_init(&frame, ROOM);
        cr_assert(compression_append(reader.shared, method, 3, byte_view(text, 3000), &sequence,
                                     &frame, NULL));
        for (size_t length = 0; length < buffer_length(&frame); length++) {
            struct reader half;
            reader_open(&half, method);
            cr_assert(read_all(&half, buffer_bytes(&frame), length, SIZE_MAX, NULL));
            reader_close(&half); /* gives back what it borrowed */
        }
        reader_close(&reader);
        buffer_release(&frame);
        free(text);
    }
}

Test(compression, damage_is_refused_or_shows_in_the_content)
{
    EACH_METHOD(method)
    {
        uint8_t *text = text_of(2000);
        uint8_t space[4096];
        size_t made = pack(method, text, 2000, space, sizeof space);
        for (size_t bit = 0; bit < made * 8; bit++) {
            struct reader reader;
            struct buffer frame;
            struct error err = {0};
            reader_open(&reader, method);
            buffer_init(&frame, ROOM);
            put_header(&frame, made, 0, 2000);
            space[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert(buffer_append(&frame, space, made, NULL));
            space[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (read_all(&reader, buffer_bytes(&frame), buffer_length(&frame), SIZE_MAX, &err))
                cr_assert_eq(buffer_length(&reader.content), 2000);
            else
                cr_assert_eq(err.code, ERROR_MALFORMED);
            reader_close(&reader);
            buffer_release(&frame);
        }
        free(text);
    }
}

/* A stream that needs a dictionary cannot be read, and must not be waited for. */
Test(compression, a_preset_dictionary_is_refused)
{
    struct reader reader;
    struct error err = {0};
    struct buffer frame;
    uint8_t space[4096];
    uint8_t *text = text_of(2000);
    z_stream stream = {0};
    cr_assert_eq(deflateInit(&stream, 6), Z_OK);
    cr_assert_eq(deflateSetDictionary(&stream, text, 100), Z_OK);
    stream.next_in = text;
    stream.avail_in = 2000;
    stream.next_out = space;
    stream.avail_out = sizeof space;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t made = sizeof space - stream.avail_out;
    deflateEnd(&stream);
    reader_open(&reader, COMPRESSION_ZLIB);
    buffer_init(&frame, ROOM);
    put_header(&frame, made, 0, 2000);
    cr_assert(buffer_append(&frame, space, made, NULL));
    cr_assert_not(read_all(&reader, buffer_bytes(&frame), buffer_length(&frame), SIZE_MAX, &err));
    cr_assert_eq(err.code, ERROR_MALFORMED);
    reader_close(&reader);
    buffer_release(&frame);
    free(text);
}

/* Formats of before 2016, which a libzstd may still read, and frames that it skips. */
Test(compression, other_zstd_formats_are_refused)
{
    for (unsigned magic = 0; magic < 256; magic++) {
        static const uint8_t small[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, 0x21,
                                        0,    0,    'a',  'b',  'c',  'd'};
        uint8_t stream[sizeof small];
        struct reader reader;
        struct error err = {0};
        struct buffer frame;
        memcpy(stream, small, sizeof small);
        stream[0] = (uint8_t)magic;
        reader_open(&reader, COMPRESSION_ZSTD);
        buffer_init(&frame, ROOM);
        put_header(&frame, sizeof stream, 0, 4);
        cr_assert(buffer_append(&frame, stream, sizeof stream, NULL));
        bool good = read_all(&reader, buffer_bytes(&frame), buffer_length(&frame), 1, &err);
        cr_assert_eq(good, magic == 0x28);
        cr_assert_eq(err.code, good ? ERROR_NONE : ERROR_MALFORMED);
        reader_close(&reader);
        buffer_release(&frame);
    }
}

/* A frame of zstd that asks for a window of 2^28 bytes and more: libzstd would allocate it. What
 * servers read, up to libzstd's own limit, is read whatever the login said. */
Test(compression, a_huge_zstd_window_is_refused)
{
    /* Magic; no checksum, no content size; window 2^(10 + 17); then one raw block of 4 bytes. */
    static const uint8_t huge[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 17 << 3, 0x21,
                                   0,    0,    'a',  'b',  'c',  'd'};
    for (int window = 10; window <= 31; window++) {
        struct reader reader;
        struct error err = {0};
        struct buffer frame;
        uint8_t stream[sizeof huge];
        memcpy(stream, huge, sizeof huge);
        stream[5] = (uint8_t)((window - 10) << 3);
        reader_open(&reader, COMPRESSION_ZSTD);
        buffer_init(&frame, ROOM);
        put_header(&frame, sizeof stream, 0, 4);
        cr_assert(buffer_append(&frame, stream, sizeof stream, NULL));
        bool good = read_all(&reader, buffer_bytes(&frame), buffer_length(&frame), SIZE_MAX, &err);
        cr_assert_eq(good, window <= COMPRESSION_WINDOW_LOG_MAX, "window 2^%d: %s", window,
                     err.message);
        cr_assert_eq(err.code, good ? ERROR_NONE : ERROR_MALFORMED);
        reader_close(&reader);
        buffer_release(&frame);
    }
}

/* Whatever level a client names, what it packs with that level can be read. */
Test(compression, every_level_of_zstd_is_read)
{
    size_t length = COMPRESSION_FRAME_MAX;
    uint8_t *text = text_of(length);
    uint8_t *space = malloc(length);
    static const int levels[] = {1, 3, 8, 9, 16, 17, 19, 20};
    cr_assert(space);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        struct reader reader;
        struct error err = {0};
        struct buffer frame;
        size_t made = ZSTD_compress(space, length, text, length, levels[i]);
        cr_assert_not(ZSTD_isError(made));
        reader_open(&reader, COMPRESSION_ZSTD);
        buffer_init(&frame, ROOM);
        put_header(&frame, made, 0, length);
        cr_assert(buffer_append(&frame, space, made, NULL));
        cr_assert(read_all(&reader, buffer_bytes(&frame), buffer_length(&frame), 65536, &err),
                  "level %d: %s", levels[i], err.message);
        expect_content(&reader, text, length);
        reader_close(&reader);
        buffer_release(&frame);
    }
    free(text);
    free(space);
}

/* 16 MiB of nothing in 16 KiB: comes in pieces, and never past what the frame says. */
Test(compression, a_bomb_comes_in_pieces)
{
    uint8_t *nothing = calloc(1, COMPRESSION_FRAME_MAX);
    uint8_t *space = malloc(1 << 20);
    cr_assert(nothing && space);
    EACH_METHOD(method)
    {
        struct reader reader;
        struct buffer frame;
        size_t made = pack(method, nothing, COMPRESSION_FRAME_MAX, space, 1 << 20);
        reader_open(&reader, method);
        buffer_init(&frame, ROOM);
        put_header(&frame, made, 0, COMPRESSION_FRAME_MAX);
        cr_assert(buffer_append(&frame, space, made, NULL));
        cr_assert(read_all(&reader, buffer_bytes(&frame), buffer_length(&frame), SIZE_MAX, NULL));
        expect_content(&reader, nothing, COMPRESSION_FRAME_MAX);
        cr_assert_leq(reader.largest_piece, COMPRESSION_PIECE_MAX);
        reader_close(&reader);
        buffer_release(&frame);
    }
    free(nothing);
    free(space);
}

/* Readers are borrowed for the time of a frame: more legs than spares, all in mid-frame at once. */
Test(compression, many_legs_share_the_readers)
{
    enum { LEGS = 3 * COMPRESSION_SPARES_MAX };
    EACH_METHOD(method)
    {
        struct compression *shared;
        struct decompressor legs[LEGS];
        struct buffer frame;
        uint8_t sequence = 0;
        size_t got[LEGS] = {0};
        uint8_t *text = text_of(9000);
        cr_assert(compression_create(&shared, NULL));
        buffer_init(&frame, ROOM);
        cr_assert(
            compression_append(shared, method, 3, byte_view(text, 9000), &sequence, &frame, NULL));
        for (size_t i = 0; i < LEGS; i++)
            decompressor_init(&legs[i], shared, method);
        for (size_t at = 0; at < buffer_length(&frame); at++) {
            for (size_t i = 0; i < LEGS; i++) {
                struct byte_view input = byte_view(buffer_bytes(&frame) + at, 1);
                struct byte_view piece = byte_view("", 1);
                size_t consumed = 1;
                while (consumed > 0 || piece.length > 0) {
                    cr_assert(decompressor_feed(&legs[i], input, DECOMPRESSOR_ANY, &consumed,
                                                &piece, NULL));
                    cr_assert_eq(memcmp(piece.data ? piece.data : text, text + got[i],
                                        piece.data ? piece.length : 0),
                                 0);
                    got[i] += piece.length;
                    input = byte_view(input.data + consumed, input.length - consumed);
                }
            }
        }
        for (size_t i = 0; i < LEGS; i++) {
            cr_assert_eq(got[i], 9000);
            decompressor_release(&legs[i]);
        }
        compression_destroy(shared);
        buffer_release(&frame);
        free(text);
    }
}

/* --- memory --- */

/* A frame of zstd that has come but for its last block: `length` bytes of nothing are unpacked. The
 * reader holds as much as its window, or its content where that is less. */
static void half_frame(struct buffer *frame, size_t length, uint8_t window_log)
{
    static const uint8_t magic[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00};
    uint8_t window = (uint8_t)((window_log - 10) << 3);
    put_header(frame, COMPRESSION_FRAME_MAX, 0, length + 1);
    cr_assert(buffer_append(frame, magic, sizeof magic, NULL));
    cr_assert(buffer_append(frame, &window, 1, NULL));
    for (size_t left = length; left > 0;) {
        size_t block = left < 65536 ? left : 65536;
        size_t head = block << 3 | 1 << 1; /* RFC 8878, 3.1.1.2: RLE, not the last */
        uint8_t bytes[] = {(uint8_t)head, (uint8_t)(head >> 8), (uint8_t)(head >> 16), 'n'};
        cr_assert(buffer_append(frame, bytes, sizeof bytes, NULL));
        left -= block;
    }
}

static bool feed_all(struct decompressor *decompressor, struct byte_view input, struct error *err)
{
    struct byte_view piece = byte_view("", 1);
    size_t consumed = 1;
    while (consumed > 0 || piece.length > 0) {
        if (!decompressor_feed(decompressor, input, DECOMPRESSOR_ANY, &consumed, &piece, err))
            return false;
        input = byte_view(input.data + consumed, input.length - consumed);
    }
    return true;
}

/* A raw block of no bytes, not the last. */
static const uint8_t EMPTY_BLOCK[3] = {0};

/* I9: many peers that send half a frame and fall silent. The ones that fell silent longest ago are
 * given up; whoever comes, and whoever goes on, is served. */
Test(compression, half_frames_hold_no_more_than_the_bound)
{
    enum { LEGS = 40 };
    static const uint8_t window_logs[] = {22, 24, COMPRESSION_WINDOW_LOG_MAX};
    for (size_t i = 0; i < sizeof window_logs; i++) {
        struct compression *shared;
        struct decompressor legs[LEGS], other;
        struct buffer half, whole;
        struct error err = {0};
        uint8_t sequence = 0, *text = text_of(9000);
        size_t robbed = 0;
        cr_assert(compression_create(&shared, NULL));
        buffer_init(&half, ROOM);
        buffer_init(&whole, ROOM);
        half_frame(&half, 12u << 20, window_logs[i]);
        cr_assert(compression_append(shared, COMPRESSION_ZSTD, 3, byte_view(text, 9000), &sequence,
                                     &whole, NULL));
        decompressor_init(&other, shared, COMPRESSION_ZSTD);
        for (size_t leg = 0; leg < LEGS; leg++) {
            size_t held = 0;
            decompressor_init(&legs[leg], shared, COMPRESSION_ZSTD);
            cr_assert(
                feed_all(&legs[leg], byte_view(buffer_bytes(&half), buffer_length(&half)), &err),
                "%zu: %s", leg, err.message);
            for (size_t k = 0; k <= leg; k++)
                held += legs[k].reader ? legs[k].held : 0;
            cr_assert_leq(held, COMPRESSION_READERS_MAX);
            /* The first one goes on, with nothing more than a byte: it is not the one to go. */
            uint8_t go_on = EMPTY_BLOCK[leg % 3];
            cr_assert(feed_all(&legs[0], byte_view(&go_on, 1), &err), "%zu: %s", leg, err.message);
            cr_assert(
                feed_all(&other, byte_view(buffer_bytes(&whole), buffer_length(&whole)), &err));
        }
        for (size_t leg = 0; leg < LEGS; leg++) {
            struct error lost = {0};
            robbed += !legs[leg].reader;
            if (!legs[leg].reader)
                cr_assert(!feed_all(&legs[leg], byte_view(NULL, 0), &lost) &&
                          lost.code == ERROR_LIMIT);
            else
                cr_assert(leg == 0 || legs[leg - 1].reader || robbed == leg - 1,
                          "the oldest go first");
        }
        cr_assert_geq(robbed, 1);
        for (size_t leg = 0; leg < LEGS; leg++)
            decompressor_release(&legs[leg]);
        decompressor_release(&other);
        compression_destroy(shared);
        buffer_release(&half);
        buffer_release(&whole);
        free(text);
    }
}
