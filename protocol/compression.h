/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compressed protocol: frames around the ordinary packet stream, bytes in, bytes out. A frame
 * is a 3-byte length of what follows its header, a sequence id, a 3-byte length of its content
 * before compression (0: stored as it is), then one whole zlib or zstd stream. Where frames end has
 * nothing to do with where packets end. (MySQL source documentation, "Compressed Packet";
 * compress_packet() and net_read_packet() in sql-common/net_serv.cc, mysys/my_compress.cc;
 * docs/protocol/compression.md has what servers and clients really do.)
 *
 * Each written frame is complete in itself, so one compressor serves all sessions of a worker. A
 * reader has state only while a frame has come in part, and borrows it from the worker for that
 * time: an idle compressed connection costs no more memory than struct decompressor. A frame's
 * content is handed over in pieces: one that claims 16 MiB never needs them.
 */
#ifndef SALLYPORT_PROTOCOL_COMPRESSION_H
#define SALLYPORT_PROTOCOL_COMPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/error.h"

#define COMPRESSION_HEADER_SIZE 7
/* Both lengths of a frame have 24 bits: this bounds what one frame can unpack to. */
#define COMPRESSION_FRAME_MAX 0xFFFFFFu
/* Shorter content is stored (MIN_COMPRESS_LENGTH of include/mysql_com.h). */
#define COMPRESSION_LENGTH_MIN 50
/* The longest piece of content that decompressor_feed() hands over, in bytes. */
#define COMPRESSION_PIECE_MAX 65536
/*
 * How hard we try ourselves. The level is the writer's own affair: nothing on the wire tells it, so
 * a client that names zstd's level 22 gets it from the database, and does not get a worker's time,
 * nor its memory (docs/decisions/0702-compression.md).
 */
#define COMPRESSION_ZLIB_LEVEL     1
#define COMPRESSION_ZSTD_LEVEL_MAX 3
/*
 * What the zstd readers of a worker may hold for frames that have come in part, in bytes, but for
 * those of COMPRESSION_SPARE_SIZE and less, which are not counted. That is room for fifty frames of
 * 16 MiB that were packed with level 3, or seven with level 22. Past it the frame that was fed
 * longest ago is given up: a peer that sends half a frame and falls silent takes room from nobody.
 */
#define COMPRESSION_READERS_MAX (128u * 1024 * 1024)
/*
 * log2 of the largest window, in bytes, that a zstd stream may ask for: libzstd's own default
 * (ZSTD_WINDOWLOG_LIMIT_DEFAULT). Servers unpack a frame in one call, which needs no window and
 * knows no limit (ZSTD_decompressDCtx() in mysys/my_compress.cc). No more of it is ever written to
 * than the frame has content, so no more is memory.
 */
#define COMPRESSION_WINDOW_LOG_MAX 27
/* Idle readers of each kind that a worker keeps, and the largest that is worth keeping, in bytes.
 */
#define COMPRESSION_SPARES_MAX 8
#define COMPRESSION_SPARE_SIZE (256u * 1024)

enum compression_method { COMPRESSION_NONE, COMPRESSION_ZLIB, COMPRESSION_ZSTD };

/*
 * The method that both sides use behind a login with these capabilities: zlib wins where a client
 * asks for both (MySQL's parse_client_handshake_packet() looks at CLIENT_COMPRESS first; tried with
 * the server and the command line of 9.7).
 */
enum compression_method compression_method_of(uint32_t capabilities);

/* What the legs of one worker share: the compressor, and readers that are not in use. Allocates
 * what it needs when it first needs it. */
struct compression;
bool compression_create(struct compression **out, struct error *err) MUST_USE;
/* No decompressor may hold a reader any more: release them first. NULL allowed. */
void compression_destroy(struct compression *shared);

/*
 * Appends the frames for `content` to `out`: as few as there can be. COMPRESSION_NONE stores.
 * `level` is zstd's, as the login named it, and is not used for zlib. *sequence is the first
 * frame's id, and afterwards the next one's. On false `out` holds a whole number of frames.
 */
bool compression_append(struct compression *shared, enum compression_method method, uint8_t level,
                        struct byte_view content, uint8_t *sequence, struct buffer *out,
                        struct error *err) MUST_USE;

/*
 * Appends `frames` stored frames, which take a sequence id each and as little content as can be:
 * the first byte of *content, while it has more than one, then none. Peers read a frame of no
 * content as nothing. *content shrinks by what was taken.
 */
bool compression_pad(struct byte_view *content, size_t frames, uint8_t *sequence,
                     struct buffer *out, struct error *err) MUST_USE;

/* The reading side of one leg. The fields are its own. It must stay where it is: the worker's list
 * of those that hold much memory has pointers to it. */
struct decompressor {
    struct compression *shared;
    enum compression_method method;
    uint8_t have;     /* bytes of the header */
    uint8_t sequence; /* of the frame under way or, between frames, of the last one */
    uint8_t header[COMPRESSION_HEADER_SIZE];
    uint32_t raw_left;   /* bytes of the frame that have not come yet */
    uint32_t raw_taken;  /* … of a compressed frame, that the reader has taken */
    uint32_t plain_left; /* bytes of its content that have not been handed over */
    bool begun;          /* the last call read the rest of a frame's header */
    bool compressed;     /* the frame under way is; else it is stored */
    bool ended;          /* its zlib or zstd stream has ended */
    bool robbed;         /* its reader was taken away: the frame cannot be read on */
    uint32_t plain;      /* bytes of its content, all of them */
    void *reader;        /* borrowed from `shared` while a compressed frame is under way */
    size_t held;         /* what counts of it towards COMPRESSION_READERS_MAX; 0: not listed */
    struct decompressor *older, *newer; /* by when they were last fed */
};

void decompressor_init(struct decompressor *decompressor, struct compression *shared,
                       enum compression_method method);
/* Gives back what it borrowed. It must not be fed afterwards. */
void decompressor_release(struct decompressor *decompressor);

/*
 * Takes input, and hands over at most COMPRESSION_PIECE_MAX bytes of content as *piece, which is
 * valid until the next call for any decompressor of the same worker or the end of the input. Never
 * goes over a frame's end: so a caller can say what is due after what the frame held. Call again
 * with the rest of the input, even with none, until *consumed and the piece's length are both 0:
 * then more bytes are needed.
 *
 * `due` is the sequence id that a frame which begins now must have, or DECOMPRESSOR_ANY.
 *
 * ERROR_MALFORMED: another sequence id; content that is longer or shorter than the frame says; a
 * zlib or zstd stream that is broken, ends before its frame or is followed by anything in it;
 * a preset dictionary; a zstd format other than RFC 8878's; a window larger than
 * COMPRESSION_WINDOW_LOG_MAX. ERROR_LIMIT: others needed the memory that the frame under way held
 * (COMPRESSION_READERS_MAX). ERROR_MEMORY. It must not be fed after any of them.
 */
#define DECOMPRESSOR_ANY (-1)
bool decompressor_feed(struct decompressor *decompressor, struct byte_view input, int due,
                       size_t *consumed, struct byte_view *piece, struct error *err) MUST_USE;

/* Whether the last call came upon a new frame, whose id is `sequence`. */
static inline bool decompressor_begun(const struct decompressor *decompressor)
{
    return decompressor->begun;
}

#endif
