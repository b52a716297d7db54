/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/preflight.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/utf8.h"

/* --- which accounts --- */

static bool knows(const struct preflight_target *target, const char *user)
{
    for (size_t i = 0; i < target->account_count; i++)
        if (strcmp(target->accounts[i].user, user) == 0)
            return true;
    return false;
}

static bool allowed(const struct authz_roles *roles, const struct database *database,
                    const char *user)
{
    const struct authz_request request = {.database = database->name,
                                          .labels = database->labels,
                                          .label_count = database->label_count,
                                          .mysql_user = user};
    struct authz_decision decision;
    authz_decide(roles, &request, &decision);
    return decision.allowed;
}

/* A name with a backslash in it is taken for a glob: an account's name that has one is rare, and
 * --user names it. */
static bool is_plain(const char *pattern)
{
    return !glob_is_wild(pattern) && !strchr(pattern, '\\');
}

static void add_users_of(const struct snapshot *snapshot, const struct authz_role_config *role,
                         struct preflight_target *target)
{
    struct authz_roles alone;
    authz_role_alone(snapshot->policy, role->name, &alone);
    for (size_t i = 0; i < role->allow.mysql_users.count; i++) {
        const char *user = role->allow.mysql_users.items[i];
        if (!is_plain(user) || knows(target, user) || !allowed(&alone, target->database, user))
            continue;
        if (target->account_count == PREFLIGHT_USERS_MAX)
            target->more_users = true;
        else
            target->accounts[target->account_count++].user = user;
    }
}

void preflight_users(const struct snapshot *snapshot, struct preflight_target *target)
{
    for (size_t i = 0; i < snapshot->settings.role_count; i++)
        add_users_of(snapshot, &snapshot->settings.roles[i], target);
    const struct authority_state *state = snapshot->provision ? snapshot->provision->state : NULL;
    /* Of two roles of one name the policy has the configuration's, which judges both. */
    for (size_t i = 0; state && i < state->role_count; i++)
        add_users_of(snapshot, &state->roles[i], target);
}

/* --- the run --- */

struct run {
    uv_loop_t loop;
    struct upstream_home home;
    struct snapshot *snapshot;
    const char *schema;
    struct preflight_target *targets;
    size_t count;
    size_t started;  /* targets before it have begun */
    size_t reported; /* targets before it have been reported */
    void (*report)(void *arg, const struct preflight_target *target);
    void *arg;
    bool shut;
    struct error error; /* why it could not go on; code 0: it could */
};

/* What a probe's `done` needs: one for each database that is probed. */
struct turn {
    struct run *run;
    struct preflight_target *target;
};

static void go_on(struct run *run);
static bool probe_next(struct turn *turn, bool *none, struct error *err);

/* When nothing is left to do, and no connection (a retiring one either), the loop ends. */
static void shut_if_idle(struct run *run)
{
    if (run->shut || run->reported < run->count || run->home.count > 0)
        return;
    run->shut = true;
    stream_loop_destroy(run->home.shared);
}

static void on_emptied(void *arg)
{
    shut_if_idle(arg);
}

static void free_facts(struct preflight_target *target)
{
    for (size_t i = 0; i < target->account_count; i++) {
        free(target->accounts[i].facts);
        target->accounts[i].facts = NULL;
    }
}

static void end_turn(struct turn *turn)
{
    struct run *run = turn->run;
    turn->target->done = true;
    free(turn);
    go_on(run);
}

static void on_probed(void *arg)
{
    struct turn *turn = arg;
    struct preflight_target *target = turn->target;
    const struct probe_facts *facts = target->accounts[target->next].facts;
    bool none = false;
    target->next++;
    if (!probe_fault_is_of_account(facts->fault) || !probe_next(turn, &none, &turn->run->error) ||
        none)
        end_turn(turn);
}

static bool make_facts(struct preflight_account *account, struct error *err)
{
    account->facts = calloc(1, sizeof *account->facts);
    return account->facts || error_set(err, ERROR_MEMORY, "out of memory");
}

/* An account without a certificate has nothing to log in with. */
static bool note_refusals(struct preflight_target *target, struct error *err)
{
    while (target->next < target->account_count && target->accounts[target->next].refusal) {
        struct preflight_account *account = &target->accounts[target->next];
        if (!make_facts(account, err))
            return false;
        account->facts->fault = PROBE_FAULT_NOT_MINTED;
        (void)snprintf(account->facts->message, sizeof account->facts->message, "%s",
                       account->refusal);
        target->next++;
    }
    return true;
}

/* The next account of the turn's database; *none: all have been. */
static bool probe_next(struct turn *turn, bool *none, struct error *err)
{
    struct run *run = turn->run;
    struct preflight_target *target = turn->target;
    if (!note_refusals(target, err))
        return false;
    *none = target->next == target->account_count;
    if (*none)
        return true;
    struct preflight_account *account = &target->accounts[target->next];
    if (!make_facts(account, err))
        return false;
    if (probe_start(&run->home, run->snapshot, turn->target->database, account->user, run->schema,
                    account->facts, on_probed, turn, err))
        return true;
    free(account->facts);
    account->facts = NULL;
    return false;
}

static bool begin(struct run *run, struct preflight_target *target, struct error *err)
{
    target->done = target->account_count == 0;
    if (target->done)
        return true;
    struct turn *turn = calloc(1, sizeof *turn);
    if (!turn)
        return error_set(err, ERROR_MEMORY, "out of memory");
    *turn = (struct turn){run, target};
    bool begun = probe_next(turn, &target->done, err);
    if (!begun || target->done)
        free(turn);
    return begun;
}

static void report_due(struct run *run)
{
    while (run->reported < run->started && run->targets[run->reported].done) {
        struct preflight_target *target = &run->targets[run->reported++];
        run->report(run->arg, target);
        free_facts(target);
    }
}

/* Reports what is due, and keeps PREFLIGHT_AT_ONCE_MAX under way. */
static void go_on(struct run *run)
{
    report_due(run);
    while (run->error.code == ERROR_NONE && run->started < run->count &&
           run->started < run->reported + PREFLIGHT_AT_ONCE_MAX) {
        if (!begin(run, &run->targets[run->started], &run->error))
            break;
        run->started++;
        report_due(run); /* one without accounts is done at once */
    }
    if (run->error.code != ERROR_NONE)
        run->count = run->started; /* those that run may come to their end */
    shut_if_idle(run);
}

bool preflight_run(struct snapshot *snapshot, struct preflight_target *targets, size_t count,
                   const char *schema,
                   void (*report)(void *arg, const struct preflight_target *target), void *arg,
                   struct error *err)
{
    struct run run = {.snapshot = snapshot,
                      .schema = schema,
                      .targets = targets,
                      .count = count,
                      .report = report,
                      .arg = arg};
    if (uv_loop_init(&run.loop) != 0)
        return error_set(err, ERROR_SYSTEM, "cannot make an event loop");
    run.home = (struct upstream_home){.loop = &run.loop, .emptied = on_emptied, .arg = &run};
    bool good = stream_loop_create(&run.loop, &run.home.shared, err);
    if (good) {
        go_on(&run);
        (void)uv_run(&run.loop, UV_RUN_DEFAULT);
        good = run.error.code == ERROR_NONE;
        if (!good && err)
            *err = run.error;
    }
    (void)uv_loop_close(&run.loop);
    return good;
}

/* --- warnings --- */

int64_t preflight_days_left(int64_t until_us, int64_t now_us)
{
    int64_t left = until_us - now_us;
    return left >= 0 ? left / PREFLIGHT_DAY_US : -((-left - 1) / PREFLIGHT_DAY_US) - 1;
}

struct warnings {
    struct preflight_warning *out;
    size_t count;
};

static void warn(struct warnings *warnings, const char *kind, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void warn(struct warnings *warnings, const char *kind, const char *format, ...)
{
    if (warnings->count == PREFLIGHT_WARNINGS_MAX)
        return;
    struct preflight_warning *warning = &warnings->out[warnings->count++];
    va_list arguments;
    va_start(arguments, format);
    warning->kind = kind;
    if (vsnprintf(warning->message, sizeof warning->message, format, arguments) < 0)
        warning->message[0] = '\0';
    va_end(arguments);
    /* It may have been cut in a character. */
    warning->message[utf8_prefix(warning->message, strlen(warning->message))] = '\0';
}

static void warn_of_end(struct warnings *warnings, const char *kind, const char *whose,
                        int64_t until_us, int64_t now_us)
{
    int64_t days = preflight_days_left(until_us, now_us);
    if (until_us == 0 || days >= PREFLIGHT_EXPIRY_DAYS)
        return;
    if (days < 0)
        warn(warnings, kind, "%s certificate has expired: install a new one", whose);
    else
        warn(warnings, kind, "%s certificate expires in %lld day%s: install a new one", whose,
             (long long)days, days == 1 ? "" : "s");
}

static void warn_of_account(struct warnings *warnings, const struct probe_facts *facts,
                            const char *user)
{
    const struct require_clause *require = &facts->require;
    const char *account = facts->current_user[0] ? facts->current_user : user;
    if (!facts->accepted || require->kind == REQUIRE_UNKNOWN ||
        (require->subject && require->issuer))
        return;
    if (require->subject) {
        warn(warnings, "no_require_issuer",
             "the account %s has REQUIRE %s: any CA in the server's ssl_ca could sign a "
             "certificate of that name; say REQUIRE SUBJECT and ISSUER (docs/database.md)",
             account, require->text);
        return;
    }
    warn(warnings, "no_require_subject",
         "the account %s has REQUIRE %s: %s could log in with its password alone; say REQUIRE "
         "SUBJECT and ISSUER (docs/database.md)",
         account, require->text,
         require->kind == REQUIRE_X509 || require->kind == REQUIRE_SPECIFIED
             ? "anyone with a certificate that fits"
             : "anyone");
}

size_t preflight_warnings(const struct probe_facts *facts, const char *user, int64_t own_until_us,
                          int64_t now_us, struct preflight_warning out[PREFLIGHT_WARNINGS_MAX])
{
    struct warnings warnings = {out, 0};
    if (facts->secure_transport == PROBE_NO)
        warn(&warnings, "secure_transport_off",
             "require_secure_transport is OFF: other clients may connect without TLS; set it to ON "
             "on the server");
    warn_of_account(&warnings, facts, user);
    warn_of_end(&warnings, "server_certificate_expires", "the server's", facts->server.not_after_us,
                now_us);
    warn_of_end(&warnings, "own_certificate_expires", "our", own_until_us, now_us);
    int64_t skew = facts->skew_us < 0 ? -facts->skew_us : facts->skew_us;
    if (facts->has_skew && skew - facts->skew_within_us > PREFLIGHT_SKEW_MAX_US)
        warn(&warnings, "clock_skew",
             "the server's clock is %lld seconds %s ours: records and certificates will disagree; "
             "run NTP on both",
             (long long)(skew / 1000000), facts->skew_us < 0 ? "behind" : "ahead of");
    return warnings.count;
}
