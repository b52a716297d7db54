/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a database, apart from the session that uses it: dialled, greeted, secured by
 * mutual TLS, logged in with the proxy's certificate, then a stream of packets.
 *
 *   DIALLING -> GREETING -> GREETED -> SECURING -> LOGIN -> READY <-> CHANGING
 *        \          \          \           \          \        \        /
 *         +----------+----------+-----------+----------+--------+------+--> CLOSED
 *   GREETED (given up) -> RETIRING -> CLOSED
 *
 * A server counts connections that end before their login against max_connect_errors, and shuts the
 * proxy's host out when there are too many (TRAPS.md, "Bare TCP probes"). So a connection that is
 * given up after its dial has begun is retired: it goes on by itself to a login that the server
 * refuses, and then closes.
 *
 * Events come from the loop, never from inside a call of the owner. After upstream_close() none
 * comes.
 */
#ifndef SALLYPORT_PROXY_UPSTREAM_H
#define SALLYPORT_PROXY_UPSTREAM_H

#include "base/bytes.h"
#include "base/error.h"
#include "protocol/handshake.h"
#include "proxy/leg.h"
#include "proxy/snapshot.h"
#include "tls/stream.h"

struct upstream;

/* Where upstream connections live: one for each worker, all fields are the worker's to set but
 * `count`. */
struct upstream_home {
    uv_loop_t *loop;
    struct stream_loop *shared;
    struct leg_home *legs; /* NULL: no connection is compressed */
    size_t count;          /* connections whose memory is not free yet, retiring ones included */
    void (*emptied)(void *arg); /* called when `count` has come down to 0 */
    void *arg;
};

/* Which part of the way failed, for the reason and the error of the session. */
enum upstream_fault {
    UPSTREAM_UNREACHABLE,
    UPSTREAM_TLS,
    UPSTREAM_PROTOCOL,
    UPSTREAM_LOST,
};

struct upstream_events {
    /* The server's greeting has come. */
    void (*greeted)(void *owner, const struct handshake_greeting *greeting);
    /* A login or COM_CHANGE_USER was accepted; the OK packet's payload. */
    void (*accepted)(void *owner, struct byte_view ok);
    /* The server refused with an ERR packet, instead of a greeting, at login or at a change of
     * user; its payload. The connection is gone, unless upstream_ready(). */
    void (*refused)(void *owner, struct byte_view err);
    /* As in tls/stream.h; only while ready. */
    size_t (*data)(void *owner, const uint8_t *data, size_t length);
    void (*drained)(void *owner);
    /* It is gone. */
    void (*lost)(void *owner, enum upstream_fault fault, const struct error *err);
};

/* Begins to dial. `database` must live as long as the snapshot, which is held meanwhile. */
bool upstream_open(struct upstream_home *home, struct snapshot *snapshot,
                   const struct database *database, const struct upstream_events *events,
                   void *owner, struct upstream **out, struct error *err) MUST_USE;

/*
 * Takes another snapshot's word for the login: `database` is of the same name, and has what the one
 * that was dialled lacks. Before upstream_login().
 */
void upstream_adopt(struct upstream *upstream, struct snapshot *snapshot,
                    const struct database *database);

/* Logs in: TLS, then `login` (capabilities, max_packet, collation, user, schema, attributes;
 * copied), the password from the database's settings. `accepted`, `refused` or `lost` follows.
 * Once, after `greeted`. */
bool upstream_login(struct upstream *upstream, const struct handshake_login *login,
                    struct error *err) MUST_USE;

/*
 * Logs in again as somebody else: sends COM_CHANGE_USER. Only while ready and no answer is
 * outstanding. The server's packets are given to upstream_change_user_feed() by the owner, whose
 * response tracker finds them.
 */
bool upstream_change_user(struct upstream *upstream, const struct handshake_login *login,
                          struct error *err) MUST_USE;
/* `sequence` is that of the packet. *done says that the payload was an OK or ERR, which ends it. */
bool upstream_change_user_feed(struct upstream *upstream, struct byte_view payload,
                               uint8_t sequence, bool *done, struct error *err) MUST_USE;

bool upstream_write(struct upstream *upstream, struct byte_view bytes, struct error *err) MUST_USE;
/*
 * For connections that are compressed, without meaning for others: where the sequence ids of frames
 * begin and end. The next write begins a command (they count from 0), or the file that the server
 * has just asked for (they go on from its own).
 */
enum upstream_turn { UPSTREAM_COMMAND, UPSTREAM_FILE };
void upstream_begin(struct upstream *upstream, enum upstream_turn turn);
/*
 * The next write ends the command or file, and its last frame shall have this sequence id: the one
 * of the client's last frame. The server's answer then counts on as if the client had sent it
 * there.
 */
void upstream_end(struct upstream *upstream, uint8_t last);
/* The sequence id of the server's last frame. */
uint8_t upstream_frame(const struct upstream *upstream);

size_t upstream_backlog(const struct upstream *upstream);
void upstream_pause(struct upstream *upstream);
void upstream_resume(struct upstream *upstream);

/* Whether it is logged in, and nothing of a login is under way. */
bool upstream_ready(const struct upstream *upstream);

const struct handshake_greeting *upstream_greeting(const struct upstream *upstream);

/*
 * For who tells people how it went (proxy/probe.h), in `lost` and `refused` too: how far it came,
 * the connection (NULL before there is one), and the plugin that the last login ended with (""
 * where there was none).
 */
enum upstream_stage {
    UPSTREAM_RESOLVING,
    UPSTREAM_DIALLING,
    UPSTREAM_GREETING,
    UPSTREAM_SECURING,
    UPSTREAM_LOGIN,
    UPSTREAM_READY,
};

enum upstream_stage upstream_stage(const struct upstream *upstream);
const struct stream *upstream_stream(const struct upstream *upstream);
const char *upstream_auth_plugin(const struct upstream *upstream);

/*
 * Gives it up: retired before its login, with a COM_QUIT when it is ready and stands between
 * commands
 * (`idle`), else closed at once: a COM_QUIT in the middle of a command would be taken for its end.
 * NULL allowed.
 */
void upstream_close(struct upstream *upstream, bool idle);

#endif
