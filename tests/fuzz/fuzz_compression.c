/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile compressed frames. The first byte is the method and how the input is cut, the second the
 * zstd level; the rest is the peer's stream, which is read twice, whole and in pieces: both must
 * give the same content, never more than the frames say, and refuse at the same place. What was
 * read is written again and must read back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/compression.h"

#define CONTENT_MAX (4u * 1024 * 1024) /* more is not looked at: the input bounds the frames */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

struct seen {
    struct buffer content;
    bool refused;
};

static void keep(struct seen *seen, struct byte_view piece)
{
    size_t room = CONTENT_MAX - buffer_length(&seen->content);
    size_t length = piece.length < room ? piece.length : room;
    check(buffer_append(&seen->content, piece.data, length, NULL));
}

static void read_all(struct compression *shared, enum compression_method method,
                     struct byte_view input, size_t cut, struct seen *seen)
{
    struct decompressor decompressor;
    struct error err = {0};
    size_t consumed = 1;
    struct byte_view piece = {0};
    decompressor_init(&decompressor, shared, method);
    buffer_init(&seen->content, CONTENT_MAX);
    while (!seen->refused && (input.length > 0 || consumed > 0 || piece.length > 0)) {
        size_t part = input.length < cut ? input.length : cut;
        seen->refused = !decompressor_feed(&decompressor, byte_view(input.data, part),
                                           DECOMPRESSOR_ANY, &consumed, &piece, &err);
        if (seen->refused)
            break;
        check(consumed <= part && piece.length <= COMPRESSION_PIECE_MAX);
        keep(seen, piece);
        input = byte_view(input.data + consumed, input.length - consumed);
        /* Nothing came of it, so more input is needed, and there was some. */
        check(consumed > 0 || piece.length > 0 || part == 0);
    }
    check(!seen->refused || err.code == ERROR_MALFORMED);
    decompressor_release(&decompressor);
}

static void write_again(struct compression *shared, enum compression_method method,
                        const struct buffer *content)
{
    struct buffer frames;
    struct seen seen = {0};
    uint8_t sequence = 0;
    buffer_init(&frames, 2 * CONTENT_MAX);
    check(compression_append(shared, method, 1,
                             byte_view(buffer_bytes(content), buffer_length(content)), &sequence,
                             &frames, NULL));
    read_all(shared, method, byte_view(buffer_bytes(&frames), buffer_length(&frames)), SIZE_MAX,
             &seen);
    check(!seen.refused && buffer_length(&seen.content) == buffer_length(content));
    check(memcmp(buffer_bytes(&seen.content), buffer_bytes(content), buffer_length(content)) == 0);
    buffer_release(&frames);
    buffer_release(&seen.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {0}, pieces = {0};
    struct compression *shared;
    if (size < 2)
        return 0;
    enum compression_method method = data[0] & 1 ? COMPRESSION_ZSTD : COMPRESSION_ZLIB;
    struct byte_view input = byte_view(data + 2, size - 2);
    check(compression_create(&shared, NULL));
    read_all(shared, method, input, SIZE_MAX, &whole);
    read_all(shared, method, input, (size_t)(data[0] >> 1) + 1, &pieces);
    check(whole.refused == pieces.refused);
    if (!whole.refused) {
        size_t length = buffer_length(&whole.content);
        check(length == buffer_length(&pieces.content));
        check(memcmp(buffer_bytes(&whole.content), buffer_bytes(&pieces.content), length) == 0);
        write_again(shared, method, &whole.content);
    }
    buffer_release(&whole.content);
    buffer_release(&pieces.content);
    compression_destroy(shared);
    return 0;
}
