/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/renewal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "identity/exchange.h"
#include "identity/identity_check.h"
#include "identity/identity_save.h"
#include "identity/identity_store.h"
#include "identity/joining_key.h"
#include "identity/renewal_words.h"
#include "identity/schedule.h"

/* The room of a key in PEM. */
#define KEY_PEM_MAX 4096

enum renewal_state { RENEWAL_RESTING, RENEWAL_ASKING, RENEWAL_SAVING, RENEWAL_GONE };

struct renewal {
    uv_loop_t *loop;
    struct stream_loop *streams;
    struct credentials *credentials;
    struct address authority;
    char *server_name, *join_file, *bound_key_file, *bot;
    bool has_pin;
    uint8_t pin[TLS_PIN_SIZE];
    struct join_token token; /* "": none, or used up */
    const struct renewal_events *events;
    void *owner;

    enum renewal_state state;
    unsigned holds; /* owner and timer, and what runs in another thread */
    uv_timer_t timer;
    struct identity_store *store; /* NULL: the lock is not ours yet */
    struct exchange *exchange;    /* while ASKING */
    enum exchange_kind kind;      /* of what goes on, or went on last */
    struct tls_key *key;          /* the new one, while ASKING */
    struct tls_key *bound_key;    /* while ASKING by it */

    uint64_t generation; /* of the credentials, at the last look */
    struct identity_note note;
    struct schedule schedule;
    bool fresh;     /* the set that comes next was saved just now: it is as old as the clock says */
    bool confirmed; /* the present set */
    bool disowned;  /* the authority will not renew the present set */
    bool told_final;
    bool begun;  /* it has had its first look */
    bool by_pin; /* this attempt knows the authority by its pin alone */

    struct backoff backoff;
    int64_t pause_until_us;  /* monotonic; INT64_MAX: not again by itself */
    struct stat token_state; /* of the token's file when it was refused, or used up */
    struct error problem;    /* ERROR_NONE: none */
    struct error lock;       /* why it is locked; ERROR_NONE: it is not, as far as is known */
    int64_t logged_us;       /* monotonic; 0: this trouble was not */
};

static const unsigned moves[] = {
    [RENEWAL_RESTING] = 1u << RENEWAL_ASKING | 1u << RENEWAL_GONE,
    [RENEWAL_ASKING] = 1u << RENEWAL_RESTING | 1u << RENEWAL_SAVING | 1u << RENEWAL_GONE,
    [RENEWAL_SAVING] = 1u << RENEWAL_RESTING | 1u << RENEWAL_GONE,
    [RENEWAL_GONE] = 0,
};

static void set_state(struct renewal *renewal, enum renewal_state state)
{
    if (moves[renewal->state] & 1u << state)
        renewal->state = state;
    else
        log_error("a renewal was asked for a move that does not exist", NULL);
}

/* The end. */

static void drop_attempt(struct renewal *renewal)
{
    tls_key_free(renewal->key);
    tls_key_free(renewal->bound_key);
    renewal->key = renewal->bound_key = NULL;
}

static void release_hold(struct renewal *renewal)
{
    if (--renewal->holds > 0)
        return;
    drop_attempt(renewal);
    identity_store_close(renewal->store);
    credentials_unref(renewal->credentials);
    join_token_wipe(&renewal->token);
    free(renewal->server_name);
    free(renewal->join_file);
    free(renewal->bound_key_file);
    free(renewal->bot);
    free(renewal);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_hold(handle->data);
}

void renewal_destroy(struct renewal *renewal)
{
    if (!renewal || renewal->state == RENEWAL_GONE)
        return;
    exchange_cancel(renewal->exchange);
    renewal->exchange = NULL;
    set_state(renewal, RENEWAL_GONE);
    credentials_manage(renewal->credentials, false, NULL);
    uv_close((uv_handle_t *)&renewal->timer, on_timer_closed);
    release_hold(renewal);
}

/* Trouble. */

static void manage(const struct renewal *renewal)
{
    const char *doing = renewal->generation == 0 ? "there is no certificate yet: one is asked for"
                                                 : "a new one is asked for";
    bool well = renewal->problem.code == ERROR_NONE;
    credentials_manage(renewal->credentials, true, well ? doing : renewal->problem.message);
}

static void log_problem(struct renewal *renewal)
{
    int64_t now_us = clock_monotonic_us();
    if (renewal->logged_us != 0 && now_us - renewal->logged_us < (int64_t)RENEWAL_LOG_MS * 1000)
        return;
    renewal->logged_us = now_us;
    char authority[ADDRESS_TEXT_SIZE], until[CLOCK_TIME_SIZE] = "";
    int64_t end_us = credentials_not_after_us(renewal->credentials);
    clock_format(end_us, until);
    log_warning(renewal->pause_until_us == INT64_MAX ? "the identity is not renewed any more"
                                                     : "no new identity yet; trying again",
                "directory", credentials_directory(renewal->credentials), "bot",
                end_us ? credentials_bot(renewal->credentials) : renewal->bot, "authority",
                address_format(&renewal->authority, authority), "error", renewal->problem.message,
                "certificate_until", end_us ? until : NULL, NULL);
}

static void clear_problem(struct renewal *renewal)
{
    if (renewal->problem.code != ERROR_NONE && renewal->logged_us != 0)
        log_info("the authority answers again", "directory",
                 credentials_directory(renewal->credentials), NULL);
    renewal->problem = renewal->lock = (struct error){0};
    renewal->logged_us = 0;
    renewal->pause_until_us = 0;
    backoff_reset(&renewal->backoff);
    manage(renewal);
}

/* A pause must leave time for other attempts before the certificate ends. */
static int64_t pause_ms(struct renewal *renewal)
{
    int64_t pause = backoff_fail(&renewal->backoff);
    int64_t left = (credentials_not_after_us(renewal->credentials) - clock_wall_us()) / 1000;
    if (left <= 0)
        return pause;
    int64_t most = left / 8 > RENEWAL_PAUSE_LEAST_MS ? left / 8 : RENEWAL_PAUSE_LEAST_MS;
    return pause < most ? pause : most;
}

static void tell_failed(struct renewal *renewal, bool final)
{
    bool first = final && !renewal->told_final;
    renewal->told_final = renewal->told_final || final;
    if (renewal->events->failed)
        renewal->events->failed(renewal->owner, &renewal->problem, first);
}

/* Ends an attempt, or what would have been one. `until_us` is monotonic. */
static void attempt_failed(struct renewal *renewal, const struct error *why, int64_t until_us,
                           bool hopeless)
{
    bool changed = strcmp(renewal->problem.message, why->message) != 0;
    bool was_stopped = renewal->pause_until_us == INT64_MAX;
    drop_attempt(renewal);
    if (renewal->state != RENEWAL_RESTING)
        set_state(renewal, RENEWAL_RESTING);
    renewal->problem = *why;
    renewal->pause_until_us = until_us;
    if (changed && (hopeless || was_stopped))
        renewal->logged_us = 0; /* another kind of trouble */
    manage(renewal);
    log_problem(renewal);
    tell_failed(renewal, hopeless && renewal->generation == 0);
}

static void fail_for_now(struct renewal *renewal, const struct error *why)
{
    attempt_failed(renewal, why, clock_monotonic_us() + pause_ms(renewal) * 1000, false);
}

static void fail_seldom(struct renewal *renewal, const struct error *why)
{
    int64_t pause = backoff_jitter(RENEWAL_LOCKED_MS, RENEWAL_LOCKED_MS / 10);
    attempt_failed(renewal, why, clock_monotonic_us() + pause * 1000, false);
}

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

static void fail_for_good(struct renewal *renewal, const struct error *why)
{
    join_token_wipe(&renewal->token);
    renewal->token_state = state_of(renewal->join_file);
    attempt_failed(renewal, why, INT64_MAX, true);
}

/* Sets. */

static bool is_usable(const struct renewal *renewal)
{
    struct tls_context *context;
    return credentials_context(renewal->credentials, clock_wall_us(), &context, NULL);
}

static bool open_store(struct renewal *renewal, struct error *err)
{
    return renewal->store ||
           identity_store_open(credentials_directory(renewal->credentials), &renewal->store, err);
}

/* Takes notice of a set that is new, whoever put it there. */
static bool take_notice(struct renewal *renewal)
{
    uint64_t generation = credentials_generation(renewal->credentials);
    if (generation == renewal->generation)
        return false;
    renewal->generation = generation;
    renewal->note = (struct identity_note){0};
    if (renewal->store)
        (void)identity_store_note(renewal->store, &renewal->note);
    renewal->schedule = schedule_make(credentials_not_before_us(renewal->credentials),
                                      credentials_not_after_us(renewal->credentials),
                                      renewal->note.renew_at_us, renewal->fresh);
    renewal->fresh = renewal->confirmed = renewal->disowned = false;
    clear_problem(renewal);
    return true;
}

static void look_at_files(struct renewal *renewal)
{
    (void)credentials_check(renewal->credentials);
    if (take_notice(renewal) && renewal->events->renewed)
        renewal->events->renewed(renewal->owner);
}

/* What is to be done. */

struct task {
    bool wanted;
    enum exchange_kind kind;
};

static struct task next_task(const struct renewal *renewal)
{
    if (is_usable(renewal) && !renewal->disowned) {
        if (schedule_is_due(&renewal->schedule))
            return (struct task){true, EXCHANGE_RENEW};
        return (struct task){!renewal->confirmed, EXCHANGE_CONFIRM};
    }
    return (struct task){true, renewal->bound_key_file ? EXCHANGE_JOIN_KEY : EXCHANGE_JOIN};
}

/* Whether a stop is over: another token was put in place. (Other files end it in take_notice().) */
static bool has_other_token(const struct renewal *renewal)
{
    struct stat now = state_of(renewal->join_file);
    return renewal->join_file && !is_same_state(&now, &renewal->token_state);
}

/* Beginning an attempt. */

static const char *known_bot(const struct renewal *renewal)
{
    if (renewal->bot)
        return renewal->bot;
    return renewal->generation > 0 ? credentials_bot(renewal->credentials) : NULL;
}

static const char *why_join(const struct renewal *renewal)
{
    if (renewal->generation == 0)
        return "there is no certificate yet";
    return renewal->disowned ? "the authority does not renew the certificate any more"
                             : "the certificate has lapsed";
}

static bool no_means(const struct renewal *renewal, struct error *err)
{
    const char *bot = known_bot(renewal);
    bot = bot ? bot : "NAME";
    if (renewal->lock.code != ERROR_NONE)
        return error_set(err, ERROR_DENIED,
                         "%.240s; the certificate has lapsed since: once the lock is gone, join "
                         "anew: sallyport token add --bot %s",
                         renewal->lock.message, bot);
    if (renewal->join_file)
        return error_set(err, ERROR_DENIED,
                         "%s, and the token in %.120s is used up: put a new one there: sallyport "
                         "token add --bot %s, on the authority's host, makes one",
                         why_join(renewal), renewal->join_file, bot);
    return error_set(err, ERROR_DENIED,
                     "%s, and there is no join token: sallyport token add --bot %s, on the "
                     "authority's host, makes one; give it with --join FILE",
                     why_join(renewal), bot);
}

/* Whom to believe that it is the authority while there is no identity: what an earlier one left, or
 * the pin. */
static bool make_join_context(struct renewal *renewal, struct tls_context **out, struct error *err)
{
    static const char *const alpn[] = {TLS_ALPN_CONTROL, NULL};
    char ca_file[PATH_MAX];
    (void)snprintf(ca_file, sizeof ca_file, "%s/ca.pem",
                   credentials_directory(renewal->credentials));
    struct stat info;
    bool has_ca = stat(ca_file, &info) == 0;
    if (!has_ca && !renewal->has_pin)
        return error_set(err, ERROR_CONFIG,
                         "nothing tells the authority from anybody else: give its ca_pin, which "
                         "sallyport bot add prints (or put its CA into %s)",
                         ca_file);
    renewal->by_pin = !has_ca;
    const struct tls_settings settings = {
        .side = TLS_CLIENT,
        .ca_file = has_ca ? ca_file : NULL,
        .ca_pin = has_ca ? NULL : renewal->pin,
        .alpn = alpn,
    };
    return tls_context_create(&settings, out, err);
}

static bool make_context(struct renewal *renewal, struct tls_context **out, struct error *err)
{
    struct tls_context *borrowed;
    if (renewal->kind == EXCHANGE_JOIN || renewal->kind == EXCHANGE_JOIN_KEY)
        return make_join_context(renewal, out, err);
    if (!credentials_control_context(renewal->credentials, &borrowed, err))
        return false;
    *out = tls_context_ref(borrowed);
    return true;
}

static bool make_keys(struct renewal *renewal, struct error *err)
{
    if (renewal->kind == EXCHANGE_JOIN_KEY &&
        !tls_key_read(renewal->bound_key_file, &renewal->bound_key, err))
        return false;
    if (renewal->kind == EXCHANGE_JOIN)
        return joining_key_find(renewal->store, &renewal->key, err);
    return renewal->kind == EXCHANGE_CONFIRM || tls_key_generate(&renewal->key, err);
}

static void on_done(void *owner, const struct exchange_result *result);

static bool start_exchange(struct renewal *renewal, const struct join_token *token,
                           struct error *err)
{
    struct exchange_request request = {
        .kind = renewal->kind,
        .authority = renewal->authority,
        .server_name = renewal->server_name,
        .token = token->text,
        .bot = renewal->bot,
    };
    if (!make_context(renewal, &request.context, err))
        return false;
    bool started = make_keys(renewal, err);
    request.key = renewal->key;
    request.bound_key = renewal->bound_key;
    started = started && exchange_start(renewal->streams, renewal->loop, &request, on_done, renewal,
                                        &renewal->exchange, err);
    tls_context_unref(request.context);
    return started;
}

/* False: there is none, or none that could do; the attempt has failed then. */
static bool find_token(struct renewal *renewal, struct join_token *out)
{
    struct error why = {0};
    *out = renewal->token;
    if (renewal->kind != EXCHANGE_JOIN || out->text[0])
        return true;
    bool spent = renewal->token_state.st_ino != 0 && !has_other_token(renewal);
    if (!renewal->join_file || spent)
        (void)no_means(renewal, &why);
    else if (join_token_read(renewal->join_file, out, &why))
        return true;
    if (why.code == ERROR_CONFIG) /* exit code 2 and FILE:LINE:COL: are for configurations */
        why.code = ERROR_DENIED;
    fail_for_good(renewal, &why);
    return false;
}

static void begin(struct renewal *renewal, enum exchange_kind kind)
{
    struct join_token token;
    struct error err = {0};
    renewal->kind = kind;
    if (!open_store(renewal, &err)) {
        fail_for_now(renewal, &err);
        return;
    }
    if (!find_token(renewal, &token))
        return;
    set_state(renewal, RENEWAL_ASKING);
    if (!start_exchange(renewal, &token, &err))
        fail_for_now(renewal, &err);
    join_token_wipe(&token);
}

/* Answers. */

static void arm(struct renewal *renewal);

static void use_saved(struct renewal *renewal)
{
    uint64_t former = renewal->generation;
    struct error err = {0};
    if (renewal->kind == EXCHANGE_JOIN)
        renewal->token_state = state_of(renewal->join_file);
    join_token_wipe(&renewal->token);
    renewal->fresh = true;
    look_at_files(renewal);
    if (renewal->generation == former && renewal->state == RENEWAL_RESTING) {
        (void)error_set(&err, ERROR_STATE, "the identity was saved in %s and cannot be read back",
                        credentials_directory(renewal->credentials));
        fail_for_now(renewal, &err);
    }
    renewal_look(renewal);
}

static void on_saved(void *owner, const struct error *err)
{
    struct renewal *renewal = owner;
    bool gone = renewal->state == RENEWAL_GONE;
    release_hold(renewal);
    if (gone)
        return;
    if (err) {
        fail_for_now(renewal, err);
        arm(renewal);
        return;
    }
    set_state(renewal, RENEWAL_RESTING);
    use_saved(renewal);
}

static bool is_right_instance(const struct renewal *renewal,
                              const struct exchange_identity *identity, struct error *err)
{
    if (renewal->kind != EXCHANGE_RENEW || !renewal->note.instance[0] ||
        strcmp(renewal->note.instance, identity->instance) == 0)
        return true;
    return error_set(err, ERROR_DENIED,
                     "the certificate that the authority sent is of no use: it is for another "
                     "instance of the bot");
}

static bool check_identity(const struct renewal *renewal, const struct exchange_identity *identity,
                           const char *key_pem, struct error *err)
{
    bool renewing = renewal->kind == EXCHANGE_RENEW;
    const struct identity_claim claim = {
        .certificate = identity->certificate,
        .ca = identity->ca,
        .key_pem = key_pem,
        .key = renewal->key,
        .name = identity->name,
        .expected = renewing ? credentials_bot(renewal->credentials) : renewal->bot,
        .now_us = clock_wall_us(),
    };
    return is_right_instance(renewal, identity, err) && identity_check(&claim, err);
}

static bool save_identity(struct renewal *renewal, const struct exchange_identity *identity,
                          const char *key_pem, struct error *err)
{
    struct identity_set set = {
        .certificate = identity->certificate,
        .key = key_pem,
        .ca = identity->ca,
        .note = {.generation = identity->generation, .renew_at_us = identity->renew_at_us},
    };
    (void)snprintf(set.note.name, sizeof set.note.name, "%s", identity->name);
    (void)snprintf(set.note.instance, sizeof set.note.instance, "%s", identity->instance);
    if (!identity_save_start(renewal->loop, renewal->store, &set, on_saved, renewal, err))
        return false;
    renewal->holds++;
    set_state(renewal, RENEWAL_SAVING);
    return true;
}

static void take_identity(struct renewal *renewal, const struct exchange_identity *identity)
{
    struct buffer key;
    struct error err = {0};
    uint8_t room[KEY_PEM_MAX];
    buffer_init_fixed(&key, room, sizeof room);
    if (!tls_key_write(renewal->key, &key, &err) || !buffer_append(&key, "", 1, &err) ||
        !check_identity(renewal, identity, (const char *)room, &err) ||
        !save_identity(renewal, identity, (const char *)room, &err))
        fail_for_now(renewal, &err);
    else
        drop_attempt(renewal);
    buffer_wipe(&key);
}

static void take_failure(struct renewal *renewal, const struct control_failure *failure)
{
    struct error err = {0};
    enum renewal_verdict verdict = renewal_judge(renewal->kind, failure, known_bot(renewal), &err);
    switch (verdict) {
    case VERDICT_TOKEN:
        fail_for_good(renewal, &err);
        return;
    case VERDICT_SUPERSEDED:
        renewal->disowned = true;
        fail_for_good(renewal, &err);
        return;
    case VERDICT_FORGOTTEN:
        renewal->disowned = renewal->generation > 0;
        fail_seldom(renewal, &err);
        return;
    case VERDICT_LOCKED:
        renewal->lock = err;
        fail_seldom(renewal, &err);
        return;
    case VERDICT_AGAIN:
        break;
    }
    fail_for_now(renewal, &err);
}

static bool is_wrong_pin(const struct renewal *renewal, const struct error *why)
{
    bool joining = renewal->kind == EXCHANGE_JOIN || renewal->kind == EXCHANGE_JOIN_KEY;
    return joining && renewal->by_pin && stream_error_is_unknown_ca(why);
}

static void explain_pin(const struct renewal *renewal, struct error *err)
{
    char authority[ADDRESS_TEXT_SIZE];
    (void)error_set(err, ERROR_TLS,
                    "%s failed: the CA of what answers at %s is not the pinned one: compare ca_pin "
                    "with the pin of the service CA that sallyport ca status shows on the "
                    "authority's host",
                    renewal_deed(renewal->kind), address_format(&renewal->authority, authority));
}

/* The authority may find a certificate lapsed that this machine's clock finds good. */
static void take_error(struct renewal *renewal, const struct error *why)
{
    struct error err = {0};
    if (is_wrong_pin(renewal, why))
        explain_pin(renewal, &err);
    else
        renewal_explain(renewal->kind, why, &err);
    if (renewal->bound_key_file && stream_error_is_certificate(why))
        renewal->disowned = true;
    fail_for_now(renewal, &err);
}

static void on_done(void *owner, const struct exchange_result *result)
{
    struct renewal *renewal = owner;
    renewal->exchange = NULL;
    if (result->error) {
        take_error(renewal, result->error);
    } else if (result->failure) {
        take_failure(renewal, result->failure);
    } else if (result->identity) {
        take_identity(renewal, result->identity);
    } else {
        set_state(renewal, RENEWAL_RESTING);
        renewal->confirmed = true;
        clear_problem(renewal);
        if (renewal->events->confirmed)
            renewal->events->confirmed(renewal->owner);
    }
    if (renewal->state == RENEWAL_RESTING)
        arm(renewal);
}

/* Looking. */

static bool is_stopped(struct renewal *renewal)
{
    if (renewal->pause_until_us != INT64_MAX)
        return false;
    if (!has_other_token(renewal)) {
        log_problem(renewal);
        return true;
    }
    clear_problem(renewal);
    return false;
}

static void do_what_is_due(struct renewal *renewal)
{
    renewal->begun = true;
    look_at_files(renewal);
    if (renewal->state != RENEWAL_RESTING || is_stopped(renewal) ||
        clock_monotonic_us() < renewal->pause_until_us)
        return;
    struct task task = next_task(renewal);
    if (task.wanted)
        begin(renewal, task.kind);
}

static void on_timer(uv_timer_t *timer)
{
    renewal_look(timer->data);
}

/* Not below zero. */
static int64_t sooner(int64_t left_us, int64_t other_us)
{
    int64_t least = left_us < other_us ? left_us : other_us;
    return least > 0 ? least : 0;
}

static void arm(struct renewal *renewal)
{
    int64_t left_us = (int64_t)RENEWAL_LOOK_MS * 1000;
    if (renewal->state == RENEWAL_GONE)
        return;
    if (renewal->pause_until_us != 0 && renewal->pause_until_us != INT64_MAX)
        left_us = sooner(left_us, renewal->pause_until_us - clock_monotonic_us());
    else if (renewal->generation > 0 && renewal->pause_until_us == 0)
        left_us = sooner(left_us, schedule_left_us(&renewal->schedule));
    uv_update_time(renewal->loop);
    (void)uv_timer_start(&renewal->timer, on_timer, (uint64_t)left_us / 1000 + 1, 0);
}

void renewal_look(struct renewal *renewal)
{
    if (renewal->state != RENEWAL_RESTING)
        return;
    do_what_is_due(renewal);
    arm(renewal);
}

/* Beginning. */

static bool copy_text(const char *from, char **out)
{
    *out = from ? strdup(from) : NULL;
    return !from || *out;
}

static bool copy_settings(struct renewal *renewal, const struct renewal_settings *settings,
                          struct error *err)
{
    renewal->authority = settings->authority;
    renewal->has_pin = settings->pin != NULL;
    if (settings->pin)
        memcpy(renewal->pin, settings->pin, TLS_PIN_SIZE);
    if (copy_text(settings->server_name, &renewal->server_name) &&
        copy_text(settings->join_file, &renewal->join_file) &&
        copy_text(settings->bound_key, &renewal->bound_key_file) &&
        copy_text(settings->bot, &renewal->bot))
        return true;
    return error_set(err, ERROR_MEMORY, "out of memory");
}

/* Before the first turn of the loop, so that the owner has its pointer when events come. */
static void begin_in_loop(struct renewal *renewal)
{
    struct error err = {0};
    if (!open_store(renewal, &err))
        renewal->problem = err; /* tried again, and told of, with the first attempt */
    (void)credentials_check(renewal->credentials);
    (void)take_notice(renewal);
    manage(renewal);
    if (is_usable(renewal))
        join_token_wipe(&renewal->token); /* not needed: what is not there cannot leak */
    (void)uv_timer_start(&renewal->timer, on_timer, 0, 0);
}

bool renewal_create(uv_loop_t *loop, struct stream_loop *streams, struct credentials *credentials,
                    const struct renewal_settings *settings, const struct join_token *token,
                    const struct renewal_events *events, void *owner, struct renewal **out,
                    struct error *err)
{
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal)
        return error_set(err, ERROR_MEMORY, "out of memory");
    *renewal = (struct renewal){
        .loop = loop,
        .streams = streams,
        .credentials = credentials_ref(credentials),
        .events = events,
        .owner = owner,
        .holds = 1,
        .backoff = {RENEWAL_PAUSE_LEAST_MS, RENEWAL_PAUSE_MOST_MS, 0},
    };
    if (token)
        renewal->token = *token;
    if (!copy_settings(renewal, settings, err)) {
        release_hold(renewal);
        return false;
    }
    if (uv_timer_init(loop, &renewal->timer) != 0) {
        release_hold(renewal);
        return error_set(err, ERROR_SYSTEM, "cannot make a timer");
    }
    renewal->timer.data = renewal;
    renewal->holds++;
    begin_in_loop(renewal);
    *out = renewal;
    return true;
}

/* For others. */

static bool is_same_text(const char *left, const char *right)
{
    return left == right || (left && right && strcmp(left, right) == 0);
}

bool renewal_matches(const struct renewal *renewal, const struct renewal_settings *settings)
{
    bool same_pin = settings->pin
                        ? renewal->has_pin && memcmp(settings->pin, renewal->pin, TLS_PIN_SIZE) == 0
                        : !renewal->has_pin;
    return same_pin && address_equals(&renewal->authority, &settings->authority) &&
           is_same_text(renewal->server_name, settings->server_name) &&
           is_same_text(renewal->join_file, settings->join_file) &&
           is_same_text(renewal->bound_key_file, settings->bound_key) &&
           is_same_text(renewal->bot, settings->bot);
}

bool renewal_is_pending(const struct renewal *renewal)
{
    bool busy = renewal->state == RENEWAL_ASKING || renewal->state == RENEWAL_SAVING;
    return (busy || !renewal->begun) && renewal->problem.code == ERROR_NONE && !is_usable(renewal);
}

void renewal_read_status(const struct renewal *renewal, struct renewal_status *out)
{
    *out = (struct renewal_status){
        .renew_at_us = renewal->generation > 0 ? renewal->schedule.due_wall_us : 0,
        .confirmed = renewal->confirmed,
    };
    memcpy(out->problem, renewal->problem.message, sizeof out->problem);
}
