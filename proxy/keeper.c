/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/keeper.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "identity/credentials.h"
#include "identity/exchange.h"
#include "identity/identity_save.h"
#include "identity/renewal_words.h"
#include "tls/certificate.h"

enum keeper_state { KEEPER_RESTING, KEEPER_ASKING, KEEPER_SAVING, KEEPER_GONE };

struct keeper {
    struct keeper_request request;
    const struct keeper_events *events;
    void *owner;
    enum keeper_state state;
    bool saving;               /* in another thread: the memory is needed until it ends */
    struct exchange *exchange; /* while ASKING */
    enum exchange_kind kind;   /* of what goes on, or went on last */
    struct join_token token;   /* from the environment; "": none, or used up */
    struct stat token_state;   /* of the token's file when it was used up, or refused */
    bool spent;                /* there is no other token than that */
    int64_t asked_us;          /* monotonic */
    bool by_pin;               /* this attempt knows the authority by its pin alone */
    bool disowned;             /* the authority will not renew the certificate any more */
    struct backoff backoff;
    int64_t pause_until_us;           /* monotonic */
    char problem[ERROR_MESSAGE_SIZE]; /* "": none */
    int64_t logged_us;                /* monotonic; 0: the problem was not */
};

static const unsigned moves[] = {
    [KEEPER_RESTING] = 1u << KEEPER_ASKING | 1u << KEEPER_GONE,
    [KEEPER_ASKING] = 1u << KEEPER_RESTING | 1u << KEEPER_SAVING | 1u << KEEPER_GONE,
    [KEEPER_SAVING] = 1u << KEEPER_RESTING | 1u << KEEPER_GONE,
    [KEEPER_GONE] = 0,
};

static void set_state(struct keeper *keeper, enum keeper_state state)
{
    if (moves[keeper->state] & 1u << state)
        keeper->state = state;
    else
        log_error("a keeper was asked for a move that does not exist", NULL);
}

/* --- whether there is any hope --- */

static bool has_ca(const char *directory)
{
    char path[PATH_MAX];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/ca.pem", directory);
    return stat(path, &info) == 0;
}

bool keeper_check(const struct config *config, const char *proxy,
                  const struct authority_link_settings *settings, bool token, struct error *err)
{
    if (credentials_are_current(settings->identity))
        return true;
    if (!settings->join && !token)
        return config_error(config, settings->place, NULL, err,
                            "%.200s holds no certificate that is current, and there is no join "
                            "token: `sallyport token add --proxy %.64s` on the authority's host "
                            "makes one; name its file with \"join\", or put it into "
                            "SALLYPORT_TOKEN",
                            settings->identity, proxy);
    if (!settings->ca_pin && !has_ca(settings->identity))
        return config_error(config, settings->place, NULL, err,
                            "nothing tells the authority from anybody else: give its \"ca_pin\", "
                            "which `sallyport token add --proxy` prints");
    return true;
}

/* --- trouble --- */

static void log_problem(struct keeper *keeper)
{
    int64_t now_us = clock_monotonic_us();
    const struct own_identity *own = keeper->request.own;
    if (keeper->logged_us != 0 && now_us - keeper->logged_us < (int64_t)KEEPER_LOG_MS * 1000)
        return;
    keeper->logged_us = now_us;
    char until[CLOCK_TIME_SIZE] = "";
    bool current = own_identity_is_current(own, clock_wall_us());
    int64_t end_us = own_identity_not_after_us(own);
    clock_format(end_us, until);
    log_write(current ? LOG_WARNING : LOG_ERROR,
              current  ? "the proxy's certificate was not renewed yet"
              : end_us ? "the proxy's certificate has lapsed: no bot can connect"
                       : "the proxy has no certificate yet",
              "proxy", own_identity_name(own), "authority", keeper->request.settings->address,
              "error", keeper->problem, "certificate_until", end_us ? until : NULL, NULL);
}

static void clear_problem(struct keeper *keeper)
{
    keeper->problem[0] = '\0';
    keeper->logged_us = 0;
    keeper->pause_until_us = 0;
    backoff_reset(&keeper->backoff);
}

static void fail(struct keeper *keeper, const struct error *why, int64_t pause_ms)
{
    if (keeper->state != KEEPER_RESTING)
        set_state(keeper, KEEPER_RESTING);
    if (strcmp(keeper->problem, why->message) != 0)
        keeper->logged_us = 0; /* another one */
    memcpy(keeper->problem, why->message, sizeof keeper->problem);
    keeper->pause_until_us = clock_monotonic_us() + pause_ms * 1000;
    log_problem(keeper);
}

/* A pause leaves time for other attempts before the certificate ends. */
static int64_t within_life(const struct keeper *keeper, int64_t pause_ms)
{
    int64_t left = (own_identity_not_after_us(keeper->request.own) - clock_wall_us()) / 1000;
    int64_t most = left / 8 > KEEPER_PAUSE_LEAST_MS ? left / 8 : KEEPER_PAUSE_LEAST_MS;
    return left > 0 && pause_ms > most ? most : pause_ms;
}

static void fail_for_now(struct keeper *keeper, const struct error *why)
{
    fail(keeper, why, within_life(keeper, backoff_fail(&keeper->backoff)));
}

static void fail_seldom(struct keeper *keeper, const struct error *why)
{
    fail(keeper, why, within_life(keeper, backoff_jitter(KEEPER_LOCKED_MS, KEEPER_LOCKED_MS / 10)));
}

/* --- tokens --- */

static struct stat state_of(const char *file)
{
    struct stat info = {0};
    if (!file || stat(file, &info) != 0)
        info = (struct stat){0};
    return info;
}

static bool is_same_state(const struct stat *left, const struct stat *right)
{
    return left->st_dev == right->st_dev && left->st_ino == right->st_ino &&
           left->st_size == right->st_size && left->st_mtim.tv_sec == right->st_mtim.tv_sec &&
           left->st_mtim.tv_nsec == right->st_mtim.tv_nsec;
}

static void spend_token(struct keeper *keeper)
{
    join_token_wipe(&keeper->token);
    keeper->token_state = state_of(keeper->request.settings->join);
    keeper->spent = true;
}

static bool is_spent(struct keeper *keeper)
{
    struct stat now = state_of(keeper->request.settings->join);
    if (keeper->spent && !is_same_state(&now, &keeper->token_state)) {
        keeper->spent = false;
        clear_problem(keeper);
    }
    return keeper->spent;
}

static void fail_for_good(struct keeper *keeper, const struct error *why)
{
    spend_token(keeper);
    fail(keeper, why, 0);
    if (!keeper->request.settings->join &&
        !own_identity_is_current(keeper->request.own, clock_wall_us()))
        keeper->events->hopeless(keeper->owner, why);
}

static bool no_token(const struct keeper *keeper, struct error *err)
{
    const char *file = keeper->request.settings->join;
    const char *name = own_identity_name(keeper->request.own);
    if (!file)
        return error_set(err, ERROR_DENIED,
                         "there is no join token: `sallyport token add --proxy %.64s` on the "
                         "authority's host makes one; put it into SALLYPORT_TOKEN, or name its "
                         "file with proxy.authority.join, and restart",
                         name);
    return error_set(err, ERROR_DENIED,
                     "the token in %.160s is used up: put a new one there: `sallyport token add "
                     "--proxy %.64s` on the authority's host makes it",
                     file, name);
}

/* False: there is none, or none that could do; the attempt has failed then. */
static bool find_token(struct keeper *keeper, struct join_token *out)
{
    struct error why = {0};
    *out = keeper->token;
    if (out->text[0])
        return true;
    const char *file = keeper->request.settings->join;
    if (!file)
        (void)no_token(keeper, &why);
    else if (join_token_read(file, out, &why))
        return true;
    fail_for_good(keeper, &why);
    return false;
}

/* --- asking --- */

/* Whom to believe that it is the authority: what the last certificate came with, or the pin. */
static bool make_join_context(struct keeper *keeper, struct tls_context **out, struct error *err)
{
    static const char *const alpn[] = {TLS_ALPN_CONTROL, NULL};
    const struct authority_link_settings *settings = keeper->request.settings;
    const char *ca = own_identity_ca(keeper->request.own);
    uint8_t pin[TLS_PIN_SIZE];
    if (!ca && !settings->ca_pin)
        return error_set(err, ERROR_CONFIG,
                         "nothing tells the authority from anybody else: give its ca_pin, which "
                         "`sallyport token add --proxy` prints");
    if (!ca && !certificate_pin_parse(settings->ca_pin, pin, err))
        return false;
    keeper->by_pin = !ca;
    const struct tls_settings wanted = {
        .side = TLS_CLIENT,
        .ca_pem = ca,
        .ca_pin = ca ? NULL : pin,
        .pem_giver = "the authority",
        .alpn = alpn,
    };
    return tls_context_create(&wanted, out, err);
}

static bool make_context(struct keeper *keeper, struct tls_context **out, struct error *err)
{
    if (keeper->kind == EXCHANGE_JOIN_PROXY)
        return make_join_context(keeper, out, err);
    *out = tls_context_ref(own_identity_context(keeper->request.own));
    return true;
}

static void on_done(void *owner, const struct exchange_result *result);

/* A name that the certificate has not needs a new token: renewing goes on with those that it has.
 */
static struct config_strings names_to_ask(const struct keeper *keeper)
{
    const struct own_identity *own = keeper->request.own;
    if (keeper->kind == EXCHANGE_RENEW_PROXY && !own_identity_has_names(own, NULL))
        return (struct config_strings){0};
    return *own_identity_names(own);
}

static bool start_exchange(struct keeper *keeper, const struct join_token *token, struct error *err)
{
    const struct authority_link_settings *settings = keeper->request.settings;
    struct own_identity *own = keeper->request.own;
    struct config_strings names = names_to_ask(keeper);
    struct exchange_request request = {
        .kind = keeper->kind,
        .authority = *keeper->request.authority,
        .server_name =
            settings->server_name ? settings->server_name : keeper->request.authority->host,
        .token = token->text,
        .proxy = own_identity_name(own),
        .names = names.items,
        .name_count = names.count,
    };
    if (!own_identity_begin(own, keeper->kind == EXCHANGE_JOIN_PROXY, err) ||
        !make_context(keeper, &request.context, err))
        return false;
    request.key = own_identity_key(own);
    bool started = exchange_start(keeper->request.streams, keeper->request.loop, &request, on_done,
                                  keeper, &keeper->exchange, err);
    tls_context_unref(request.context);
    return started;
}

static void begin(struct keeper *keeper, enum exchange_kind kind)
{
    struct join_token token = {0};
    struct error err = {0};
    keeper->kind = kind;
    keeper->by_pin = false;
    keeper->asked_us = clock_monotonic_us();
    if (kind == EXCHANGE_JOIN_PROXY && !find_token(keeper, &token))
        return;
    set_state(keeper, KEEPER_ASKING);
    if (!start_exchange(keeper, &token, &err))
        fail_for_now(keeper, &err);
    join_token_wipe(&token);
}

/* --- answers --- */

/* Another certificate is in use. */
static void changed(struct keeper *keeper)
{
    struct own_identity *own = keeper->request.own;
    char until[CLOCK_TIME_SIZE];
    bool joined = keeper->kind == EXCHANGE_JOIN_PROXY;
    clock_format(own_identity_not_after_us(own), until);
    log_info(joined ? "the proxy has joined" : "the proxy's certificate was renewed", "proxy",
             own_identity_name(own), "authority", keeper->request.settings->address, "not_after",
             until, NULL);
    keeper->disowned = false;
    clear_problem(keeper);
    keeper->events->changed(keeper->owner);
}

static void use(struct keeper *keeper)
{
    own_identity_use(keeper->request.own);
    if (keeper->kind == EXCHANGE_JOIN_PROXY)
        spend_token(keeper);
    set_state(keeper, KEEPER_RESTING);
    changed(keeper);
}

static void on_saved(void *owner, const struct error *err)
{
    struct keeper *keeper = owner;
    keeper->saving = false;
    if (keeper->state == KEEPER_GONE)
        free(keeper);
    else if (err)
        fail_for_now(keeper, err);
    else
        use(keeper);
}

static void take_identity(struct keeper *keeper, const struct exchange_identity *identity)
{
    struct own_identity *own = keeper->request.own;
    struct identity_store *store = own_identity_store(own);
    struct identity_set set;
    struct error err = {0};
    if (!own_identity_prepare(own, identity, &set, &err)) {
        fail_for_now(keeper, &err);
        return;
    }
    set_state(keeper, KEEPER_SAVING);
    if (!store) {
        use(keeper);
        return;
    }
    keeper->saving = identity_save_start(keeper->request.loop, store, &set, on_saved, keeper, &err);
    if (!keeper->saving)
        fail_for_now(keeper, &err);
}

static void take_failure(struct keeper *keeper, const struct control_failure *failure)
{
    struct error err = {0};
    switch (renewal_judge(keeper->kind, failure, own_identity_name(keeper->request.own), &err)) {
    case VERDICT_TOKEN:
        fail_for_good(keeper, &err);
        return;
    case VERDICT_SUPERSEDED:
    case VERDICT_FORGOTTEN:
        keeper->disowned = own_identity_context(keeper->request.own) != NULL;
        fail_seldom(keeper, &err);
        return;
    case VERDICT_LOCKED:
        fail_seldom(keeper, &err);
        return;
    case VERDICT_AGAIN:
        break;
    }
    fail_for_now(keeper, &err);
}

static void take_error(struct keeper *keeper, const struct error *why)
{
    struct error err = {0};
    if (keeper->by_pin && stream_error_is_unknown_ca(why))
        (void)error_set(&err, ERROR_TLS,
                        "joining failed: the CA of what answers at %s is not the pinned one: "
                        "compare ca_pin with the row \"service\" of `sallyport ca status` on the "
                        "authority's host",
                        keeper->request.settings->address);
    else
        renewal_explain(keeper->kind, why, &err);
    fail_for_now(keeper, &err);
}

static void on_done(void *owner, const struct exchange_result *result)
{
    struct keeper *keeper = owner;
    keeper->exchange = NULL;
    if (result->error)
        take_error(keeper, result->error);
    else if (result->failure)
        take_failure(keeper, result->failure);
    else
        take_identity(keeper, result->identity);
}

/* --- looking --- */

/* The one before has lapsed: renewing is not possible any more. */
static void join_here(struct keeper *keeper)
{
    struct error err = {0};
    keeper->kind = EXCHANGE_JOIN_PROXY;
    keeper->by_pin = false;
    keeper->asked_us = clock_monotonic_us();
    if (keeper->request.join_here(keeper->request.join_owner, &err))
        changed(keeper);
    else if (err.code == ERROR_DENIED)
        fail_seldom(keeper, &err);
    else
        fail_for_now(keeper, &err);
}

/* One that was disowned is used while it lasts: another token is what could replace it; in the
 * authority's process its end. */
static void do_what_is_due(struct keeper *keeper)
{
    const struct own_identity *own = keeper->request.own;
    bool current = own_identity_is_current(own, clock_wall_us());
    if (current && !keeper->disowned) {
        if (own_identity_is_due(own))
            begin(keeper, EXCHANGE_RENEW_PROXY);
        return;
    }
    if (!keeper->request.join_here)
        begin(keeper, EXCHANGE_JOIN_PROXY);
    else if (!current)
        join_here(keeper);
    else
        log_problem(keeper);
}

/* What was wrong with renewing is of no interest once the certificate has lapsed. */
static void say_lapsed(struct keeper *keeper)
{
    struct error why = {0};
    keeper->kind = EXCHANGE_JOIN_PROXY;
    (void)no_token(keeper, &why);
    fail(keeper, &why, 0);
}

/* After a token was spent there may be a certificate that has lapsed since. */
static bool must_wait(struct keeper *keeper)
{
    bool current = own_identity_is_current(keeper->request.own, clock_wall_us());
    bool renewing = keeper->kind == EXCHANGE_RENEW_PROXY;
    if (clock_monotonic_us() < keeper->pause_until_us && (current || !renewing))
        return true;
    if ((current && !keeper->disowned) || !is_spent(keeper))
        return false;
    if (!keeper->problem[0] || (!current && renewing))
        say_lapsed(keeper);
    log_problem(keeper);
    return true;
}

void keeper_look(struct keeper *keeper)
{
    if (keeper->state == KEEPER_RESTING && !must_wait(keeper))
        do_what_is_due(keeper);
}

int64_t keeper_asked_us(const struct keeper *keeper)
{
    return keeper->asked_us;
}

/* --- the whole --- */

bool keeper_create(const struct keeper_request *request, const struct keeper_events *events,
                   void *owner, struct keeper **out, struct error *err)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    *out = keeper;
    if (!keeper)
        return error_set(err, ERROR_MEMORY, "out of memory");
    keeper->request = *request;
    keeper->events = events;
    keeper->owner = owner;
    keeper->backoff = (struct backoff){KEEPER_PAUSE_LEAST_MS, KEEPER_PAUSE_MOST_MS, 0};
    if (request->token && !own_identity_is_current(request->own, clock_wall_us()))
        keeper->token = *request->token; /* else not needed: what is not there cannot leak */
    keeper->request.token = NULL;
    return true;
}

void keeper_destroy(struct keeper *keeper)
{
    if (!keeper)
        return;
    exchange_cancel(keeper->exchange);
    keeper->exchange = NULL;
    set_state(keeper, KEEPER_GONE);
    join_token_wipe(&keeper->token);
    if (!keeper->saving)
        free(keeper);
}
