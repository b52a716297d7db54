/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/db_show.h"

#include <string.h>

#include "base/utf8.h"
#include "protocol/capability_name.h"

static size_t progress(const struct probe_facts *facts)
{
    return (size_t)facts->connected + facts->greeted + facts->secured + facts->accepted;
}

bool db_show_is_good(const struct preflight_target *target)
{
    for (size_t i = 0; i < target->account_count; i++)
        if (!target->accounts[i].facts || target->accounts[i].facts->fault != PROBE_FAULT_NONE)
            return false;
    return target->account_count > 0;
}

/* One account's warning is told for each; the server's once. */
static bool is_told(const struct db_summary *summary, const struct preflight_warning *warning)
{
    for (size_t i = 0; i < summary->warning_count; i++)
        if (strcmp(summary->warnings[i].kind, warning->kind) == 0 &&
            (strncmp(warning->kind, "no_require_", strlen("no_require_")) != 0 ||
             strcmp(summary->warnings[i].message, warning->message) == 0))
            return true;
    return false;
}

static void add_warnings(const struct db_show *show, const struct preflight_account *account,
                         struct db_summary *summary)
{
    struct preflight_warning found[PREFLIGHT_WARNINGS_MAX];
    /* A minted one is always near its end, and renewed before. */
    int64_t own_until_us = summary->minted ? 0 : summary->own_not_after_us;
    size_t count =
        preflight_warnings(account->facts, account->user, own_until_us, show->now_us, found);
    for (size_t i = 0; i < count; i++)
        if (summary->warning_count < DB_SHOW_WARNINGS_MAX && !is_told(summary, &found[i]))
            summary->warnings[summary->warning_count++] = found[i];
}

/* NULL: nothing was minted. */
static void note_own(const struct tls_context *tls, struct db_summary *out)
{
    out->own_subject[0] = out->own_issuer[0] = '\0';
    out->own_not_after_us = 0;
    if (!tls)
        return;
    diagnose_own_subject(tls, out->own_subject);
    diagnose_own_issuer(tls, out->own_issuer);
    out->own_not_after_us = tls_context_not_after_us(tls);
}

void db_summary_make(const struct db_show *show, const struct preflight_target *target,
                     struct db_summary *out)
{
    memset(out, 0, sizeof *out);
    out->minted = !target->database->tls;
    if (!out->minted)
        note_own(target->database->tls, out);
    address_format(&target->database->address, out->address);
    for (size_t i = 0; i < target->account_count; i++) {
        const struct preflight_account *account = &target->accounts[i];
        if (!account->facts)
            continue;
        out->tried++;
        out->failed += account->facts->fault != PROBE_FAULT_NONE;
        add_warnings(show, account, out);
        if (out->server && progress(account->facts) <= progress(out->server))
            continue;
        out->server = account->facts;
        if (out->minted)
            note_own(database_tls(target->database, account->user), out);
    }
}

void db_summary_advice(const struct db_show *show, const struct preflight_target *target,
                       const struct db_summary *summary, const struct preflight_account *account,
                       char *out, size_t size)
{
    const struct tls_context *tls = database_tls(target->database, account->user);
    char subject[DIAGNOSE_TEXT_SIZE] = "";
    char issuer[DIAGNOSE_TEXT_SIZE] = "";
    if (tls) {
        diagnose_own_subject(tls, subject);
        diagnose_own_issuer(tls, issuer);
    }
    const struct probe_fault_place place = {.user = account->user,
                                            .schema = show->schema,
                                            .server_name = target->database->server_name,
                                            .subject = subject,
                                            .issuer = issuer,
                                            .minted = summary->minted,
                                            .authority_ca = target->database->shares_minted};
    probe_fault_advice(account->facts->fault, &place, out, size);
    out[utf8_prefix(out, strlen(out))] = '\0'; /* it may have been cut in a character */
}

const char *db_summary_vendor(const struct probe_facts *facts)
{
    return facts->vendor == HANDSHAKE_MARIADB ? "MariaDB" : "MySQL";
}

static void visit_bits(uint32_t flags, bool mariadb,
                       void (*visit)(void *arg, unsigned bit, const struct capability_name *name),
                       void *arg)
{
    for (unsigned bit = 0; bit < CAPABILITY_BITS; bit++) {
        if (!(flags & 1u << bit))
            continue;
        struct capability_name name = capability_name(bit, mariadb);
        visit(arg, mariadb ? CAPABILITY_BITS + bit : bit, &name);
    }
}

void db_summary_masked(const struct probe_facts *facts,
                       void (*visit)(void *arg, unsigned bit, const struct capability_name *name),
                       void *arg)
{
    visit_bits(facts->masked, false, visit, arg);
    visit_bits(facts->masked_mariadb, true, visit, arg);
}
