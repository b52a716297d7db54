/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program is told when its connection cannot be made: a MySQL ERR packet in the place of the
 * server's greeting, so that the reason shows in the program's own log and nobody has to look for
 * it on two machines. Afterwards the connection is closed.
 *
 *     code  SQLSTATE  when
 *     1045  28000     our identity is unusable, out of its validity, or refused by the proxy
 *     1159  08S01     the proxy cannot be reached, did not answer, or closed before the greeting
 *     1040  08004     more connections than the tunnel takes
 *     1053  08S01     the tunnel is stopping
 *
 * Each text begins "sallyport: <bot>: " ("tunnel <name>" while the bot is not known), says what is
 * wrong and what to do next. The codes are ER_ACCESS_DENIED_ERROR, ER_NET_READ_INTERRUPTED,
 * ER_CON_COUNT_ERROR and ER_SERVER_SHUTDOWN of the MySQL Error Message Reference; codes of 2000 and
 * above belong to client libraries.
 *
 * The packet has sequence id 0 and a SQLSTATE, although what the client understands is not known
 * yet: docs/decisions/0502-first-packet-error.md has what real clients make of either form.
 */
#ifndef SALLYPORT_TUNNEL_REFUSAL_H
#define SALLYPORT_TUNNEL_REFUSAL_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "protocol/packet.h"

/* Room for the packet: header, code, SQLSTATE, message. */
#define REFUSAL_PACKET_MAX (PACKET_HEADER_SIZE + 9 + PACKET_ERR_MESSAGE_MAX)

/* How far a connection had come. */
enum refusal_stage {
    REFUSAL_NONE = 0, /* it is not refused */
    REFUSAL_IDENTITY, /* no usable certificate of our own */
    REFUSAL_DIAL,     /* no TLS connection to the proxy */
    REFUSAL_GREETING, /* the hello frame was sent, the greeting did not come */
    REFUSAL_TIMEOUT,  /* ... within its time */
    REFUSAL_LIMIT,    /* too many connections */
    REFUSAL_STOPPING,
    REFUSAL_INTERNAL, /* memory, descriptors */
};

struct refusal {
    uint16_t code;
    const char *sqlstate;
    char message[PACKET_ERR_MESSAGE_MAX];
};

/* Why (`err`, NULL allowed), for which bot, towards which proxy ("HOST:PORT"). */
void refusal_make(enum refusal_stage stage, const struct error *err, const char *bot,
                  const char *proxy, struct refusal *out);

/* Appends the packet; `out` must have REFUSAL_PACKET_MAX bytes of room. */
bool refusal_append(const struct refusal *refusal, struct buffer *out, struct error *err) MUST_USE;

/*
 * What the proxy said before it was spoken to. An ERR packet is its refusal of the bot:
 * ERROR_DENIED with its words. Anything else, a cut packet included: ERROR_MALFORMED, for it is no
 * proxy.
 */
void refusal_read(const uint8_t *data, size_t length, struct error *err);

#endif
