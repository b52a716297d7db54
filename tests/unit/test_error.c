/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(error, set_fills_code_and_message_and_returns_false)
{
    struct error err = {0};
    cr_assert_not(error_set(&err, ERROR_DENIED, "role %s, %d times", "reader", 3));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert_str_eq(err.message, "role reader, 3 times");
}

Test(error, set_replaces_what_was_there)
{
    struct error err = {0};
    cr_assert_not(error_set(&err, ERROR_DENIED, "a long first message"));
    cr_assert_not(error_set(&err, ERROR_LIMIT, "short"));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_str_eq(err.message, "short");
}

Test(error, every_function_takes_null)
{
    cr_assert_not(error_set(NULL, ERROR_TLS, "x"));
    cr_assert_not(error_wrap(NULL, "x"));
    cr_assert_not(error_system(NULL, ENOENT, "x"));
}

Test(error, wrap_puts_context_first_and_keeps_the_code)
{
    struct error err = {0};
    cr_assert_not(error_set(&err, ERROR_TLS, "bad record"));
    cr_assert_not(error_wrap(&err, "listener %d", 2));
    cr_assert_not(error_wrap(&err, "cannot start"));
    cr_assert_eq(err.code, ERROR_TLS);
    cr_assert_str_eq(err.message, "cannot start: listener 2: bad record");
}

Test(error, wrap_may_quote_the_message_that_it_wraps)
{
    struct error err = {0};
    cr_assert_not(error_set(&err, ERROR_TLS, "inner"));
    cr_assert_not(error_wrap(&err, "outer of %%s"));
    cr_assert_str_eq(err.message, "outer of %s: inner");
}

Test(error, system_ends_in_the_words_of_the_system)
{
    struct error err = {0};
    cr_assert_not(error_system(&err, ENOENT, "cannot open %s", "x.pem"));
    cr_assert_eq(err.code, ERROR_SYSTEM);
    cr_assert_str_eq(err.message, "cannot open x.pem: No such file or directory");
}

Test(error, system_survives_an_unknown_number)
{
    struct error err = {0};
    cr_assert_not(error_system(&err, 987654, "odd"));
    cr_assert_str_eq(err.message, "odd: Unknown error 987654");
}

/* A message of exactly `length` letters. */
static void set_letters(struct error *err, int length)
{
    cr_assert_not(error_set(err, ERROR_LIMIT, "%0*d", length, 0));
}

Test(error, long_messages_are_cut_at_every_edge)
{
    for (int length = ERROR_MESSAGE_SIZE - 3; length <= ERROR_MESSAGE_SIZE + 3; length++) {
        struct error err;
        memset(&err, 'x', sizeof err);
        set_letters(&err, length);
        size_t expected = length < ERROR_MESSAGE_SIZE ? (size_t)length : ERROR_MESSAGE_SIZE - 1;
        cr_assert_eq(strnlen(err.message, sizeof err.message), expected);

        cr_assert_not(error_wrap(&err, "context"));
        cr_assert_eq(strnlen(err.message, sizeof err.message), ERROR_MESSAGE_SIZE - 1);
        cr_assert_eq(strncmp(err.message, "context: 000", 12), 0);

        set_letters(&err, length);
        cr_assert_not(error_wrap(&err, "%0*d", length, 1));
        cr_assert_lt(strnlen(err.message, sizeof err.message), sizeof err.message);

        cr_assert_not(error_system(&err, ENOENT, "%0*d", length, 0));
        cr_assert_lt(strnlen(err.message, sizeof err.message), sizeof err.message);
    }
}

Test(error, each_code_has_a_name_of_its_own)
{
    for (int a = ERROR_NONE; a <= ERROR_STATE; a++) {
        cr_assert_str_neq(error_code_name((enum error_code)a), "unknown");
        for (int b = ERROR_NONE; b < a; b++)
            cr_assert_str_neq(error_code_name((enum error_code)a),
                              error_code_name((enum error_code)b));
    }
    cr_assert_str_eq(error_code_name((enum error_code)(ERROR_STATE + 1)), "unknown");
}
