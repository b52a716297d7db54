/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy's link to a real authority, when what the authority says cannot be followed. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/authority_link.h"
#include "tests/unit/authority_service_support.h"

TestSuite(authority_link, .init = service_enter, .fini = service_leave);

#define STALE_AFTER_MS 2000

/* A proxy that has no other parts than its link. */
struct world {
    uv_loop_t loop;
    struct stream_loop *streams;
    char address[ADDRESS_TEXT_SIZE], pin[CERTIFICATE_PIN_TEXT_SIZE];
    char directory[96], token_file[96];
    struct authority_link_settings settings;
    struct own_identity *own;
    struct authority_link *link;
    bool closed;

    bool takes;          /* to be set by tests: whether provisions are taken */
    bool takes_known;    /* … those at least that say nothing new */
    unsigned offers;     /* how many came */
    uint64_t version;    /* of the last that was taken */
    size_t locks;        /* of that */
    bool stale;          /* likewise */
    int64_t stale_at_us; /* monotonic: when one was taken that is */
};

static bool on_provided(void *owner, struct provision *provision, struct error *err)
{
    struct world *world = owner;
    const struct authority_state *state = provision->state;
    bool known = state->version == world->version;
    world->offers++;
    if (!world->takes && !(world->takes_known && known))
        return error_set(err, ERROR_MEMORY, "the test takes none");
    world->version = state->version;
    world->locks = state->lock_count;
    world->stale = provision->stale;
    if (provision->stale && world->stale_at_us == 0)
        world->stale_at_us = clock_monotonic_us();
    return true;
}

static void on_hopeless(void *owner, const struct error *err)
{
    (void)owner;
    cr_assert_fail("hopeless: %s", err->message);
}

static void on_closed(void *owner)
{
    ((struct world *)owner)->closed = true;
}

static const struct authority_link_events events = {
    .provided = on_provided, .hopeless = on_hopeless, .closed = on_closed};

static void write_token(const char *file, const char *token)
{
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, token, strlen(token)), (ssize_t)strlen(token));
    cr_assert_eq(close(fd), 0);
}

static void world_open(struct world *world)
{
    static const char *const items[] = {"localhost"};
    static const struct config_strings names = {(const char **)(uintptr_t)items, 1};
    struct error err = {0};
    *world = (struct world){.takes = true};
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    apply_reader();
    cr_assert_eq(uv_loop_init(&world->loop), 0);
    cr_assert(stream_loop_create(&world->loop, &world->streams, &err));
    (void)snprintf(world->address, sizeof world->address, "127.0.0.1:%u",
                   authority_service_port(service));
    authority_service_pin(service, world->pin);
    (void)snprintf(world->directory, sizeof world->directory, "%s/identity", home);
    (void)snprintf(world->token_file, sizeof world->token_file, "%s/token", home);
    write_token(world->token_file,
                admin_text_of(admin("{'request':'token_add','proxy':'proxy-1'}"), "token"));
    world->settings = (struct authority_link_settings){
        .address = world->address,
        .ca_pin = world->pin,
        .server_name = "localhost",
        .identity = world->directory,
        .join = world->token_file,
        .stale_after_ms = STALE_AFTER_MS,
        .when_stale = WHEN_STALE_DENY,
    };
    cr_assert(own_identity_create("proxy-1", &names, &world->own, &err) &&
                  own_identity_open(world->own, world->directory, &err),
              "%s", err.message);
    const struct authority_link_request request = {
        .loop = &world->loop,
        .streams = world->streams,
        .settings = &world->settings,
        .own = world->own,
    };
    cr_assert(authority_link_open(&request, &events, world, &world->link, &err), "%s", err.message);
}

/* Until something is the case, or for that long; whether it is. */
static bool runs(struct world *world, bool (*until)(const struct world *world), int milliseconds)
{
    int64_t end_us = clock_monotonic_us() + (int64_t)milliseconds * 1000;
    while (!until(world) && clock_monotonic_us() < end_us) {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
    }
    return until(world);
}

static bool is_provided(const struct world *world)
{
    return world->version > 0;
}

static bool is_locked(const struct world *world)
{
    return world->locks > 0;
}

static bool is_stale(const struct world *world)
{
    return world->stale;
}

static bool is_fresh(const struct world *world)
{
    return !world->stale;
}

static bool is_closed(const struct world *world)
{
    return world->closed;
}

static void world_close(struct world *world)
{
    authority_link_close(world->link);
    cr_assert(runs(world, is_closed, 5000));
    stream_loop_destroy(world->streams);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    own_identity_free(world->own);
    cr_assert_eq(uv_loop_close(&world->loop), 0);
}

static void lock_bot(void)
{
    admin_does("{'request':'lock_add','kind':'bot','target':'ci-1','reason':'x'}");
}

Test(authority_link, a_lock_that_could_not_be_taken_is_offered_until_it_is)
{
    struct world world;
    world_open(&world);
    (void)add_bot("ci-1");
    cr_assert(runs(&world, is_provided, 5000));
    world.takes = false;
    lock_bot();
    unsigned before = world.offers;
    cr_assert_not(runs(&world, is_locked, 1700));
    cr_assert_geq(world.offers, before + 3, "at once, and at each tick");
    world.takes = true;
    cr_assert(runs(&world, is_locked, LINK_TICK_MS + 500));
    cr_assert_not(runs(&world, is_stale, STALE_AFTER_MS + 1500), "it hears and follows");
    before = world.offers;
    cr_assert_not(runs(&world, is_stale, 1200));
    cr_assert_eq(world.offers, before, "once is enough");
    world_close(&world);
}

/* The authority lives and says so: that must not keep new sessions coming past a lock. */
Test(authority_link, a_lock_that_cannot_be_taken_ends_in_staleness)
{
    struct world world;
    world_open(&world);
    (void)add_bot("ci-1");
    cr_assert(runs(&world, is_provided, 5000));
    (void)runs(&world, is_stale, 300);
    world.takes = false;
    world.takes_known = true;
    lock_bot();
    int64_t began_us = clock_monotonic_us();
    cr_assert(runs(&world, is_stale, STALE_AFTER_MS + 2500));
    cr_assert_geq(world.stale_at_us - began_us, (STALE_AFTER_MS - 1500) * 1000);
    cr_assert_not(is_locked(&world));
    world.takes = true;
    cr_assert(runs(&world, is_locked, LINK_TICK_MS + 500));
    cr_assert(runs(&world, is_fresh, 3000));
    cr_assert(is_locked(&world));
    world_close(&world);
}

static void damage(const char *sql)
{
    char path[128];
    sqlite3 *db;
    (void)snprintf(path, sizeof path, "%s/authority.db", settings.directory);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

/* A version that knows more than this one, or a slip of the authority. */
Test(authority_link, a_state_that_cannot_be_read_ends_in_staleness)
{
    struct world world;
    world_open(&world);
    (void)add_bot("ci-1");
    cr_assert(runs(&world, is_provided, 5000));
    (void)runs(&world, is_stale, 300);
    damage("UPDATE documents SET text = replace(text, '\"allow\"', '\"alow\"')");
    lock_bot();
    cr_assert(runs(&world, is_stale, STALE_AFTER_MS + 2500));
    cr_assert_not(is_locked(&world));
    damage("UPDATE documents SET text = replace(text, '\"alow\"', '\"allow\"')");
    admin_does("{'request':'lock_add','kind':'role','target':'reader','reason':'y'}");
    cr_assert(runs(&world, is_locked, 3000));
    cr_assert(runs(&world, is_fresh, 3000));
    cr_assert_eq(world.locks, 2);
    world_close(&world);
}

/* Nor may an authority seem well that has a lock to tell and cannot. */
Test(authority_link, an_authority_that_cannot_tell_its_state_is_not_heard)
{
    struct world world;
    world_open(&world);
    (void)add_bot("ci-1");
    (void)add_bot("ci-2");
    cr_assert(runs(&world, is_provided, 5000));
    (void)runs(&world, is_stale, 300);
    admin_does("{'request':'lock_add','kind':'bot','target':'ci-2','reason':'y'}");
    cr_assert(runs(&world, is_locked, 1000));
    damage("UPDATE locks SET kind = 'nonsense'");
    lock_bot();
    cr_assert(runs(&world, is_stale, STALE_AFTER_MS + 3000));
    damage("UPDATE locks SET kind = 'bot'");
    cr_assert(runs(&world, is_fresh, 8000));
    cr_assert_eq(world.locks, 2);
    world_close(&world);
}
