/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy's own certificate, from a real authority: joining, keeping, renewing, and all the ways in
 * which there is none. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/keeper.h"
#include "tests/unit/authority_service_support.h"
#include "tls/certificate.h"

TestSuite(proxy_keeper, .init = service_enter, .fini = service_leave);

static const char *const proxy_names[] = {"localhost", "127.0.0.1"};

/* A proxy without its other parts. */
struct world {
    uv_loop_t loop;
    struct stream_loop *streams;
    struct address address;
    char address_text[ADDRESS_TEXT_SIZE], pin[CERTIFICATE_PIN_TEXT_SIZE];
    char directory[96], token_file[96];
    struct authority_link_settings link;
    struct config_strings names;
    struct join_token token;
    struct own_identity *own;
    struct keeper *keeper;
    int changes, failures;
    struct error hopeless;
};

static void on_changed(void *owner)
{
    ((struct world *)owner)->changes++;
}

static void on_hopeless(void *owner, const struct error *err)
{
    struct world *world = owner;
    world->failures++;
    world->hopeless = *err;
}

static const struct keeper_events events = {.changed = on_changed, .hopeless = on_hopeless};

static void write_token(const struct world *world, const char *token)
{
    char temporary[112];
    snprintf(temporary, sizeof temporary, "%s.new", world->token_file);
    FILE *file = fopen(temporary, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fchmod(fileno(file), 0600), 0);
    cr_assert_geq(fprintf(file, "%s\n", token), 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(rename(temporary, world->token_file), 0);
}

static const char *token_for(const char *proxy)
{
    return admin_text_of(admin("{'request':'token_add','proxy':'%s'}", proxy), "token");
}

static void world_open(struct world *world)
{
    struct error err = {0};
    *world = (struct world){.names = {proxy_names, 2}};
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    cr_assert_eq(uv_loop_init(&world->loop), 0);
    cr_assert(stream_loop_create(&world->loop, &world->streams, &err));
    snprintf(world->address_text, sizeof world->address_text, "127.0.0.1:%u",
             authority_service_port(service));
    cr_assert(address_parse(world->address_text, &world->address, &err));
    authority_service_pin(service, world->pin);
    snprintf(world->directory, sizeof world->directory, "%s/identity", home);
    snprintf(world->token_file, sizeof world->token_file, "%s/token", home);
    world->link = (struct authority_link_settings){
        .address = world->address_text,
        .ca_pin = world->pin,
        .server_name = "localhost",
        .identity = world->directory,
        .join = world->token_file,
    };
}

static bool open_own(struct world *world, const char *name, struct error *err)
{
    return own_identity_create(name, &world->names, &world->own, err) &&
           own_identity_open(world->own, world->directory, err);
}

static void begin(struct world *world)
{
    struct error err = {0};
    cr_assert(open_own(world, "proxy-1", &err), "%s", err.message);
    const struct keeper_request request = {
        .loop = &world->loop,
        .streams = world->streams,
        .authority = &world->address,
        .settings = &world->link,
        .own = world->own,
        .token = &world->token,
    };
    cr_assert(keeper_create(&request, &events, world, &world->keeper, &err), "%s", err.message);
}

/* Looks again and again, for so long or until something is the case. */
static bool look(struct world *world, int64_t milliseconds, const int *until)
{
    int64_t end_us = clock_monotonic_us() + milliseconds * 1000;
    int before = until ? *until : 0;
    while (clock_monotonic_us() < end_us && (!until || *until == before)) {
        keeper_look(world->keeper);
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
    }
    return until && *until != before;
}

static void end(struct world *world)
{
    keeper_destroy(world->keeper);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    own_identity_free(world->own);
    world->keeper = NULL;
    world->own = NULL;
}

static void world_close(struct world *world)
{
    end(world);
    stream_loop_destroy(world->streams);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&world->loop), 0);
}

static bool is_current(const struct world *world)
{
    return own_identity_is_current(world->own, clock_wall_us());
}

static void joins(struct world *world)
{
    write_token(world, token_for("proxy-1"));
    begin(world);
    cr_assert(look(world, 5000, &world->changes), "it has not joined");
    cr_assert(is_current(world));
}

static mode_t mode_of(const struct world *world, const char *name)
{
    char path[160];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    cr_assert_eq(stat(path, &info), 0, "there is no %s", path);
    return info.st_mode & 07777;
}

Test(proxy_keeper, a_token_joins_and_the_certificate_is_kept)
{
    struct world world;
    struct error err = {0};
    world_open(&world);
    joins(&world);
    cr_assert_eq(mode_of(&world, ""), 0700);
    cr_assert_eq(mode_of(&world, "key.pem"), 0600);
    cr_assert(own_identity_has_names(world.own, NULL));
    cr_assert_str_eq(record_text("proxy.join", 0, "proxy"), "proxy-1");
    end(&world);
    /* The next start needs nothing else. */
    (void)unlink(world.token_file);
    cr_assert(open_own(&world, "proxy-1", &err), "%s", err.message);
    cr_assert(is_current(&world));
    cr_assert_not(own_identity_is_due(world.own));
    world_close(&world);
}

Test(proxy_keeper, names_of_the_configuration_that_the_certificate_lacks_are_found)
{
    static const char *const other_names[] = {"127.0.0.1", "other.test"};
    struct world world;
    struct error err = {0};
    const char *missing;
    world_open(&world);
    joins(&world);
    end(&world);
    world.names = (struct config_strings){other_names, 2};
    cr_assert(open_own(&world, "proxy-1", &err), "%s", err.message);
    cr_assert_not(own_identity_has_names(world.own, &missing));
    cr_assert_str_eq(missing, "other.test");
    world_close(&world);
}

Test(proxy_keeper, the_directory_of_another_proxy_is_refused)
{
    struct world world;
    struct error err = {0};
    world_open(&world);
    joins(&world);
    end(&world);
    cr_assert_not(open_own(&world, "proxy-2", &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert(strstr(err.message, "holds the certificate of \"proxy-1\""), "%s", err.message);
    world_close(&world);
}

Test(proxy_keeper, a_directory_in_use_is_refused)
{
    struct world world;
    struct own_identity *second;
    struct error err = {0};
    world_open(&world);
    joins(&world);
    cr_assert(own_identity_create("proxy-1", &world.names, &second, &err));
    cr_assert_not(own_identity_open(second, world.directory, &err));
    cr_assert_eq(err.code, ERROR_EXISTS);
    own_identity_free(second);
    world_close(&world);
}

/* Cut off in the middle, as no save of ours leaves it. */
static void damage(const struct world *world, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    cr_assert_eq(truncate(path, 100), 0);
}

Test(proxy_keeper, damaged_files_are_replaced_by_another_join)
{
    static const char *const files[] = {"cert.pem", "key.pem", "ca.pem"};
    struct world world;
    world_open(&world);
    joins(&world);
    for (size_t i = 0; i < 3; i++) {
        end(&world);
        damage(&world, files[i]);
        write_token(&world, token_for("proxy-1"));
        begin(&world);
        cr_assert_not(is_current(&world), "%s", files[i]);
        cr_assert(look(&world, 5000, &world.changes), "not after damage to %s", files[i]);
        cr_assert(is_current(&world));
    }
    world_close(&world);
}

Test(proxy_keeper, a_used_token_waits_for_another_in_its_file)
{
    struct world world;
    world_open(&world);
    const char *token = token_for("proxy-1");
    struct who first = {0};
    struct caller caller;
    caller_open(&caller, NULL);
    cr_assert(caller_asks(&caller,
                          "{'request':'join_proxy','token':'%s','name':'proxy-1','csr':%s,"
                          "'names':['localhost']}",
                          token, json_text(fresh_csr(&first))));
    caller_close(&caller);
    who_release(&first);
    write_token(&world, token);
    begin(&world);
    cr_assert_not(look(&world, 1000, &world.changes));
    cr_assert_eq(world.failures, 0);                 /* a file may change */
    cr_assert_eq(count_records("proxy.join", 2), 2); /* and is asked about once */
    write_token(&world, token_for("proxy-1"));
    cr_assert(look(&world, 5000, &world.changes));
    world_close(&world);
}

Test(proxy_keeper, a_token_for_another_proxy_is_not_tried_again)
{
    struct world world;
    world_open(&world);
    write_token(&world, token_for("proxy-2"));
    begin(&world);
    cr_assert_not(look(&world, 1500, &world.changes));
    cr_assert_eq(count_records("proxy.join", 1), 1);
    world_close(&world);
}

Test(proxy_keeper, without_a_file_a_refused_token_is_the_end)
{
    struct world world;
    struct error err = {0};
    world_open(&world);
    world.link.join = NULL;
    cr_assert(join_token_parse(token_for("proxy-2"), JOIN_TOKEN_LENGTH, "it", &world.token, &err),
              "%s", err.message);
    begin(&world);
    cr_assert(look(&world, 5000, &world.failures));
    cr_assert(strstr(world.hopeless.message, "sallyport token add --proxy proxy-1"), "%s",
              world.hopeless.message);
    cr_assert_eq(world.changes, 0);
    world_close(&world);
}

Test(proxy_keeper, somebody_else_is_not_told_the_token)
{
    struct world world;
    world_open(&world);
    memset(world.pin + strlen("sha256:"), 'a', 64);
    write_token(&world, token_for("proxy-1"));
    begin(&world);
    cr_assert_not(look(&world, 1200, &world.changes));
    cr_assert_eq(world.failures, 0);
    end(&world);
    authority_service_pin(service, world.pin);
    begin(&world);
    cr_assert(look(&world, 5000, &world.changes), "the token was used up");
    world_close(&world);
}

/* Whenever it ends: what was begun ends in the loop, and the same token goes on with the same key.
 */
Test(proxy_keeper, an_end_in_the_middle_of_a_join_costs_no_token)
{
    struct world world;
    world_open(&world);
    write_token(&world, token_for("proxy-1"));
    for (int64_t pause = 0; pause < 12 && world.changes == 0; pause++) {
        begin(&world);
        (void)look(&world, pause, &world.changes);
        end(&world);
    }
    begin(&world);
    if (world.changes == 0 && !is_current(&world))
        cr_assert(look(&world, 5000, &world.changes), "the token was used up");
    cr_assert(is_current(&world));
    world_close(&world);
}

/* --- whether there is any hope --- */

static void hopeless(const struct world *world, bool token, const char *words)
{
    struct error err = {0};
    struct config *config = NULL;
    struct {
        char unused;
    } none;
    static const struct config_table table = {.size = sizeof none};
    cr_assert(config_load_text("f", "/", "{}", 2, &table, &none, &config, &err), "%s", err.message);
    bool good = keeper_check(config, "proxy-1", &world->link, token, &err);
    cr_assert_eq(good, words == NULL, "%s", err.message);
    if (words) {
        cr_assert_eq(err.code, ERROR_CONFIG);
        cr_assert(strstr(err.message, words), "%s", err.message);
    }
    config_free(config);
}

Test(proxy_keeper, a_check_says_what_is_missing)
{
    struct world world;
    world_open(&world);
    hopeless(&world, false, NULL);
    world.link.join = NULL;
    hopeless(&world, false, "sallyport token add --proxy proxy-1");
    hopeless(&world, true, NULL);
    world.link.ca_pin = NULL;
    hopeless(&world, true, "ca_pin");
    world.link.join = world.token_file;
    hopeless(&world, false, "ca_pin");
    world.link.ca_pin = world.pin;
    joins(&world);
    end(&world);
    world.link.join = NULL;
    world.link.ca_pin = NULL;
    hopeless(&world, false, NULL);
    world_close(&world);
}

/* --- renewal --- */

static void short_lives(void)
{
    service_prepare();
    settings.core.proxy_ttl_us = 5000000;
    service_begin();
}

TestSuite(proxy_keeper_renewal, .init = short_lives, .fini = service_leave);

Test(proxy_keeper_renewal, comes_before_the_end_and_is_saved_before_it_is_used)
{
    struct world world;
    struct error err = {0};
    world_open(&world);
    joins(&world);
    int64_t first_us = own_identity_not_after_us(world.own);
    cr_assert(look(&world, 4000, &world.changes), "it was not renewed");
    int64_t second_us = own_identity_not_after_us(world.own);
    cr_assert_gt(second_us, first_us);
    end(&world);
    cr_assert(open_own(&world, "proxy-1", &err), "%s", err.message);
    cr_assert_eq(own_identity_not_after_us(world.own), second_us);
    world_close(&world);
}

Test(proxy_keeper_renewal, a_lapsed_certificate_needs_another_token)
{
    struct world world;
    world_open(&world);
    joins(&world);
    end(&world);
    (void)usleep(5500000);
    begin(&world);
    cr_assert_not(is_current(&world));
    cr_assert_not(look(&world, 800, &world.changes)); /* the token in the file is used up */
    cr_assert_eq(world.failures, 0);
    write_token(&world, token_for("proxy-1"));
    cr_assert(look(&world, 5000, &world.changes));
    cr_assert(is_current(&world));
    world_close(&world);
}
