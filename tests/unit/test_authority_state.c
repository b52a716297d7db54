/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "control/fields.h"
#include "proxy/authority_state.h"

#define HEAD                                                                                 \
    "\"event\":\"state\",\"version\":17,\"trust_domain\":\"acme.example\",\"bot_ca\":\"B\"," \
    "\"service_ca\":\"S\",\"database_ca\":\"D\""
#define BOTS "\"bots\":{\"web\":[\"writer\"],\"ci-1\":[\"reader\",\"writer\"],\"none\":[]}"
#define LOCKS                                                                               \
    "\"locks\":[{\"id\":\"1\",\"kind\":\"bot\",\"target\":\"ci-1\",\"reason\":\"leaked\"}," \
    "{\"id\":\"2\",\"kind\":\"role\",\"target\":\"writer\",\"reason\":\"\","                \
    "\"expires\":\"2026-01-01T00:00:00Z\"},"                                                \
    "{\"id\":\"3\",\"kind\":\"instance\",\"target\":\"t\",\"reason\":\"x\"}]"
#define REST                                                               \
    "\"roles\":[{\"name\":\"reader\",\"allow\":{\"databases\":[\"shop\"]," \
    "\"mysql_users\":[\"reader\"],\"schemas\":[\"shop\"]}}],"              \
    "\"databases\":[{\"name\":\"shop\",\"address\":\"10.0.0.5:3306\"}],"   \
    "\"mappings\":[{\"subject\":\"CN=x\",\"roles\":[\"reader\"]}]"

static bool create(const char *text, struct authority_state **out, struct error *err)
{
    cJSON *event = cJSON_Parse(text);
    cr_assert_not_null(event, "%s", text);
    bool good = authority_state_create(event, out, err);
    cJSON_Delete(event); /* the state must not need it */
    return good;
}

static struct authority_state *make(void)
{
    struct authority_state *state;
    struct error err = {0};
    cr_assert(create("{" HEAD "," BOTS "," LOCKS "," REST ",\"more\":1}", &state, &err), "%s",
              err.message);
    return state;
}

static void expect_refused(const char *text, const char *why)
{
    struct authority_state *state;
    struct error err = {0};
    cr_assert_not(create(text, &state, &err), "%s", text);
    cr_assert_null(state);
    cr_assert_not_null(strstr(err.message, why), "%s", err.message);
}

Test(authority_state, holds_what_the_event_said)
{
    struct authority_state *state = make();
    cr_assert_eq(state->version, 17);
    cr_assert_str_eq(state->trust_domain, "acme.example");
    cr_assert_str_eq(state->database_ca, "D");
    cr_assert_eq(state->role_count, 1);
    cr_assert_str_eq(state->roles[0].allow.mysql_users.items[0], "reader");
    cr_assert_eq(state->database_count, 1);
    cr_assert_str_eq(state->databases[0].address, "10.0.0.5:3306");
    cr_assert_eq(state->mapping_count, 1);
    authority_state_unref(state);
}

Test(authority_state, finds_bots_by_name)
{
    struct authority_state *state = make();
    const struct authority_bot *bot = authority_state_bot(state, "ci-1");
    cr_assert_not_null(bot);
    cr_assert_eq(bot->role_count, 2);
    cr_assert_str_eq(bot->roles[1], "writer");
    cr_assert_eq(authority_state_bot(state, "none")->role_count, 0);
    cr_assert_null(authority_state_bot(state, "ci-"));
    cr_assert_null(authority_state_bot(state, "ci-11"));
    cr_assert_null(authority_state_bot(state, ""));
    authority_state_unref(state);
}

Test(authority_state, locks_hold_for_their_kind_and_time)
{
    struct authority_state *state = make();
    int64_t new_year;
    cr_assert(control_time_parse("2026-01-01T00:00:00Z", &new_year, NULL));
    const struct authority_lock *lock = authority_state_lock(state, LOCK_BOT, "ci-1", new_year);
    cr_assert_not_null(lock);
    cr_assert_str_eq(lock->reason, "leaked");
    cr_assert_null(authority_state_lock(state, LOCK_ROLE, "ci-1", new_year));
    cr_assert_null(authority_state_lock(state, LOCK_BOT, "ci-2", new_year));
    lock = authority_state_lock(state, LOCK_ROLE, "writer", new_year - 1);
    cr_assert_not_null(lock);
    cr_assert_str_eq(lock->reason, "no reason was given");
    cr_assert_null(authority_state_lock(state, LOCK_ROLE, "writer", new_year));
    cr_assert_not_null(authority_state_lock(state, LOCK_INSTANCE, "t", 0));
    cr_assert_null(authority_state_lock(state, LOCK_DATABASE, "t", 0));
    authority_state_unref(state);
}

Test(authority_state, refuses_what_it_cannot_read)
{
    expect_refused("{}", "version");
    expect_refused("{" HEAD "," LOCKS "," REST "}", "bots");
    expect_refused("{" HEAD ",\"bots\":[]," LOCKS "," REST "}", "bots");
    expect_refused("{" HEAD ",\"bots\":{\"a\":\"b\"}," LOCKS "," REST "}", "roles of bot a");
    expect_refused("{" HEAD ",\"bots\":{\"a\":[1]}," LOCKS "," REST "}", "bot a");
    expect_refused("{" HEAD ",\"bots\":{\"\":[]}," LOCKS "," REST "}", "no name");
    expect_refused("{" HEAD "," BOTS "," REST "}", "locks");
    expect_refused("{" HEAD "," BOTS ",\"locks\":[{}]," REST "}", "a lock");
    expect_refused("{" HEAD "," BOTS ",\"locks\":[{\"kind\":\"bot\",\"target\":\"\"}]," REST "}",
                   "a lock");
    expect_refused("{" HEAD "," BOTS "," LOCKS ",\"roles\":[{\"nam\":\"x\"}]}", "nam");
    expect_refused("{" HEAD "," BOTS "," LOCKS ",\"databases\":[{\"name\":\"x\"}]}", "address");
}

/* Whom it is on is not known: passing it over would let him in. */
Test(authority_state, refuses_a_lock_of_a_kind_that_it_does_not_know)
{
    expect_refused("{" HEAD "," BOTS ",\"locks\":[{\"kind\":\"token\",\"target\":\"t\"}]," REST "}",
                   "\"token\", which this version does not know");
    expect_refused("{" HEAD "," BOTS ",\"locks\":[{\"kind\":\"Bot\",\"target\":\"t\"}]," REST "}",
                   "\"Bot\", which this version does not know");
}

/* They would be files of the proxy's machine. */
Test(authority_state, refuses_a_database_that_names_files)
{
    static const char *const files[] = {
        "\"tls\":{\"ca\":\"/etc/ssl/ca.pem\"}",
        "\"tls\":{\"cert\":\"c.pem\",\"key\":\"k.pem\"}",
        "\"passwords\":[{\"mysql_user\":\"u\",\"file\":\"/etc/shadow\"}]",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text,
                       "{" HEAD "," BOTS "," LOCKS ",\"databases\":[{\"name\":\"shop\","
                       "\"address\":\"10.0.0.5:3306\",%s}]}",
                       files[i]);
        expect_refused(text, "database shop names files");
    }
}

static bool names(const char *const *uris, size_t count, const char **bot, const char **instance)
{
    struct authority_state *state = make();
    static struct identity identity;
    memset(&identity, 0, sizeof identity);
    for (size_t i = 0; i < count; i++)
        identity.san_uris[i] = uris[i];
    identity.san_uri_count = count;
    bool named = authority_state_names(state, &identity, bot, instance);
    authority_state_unref(state);
    return named;
}

Test(authority_state, knows_its_bots_by_their_uris)
{
    const char *bot, *instance;
    const char *const both[] = {"sallyport:instance:77", "spiffe://acme.example/bot/ci-1"};
    cr_assert(names(both, 2, &bot, &instance));
    cr_assert_str_eq(bot, "ci-1");
    cr_assert_str_eq(instance, "77");
    cr_assert(names(both + 1, 1, &bot, &instance));
    cr_assert_null(instance);
    cr_assert_not(names(both, 1, &bot, &instance));
    cr_assert_not(names(NULL, 0, &bot, &instance));
}

Test(authority_state, knows_no_bots_of_others)
{
    static const char *const strangers[] = {
        "spiffe://acme.example.org/bot/ci-1", "spiffe://acme.exampl/bot/ci-1",
        "spiffe://acme.example/proxy/ci-1",   "spiffe://acme.example/bot/",
        "https://acme.example/bot/ci-1",      "xspiffe://acme.example/bot/ci-1",
    };
    const char *bot, *instance;
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        cr_assert_not(names(&strangers[i], 1, &bot, &instance), "%s", strangers[i]);
    const char *const two[] = {"spiffe://acme.example/bot/a", "spiffe://acme.example/bot/b"};
    cr_assert_not(names(two, 2, &bot, &instance));
    const char *const instances[] = {"spiffe://acme.example/bot/a", "sallyport:instance:1",
                                     "sallyport:instance:2"};
    cr_assert_not(names(instances, 3, &bot, &instance));
}
