/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate that a login to the database needs: it is there, or a role's glob allows a MySQL
 * user that nobody has logged in as lately, and it is minted now (docs/decisions/0805).
 */
#include "base/clock.h"
#include "proxy/authority_link.h"
#include "proxy/relay.h"

static bool has_certificate(const struct session *session)
{
    return database_tls(session->database, session->login.user) != NULL;
}

/* What the session is judged by may be newer than what was dialled, and have what that lacks. */
static void adopt_newer(struct session *session)
{
    const struct database *database = snapshot_database(session->snapshot, session->database->name);
    if (has_certificate(session) || !database || !database_tls(database, session->login.user))
        return;
    upstream_adopt(session->upstream, session->snapshot, database);
    struct snapshot *previous = session->dialled;
    session->dialled = snapshot_ref(session->snapshot);
    session->database = database;
    snapshot_unref(previous);
}

static void log_in(struct session *session)
{
    struct error err = {0};
    if (session_move(session, SESSION_UPSTREAM_LOGIN) &&
        !upstream_login(session->upstream, &session->login, &err))
        session_fail(session, REASON_UPSTREAM_TLS, 1159, "08S01", "%s", err.message);
}

/* The role has allowed the user: only then may a login cause a certificate. */
static bool want_user(struct session *session)
{
    struct authority_link *link = session->worker->shared->link;
    struct error err = {0};
    if (!link || session->database->tls ||
        authority_link_want_user(link, session_bot(session), session->login.user,
                                 !has_certificate(session), &err))
        return true;
    session_fail(session, REASON_LIMIT, 1040, "08004", "MySQL user %s: %s", session->login.user,
                 err.message);
    return false;
}

static void wait_for_certificate(struct session *session)
{
    const struct limit_settings *limits = &session->snapshot->settings.proxy.limits;
    int64_t now_us = clock_monotonic_us();
    int64_t left_ms = limits->login_timeout_ms - (now_us - session->login_started_us) / 1000;
    int64_t wait_ms = SESSION_MINT_MS;
    wait_ms = wait_ms < limits->upstream_timeout_ms ? wait_ms : limits->upstream_timeout_ms;
    wait_ms = wait_ms < left_ms ? wait_ms : left_ms;
    session->mint_until_us = now_us + wait_ms * 1000;
    if (!session_move(session, SESSION_MINTING))
        session_end(session, REASON_INTERNAL, "an undeclared move to minting");
}

void session_login_upstream(struct session *session)
{
    session_hold_client(session, HOLD_LOGIN);
    adopt_newer(session);
    if (!want_user(session))
        return;
    if (session->worker->shared->link && !has_certificate(session))
        wait_for_certificate(session);
    else
        log_in(session);
}

void session_follow_mint(struct session *session)
{
    if (session->relay && !relay_change_account_allowed(session))
        return;
    adopt_newer(session);
    if (has_certificate(session))
        log_in(session);
}

void session_mint_timeout(struct session *session)
{
    session_fail(session, REASON_UPSTREAM_TLS, 1159, "08S01",
                 "database %s: the authority has not minted a certificate for MySQL user %s yet: "
                 "connect again; the proxy's log says more",
                 session->database->name, session->login.user);
}
