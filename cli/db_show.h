/* SPDX-License-Identifier: Apache-2.0 */
/* What `sallyport db check` found, for people or as one JSON object a line. */
#ifndef SALLYPORT_CLI_DB_SHOW_H
#define SALLYPORT_CLI_DB_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/terminal.h"
#include "protocol/capability_name.h"
#include "proxy/preflight.h"

#define DB_SHOW_LIMIT        (16 * 1024 * 1024) /* bytes of one database's output */
#define DB_SHOW_WARNINGS_MAX (PREFLIGHT_USERS_MAX + PREFLIGHT_WARNINGS_MAX)

struct db_show {
    struct terminal terminal;
    const char *schema;
    int64_t now_us;
};

/* What is said of a database that no role names an account for, and what to do about it. */
#define DB_SHOW_NO_ACCOUNT      "no account to try: roles name MySQL accounts for it by globs alone"
#define DB_SHOW_NO_ACCOUNT_NEXT "Give an account with --user."

/* Whether it has accounts, and every one of them could be used. */
bool db_show_is_good(const struct preflight_target *target);

/* Append one database. ERROR_MEMORY or ERROR_LIMIT. */
bool db_show_table(const struct db_show *show, const struct preflight_target *target,
                   struct buffer *out, struct error *err) MUST_USE;
bool db_show_json(const struct db_show *show, const struct preflight_target *target,
                  struct buffer *out, struct error *err) MUST_USE;

/* What both forms need: private to cli/db_show.c, db_show_table.c and db_show_json.c. */
struct db_summary {
    const struct probe_facts *server; /* the facts that came furthest; NULL: none */
    size_t failed;                    /* accounts */
    size_t tried;
    struct preflight_warning warnings[DB_SHOW_WARNINGS_MAX];
    size_t warning_count;
    bool minted;                          /* each account has a certificate of its own */
    char own_subject[DIAGNOSE_TEXT_SIZE]; /* of the account that came furthest, and these */
    char own_issuer[DIAGNOSE_TEXT_SIZE];
    int64_t own_not_after_us;
    char address[ADDRESS_TEXT_SIZE]; /* as it is configured */
};

void db_summary_make(const struct db_show *show, const struct preflight_target *target,
                     struct db_summary *out);
void db_summary_advice(const struct db_show *show, const struct preflight_target *target,
                       const struct db_summary *summary, const struct preflight_account *account,
                       char *out, size_t size);
/* The name of the kind of server: "MariaDB". */
const char *db_summary_vendor(const struct probe_facts *facts);

/* Calls `visit` for each capability that is masked, lowest bit first, MariaDB's own last. */
void db_summary_masked(const struct probe_facts *facts,
                       void (*visit)(void *arg, unsigned bit, const struct capability_name *name),
                       void *arg);

#endif
