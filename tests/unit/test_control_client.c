/* SPDX-License-Identifier: Apache-2.0 */
/* The other side is a bare stream, so that it can say anything. */
#include "control/client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "control/frame.h"
#include "tests/unit/control_support.h"
#include "tests/unit/tls_support.h"

#define QUESTIONS 32

struct question {
    struct bench *bench;
    int outcomes;
    int order; /* when it was settled, from 1 */
    bool ok;
    enum control_code refused;
    enum error_code error;
    char text[ERROR_MESSAGE_SIZE];
    bool close_then;
    bool ask_then;
};

struct bench {
    struct pair pair;
    struct control_client *client; /* NULL once closed */
    bool ready, closed;
    int settled, events;
    char last_event[64];
    struct error reason;
    struct question questions[QUESTIONS];
    bool close_at_event, close_at_ready;
};

static const char *const control_alpn[] = {TLS_ALPN_CONTROL, NULL};
static const char *const both_alpn[] = {TLS_ALPN_MYSQL, TLS_ALPN_CONTROL, NULL};

static void ask(struct bench *bench, int number, int64_t timeout_ms);

static void on_ready(struct control_client *client, void *owner)
{
    struct bench *bench = owner;
    cr_assert_eq(client, bench->client);
    cr_assert_not(bench->ready || bench->closed);
    cr_assert_not_null(control_client_identity(client));
    bench->ready = true;
    if (bench->close_at_ready)
        control_client_close(client, NULL);
}

static void on_event(struct control_client *client, void *owner, const char *name,
                     const cJSON *event)
{
    struct bench *bench = owner;
    cr_assert_not(bench->closed);
    cr_assert(cJSON_IsObject(event));
    bench->events++;
    (void)snprintf(bench->last_event, sizeof bench->last_event, "%s", name);
    if (bench->close_at_event)
        control_client_close(client, NULL);
}

static void on_closed(struct control_client *client, void *owner, const struct error *reason)
{
    struct bench *bench = owner;
    cr_assert_eq(client, bench->client);
    cr_assert_not(bench->closed, "closed came twice");
    cr_assert_eq(control_client_open_count(client), 0, "a question was forgotten");
    bench->closed = true;
    bench->reason = *reason;
    bench->client = NULL;
}

static const struct control_client_events events = {
    .ready = on_ready, .event = on_event, .closed = on_closed};

static void on_answered(void *context, const struct control_outcome *outcome)
{
    struct question *question = context;
    struct bench *bench = question->bench;
    cr_assert_not(bench->closed, "an outcome after closed");
    cr_assert_eq((outcome->ok != NULL) + (outcome->failure != NULL) + (outcome->error != NULL), 1);
    question->outcomes++;
    question->order = ++bench->settled;
    question->ok = outcome->ok != NULL;
    question->refused = outcome->failure ? outcome->failure->code : CONTROL_NO_ERROR;
    question->error = outcome->error ? outcome->error->code : ERROR_NONE;
    (void)snprintf(question->text, sizeof question->text, "%s",
                   outcome->failure ? outcome->failure->message
                   : outcome->error ? outcome->error->message
                                    : "");
    if (question->close_then)
        control_client_close(bench->client, NULL);
    if (question->ask_then)
        ask(bench, 20, 5000);
}

static void ask(struct bench *bench, int number, int64_t timeout_ms)
{
    struct error err = {0};
    struct question *question = &bench->questions[number];
    question->bench = bench;
    cr_assert(control_client_ask(bench->client, control_request("hello"), timeout_ms, on_answered,
                                 question, &err),
              "%s", err.message);
    cr_assert_eq(question->outcomes, 0, "not from inside the call");
}

static struct tls_context *client_context(const char *const *alpn)
{
    struct tls_settings settings = settings_client("ci-1");
    settings.alpn = alpn;
    return context_make(&settings);
}

static bool only_the_authority;

/* The client begins to dial the listener of the pair, whose own connection is gone. */
static void bench_dial(struct bench *bench, const char *server_name, const char *const *alpn,
                       int64_t timeout_ms)
{
    struct sockaddr_in address;
    int length = sizeof address;
    struct error err = {0};
    memset(bench, 0, sizeof *bench);
    pair_open(&bench->pair);
    stream_close(bench->pair.client.stream, 0);
    stream_close(bench->pair.server.stream, 0);
    pair_run_until(&bench->pair, &bench->pair.client.closed);
    pair_run_until(&bench->pair, &bench->pair.server.closed);
    bench->pair.server.closed = bench->pair.server.connected = false;
    cr_assert_eq(uv_tcp_getsockname(&bench->pair.listener, (struct sockaddr *)&address, &length),
                 0);
    struct control_client_settings settings = {
        .address = {.kind = ADDRESS_HOST, .host = "127.0.0.1", .port = ntohs(address.sin_port)},
        .server_name = server_name,
        .context = client_context(alpn),
        .dial_timeout_ms = timeout_ms,
        .authority = only_the_authority,
    };
    cr_assert(control_client_open(bench->pair.shared, &bench->pair.loop, &settings, &events, bench,
                                  &bench->client, &err),
              "%s", err.message);
    tls_context_unref(settings.context);
}

/* The bare side accepts, and shakes hands with these protocols. */
static void bench_shake(struct bench *bench, const char *const *alpn)
{
    struct tls_settings settings = settings_server();
    struct error err = {0};
    settings.alpn = alpn;
    struct tls_context *context = context_make(&settings);
    pair_run_until(&bench->pair, &bench->pair.server.connected);
    cr_assert(stream_start_tls(bench->pair.server.stream, context, NULL, &err), "%s", err.message);
    tls_context_unref(context);
}

static void bench_open(struct bench *bench)
{
    bench_dial(bench, "localhost", control_alpn, 5000);
    bench_shake(bench, control_alpn);
    pair_run_until(&bench->pair, &bench->ready);
    pair_run_until(&bench->pair, &bench->pair.server.secured);
}

static void bench_close(struct bench *bench)
{
    control_client_close(bench->client, NULL);
    if (bench->pair.server.stream)
        stream_close(bench->pair.server.stream, 0);
    pair_run_until(&bench->pair, &bench->closed);
    pair_close(&bench->pair);
    for (int i = 0; i < QUESTIONS; i++)
        cr_assert_eq(bench->questions[i].outcomes, bench->questions[i].bench != NULL,
                     "question %d has %d outcomes", i, bench->questions[i].outcomes);
}

static void say(struct bench *bench, const char *text)
{
    struct buffer frame;
    buffer_init(&frame, 1 << 20);
    append_frame(&frame, text);
    side_write(&bench->pair.server, buffer_bytes(&frame), buffer_length(&frame));
    buffer_release(&frame);
}

#define RUN_UNTIL(bench, expression)                                                   \
    do {                                                                               \
        int64_t until_ = clock_monotonic_us() + 10000000;                              \
        while (!(expression) && clock_monotonic_us() < until_)                         \
            (void)uv_run(&(bench)->pair.loop, UV_RUN_NOWAIT);                          \
        cr_assert(expression, "did not come: %s (line %d); %s", #expression, __LINE__, \
                  (bench)->reason.message);                                            \
    } while (0)

/* Asking. */

Test(control_client, numbers_its_requests)
{
    static const char wanted[] = "\0\0\0\x1A{\"id\":1,\"request\":\"hello\"}"
                                 "\0\0\0\x1A{\"id\":2,\"request\":\"hello\"}";
    struct bench bench;
    bench_open(&bench);
    ask(&bench, 0, 5000);
    ask(&bench, 1, 5000);
    pair_run_until_received(&bench.pair, &bench.pair.server, sizeof wanted - 1);
    cr_assert_eq(memcmp(buffer_bytes(&bench.pair.server.received), wanted, sizeof wanted - 1), 0);
    bench_close(&bench);
}

Test(control_client, hands_each_answer_to_its_question)
{
    struct bench bench;
    bench_open(&bench);
    ask(&bench, 0, 5000);
    ask(&bench, 1, 5000);
    say(&bench, "{\"id\":1,\"ok\":{\"a\":1}}");
    say(&bench, "{\"event\":\"alive\"}");
    say(&bench, "{\"id\":2,\"error\":{\"code\":\"locked\",\"message\":\"for a reason\"}}");
    RUN_UNTIL(&bench, bench.settled == 2);
    cr_assert(bench.questions[0].ok);
    cr_assert_eq(bench.questions[1].refused, CONTROL_LOCKED);
    cr_assert_str_eq(bench.questions[1].text, "for a reason");
    cr_assert_eq(bench.events, 1);
    cr_assert_str_eq(bench.last_event, "alive");
    cr_assert_eq(control_client_open_count(bench.client), 0);
    bench_close(&bench);
    cr_assert_eq(bench.reason.code, ERROR_NONE);
}

Test(control_client, asks_at_most_sixteen_at_once)
{
    struct bench bench;
    struct error err = {0};
    struct question extra = {.bench = &bench};
    bench_open(&bench);
    for (int i = 0; i < CONTROL_REQUESTS_WAITING; i++)
        ask(&bench, i, 5000);
    cr_assert_not(control_client_ask(bench.client, control_request("hello"), 5000, on_answered,
                                     &extra, &err));
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    say(&bench, "{\"id\":1,\"ok\":{}}");
    RUN_UNTIL(&bench, bench.settled == 1);
    ask(&bench, 16, 5000);
    cr_assert_eq(extra.outcomes, 0);
    bench_close(&bench);
}

Test(control_client, refuses_what_cannot_be_asked)
{
    struct bench bench;
    struct error err = {0};
    static char long_text[CONTROL_REQUEST_MAX];
    bench_dial(&bench, "localhost", control_alpn, 5000);
    cr_assert_not(
        control_client_ask(bench.client, control_request("hello"), 5000, on_answered, NULL, &err));
    cr_assert_eq(err.code, ERROR_CLOSED, "before ready");
    bench_shake(&bench, control_alpn);
    pair_run_until(&bench.pair, &bench.ready);
    cr_assert_not(control_client_ask(bench.client, NULL, 5000, on_answered, NULL, &err));
    cr_assert_eq(err.code, ERROR_MEMORY);
    cr_assert_not(
        control_client_ask(bench.client, control_event("state"), 5000, on_answered, NULL, &err));
    cr_assert_eq(err.code, ERROR_STATE);
    memset(long_text, 'x', sizeof long_text - 1);
    cJSON *request = control_request("join");
    cr_assert(control_put_text(request, "csr", long_text));
    cr_assert_not(control_client_ask(bench.client, request, 5000, on_answered, NULL, &err));
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    ask(&bench, 0, 5000); /* none of them counts, and the connection goes on */
    say(&bench, "{\"id\":1,\"ok\":{}}");
    RUN_UNTIL(&bench, bench.questions[0].ok);
    bench_close(&bench);
}

/* Deadlines. */

Test(control_client, a_question_that_times_out_is_alone)
{
    struct bench bench;
    bench_open(&bench);
    ask(&bench, 0, 5000);
    ask(&bench, 1, 50);
    ask(&bench, 2, 5000);
    RUN_UNTIL(&bench, bench.settled == 1);
    cr_assert_eq(bench.questions[1].error, ERROR_TIMEOUT);
    cr_assert_eq(control_client_open_count(bench.client), 3, "its answer is still to come");
    say(&bench, "{\"id\":1,\"ok\":{}}");
    say(&bench, "{\"id\":2,\"ok\":{}}");
    say(&bench, "{\"id\":3,\"ok\":{}}");
    RUN_UNTIL(&bench, bench.settled == 3);
    cr_assert(bench.questions[0].ok && bench.questions[2].ok);
    cr_assert_eq(bench.questions[1].outcomes, 1, "the late answer is dropped");
    bench_close(&bench);
}

Test(control_client, asks_again_from_inside_an_outcome)
{
    struct bench bench;
    bench_open(&bench);
    bench.questions[0].ask_then = true;
    ask(&bench, 0, 50);
    RUN_UNTIL(&bench, bench.settled == 1);
    say(&bench, "{\"id\":1,\"ok\":{}}");
    say(&bench, "{\"id\":2,\"ok\":{}}");
    RUN_UNTIL(&bench, bench.settled == 2);
    cr_assert(bench.questions[20].ok);
    bench_close(&bench);
}

Test(control_client, ends_when_the_other_side_falls_silent)
{
    struct bench bench;
    bench_open(&bench);
    control_client_set_idle(bench.client, 200);
    ask(&bench, 0, 5000);
    for (int i = 0; i < 4; i++) {
        pair_run_for(&bench.pair, 100);
        say(&bench, "{\"event\":\"alive\"}");
    }
    RUN_UNTIL(&bench, bench.events == 4);
    pair_run_until(&bench.pair, &bench.closed);
    cr_assert_eq(bench.reason.code, ERROR_TIMEOUT);
    cr_assert_eq(bench.questions[0].error, ERROR_TIMEOUT, "it gets the connection's reason");
    bench_close(&bench);
}

/* The end. */

Test(control_client, the_end_settles_every_question_in_order)
{
    struct bench bench;
    bench_open(&bench);
    for (int i = 0; i < 5; i++)
        ask(&bench, i, 5000);
    stream_close(bench.pair.server.stream, 1000);
    pair_run_until(&bench.pair, &bench.closed);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(bench.questions[i].order, i + 1);
        cr_assert_eq(bench.questions[i].error, ERROR_CLOSED, "%s", bench.questions[i].text);
    }
    bench_close(&bench);
}

Test(control_client, the_owners_close_settles_too_and_later)
{
    struct bench bench;
    struct error err = {0};
    bench_open(&bench);
    ask(&bench, 0, 5000);
    control_client_close(bench.client, NULL);
    control_client_close(bench.client, NULL);
    control_client_close(NULL, NULL);
    cr_assert_eq(bench.settled, 0, "not from inside the call");
    cr_assert_not(control_client_ask(bench.client, control_request("hello"), 1, on_answered,
                                     &bench.questions[1], &err));
    pair_run_until(&bench.pair, &bench.closed);
    cr_assert_eq(bench.questions[0].error, ERROR_CLOSED);
    bench_close(&bench);
}

Test(control_client, may_be_closed_from_every_callback)
{
    for (int where = 0; where < 4; where++) {
        struct bench bench;
        bench_dial(&bench, "localhost", control_alpn, 5000);
        bench.close_at_ready = where == 0;
        bench.close_at_event = where == 1;
        bench.questions[0].close_then = true;
        bench_shake(&bench, control_alpn);
        pair_run_until(&bench.pair, &bench.ready);
        if (where >= 2) {
            ask(&bench, 0, where == 2 ? 5000 : 20);
            ask(&bench, 1, 20);
        }
        pair_run_until(&bench.pair, &bench.pair.server.secured);
        if (where == 1 || where == 2)
            say(&bench, where == 1 ? "{\"event\":\"x\"}" : "{\"id\":1,\"ok\":{}}");
        if (where == 1)
            say(&bench, "{\"event\":\"y\"}");
        pair_run_until(&bench.pair, &bench.closed);
        cr_assert_eq(bench.events, where == 1);
        bench_close(&bench);
    }
}

static void expect_end(const char *said, enum error_code code)
{
    struct bench bench;
    bench_open(&bench);
    ask(&bench, 0, 5000);
    ask(&bench, 1, 5000);
    say(&bench, said);
    pair_run_until(&bench.pair, &bench.closed);
    cr_assert_eq(bench.reason.code, code, "%s: %s", said, bench.reason.message);
    cr_assert_eq(bench.questions[0].error, code);
    bench_close(&bench);
}

Test(control_client, ends_where_the_protocol_is_broken)
{
    expect_end("{\"id\":2,\"ok\":{}}", ERROR_MALFORMED);
    expect_end("{\"id\":3,\"ok\":{}}", ERROR_MALFORMED);
    expect_end("{\"id\":1,\"request\":\"hello\"}", ERROR_MALFORMED);
    expect_end("{\"id\":1,\"ok\":[]}", ERROR_MALFORMED);
    expect_end("{\"ok\":{}}", ERROR_MALFORMED);
    expect_end("{}", ERROR_MALFORMED);
    expect_end("no", ERROR_MALFORMED);
    expect_end("{\"id\":0,\"error\":{\"code\":\"malformed\",\"message\":\"why\"}}",
               ERROR_MALFORMED);
}

/* Dialling. */

Test(control_client, tells_why_it_cannot_connect)
{
    struct bench bench;
    bench_dial(&bench, "localhost", control_alpn, 200);
    pair_run_until(&bench.pair, &bench.closed); /* nobody shakes hands */
    cr_assert_eq(bench.reason.code, ERROR_TIMEOUT, "%s", bench.reason.message);
    cr_assert_not(bench.ready);
    bench_close(&bench);
}

Test(control_client, checks_the_servers_name)
{
    struct bench bench;
    bench_dial(&bench, "another.example", control_alpn, 5000);
    bench_shake(&bench, control_alpn);
    pair_run_until(&bench.pair, &bench.closed);
    cr_assert_eq(bench.reason.code, ERROR_TLS, "%s", bench.reason.message);
    cr_assert_not(bench.ready);
    bench_close(&bench);
}

/* A server without ALPN agrees on nothing; one that prefers another protocol agrees on that. */
/* A proxy's certificate is of the same CA, and may name any host. */
Test(control_client, takes_nobody_else_for_the_authority)
{
    struct bench bench;
    only_the_authority = true;
    bench_dial(&bench, "localhost", control_alpn, 5000);
    bench_shake(&bench, control_alpn);
    pair_run_until(&bench.pair, &bench.closed);
    cr_assert_eq(bench.reason.code, ERROR_TLS, "%s", bench.reason.message);
    cr_assert_not_null(strstr(bench.reason.message, "is not the authority"), "%s",
                       bench.reason.message);
    cr_assert_not(bench.ready);
    bench_close(&bench);
}

Test(control_client, refuses_a_server_of_another_protocol)
{
    static const char *const mysql_alpn[] = {TLS_ALPN_MYSQL, NULL};
    const char *const *const offers[] = {NULL, mysql_alpn};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        bench_dial(&bench, "localhost", both_alpn, 5000);
        bench_shake(&bench, offers[i]);
        pair_run_until(&bench.pair, &bench.closed);
        cr_assert_eq(bench.reason.code, ERROR_UNSUPPORTED, "%s", bench.reason.message);
        cr_assert_not_null(strstr(bench.reason.message, TLS_ALPN_CONTROL));
        cr_assert_not(bench.ready);
        bench_close(&bench);
    }
}

Test(control_client, gives_up_a_dial)
{
    struct bench bench;
    bench_dial(&bench, "localhost", control_alpn, 5000);
    control_client_close(bench.client, NULL);
    pair_run_until(&bench.pair, &bench.closed);
    cr_assert_eq(bench.reason.code, ERROR_NONE);
    bench_close(&bench);
}
