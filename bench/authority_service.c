/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What joins and renewals cost the authority, over real TLS on loopback: all bots at once, each
 * over a connection of its own. "CPU" is that of the authority's thread and of the audit log's, so
 * its inverse is what one core can do; "wall" includes the clients, which share the machine. And
 * how long the state takes to be rendered and framed for a proxy.
 *
 *     ninja -C BUILD authority/bench_authority_service && BUILD/authority/bench_authority_service \
 *         DIRECTORY [BOTS [ROUNDS]]
 *
 * DIRECTORY must not be there; put it on the disk that is meant.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "authority/service.h"
#include "authority/state.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/ask.h"
#include "control/client.h"
#include "control/frame.h"
#include "tls/request.h"

#define DEFAULT_BOTS   500
#define DEFAULT_ROUNDS 10
#define STATE_BOTS     10000
#define STATE_LOCKS    1000
#define STATE_TIMES    20

static struct authority_service *service;
static struct authority_service_settings settings;
static struct stream_loop *shared;
static uv_loop_t loop;
static size_t under_way;

struct bot {
    struct control_client *client;
    char *certificate, *key, *token;
    char *fresh_key;
};

static struct bot *bots;
static size_t bot_count = DEFAULT_BOTS;

static void check(bool done, const struct error *err)
{
    if (done)
        return;
    (void)fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static int64_t spent_us(int who)
{
    struct rusage usage;
    (void)getrusage(who, &usage);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* CPU time of all threads but this one. */
static int64_t others_us(void)
{
    return spent_us(RUSAGE_SELF) - spent_us(RUSAGE_THREAD);
}

/* --- the bots --- */

static char *text_of(struct buffer *pem)
{
    char *text = strndup((const char *)buffer_bytes(pem), buffer_length(pem));
    buffer_release(pem);
    return text;
}

/* A CSR for a new key, which becomes bot->fresh_key. */
static char *make_csr(struct bot *bot)
{
    struct tls_key *key;
    struct buffer pem;
    struct error err = {0};
    check(tls_key_generate(&key, &err), &err);
    buffer_init(&pem, 8192);
    check(tls_key_write(key, &pem, &err), &err);
    bot->fresh_key = text_of(&pem);
    buffer_init(&pem, 8192);
    check(tls_request_create(key, &pem, &err), &err);
    tls_key_free(key);
    return text_of(&pem);
}

static void on_answer(void *context, const struct control_outcome *outcome)
{
    struct bot *bot = context;
    if (outcome->failure || outcome->error) {
        (void)fprintf(stderr, "refused: %s\n",
                      outcome->failure ? outcome->failure->message : outcome->error->message);
        exit(1);
    }
    free(bot->certificate);
    free(bot->key);
    bot->key = bot->fresh_key;
    bot->certificate =
        strdup(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(outcome->ok, "certificate")));
    control_client_close(bot->client, NULL);
}

static void on_ready(struct control_client *client, void *owner)
{
    struct bot *bot = owner;
    struct error err = {0};
    char *csr = make_csr(bot);
    cJSON *request = control_request(bot->token ? "join" : "renew");
    if (bot->token)
        (void)cJSON_AddStringToObject(request, "token", bot->token);
    (void)cJSON_AddStringToObject(request, "csr", csr);
    check(control_client_ask(client, request, 60000, on_answer, bot, &err), &err);
    free(csr);
}

static void on_closed(struct control_client *client, void *owner, const struct error *reason)
{
    (void)client;
    (void)owner;
    if (reason->code != ERROR_NONE) {
        (void)fprintf(stderr, "closed: %s\n", reason->message);
        exit(1);
    }
    under_way--;
}

static struct tls_context *context_of(const struct bot *bot)
{
    static const char *const alpn[] = {TLS_ALPN_CONTROL, NULL};
    char text[CERTIFICATE_PIN_TEXT_SIZE];
    uint8_t pin[TLS_PIN_SIZE];
    struct tls_context *context;
    struct error err = {0};
    authority_service_pin(service, text);
    check(certificate_pin_parse(text, pin, &err), &err);
    const struct tls_settings wanted = {.side = TLS_CLIENT,
                                        .cert_pem = bot->certificate,
                                        .key_pem = bot->key,
                                        .ca_pin = pin,
                                        .alpn = alpn};
    check(tls_context_create(&wanted, &context, &err), &err);
    return context;
}

static void begin(struct bot *bot)
{
    static const struct control_client_events events = {.ready = on_ready, .closed = on_closed};
    struct error err = {0};
    struct control_client_settings wanted = {
        .server_name = "localhost", .context = context_of(bot), .dial_timeout_ms = 60000};
    check(address_parse(authority_service_address(service), &wanted.address, &err), &err);
    check(control_client_open(shared, &loop, &wanted, &events, bot, &bot->client, &err), &err);
    tls_context_unref(wanted.context);
    under_way++;
}

/* All of them at once. */
static void storm(void)
{
    for (size_t i = 0; i < bot_count; i++)
        begin(&bots[i]);
    while (under_way > 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static void report(const char *what, size_t count, int64_t wall_us, int64_t cpu_us)
{
    (void)printf("%-10s %7zu in %6.2f s wall (%5.0f a second), CPU %6.1f us each: %5.0f a second "
                 "on one core\n",
                 what, count, (double)wall_us / 1e6, (double)count * 1e6 / (double)wall_us,
                 (double)cpu_us / (double)count, (double)count * 1e6 / (double)cpu_us);
}

static void measure(const char *what, size_t rounds)
{
    int64_t wall = clock_monotonic_us(), cpu = others_us();
    for (size_t i = 0; i < rounds; i++)
        storm();
    report(what, bot_count * rounds, clock_monotonic_us() - wall, others_us() - cpu);
}

/* --- the authority --- */

static void add_bots(void)
{
    bots = calloc(bot_count, sizeof *bots);
    for (size_t i = 0; bots && i < bot_count; i++) {
        char name[32];
        cJSON *answer;
        struct control_failure failure;
        struct error err = {0};
        cJSON *request = control_request("bot_add");
        (void)snprintf(name, sizeof name, "bot-%zu", i);
        (void)cJSON_AddStringToObject(request, "name", name);
        (void)cJSON_AddArrayToObject(request, "roles");
        check(control_ask(settings.socket_path, request, 10000, &answer, &failure, &err), &err);
        bots[i].token =
            strdup(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "token")));
        cJSON_Delete(answer);
        cJSON_Delete(request);
    }
}

static void forget_tokens(void)
{
    for (size_t i = 0; i < bot_count; i++) {
        free(bots[i].token);
        bots[i].token = NULL;
    }
}

static void prepare(const char *directory)
{
    static const char *const names[] = {"localhost"};
    struct authority_refusal refusal;
    struct error err = {0};
    settings.directory = directory;
    settings.core = authority_settings_default();
    settings.limits = (struct authority_limits){20000, 20000, 60000};
    (void)snprintf(settings.core.trust_domain, sizeof settings.core.trust_domain, "bench.test");
    (void)snprintf(settings.socket_path, sizeof settings.socket_path, "%s/admin.sock", directory);
    if (!authority_hosts_read(names, 1, &settings.core.hosts, &refusal))
        exit(1);
    check(address_parse("127.0.0.1:0", &settings.listen, &err), &err);
}

static void run_storms(const char *directory, size_t rounds)
{
    char audit_directory[512];
    struct audit_log *audit;
    struct error err = {0};
    (void)snprintf(audit_directory, sizeof audit_directory, "%s/audit", directory);
    const struct audit_settings wanted = {.directory = audit_directory, .file_size = 256 << 20};
    check(audit_log_open(&wanted, 1, &audit, &err), &err);
    check(authority_service_open(&settings, audit_log_lane(audit, 0), &service, &err), &err);
    check(authority_service_start(service, &err), &err);
    add_bots();
    measure("joins", 1);
    forget_tokens();
    measure("renewals", rounds);
    authority_service_close(service);
    audit_log_close(audit);
}

/* --- the state --- */

static void fill(struct store *store)
{
    struct error err = {0};
    check(store_begin(store, &err), &err);
    for (int i = 0; i < STATE_BOTS; i++) {
        struct store_bot bot = {.role_count = 2, .created_us = 1, .created_by = "bench"};
        (void)snprintf(bot.name, sizeof bot.name, "state-%d", i);
        (void)snprintf(bot.roles[0], sizeof bot.roles[0], "shop-reader");
        (void)snprintf(bot.roles[1], sizeof bot.roles[1], "role-%d", i % 100);
        check(store_bot_add(store, &bot, &err), &err);
    }
    for (int i = 0; i < STATE_LOCKS; i++) {
        struct store_lock lock = {.kind = STORE_LOCK_BOT, .created_us = 1, .created_by = "bench"};
        (void)snprintf(lock.id, sizeof lock.id, "%016x", i);
        (void)snprintf(lock.target, sizeof lock.target, "state-%d", i);
        (void)snprintf(lock.reason, sizeof lock.reason, "its machine was stolen in the night");
        check(store_lock_add(store, &lock, &err), &err);
    }
    check(store_commit(store, &err), &err);
}

static void run_state(const char *directory)
{
    struct store *store;
    struct authority *authority;
    struct error err = {0};
    size_t length = 0;
    check(store_open(directory, &store, &err), &err);
    check(authority_open(&settings.core, store, clock_wall_us(), &authority, &err), &err);
    fill(store);
    int64_t rendering = 0, began = spent_us(RUSAGE_THREAD);
    for (int i = 0; i < STATE_TIMES; i++) {
        struct authority_rendering state;
        struct buffer frame;
        int64_t since = spent_us(RUSAGE_THREAD);
        check(authority_state_render(authority, clock_wall_us(), &state, &err), &err);
        rendering += spent_us(RUSAGE_THREAD) - since;
        check(control_frame_print(state.event, CONTROL_ANSWER_MAX, &frame, &err), &err);
        length = buffer_length(&frame);
        control_frame_release(&frame);
        control_free(state.event);
    }
    (void)printf("state of %d bots and %d locks: %zu bytes, CPU %.1f ms to render and %.1f ms to "
                 "frame it\n",
                 STATE_BOTS, STATE_LOCKS, length, (double)rendering / 1000 / STATE_TIMES,
                 (double)(spent_us(RUSAGE_THREAD) - began - rendering) / 1000 / STATE_TIMES);
    authority_close(authority);
    store_close(store);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    size_t rounds = DEFAULT_ROUNDS;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s DIRECTORY [BOTS [ROUNDS]]\n", argv[0]);
        return 2;
    }
    if (argc > 2)
        bot_count = strtoul(argv[2], NULL, 10);
    if (argc > 3)
        rounds = strtoul(argv[3], NULL, 10);
    log_configure(LOG_WARNING, LOG_FORMAT_TEXT);
    if (mkdir(argv[1], 0700) != 0) {
        perror(argv[1]);
        return 1;
    }
    prepare(argv[1]);
    (void)uv_loop_init(&loop);
    check(stream_loop_create(&loop, &shared, &err), &err);
    run_storms(argv[1], rounds);
    run_state(argv[1]);
    return 0;
}
