/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often an address may be refused: ten joins at once, then one every six seconds. A token
 * cannot be guessed (256 bits); this keeps whoever tries from costing us work and log lines.
 *
 * An IPv4 address counts on its own, an IPv6 address as its /64, which is what one host has. The
 * table has a fixed size: when it is full, the address that was refused longest ago is forgotten,
 * and may try anew.
 *
 * The same for bots, which are known by their names: a hundred requests at once, then one a
 * second, for joins by a bot's key, repeated joins, and what an instance asks. What is too much is
 * counted, and told once a minute.
 */
#ifndef SALLYPORT_AUTHORITY_RATE_H
#define SALLYPORT_AUTHORITY_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define AUTHORITY_RATE_ADDRESSES   4096
#define AUTHORITY_RATE_AT_ONCE     10
#define AUTHORITY_RATE_INTERVAL_US INT64_C(6000000)

/* Renewing and confirming takes an instance two requests each few minutes. */
#define AUTHORITY_RATE_BOT_AT_ONCE     100
#define AUTHORITY_RATE_BOT_INTERVAL_US INT64_C(1000000)
#define AUTHORITY_RATE_RECORD_US       INT64_C(60000000)

struct authority_rate;

bool authority_rate_open(struct authority_rate **out, struct error *err) MUST_USE;
/* For bots: for the functions at the end. */
bool authority_rate_open_bots(struct authority_rate **out, struct error *err) MUST_USE;
void authority_rate_close(struct authority_rate *rate);

/*
 * Whether this address ("10.0.0.5", "fe80::1%eth0", "::ffff:10.0.0.5") may try. Times are monotonic
 * (base/clock.h). What is no address counts as one of its own, the same for all.
 */
bool authority_rate_allows(const struct authority_rate *rate, const char *address, int64_t now_us);

/* Notes that it was refused. */
void authority_rate_refused(struct authority_rate *rate, const char *address, int64_t now_us);

/* Whether a bot, or an instance, may ask for something; if so, that counts. */
bool authority_rate_takes(struct authority_rate *rate, const char *name, int64_t now_us);

/* Whether it may be recorded that this one was refused, and how often it was since the last record.
 * What may not be is counted. */
bool authority_rate_may_record(struct authority_rate *rate, const char *name, int64_t now_us,
                               uint64_t *unrecorded);

#endif
