/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two clocks and one notion of a duration.
 *
 * Wall time (for records and certificates) is microseconds since 1970-01-01T00:00:00Z. Monotonic
 * time (for deadlines and measured durations) is microseconds since an arbitrary start. The two are
 * never mixed. Durations in configuration are an integer and a unit: "500ms", "90s", "10m", "12h",
 * "7d".
 */
#ifndef SALLYPORT_BASE_CLOCK_H
#define SALLYPORT_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Room for an RFC 3339 UTC time with microseconds, "2026-01-31T23:59:59.123456Z", and its NUL. */
#define CLOCK_TIME_SIZE 28

int64_t clock_wall_us(void);
int64_t clock_monotonic_us(void);

/* Prints wall time as RFC 3339 in UTC with microseconds. Years outside 0000–9999 are clamped. */
void clock_format(int64_t wall_us, char out[CLOCK_TIME_SIZE]);

/* Reads an RFC 3339 time ("2026-01-31T23:59:59Z", fraction and numeric offset allowed). */
bool clock_parse(const char *text, int64_t *wall_us, struct error *err) MUST_USE;

/* Reads a duration such as "10m" into milliseconds. A bare "0" is allowed; other bare numbers are
 * not. */
bool duration_parse(const char *text, int64_t *milliseconds, struct error *err) MUST_USE;

/* Prints milliseconds in the largest unit that divides them, e.g. "10m"; out is NUL-terminated. */
void duration_format(int64_t milliseconds, char *out, size_t size);

#endif
