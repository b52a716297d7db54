/* SPDX-License-Identifier: Apache-2.0 */
/* The list of closing reasons is closed, and the page for people has it whole. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proxy/reason.h"

#define PAGE   "docs/closing-reasons.md"
#define HEADER "| reason | meaning |\n|---|---|\n"

static const char *read_page(const char *path)
{
    static char page[64 * 1024];
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "there is no %s", path);
    size_t length = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    page[length] = '\0';
    return page;
}

Test(proxy_reason, page_has_each_and_no_other)
{
    const char *row = strstr(read_page(PAGE), HEADER);
    cr_assert_not_null(row, PAGE " has no table of reasons");
    row += strlen(HEADER);
    for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        char expected[256];
        (void)snprintf(expected, sizeof expected, "| `%s` | %s |\n", reason_name(reason),
                       reason_meaning(reason));
        size_t length = strcspn(row, "\n") + 1;
        cr_assert_eq(strncmp(expected, row, length), 0, PAGE " has %.*s in the place of %s",
                     (int)length, row, expected);
        row += length;
    }
    cr_assert_eq(*row, '\n', PAGE " has more reasons than there are: %.80s", row);
}

Test(proxy_reason, page_is_found_from_that_of_audit_records)
{
    cr_assert_not_null(strstr(read_page("docs/audit-record.md"), "(closing-reasons.md)"));
}

Test(proxy_reason, each_has_a_name_of_its_own)
{
    for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
        const char *name = reason_name(reason);
        cr_assert_str_not_empty(name);
        for (const char *at = name; *at; at++)
            cr_assert(islower((unsigned char)*at) || *at == '_', "%s", name);
        for (enum reason other = REASON_NONE; other < reason; other++)
            cr_assert_str_neq(name, reason_name(other));
    }
}

Test(proxy_reason, each_has_a_meaning_that_is_a_sentence)
{
    for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
        const char *meaning = reason_meaning(reason);
        cr_assert_gt(strlen(meaning), 10, "%s", reason_name(reason));
        cr_assert(isupper((unsigned char)meaning[0]), "%s", meaning);
        cr_assert_eq(meaning[strlen(meaning) - 1], '.', "%s", meaning);
    }
}

Test(proxy_reason, what_is_no_reason_has_a_name_all_the_same)
{
    cr_assert_str_eq(reason_name(REASON_COUNT), "unknown");
    cr_assert_str_eq(reason_name((enum reason) - 1), "unknown");
    cr_assert_str_eq(reason_meaning(REASON_COUNT), "");
    cr_assert_str_eq(reason_meaning((enum reason) - 1), "");
}
