/* SPDX-License-Identifier: Apache-2.0 */
#include "base/suggest.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *nearest_to(const char *word)
{
    static const char *const names[] = {"listeners", "name", "tls", "workers", "client_ca", "crl"};
    struct suggestion nearest = suggestion_for(word);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        suggestion_try(&nearest, names[i]);
    return nearest.name;
}

Test(suggest, finds_slips_of_the_pen)
{
    cr_assert_str_eq(nearest_to("listners"), "listeners");
    cr_assert_str_eq(nearest_to("lisetners"), "listeners");
    cr_assert_str_eq(nearest_to("Listener"), "listeners");
    cr_assert_str_eq(nearest_to("nmae"), "name");
    cr_assert_str_eq(nearest_to("TLS"), "tls");
    cr_assert_str_eq(nearest_to("clientCA"), "client_ca");
    cr_assert_str_eq(nearest_to("worker"), "workers");
}

Test(suggest, keeps_silent_about_other_words)
{
    cr_assert_null(nearest_to(""));
    cr_assert_null(nearest_to("database"));
    cr_assert_null(nearest_to("abc"));
    cr_assert_null(nearest_to("names_of_all"));
}

Test(suggest, counts_edits)
{
    static const struct {
        const char *word;
        const char *name;
        size_t edits;
    } cases[] = {{"address", "address", 0}, {"adress", "address", 1},  {"addresss", "address", 1},
                 {"addrexs", "address", 1}, {"addrses", "address", 1}, {"ADDRESS", "address", 0},
                 {"adresss", "address", 2}, {"xyddress", "address", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct suggestion nearest = suggestion_for(cases[i].word);
        suggestion_try(&nearest, cases[i].name);
        cr_assert_str_eq(nearest.name, cases[i].name);
        cr_assert_eq(nearest.edits, cases[i].edits, "%s", cases[i].word);
    }
}

Test(suggest, the_nearest_wins_and_then_the_first)
{
    struct suggestion nearest = suggestion_for("sessions");
    suggestion_try(&nearest, "session_a");
    suggestion_try(&nearest, "session");
    suggestion_try(&nearest, "sessionz");
    cr_assert_str_eq(nearest.name, "session");
}

Test(suggest, long_words_are_near_nothing)
{
    char word[200];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    struct suggestion nearest = suggestion_for(word);
    suggestion_try(&nearest, word);
    cr_assert_null(nearest.name);
    word[SUGGEST_LENGTH_LIMIT + 1] = '\0';
    nearest = suggestion_for("aaaaaaaaaa");
    suggestion_try(&nearest, word);
    cr_assert_null(nearest.name);
    word[SUGGEST_LENGTH_LIMIT] = '\0';
    nearest = suggestion_for(word);
    suggestion_try(&nearest, word);
    cr_assert_str_eq(nearest.name, word);
}
