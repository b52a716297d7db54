/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct match {
    const char *pattern;
    const char *text;
};

static const struct match matching[] = {
    {"", ""},
    {"abc", "abc"},
    {"*", ""},
    {"*", "anything at all"},
    {"**", "x"},
    {"ci-*", "ci-1"},
    {"ci-*", "ci-"},
    {"*-ci", "a-ci-ci"},
    {"a*b*c", "abc"},
    {"a*b*c", "a-b-b-c-c"},
    {"a*bc", "abcbbc"},
    {"?", "x"},
    {"a?c", "abc"},
    {"?*?", "ab"},
    {"*?*", "a"},
    {"caf?", "caf\xC3\xA9"},
    {"?", "\xF0\x9F\x98\x80"},
    {"?", "\xFF"},
    {"*?", "\xC3\xA9"},
    {"*\xA9", "\xC3\xA9\xA9"},
    {"\\*", "*"},
    {"\\?", "?"},
    {"\\\\", "\\"},
    {"\\a", "a"},
    {"a\\*b*", "a*bc"},
    {"\\", "\\"},
    {"*\\*", "a*"},
    {"spiffe://acme.example/ns/*/sa/ci", "spiffe://acme.example/ns/a/b/sa/ci"},
    {"[a]", "[a]"},
};

static const struct match not_matching[] = {
    {"", "a"},          {"a", ""},           {"abc", "abcd"},  {"abc", "ab"}, {"abc", "ABC"},
    {"ci-*", "xci-1"},  {"*-ci", "a-ci-"},   {"a*b*c", "acb"}, {"?", ""},     {"?", "ab"},
    {"??", "\xC3\xA9"}, {"*??", "\xC3\xA9"}, {"\\*", "a"},     {"\\?", "a"},  {"a\\*b", "axb"},
    {"*\\?", "ab"},     {"[a]", "a"},
};

Test(glob, matches_what_it_should)
{
    for (size_t i = 0; i < sizeof matching / sizeof *matching; i++)
        cr_assert(glob_match(matching[i].pattern, matching[i].text), "\"%s\" and \"%s\"",
                  matching[i].pattern, matching[i].text);
}

Test(glob, and_nothing_else)
{
    for (size_t i = 0; i < sizeof not_matching / sizeof *not_matching; i++)
        cr_assert_not(glob_match(not_matching[i].pattern, not_matching[i].text),
                      "\"%s\" and \"%s\"", not_matching[i].pattern, not_matching[i].text);
}

/* The meaning itself, as slow as it is plain, for patterns of a, b, * and ?. */
static bool plainly_matches(const char *pattern, const char *text)
{
    if (*pattern == '*')
        return plainly_matches(pattern + 1, text) ||
               (*text != '\0' && plainly_matches(pattern, text + 1));
    if (*pattern == '\0' || *text == '\0')
        return *pattern == *text;
    return (*pattern == '?' || *pattern == *text) && plainly_matches(pattern + 1, text + 1);
}

/* The text number `number` of `letters`, in a base of their count. */
static void spell(unsigned number, const char *letters, char out[8])
{
    unsigned base = (unsigned)strlen(letters);
    size_t length = 0;
    for (; number > 0; number = (number - 1) / base)
        out[length++] = letters[(number - 1) % base];
    out[length] = '\0';
}

Test(glob, agrees_with_its_meaning_on_all_short_patterns)
{
    for (unsigned i = 0; i < 1365; i++) {    /* patterns of up to 5 elements */
        for (unsigned j = 0; j < 127; j++) { /* texts of up to 6 letters */
            char pattern[8];
            char text[8];
            spell(i, "ab*?", pattern);
            spell(j, "ab", text);
            cr_assert_eq(glob_match(pattern, text), plainly_matches(pattern, text),
                         "\"%s\" and \"%s\"", pattern, text);
        }
    }
}

/* A matcher that tries each `*` again takes longer than the universe is old for this. */
Test(glob, hostile_input_takes_no_time, .timeout = 20)
{
    char pattern[401];
    char *text = malloc(100001);
    cr_assert_not_null(text);
    for (size_t i = 0; i < 400; i++)
        pattern[i] = i % 2 ? '*' : 'a';
    pattern[400] = '\0';
    memset(text, 'a', 100000);
    text[99999] = 'b';
    text[100000] = '\0';
    cr_assert(glob_match(pattern, text));
    pattern[399] = 'c';
    cr_assert_not(glob_match(pattern, text));
    free(text);
}

Test(glob, knows_which_patterns_are_wild)
{
    static const char *const wild[] = {"*", "?", "a*", "\\\\*", "\\a?"};
    static const char *const tame[] = {"", "a", "\\*", "\\?", "a\\*b\\?", "\\", "[a-z]"};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)
        cr_assert(glob_is_wild(wild[i]), "%s", wild[i]);
    for (size_t i = 0; i < sizeof tame / sizeof *tame; i++)
        cr_assert_not(glob_is_wild(tame[i]), "%s", tame[i]);
}

Test(glob, refuses_a_backslash_at_the_end)
{
    struct error err = {0};
    cr_assert(glob_check("", NULL));
    cr_assert(glob_check("a*\\*\\\\", NULL));
    cr_assert_not(glob_check("a\\", &err));
    cr_assert_eq(err.code, ERROR_MALFORMED);
    cr_assert_str_eq(err.message,
                     "the pattern ends in a backslash that escapes nothing: write two");
    cr_assert_not(glob_check("\\\\\\", NULL));
}
