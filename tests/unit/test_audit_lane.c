/* SPDX-License-Identifier: Apache-2.0 */
/* race_audit.c has what ThreadSanitizer can run; Criterion does not start under it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit/lane.h"

#define SMALL_CHUNK 64
#define SMALL_SIZE  ((size_t)SMALL_CHUNK * AUDIT_LANE_CHUNKS)

static struct audit_doorbell doorbell;
static struct audit_lane_ring ring;
static int rooms;

static void count_room(void *arg)
{
    (*(int *)arg)++;
}

static void open_ring(size_t chunk)
{
    struct error err;
    atomic_init(&doorbell.asleep, false);
    doorbell.event_fd = eventfd(0, EFD_NONBLOCK);
    cr_assert(doorbell.event_fd >= 0);
    cr_assert(audit_lane_ring_open(&ring, chunk, &doorbell, &err), "%s", err.message);
    ring.room = count_room;
    ring.room_arg = &rooms;
    rooms = 0;
}

static void close_ring(void)
{
    audit_lane_ring_close(&ring);
    close(doorbell.event_fd);
}

static void open_small(void)
{
    open_ring(SMALL_CHUNK);
}

/* Bytes that tell where in the stream they belong. */
static uint8_t pattern(uint64_t position)
{
    return (uint8_t)(position * 131 + position / 251);
}

static void produce(uint64_t position, size_t length)
{
    uint8_t bytes[SMALL_SIZE];
    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern(position + i);
    audit_lane_unreserve(&ring, length);
    audit_lane_write(&ring, bytes, length);
    audit_lane_publish(&ring);
}

static void consume(uint64_t position, size_t length)
{
    size_t got = 0;
    cr_assert(audit_lane_ready(&ring) >= length);
    while (got < length) {
        size_t part;
        const uint8_t *from = audit_lane_peek(&ring, length - got, &part);
        cr_assert(part > 0);
        for (size_t i = 0; i < part; i++)
            cr_assert_eq(from[i], pattern(position + got + i));
        audit_lane_take(&ring, part);
        got += part;
    }
}

TestSuite(lane, .init = open_small, .fini = close_ring);

Test(lane, carries_every_length_across_every_offset_of_a_chunk)
{
    uint64_t position = 0;
    for (size_t length = 1; length <= 3 * SMALL_CHUNK; length++) {
        for (size_t turn = 0; turn < SMALL_CHUNK; turn++) {
            cr_assert(audit_lane_reserve(&ring, length));
            produce(position, length);
            consume(position, length);
            position += length;
        }
        cr_assert(audit_lane_reserve(&ring, 1)); /* moves on the offset */
        produce(position, 1);
        consume(position, 1);
        position++;
    }
    cr_assert_eq(audit_lane_ready(&ring), 0);
}

Test(lane, shows_nothing_before_it_is_published)
{
    cr_assert(audit_lane_reserve(&ring, 10));
    audit_lane_unreserve(&ring, 10);
    audit_lane_write(&ring, "0123456789", 10);
    cr_assert_eq(audit_lane_ready(&ring), 0);
    audit_lane_publish(&ring);
    cr_assert_eq(audit_lane_ready(&ring), 10);
}

Test(lane, takes_exactly_its_size)
{
    cr_assert(audit_lane_reserve(&ring, SMALL_SIZE));
    cr_assert_not(audit_lane_reserve(&ring, 1));
    produce(0, SMALL_SIZE);
    cr_assert_not(audit_lane_has_room(&ring, 1));
    consume(0, SMALL_SIZE);
    cr_assert(audit_lane_reserve(&ring, SMALL_SIZE));
}

Test(lane, keeps_its_greatest_promise_from_any_offset)
{
    uint64_t position = 0;
    for (size_t i = 0; i < 2 * SMALL_CHUNK; i++) {
        size_t greatest = audit_lane_ring_greatest(&ring);
        cr_assert(audit_lane_reserve(&ring, greatest), "at offset %zu", i);
        produce(position, greatest);
        consume(position, greatest);
        position += greatest;
        cr_assert(audit_lane_reserve(&ring, 1));
        produce(position, 1);
        consume(position, 1);
        position++;
    }
}

Test(lane, reserved_room_stays_reserved_while_others_come_and_go)
{
    uint64_t position = 0;
    size_t held = SMALL_SIZE / 2;
    cr_assert(audit_lane_reserve(&ring, held));
    for (size_t i = 0; i < 1000; i++) {
        size_t length = 1 + i * 37 % 100;
        cr_assert(audit_lane_reserve(&ring, length));
        produce(position, length);
        consume(position, length);
        position += length;
    }
    cr_assert_not(audit_lane_has_room(&ring, SMALL_SIZE - held + 1));
    produce(position, held);
    consume(position, held);
}

Test(lane, tells_of_room_only_after_a_refusal)
{
    cr_assert(audit_lane_reserve(&ring, SMALL_SIZE));
    produce(0, SMALL_SIZE);
    audit_lane_tell_room(&ring);
    cr_assert_eq(rooms, 0);
    cr_assert_not(audit_lane_reserve(&ring, 1));
    consume(0, SMALL_SIZE);
    audit_lane_tell_room(&ring);
    audit_lane_tell_room(&ring);
    cr_assert_eq(rooms, 1);
}

Test(lane, remembers_no_one_who_only_asked)
{
    cr_assert(audit_lane_reserve(&ring, SMALL_SIZE));
    cr_assert_not(audit_lane_has_room(&ring, 1));
    audit_lane_tell_room(&ring);
    cr_assert_eq(rooms, 0);
}

static uint64_t rings_heard(void)
{
    uint64_t rings = 0;
    return read(doorbell.event_fd, &rings, sizeof rings) == sizeof rings ? rings : 0;
}

Test(lane, rings_only_for_a_sleeper_and_once)
{
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert(audit_lane_reserve(&ring, 1));
        produce(i, 1);
    }
    cr_assert_eq(rings_heard(), 0);
    atomic_store(&doorbell.asleep, true);
    for (uint64_t i = 3; i < 6; i++) {
        cr_assert(audit_lane_reserve(&ring, 1));
        produce(i, 1);
    }
    cr_assert_eq(rings_heard(), 1);
    cr_assert_not(atomic_load(&doorbell.asleep));
    consume(0, 6);
}

/* Pages of the ring that are in memory. */
static size_t resident(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = ring.size / page;
    unsigned char *map = malloc(pages);
    size_t count = 0;
    cr_assert(map && mincore(ring.bytes, ring.size, map) == 0);
    for (size_t i = 0; i < pages; i++)
        count += map[i] & 1;
    free(map);
    return count * page;
}

static void pass_through(size_t bytes, size_t backlog)
{
    static uint8_t block[4096];
    for (size_t done = 0; done < bytes; done += backlog) {
        for (size_t i = 0; i < backlog; i += sizeof block) {
            cr_assert(audit_lane_reserve(&ring, sizeof block));
            audit_lane_unreserve(&ring, sizeof block);
            audit_lane_write(&ring, block, sizeof block);
            audit_lane_publish(&ring);
        }
        while (audit_lane_ready(&ring) > 0) {
            size_t part;
            audit_lane_peek(&ring, audit_lane_ready(&ring), &part);
            audit_lane_take(&ring, part);
        }
    }
}

Test(lane_memory, stays_small_when_drained_and_shrinks_after_a_burst, .fini = close_ring)
{
    open_ring(256 * 1024);
    cr_assert_eq(resident(), 0);
    pass_through(64 * 1024 * 1024, 64 * 1024);
    cr_assert(resident() <= 2 * ring.chunk, "%zu bytes are resident", resident());
    pass_through(12 * 1024 * 1024, 12 * 1024 * 1024);
    cr_assert(resident() <= 3 * ring.chunk, "%zu bytes are resident", resident());
}

#define HAMMER_BYTES (4 * 1024 * 1024)

static atomic_int hammer_rooms;

static void hammer_room(void *arg)
{
    (void)arg;
    atomic_fetch_add(&hammer_rooms, 1);
}

static void *hammer_producer(void *arg)
{
    uint64_t position = 0;
    unsigned seed = 7;
    (void)arg;
    while (position < HAMMER_BYTES) {
        size_t length = 1 + (size_t)rand_r(&seed) % 700;
        int before = atomic_load(&hammer_rooms);
        while (!audit_lane_reserve(&ring, length))
            while (atomic_load(&hammer_rooms) == before)
                sched_yield(); /* hangs, and the test with it, when a wake-up is lost */
        produce(position, length);
        position += length;
    }
    return NULL;
}

Test(lane, loses_and_mixes_nothing_between_two_threads, .timeout = 120)
{
    pthread_t producer;
    uint64_t position = 0;
    ring.room = hammer_room;
    cr_assert_eq(pthread_create(&producer, NULL, hammer_producer, NULL), 0);
    while (position < HAMMER_BYTES) {
        size_t ready = audit_lane_ready(&ring);
        consume(position, ready);
        position += ready;
        audit_lane_tell_room(&ring);
        if (ready == 0)
            sched_yield();
    }
    pthread_join(producer, NULL);
    cr_assert(atomic_load(&hammer_rooms) > 0, "the ring was never full: the test shows nothing");
}
