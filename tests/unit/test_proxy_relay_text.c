/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay reads out of a statement's text, and the pool of exchanges. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/relay.h"

/* Exactly these bytes, in memory of their own, so that a read past them is seen. */
static struct byte_view text_of(const char *text, char **memory)
{
    size_t length = strlen(text);
    *memory = malloc(length ? length : 1);
    cr_assert_not_null(*memory);
    memcpy(*memory, text, length);
    return byte_view((const uint8_t *)*memory, length);
}

static void names(const char *statement, const char *charset)
{
    char storage[32], *memory;
    const char *found = relay_charset_of(text_of(statement, &memory), storage, sizeof storage);
    if (charset)
        cr_assert_str_eq(found ? found : "(none)", charset, "%s", statement);
    else
        cr_assert_null(found, "%s names %s", statement, found);
    free(memory);
}

Test(proxy_relay_charset, finds_what_set_names)
{
    names("SET NAMES utf8mb4", "utf8mb4");
    names("set names 'latin1'", "latin1");
    names("SET NAMES \"gbk\" COLLATE \"gbk_bin\"", "gbk");
    names("  SET\tNAMES\nSJIS;", "sjis");
    names("SET CHARACTER SET koi8r", "koi8r");
    names("SET CHARSET koi8r", "koi8r");
    names("SET character_set_client = big5", "big5");
    names("SET SESSION character_set_client=big5", "big5");
    names("SET @@session.character_set_client='big5'", "big5");
    names("SET LOCAL character_set_client='big5'", "big5");
}

Test(proxy_relay_charset, finds_none_in_other_statements)
{
    names("", NULL);
    names("SET", NULL);
    names("SET NAMES", NULL);
    names("SET NAMES ", NULL);
    names("SELECT 'SET NAMES latin1'", NULL);
    names("SET autocommit = 1", NULL);
    names("SET CHARACTER", NULL);
    names("SET CHARACTER latin1", NULL);
    names("SETNAMES latin1", NULL);
    names("SET character_set_results = latin1", NULL);
}

Test(proxy_relay_charset, a_name_that_does_not_fit_is_none)
{
    char storage[8], *memory;
    cr_assert_not_null(
        relay_charset_of(text_of("SET NAMES seven77", &memory), storage, sizeof storage));
    free(memory);
    cr_assert_null(
        relay_charset_of(text_of("SET NAMES eight888", &memory), storage, sizeof storage));
    free(memory);
}

static bool asks(const char *statement)
{
    char *memory;
    bool found = relay_asks_infile(text_of(statement, &memory));
    free(memory);
    return found;
}

Test(proxy_relay_infile, finds_what_can_ask_for_a_file)
{
    cr_assert(asks("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"));
    cr_assert(asks("load xml local/**/InFiLe 'x' into table t"));
    cr_assert(asks("infile"));
}

Test(proxy_relay_infile, nothing_else_does)
{
    cr_assert_not(asks(""));
    cr_assert_not(asks("infil"));
    cr_assert_not(asks("SELECT 1"));
    cr_assert_not(asks("SELECT 1 INTO OUTFILE 'x'"));
    cr_assert_not(asks("iiiiiiinfil"));
}

Test(proxy_exchange, pool_gives_back_what_it_was_given)
{
    struct worker worker = {0};
    struct exchange *first = exchange_take(&worker);
    cr_assert_not_null(first);
    exchange_give(&worker, first);
    cr_assert_eq(worker.spare_exchange_count, 1);
    cr_assert_eq(exchange_take(&worker), first);
    cr_assert_eq(worker.spare_exchange_count, 0);
    exchange_give(&worker, first);
    exchange_free_spares(&worker);
    cr_assert_eq(worker.spare_exchange_count, 0);
    cr_assert_null(worker.spare_exchanges);
}

Test(proxy_exchange, nothing_of_the_last_command_is_left_in_it)
{
    struct worker worker = {0};
    struct exchange *exchange = exchange_take(&worker);
    struct error err = {0};
    cr_assert(buffer_append(&exchange->text, "SECRET", 6, &err));
    exchange->command = COMMAND_QUERY;
    exchange->asks_infile = exchange->names_charset = exchange->has_digest = true;
    exchange->error_code = 1045;
    exchange->length = exchange->bytes_in = 6;
    exchange->reason[0] = 'x';
    exchange_give(&worker, exchange);
    exchange = exchange_take(&worker);
    cr_assert_eq(buffer_length(&exchange->text), 0);
    struct exchange fresh = {.text = exchange->text};
    cr_assert_eq(memcmp(exchange, &fresh, sizeof fresh), 0);
    exchange_give(&worker, exchange);
    exchange_free_spares(&worker);
}

Test(proxy_exchange, an_idle_one_keeps_no_long_text)
{
    struct worker worker = {0};
    struct exchange *exchange = exchange_take(&worker);
    struct error err = {0};
    uint8_t *room;
    cr_assert(buffer_reserve(&exchange->text, 100000, &room, &err));
    memset(room, 'x', 100000);
    buffer_commit(&exchange->text, 100000);
    exchange_give(&worker, exchange);
    cr_assert_leq(exchange->text.capacity, 4096);
    exchange_free_spares(&worker);
}

Test(proxy_exchange, pool_keeps_no_more_than_its_bound)
{
    struct worker worker = {0};
    static struct exchange *taken[RELAY_SPARE_EXCHANGES_MAX + 50];
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        cr_assert_not_null(taken[i] = exchange_take(&worker));
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        exchange_give(&worker, taken[i]);
    cr_assert_eq(worker.spare_exchange_count, RELAY_SPARE_EXCHANGES_MAX);
    exchange_free_spares(&worker); /* the others are freed already: nothing leaks */
}
