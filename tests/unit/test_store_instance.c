/* SPDX-License-Identifier: Apache-2.0 */
/* Instances of bots: generations, and the races for them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "authority/store.h"
#include "tests/unit/store_support.h"

#define ID    "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"

static struct store *store;
static struct error err;

static void add(const char *id, const char *serial)
{
    struct store_instance instance = store_an_instance(id, "ci-1", serial);
    struct store_certificate certificate = store_a_certificate(serial, id);
    cr_assert(store_instance_add(store, &instance, &err), "%s", err.message);
    cr_assert(store_certificate_add(store, &certificate, &err), "%s", err.message);
}

static void open_store(void)
{
    store_support_enter();
    store = store_opened();
    store_with_bot(store, "ci-1");
    add(ID, "s1");
}

static void close_store(void)
{
    store_close(store);
    store_support_leave();
}

TestSuite(instance, .init = open_store, .fini = close_store);

static bool advance(const char *expected, const char *serial)
{
    const struct store_next next = {serial, NOW + 2000, NOW + 500};
    bool done = false;
    cr_assert(store_instance_advance(store, ID, expected, &next, &done, &err), "%s", err.message);
    if (done) {
        struct store_certificate certificate = store_a_certificate(serial, ID);
        cr_assert(store_certificate_add(store, &certificate, &err), "%s", err.message);
    }
    return done;
}

static bool replace(const char *expected, const char *serial)
{
    const struct store_next next = {serial, NOW + 3000, NOW + 700};
    bool done = false;
    cr_assert(store_instance_replace(store, ID, expected, &next, &done, &err), "%s", err.message);
    if (done) {
        struct store_certificate certificate = store_a_certificate(serial, ID);
        cr_assert(store_certificate_add(store, &certificate, &err), "%s", err.message);
    }
    return done;
}

static bool confirm(const char *serial)
{
    bool current;
    cr_assert(store_instance_confirm(store, serial, NOW + 900, &current, &err), "%s", err.message);
    return current;
}

static struct store_instance find(void)
{
    struct store_instance instance;
    cr_assert(store_instance_find(store, ID, &instance, &err), "%s", err.message);
    return instance;
}

static bool is(const char *serial, enum store_serial expected)
{
    struct store_instance instance;
    enum store_serial which;
    return store_instance_find_serial(store, serial, &instance, &which, &err) &&
           which == expected && strcmp(instance.id, ID) == 0;
}

Test(instance, comes_back_as_it_was)
{
    struct store_instance found = find();
    cr_expect_str_eq(found.bot, "ci-1");
    cr_expect_str_eq(found.serial, "s1");
    cr_expect_str_eq(found.previous_serial, "");
    cr_expect_str_eq(found.joined_by, "key");
    cr_expect(found.generation == 1 && !found.confirmed && found.created_us == NOW &&
              found.seen_us == NOW && found.not_after_us == NOW + 1000);
}

Test(instance, advances_by_one_generation)
{
    cr_expect(confirm("s1"));
    cr_expect(find().confirmed);
    cr_expect(advance("s1", "s2"));
    struct store_instance found = find();
    cr_expect_str_eq(found.serial, "s2");
    cr_expect_str_eq(found.previous_serial, "s1", "the old one, not the new one twice");
    cr_expect(found.generation == 2 && !found.confirmed && found.not_after_us == NOW + 2000 &&
              found.seen_us == NOW + 500 && found.created_us == NOW);
    cr_expect(advance("s2", "s3"));
    cr_expect_str_eq(find().previous_serial, "s2");
    cr_expect_eq(find().generation, 3);
    cr_expect(is("s3", STORE_SERIAL_CURRENT));
    cr_expect(is("s2", STORE_SERIAL_PREVIOUS));
    cr_expect(is("s1", STORE_SERIAL_OLDER));
}

Test(instance, only_one_of_two_renewals_wins)
{
    cr_expect(advance("s1", "s2"));
    cr_expect_not(advance("s1", "s2b"), "with what is no longer current");
    cr_expect_not(advance("s9", "s9b"), "with what never was");
    cr_expect_not(advance("", "s9b"));
    cr_expect_str_eq(find().serial, "s2");
    cr_expect_eq(find().generation, 2);
}

Test(instance, race_is_decided_within_a_group_too)
{
    cr_assert(store_begin(store, NULL));
    cr_expect(advance("s1", "s2"));
    cr_expect_not(advance("s1", "s2b"));
    store_rollback(store);
    cr_expect(advance("s1", "s2c"), "what was rolled back never was");
    cr_expect_str_eq(find().previous_serial, "s1");
}

Test(instance, replaces_what_was_never_confirmed)
{
    cr_expect(confirm("s1"));
    cr_expect(advance("s1", "s2"));
    cr_expect(replace("s2", "s2b"));
    struct store_instance found = find();
    cr_expect_str_eq(found.serial, "s2b");
    cr_expect_str_eq(found.previous_serial, "s1");
    cr_expect(found.generation == 2 && !found.confirmed && found.not_after_us == NOW + 3000 &&
              found.seen_us == NOW + 700);
    cr_expect(is("s2", STORE_SERIAL_OLDER), "the one that was lost");
    cr_expect(is("s1", STORE_SERIAL_PREVIOUS));
    cr_expect_not(replace("s2", "s2c"), "another one is current");
    cr_expect(confirm("s2b"));
    cr_expect_not(replace("s2b", "s2d"), "it is in use");
    cr_expect_str_eq(find().serial, "s2b");
}

Test(instance, confirms_only_the_current_one)
{
    cr_expect(advance("s1", "s2"));
    cr_expect_not(confirm("s1"));
    cr_expect_not(confirm("nobody's"));
    cr_expect_not(confirm(""));
    cr_expect_not(find().confirmed);
    cr_expect(confirm("s2"));
    cr_expect(confirm("s2"), "again does no harm");
    cr_expect(find().confirmed);
    cr_expect_eq(find().seen_us, NOW + 900);
}

Test(instance, is_refused)
{
    const struct store_next taken = {"t1", NOW, NOW};
    const struct store_next same = {"s1", NOW, NOW};
    struct store_instance instance = store_an_instance(OTHER, "nobody", "x");
    bool done;
    cr_expect_not(store_instance_add(store, &instance, &err));
    cr_expect_eq(err.code, ERROR_NOT_FOUND);
    cr_expect_str_eq(err.message, "there is no bot nobody");
    instance = store_an_instance(ID, "ci-1", "x");
    cr_expect_not(store_instance_add(store, &instance, &err));
    cr_expect_eq(err.code, ERROR_EXISTS);
    instance = store_an_instance(OTHER, "ci-1", "s1");
    cr_expect_not(store_instance_add(store, &instance, &err), "a serial is one instance's");
    cr_expect_eq(err.code, ERROR_EXISTS);
    instance = store_an_instance("short", "ci-1", "x");
    cr_expect_not(store_instance_add(store, &instance, &err));
    cr_expect_eq(err.code, ERROR_LIMIT);
    instance = store_an_instance(OTHER, "ci-1", "x");
    instance.generation = 0;
    cr_expect_not(store_instance_add(store, &instance, &err));
    cr_expect_eq(err.code, ERROR_LIMIT);
    add(OTHER, "t1");
    cr_expect_not(store_instance_advance(store, ID, "s1", &taken, &done, &err));
    cr_expect_eq(err.code, ERROR_EXISTS);
    cr_expect_not(store_instance_advance(store, ID, "s1", &same, &done, &err));
    cr_expect_eq(err.code, ERROR_LIMIT, "its own serial once more");
    cr_expect_str_eq(find().serial, "s1");
    cr_expect_eq(find().generation, 1);
}

Test(instance, is_found_without_the_ledger)
{
    int64_t removed;
    struct store_instance instance;
    enum store_serial which;
    cr_expect(advance("s1", "s2"));
    cr_expect(advance("s2", "s3"));
    cr_assert(store_certificate_prune(store, INT64_MAX, &removed, &err));
    cr_expect_eq(removed, 3);
    cr_expect(is("s3", STORE_SERIAL_CURRENT));
    cr_expect(is("s2", STORE_SERIAL_PREVIOUS));
    cr_expect_not(store_instance_find_serial(store, "s1", &instance, &which, &err));
    cr_expect_eq(err.code, ERROR_NOT_FOUND);
    cr_expect_not(store_instance_find_serial(store, "", &instance, &which, &err),
                  "not those that have no previous one");
    cr_expect_eq(err.code, ERROR_NOT_FOUND);
}

Test(instance, several_of_a_bot_go_their_own_ways)
{
    size_t count = 0;
    size_t all = 0;
    size_t none = 0;
    add(OTHER, "t1");
    store_with_bot(store, "ci-2");
    struct store_instance third =
        store_an_instance("00000000000000000000000000000000", "ci-2", "u1");
    cr_assert(store_instance_add(store, &third, &err), "%s", err.message);
    cr_expect(advance("s1", "s2"));
    cr_expect_str_eq(find().serial, "s2");
    struct store_instance other;
    cr_assert(store_instance_find(store, OTHER, &other, &err));
    cr_expect(other.generation == 1 && strcmp(other.serial, "t1") == 0);
    cr_assert(store_instance_each(store, "ci-1", store_count_instances, &count, &err));
    cr_assert(store_instance_each(store, NULL, store_count_instances, &all, &err));
    cr_assert(store_instance_each(store, "nobody", store_count_instances, &none, &err));
    cr_expect(count == 2 && all == 3 && none == 0);
    cr_assert(store_instance_remove(store, OTHER, &err), "%s", err.message);
    cr_expect_not(store_instance_remove(store, OTHER, &err));
    cr_expect_eq(err.code, ERROR_NOT_FOUND);
}
