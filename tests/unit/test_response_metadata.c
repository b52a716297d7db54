/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that leave definitions out: as MySQL 9.7 and MariaDB 10.11 sent them. */
#include <criterion/criterion.h>

#include "protocol/capability.h"
#include "tests/unit/response_support.h"

#define OPTIONAL_OLD ((uint64_t)CAPABILITY_OPTIONAL_METADATA)
#define OPTIONAL_NEW (CAPABILITY_OPTIONAL_METADATA | (uint64_t)CAPABILITY_DEPRECATE_EOF)
#define CACHED_OLD   EXTENDED(CAPABILITY_MARIADB_CACHE)
#define CACHED_NEW   (EXTENDED(CAPABILITY_MARIADB_CACHE) | CAPABILITY_DEPRECATE_EOF)

/* Packets: a column definition is only skipped, so that any bytes stand for one. */
#define COUNT_FULL "020000010101"
#define COUNT_NONE "020000010100"
#define EOF_AT(n)  "050000" n "fe00000200"
#define OK_AT(n)   "070000" n "fe000002000000"

Test(response_metadata, definitions_follow_where_the_count_says_so)
{
    expect_trace(OPTIONAL_OLD, "Q",
                 COUNT_FULL "01000002aa" EOF_AT("03") "0200000431"
                                                      "31" EOF_AT("05"),
                 "done sets 1 rows 1 status 2 bytes 35\n");
    expect_trace(CACHED_NEW, "E",
                 COUNT_FULL "01000002aa"
                            "0200000300"
                            "31" OK_AT("04"),
                 "done sets 1 rows 1 status 2 bytes 28\n");
}

Test(response_metadata, an_eof_stands_for_definitions_that_are_left_out)
{
    expect_trace(OPTIONAL_OLD, "Q",
                 COUNT_NONE EOF_AT("02") "0200000331"
                                         "31" EOF_AT("04"),
                 "done sets 1 rows 1 status 2 bytes 30\n");
    expect_trace(CACHED_OLD, "E", COUNT_NONE EOF_AT("02") EOF_AT("03"),
                 "done sets 1 rows 0 status 2 bytes 24\n");
}

Test(response_metadata, rows_follow_at_once_without_eofs)
{
    expect_trace(OPTIONAL_NEW, "Q",
                 COUNT_NONE "0200000231"
                            "31" OK_AT("03"),
                 "done sets 1 rows 1 status 2 bytes 23\n");
    expect_trace(CACHED_NEW, "E", COUNT_NONE OK_AT("02"), "done sets 1 rows 0 status 2 bytes 17\n");
}

Test(response_metadata, a_cursor_has_no_rows)
{
    expect_trace(CACHED_OLD, "U", COUNT_NONE "05000002fe00004200",
                 "done sets 1 rows 0 status 42 bytes 15\n");
    expect_trace(CACHED_NEW, "U", COUNT_NONE "07000002fe000042000000",
                 "done sets 1 rows 0 status 42 bytes 17\n");
}

Test(response_metadata, each_result_of_several_has_its_own_flag)
{
    expect_trace(OPTIONAL_OLD, "Q",
                 COUNT_NONE "05000002fe00000a00"
                            "0200000331"
                            "31"
                            "05000004fe00000a00"
                            "020000050101"
                            "01000006aa" EOF_AT("07") EOF_AT("08"),
                 "done sets 2 rows 1 status 2 bytes 59\n");
}

#define PREPARED(columns, parameters, flag) \
    "0d000001"                              \
    "0001000000" columns parameters "000000" flag

Test(response_metadata, a_prepare_without_definitions_still_has_its_eofs)
{
    expect_trace(OPTIONAL_OLD, "P", PREPARED("0200", "0100", "00") EOF_AT("02") EOF_AT("03"),
                 "done statement 1 (1, 2) status 2 bytes 35\n");
    expect_trace(OPTIONAL_OLD, "P", PREPARED("0200", "0000", "00") EOF_AT("02"),
                 "done statement 1 (0, 2) status 2 bytes 26\n");
    expect_trace(OPTIONAL_OLD, "P", PREPARED("0000", "0000", "00"),
                 "done statement 1 (0, 0) bytes 17\n");
    expect_trace(OPTIONAL_NEW, "P", PREPARED("0200", "0100", "00"),
                 "done statement 1 (1, 2) bytes 17\n");
}

Test(response_metadata, a_prepare_with_definitions_has_a_byte_more)
{
    expect_trace(OPTIONAL_NEW, "P",
                 PREPARED("0100", "0100", "01") "01000002aa"
                                                "01000003bb",
                 "done statement 1 (1, 1) bytes 27\n");
}

/* MariaDB's prepare answers never leave definitions out. */
Test(response_metadata, cached_metadata_does_not_change_a_prepare)
{
    expect_trace(CACHED_NEW, "P",
                 "0c000001"
                 "0001000000"
                 "0100"
                 "0000"
                 "000000"
                 "01000002aa",
                 "done statement 1 (0, 1) bytes 21\n");
}

Test(response_metadata, refuses_flags_that_say_neither)
{
    expect_refused(OPTIONAL_OLD, "Q", "020000010102", "column count");
    expect_refused(OPTIONAL_OLD, "Q", "0100000101", "column count");
    expect_refused(OPTIONAL_OLD, "Q", "03000001010101", "column count");
    expect_refused(CACHED_OLD, "Q", "0200000101ff", "column count");
    expect_refused(OLD, "Q", COUNT_NONE, "column count");
    expect_refused(OPTIONAL_OLD, "P", PREPARED("0200", "0100", "02"), "prepare");
    expect_refused(OPTIONAL_OLD, "P",
                   "0c000001"
                   "0001000000"
                   "0100"
                   "0000"
                   "000000",
                   "prepare");
}

Test(response_metadata, refuses_a_definition_that_was_not_announced)
{
    expect_refused(OPTIONAL_OLD, "Q", COUNT_NONE "01000002aa", "EOF");
    expect_refused(OPTIONAL_NEW, "E", COUNT_NONE "01000002aa", "binary row");
    expect_refused(OPTIONAL_NEW, "P", PREPARED("0200", "0100", "00") "01000002aa",
                   "answers nothing");
}
