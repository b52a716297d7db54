/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's database driver: the little that store.c needs of a database, so that SQLite
 * (sql_sqlite.c) can be joined by another one without a change above this header.
 *
 *     struct sql_statement *statement;
 *     bool row;
 *     if (!sql_prepare(sql, "SELECT kind FROM tokens WHERE id = ?", &statement, err))
 *         return false;
 *     sql_bind_text(statement, "id", id, 16);
 *     if (!sql_next(statement, &row, err) || !row)
 *         …
 *     sql_read_text(statement, kind, sizeof kind);
 *     if (!sql_row_end(statement, err))
 *         …
 *     sql_finish(statement);
 *
 * Parameters are bound and columns are read in order. As with a struct byte_writer, a value that
 * does not fit is remembered and told by the call that ends the row or runs the statement.
 *
 * The SQL given is what SQLite, MySQL 8 and MariaDB have in common; what is not (the way to begin,
 * pragmas, files) is the driver's. Two things that a driver has to see to:
 *   - text compares byte by byte, blanks at the end included (SQLite's default; a database in
 *     utf8mb4_0900_bin in MySQL and utf8mb4_nopad_bin in MariaDB: utf8mb4_bin pads with blanks);
 *   - "changed" counts the rows that were found, also where the new values are the old ones
 *     (SQLite's default; CLIENT_FOUND_ROWS).
 *
 * Codes: ERROR_EXISTS a unique value is taken; ERROR_NOT_FOUND a foreign key leads nowhere;
 * ERROR_LIMIT a value is outside what its column takes; ERROR_MALFORMED the file is damaged;
 * ERROR_TIMEOUT another program holds the file; ERROR_SYSTEM full disk, no permission, I/O;
 * ERROR_STATE a use that this header does not allow. The message names the file and says what to
 * do. A statement that fails has changed nothing.
 *
 * All calls block, and come from one thread.
 */
#ifndef SALLYPORT_AUTHORITY_SQL_H
#define SALLYPORT_AUTHORITY_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SQL_FILE_NAME       "authority.db"
#define SQL_STATEMENTS_MAX  128  /* different texts, all kept prepared */
#define SQL_DEPTH_MAX       6    /* transactions within each other */
#define SQL_BUSY_TIMEOUT_MS 2000 /* waiting for another program that holds the file */
/* What the log is cut to after a burst. (Every 1,000 pages of 4 KiB it goes into the file.) */
#define SQL_LOG_KEPT (16 << 20)
/* A directory's path in bytes. SQLite takes no file name of more than 512 (os_unix.c,
 * MAX_PATHNAME), ends such as "-journal" included. */
#define SQL_DIRECTORY_MAX 440

struct sql;
struct sql_statement;

/* What the owner of the tables does while a database is opened. */
struct sql_hooks {
    /* Puts the tables into a database that has just been made. */
    bool (*fill)(struct sql *sql, const void *context, struct error *err);
    /* Whether a database that was found is one of his; reads only. */
    bool (*check)(struct sql *sql, const void *context, struct error *err);
    const void *context;
};

/*
 * Opens the database of a directory, which the caller has locked; its path must hold no symbolic
 * link. Where there is none one is made: under another name, until it is filled, so that a
 * crash leaves no half-made file that would later pass for an empty store.
 *
 * Refused, with nothing written: a file that is damaged, empty, no database, not ours, open to
 * others, refused by hooks->check, or missing while its log is there. The whole file is checked
 * (PRAGMA quick_check: every page's structure, NOT NULL and CHECK; flipped bits within a text are
 * not found).
 */
bool sql_open(const char *directory, const struct sql_hooks *hooks, struct sql **out,
              struct error *err) MUST_USE;

/* What is under way is rolled back. NULL allowed. */
void sql_close(struct sql *sql);

/* The database's name for messages, e.g. "/var/lib/sallyport/authority.db". */
const char *sql_name(const struct sql *sql);

/*
 * Transactions nest: an inner one can be rolled back alone, and what it committed lasts when the
 * outermost one is committed. A commit that fails has rolled that level back.
 *
 * When the database itself gave up everything (it may after a full disk or an I/O error), every
 * statement and every commit is refused until the outermost level has ended: none slips in on its
 * own. sql_rollback() where nothing is under way does nothing.
 */
bool sql_begin(struct sql *sql, struct error *err) MUST_USE;
bool sql_commit(struct sql *sql, struct error *err) MUST_USE;
void sql_rollback(struct sql *sql);

/* Runs a statement without parameters once; it is not kept. */
bool sql_execute(struct sql *sql, const char *text, struct error *err) MUST_USE;

/* A statement ready to be bound. It stays prepared, and preparing the same text again ends what it
 * was doing. */
bool sql_prepare(struct sql *sql, const char *text, struct sql_statement **out,
                 struct error *err) MUST_USE;

/* The next parameter. `what` names the value in messages; `most` is in bytes. A text must be valid
 * UTF-8. Values are copied. */
void sql_bind_text(struct sql_statement *statement, const char *what, const char *text,
                   size_t most);
void sql_bind_bytes(struct sql_statement *statement, const void *bytes, size_t length);
void sql_bind_int(struct sql_statement *statement, int64_t value);
void sql_bind_null(struct sql_statement *statement);

/* Runs a statement that gives no rows, and finishes it; *changed (NULL allowed): rows found. */
bool sql_run(struct sql_statement *statement, int64_t *changed, struct error *err) MUST_USE;

/* Goes to the next row, or says that there is none; then, and after a failure, the statement is
 * finished. */
bool sql_next(struct sql_statement *statement, bool *row, struct error *err) MUST_USE;

/* The row's next column. A value of another type, of another length or that is not valid counts as
 * damage, and reads as 0 or "". */
void sql_read_text(struct sql_statement *statement, char *out, size_t size);
void sql_read_bytes(struct sql_statement *statement, void *out, size_t length);
void sql_read_int(struct sql_statement *statement, int64_t *out);
/* NULL reads as "". */
void sql_read_optional(struct sql_statement *statement, char *out, size_t size);
/* Of up to `most` bytes; *text ends in a NUL and lives until the next row or sql_finish(). */
void sql_read_long_text(struct sql_statement *statement, const char **text, size_t *length,
                        size_t most);

/* The column that was read last holds what the tables' owner does not know: damage as well. */
void sql_reject(struct sql_statement *statement);

/* Whether every column of the row was read, and none was damaged. */
bool sql_row_end(struct sql_statement *statement, struct error *err) MUST_USE;

/* Ends a statement before its last row. */
void sql_finish(struct sql_statement *statement);

/* Each text that is kept prepared, for tests that judge the SQL. */
void sql_each_text(const struct sql *sql, void (*visit)(const char *text, void *context),
                   void *context);

#endif
