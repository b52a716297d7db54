/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

/* The file while it is being made. */
#define SQLITE_NEW_NAME  SQL_FILE_NAME ".new"
#define SQLITE_PATH_SIZE 512
#define SQLITE_SECTOR    512 /* the smallest page; every size of a page is a multiple */
#define SQLITE_FILE_MODE 0600
#define SQLITE_OTHERS    077 /* what group and others may do */

/* A log that stayed behind would be played into the backup. */
#define ADVICE_RESTORE \
    "restore a backup and remove the -wal and -shm files beside it; nothing was changed"

struct sql_statement {
    struct sql *sql;
    sqlite3_stmt *handle;
    int bound;          /* parameters bound so far */
    int column;         /* the next to be read */
    bool failed;        /* a value did not fit; fault says which */
    struct error fault; /* only while failed */
};

struct sql {
    sqlite3 *db;
    char path[SQLITE_PATH_SIZE];
    unsigned depth; /* transactions begun, and neither committed nor rolled back by us */
    size_t count;
    struct sql_statement *statements[SQL_STATEMENTS_MAX];
};

/* --- errors --- */

static bool is_full(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

static bool fail_constraint(const struct sql *sql, int extended, struct error *err)
{
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return error_set(err, ERROR_EXISTS, "%s: there is one already (%s)", sql->path,
                         sqlite3_errmsg(sql->db));
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return error_set(err, ERROR_NOT_FOUND, "%s: what it belongs to is not there, or not alone",
                         sql->path);
    default:
        return error_set(err, ERROR_LIMIT, "%s: a value is outside its limits (%s)", sql->path,
                         sqlite3_errmsg(sql->db));
    }
}

/* SQLite does not always keep the system's error number. */
static bool fail_io(const struct sql *sql, int system_error, struct error *err)
{
    int number = sqlite3_system_errno(sql->db);
    if (number == 0)
        number = system_error;
    if (is_full(number))
        return error_system(err, number, "%s: no room to write; make room and try again",
                            sql->path);
    if (number != 0)
        return error_system(err, number, "%s: cannot read or write", sql->path);
    return error_set(err, ERROR_SYSTEM, "%s: cannot read or write: %s", sql->path,
                     sqlite3_errmsg(sql->db));
}

/* SQLite's words for its result codes: https://www.sqlite.org/rescode.html */
static bool fail(const struct sql *sql, int result, struct error *err)
{
    int system_error = errno;
    const char *path = sql->path;
    const char *words = sqlite3_errmsg(sql->db);
    switch (result & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, ERROR_MALFORMED, "%s is damaged (%s): " ADVICE_RESTORE, path, words);
    case SQLITE_FULL:
        return error_set(err, ERROR_SYSTEM, "%s: the disk is full: make room and try again", path);
    case SQLITE_READONLY: /* also asked for by check_writable(), without words */
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return error_set(err, ERROR_SYSTEM,
                         "%s cannot be written (%s): it and its directory must be writable for "
                         "the user that the authority runs as",
                         path, words);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, ERROR_TIMEOUT,
                         "%s is held by another program for more than %d ms: find it with fuser(1) "
                         "and end it",
                         path, SQL_BUSY_TIMEOUT_MS);
    case SQLITE_NOMEM:
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    case SQLITE_TOOBIG:
        return error_set(err, ERROR_LIMIT, "%s: a value is too large", path);
    case SQLITE_CONSTRAINT:
        return fail_constraint(sql, result, err);
    case SQLITE_IOERR:
        return fail_io(sql, system_error, err);
    default:
        return error_set(err, ERROR_STATE, "%s: %s", path, words);
    }
}

/* --- statements --- */

/* A statement outside the transaction that the caller believes in would be one on its own, and one
 * inside a transaction that he knows nothing of would never be committed. */
static bool check_transaction(const struct sql *sql, struct error *err)
{
    bool open = !sqlite3_get_autocommit(sql->db);
    if (open == (sql->depth > 0))
        return true;
    return error_set(err, ERROR_STATE,
                     open ? "%s: a transaction could not be rolled back: restart the authority"
                          : "%s: the database has rolled back what was under way: begin again",
                     sql->path);
}

void sql_finish(struct sql_statement *statement)
{
    sqlite3_reset(statement->handle); /* it gives sqlite3_step()'s result once more */
    sqlite3_clear_bindings(statement->handle);
    statement->bound = 0;
    statement->column = 0;
    statement->failed = false;
}

/* A text that is kept has its own copy of itself in SQLite. */
static struct sql_statement *find_statement(const struct sql *sql, const char *text)
{
    for (size_t i = 0; i < sql->count; i++)
        if (strcmp(sqlite3_sql(sql->statements[i]->handle), text) == 0)
            return sql->statements[i];
    return NULL;
}

static bool keep_statement(struct sql *sql, sqlite3_stmt *handle, struct sql_statement **out,
                           struct error *err)
{
    struct sql_statement *statement =
        sql->count < SQL_STATEMENTS_MAX ? calloc(1, sizeof *statement) : NULL;
    if (!statement) {
        sqlite3_finalize(handle);
        return error_set(err, sql->count < SQL_STATEMENTS_MAX ? ERROR_MEMORY : ERROR_LIMIT,
                         "%s: no room for another statement", sql->path);
    }
    statement->sql = sql;
    statement->handle = handle;
    sql->statements[sql->count++] = statement;
    *out = statement;
    return true;
}

bool sql_prepare(struct sql *sql, const char *text, struct sql_statement **out, struct error *err)
{
    sqlite3_stmt *handle;
    if (!check_transaction(sql, err))
        return false;
    *out = find_statement(sql, text);
    if (*out) {
        sql_finish(*out);
        return true;
    }
    int result = sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL);
    return result == SQLITE_OK ? keep_statement(sql, handle, out, err) : fail(sql, result, err);
}

static int step(sqlite3_stmt *handle)
{
    errno = 0; /* for fail_io() */
    return sqlite3_step(handle);
}

static bool step_once(struct sql *sql, sqlite3_stmt *handle, struct error *err)
{
    int result;
    do
        result = step(handle);
    while (result == SQLITE_ROW);
    return result == SQLITE_DONE || fail(sql, result, err);
}

bool sql_execute(struct sql *sql, const char *text, struct error *err)
{
    sqlite3_stmt *handle;
    if (!check_transaction(sql, err))
        return false;
    int result = sqlite3_prepare_v2(sql->db, text, -1, &handle, NULL);
    if (result != SQLITE_OK)
        return fail(sql, result, err);
    bool done = step_once(sql, handle, err);
    sqlite3_finalize(handle);
    return done;
}

/* Remembers the first value that did not fit. */
static struct error *fault(struct sql_statement *statement)
{
    if (statement->failed)
        return NULL;
    statement->failed = true;
    return &statement->fault;
}

static void bound(struct sql_statement *statement, int result)
{
    if (result != SQLITE_OK)
        fail(statement->sql, result, fault(statement));
}

void sql_bind_text(struct sql_statement *statement, const char *what, const char *text, size_t most)
{
    size_t length = text ? strlen(text) : 0;
    int at = ++statement->bound;
    if (!text)
        error_set(fault(statement), ERROR_STATE, "the %s was not given", what);
    else if (length > most)
        error_set(fault(statement), ERROR_LIMIT, "the %s is longer than %zu bytes", what, most);
    else if (!utf8_valid(text, length))
        error_set(fault(statement), ERROR_LIMIT, "the %s is not valid UTF-8", what);
    else
        bound(statement,
              sqlite3_bind_text(statement->handle, at, text, (int)length, SQLITE_TRANSIENT));
}

void sql_bind_bytes(struct sql_statement *statement, const void *bytes, size_t length)
{
    bound(statement, sqlite3_bind_blob64(statement->handle, ++statement->bound, bytes, length,
                                         SQLITE_TRANSIENT));
}

void sql_bind_int(struct sql_statement *statement, int64_t value)
{
    bound(statement, sqlite3_bind_int64(statement->handle, ++statement->bound, value));
}

void sql_bind_null(struct sql_statement *statement)
{
    bound(statement, sqlite3_bind_null(statement->handle, ++statement->bound));
}

/* All parameters are there, and fit. (One that is missing would be NULL.) */
static bool check_bound(struct sql_statement *statement, struct error *err)
{
    if (statement->failed)
        return error_set(err, statement->fault.code, "%s", statement->fault.message);
    if (statement->bound != sqlite3_bind_parameter_count(statement->handle))
        return error_set(err, ERROR_STATE, "%d parameters for: %s", statement->bound,
                         sqlite3_sql(statement->handle));
    return check_transaction(statement->sql, err);
}

bool sql_next(struct sql_statement *statement, bool *row, struct error *err)
{
    *row = false;
    bool done = check_bound(statement, err);
    if (done) {
        int result = step(statement->handle);
        statement->column = 0;
        *row = result == SQLITE_ROW;
        done = *row || result == SQLITE_DONE || fail(statement->sql, result, err);
    }
    if (!*row)
        sql_finish(statement);
    return done;
}

bool sql_run(struct sql_statement *statement, int64_t *changed, struct error *err)
{
    bool done = check_bound(statement, err) && step_once(statement->sql, statement->handle, err);
    if (done && changed)
        *changed = sqlite3_changes64(statement->sql->db);
    sql_finish(statement);
    return done;
}

/* --- columns --- */

static void damaged(struct sql_statement *statement, int column)
{
    const char *name = sqlite3_column_name(statement->handle, column);
    error_set(fault(statement), ERROR_MALFORMED,
              "%s is damaged (column %s holds what it cannot): " ADVICE_RESTORE,
              statement->sql->path, name ? name : "?");
}

/* Whether the next column has the type; *column is its number. */
static bool take_column(struct sql_statement *statement, int type, int *column)
{
    *column = statement->column++;
    if (*column < sqlite3_data_count(statement->handle) &&
        sqlite3_column_type(statement->handle, *column) == type)
        return true;
    damaged(statement, *column);
    return false;
}

void sql_read_int(struct sql_statement *statement, int64_t *out)
{
    int column;
    *out = take_column(statement, SQLITE_INTEGER, &column)
               ? sqlite3_column_int64(statement->handle, column)
               : 0;
}

void sql_read_long_text(struct sql_statement *statement, const char **text, size_t *length,
                        size_t most)
{
    int column;
    *text = "";
    *length = 0;
    if (!take_column(statement, SQLITE_TEXT, &column))
        return;
    const char *value = (const char *)sqlite3_column_text(statement->handle, column);
    size_t size = (size_t)sqlite3_column_bytes(statement->handle, column);
    if (!value || size > most || memchr(value, '\0', size) || !utf8_valid(value, size)) {
        damaged(statement, column);
        return;
    }
    *text = value;
    *length = size;
}

void sql_read_text(struct sql_statement *statement, char *out, size_t size)
{
    const char *text;
    size_t length;
    sql_read_long_text(statement, &text, &length, size - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

void sql_read_optional(struct sql_statement *statement, char *out, size_t size)
{
    if (sqlite3_column_type(statement->handle, statement->column) != SQLITE_NULL) {
        sql_read_text(statement, out, size);
        return;
    }
    statement->column++;
    *out = '\0';
}

void sql_read_bytes(struct sql_statement *statement, void *out, size_t length)
{
    int column;
    bool right = take_column(statement, SQLITE_BLOB, &column);
    const void *value = right ? sqlite3_column_blob(statement->handle, column) : NULL;
    if (value && (size_t)sqlite3_column_bytes(statement->handle, column) == length) {
        memcpy(out, value, length);
        return;
    }
    memset(out, 0, length);
    if (right)
        damaged(statement, column);
}

void sql_reject(struct sql_statement *statement)
{
    damaged(statement, statement->column - 1);
}

bool sql_row_end(struct sql_statement *statement, struct error *err)
{
    if (statement->failed)
        return error_set(err, statement->fault.code, "%s", statement->fault.message);
    if (statement->column != sqlite3_column_count(statement->handle))
        return error_set(err, ERROR_STATE, "%d columns read of: %s", statement->column,
                         sqlite3_sql(statement->handle));
    return true;
}

void sql_each_text(const struct sql *sql, void (*visit)(const char *text, void *context),
                   void *context)
{
    for (size_t i = 0; i < sql->count; i++)
        visit(sqlite3_sql(sql->statements[i]->handle), context);
}

/* --- transactions --- */

/* Each level has names of its own: MySQL gives a savepoint up when another takes its name. */
struct level {
    const char *begin, *keep, *undo;
};

#define SAVEPOINT(name)                                                             \
    {                                                                               \
        "SAVEPOINT " name, "RELEASE SAVEPOINT " name, "ROLLBACK TO SAVEPOINT " name \
    }

/* IMMEDIATE: whoever has to wait for another program waits here, not in the middle. */
static const struct level levels[] = {
    {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"},
    SAVEPOINT("level_1"),
    SAVEPOINT("level_2"),
    SAVEPOINT("level_3"),
    SAVEPOINT("level_4"),
    SAVEPOINT("level_5"),
};

_Static_assert(sizeof levels / sizeof *levels == SQL_DEPTH_MAX, "a level for each depth");

static bool run_kept(struct sql *sql, const char *text, struct error *err)
{
    struct sql_statement *statement;
    return sql_prepare(sql, text, &statement, err) && sql_run(statement, NULL, err);
}

bool sql_begin(struct sql *sql, struct error *err)
{
    if (sql->depth == SQL_DEPTH_MAX)
        return error_set(err, ERROR_STATE, "%s: transactions nest deeper than %d", sql->path,
                         SQL_DEPTH_MAX);
    if (!run_kept(sql, levels[sql->depth].begin, err))
        return false;
    sql->depth++;
    return true;
}

/* What cannot be undone alone is undone with everything around it. */
static void undo_level(struct sql *sql, const struct level *level)
{
    if (!run_kept(sql, level->undo, NULL) || !run_kept(sql, level->keep, NULL))
        sqlite3_exec(sql->db, "ROLLBACK", NULL, NULL, NULL);
}

void sql_rollback(struct sql *sql)
{
    if (sql->depth == 0)
        return;
    if (sql->depth > 1)
        undo_level(sql, &levels[sql->depth - 1]);
    else if (!sqlite3_get_autocommit(sql->db))
        sqlite3_exec(sql->db, "ROLLBACK", NULL, NULL, NULL); /* check_transaction() knows */
    sql->depth--;
}

bool sql_commit(struct sql *sql, struct error *err)
{
    if (sql->depth == 0)
        return error_set(err, ERROR_STATE, "%s: no transaction is under way", sql->path);
    if (!run_kept(sql, levels[sql->depth - 1].keep, err)) {
        sql_rollback(sql);
        return false;
    }
    sql->depth--;
    return true;
}

/* --- opening and closing --- */

void sql_close(struct sql *sql)
{
    if (!sql)
        return;
    for (size_t i = 0; i < sql->count; i++) {
        sqlite3_finalize(sql->statements[i]->handle);
        free(sql->statements[i]);
    }
    sqlite3_close(sql->db);
    free(sql);
}

const char *sql_name(const struct sql *sql)
{
    return sql->path;
}

static bool configure(struct sql *sql, int option, int value, struct error *err)
{
    int result = sqlite3_db_config(sql->db, option, value, NULL);
    return result == SQLITE_OK || fail(sql, result, err);
}

/* The path must be there already: SQLite's own way of making a file heeds the umask alone. */
static bool connect_file(const char *path, struct sql **out, struct error *err)
{
    struct sql *sql = calloc(1, sizeof *sql);
    if (!sql)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    snprintf(sql->path, sizeof sql->path, "%s", path);
    int result = sqlite3_open_v2(path, &sql->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                     SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                                 NULL);
    /* NO_CKPT_ON_CLOSE until it is known to be sound: closing must not write. */
    if ((result == SQLITE_OK || fail(sql, result, err)) &&
        configure(sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, err) &&
        configure(sql, SQLITE_DBCONFIG_DEFENSIVE, 1, err) &&
        configure(sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, err)) {
        sqlite3_busy_timeout(sql->db, SQL_BUSY_TIMEOUT_MS);
        *out = sql;
        return true;
    }
    sql_close(sql);
    return false;
}

/* Runs a pragma and compares the first column of its first row. */
static bool expect_answer(struct sql *sql, const char *pragma, const char *wanted,
                          enum error_code code, const char *meaning, struct error *err)
{
    sqlite3_stmt *handle;
    int result = sqlite3_prepare_v2(sql->db, pragma, -1, &handle, NULL);
    if (result != SQLITE_OK)
        return fail(sql, result, err);
    result = step(handle);
    const char *answer = result == SQLITE_ROW ? (const char *)sqlite3_column_text(handle, 0) : NULL;
    bool done = answer && strcmp(answer, wanted) == 0;
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        fail(sql, result, err);
    else if (!done)
        error_set(err, code, "%s %s", sql->path, meaning);
    sqlite3_finalize(handle);
    return done;
}

static bool set_up(struct sql *sql, const char *journal, struct error *err)
{
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA journal_mode = %s", journal);
    if (!expect_answer(sql, pragma, journal, ERROR_SYSTEM,
                       "cannot have its log beside it: its directory must be a local file system",
                       err))
        return false;
    snprintf(pragma, sizeof pragma, "PRAGMA journal_size_limit = %d", SQL_LOG_KEPT);
    return sql_execute(sql, pragma, err) && sql_execute(sql, "PRAGMA synchronous = FULL", err) &&
           sql_execute(sql, "PRAGMA foreign_keys = ON", err) &&
           sql_execute(sql, "PRAGMA temp_store = MEMORY", err);
}

/* SQLite opens a file that it may not write for reading alone, and says so late. */
static bool check_writable(const struct sql *sql, struct error *err)
{
    return sqlite3_db_readonly(sql->db, "main") == 0 || fail(sql, SQLITE_READONLY, err);
}

/* Only what reads, until all of it is known to be sound. */
static bool check_and_set_up(struct sql *sql, const struct sql_hooks *hooks, struct error *err)
{
    return sql_execute(sql, "PRAGMA cell_size_check = ON", err) &&
           expect_answer(sql, "PRAGMA quick_check(1)", "ok", ERROR_MALFORMED,
                         "is damaged (its check found faults): " ADVICE_RESTORE, err) &&
           check_writable(sql, err) && hooks->check(sql, hooks->context, err) &&
           set_up(sql, "wal", err) && configure(sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, err);
}

/* --- files --- */

struct paths {
    char file[SQLITE_PATH_SIZE];
    char log[SQLITE_PATH_SIZE];
    char new_file[SQLITE_PATH_SIZE];
    const char *directory;
};

static bool join_paths(struct paths *paths, const char *directory, struct error *err)
{
    if (strlen(directory) > SQL_DIRECTORY_MAX)
        return error_set(err, ERROR_LIMIT, "the path is longer than %d bytes: %s",
                         SQL_DIRECTORY_MAX, directory);
    paths->directory = directory;
    snprintf(paths->file, sizeof paths->file, "%s/" SQL_FILE_NAME, directory);
    snprintf(paths->log, sizeof paths->log, "%s/" SQL_FILE_NAME "-wal", directory);
    snprintf(paths->new_file, sizeof paths->new_file, "%s/" SQLITE_NEW_NAME, directory);
    return true;
}

/* What a crash in the middle of making one left behind. */
static bool remove_leftovers(const char *directory, struct error *err)
{
    static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
    char path[SQLITE_PATH_SIZE];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s/" SQLITE_NEW_NAME "%s", directory, ends[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return error_system(err, errno, "cannot remove %s", path);
    }
    return true;
}

static bool sync_directory(const char *directory, struct error *err)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_system(err, errno, "cannot open %s", directory);
    bool done = fsync(fd) == 0 || error_system(err, errno, "cannot sync %s", directory);
    close(fd);
    return done;
}

static bool make_empty(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, SQLITE_FILE_MODE);
    if (fd < 0)
        return error_system(err, errno, "cannot make %s", path);
    /* Whatever the umask was. */
    bool done = fchmod(fd, SQLITE_FILE_MODE) == 0 ||
                error_system(err, errno, "cannot set the mode of %s", path);
    close(fd);
    return done;
}

static bool make_file(const struct paths *paths, const struct sql_hooks *hooks, struct error *err)
{
    struct sql *sql;
    if (!remove_leftovers(paths->directory, err) || !make_empty(paths->new_file, err) ||
        !connect_file(paths->new_file, &sql, err))
        return false;
    bool done = set_up(sql, "delete", err) && hooks->fill(sql, hooks->context, err);
    sql_close(sql);
    if (!done)
        return false;
    if (rename(paths->new_file, paths->file) != 0)
        return error_system(err, errno, "cannot rename %s to " SQL_FILE_NAME, paths->new_file);
    return sync_directory(paths->directory, err);
}

/* A file that ends within a page may be a checkpoint that a crash cut off: then the log has it all.
 * Without a log it was cut by something else, and SQLite would fill it up with zeros. */
static bool check_size(const struct paths *paths, off_t size, struct error *err)
{
    struct stat log;
    bool has_log = lstat(paths->log, &log) == 0 && log.st_size > 0;
    if (size >= SQLITE_SECTOR && (has_log || size % SQLITE_SECTOR == 0))
        return true;
    return error_set(err, ERROR_MALFORMED, "%s is damaged (%s): " ADVICE_RESTORE, paths->file,
                     size == 0 ? "it is empty" : "it is cut off");
}

static bool check_file(const struct paths *paths, const struct stat *found, struct error *err)
{
    const char *path = paths->file;
    if (!S_ISREG(found->st_mode))
        return error_set(err, ERROR_SYSTEM, "%s is no regular file", path);
    if (found->st_uid != geteuid())
        return error_set(err, ERROR_SYSTEM,
                         "%s belongs to user %u: run the authority as that user, or chown it", path,
                         (unsigned)found->st_uid);
    if (found->st_mode & SQLITE_OTHERS)
        return error_set(err, ERROR_SYSTEM,
                         "%s is open to other users: chmod 600 it, and see who has read it", path);
    return check_size(paths, found->st_size, err);
}

/* Makes the file where there is none, and looks whose it is where there is one. */
static bool have_file(const struct paths *paths, const struct sql_hooks *hooks, struct error *err)
{
    struct stat found;
    struct stat log;
    if (lstat(paths->file, &found) == 0)
        return check_file(paths, &found, err);
    if (errno != ENOENT)
        return error_system(err, errno, "cannot look at %s", paths->file);
    if (lstat(paths->log, &log) == 0)
        return error_set(err, ERROR_MALFORMED,
                         "%s is missing, and its log %s is there: " ADVICE_RESTORE, paths->file,
                         paths->log);
    return make_file(paths, hooks, err);
}

bool sql_open(const char *directory, const struct sql_hooks *hooks, struct sql **out,
              struct error *err)
{
    struct paths paths;
    struct sql *sql;
    if (!join_paths(&paths, directory, err) || !have_file(&paths, hooks, err) ||
        !connect_file(paths.file, &sql, err))
        return false;
    if (!check_and_set_up(sql, hooks, err)) {
        sql_close(sql);
        return false;
    }
    *out = sql;
    return true;
}
