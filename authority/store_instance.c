/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "authority/store_internal.h"

#define INSTANCE_SELECT                                                                         \
    "SELECT i.id, i.bot, i.generation, i.serial, i.previous_serial, i.confirmed, i.created_us," \
    " i.seen_us, i.not_after_us, i.joined_by FROM instances i"

#define ID_MAX     (STORE_INSTANCE_SIZE - 1)
#define SERIAL_MAX (STORE_SERIAL_SIZE - 1)

static void bind_instance(struct sql_statement *statement, const struct store_instance *instance)
{
    sql_bind_text(statement, "instance's id", instance->id, ID_MAX);
    sql_bind_text(statement, "bot's name", instance->bot, STORE_NAME_SIZE - 1);
    sql_bind_int(statement, instance->generation);
    sql_bind_text(statement, "serial", instance->serial, SERIAL_MAX);
    sql_bind_text(statement, "previous serial", instance->previous_serial, SERIAL_MAX);
    sql_bind_int(statement, instance->confirmed);
    sql_bind_int(statement, instance->created_us);
    sql_bind_int(statement, instance->seen_us);
    sql_bind_int(statement, instance->not_after_us);
    sql_bind_text(statement, "way of joining", instance->joined_by, STORE_JOINED_SIZE - 1);
}

bool store_instance_add(struct store *store, const struct store_instance *instance,
                        struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store,
                       "INSERT INTO instances (id, bot, generation, serial, previous_serial,"
                       " confirmed, created_us, seen_us, not_after_us, joined_by)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       &statement, err))
        return false;
    bind_instance(statement, instance);
    return sql_run(statement, NULL, err) ||
           store_tell(err, ERROR_EXISTS, "there is an instance %s, or one of serial %s, already",
                      instance->id, instance->serial) ||
           store_tell(err, ERROR_NOT_FOUND, "there is no bot %s", instance->bot);
}

static bool read_instance(struct sql_statement *statement, void *out, struct error *err)
{
    struct store_instance *instance = out;
    int64_t confirmed;
    sql_read_text(statement, instance->id, sizeof instance->id);
    sql_read_text(statement, instance->bot, sizeof instance->bot);
    sql_read_int(statement, &instance->generation);
    sql_read_text(statement, instance->serial, sizeof instance->serial);
    sql_read_text(statement, instance->previous_serial, sizeof instance->previous_serial);
    sql_read_int(statement, &confirmed);
    sql_read_int(statement, &instance->created_us);
    sql_read_int(statement, &instance->seen_us);
    sql_read_int(statement, &instance->not_after_us);
    sql_read_text(statement, instance->joined_by, sizeof instance->joined_by);
    instance->confirmed = confirmed != 0;
    return sql_row_end(statement, err);
}

bool store_instance_find(struct store *store, const char *id, struct store_instance *out,
                         struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, INSTANCE_SELECT " WHERE i.id = ?", &statement, err))
        return false;
    sql_bind_text(statement, "instance's id", id, ID_MAX);
    return store_find_one(statement, read_instance, out, "instance", id, err);
}

/* --- by serial --- */

static bool find_by(struct store *store, const char *text, const char *serial,
                    struct store_instance *out, bool *found, struct error *err)
{
    struct sql_statement *statement;
    *found = false;
    if (!store_prepare(store, text, &statement, err))
        return false;
    sql_bind_text(statement, "serial", serial, SERIAL_MAX);
    return store_find(statement, read_instance, out, found, err);
}

bool store_instance_find_serial(struct store *store, const char *serial, struct store_instance *out,
                                enum store_serial *which, struct error *err)
{
    /* Current and previous do not need the ledger: it may have been pruned. */
    static const struct {
        enum store_serial which;
        const char *text;
    } ways[] = {
        {STORE_SERIAL_CURRENT, INSTANCE_SELECT " WHERE i.serial = ?"},
        {STORE_SERIAL_PREVIOUS, INSTANCE_SELECT " WHERE i.previous_serial = ?"},
        {STORE_SERIAL_OLDER,
         INSTANCE_SELECT " JOIN certificates c ON c.instance = i.id WHERE c.serial = ?"},
    };
    if (serial[0] == '\0') /* it would find those that have no previous one */
        return error_set(err, ERROR_NOT_FOUND, "there is no instance without a serial");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        bool found;
        if (!find_by(store, ways[i].text, serial, out, &found, err))
            return false;
        *which = ways[i].which;
        if (found)
            return true;
    }
    return error_set(err, ERROR_NOT_FOUND, "there is no instance of serial %s", serial);
}

/* --- generations --- */

static bool run_next(struct sql_statement *statement, const char *id, const char *expected,
                     const struct store_next *next, bool *done, struct error *err)
{
    sql_bind_text(statement, "serial", next->serial, SERIAL_MAX);
    sql_bind_int(statement, next->not_after_us);
    sql_bind_int(statement, next->now_us);
    sql_bind_text(statement, "instance's id", id, ID_MAX);
    sql_bind_text(statement, "serial", expected, SERIAL_MAX);
    return store_run_maybe(statement, done, err) ||
           store_tell(err, ERROR_EXISTS, "there is an instance of serial %s already", next->serial);
}

bool store_instance_advance(struct store *store, const char *id, const char *expected,
                            const struct store_next *next, bool *done, struct error *err)
{
    struct sql_statement *statement;
    /* previous_serial comes first: MySQL assigns from left to right, and the right-hand side would
     * be the new serial (MySQL 8 manual, "UPDATE Statement": single-table). */
    return store_prepare(store,
                         "UPDATE instances SET previous_serial = serial, serial = ?,"
                         " generation = generation + 1, confirmed = 0, not_after_us = ?,"
                         " seen_us = ? WHERE id = ? AND serial = ?",
                         &statement, err) &&
           run_next(statement, id, expected, next, done, err);
}

bool store_instance_replace(struct store *store, const char *id, const char *expected,
                            const struct store_next *next, bool *done, struct error *err)
{
    struct sql_statement *statement;
    return store_prepare(store,
                         "UPDATE instances SET serial = ?, not_after_us = ?, seen_us = ?"
                         " WHERE id = ? AND serial = ? AND confirmed = 0",
                         &statement, err) &&
           run_next(statement, id, expected, next, done, err);
}

bool store_instance_confirm(struct store *store, const char *serial, int64_t now_us, bool *current,
                            struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "UPDATE instances SET confirmed = 1, seen_us = ? WHERE serial = ?",
                       &statement, err))
        return false;
    sql_bind_int(statement, now_us);
    sql_bind_text(statement, "serial", serial, SERIAL_MAX);
    return store_run_maybe(statement, current, err);
}

/* --- all --- */

static bool prepare_each(struct store *store, const char *bot, struct sql_statement **statement,
                         struct error *err)
{
    if (!bot)
        return store_prepare(store, INSTANCE_SELECT " ORDER BY i.id", statement, err);
    if (!store_prepare(store, INSTANCE_SELECT " WHERE i.bot = ? ORDER BY i.id", statement, err))
        return false;
    sql_bind_text(*statement, "bot's name", bot, STORE_NAME_SIZE - 1);
    return true;
}

bool store_instance_each(struct store *store, const char *bot, store_instance_visit visit,
                         void *context, struct error *err)
{
    struct sql_statement *statement;
    struct store_instance instance;
    if (!prepare_each(store, bot, &statement, err))
        return false;
    struct store_walk walk = store_walk(store, statement, read_instance, &instance, err);
    while (store_walk_next(&walk) && visit(&instance, context))
        continue;
    return store_walk_end(&walk);
}

bool store_instance_remove(struct store *store, const char *id, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM instances WHERE id = ?", &statement, err))
        return false;
    sql_bind_text(statement, "instance's id", id, ID_MAX);
    return store_run_one(statement, "instance", id, err);
}
