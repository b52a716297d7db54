/* SPDX-License-Identifier: Apache-2.0 */
/* The list of closing reasons is closed, and the pages for people have it whole. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proxy/reason.h"

#define HEADER "| reason | meaning |\n|---|---|\n"

/* The table of reasons in a page: from its first row to the empty line. */
static const char *read_table(const char *path)
{
    static char page[64 * 1024];
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "there is no %s", path);
    size_t length = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    page[length] = '\0';
    char *table = strstr(page, HEADER);
    cr_assert_not_null(table, "%s has no table of reasons", path);
    table += strlen(HEADER);
    char *end = strstr(table, "\n\n");
    cr_assert_not_null(end);
    end[1] = '\0';
    return table;
}

static void page_has_the_reasons(const char *path)
{
    const char *row = read_table(path);
    for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        char expected[256];
        (void)snprintf(expected, sizeof expected, "| `%s` | %s |\n", reason_name(reason),
                       reason_meaning(reason));
        size_t length = strcspn(row, "\n") + 1;
        cr_assert_eq(strlen(expected), length, "%s has %.*s in the place of %s", path, (int)length,
                     row, expected);
        cr_assert_eq(memcmp(expected, row, length), 0, "%s has %.*s in the place of %s", path,
                     (int)length, row, expected);
        row += length;
    }
    cr_assert_str_empty(row, "%s has more reasons than there are: %s", path, row);
}

Test(proxy_reason, page_of_reasons_has_each_and_no_other)
{
    page_has_the_reasons("docs/closing-reasons.md");
}

Test(proxy_reason, page_of_audit_records_has_each_and_no_other)
{
    page_has_the_reasons("docs/audit-record.md");
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
    cr_assert_str_eq(reason_name((enum reason)-1), "unknown");
    cr_assert_str_eq(reason_meaning(REASON_COUNT), "");
    cr_assert_str_eq(reason_meaning((enum reason)-1), "");
}
