/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/preflight_authority.h"

#include <stdlib.h>
#include <uv.h>

#include "base/clock.h"
#include "control/ask.h"
#include "control/client.h"
#include "control/frame.h"
#include "identity/credentials.h"
#include "proxy/mint_request.h"

struct preflight_authority {
    struct preflight_authority_place place;

    /* Of the way over the control protocol; unused with a socket. */
    uv_loop_t loop;
    bool has_loop;
    struct stream_loop *streams;
    struct credentials *credentials;
    struct control_client *client;
    bool ready;
    struct error gone; /* why the connection ended; code 0: it has not */

    /* The question that is open. */
    bool answered;
    cJSON *answer;
    struct error refused;
};

/* --- over the control protocol --- */

static void on_ready(struct control_client *client, void *owner)
{
    (void)client;
    struct preflight_authority *authority = owner;
    authority->ready = true;
}

static void on_closed(struct control_client *client, void *owner, const struct error *reason)
{
    (void)client;
    struct preflight_authority *authority = owner;
    authority->client = NULL;
    authority->gone = *reason;
    if (reason->code == ERROR_NONE)
        error_set(&authority->gone, ERROR_CLOSED, "the connection was closed");
}

static const struct control_client_events client_events = {
    .ready = on_ready,
    .closed = on_closed,
};

/* The proxy's own certificate, as the running proxy saved it last. */
static bool current_context(struct preflight_authority *authority, struct tls_context **context,
                            struct error *err)
{
    const char *directory = authority->place.link->identity;
    struct tls_context *current;
    if (!credentials_context(authority->credentials, clock_wall_us(), &current, err) ||
        !credentials_control_context(authority->credentials, context, err))
        return error_wrap(err,
                          "the proxy has no identity in %s to ask the authority with: "
                          "`sallyport serve` joins at its first start and renews while it runs, "
                          "and this has to run as its user",
                          directory);
    return true;
}

static bool dial(struct preflight_authority *authority, struct tls_context *context,
                 struct error *err)
{
    const struct authority_link_settings *link = authority->place.link;
    struct control_client_settings wanted = {
        .context = context, .dial_timeout_ms = PREFLIGHT_DIAL_MS, .authority = true};
    if (!address_parse(link->address, &wanted.address, err))
        return false;
    wanted.server_name = link->server_name ? link->server_name : wanted.address.host;
    if (!control_client_open(authority->streams, &authority->loop, &wanted, &client_events,
                             authority, &authority->client, err))
        return false;
    while (authority->client && !authority->ready)
        (void)uv_run(&authority->loop, UV_RUN_ONCE);
    if (authority->ready)
        return true;
    *err = authority->gone;
    return error_wrap(err,
                      "the authority at %s cannot be reached (is it running, does a firewall "
                      "stand between?)",
                      link->address);
}

static bool connect_as_proxy(struct preflight_authority *authority, struct error *err)
{
    struct tls_context *context;
    if (!credentials_create(authority->place.link->identity, &authority->credentials, err))
        return false;
    (void)credentials_check(authority->credentials);
    if (!current_context(authority, &context, err))
        return false;
    if (uv_loop_init(&authority->loop) != 0)
        return error_set(err, ERROR_SYSTEM, "cannot make an event loop");
    authority->has_loop = true;
    return stream_loop_create(&authority->loop, &authority->streams, err) &&
           dial(authority, context, err);
}

static void on_answered(void *context, const struct control_outcome *outcome)
{
    struct preflight_authority *authority = context;
    authority->answered = true;
    if (outcome->ok)
        authority->answer = cJSON_Duplicate(outcome->ok, true);
    if (outcome->failure)
        error_set(&authority->refused, ERROR_DENIED, "%s", outcome->failure->message);
    else if (outcome->error)
        authority->refused = *outcome->error;
    else if (!authority->answer)
        error_set(&authority->refused, ERROR_MEMORY, "out of memory");
}

static void hang_up(struct preflight_authority *authority)
{
    control_client_close(authority->client, NULL);
    while (authority->client)
        (void)uv_run(&authority->loop, UV_RUN_ONCE);
    authority->ready = false;
}

/*
 * The running proxy may have renewed since: who goes on with the certificate before would look like
 * a thief who has a copy, and get the proxy locked (authority/renew.h). It saves the new one before
 * it uses it, so a look at the directory before each question tells.
 */
static bool follow_renewal(struct preflight_authority *authority, struct error *err)
{
    struct tls_context *context;
    if (!credentials_check(authority->credentials))
        return true;
    hang_up(authority);
    return current_context(authority, &context, err) && dial(authority, context, err);
}

static bool ask_as_proxy(struct preflight_authority *authority, cJSON *request, cJSON **answer,
                         struct error *err)
{
    if (!follow_renewal(authority, err)) {
        control_free(request);
        return false;
    }
    authority->answered = false;
    authority->answer = NULL;
    authority->refused = (struct error){0};
    if (!authority->client) {
        control_free(request);
        *err = authority->gone;
        return false;
    }
    if (!control_client_ask(authority->client, request, PREFLIGHT_ANSWER_MS, on_answered, authority,
                            err))
        return false;
    while (!authority->answered)
        (void)uv_run(&authority->loop, UV_RUN_ONCE);
    *answer = authority->answer;
    if (!authority->answer)
        *err = authority->refused;
    return authority->answer != NULL;
}

/* --- over the socket --- */

static bool ask_at_socket(const struct preflight_authority *authority, cJSON *request,
                          cJSON **answer, struct error *err)
{
    struct control_failure failure;
    bool asked =
        control_ask(authority->place.socket, request, PREFLIGHT_ANSWER_MS, answer, &failure, err);
    control_free(request);
    if (!asked && failure.code == CONTROL_NO_ERROR && err->code == ERROR_DENIED)
        err->code = ERROR_SYSTEM; /* the socket's own no is not the authority's */
    return asked;
}

/* --- either way --- */

/* Takes the request over. ERROR_DENIED: the authority refused. */
static bool ask(struct preflight_authority *authority, cJSON *request, cJSON **answer,
                struct error *err)
{
    *answer = NULL;
    if (!request)
        return error_set(err, ERROR_MEMORY, "out of memory");
    return authority->place.socket ? ask_at_socket(authority, request, answer, err)
                                   : ask_as_proxy(authority, request, answer, err);
}

bool preflight_authority_open(const struct preflight_authority_place *place,
                              struct preflight_authority **out, struct error *err)
{
    *out = NULL;
    struct preflight_authority *authority = calloc(1, sizeof *authority);
    if (!authority)
        return error_set(err, ERROR_MEMORY, "out of memory");
    authority->place = *place;
    if (place->socket || connect_as_proxy(authority, err)) {
        *out = authority;
        return true;
    }
    preflight_authority_close(authority);
    return false;
}

void preflight_authority_close(struct preflight_authority *authority)
{
    if (!authority)
        return;
    hang_up(authority);
    if (authority->streams)
        stream_loop_destroy(authority->streams);
    if (authority->has_loop) {
        (void)uv_run(&authority->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&authority->loop);
    }
    credentials_unref(authority->credentials);
    free(authority);
}

bool preflight_authority_state(struct preflight_authority *authority, struct authority_state **out,
                               struct error *err)
{
    cJSON *answer;
    *out = NULL;
    if (!ask(authority, control_request("state"), &answer, err))
        return error_wrap(err, "the authority does not tell its state");
    const cJSON *state = cJSON_GetObjectItemCaseSensitive(answer, "state");
    bool read = cJSON_IsObject(state)
                    ? authority_state_create(state, out, err)
                    : error_set(err, ERROR_MALFORMED, "the authority's answer has no state");
    control_free(answer);
    return read;
}

bool preflight_authority_mint(struct preflight_authority *authority, const char *mysql_user,
                              struct credential **out, struct error *err)
{
    struct buffer key;
    cJSON *answer = NULL;
    *out = NULL;
    mint_key_init(&key);
    cJSON *request = mint_request_create(mysql_user, &key, err);
    bool minted = request && ask(authority, request, &answer, err) &&
                  mint_request_take(mysql_user, answer, &key, out, err);
    control_free(answer);
    mint_key_release(&key);
    return minted;
}
