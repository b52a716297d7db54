/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "protocol/capability.h"
#include "protocol/capability_name.h"

/* Two spot checks against the constants, so that the table cannot be one row off. */
Test(capability_name, names_stand_at_their_bits)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } known[] = {
        {CAPABILITY_LONG_PASSWORD, "LONG_PASSWORD"},
        {CAPABILITY_COMPRESS, "COMPRESS"},
        {CAPABILITY_LOCAL_FILES, "LOCAL_FILES"},
        {CAPABILITY_SSL, "SSL"},
        {CAPABILITY_MULTI_STATEMENTS, "MULTI_STATEMENTS"},
        {CAPABILITY_PLUGIN_AUTH, "PLUGIN_AUTH"},
        {CAPABILITY_DEPRECATE_EOF, "DEPRECATE_EOF"},
        {CAPABILITY_ZSTD, "ZSTD_COMPRESSION"},
        {CAPABILITY_QUERY_ATTRIBUTES, "QUERY_ATTRIBUTES"},
        {CAPABILITY_REMEMBER_OPTIONS, "REMEMBER_OPTIONS"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        unsigned bit = (unsigned)__builtin_ctz(known[i].flag);
        cr_assert_str_eq(capability_name(bit, false).name, known[i].name);
    }
    unsigned bulk = (unsigned)__builtin_ctz(CAPABILITY_MARIADB_BULK);
    cr_assert_str_eq(capability_name(bulk, true).name, "STMT_BULK_OPERATIONS");
}

Test(capability_name, every_standard_flag_has_one)
{
    for (unsigned bit = 0; bit < CAPABILITY_BITS; bit++) {
        struct capability_name name = capability_name(bit, false);
        cr_assert_neq(strncmp(name.name, "bit ", 4), 0);
        cr_assert_gt(strlen(name.masked), 10);
    }
}

Test(capability_name, flags_to_come)
{
    struct capability_name name = capability_name(17, true);
    cr_assert_str_eq(name.name, "bit 49");
    cr_assert_not_null(strstr(name.masked, "unknown"));
    cr_assert_str_eq(capability_name(4000000000u, false).name, "bit 4000000000");
}
