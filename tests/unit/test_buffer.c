/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An allocator that fails once its allowance is used up; negative allows all. */
static int allocations_left = -1;

static void *scarce_reallocate(void *memory, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    return realloc(memory, size);
}

static void assert_holds(const struct buffer *buffer, const char *expected)
{
    cr_assert(buffer_check(buffer));
    cr_assert_eq(buffer_length(buffer), strlen(expected), "%zu bytes", buffer_length(buffer));
    cr_assert_eq(memcmp(buffer_bytes(buffer), expected, strlen(expected)), 0);
}

static void append(struct buffer *buffer, const char *text)
{
    struct error err = {0};
    cr_assert(buffer_append(buffer, text, strlen(text), &err), "%s", err.message);
}

Test(buffer, starts_empty_and_allocates_nothing)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    assert_holds(&buffer, "");
    cr_assert_null(buffer.storage);
    cr_assert_not_null(buffer_bytes(&buffer));
    buffer_release(&buffer);
}

Test(buffer, appends_and_consumes_in_order)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    append(&buffer, "hello ");
    append(&buffer, "world");
    assert_holds(&buffer, "hello world");
    buffer_consume(&buffer, 6);
    assert_holds(&buffer, "world");
    buffer_consume(&buffer, 99);
    assert_holds(&buffer, "");
    cr_assert_eq(buffer.start, 0);
    buffer_release(&buffer);
}

Test(buffer, appending_nothing_is_fine_even_without_storage)
{
    struct buffer buffer;
    buffer_init(&buffer, 0);
    cr_assert(buffer_append(&buffer, NULL, 0, NULL));
    cr_assert_null(buffer.storage);
}

Test(buffer, refuses_one_byte_past_its_limit_and_keeps_what_it_has)
{
    char bytes[1001];
    memset(bytes, 'a', sizeof bytes);
    struct buffer buffer;
    struct error err = {0};
    buffer_init(&buffer, 1000);
    cr_assert(buffer_append(&buffer, bytes, 999, NULL));
    cr_assert_not(buffer_append(&buffer, "bc", 2, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_str_eq(err.message, "1 bytes more than the limit of 1000 bytes");
    cr_assert_eq(buffer_length(&buffer), 999);
    append(&buffer, "b");
    cr_assert_eq(buffer_length(&buffer), 1000);
    cr_assert_eq(buffer.capacity, 1000);
    cr_assert_not(buffer_append(&buffer, "c", 1, NULL));
    cr_assert(buffer_check(&buffer));
    buffer_release(&buffer);
}

Test(buffer, a_length_near_the_greatest_is_refused_not_wrapped)
{
    struct buffer buffer;
    uint8_t *room = NULL;
    buffer_init(&buffer, SIZE_MAX);
    append(&buffer, "abc");
    cr_assert_not(buffer_reserve(&buffer, SIZE_MAX - 2, &room, NULL));
    cr_assert_not(buffer_reserve(&buffer, SIZE_MAX, &room, NULL));
    cr_assert_null(room);
    assert_holds(&buffer, "abc");
    buffer_release(&buffer);
}

Test(buffer, consumed_room_is_used_again_without_growing)
{
    struct buffer buffer;
    buffer_init(&buffer, 256);
    char bytes[200] = {0};
    cr_assert(buffer_append(&buffer, bytes, sizeof bytes, NULL));
    size_t capacity = buffer.capacity;
    for (int i = 0; i < 1000; i++) {
        buffer_consume(&buffer, 150);
        cr_assert(buffer_append(&buffer, bytes, 150, NULL));
        cr_assert_eq(buffer.capacity, capacity);
    }
    cr_assert(buffer_check(&buffer));
    buffer_release(&buffer);
}

Test(buffer, at_least_doubles_when_it_grows)
{
    struct buffer buffer;
    buffer_init(&buffer, 1 << 20);
    size_t growths = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < 1 << 20; i++) {
        cr_assert(buffer_append(&buffer, "x", 1, NULL));
        if (buffer.capacity != capacity)
            growths++;
        capacity = buffer.capacity;
    }
    cr_assert_leq(growths, 13);
    cr_assert_eq(buffer.capacity, 1 << 20);
    buffer_release(&buffer);
}

Test(buffer, fixed_never_allocates_and_never_frees)
{
    char storage[8];
    struct buffer buffer;
    allocations_left = 0;
    buffer_set_allocator(scarce_reallocate);
    buffer_init_fixed(&buffer, storage, sizeof storage);
    append(&buffer, "12345678");
    cr_assert_not(buffer_append(&buffer, "9", 1, NULL));
    buffer_consume(&buffer, 3);
    append(&buffer, "abc");
    assert_holds(&buffer, "45678abc");
    buffer_release(&buffer);
    assert_holds(&buffer, "");
    append(&buffer, "again");
    assert_holds(&buffer, "again");
    cr_assert_eq(buffer.storage, (uint8_t *)storage);
    buffer_trim(&buffer, 0);
    cr_assert_eq(buffer.capacity, sizeof storage);
    buffer_set_allocator(NULL);
}

Test(buffer, the_nth_allocation_fails_and_nothing_is_lost)
{
    buffer_set_allocator(scarce_reallocate);
    for (int allowed = 0; allowed < 6; allowed++) {
        struct buffer buffer;
        struct error err = {0};
        size_t appended = 0;
        buffer_init(&buffer, 1 << 20);
        allocations_left = allowed;
        while (buffer_append(&buffer, "0123456789", 10, &err))
            appended += 10;
        cr_assert_eq(err.code, ERROR_MEMORY);
        cr_assert_eq(buffer_length(&buffer), appended);
        cr_assert(buffer_check(&buffer));
        for (size_t i = 0; i < appended; i++)
            cr_assert_eq(buffer_bytes(&buffer)[i], '0' + i % 10);
        allocations_left = -1;
        cr_assert(buffer_append(&buffer, "x", 1, NULL));
        buffer_release(&buffer);
    }
    buffer_set_allocator(NULL);
}

Test(buffer, reserve_and_commit_write_in_place)
{
    struct buffer buffer;
    uint8_t *room;
    buffer_init(&buffer, 16);
    cr_assert(buffer_reserve(&buffer, 16, &room, NULL));
    assert_holds(&buffer, "");
    memcpy(room, "abc", 3);
    buffer_commit(&buffer, 3);
    assert_holds(&buffer, "abc");
    buffer_commit(&buffer, 1000);
    cr_assert(buffer_check(&buffer));
    cr_assert_eq(buffer_length(&buffer), 16);
    buffer_release(&buffer);
}

Test(buffer, truncate_cuts_the_end_only)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    append(&buffer, "0123456789");
    buffer_consume(&buffer, 2);
    buffer_truncate(&buffer, 20);
    assert_holds(&buffer, "23456789");
    buffer_truncate(&buffer, 3);
    assert_holds(&buffer, "234");
    buffer_truncate(&buffer, 0);
    assert_holds(&buffer, "");
    buffer_release(&buffer);
}

Test(buffer, trim_frees_large_storage_and_keeps_small)
{
    struct buffer buffer;
    char bytes[4096] = {0};
    buffer_init(&buffer, 1 << 16);
    append(&buffer, "small");
    buffer_trim(&buffer, 1024);
    cr_assert_not_null(buffer.storage);
    assert_holds(&buffer, "");
    cr_assert(buffer_append(&buffer, bytes, sizeof bytes, NULL));
    buffer_trim(&buffer, 1024);
    cr_assert_null(buffer.storage);
    cr_assert_eq(buffer.capacity, 0);
    append(&buffer, "again");
    assert_holds(&buffer, "again");
    buffer_release(&buffer);
}

Test(buffer, release_twice_is_safe)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    append(&buffer, "x");
    buffer_release(&buffer);
    buffer_release(&buffer);
    assert_holds(&buffer, "");
}

Test(buffer, check_finds_each_broken_invariant)
{
    uint8_t storage[8];
    const struct buffer good = {
        .storage = storage, .start = 2, .end = 4, .capacity = 8, .limit = 8};
    cr_assert(buffer_check(&good));
    struct buffer bad = good;
    bad.start = 5;
    cr_assert_not(buffer_check(&bad));
    bad = good;
    bad.end = 9;
    cr_assert_not(buffer_check(&bad));
    bad = good;
    bad.limit = 7;
    cr_assert_not(buffer_check(&bad));
    bad = good;
    bad.storage = NULL;
    cr_assert_not(buffer_check(&bad));
}

/* A plain model of the buffer: its bytes, always at the front of an array. */
struct model {
    uint8_t bytes[512];
    size_t length;
};

#define MODEL_LIMIT 500

static void random_append(struct buffer *buffer, struct model *model)
{
    uint8_t bytes[96];
    size_t length = (size_t)rand() % sizeof bytes;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)rand();
    bool fits = model->length + length <= MODEL_LIMIT;
    cr_assert_eq(buffer_append(buffer, bytes, length, NULL), fits);
    if (!fits)
        return;
    memcpy(model->bytes + model->length, bytes, length);
    model->length += length;
}

static void random_consume(struct buffer *buffer, struct model *model)
{
    size_t length = (size_t)rand() % 128;
    buffer_consume(buffer, length);
    if (length > model->length)
        length = model->length;
    model->length -= length;
    memmove(model->bytes, model->bytes + length, model->length);
}

static void random_step(struct buffer *buffer, struct model *model)
{
    switch (rand() % 16) {
    case 0:
        buffer_clear(buffer);
        model->length = 0;
        break;
    case 1:
        buffer_trim(buffer, (size_t)rand() % 512);
        model->length = 0;
        break;
    case 2:
        buffer_truncate(buffer, MODEL_LIMIT / 2);
        model->length = model->length < MODEL_LIMIT / 2 ? model->length : MODEL_LIMIT / 2;
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        random_consume(buffer, model);
        break;
    default:
        random_append(buffer, model);
    }
}

Test(buffer, random_operations_agree_with_a_model)
{
    unsigned seed = (unsigned)time(NULL);
    const char *given = getenv("SALLYPORT_TEST_SEED");
    if (given)
        seed = (unsigned)strtoul(given, NULL, 10);
    srand(seed);
    struct buffer buffer;
    struct model model = {.length = 0};
    buffer_init(&buffer, MODEL_LIMIT);
    for (int step = 0; step < 20000; step++) {
        random_step(&buffer, &model);
        cr_assert(buffer_check(&buffer), "SALLYPORT_TEST_SEED=%u step %d", seed, step);
        cr_assert_eq(buffer_length(&buffer), model.length, "SALLYPORT_TEST_SEED=%u step %d", seed,
                     step);
        cr_assert_eq(memcmp(buffer_bytes(&buffer), model.bytes, model.length), 0,
                     "SALLYPORT_TEST_SEED=%u step %d", seed, step);
    }
    buffer_release(&buffer);
}

/* Neither what was consumed nor what was cut off is left. */
Test(buffer, wiping_leaves_nothing_in_the_storage)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    append(&buffer, "consumed secret, held secret, cut secret");
    buffer_consume(&buffer, 17);
    buffer_truncate(&buffer, 12);
    const uint8_t *storage = buffer.storage;
    size_t capacity = buffer.capacity;
    memset(buffer.storage + 40, 'x', capacity - 40); /* room that was reserved and written to */
    buffer_wipe(&buffer);
    assert_holds(&buffer, "");
    cr_assert_eq(buffer.storage, storage);
    cr_assert_eq(buffer.capacity, capacity);
    for (size_t i = 0; i < capacity; i++)
        cr_assert_eq(storage[i], 0, "byte %zu", i);
    append(&buffer, "and used again");
    assert_holds(&buffer, "and used again");
    buffer_release(&buffer);
}

Test(buffer, wiping_reaches_the_callers_storage_and_bears_none)
{
    char storage[16];
    struct buffer buffer;
    memset(storage, 'x', sizeof storage);
    buffer_init_fixed(&buffer, storage, sizeof storage);
    append(&buffer, "secret");
    buffer_wipe(&buffer);
    assert_holds(&buffer, "");
    for (size_t i = 0; i < sizeof storage; i++)
        cr_assert_eq(storage[i], 0, "byte %zu", i);
    buffer_init(&buffer, 10);
    buffer_wipe(&buffer);
    assert_holds(&buffer, "");
    buffer_release(&buffer);
    buffer_wipe(&buffer);
}
