/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane: the ring of bytes between one producer thread and the writer thread. Private to audit/.
 *
 * The ring is one mapping of AUDIT_LANE_CHUNKS chunks. Bytes form one endless stream; each stretch
 * of a chunk's length lives in whichever chunk was free when the producer came to it, the lowest
 * first. So a lane that is drained as fast as it is filled goes on using the same two chunks, and
 * the rest of its 16 MiB is address space only; what a burst has touched is given back to the
 * system by the consumer, which owns a chunk alone while it is neither free nor in the stream.
 *
 * Two promises keep records whole. audit_lane_reserve() takes room that audit_lane_write() is then
 * sure to find: room is counted by whole freed chunks, and only the producer takes it. A record is
 * seen by the consumer only once audit_lane_publish() has been called, with its length in front.
 *
 * Invariants: tail <= head; head + reserved <= freed + size; freed = tail rounded down to a chunk.
 */
#ifndef SALLYPORT_AUDIT_LANE_H
#define SALLYPORT_AUDIT_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define AUDIT_LANE_CHUNKS      64 /* of a lane: one bit each in a 64-bit word */
#define AUDIT_LANE_CHUNKS_WARM 2  /* chunks whose memory is never given back */

/* What a record takes in the ring beyond its own bytes. */
#define AUDIT_LANE_HEADER sizeof(uint32_t)

/* The consumer as the producer sees it: whether it sleeps, and how it is woken. */
struct audit_doorbell {
    atomic_bool asleep;
    int event_fd;
};

struct audit_lane_ring {
    uint8_t *bytes;
    size_t chunk; /* bytes of a chunk */
    size_t size;  /* chunk * AUDIT_LANE_CHUNKS */
    struct audit_doorbell *doorbell;
    void (*room)(void *arg);
    void *room_arg;
    uint8_t order[AUDIT_LANE_CHUNKS]; /* which chunk holds the stream's nth stretch, modulo */

    /* Apart from each other, so that the two threads do not pull at one cache line. */
    _Alignas(64) uint64_t written;    /* producer: bytes written, published or not */
    uint64_t reserved;                /* producer: bytes promised to open records */
    uint64_t freed_seen;              /* producer: its last look at freed */
    _Alignas(64) atomic_ullong head;  /* bytes published */
    _Alignas(64) atomic_ullong freed; /* bytes of chunks given back, in order */
    atomic_ullong free_chunks;        /* a set bit: free */
    atomic_bool waiting;              /* the producer was refused */
    _Alignas(64) uint64_t tail;       /* consumer: bytes taken */
};

/* Maps a ring of 64 × `chunk` bytes; chunk >= 8. The doorbell outlives it. */
bool audit_lane_ring_open(struct audit_lane_ring *ring, size_t chunk,
                          struct audit_doorbell *doorbell, struct error *err) MUST_USE;
void audit_lane_ring_close(struct audit_lane_ring *ring);

/* The greatest reservation that an idle ring is sure to have. */
size_t audit_lane_ring_greatest(const struct audit_lane_ring *ring);

/* Producer. Takes `length` bytes of room, or remembers that someone waits and returns false; then
 * the room callback comes, unless the room came in between, which is true here. */
bool audit_lane_reserve(struct audit_lane_ring *ring, size_t length);
/* Producer. Whether that would succeed now, as far as is known; remembers no one. */
bool audit_lane_has_room(struct audit_lane_ring *ring, size_t length);
/* Producer. Gives back what was reserved. */
void audit_lane_unreserve(struct audit_lane_ring *ring, size_t length);
/* Producer. Appends bytes inside the room reserved. */
void audit_lane_write(struct audit_lane_ring *ring, const void *bytes, size_t length);
/* Producer. Shows the consumer what was written, and wakes it if it sleeps. */
void audit_lane_publish(struct audit_lane_ring *ring);

/* Consumer. Bytes published and not yet taken. */
size_t audit_lane_ready(struct audit_lane_ring *ring);
/* Consumer. The next bytes that lie in one piece, at most `most`; only within audit_lane_ready().*/
const uint8_t *audit_lane_peek(const struct audit_lane_ring *ring, size_t most, size_t *length);
/* Consumer. Gives `length` bytes back; at most what peek gave. */
void audit_lane_take(struct audit_lane_ring *ring, size_t length);
/* Consumer. Calls the room callback when the producer waits for it. */
void audit_lane_tell_room(struct audit_lane_ring *ring);

#endif
