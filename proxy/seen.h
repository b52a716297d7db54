/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serials of bots' certificates that sessions have shown, on their way to the authority: workers
 * put them in, the main loop takes them out. A serial that was put in lately is not put in again.
 * What does not fit is left out: the authority learns of a certificate's use late or, from the
 * tunnel's own `confirm`, anyway.
 */
#ifndef SALLYPORT_PROXY_SEEN_H
#define SALLYPORT_PROXY_SEEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SEEN_WAITING_MAX 4096  /* not told yet */
#define SEEN_KNOWN       16384 /* told lately; a table of one way, so some are told twice */
#define SEEN_SERIAL_SIZE 64

struct seen;

bool seen_create(struct seen **out, struct error *err) MUST_USE;
void seen_free(struct seen *seen); /* NULL allowed */

/* From any thread. True: it is new, and waits now. */
bool seen_put(struct seen *seen, const char *serial);

/* Takes up to `room` of those that wait, oldest first; returns how many. */
size_t seen_take(struct seen *seen, char (*out)[SEEN_SERIAL_SIZE], size_t room);

/* They could not be told: they wait again when they are put in the next time. */
void seen_forget(struct seen *seen, char (*serials)[SEEN_SERIAL_SIZE], size_t count);

#endif
