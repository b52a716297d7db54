/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What following a result costs: rows of a given size in inputs of at most 64 KiB, 100 MB in all,
 * one core. The same rows come again and again, warm in the cache as bytes that were just decrypted
 * are. Not built by default and asserts nothing about time:
 *
 *     gcc -std=gnu17 -O2 -D_GNU_SOURCE -I. bench/response_rows.c protocol/response.c \
 *         protocol/response_answer.c protocol/packet.c base/buffer.c base/bytes.c base/clock.c \
 *         base/error.c -o /tmp/response_rows && /tmp/response_rows 100
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "protocol/capability.h"
#include "protocol/response.h"

#define TOTAL      (100u * 1000 * 1000)
#define INPUT_SIZE 65536u
#define ROUNDS     5

static void fail(const char *what, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(EXIT_FAILURE);
}

/* As many rows as fit one input, but a multiple of 256: sequence ids go on when they are repeated.
 */
static uint8_t *make_rows(size_t row, size_t *length, uint64_t *rows)
{
    size_t packet = row + PACKET_HEADER_SIZE;
    *rows = INPUT_SIZE / packet / 256 * 256;
    if (*rows == 0)
        *rows = 256;
    *length = (size_t)*rows * packet;
    uint8_t *bytes = calloc(1, *length);
    if (!bytes)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < *rows; i++) {
        uint8_t header[] = {(uint8_t)row, (uint8_t)(row >> 8), (uint8_t)(row >> 16),
                            (uint8_t)(3 + i)};
        memcpy(bytes + i * packet, header, sizeof header);
        bytes[i * packet + PACKET_HEADER_SIZE] = 1;
    }
    return bytes;
}

static void feed(struct response_tracker *tracker, const uint8_t *bytes, size_t length)
{
    struct error err = {0};
    for (size_t at = 0; at < length;) {
        size_t consumed, left = length - at;
        enum response_event event;
        if (!response_feed(tracker, byte_view(bytes + at, left < INPUT_SIZE ? left : INPUT_SIZE),
                           &consumed, &event, &err))
            fail("feed", &err);
        at += consumed;
    }
}

static double follow(const uint8_t *bytes, size_t length, uint64_t rows, size_t repeats)
{
    static const uint8_t head[] = {1, 0, 0, 1, 1, 5, 0, 0, 2, 3, 'd', 'e', 'f', 0};
    static int tag;
    struct response_tracker *tracker;
    struct error err = {0};
    if (!response_tracker_create(CAPABILITY_DEPRECATE_EOF, 0, &tracker, &err) ||
        !response_expect(tracker, REPLY_RESULT, RESPONSE_ROWS_TEXT, 1, &tag, &err))
        fail("tracker", &err);
    feed(tracker, head, sizeof head);
    int64_t start = clock_monotonic_us();
    for (size_t i = 0; i < repeats; i++)
        feed(tracker, bytes, length);
    int64_t took = clock_monotonic_us() - start;
    if (response_result(tracker)->rows != rows * repeats)
        exit(EXIT_FAILURE);
    response_tracker_destroy(tracker);
    return (double)took;
}

int main(int count, char **arguments)
{
    size_t row = count > 1 ? strtoul(arguments[1], NULL, 10) : 100, length;
    uint64_t rows;
    if (row < 1 || row >= PACKET_PAYLOAD_MAX) {
        fprintf(stderr, "usage: response_rows [BYTES OF A ROW]\n");
        return 2;
    }
    uint8_t *bytes = make_rows(row, &length, &rows);
    size_t repeats = TOTAL / length + 1;
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double took = follow(bytes, length, rows, repeats);
        best = round == 0 || took < best ? took : best;
    }
    printf("%zu-byte rows: %.2f ns a row, %.2f GB/s (best of %d)\n", row,
           best * 1000 / (double)(rows * repeats), (double)(length * repeats) / best / 1000,
           ROUNDS);
    free(bytes);
    return EXIT_SUCCESS;
}
