/* SPDX-License-Identifier: Apache-2.0 */
/* The session's questions to the policy. */
#include "proxy/session_internal.h"

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

void session_decide(const struct session *session, const char *mysql_user, const char *schema,
                    struct authz_decision *decision)
{
    const struct database *database = session->database;
    const struct authz_request request = {
        .database = database->name,
        .labels = database->labels,
        .label_count = database->label_count,
        .mysql_user = mysql_user,
        .schema = schema,
    };
    authz_decide(&session->roles, &request, decision);
}
