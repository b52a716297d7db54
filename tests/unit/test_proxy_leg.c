/* SPDX-License-Identifier: Apache-2.0 */
/* A compressed leg above a real stream: what a consumer leaves, who gets a turn, ids, the end. */
#include "proxy/leg.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tls_support.h"

#define TURNS_MAX 1000000 /* of the loop, before a test gives up */

/* The server's side of a pair, with a leg above it. */
struct above {
    struct pair pair;
    struct leg_home home;
    struct leg leg; /* the reader's */
    struct leg writer;
    struct buffer content;
    size_t events;     /* of the stream */
    size_t most_event; /* bytes of content in one of them */
    size_t this_event;
    size_t most;        /* that `take` takes before it pauses; 0: all */
    size_t close_after; /* bytes of content; 0: never */
    bool restarts;      /* every piece is a command: ids begin anew */
    bool failed;
    struct error err;
};

static size_t take(void *owner, const uint8_t *data, size_t length)
{
    struct above *above = owner;
    size_t taken = above->most > 0 && above->most < length ? above->most : length;
    cr_assert_not(stream_paused(above->pair.server.stream), "content came to a paused stream");
    cr_assert(buffer_append(&above->content, data, taken, NULL));
    above->this_event += taken;
    if (above->restarts)
        above->leg.incoming = 0;
    if (above->most > 0)
        stream_pause(above->pair.server.stream);
    if (above->close_after > 0 && buffer_length(&above->content) >= above->close_after)
        leg_close(&above->leg);
    return taken;
}

static void on_data(struct side *side, const uint8_t *bytes, size_t length, size_t *taken)
{
    struct above *above = side->extra;
    above->events++;
    above->this_event = 0;
    if (above->failed ||
        !leg_read(&above->leg, side->stream, bytes, length, take, above, taken, &above->err)) {
        above->failed = true;
        *taken = length;
    }
    if (above->this_event > above->most_event)
        above->most_event = above->this_event;
}

static void above_open(struct above *above, enum compression_method method)
{
    memset(above, 0, sizeof *above);
    pair_open_tls(&above->pair, TLS_VERSION_1_3);
    above->pair.server.on_data = on_data;
    above->pair.server.extra = above;
    above->pair.server.keep = false;
    buffer_init(&above->content, 1u << 26);
    cr_assert(leg_compress(&above->leg, &above->home, method, 3, NULL));
    cr_assert(leg_compress(&above->writer, &above->home, method, 3, NULL));
}

static void above_close(struct above *above)
{
    pair_close(&above->pair);
    leg_release(&above->leg);
    leg_release(&above->leg);
    leg_release(&above->writer);
    leg_home_release(&above->home);
    buffer_release(&above->content);
}

/* `last`: the id of the last frame, or LEG_ANY. */
static void send_frames(struct above *above, const uint8_t *bytes, size_t length, int last)
{
    cr_assert(
        leg_write(&above->writer, above->pair.client.stream, byte_view(bytes, length), last, NULL));
}

static void gather(struct above *above, const uint8_t *bytes, size_t length)
{
    cr_assert(
        leg_gather(&above->writer, above->pair.client.stream, byte_view(bytes, length), NULL));
}

/* Runs until so much content came, resuming what `take` paused. */
static void run_until(struct above *above, size_t length)
{
    for (int turn = 0; turn < TURNS_MAX && buffer_length(&above->content) < length; turn++) {
        if (above->most > 0)
            stream_resume(above->pair.server.stream);
        (void)uv_run(&above->pair.loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(buffer_length(&above->content), length);
}

static uint8_t *text_of(size_t length)
{
    uint8_t *text = malloc(length);
    cr_assert(text);
    for (size_t i = 0; i < length; i++)
        text[i] = (uint8_t)("a chair of oak, "[i % 16] + (int)(i / 5000 % 5));
    return text;
}

Test(proxy_leg, without_compression_bytes_go_straight_through)
{
    struct above above;
    above_open(&above, COMPRESSION_NONE);
    cr_assert_not(leg_compressed(&above.leg));
    cr_assert_null(above.home.compression, "nothing is allocated");
    send_frames(&above, (const uint8_t *)"pl", 2, 9);
    gather(&above, (const uint8_t *)"ain", 3);
    run_until(&above, 5);
    cr_assert_arr_eq(buffer_bytes(&above.content), "plain", 5);
    above_close(&above);
}

Test(proxy_leg, what_a_consumer_leaves_comes_again)
{
    static const size_t takes[] = {1, 7, 997, 65536, 0};
    for (size_t i = 0; i < sizeof takes / sizeof takes[0]; i++) {
        size_t length = takes[i] == 1 ? 2000 : 200000;
        uint8_t *text = text_of(length);
        struct above above;
        above_open(&above, i % 2 ? COMPRESSION_ZSTD : COMPRESSION_ZLIB);
        above.most = takes[i];
        send_frames(&above, text, length, 2);
        run_until(&above, length);
        cr_assert(memcmp(buffer_bytes(&above.content), text, length) == 0);
        cr_assert_not(above.failed, "%s", above.err.message);
        above_close(&above);
        free(text);
    }
}

/* I9: 16 MiB that came in 16 KiB keep the loop from nobody. */
Test(proxy_leg, a_bomb_is_unpacked_in_turns)
{
    struct above above;
    uint8_t *nothing = calloc(1, COMPRESSION_FRAME_MAX);
    cr_assert(nothing);
    above_open(&above, COMPRESSION_ZLIB);
    send_frames(&above, nothing, COMPRESSION_FRAME_MAX, LEG_ANY);
    run_until(&above, COMPRESSION_FRAME_MAX);
    cr_assert_leq(above.most_event, LEG_BURST + COMPRESSION_PIECE_MAX);
    cr_assert_geq(above.events, COMPRESSION_FRAME_MAX / (LEG_BURST + COMPRESSION_PIECE_MAX));
    above_close(&above);
    free(nothing);
}

Test(proxy_leg, nothing_comes_after_it_was_closed)
{
    struct above above;
    uint8_t *text = text_of(500000);
    above_open(&above, COMPRESSION_ZSTD);
    above.close_after = 1000;
    send_frames(&above, text, 500000, LEG_ANY);
    pair_run_for(&above.pair, 50);
    cr_assert_leq(buffer_length(&above.content), COMPRESSION_PIECE_MAX);
    cr_assert_not(above.failed);
    above_close(&above);
    free(text);
}

Test(proxy_leg, ids_count_on_unless_the_consumer_says_otherwise)
{
    struct above above;
    above_open(&above, COMPRESSION_ZLIB);
    for (int frame = 0; frame < 300; frame++)
        send_frames(&above, (const uint8_t *)"x", 1, LEG_ANY);
    run_until(&above, 300);
    cr_assert_eq(leg_last(&above.leg), 299 % 256);
    cr_assert_eq(above.leg.incoming, 300 % 256);
    above.restarts = true;
    above.leg.incoming = above.writer.outgoing = 0;
    for (int command = 0; command < 5; command++) {
        above.writer.outgoing = 0;
        send_frames(&above, (const uint8_t *)"y", 1, LEG_ANY);
    }
    run_until(&above, 305);
    above.writer.outgoing = 1;
    send_frames(&above, (const uint8_t *)"z", 1, LEG_ANY);
    pair_run_until(&above.pair, &above.failed);
    cr_assert_eq(above.err.code, ERROR_MALFORMED);
    above_close(&above);
}

/* I9: nor do frames of a byte each, of which 64 KiB hold eight thousand. */
Test(proxy_leg, tiny_frames_are_unpacked_in_turns)
{
    enum { FRAMES = 20000, PER_TURN = LEG_BURST / LEG_FRAME_COST };
    struct above above;
    above_open(&above, COMPRESSION_ZLIB);
    for (int frame = 0; frame < FRAMES; frame++)
        send_frames(&above, (const uint8_t *)"x", 1, LEG_ANY);
    run_until(&above, FRAMES);
    cr_assert_leq(above.most_event, PER_TURN, "%zu frames in one turn", above.most_event);
    above_close(&above);
}

/* How a command reaches the server with the id that its last frame had with the client: however
 * many have gone before it, and however little is left to go. */
Test(proxy_leg, the_last_frame_has_the_id_that_is_asked_for)
{
    static const uint8_t begins[] = {0, 7, 100, 255}, lasts[] = {0, 1, 99, 255};
    static const size_t lengths[] = {1, 2, 50, 254, 1000, 300000};
    uint8_t *text = text_of(300000);
    for (size_t i = 0; i < 96; i++) {
        uint8_t begin = begins[i % 4], last = lasts[i / 4 % 4];
        size_t length = lengths[i / 16];
        struct above above;
        above_open(&above, i % 2 ? COMPRESSION_ZSTD : COMPRESSION_ZLIB);
        above.writer.outgoing = begin;
        above.leg.incoming = begin;
        send_frames(&above, text, length, last);
        cr_assert_eq(above.writer.outgoing, (uint8_t)(last + 1));
        run_until(&above, length);
        cr_assert_eq(leg_last(&above.leg), last);
        cr_assert(memcmp(buffer_bytes(&above.content), text, length) == 0);
        above_close(&above);
    }
    free(text);
}

/* The content is longer than a frame can be: the id is that of the second one. */
Test(proxy_leg, the_last_of_several_long_frames_has_it_too)
{
    struct above above;
    size_t length = COMPRESSION_FRAME_MAX + (size_t)1000;
    uint8_t *nothing = calloc(1, length);
    cr_assert(nothing);
    for (int last = 0; last < 3; last++) {
        above_open(&above, COMPRESSION_ZSTD);
        send_frames(&above, nothing, length, last);
        cr_assert_eq(above.writer.outgoing, last + 1);
        run_until(&above, length);
        cr_assert_eq(leg_last(&above.leg), last);
        above_close(&above);
    }
    free(nothing);
}

/* What is of no use before its end leaves together, in order and within bounds. */
Test(proxy_leg, pieces_are_gathered_until_the_end_or_the_bound)
{
    static const size_t pieces[] = {1, 1000, LEG_GATHER_MAX - 1, LEG_GATHER_MAX, 65536};
    size_t length = 200000;
    uint8_t *text = text_of(length);
    for (size_t i = 0; i < 5; i++) {
        struct above above;
        size_t at = 0;
        above_open(&above, COMPRESSION_ZLIB);
        for (; at + pieces[i] < length; at += pieces[i]) {
            gather(&above, text + at, pieces[i]);
            cr_assert_lt(buffer_length(&above.writer.gathered), LEG_GATHER_MAX);
        }
        cr_assert_leq(above.writer.outgoing, length / LEG_GATHER_MAX + 1, "of %zu bytes each: %u",
                      pieces[i], above.writer.outgoing);
        send_frames(&above, text + at, length - at, 77);
        cr_assert_eq(buffer_length(&above.writer.gathered), 0);
        run_until(&above, length);
        cr_assert_eq(leg_last(&above.leg), 77);
        cr_assert(memcmp(buffer_bytes(&above.content), text, length) == 0);
        above_close(&above);
    }
    free(text);
}

/* A long write behind what was gathered does not join it, and keeps the order. */
Test(proxy_leg, a_long_write_goes_behind_what_was_gathered)
{
    struct above above;
    uint8_t *text = text_of(300000);
    above_open(&above, COMPRESSION_ZLIB);
    gather(&above, text, 10);
    send_frames(&above, text + 10, 299990, LEG_ANY);
    cr_assert_eq(above.writer.outgoing, 2);
    run_until(&above, 300000);
    cr_assert(memcmp(buffer_bytes(&above.content), text, 300000) == 0);
    gather(&above, text, 10); /* and what never gets its end is freed */
    above_close(&above);
    free(text);
}

Test(proxy_leg, a_secret_leaves_no_copy)
{
    struct above above;
    uint8_t *text = text_of(1000);
    above_open(&above, COMPRESSION_ZLIB);
    cr_assert(
        leg_write_secret(&above.writer, above.pair.client.stream, byte_view(text, 1000), NULL));
    for (size_t i = 0; i < above.home.output.capacity; i++)
        cr_assert_eq(above.home.output.storage[i], 0);
    run_until(&above, 1000);
    cr_assert(memcmp(buffer_bytes(&above.content), text, 1000) == 0);
    above_close(&above);
    free(text);
}
