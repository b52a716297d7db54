/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing bytes, random numbers, and the end of a test program that cannot go on.
 *
 * A test tool has nobody to report to but the person who runs it: where memory ends or the set-up
 * fails it prints why and exits with EXIT_SETUP, so that a difference (EXIT_DIFFERENT) is never
 * confused with a run that did not happen.
 */
#ifndef SALLYPORT_DIFFERENTIAL_TEXT_H
#define SALLYPORT_DIFFERENTIAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_DIFFERENT 1
#define EXIT_USAGE     2
#define EXIT_SETUP     3

struct text {
    char *data; /* a NUL follows the last byte; NULL while nothing was added */
    size_t length;
    size_t capacity;
};

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *must_allocate(size_t size);

void text_add(struct text *text, const void *bytes, size_t length);
void text_add_byte(struct text *text, unsigned int byte);
/* Little endian, `width` bytes of `value`. */
void text_add_integer(struct text *text, uint64_t value, size_t width);
/* A length-encoded integer, and a length-encoded string (MySQL: "Basic Data Types"). */
void text_add_lenenc(struct text *text, uint64_t value);
void text_add_lenenc_string(struct text *text, const void *bytes, size_t length);
void text_print(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Printable ASCII as it is, all else as \xNN; after `most` bytes the length alone is told. */
void text_add_escaped(struct text *text, const void *bytes, size_t length, size_t most);
void text_clear(struct text *text);
void text_free(struct text *text);
/* The first position at which they differ; the shorter length where one begins the other. */
size_t text_first_difference(const struct text *one, const struct text *other);
bool text_equal(const struct text *one, const struct text *other);

/* SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every machine and C library. */
struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0 … bound - 1; bound must not be 0. */
size_t random_below(struct random *random, size_t bound);
bool random_percent(struct random *random, unsigned int percent);
uint64_t hash_bytes(const void *bytes, size_t length);

#endif
