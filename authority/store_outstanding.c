/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/store_outstanding.h"

#include "authority/store_internal.h"

#define OUTSTANDING_SELECT "SELECT COUNT(*), COALESCE(MAX(c.not_after_us), 0) FROM "
#define KIND_MAX           32 /* bytes of a kind's word */

static bool read_outstanding(struct sql_statement *statement, void *out, struct error *err)
{
    struct store_outstanding *outstanding = out;
    sql_read_int(statement, &outstanding->count);
    sql_read_int(statement, &outstanding->until_us);
    return sql_row_end(statement, err);
}

#define SIGNED                          \
    OUTSTANDING_SELECT "certificates c" \
                       " WHERE c.kind = ? AND c.authority = ? AND c.not_after_us > ?"

static const char *signed_by(enum store_certificate_kind kind)
{
    static const char all[] = SIGNED;
    static const char bots[] =
        SIGNED " AND (EXISTS (SELECT 1 FROM instances i WHERE i.serial = c.serial)"
               " OR EXISTS (SELECT 1 FROM instances i WHERE i.previous_serial = c.serial))";
    static const char proxies[] =
        SIGNED " AND EXISTS (SELECT 1 FROM proxies p"
               " WHERE p.serial = c.serial OR p.previous_serial = c.serial)";
    return kind == STORE_CERTIFICATE_BOT ? bots : kind == STORE_CERTIFICATE_PROXY ? proxies : all;
}

bool store_outstanding_signed(struct store *store, enum store_certificate_kind kind,
                              int64_t authority, int64_t now_us, struct store_outstanding *out,
                              struct error *err)
{
    struct sql_statement *statement;
    if (!store_prepare(store, signed_by(kind), &statement, err))
        return false;
    sql_bind_text(statement, "kind", store_certificate_kind_name(kind), KIND_MAX);
    sql_bind_int(statement, authority);
    sql_bind_int(statement, now_us);
    return store_find_one(statement, read_outstanding, out, "answer about", "the ledger", err);
}

bool store_outstanding_since(struct store *store, enum store_certificate_kind kind,
                             int64_t issued_us, int64_t now_us, struct store_outstanding *out,
                             struct error *err)
{
    static const char bots[] =
        OUTSTANDING_SELECT "instances i JOIN certificates c ON c.serial = i.serial"
                           " WHERE c.issued_us < ? AND c.not_after_us > ?";
    static const char proxies[] =
        OUTSTANDING_SELECT "proxies p JOIN certificates c ON c.serial = p.serial"
                           " WHERE c.issued_us < ? AND c.not_after_us > ?";
    struct sql_statement *statement;
    if (!store_prepare(store, kind == STORE_CERTIFICATE_BOT ? bots : proxies, &statement, err))
        return false;
    sql_bind_int(statement, issued_us);
    sql_bind_int(statement, now_us);
    return store_find_one(statement, read_outstanding, out, "answer about", "the ledger", err);
}
