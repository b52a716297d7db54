/* SPDX-License-Identifier: Apache-2.0 */
/* The `state` event as it is rendered. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "authority/names.h"
#include "authority/state.h"
#include "control/frame.h"
#include "control/state_limits.h"
#include "tests/unit/authority_support.h"

TestSuite(authority_rendering, .init = home_enter, .fini = home_leave);

static struct buffer frame;

/* Renders and prints; the text lives until the next call. */
static struct byte_view rendered(int64_t *version, int64_t *next_expiry)
{
    struct authority_rendering state;
    struct error err = {0};
    control_frame_release(&frame);
    cr_assert(authority_state_render(authority, now_us, &state, &err), "%s", err.message);
    cr_assert(control_frame_print(state.event, CONTROL_ANSWER_MAX, &frame, &err), "%s",
              err.message);
    control_free(state.event);
    if (version)
        *version = state.version;
    if (next_expiry)
        *next_expiry = state.next_expiry_us;
    return byte_view(buffer_bytes(&frame) + CONTROL_HEADER_SIZE,
                     buffer_length(&frame) - CONTROL_HEADER_SIZE);
}

/* As a proxy reads it: strictly. */
static cJSON *read_back(struct byte_view text)
{
    cJSON *event;
    struct control_head head;
    struct error err = {0};
    cr_assert(control_parse(text, &event, &err), "%s", err.message);
    cr_assert(control_head_read(event, &head, &err), "%s", err.message);
    cr_assert_eq(head.form, CONTROL_EVENT);
    cr_assert_str_eq(head.name, "state");
    return event;
}

static struct store_lock add_lock(const char *target, int64_t ttl_us)
{
    struct store_lock lock;
    const struct authority_lock_wanted wanted = {.kind = STORE_LOCK_BOT,
                                                 .target = target,
                                                 .ttl_us = ttl_us,
                                                 .reason = "a \"reason\"\\",
                                                 .created_by = "uid 0"};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    return lock;
}

static void put_role(const char *name)
{
    char text[128];
    enum store_change change;
    snprintf(text, sizeof text, "{\"name\":\"%s\"}", name);
    cr_assert(store_document_put(store, STORE_DOCUMENT_ROLE, name, text, now_us, &change, NULL));
}

Test(authority_rendering, is_whole_when_there_is_nothing)
{
    cJSON *event = read_back(rendered(NULL, NULL));
    cr_assert_str_eq(cJSON_GetObjectItem(event, "trust_domain")->valuestring, "acme.test");
    cr_assert(strstr(cJSON_GetObjectItem(event, "bot_ca")->valuestring, "BEGIN CERTIFICATE"));
    cr_assert_str_eq(cJSON_GetObjectItem(event, "database_ca")->valuestring,
                     authority_ca_bundle(authority, STORE_AUTHORITY_DATABASE_SERVER));
    static const char *const lists[] = {"roles", "databases", "mappings", "locks"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert(cJSON_IsArray(cJSON_GetObjectItem(event, lists[i])));
        cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(event, lists[i])), 0);
    }
    cr_assert(cJSON_IsObject(cJSON_GetObjectItem(event, "bots")));
    control_free(event);
}

Test(authority_rendering, is_sorted_and_the_same_each_time)
{
    static const char *const names[] = {"m", "b", "z", "a"};
    for (size_t i = 0; i < 4; i++) {
        a_bot(names[i], "reader");
        put_role(names[i]);
    }
    cJSON *event = read_back(rendered(NULL, NULL));
    const cJSON *bots = cJSON_GetObjectItem(event, "bots");
    const cJSON *roles = cJSON_GetObjectItem(event, "roles");
    static const char *const sorted[] = {"a", "b", "m", "z"};
    for (int i = 0; i < 4; i++) {
        cr_assert_str_eq(cJSON_GetArrayItem(bots, i)->string, sorted[i]);
        cr_assert_str_eq(cJSON_GetObjectItem(cJSON_GetArrayItem(roles, i), "name")->valuestring,
                         sorted[i]);
    }
    control_free(event);
    char *once = strndup((const char *)buffer_bytes(&frame) + CONTROL_HEADER_SIZE,
                         buffer_length(&frame) - CONTROL_HEADER_SIZE);
    struct byte_view again = rendered(NULL, NULL);
    cr_assert_eq(strlen(once), again.length);
    cr_assert_eq(memcmp(once, again.data, again.length), 0);
    free(once);
}

Test(authority_rendering, has_a_new_version_for_each_change_and_none_for_a_renewal)
{
    int64_t first, second, third;
    a_bot("ci-1", "reader");
    struct authority_identity identity = joined_and_confirmed("ci-1");
    (void)rendered(&first, NULL);
    struct authority_shown shown = {identity.certificate.serial, now_us};
    ENDS(authority_renew(authority, &shown, a_csr(), now_us, &identity, WHY));
    (void)rendered(&second, NULL);
    cr_assert_eq(first, second);
    a_bot("ci-2", "reader");
    (void)rendered(&third, NULL);
    cr_assert_gt(third, second);
}

Test(authority_rendering, tells_locks_until_they_lapse_and_when_the_next_one_does)
{
    int64_t next;
    a_bot("ci-1", "reader");
    a_bot("ci-2", "reader");
    a_bot("ci-3", "reader");
    (void)rendered(NULL, &next);
    cr_assert_eq(next, 0);
    (void)add_lock("ci-1", 0);
    (void)rendered(NULL, &next);
    cr_assert_eq(next, 0, "one without an end");
    (void)add_lock("ci-2", 10 * AUTHORITY_SECOND);
    const struct store_lock soon = add_lock("ci-3", 5 * AUTHORITY_SECOND);
    cJSON *event = read_back(rendered(NULL, &next));
    cr_assert_eq(next, soon.expires_us);
    const cJSON *locks = cJSON_GetObjectItem(event, "locks");
    cr_assert_eq(cJSON_GetArraySize(locks), 3);
    cr_assert_str_eq(cJSON_GetObjectItem(cJSON_GetArrayItem(locks, 0), "reason")->valuestring,
                     "a \"reason\"\\");
    control_free(event);
    now_us += 6 * AUTHORITY_SECOND;
    event = read_back(rendered(NULL, &next));
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(event, "locks")), 2);
    control_free(event);
}

Test(authority_rendering, of_ten_thousand_bots_can_be_read)
{
    cr_assert(store_begin(store, NULL));
    for (int i = 0; i < 10000; i++) {
        char name[32];
        snprintf(name, sizeof name, "bot-%d", i);
        a_bot(name, "shop-reader");
    }
    cr_assert(store_commit(store, NULL));
    cJSON *event = read_back(rendered(NULL, NULL));
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(event, "bots")), 10000);
    control_free(event);
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
    return text ? text : "";
}

static void lock_thing(enum store_lock_kind kind, const char *target, int64_t ttl_us)
{
    struct store_lock lock;
    const struct authority_lock_wanted wanted = {kind, target, ttl_us, "leaked", "uid 0", false};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
}

/* Proxies know no tokens: they are told which instances joined by it. */
Test(authority_rendering, tells_a_tokens_lock_as_one_on_who_joined_by_it)
{
    struct store_instance row;
    int64_t next;
    a_bot("ci-1", "reader");
    (void)joined("ci-1");
    const struct authority_identity bot = joined("ci-1");
    ENDS(store_instance_find(store, bot.instance, &row, &failure));
    lock_thing(STORE_LOCK_TOKEN, authority_joined_token(&row), AUTHORITY_HOUR);
    cJSON *event = read_back(rendered(NULL, &next));
    const cJSON *locks = cJSON_GetObjectItem(event, "locks");
    cr_assert_eq(cJSON_GetArraySize(locks), 1);
    cr_expect_str_eq(text_of(locks->child, "kind"), "instance");
    cr_expect_str_eq(text_of(locks->child, "target"), bot.instance);
    cr_expect(strstr(text_of(locks->child, "reason"), authority_joined_token(&row)));
    cr_expect(strstr(text_of(locks->child, "reason"), "leaked"));
    cr_expect(*text_of(locks->child, "expires") != '\0');
    cr_expect_eq(next, now_us + AUTHORITY_HOUR);
    control_free(event);
}

Test(authority_rendering, has_no_lock_that_proxies_have_no_use_for)
{
    char token[STORE_ID_SIZE];
    a_bot("ci-1", "reader");
    (void)joined_proxy("proxy-1", "p1.test");
    snprintf(token, sizeof token, "%.16s",
             a_token(STORE_TOKEN_BOT, "ci-1") + strlen(AUTHORITY_TOKEN_PREFIX));
    lock_thing(STORE_LOCK_TOKEN, token, 0);
    lock_thing(STORE_LOCK_PROXY, "proxy-1", 0);
    cJSON *event = read_back(rendered(NULL, NULL));
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(event, "locks")), 0);
    control_free(event);
}

/* --- how large it may be --- */

static struct authority_state_size size_of_state(void)
{
    struct authority_rendering state;
    struct error err = {0};
    cr_assert(authority_state_render(authority, now_us, &state, &err), "%s", err.message);
    control_free(state.event);
    return state.size;
}

static size_t count_values(const cJSON *tree)
{
    size_t count = 1;
    for (const cJSON *item = tree->child; item; item = item->next)
        count += count_values(item);
    return count;
}

Test(authority_rendering, is_never_larger_than_it_is_said_to_be)
{
    for (unsigned i = 0; i < 50; i++) {
        char name[32];
        snprintf(name, sizeof name, "bot-%u", i);
        a_bot(name, "reader");
        put_role(name);
        (void)add_lock(name, i * AUTHORITY_SECOND);
    }
    const struct authority_state_size size = size_of_state();
    const struct byte_view text = rendered(NULL, NULL);
    cr_expect_geq(size.bytes, text.length);
    cr_expect_leq(size.bytes, text.length + 2 * AUTHORITY_CHANGE_BYTES);
    cJSON *event = read_back(text);
    cr_expect_geq(size.values, count_values(event));
    cr_expect_leq(size.values, count_values(event) + 3 * AUTHORITY_CHANGE_VALUES);
    cr_expect_eq(size.bots, 50);
    cr_expect_eq(size.locks, 50);
    control_free(event);
}

Test(authority_rendering, one_change_adds_no_more_than_is_said)
{
    char roles[AUTHORITY_ROLES_MAX][STORE_NAME_SIZE];
    const char *list[AUTHORITY_ROLES_MAX];
    char name[STORE_NAME_SIZE], reason[4 * AUTHORITY_REASON_MAX + 1];
    struct store_lock lock;
    for (size_t i = 0; i < AUTHORITY_ROLES_MAX; i++) {
        snprintf(roles[i], sizeof roles[i], "%064zu", i);
        list[i] = roles[i];
    }
    memset(name, 'b', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const struct authority_state_size before = size_of_state();
    bot_with_roles(name, list, AUTHORITY_ROLES_MAX);
    const struct authority_state_size bot = size_of_state();
    cr_expect_leq(bot.bytes - before.bytes, AUTHORITY_CHANGE_BYTES);
    cr_expect_leq(bot.values - before.values, AUTHORITY_CHANGE_VALUES);
    memset(reason, '"', AUTHORITY_REASON_MAX);
    reason[AUTHORITY_REASON_MAX] = '\0';
    const struct authority_lock_wanted wanted = {STORE_LOCK_BOT, name, 1, reason, "x", false};
    ENDS(authority_lock_add(authority, &wanted, now_us, &lock, WHY));
    const struct authority_state_size locked = size_of_state();
    cr_expect_leq(locked.bytes - bot.bytes, AUTHORITY_CHANGE_BYTES);
    cr_expect_leq(locked.values - bot.values, AUTHORITY_CHANGE_VALUES);
}

static bool fits(struct authority_state_size size, size_t *changes)
{
    return authority_state_fits(&size, changes, &refusal);
}

Test(authority_rendering, what_proxies_could_not_take_is_refused_with_what_to_do)
{
    size_t changes;
    cr_assert(fits((struct authority_state_size){.bytes = 1000, .values = 100}, &changes));
    cr_assert_gt(changes, 1000);
    cr_assert(fits((struct authority_state_size){.bots = CONTROL_STATE_BOTS_MAX - 3}, &changes));
    cr_assert_eq(changes, 3);
    cr_assert(fits((struct authority_state_size){.bots = CONTROL_STATE_BOTS_MAX}, &changes));
    cr_assert_eq(changes, 0);
    REFUSED(fits((struct authority_state_size){.bots = CONTROL_STATE_BOTS_MAX + 1}, &changes),
            CONTROL_CONFLICT, "100000 bots: remove");
    REFUSED(fits((struct authority_state_size){.locks = CONTROL_STATE_LOCKS_MAX + 1}, &changes),
            CONTROL_CONFLICT, "20000 locks: remove");
    REFUSED(fits((struct authority_state_size){.bytes = CONTROL_ANSWER_MAX}, &changes),
            CONTROL_CONFLICT, "more than proxies can take");
    REFUSED(fits((struct authority_state_size){.values = CONTROL_VALUES_MAX}, &changes),
            CONTROL_CONFLICT, "remove some first");
}
