/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage for the proxy's sessions: a real worker in a thread of its own with its audit log, and
 * two kinds of peers that the test plays itself, packet by packet, over loopback: clients with a
 * bot's certificate, and the database. What a peer says comes from the test, so it can be anything.
 *
 *     struct stage stage;
 *     stage_open(&stage, &(struct stage_options){.limits = "\"login_timeout\":\"300ms\""});
 *     struct peer *client = stage_client(&stage, "ci-1");   TLS and hello are done
 *     struct peer *database = stage_database(&stage);       the proxy has dialled
 *     peer_greet(database);                                 ... and so on
 *     stage_close(&stage);
 *
 * stage_close() ends everything and checks what must hold after every test: no session, upstream
 * connection, handle or descriptor is left, and each session that the log names has exactly one
 * closing record.
 */
#ifndef SALLYPORT_TESTS_PROXY_SUPPORT_H
#define SALLYPORT_TESTS_PROXY_SUPPORT_H

#include <cjson/cJSON.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "protocol/handshake.h"
#include "proxy/worker.h"
#include "tests/unit/tls_support.h"
#include "tls/hello.h"

/* --- files: a directory of the test's own that looks like that of scripts/make-test-certs --- */

/* directory/name, in one of a few static buffers. The directory is made when it is first asked for.
 */
const char *files_path(const char *name);
/* Makes a copy of a certificate file, which may then be changed. */
void files_copy(const char *name);
void files_write(const char *name, const char *text);
void files_remove(void);

/* --- peers
 * ----------------------------------------------------------------------------------------- */

struct peer {
    struct stage *stage;
    struct stream *stream; /* NULL once closed */
    struct buffer received;
    struct tls_context *context; /* database: where an SSLRequest leads to */
    bool connected, secured, ended, failed, closed;
    bool gone; /* the proxy has ended it, in whatever way */
    bool quit; /* a COM_QUIT was read by peer_gone() */
    struct error error;
};

#define PEERS_MAX 128

struct stage_options {
    const char *limits;     /* inside "limits" of "proxy", e.g. "\"pending\":1" */
    const char *audit;      /* more of "audit", e.g. ",\"statement_limit\":1024" */
    const char *roles;      /* the elements of "roles"; NULL: one role "r" that allows all of shop
                               but the schema "secret", to user "reader" */
    const char *mappings;   /* the elements of "mappings"; NULL: ci-1 has "r" */
    const char *databases;  /* the elements of "databases", "%u" for the port; NULL: "shop" */
    const char *passwords;  /* more of "shop", e.g. ",\"passwords\":[…]" */
    bool starttls;          /* the listener */
    bool full_log;          /* the audit log is full from the beginning */
    bool no_database;       /* the database's port refuses */
    bool other_server_name; /* the database's certificate has another name than is configured */
};

struct stage {
    struct stage_options options;
    uv_loop_t loop;
    uv_timer_t ticker; /* so that waits come to an end */
    struct stream_loop *streams;
    uv_tcp_t database_listener;
    unsigned database_port;
    unsigned proxy_port;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
    size_t databases_taken; /* by stage_database() */
    size_t database_count;
    struct peer *databases[PEERS_MAX];
    struct snapshot *snapshot;
    struct worker worker;
    struct worker_shared shared;
    bool joined;
    int descriptors; /* before it all */
};

/* For proxy_support.c. */
struct peer *stage_add_peer(struct stage *stage);
extern const struct stream_events peer_events;

void stage_open(struct stage *stage, const struct stage_options *options);
/* Ends it all if it has not ended, and checks what is left: nothing. The audit log can be read
 * afterwards, until files_remove(). */
void stage_close(struct stage *stage);
/* Only the first half: the worker is told to stop, then joined. */
void stage_stop(struct stage *stage);
/* Only the second: closes the peers and waits for a worker that was told to stop or to drain. */
void stage_join(struct stage *stage);
/* Makes the log unwritable and its lane full, while the worker is idle; and writable again. */
void stage_fill_log(struct stage *stage);
void stage_empty_log(struct stage *stage);
/* Reloads with other options (those about listeners and the log's place cannot change). */
void stage_reload(struct stage *stage, const struct stage_options *options);

/* A client that has connected, and no more. */
struct peer *stage_connect(struct stage *stage);
/* … shaken hands with a bot's certificate, with or without ALPN … */
void peer_client_tls(struct peer *peer, const char *bot, bool alpn);
/* … and sends the hello. */
void peer_hello(struct peer *peer, const char *database);
/* All of that, for "shop". */
struct peer *stage_client(struct stage *stage, const char *bot);
/* The next connection that the proxy made to the database. */
struct peer *stage_database(struct stage *stage);
/* How many there were. */
size_t stage_dials(const struct stage *stage);

/* Writes bytes as they are. */
void peer_write(struct peer *peer, const void *bytes, size_t length);
/* Writes a packet. */
void peer_send(struct peer *peer, uint8_t sequence, const void *payload, size_t length);
/* Writes a command: the byte, then the text. */
void peer_command(struct peer *peer, uint8_t command, const char *text);
/* Reads a packet: its payload, valid until the next is read; fails the test unless it has that
 * sequence id. */
struct byte_view peer_packet(struct peer *peer, uint8_t sequence);
/* Reads a packet that must hold exactly these bytes. */
void peer_expect(struct peer *peer, uint8_t sequence, const void *payload, size_t length);
/* Reads a command with this byte and this text. */
void peer_expect_command(struct peer *peer, uint8_t command, const char *text);
/* Reads an OK. */
void peer_expect_ok(struct peer *peer, uint8_t sequence);
/* Reads an ERR with this code whose text has these words. */
void peer_expect_error(struct peer *peer, uint8_t sequence, unsigned code, const char *words);
/* Waits until the proxy has ended the connection; what came unread before is still there. */
void peer_wait_gone(struct peer *peer);
/* … and nothing came. A database may have read COM_QUIT. */
void peer_gone(struct peer *peer);
/* Nothing comes within a short while. */
void peer_silent(struct peer *peer);
/* Ends the connection: in order, or by a reset. */
void peer_close(struct peer *peer);
void peer_reset(struct peer *peer);

/* --- steps of a session
 * ---------------------------------------------------------------------------- */

#define STAGE_CAPABILITIES                                                               \
    (CAPABILITY_LONG_PASSWORD | CAPABILITY_PROTOCOL_41 | CAPABILITY_SECURE_CONNECTION |  \
     CAPABILITY_PLUGIN_AUTH | CAPABILITY_CONNECT_WITH_DB | CAPABILITY_MULTI_STATEMENTS | \
     CAPABILITY_MULTI_RESULTS | CAPABILITY_PS_MULTI_RESULTS | CAPABILITY_TRANSACTIONS |  \
     CAPABILITY_DEPRECATE_EOF | CAPABILITY_SSL | CAPABILITY_LOCAL_FILES)

/* The database's greeting: version 11.8.0-test, connection id 77. */
void peer_greet(struct peer *database);
/* … with another plugin and other capabilities. */
void peer_greet_with(struct peer *database, const char *plugin, uint32_t capabilities);
/* The client reads the greeting. */
void peer_read_greeting(struct peer *client);
/* The client logs in as `user` with `schema` ("" for none) and an empty password. */
void peer_login(struct peer *client, const char *user, const char *schema);
void peer_login_with(struct peer *client, const char *user, const char *schema, const char *plugin,
                     uint8_t sequence);
/* The database reads SSLRequest and login; *login is that login (its views are not valid). */
void peer_take_login(struct peer *database, struct handshake_login *login);
/* The database's OK with this sequence id. */
void peer_ok(struct peer *database, uint8_t sequence);
/* … its ERR. */
void peer_err(struct peer *database, uint8_t sequence, unsigned code, const char *message);
/* A prepare answer without columns. */
void peer_prepared(struct peer *database, uint32_t id, uint16_t parameters);
/* All of the above up to READY, as reader without a schema. */
void stage_ready(struct stage *stage, struct peer **client, struct peer **database);
/* Opens the stage and goes up to the client's login: greeted. */
void stage_to_login(struct stage *stage, const char *limits, struct peer **client,
                    struct peer **database);
/* … and up to the database's answer to the proxy's login. */
void stage_to_answer(struct stage *stage, const char *limits, struct peer **client,
                     struct peer **database);
/* The database's side of a connection that was given up: it logs in as nobody, and is refused. */
void peer_expect_retirement(struct peer *database);
/* A query that the database answers with OK: both legs work. */
void stage_ping(struct peer *client, struct peer *database);

/* --- the audit log: read after stage_close()
 * -------------------------------------------------------- */

/* All records, to be freed with cJSON_Delete(). */
cJSON *stage_records(void);
/* How many records have this value under this key. */
int records_with(const cJSON *records, const char *key, const char *value);
/* The closing record of the only session; checks its event, reason, and that `words` are in its
 * error. */
void expect_closing(const char *event, const char *reason, const char *words);
/* The outcome in the record of the only command with this statement; NULL: there must be none. */
void expect_statement(const char *statement, const char *outcome);

/* Runs the loop until it is true; fails after ten seconds. */
#define STAGE_UNTIL(stage, expression)                                              \
    do {                                                                            \
        int64_t until_ = clock_monotonic_us() + 10000000;                           \
        while (!(expression) && clock_monotonic_us() < until_)                      \
            (void)uv_run(&(stage)->loop, UV_RUN_ONCE);                              \
        cr_assert(expression, "did not come: %s (line %d)", #expression, __LINE__); \
    } while (0)
/* Runs the loop for that long. */
void stage_run_for(struct stage *stage, int64_t milliseconds);

#endif
