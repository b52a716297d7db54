/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/lane.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Chunks below this are not worth a system call to give back. */
#define LANE_GIVE_BACK_LEAST 4096

bool audit_lane_ring_open(struct audit_lane_ring *ring, size_t chunk,
                          struct audit_doorbell *doorbell, struct error *err)
{
    memset(ring, 0, sizeof *ring);
    ring->chunk = chunk;
    ring->size = chunk * AUDIT_LANE_CHUNKS;
    ring->doorbell = doorbell;
    void *bytes = mmap(NULL, ring->size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return error_system(err, errno, "cannot map %zu bytes for an audit lane", ring->size);
    ring->bytes = bytes;
    atomic_init(&ring->free_chunks, UINT64_MAX);
    return true;
}

void audit_lane_ring_close(struct audit_lane_ring *ring)
{
    if (ring->bytes)
        munmap(ring->bytes, ring->size);
    ring->bytes = NULL;
}

size_t audit_lane_ring_greatest(const struct audit_lane_ring *ring)
{
    return ring->size - ring->chunk;
}

static bool fits(const struct audit_lane_ring *ring, size_t length)
{
    uint64_t room = ring->freed_seen + ring->size - ring->written - ring->reserved;
    return length <= room;
}

bool audit_lane_has_room(struct audit_lane_ring *ring, size_t length)
{
    if (fits(ring, length))
        return true;
    ring->freed_seen = atomic_load_explicit(&ring->freed, memory_order_acquire);
    return fits(ring, length);
}

bool audit_lane_reserve(struct audit_lane_ring *ring, size_t length)
{
    if (!audit_lane_has_room(ring, length)) {
        /* Say that we wait, then look again. The consumer frees, then looks whether someone waits:
         * in one order of all these (seq_cst) at least one of the two sees the other. */
        atomic_store(&ring->waiting, true);
        ring->freed_seen = atomic_load(&ring->freed);
        if (!fits(ring, length))
            return false;
        atomic_store(&ring->waiting, false);
    }
    ring->reserved += length;
    return true;
}

void audit_lane_unreserve(struct audit_lane_ring *ring, size_t length)
{
    ring->reserved -= length;
}

/* The place of a position of the stream, and how far its chunk reaches from there. */
static uint8_t *place_of(const struct audit_lane_ring *ring, uint64_t position, size_t *left)
{
    size_t slot = (size_t)(position / ring->chunk) % AUDIT_LANE_CHUNKS;
    size_t within = (size_t)(position % ring->chunk);
    *left = ring->chunk - within;
    return ring->bytes + ring->order[slot] * ring->chunk + within;
}

/* Puts the lowest free chunk at a position where a chunk begins. Reserved room has one. */
static void enter_chunk(struct audit_lane_ring *ring, uint64_t position)
{
    unsigned long long free_chunks = atomic_load_explicit(&ring->free_chunks, memory_order_acquire);
    unsigned lowest = (unsigned)__builtin_ctzll(free_chunks);
    atomic_fetch_and_explicit(&ring->free_chunks, ~(1ULL << lowest), memory_order_relaxed);
    ring->order[(position / ring->chunk) % AUDIT_LANE_CHUNKS] = (uint8_t)lowest;
}

void audit_lane_write(struct audit_lane_ring *ring, const void *bytes, size_t length)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        size_t left;
        if (ring->written % ring->chunk == 0)
            enter_chunk(ring, ring->written);
        uint8_t *to = place_of(ring, ring->written, &left);
        size_t part = length < left ? length : left;
        memcpy(to, from, part);
        from += part;
        length -= part;
        ring->written += part;
    }
}

void audit_lane_publish(struct audit_lane_ring *ring)
{
    /* seq_cst, paired with the consumer's "asleep, then look": no record is left in a lane while
     * the writer sleeps. */
    atomic_store(&ring->head, ring->written);
    if (!atomic_load(&ring->doorbell->asleep))
        return;
    if (!atomic_exchange(&ring->doorbell->asleep, false))
        return; /* another lane's producer rings */
    uint64_t one = 1;
    ssize_t done;
    do
        done = write(ring->doorbell->event_fd, &one, sizeof one);
    while (done < 0 && errno == EINTR);
}

size_t audit_lane_ready(struct audit_lane_ring *ring)
{
    return (size_t)(atomic_load(&ring->head) - ring->tail);
}

const uint8_t *audit_lane_peek(const struct audit_lane_ring *ring, size_t most, size_t *length)
{
    size_t left;
    const uint8_t *from = place_of(ring, ring->tail, &left);
    *length = most < left ? most : left;
    return from;
}

static void free_chunk(struct audit_lane_ring *ring, size_t chunk)
{
    if (chunk >= AUDIT_LANE_CHUNKS_WARM && ring->chunk >= LANE_GIVE_BACK_LEAST)
        (void)madvise(ring->bytes + chunk * ring->chunk, ring->chunk, MADV_DONTNEED);
    atomic_fetch_or_explicit(&ring->free_chunks, 1ULL << chunk, memory_order_release);
    atomic_store(&ring->freed, ring->tail);
}

void audit_lane_take(struct audit_lane_ring *ring, size_t length)
{
    size_t slot = (size_t)(ring->tail / ring->chunk) % AUDIT_LANE_CHUNKS;
    ring->tail += length;
    if (length > 0 && ring->tail % ring->chunk == 0)
        free_chunk(ring, ring->order[slot]);
}

void audit_lane_tell_room(struct audit_lane_ring *ring)
{
    if (atomic_load(&ring->waiting) && atomic_exchange(&ring->waiting, false) && ring->room)
        ring->room(ring->room_arg);
}
