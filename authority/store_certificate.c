/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/store_internal.h"

static const char *const kind_names[] = {"bot", "proxy", "database-client", "database-server",
                                         "ca"};
static const struct store_words kinds = STORE_WORDS(kind_names);

const char *store_certificate_kind_name(enum store_certificate_kind kind)
{
    return store_word(&kinds, (unsigned)kind);
}

bool store_certificate_kind_parse(const char *name, enum store_certificate_kind *kind)
{
    *kind = (enum store_certificate_kind)store_word_find(&kinds, name);
    return *kind != 0;
}

bool store_certificate_add(struct store *store, const struct store_certificate *certificate,
                           struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "INSERT INTO certificates (serial, kind, subject, instance, generation,"
                       " not_before_us, not_after_us, issued_us, authority)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       &statement, err))
        return false;
    sql_bind_text(statement, "serial", certificate->serial, STORE_SERIAL_SIZE - 1);
    store_bind_word(statement, &kinds, (unsigned)certificate->kind);
    sql_bind_text(statement, "subject", certificate->subject, STORE_SUBJECT_SIZE - 1);
    sql_bind_text(statement, "instance's id", certificate->instance, STORE_INSTANCE_SIZE - 1);
    sql_bind_int(statement, certificate->generation);
    sql_bind_int(statement, certificate->not_before_us);
    sql_bind_int(statement, certificate->not_after_us);
    sql_bind_int(statement, certificate->issued_us);
    sql_bind_int(statement, certificate->authority);
    return sql_run(statement, NULL, err) ||
           store_tell(err, ERROR_EXISTS, "there is a certificate of serial %s already",
                      certificate->serial);
}

static bool read_certificate(struct sql_statement *statement, void *out, struct error *err)
{
    struct store_certificate *certificate = out;
    sql_read_text(statement, certificate->serial, sizeof certificate->serial);
    certificate->kind = (enum store_certificate_kind)store_read_word(statement, &kinds);
    sql_read_text(statement, certificate->subject, sizeof certificate->subject);
    sql_read_text(statement, certificate->instance, sizeof certificate->instance);
    sql_read_int(statement, &certificate->generation);
    sql_read_int(statement, &certificate->not_before_us);
    sql_read_int(statement, &certificate->not_after_us);
    sql_read_int(statement, &certificate->issued_us);
    sql_read_int(statement, &certificate->authority);
    return sql_row_end(statement, err);
}

bool store_certificate_find(struct store *store, const char *serial, struct store_certificate *out,
                            struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "SELECT serial, kind, subject, instance, generation, not_before_us,"
                       " not_after_us, issued_us, authority FROM certificates WHERE serial = ?",
                       &statement, err))
        return false;
    sql_bind_text(statement, "serial", serial, STORE_SERIAL_SIZE - 1);
    return store_find_one(statement, read_certificate, out, "certificate of serial", serial, err);
}

bool store_certificate_prune(struct store *store, int64_t ended_us, int64_t *removed,
                             struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM certificates WHERE not_after_us <= ?", &statement, err))
        return false;
    sql_bind_int(statement, ended_us);
    return sql_run(statement, removed, err);
}
