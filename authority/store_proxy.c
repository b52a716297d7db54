/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "authority/store_internal.h"

#define PROXY_SELECT                                                                      \
    "SELECT p.name, p.serial, p.previous_serial, p.generation, p.confirmed, p.joined_us," \
    " p.not_after_us, p.seen_us, n.name"                                                  \
    " FROM proxies p LEFT JOIN proxy_names n ON n.proxy = p.name"

/* --- writing --- */

static bool insert_names(struct store *store, const char *proxy, const char *const *names,
                         size_t count, struct error *err)
{
    struct sql_statement *statement;
    for (size_t i = 0; i < count; i++) {
        if (!store_prepare(store,
                           "INSERT INTO proxy_names (proxy, name, position) VALUES (?, ?, ?)",
                           &statement, err))
            return false;
        sql_bind_text(statement, "proxy's name", proxy, STORE_NAME_SIZE - 1);
        sql_bind_text(statement, "host name", names[i], STORE_HOST_SIZE - 1);
        sql_bind_int(statement, (int64_t)i);
        if (!sql_run(statement, NULL, err))
            return false;
    }
    return true;
}

/* Both statements have the same parameters in the same order. */
static bool write_proxy(struct store *store, const char *text, const struct store_proxy *proxy,
                        bool *done, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, text, &statement, err))
        return false;
    sql_bind_text(statement, "serial", proxy->serial, STORE_SERIAL_SIZE - 1);
    sql_bind_text(statement, "previous serial", proxy->previous_serial, STORE_SERIAL_SIZE - 1);
    sql_bind_int(statement, proxy->generation);
    sql_bind_int(statement, proxy->confirmed);
    sql_bind_int(statement, proxy->joined_us);
    sql_bind_int(statement, proxy->not_after_us);
    sql_bind_int(statement, proxy->seen_us);
    sql_bind_text(statement, "proxy's name", proxy->name, STORE_NAME_SIZE - 1);
    return store_run_maybe(statement, done, err);
}

static bool delete_names(struct store *store, const char *proxy, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM proxy_names WHERE proxy = ?", &statement, err))
        return false;
    sql_bind_text(statement, "proxy's name", proxy, STORE_NAME_SIZE - 1);
    return sql_run(statement, NULL, err);
}

static bool put(struct store *store, const struct store_proxy *proxy, const char *const *names,
                struct error *err)
{
    bool done;
    static const char update[] =
        "UPDATE proxies SET serial = ?, previous_serial = ?, generation = ?, confirmed = ?,"
        " joined_us = ?, not_after_us = ?, seen_us = ? WHERE name = ?";
    static const char insert[] =
        "INSERT INTO proxies (serial, previous_serial, generation, confirmed, joined_us,"
        " not_after_us, seen_us, name) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    return write_proxy(store, update, proxy, &done, err) &&
           (done || write_proxy(store, insert, proxy, &done, err)) &&
           delete_names(store, proxy->name, err) &&
           insert_names(store, proxy->name, names, proxy->name_count, err);
}

bool store_proxy_put(struct store *store, const struct store_proxy *proxy, struct error *err)
{
    const char *names[STORE_PROXY_NAMES_MAX];
    for (size_t i = 0; i < proxy->name_count && i < STORE_PROXY_NAMES_MAX; i++)
        names[i] = proxy->names[i];
    return store_check_list("name", names, proxy->name_count, STORE_PROXY_NAMES_MAX, err) &&
           store_begin(store, err) && store_end(store, put(store, proxy, names, err), err);
}

static bool delete_proxy(struct store *store, const char *name, struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, "DELETE FROM proxies WHERE name = ?", &statement, err))
        return false;
    sql_bind_text(statement, "proxy's name", name, STORE_NAME_SIZE - 1);
    return store_run_one(statement, "proxy", name, err);
}

bool store_proxy_remove(struct store *store, const char *name, struct error *err)
{
    if (!store_begin(store, err))
        return false;
    return store_end(store,
                     delete_names(store, name, err) && delete_proxy(store, name, err) &&
                         store_bump(store, err),
                     err);
}

/* --- reading --- */

/* One row for each name, and one without for a proxy that has none. */
struct proxy_row {
    struct store_proxy proxy; /* without its names */
    char name[STORE_HOST_SIZE];
};

static bool read_row(struct sql_statement *statement, void *out, struct error *err)
{
    struct proxy_row *row = out;
    struct store_proxy *proxy = &row->proxy;
    int64_t confirmed;
    sql_read_text(statement, proxy->name, sizeof proxy->name);
    sql_read_text(statement, proxy->serial, sizeof proxy->serial);
    sql_read_text(statement, proxy->previous_serial, sizeof proxy->previous_serial);
    sql_read_int(statement, &proxy->generation);
    sql_read_int(statement, &confirmed);
    sql_read_int(statement, &proxy->joined_us);
    sql_read_int(statement, &proxy->not_after_us);
    sql_read_int(statement, &proxy->seen_us);
    proxy->confirmed = confirmed != 0;
    sql_read_optional(statement, row->name, sizeof row->name);
    return sql_row_end(statement, err);
}

/* More names than there may be, in a damaged file, are left out. */
static void add_row(struct store_proxy *proxy, const struct proxy_row *row)
{
    if (proxy->name[0] == '\0')
        *proxy = row->proxy;
    if (row->name[0] != '\0' && proxy->name_count < STORE_PROXY_NAMES_MAX)
        memcpy(proxy->names[proxy->name_count++], row->name, sizeof row->name);
}

static bool walk_proxies(struct store *store, struct sql_statement *statement,
                         store_proxy_visit visit, void *context, struct error *err)
{
    struct proxy_row row = {0};
    struct store_proxy proxy = {0};
    bool going = true;
    struct store_walk walk = store_walk(store, statement, read_row, &row, err);
    while (going && store_walk_next(&walk)) {
        if (proxy.name[0] != '\0' && strcmp(proxy.name, row.proxy.name) != 0) {
            going = visit(&proxy, context);
            proxy.name[0] = '\0';
        }
        add_row(&proxy, &row);
    }
    if (going && !walk.failed && proxy.name[0] != '\0')
        visit(&proxy, context);
    return store_walk_end(&walk);
}

bool store_proxy_each(struct store *store, store_proxy_visit visit, void *context,
                      struct error *err)
{
    struct sql_statement *statement;
    return store_prepare(store, PROXY_SELECT " ORDER BY p.name, n.position", &statement, err) &&
           walk_proxies(store, statement, visit, context, err);
}

static bool copy_proxy(const struct store_proxy *proxy, void *context)
{
    *(struct store_proxy *)context = *proxy;
    return true;
}

bool store_proxy_find(struct store *store, const char *name, struct store_proxy *out,
                      struct error *err)
{
    struct sql_statement *statement;
    out->name[0] = '\0';
    if (!store_prepare(store, PROXY_SELECT " WHERE p.name = ? ORDER BY n.position", &statement,
                       err))
        return false;
    sql_bind_text(statement, "proxy's name", name, STORE_NAME_SIZE - 1);
    if (!walk_proxies(store, statement, copy_proxy, out, err))
        return false;
    return out->name[0] != '\0' || error_set(err, ERROR_NOT_FOUND, "there is no proxy %s", name);
}

static bool read_name(struct sql_statement *statement, void *out, struct error *err)
{
    sql_read_text(statement, out, STORE_NAME_SIZE);
    return sql_row_end(statement, err);
}

bool store_proxy_find_host(struct store *store, const char *host, const char *except,
                           int64_t before_us, char out[STORE_NAME_SIZE], struct error *err)
{
    struct sql_statement *statement;
    bool found;
    out[0] = '\0';
    if (!store_prepare(store,
                       "SELECT p.name FROM proxy_names n JOIN proxies p ON p.name = n.proxy"
                       " WHERE n.name = ? AND p.name <> ? AND p.joined_us < ?"
                       " ORDER BY p.joined_us, p.name",
                       &statement, err))
        return false;
    sql_bind_text(statement, "host name", host, STORE_HOST_SIZE - 1);
    sql_bind_text(statement, "proxy's name", except, STORE_NAME_SIZE - 1);
    sql_bind_int(statement, before_us);
    return store_find(statement, read_name, out, &found, err);
}
