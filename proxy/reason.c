/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/reason.h"

#include <stddef.h>

static const struct {
    const char *name;
    const char *meaning;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {"none", "The session lives."},
    [REASON_CLIENT_QUIT] = {"client_quit", "The client said goodbye with COM_QUIT."},
    [REASON_CLIENT_CLOSED] = {"client_closed",
                              "The client closed its connection without COM_QUIT."},
    [REASON_CLIENT_LOST] = {"client_lost", "The connection to the client broke."},
    [REASON_CLIENT_TLS] = {"client_tls",
                           "The TLS handshake with the client failed, a refused certificate "
                           "included."},
    [REASON_CLIENT_PROTOCOL] = {"client_protocol",
                                "The client sent what is not MySQL protocol, or not allowed where "
                                "it stood."},
    [REASON_LOGIN_TIMEOUT] = {"login_timeout", "The login was not complete in time."},
    [REASON_UNUSED] = {"unused", "A tunnel's ready connection was closed before any use."},
    [REASON_DENIED] = {"denied", "No role allowed the login, or a rule denied it."},
    [REASON_LIMIT] = {"limit", "A limit on sessions was reached."},
    [REASON_IDLE_TIMEOUT] = {"idle_timeout", "The role's idle timeout passed without a command."},
    [REASON_LIFETIME] = {"session_lifetime", "The role's session lifetime was over."},
    [REASON_POLICY_CHANGED] = {"policy_changed",
                               "After a reload no role allowed the session any more."},
    [REASON_CERTIFICATE] = {"certificate",
                            "The client's certificate expired, or was revoked, in the middle of "
                            "the session."},
    [REASON_LOCKED] = {"locked",
                       "The bot, its instance, a role of it or the database was locked, in the "
                       "middle of the session."},
    [REASON_UPSTREAM_UNREACHABLE] = {"upstream_unreachable", "The database could not be reached."},
    [REASON_UPSTREAM_TLS] = {"upstream_tls", "The TLS handshake with the database failed."},
    [REASON_UPSTREAM_REFUSED] = {"upstream_refused", "The database refused the login."},
    [REASON_UPSTREAM_CLOSED] = {"upstream_closed",
                                "The database ended the connection, or it broke."},
    [REASON_UPSTREAM_PROTOCOL] = {"upstream_protocol",
                                  "The database sent what the proxy cannot follow."},
    [REASON_UPSTREAM_TIMEOUT] = {"upstream_timeout", "The database did not answer in time."},
    [REASON_AUDIT] = {"audit_unavailable", "The audit log could not take a record in time."},
    [REASON_DRAINING] = {"draining", "The proxy was stopping."},
    [REASON_INTERNAL] = {"internal", "The proxy itself failed, for example for want of memory."},
};

const char *reason_name(enum reason reason)
{
    return (unsigned)reason < REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *reason_meaning(enum reason reason)
{
    return (unsigned)reason < REASON_COUNT ? reasons[reason].meaning : "";
}
