/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/exchange.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "control/client.h"
#include "control/fields.h"
#include "control/frame.h"
#include "tls/request.h"

#define NONCE_SIZE 32
/* What is signed, before bot, line feed, nonce and request: docs/protocol/control.md. */
#define SIGNED_PREFIX "sallyport-join-key/1\n"

struct exchange {
    struct control_client *client;
    exchange_done *done; /* NULL: told already, or cancelled */
    void *owner;
    enum exchange_kind kind;
    cJSON *question; /* the one that matters, until it is asked */
    char bot[EXCHANGE_NAME_MAX + 1];
    const struct tls_key *bound_key;
    struct buffer csr; /* PEM and a NUL; EXCHANGE_JOIN_KEY signs it once it has a nonce */
};

static void finish(struct exchange *exchange, const struct exchange_result *result)
{
    exchange_done *done = exchange->done;
    exchange->done = NULL;
    control_client_close(exchange->client, NULL);
    if (done)
        done(exchange->owner, result);
}

static void finish_error(struct exchange *exchange, const struct error *err)
{
    finish(exchange, &(struct exchange_result){.error = err});
}

/* Answers. */

static bool is_proxy(enum exchange_kind kind)
{
    return kind == EXCHANGE_JOIN_PROXY || kind == EXCHANGE_RENEW_PROXY;
}

/* A proxy is one by its name, and may have no instance. */
static bool read_identity(const cJSON *answer, bool is_proxy, struct exchange_identity *out,
                          struct error *err)
{
    const struct control_field fields[] = {
        {.key = "certificate",
         .type = CONTROL_LINES,
         .to.text = &out->certificate,
         .greatest = EXCHANGE_PEM_MAX},
        {.key = "ca", .type = CONTROL_LINES, .to.text = &out->ca, .greatest = EXCHANGE_PEM_MAX},
        {.key = "name", .type = CONTROL_TEXT, .to.text = &out->name, .greatest = EXCHANGE_NAME_MAX},
        {.key = "instance",
         .type = CONTROL_TEXT,
         .to.text = &out->instance,
         .empty = is_proxy,
         .greatest = EXCHANGE_NAME_MAX},
        {.key = "generation", .type = CONTROL_UNSIGNED, .to.number = &out->generation},
        {.key = "not_after", .type = CONTROL_TIME, .to.time = &out->not_after_us},
        {.key = "renew_at", .type = CONTROL_TIME, .to.time = &out->renew_at_us},
    };
    return control_fields_read(answer, CONTROL_KEYS_ANY, fields, sizeof fields / sizeof *fields,
                               err) ||
           error_wrap(err, "the authority's answer makes no sense");
}

static void on_answer(void *context, const struct control_outcome *outcome)
{
    struct exchange *exchange = context;
    struct exchange_identity identity = {0};
    struct error err = {0};
    if (!exchange->done)
        return;
    if (!outcome->ok)
        finish(exchange,
               &(struct exchange_result){.failure = outcome->failure, .error = outcome->error});
    else if (exchange->kind == EXCHANGE_CONFIRM)
        finish(exchange, &(struct exchange_result){0});
    else if (read_identity(outcome->ok, is_proxy(exchange->kind), &identity, &err))
        finish(exchange, &(struct exchange_result){.identity = &identity});
    else
        finish_error(exchange, &err);
}

static void ask(struct exchange *exchange, cJSON *question, control_answered *answered)
{
    struct error err = {0};
    if (!control_client_ask(exchange->client, question, EXCHANGE_ANSWER_MS, answered, exchange,
                            &err))
        finish_error(exchange, &err);
}

/* A registered key. */

static bool digest_of(const struct exchange *exchange, const uint8_t nonce[NONCE_SIZE],
                      uint8_t digest[TLS_DIGEST_SIZE], struct error *err)
{
    struct tls_request *request;
    const uint8_t *der;
    size_t length;
    crypto_hash_sha256_state state;
    const char *pem = (const char *)buffer_bytes(&exchange->csr);
    if (!tls_request_parse(pem, strlen(pem), &request, err))
        return false;
    tls_request_der(request, &der, &length);
    (void)crypto_hash_sha256_init(&state);
    (void)crypto_hash_sha256_update(&state, (const uint8_t *)SIGNED_PREFIX, strlen(SIGNED_PREFIX));
    (void)crypto_hash_sha256_update(&state, (const uint8_t *)exchange->bot, strlen(exchange->bot));
    (void)crypto_hash_sha256_update(&state, (const uint8_t *)"\n", 1);
    (void)crypto_hash_sha256_update(&state, nonce, NONCE_SIZE);
    (void)crypto_hash_sha256_update(&state, der, length);
    (void)crypto_hash_sha256_final(&state, digest);
    tls_request_free(request);
    return true;
}

static bool read_nonce(const cJSON *answer, uint8_t nonce[NONCE_SIZE], struct error *err)
{
    struct control_bytes bytes = {nonce, NONCE_SIZE, 0};
    const struct control_field field = {
        .key = "nonce", .type = CONTROL_BYTES, .to.bytes = &bytes, .least = NONCE_SIZE};
    return control_fields_read(answer, CONTROL_KEYS_ANY, &field, 1, err) ||
           error_wrap(err, "the authority's challenge makes no sense");
}

static bool sign_question(struct exchange *exchange, const cJSON *answer, struct error *err)
{
    uint8_t nonce[NONCE_SIZE], digest[TLS_DIGEST_SIZE], room[TLS_SIGNATURE_MAX];
    struct buffer signature;
    buffer_init_fixed(&signature, room, sizeof room);
    if (!read_nonce(answer, nonce, err) || !digest_of(exchange, nonce, digest, err) ||
        !tls_key_sign(exchange->bound_key, digest, &signature, err))
        return false;
    return control_put_bytes(exchange->question, "signature", buffer_bytes(&signature),
                             buffer_length(&signature)) ||
           error_set(err, ERROR_MEMORY, "out of memory");
}

static void on_challenge(void *context, const struct control_outcome *outcome)
{
    struct exchange *exchange = context;
    struct error err = {0};
    if (!exchange->done)
        return;
    if (!outcome->ok) {
        on_answer(exchange, outcome);
    } else if (!sign_question(exchange, outcome->ok, &err)) {
        finish_error(exchange, &err);
    } else {
        cJSON *question = exchange->question;
        exchange->question = NULL;
        ask(exchange, question, on_answer);
    }
}

static void ask_for_challenge(struct exchange *exchange)
{
    cJSON *question = control_request("challenge");
    if (question && !control_put_text(question, "bot", exchange->bot)) {
        control_free(question);
        question = NULL;
    }
    ask(exchange, question, on_challenge);
}

/* The connection. */

static void on_ready(struct control_client *client, void *owner)
{
    struct exchange *exchange = owner;
    (void)client;
    if (!exchange->done)
        return;
    if (exchange->kind == EXCHANGE_JOIN_KEY) {
        ask_for_challenge(exchange);
        return;
    }
    cJSON *question = exchange->question;
    exchange->question = NULL;
    ask(exchange, question, on_answer);
}

static void release(struct exchange *exchange)
{
    control_free(exchange->question);
    buffer_release(&exchange->csr);
    free(exchange);
}

static void on_closed(struct control_client *client, void *owner, const struct error *reason)
{
    struct exchange *exchange = owner;
    struct error unknown = {0};
    (void)client;
    (void)error_set(&unknown, ERROR_CLOSED, "the authority closed the connection");
    exchange->client = NULL;
    if (exchange->done)
        finish_error(exchange, reason->code == ERROR_NONE ? &unknown : reason);
    release(exchange);
}

static const struct control_client_events client_events = {.ready = on_ready, .closed = on_closed};

/* Beginning. */

static const char *const request_names[] = {
    [EXCHANGE_JOIN] = "join",
    [EXCHANGE_JOIN_KEY] = "join_key",
    [EXCHANGE_RENEW] = "renew",
    [EXCHANGE_CONFIRM] = "confirm",
    [EXCHANGE_JOIN_PROXY] = "join_proxy",
    [EXCHANGE_RENEW_PROXY] = "renew_proxy",
};

/* What is asked beside the request for a certificate. */
static bool put_proof(cJSON *question, const struct exchange *exchange,
                      const struct exchange_request *request)
{
    switch (request->kind) {
    case EXCHANGE_JOIN:
        return control_put_text(question, "token", request->token);
    case EXCHANGE_JOIN_KEY:
        return control_put_text(question, "bot", exchange->bot);
    case EXCHANGE_JOIN_PROXY:
        return control_put_text(question, "token", request->token) &&
               control_put_text(question, "name", request->proxy) &&
               control_put_texts(question, "names", request->names, request->name_count);
    case EXCHANGE_RENEW_PROXY:
        return request->name_count == 0 ||
               control_put_texts(question, "names", request->names, request->name_count);
    case EXCHANGE_RENEW:
    case EXCHANGE_CONFIRM:
        break;
    }
    return true;
}

static bool build_question(struct exchange *exchange, const struct exchange_request *request,
                           struct error *err)
{
    bool wants_identity = request->kind != EXCHANGE_CONFIRM;
    if (wants_identity && (!tls_request_create(request->key, &exchange->csr, err) ||
                           !buffer_append(&exchange->csr, "", 1, err)))
        return false;
    cJSON *question = control_request(request_names[request->kind]);
    exchange->question = question;
    bool built = question != NULL;
    if (wants_identity)
        built =
            built && control_put_text(question, "csr", (const char *)buffer_bytes(&exchange->csr));
    return (built && put_proof(question, exchange, request)) ||
           error_set(err, ERROR_MEMORY, "out of memory for a request");
}

static bool open_client(struct exchange *exchange, struct stream_loop *streams, uv_loop_t *loop,
                        const struct exchange_request *request, struct error *err)
{
    const struct control_client_settings settings = {
        .address = request->authority,
        .server_name = request->server_name,
        .context = request->context,
        .dial_timeout_ms = EXCHANGE_DIAL_MS,
        .authority = true,
    };
    return control_client_open(streams, loop, &settings, &client_events, exchange,
                               &exchange->client, err);
}

bool exchange_start(struct stream_loop *streams, uv_loop_t *loop,
                    const struct exchange_request *request, exchange_done *done, void *owner,
                    struct exchange **out, struct error *err)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return error_set(err, ERROR_MEMORY, "out of memory");
    exchange->kind = request->kind;
    exchange->done = done;
    exchange->owner = owner;
    exchange->bound_key = request->bound_key;
    buffer_init(&exchange->csr, TLS_REQUEST_PEM_MAX);
    size_t length = request->bot ? strlen(request->bot) : 0;
    if (length <= EXCHANGE_NAME_MAX && request->bot)
        memcpy(exchange->bot, request->bot, length);
    if (!build_question(exchange, request, err) ||
        !open_client(exchange, streams, loop, request, err)) {
        release(exchange);
        return false;
    }
    *out = exchange;
    return true;
}

void exchange_cancel(struct exchange *exchange)
{
    if (!exchange)
        return;
    exchange->done = NULL;
    control_client_close(exchange->client, NULL);
}
