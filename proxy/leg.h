/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One leg of a session above its stream: where compression begins and ends. Without compression,
 * bytes go straight through; with it, what is written leaves in frames and what comes is unpacked,
 * so that nobody above knows of frames, but for where their sequence ids begin anew. Both legs of a
 * session have the same method, chosen at login, from behind the login's OK on.
 *
 * A zeroed struct is a leg without compression. Nothing is allocated for it.
 */
#ifndef SALLYPORT_PROXY_LEG_H
#define SALLYPORT_PROXY_LEG_H

#include "base/buffer.h"
#include "protocol/compression.h"
#include "tls/stream.h"

/* What is unpacked for one leg before the worker's other events get their turn, in bytes of input
 * and of content: 64 KiB that were read can hold 64 MiB. A frame counts as LEG_FRAME_COST more: it
 * can have one byte. */
#define LEG_BURST      (1024u * 1024)
#define LEG_FRAME_COST 1024u
/* What leg_gather() keeps at most, in bytes. */
#define LEG_GATHER_MAX (16u * 1024)
/* Storage for frames that a worker keeps between writes, in bytes. */
#define LEG_KEEP_OUTPUT (256u * 1024)

/* What the legs of a worker share. Zero at first: a session that compresses fills it. */
struct leg_home {
    struct compression *compression;
    struct buffer output; /* frames on their way to a stream */
};

/* All its legs must have been released. */
void leg_home_release(struct leg_home *home);

struct leg {
    struct leg_home *home; /* NULL: no compression */
    enum compression_method method;
    uint8_t level; /* zstd's, as the client's login named it */
    struct decompressor decompressor;
    uint8_t outgoing;       /* sequence id of the next frame to be written */
    int incoming;           /* … that the next frame to come must have, or DECOMPRESSOR_ANY */
    bool closed;            /* nothing is read or written any more */
    bool seen;              /* the first byte of the next input was unpacked when it came first */
    struct buffer left;     /* unpacked and not taken yet: at most COMPRESSION_PIECE_MAX */
    struct buffer gathered; /* to be written: less than LEG_GATHER_MAX between two calls */
};

/* From now on `method` is in use, both ways. COMPRESSION_NONE does nothing. */
bool leg_compress(struct leg *leg, struct leg_home *home, enum compression_method method,
                  uint8_t level, struct error *err) MUST_USE;
/* Nothing is given or written from now on. May be called by `take`, inside of leg_read(). */
void leg_close(struct leg *leg);
/* Frees. Not inside of leg_read(). Safe to call twice. */
void leg_release(struct leg *leg);

static inline bool leg_compressed(const struct leg *leg)
{
    return leg->home != NULL;
}

/* The sequence id of the frame that came last. */
static inline uint8_t leg_last(const struct leg *leg)
{
    return leg->decompressor.sequence;
}

/* … and of the one after it. */
static inline uint8_t leg_next(const struct leg *leg)
{
    return (uint8_t)(leg_last(leg) + 1);
}

/*
 * Gives what the stream's `data` event brought to `take`, unpacked, and returns how much of it the
 * event has taken. `take` is as `data` in tls/stream.h: it takes all, or pauses the stream. What it
 * leaves is kept with at least one byte of the input, so that the stream comes again with it. What
 * `take` is given never goes over a frame's end, and the next frame is not looked at before all of
 * it was taken: so `take` can set leg->incoming, which counts on by itself otherwise. On
 * false (ERROR_MALFORMED: the frames are broken) the leg must not be read any more.
 */
typedef size_t leg_take(void *owner, const uint8_t *data, size_t length);
bool leg_read(struct leg *leg, struct stream *stream, const uint8_t *data, size_t length,
              leg_take *take, void *owner, size_t *taken, struct error *err) MUST_USE;

/*
 * Writes, behind what was gathered, in as few frames as there can be. `last` is the sequence id
 * that the last of them shall have, or LEG_ANY: frames that hold next to nothing go before it where
 * it takes more (compression_pad()).
 */
#define LEG_ANY (-1)
bool leg_write(struct leg *leg, struct stream *stream, struct byte_view bytes, int last,
               struct error *err) MUST_USE;
/*
 * Writes a part of something whose end is still to be written by leg_write(), and without which it
 * is of no use to the peer: so it may be kept until more has come together. Without compression
 * nothing is kept.
 */
bool leg_gather(struct leg *leg, struct stream *stream, struct byte_view bytes,
                struct error *err) MUST_USE;
/* Writes what may hold a password: stored, so that no compressor remembers it, and leaves no copy.
 */
bool leg_write_secret(struct leg *leg, struct stream *stream, struct byte_view bytes,
                      struct error *err) MUST_USE;

#endif
