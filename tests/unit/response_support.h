/* SPDX-License-Identifier: Apache-2.0 */
/* A response tracker whose events become text, and streams of a real server to feed it with. */
#ifndef SALLYPORT_TESTS_UNIT_RESPONSE_SUPPORT_H
#define SALLYPORT_TESTS_UNIT_RESPONSE_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/response.h"

#define OLD 0u
#define NEW (CAPABILITY_DEPRECATE_EOF | CAPABILITY_SESSION_TRACK | CAPABILITY_LOCAL_FILES)

/* MariaDB's extended flags are the upper half of a follower's capabilities. */
#define EXTENDED(flags) ((uint64_t)(flags) << 32)

#define TRACE_SIZE 4096
#define TAG_COUNT  64

/*
 * What a MariaDB 10.11.19 server really sent, byte for byte: table t(a int) of 4 to 7 rows, table
 * auto(id, v), procedure two() of `select 1; select 2, 'b'`. Names begin with "old" without, with
 * "new" with the capabilities NEW. `replies` has a letter for each command that was sent: Q query,
 * E execute, U execute that asks for a cursor, P prepare, F fetch, O one that is answered by OK, L
 * field list, S statistics, B binlog dump, C change user, I and i a LOAD DATA LOCAL INFILE up to
 * the request and from the file's end on.
 */
struct golden {
    const char *name;
    uint64_t capabilities;
    const char *replies;
    const char *hex;
};

extern const struct golden goldens[];
extern const size_t golden_count;

const struct golden *golden(const char *name);

/* A tracker and all that it said: a line for each event, with what differs from zero. */
struct follower {
    struct response_tracker *tracker;
    char trace[TRACE_SIZE];
    uint64_t relayed; /* bytes that may have gone to the client */
    bool failed;
};

extern int tags[TAG_COUNT]; /* the tags of follower_expect() point into it */

struct follower follower_make(uint64_t capabilities);
void follower_finish(struct follower *follower);

/* Expects the answers that the letters stand for, as in struct golden. */
void follower_expect(struct follower *follower, const char *letters);

/* Feeds these bytes, as one input, and does what a session would do with the events. */
void follower_feed(struct follower *follower, const uint8_t *bytes, size_t length);
void follower_feed_hex(struct follower *follower, const char *hex);

/* Bytes out of hexadecimal digits; spaces are skipped. The caller frees them. */
uint8_t *unhex(const char *hex, size_t *length);

/* Asserts what follows from these expected replies and this stream. */
void expect_trace(uint64_t capabilities, const char *letters, const char *hex, const char *trace);
void expect_golden(const char *name, const char *trace);

/* Asserts that the stream is refused, with these words in the reason. */
void expect_refused(uint64_t capabilities, const char *letters, const char *hex, const char *words);

#endif
