/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording: what the proxy writes down, and the way into the log.
 *
 * A record is one line of JSON (docs/audit-record.md). It is made in two steps: audit_begin() takes
 * what is known before a command goes to the database (the intent: who, what text, what values),
 * and audit_finish() adds how it ended. A command may be sent on only after audit_begin() has said
 * yes: then room for the whole record is reserved, and it cannot be lost for want of room.
 *
 * Each worker has a lane of its own: a ring of bytes with one producer (the worker) and one
 * consumer (the writer thread), so that no lock is taken. The writer numbers the records, and
 * writes them to files. When a lane is full, audit_begin() says so, the session waits, and the
 * lane's wake-up is called when there is room.
 *
 * The seam: begin/finish are the only way in, so that a crash-proof spool can take the place of the
 * lanes, and the writer is the only one that numbers and writes lines, so that it can chain and
 * ship them.
 */
#ifndef SALLYPORT_AUDIT_AUDIT_H
#define SALLYPORT_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define AUDIT_RECORD_VERSION      1
#define AUDIT_STATEMENT_LIMIT_MAX (1024 * 1024) /* greatest audit.statement_limit */
/* Of each worker's ring: more than one greatest record. Address space; memory only as far as used.
 */
#define AUDIT_LANE_SIZE (16 * 1024 * 1024)
/* Reserved for what audit_finish() adds; a lane has room for about 1,900 commands under way. */
#define AUDIT_OUTCOME_ROOM 8192
/* Of the rendered params or attributes; values past it are counted as omitted in the list itself.
 */
#define AUDIT_PARAMS_MAX (256 * 1024)

struct audit_settings {
    const char *directory; /* made 0700 when it is missing; files are 0600 */
    size_t file_size;      /* a new file is begun past it */
    bool fsync;            /* "durability": "fsync" */
};

struct audit_log;
struct audit_lane;
struct audit_entry; /* a record that waits for its outcome */

/*
 * Opens the directory (locked: one writer at a time), finds the next seq from what is there (a cut
 * last line is completed by a new line, never deleted), starts the writer thread. `lanes` is one
 * for each thread that records. Not across fork(2).
 */
bool audit_log_open(const struct audit_settings *settings, unsigned lanes, struct audit_log **out,
                    struct error *err) MUST_USE;
/* Writes out what is queued and stops; NULL is allowed. All entries must be finished, and their
 * threads done with the lanes. A disk that refuses is waited for five seconds, then what is queued
 * is lost and the process log says how much. */
void audit_log_close(struct audit_log *log);
/* Whether the writer cannot write (disk full, …): it goes on trying each second, logs it once, and
 * nothing is dropped. From any thread. */
bool audit_log_failing(const struct audit_log *log);

/* A lane is used by one thread: begin, finish and event. NULL past the number opened. */
struct audit_lane *audit_log_lane(struct audit_log *log, unsigned index);

/* Called (from the writer's thread, so it does no more than wake the lane's own) after
 * audit_begin() or audit_event() had refused for want of room and room has come. The room may still
 * be too little for the asker, who then asks again and is called again. Set before the lane's first
 * use. */
void audit_lane_on_room(struct audit_lane *lane, void (*room)(void *arg), void *arg);

/* What all records of a session have in common; rendered once. NULL and "" leave a field out. Bytes
 * that are no UTF-8 become U+FFFD. */
struct audit_session {
    const char *proxy, *session, *bot, *subject, *cert_serial, *client, *local_client;
    const char *const *roles;
    size_t role_count;
    const char *database;
    const char *mysql_user;
    uint64_t upstream_connection_id; /* 0: none */
};

/* The rendered form. Rendered again whenever the session's facts change (after login,
 * COM_CHANGE_USER). */
struct audit_prefix {
    struct buffer json;              /* "proxy":… to "mysql_user":…, without braces */
    uint64_t upstream_connection_id; /* stands near the end of the record, so it is kept apart */
};
bool audit_prefix_render(struct audit_prefix *prefix, const struct audit_session *session,
                         struct error *err) MUST_USE;
void audit_prefix_release(struct audit_prefix *prefix);

/* What is known before a command is sent. Nothing of it is kept: the bytes are rendered at once. */
struct audit_intent {
    const char *event;   /* "query", "prepare", "execute", … or "session.start" */
    const char *command; /* the wire command's name, NULL for session events */
    const char *schema;  /* in the connection's character set; "" for none */

    /* Captured bytes in the connection's character set, at most AUDIT_STATEMENT_LIMIT_MAX, which
     * may end within a character; NULL: no statement. */
    const void *statement;
    size_t statement_captured;
    uint64_t statement_length; /* of the whole, as sent; 0: not known yet, the outcome will tell */
    /* 32 bytes, when captured < length; NULL: none, or it comes with the outcome. */
    const uint8_t *statement_sha256;
    /* MySQL's name of the text's character set ("latin1", …); NULL: utf8mb4. */
    const char *charset;

    const char *params; /* a JSON array as audit/params.h renders it; NULL: none */
    size_t params_length;
    const char *attributes; /* likewise, of named values; NULL: none */
    size_t attributes_length;
    /* A JSON object of what the event has beyond the common fields; NULL: none. For events of the
     * authority (authority/event.h). */
    const char *details;
    size_t details_length;
    /* Wall time when the command came; 0: now. For a command that had to wait for room. */
    int64_t arrived_us;
};

/* Why there is no entry. */
enum audit_answer { AUDIT_READY, AUDIT_WAIT };

/*
 * Takes an intent. AUDIT_READY: *entry is to be finished later, the command may be sent.
 * AUDIT_WAIT: no room now, nothing was kept; ask again when the lane's wake-up has come. False: it
 * can never fit, or out of memory: the command must not be sent.
 */
bool audit_begin(struct audit_lane *lane, const struct audit_prefix *prefix,
                 const struct audit_intent *intent, enum audit_answer *answer,
                 struct audit_entry **entry, struct error *err) MUST_USE;

/* How a command or session ended. Zero numbers whose `has_` is false are left out. */
struct audit_outcome {
    const char *outcome; /* "ok", "error", "denied" or "unknown" */
    const char *reason;  /* the rule that denied, or why a session ended; NULL: none */
    bool has_error;
    uint16_t error_code;
    const char *sqlstate;
    const char *error_message; /* in the connection's character set; cut at 512 bytes */
    bool has_rows;
    uint64_t rows;
    bool has_affected_rows;
    uint64_t affected_rows, last_insert_id;
    bool has_warnings;
    uint64_t warnings;
    uint64_t bytes_in, bytes_out;
    bool has_file; /* the client sent a local file, of: */
    uint64_t file_bytes;
    int64_t duration_us; /* < 0: none */
    /* 0: as in the intent; else the final length of a streamed command. */
    uint64_t statement_length;
    const uint8_t *statement_sha256; /* 32 bytes, or NULL */
};

/* Completes the record and hands it to the writer. Never fails and never blocks: the room was
 * reserved. Consumes entry. */
void audit_finish(struct audit_entry *entry, const struct audit_outcome *outcome);

/* A record that is complete at once (session.start, session.denied, session.end): begin and finish
 * in one. */
bool audit_event(struct audit_lane *lane, const struct audit_prefix *prefix,
                 const struct audit_intent *intent, const struct audit_outcome *outcome,
                 enum audit_answer *answer, struct error *err) MUST_USE;

#endif
