/* SPDX-License-Identifier: Apache-2.0 */
/* Five hundred renewals at once, over a connection each; and a lock in the middle of them. */
#include "tests/unit/authority_service_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

TestSuite(authority_storm, .init = service_enter, .fini = service_leave);

#define INSTANCES 500

struct storm;

struct instance {
    struct storm *storm;
    struct who who, next;
    struct control_client *client;
    int answers;
};

struct storm {
    uv_loop_t loop;
    struct stream_loop *shared;
    struct instance instances[INSTANCES];
    unsigned answered, closed;
};

static void on_answer(void *context, const struct control_outcome *outcome)
{
    struct instance *instance = context;
    cr_assert_not_null(outcome->ok, "%s",
                       outcome->failure ? outcome->failure->message : outcome->error->message);
    who_take(&instance->next, outcome->ok);
    instance->answers++;
    instance->storm->answered++;
    control_client_close(instance->client, NULL);
}

static void on_ready(struct control_client *client, void *owner)
{
    struct instance *instance = owner;
    struct error err = {0};
    cJSON *request = control_request("renew");
    cr_assert(control_put_text(request, "csr", fresh_csr(&instance->next)));
    cr_assert(control_client_ask(client, request, 60000, on_answer, instance, &err), "%s",
              err.message);
}

static void on_closed(struct control_client *client, void *owner, const struct error *reason)
{
    (void)client;
    struct instance *instance = owner;
    cr_assert_eq(reason->code, ERROR_NONE, "%s", reason->message);
    instance->storm->closed++;
}

static void begin(struct storm *storm, struct instance *instance)
{
    static const struct control_client_events events = {.ready = on_ready, .closed = on_closed};
    struct error err = {0};
    struct control_client_settings wanted = {.server_name = "localhost",
                                             .context = caller_context(&instance->who),
                                             .dial_timeout_ms = 60000};
    instance->storm = storm;
    cr_assert(address_parse(authority_service_address(service), &wanted.address, &err));
    cr_assert(control_client_open(storm->shared, &storm->loop, &wanted, &events, instance,
                                  &instance->client, &err),
              "%s", err.message);
    tls_context_unref(wanted.context);
}

/* All of one bot, each joined by a token of its own, over one connection. */
static void join_all(struct storm *storm)
{
    struct caller caller;
    apply_reader();
    add_bot("ci-1");
    caller_open(&caller, NULL);
    for (size_t i = 0; i < INSTANCES; i++) {
        struct who *who = &storm->instances[i].who;
        const char *token = admin_text_of(admin("{'request':'token_add','bot':'ci-1'}"), "token");
        cr_assert(caller_asks(&caller, "{'request':'join','token':'%s','csr':%s}", token,
                              json_text(fresh_csr(who))),
                  "%s", caller.failure.message);
        who_take(who, caller.ok);
    }
    caller_close(&caller);
}

static void run_until(struct storm *storm, const unsigned *count, unsigned wanted)
{
    int64_t end = clock_monotonic_us() + 60000000;
    while (*count < wanted && clock_monotonic_us() < end)
        (void)uv_run(&storm->loop, UV_RUN_ONCE);
    cr_assert_geq(*count, wanted);
}

static bool has_state(const struct caller *caller)
{
    return caller->states > 0;
}

static void end_storm(struct storm *storm)
{
    stream_loop_destroy(storm->shared);
    (void)uv_run(&storm->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&storm->loop), 0);
    for (size_t i = 0; i < INSTANCES; i++) {
        struct instance *instance = &storm->instances[i];
        cr_assert_eq(instance->answers, 1, "instance %zu has %d answers", i, instance->answers);
        cr_assert_eq(instance->next.generation, 2);
        cr_assert_str_eq(instance->next.instance, instance->who.instance);
        who_release(&instance->who);
        who_release(&instance->next);
    }
    free(storm);
}

Test(authority_storm, gives_each_its_own_and_delays_no_lock)
{
    struct caller proxy;
    struct error err = {0};
    struct storm *storm = calloc(1, sizeof *storm);
    join_all(storm);
    struct who who = join_proxy("proxy-1");
    caller_open(&proxy, &who);
    cr_assert(caller_asks(&proxy, "{'request':'subscribe'}"));
    cr_assert(caller_runs(&proxy, has_state));
    proxy.states = 0;

    uv_loop_init(&storm->loop);
    cr_assert(stream_loop_create(&storm->loop, &storm->shared, &err), "%s", err.message);
    for (size_t i = 0; i < INSTANCES; i++)
        begin(storm, &storm->instances[i]);
    run_until(storm, &storm->answered, INSTANCES / 5);
    int64_t since = clock_monotonic_us();
    admin_does("{'request':'lock_add','kind':'database','target':'shop','reason':'x'}");
    cr_assert(caller_runs(&proxy, has_state));
    cr_assert_lt(clock_monotonic_us() - since, 1000000);
    run_until(storm, &storm->closed, INSTANCES);
    end_storm(storm);
    caller_close(&proxy);
    who_release(&who);
    cr_assert_eq(count_records("cert.renew", INSTANCES), INSTANCES);
}
