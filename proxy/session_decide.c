/* SPDX-License-Identifier: Apache-2.0 */
/* The session's questions to the policy, and about its certificate. */
#include <string.h>

#include "base/clock.h"
#include "proxy/session_internal.h"

bool session_check_certificate(const struct session *session, struct error *err)
{
    const struct identity *peer = stream_peer(session->client);
    char time[CLOCK_TIME_SIZE];
    if (!peer)
        return error_set(err, ERROR_STATE, "no certificate was verified");
    if (clock_wall_us() < peer->not_after_us)
        return true;
    clock_format(peer->not_after_us, time);
    return error_set(err, ERROR_DENIED, "the certificate expired on %s: renew it", time);
}

bool session_map_roles(struct session *session, struct error *err)
{
    const struct identity *peer = stream_peer(session->client);
    if (!peer)
        return error_set(err, ERROR_STATE, "no certificate was verified");
    struct authz_attribute attributes[IDENTITY_ATTRIBUTES_MAX];
    for (size_t i = 0; i < peer->attribute_count; i++)
        attributes[i] =
            (struct authz_attribute){peer->attributes[i].type, peer->attributes[i].value};
    const struct authz_subject subject = {
        .attributes = attributes,
        .attribute_count = peer->attribute_count,
        .san_uris = peer->san_uris,
        .san_uri_count = peer->san_uri_count,
    };
    return authz_map(session->snapshot->policy, &subject, &session->roles, err);
}

struct authz_request session_request(const struct session *session, const char *mysql_user,
                                     const char *schema)
{
    const struct database *database = session->database;
    return (struct authz_request){
        .database = database->name,
        .labels = database->labels,
        .label_count = database->label_count,
        .mysql_user = mysql_user,
        .schema = schema,
    };
}

void session_decide(const struct session *session, const char *mysql_user, const char *schema,
                    struct authz_decision *decision)
{
    const struct authz_request request = session_request(session, mysql_user, schema);
    authz_decide(&session->roles, &request, decision);
}

bool session_allows(const struct session *session, const char *mysql_user,
                    enum authz_feature feature, struct authz_decision *decision)
{
    const struct authz_request request = session_request(session, mysql_user, NULL);
    authz_decide_feature(&session->roles, &request, feature, decision);
    return decision->allowed;
}

bool session_judge_login(const struct session *session, const struct handshake_login *login,
                         struct login_verdict *verdict)
{
    struct error err = {0};
    *verdict = (struct login_verdict){.code = 1045, .sqlstate = "28000"};
    if (!session_check_certificate(session, &err)) {
        memcpy(verdict->decision.rule, err.message, sizeof verdict->decision.rule - 1);
        return false;
    }
    session_decide(session, login->user, NULL, &verdict->decision);
    if (!verdict->decision.allowed)
        return false;
    verdict->code = 1044;
    verdict->sqlstate = "42000";
    if (login->schema[0])
        session_decide(session, login->user, login->schema, &verdict->decision);
    return verdict->decision.allowed;
}
