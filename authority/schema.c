/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/schema.h"

#include "base/clock.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/*
 * LENGTH() counts bytes in MySQL and characters in SQLite; the C code, which counts bytes, has
 * already looked. Kinds are not listed here: a new one would need its table made anew in SQLite,
 * and reading refuses a word that it does not know.
 *
 * "None" is '' or 0, so that comparing has no third answer. MySQL reads VARCHAR's number as
 * characters; TEXT ends at 65,535 bytes there, MEDIUMTEXT at 16 MiB.
 */
static const char *const version_1[] = {
    "CREATE TABLE schema_versions ("
    " version BIGINT NOT NULL PRIMARY KEY,"
    " applied_us BIGINT NOT NULL)",

    "CREATE TABLE counters ("
    " name VARCHAR(32) NOT NULL PRIMARY KEY,"
    " amount BIGINT NOT NULL)",
    "INSERT INTO counters (name, amount) VALUES ('state', 1)",

    "CREATE TABLE bots ("
    " name VARCHAR(64) NOT NULL PRIMARY KEY,"
    " public_key VARCHAR(1024) NOT NULL,"
    " created_us BIGINT NOT NULL,"
    " created_by VARCHAR(255) NOT NULL,"
    " CHECK (LENGTH(name) BETWEEN 1 AND 64),"
    " CHECK (LENGTH(public_key) <= 1024),"
    " CHECK (LENGTH(created_by) <= 255))",

    "CREATE TABLE bot_roles ("
    " bot VARCHAR(64) NOT NULL,"
    " role VARCHAR(64) NOT NULL,"
    " position BIGINT NOT NULL,"
    " PRIMARY KEY (bot, role),"
    " FOREIGN KEY (bot) REFERENCES bots (name),"
    " CHECK (LENGTH(role) BETWEEN 1 AND 64),"
    " CHECK (position BETWEEN 0 AND 63))",

    /* bot is the name once more for tokens of bots, and NULL for others: the foreign key. */
    "CREATE TABLE tokens ("
    " id VARCHAR(16) NOT NULL PRIMARY KEY,"
    " hash VARBINARY(32) NOT NULL,"
    " kind VARCHAR(32) NOT NULL,"
    " name VARCHAR(64) NOT NULL,"
    " bot VARCHAR(64),"
    " created_us BIGINT NOT NULL,"
    " created_by VARCHAR(255) NOT NULL,"
    " expires_us BIGINT NOT NULL,"
    " used_us BIGINT NOT NULL,"
    " used_by VARCHAR(255) NOT NULL,"
    " used_key VARCHAR(64) NOT NULL,"
    " used_serial VARCHAR(40) NOT NULL,"
    " FOREIGN KEY (bot) REFERENCES bots (name),"
    " CHECK (LENGTH(id) = 16),"
    " CHECK (LENGTH(hash) = 32),"
    " CHECK (LENGTH(name) BETWEEN 1 AND 64),"
    " CHECK (LENGTH(created_by) <= 255),"
    " CHECK (LENGTH(used_by) <= 255),"
    " CHECK (used_key = '' OR LENGTH(used_key) = 64),"
    " CHECK (LENGTH(used_serial) <= 40),"
    " CHECK (bot IS NULL OR bot = name))",
    "CREATE INDEX tokens_by_bot ON tokens (bot)",
    "CREATE INDEX tokens_by_expiry ON tokens (expires_us)",

    "CREATE TABLE instances ("
    " id VARCHAR(32) NOT NULL PRIMARY KEY,"
    " bot VARCHAR(64) NOT NULL,"
    " generation BIGINT NOT NULL,"
    " serial VARCHAR(40) NOT NULL,"
    " previous_serial VARCHAR(40) NOT NULL,"
    " confirmed BIGINT NOT NULL,"
    " created_us BIGINT NOT NULL,"
    " seen_us BIGINT NOT NULL,"
    " not_after_us BIGINT NOT NULL,"
    " joined_by VARCHAR(64) NOT NULL,"
    " UNIQUE (serial),"
    " FOREIGN KEY (bot) REFERENCES bots (name),"
    " CHECK (LENGTH(id) = 32),"
    " CHECK (generation >= 1),"
    " CHECK (LENGTH(serial) BETWEEN 1 AND 40),"
    " CHECK (LENGTH(previous_serial) <= 40),"
    " CHECK (previous_serial <> serial),"
    " CHECK (confirmed IN (0, 1)),"
    " CHECK (LENGTH(joined_by) BETWEEN 1 AND 64))",
    "CREATE INDEX instances_by_bot ON instances (bot)",
    "CREATE INDEX instances_by_previous ON instances (previous_serial)",

    /* No foreign key: the ledger remembers whose a serial was when the instance is long gone. */
    "CREATE TABLE certificates ("
    " serial VARCHAR(40) NOT NULL PRIMARY KEY,"
    " kind VARCHAR(32) NOT NULL,"
    " subject TEXT NOT NULL,"
    " instance VARCHAR(32) NOT NULL,"
    " generation BIGINT NOT NULL,"
    " not_before_us BIGINT NOT NULL,"
    " not_after_us BIGINT NOT NULL,"
    " issued_us BIGINT NOT NULL,"
    " authority BIGINT NOT NULL DEFAULT 0,"
    " CHECK (LENGTH(serial) BETWEEN 1 AND 40),"
    " CHECK (LENGTH(subject) BETWEEN 1 AND 8192),"
    " CHECK (instance = '' OR LENGTH(instance) = 32),"
    " CHECK (generation >= 0),"
    " CHECK (not_before_us < not_after_us))",
    "CREATE INDEX certificates_by_end ON certificates (not_after_us)",

    "CREATE TABLE locks ("
    " id VARCHAR(16) NOT NULL PRIMARY KEY,"
    " kind VARCHAR(32) NOT NULL,"
    " target VARCHAR(255) NOT NULL,"
    " reason VARCHAR(1024) NOT NULL,"
    " created_us BIGINT NOT NULL,"
    " created_by VARCHAR(255) NOT NULL,"
    " expires_us BIGINT NOT NULL,"
    " CHECK (LENGTH(id) = 16),"
    " CHECK (LENGTH(target) BETWEEN 1 AND 255),"
    " CHECK (LENGTH(reason) <= 1024),"
    " CHECK (LENGTH(created_by) <= 255))",

    "CREATE TABLE documents ("
    " kind VARCHAR(32) NOT NULL,"
    " name VARCHAR(255) NOT NULL,"
    " text MEDIUMTEXT NOT NULL,"
    " changed_us BIGINT NOT NULL,"
    " PRIMARY KEY (kind, name),"
    " CHECK (LENGTH(name) BETWEEN 1 AND 255),"
    " CHECK (LENGTH(text) BETWEEN 1 AND 65536))",

    "CREATE TABLE authorities ("
    " kind VARCHAR(32) NOT NULL,"
    " number BIGINT NOT NULL,"
    " phase VARCHAR(32) NOT NULL,"
    " certificate TEXT NOT NULL,"
    " key_file VARCHAR(255) NOT NULL,"
    " created_us BIGINT NOT NULL,"
    " phase_since_us BIGINT NOT NULL,"
    " PRIMARY KEY (kind, number),"
    " CHECK (number >= 1),"
    " CHECK (LENGTH(phase) BETWEEN 1 AND 32),"
    " CHECK (LENGTH(certificate) BETWEEN 1 AND 8192),"
    " CHECK (LENGTH(key_file) BETWEEN 1 AND 255))",

    "CREATE TABLE proxies ("
    " name VARCHAR(64) NOT NULL PRIMARY KEY,"
    " serial VARCHAR(40) NOT NULL,"
    " previous_serial VARCHAR(40) NOT NULL,"
    " generation BIGINT NOT NULL,"
    " confirmed BIGINT NOT NULL,"
    " joined_us BIGINT NOT NULL,"
    " not_after_us BIGINT NOT NULL,"
    " seen_us BIGINT NOT NULL,"
    " CHECK (LENGTH(name) BETWEEN 1 AND 64),"
    " CHECK (LENGTH(serial) BETWEEN 1 AND 40),"
    " CHECK (LENGTH(previous_serial) <= 40),"
    " CHECK (generation >= 0),"
    " CHECK (confirmed IN (0, 1)))",

    "CREATE TABLE proxy_names ("
    " proxy VARCHAR(64) NOT NULL,"
    " name VARCHAR(253) NOT NULL,"
    " position BIGINT NOT NULL,"
    " PRIMARY KEY (proxy, name),"
    " FOREIGN KEY (proxy) REFERENCES proxies (name),"
    " CHECK (LENGTH(name) BETWEEN 1 AND 253),"
    " CHECK (position BETWEEN 0 AND 31))",
};

static const struct schema_step steps[] = {
    {version_1, COUNT(version_1)},
};

const struct schema schema_known = {steps, COUNT(steps)};

static bool read_version(struct sql_statement *statement, int64_t *version, struct error *err)
{
    bool row;
    if (!sql_next(statement, &row, err))
        return false;
    if (!row) /* an aggregate always has a row */
        return error_set(err, ERROR_STATE, "no answer about the version");
    sql_read_int(statement, version);
    bool done = sql_row_end(statement, err);
    sql_finish(statement);
    return done;
}

static bool find_version(struct sql *sql, int64_t *version, struct error *err)
{
    struct sql_statement *statement;
    struct error cause = {0};
    if (!sql_prepare(sql, "SELECT COALESCE(MAX(version), 0) FROM schema_versions", &statement,
                     &cause))
        return error_set(err, cause.code == ERROR_STATE ? ERROR_MALFORMED : cause.code,
                         "%s is no store of an authority: give it a directory of its own (%s)",
                         sql_name(sql), cause.message);
    return read_version(statement, version, err);
}

static bool run_statements(struct sql *sql, const struct schema_step *step, struct error *err)
{
    for (size_t i = 0; i < step->count; i++)
        if (!sql_execute(sql, step->statements[i], err))
            return false;
    return true;
}

static bool note_version(struct sql *sql, int64_t version, struct error *err)
{
    struct sql_statement *statement;
    if (!sql_prepare(sql, "INSERT INTO schema_versions (version, applied_us) VALUES (?, ?)",
                     &statement, err))
        return false;
    sql_bind_int(statement, version);
    sql_bind_int(statement, clock_wall_us());
    return sql_run(statement, NULL, err);
}

static bool run_step(struct sql *sql, const struct schema_step *step, int64_t version,
                     struct error *err)
{
    if (!sql_begin(sql, err))
        return false;
    if (run_statements(sql, step, err) && note_version(sql, version, err))
        return sql_commit(sql, err);
    sql_rollback(sql);
    return error_wrap(err, "cannot bring %s to version %lld", sql_name(sql), (long long)version);
}

static bool run_steps(struct sql *sql, const struct schema *schema, size_t from, struct error *err)
{
    for (size_t i = from; i < schema->count; i++)
        if (!run_step(sql, &schema->steps[i], (int64_t)i + 1, err))
            return false;
    return true;
}

bool schema_create(struct sql *sql, const struct schema *schema, struct error *err)
{
    return run_steps(sql, schema, 0, err);
}

bool schema_check(struct sql *sql, const struct schema *schema, int64_t *version, struct error *err)
{
    if (!find_version(sql, version, err))
        return false;
    if (*version < 1)
        return error_set(err, ERROR_MALFORMED,
                         "%s is damaged (it has no version): restore a backup; nothing was changed",
                         sql_name(sql));
    if (*version > (int64_t)schema->count)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s is of version %lld, and this Sallyport knows versions up to %zu: "
                         "install the newer one again; nothing was changed",
                         sql_name(sql), (long long)*version, schema->count);
    return true;
}

bool schema_migrate(struct sql *sql, const struct schema *schema, struct error *err)
{
    int64_t version;
    return schema_check(sql, schema, &version, err) && run_steps(sql, schema, (size_t)version, err);
}
