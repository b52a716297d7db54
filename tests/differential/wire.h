/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one connection, in both directions, for two uses.
 *
 * The tap: this program's recv() stands before the C library's, so that every byte that a server
 * sends is seen, whichever client asked for it. What both servers sent for a step is compared byte
 * for byte: nothing that a client library does not show can differ unnoticed. The tap also edits
 * the greeting, so that both connections start from the same offer of capabilities.
 *
 * The wire: packets of the MySQL protocol for the raw client. It is written apart from protocol/,
 * which is what the test is about. (MySQL source documentation, "MySQL Packets".)
 */
#ifndef SALLYPORT_DIFFERENTIAL_WIRE_H
#define SALLYPORT_DIFFERENTIAL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/differential/text.h"

#define WIRE_LONG_PASSWORD     (1u << 0)
#define WIRE_CONNECT_WITH_DB   (1u << 3)
#define WIRE_COMPRESS          (1u << 5)
#define WIRE_LOCAL_FILES       (1u << 7)
#define WIRE_PROTOCOL_41       (1u << 9)
#define WIRE_SSL               (1u << 11)
#define WIRE_TRANSACTIONS      (1u << 13)
#define WIRE_SECURE            (1u << 15)
#define WIRE_PLUGIN_AUTH       (1u << 19)
#define WIRE_CONNECT_ATTRS     (1u << 20)
#define WIRE_PLUGIN_LENENC     (1u << 21)
#define WIRE_EXPIRED_PASSWORDS (1u << 22)
#define WIRE_DEPRECATE_EOF     (1u << 24)
#define WIRE_OPTIONAL_METADATA (1u << 25)
#define WIRE_ZSTD              (1u << 26)
#define WIRE_QUERY_ATTRIBUTES  (1u << 27)
#define WIRE_MULTI_FACTOR      (1u << 28)
#define WIRE_VERIFY_CERT       (1u << 30)

/* Not varied: without them there is no login to speak of. */
#define WIRE_CAPABILITIES_NEEDED                                                  \
    (WIRE_LONG_PASSWORD | WIRE_CONNECT_WITH_DB | WIRE_PROTOCOL_41 | WIRE_SECURE | \
     WIRE_PLUGIN_AUTH | WIRE_PLUGIN_LENENC | WIRE_TRANSACTIONS | WIRE_COMPRESS | WIRE_ZSTD)
/* What the raw client never says: TLS, what its framing does not have, other logins. */
#define WIRE_CAPABILITIES_NEVER                                                      \
    (WIRE_COMPRESS | WIRE_SSL | WIRE_CONNECT_ATTRS | WIRE_ZSTD | WIRE_MULTI_FACTOR | \
     WIRE_VERIFY_CERT)

/* MariaDB's extended flags, bits 32 and up of the whole. */
#define WIRE_EXTENDED_PROGRESS       (1u << 0)
#define WIRE_EXTENDED_BULK           (1u << 2)
#define WIRE_EXTENDED_METADATA       (1u << 3)
#define WIRE_EXTENDED_CACHE_METADATA (1u << 4)
#define WIRE_EXTENDED_BULK_RESULTS   (1u << 5)
#define WIRE_EXTENDED_KNOWN \
    (WIRE_EXTENDED_BULK | WIRE_EXTENDED_METADATA | WIRE_EXTENDED_CACHE_METADATA)

/* Status flags: no good index was used, no index was used. */
#define WIRE_PLAN_FLAGS 0x30

#define WIRE_FRAME_MAX 0xFFFFFFu
#define WIRE_TIMEOUT_S 60

struct tap {
    struct text received;  /* since it was last cleared */
    bool as_consumed;      /* notes what wire_read() takes, not what recv() happens to bring */
    bool greeting_awaited; /* the next bytes are a greeting, to be edited */
    uint32_t offered, offered_extended; /* what the greeting offered before it was edited */
    uint32_t keep, keep_extended;       /* what is left of it */
};

/* Where received bytes go until the next call; NULL for nowhere. */
void tap_select(struct tap *tap);

struct wire {
    int fd;
    struct text packet; /* the payload last read, whole */
    unsigned int sequence;
    char input[65536];
    size_t at, filled;
};

bool wire_connect(struct wire *wire, const char *host, unsigned int port);
void wire_close(struct wire *wire);
/* Sends one command or packet, split where it must be; `first` is its sequence id. */
bool wire_send(struct wire *wire, const struct text *payload, unsigned int first);
/* Reads one packet, put together from its pieces. False when the connection ended or timed out. */
bool wire_read(struct wire *wire);
/* Whether the last thing that failed was waiting, for WIRE_TIMEOUT_S. */
bool wire_is_silent(void);

/* Reads from a payload; false past its end. */
bool wire_integer(const struct text *payload, size_t *at, size_t width, uint64_t *value);
bool wire_lenenc(const struct text *payload, size_t *at, uint64_t *value);

#endif
