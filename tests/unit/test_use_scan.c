/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Most of this is one table of texts with what two real servers did with each, MariaDB 10.11.19 and
 * MySQL 9.7.4: every row was run against both, in a session with the row's sql_mode, character set
 * and multi-statements, and the schema was asked for afterwards. The scanner must find at least
 * that.
 */
#include "authz/use_scan.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ONE USE_SCAN_ONE_STATEMENT
#define ESC USE_SCAN_BACKSLASH_ESCAPES
#define RAW USE_SCAN_NO_BACKSLASH_ESCAPES
#define ASC USE_SCAN_ASCII
#define UTF USE_SCAN_UTF8

#define TEXT(bytes) bytes, sizeof(bytes) - 1
#define UNCLEAR     "(unclear)"
#define DYNAMIC     "(dynamic)"
#define SAME        NULL /* the schema is the one that it was before */
#define UNKNOWN     NULL /* this server does not have the row's sql_mode */

struct row {
    const char *text;
    size_t length;
    unsigned flags;
    const char *found; /* with the promises, as describe() has it */
    const char *bare;  /* without them, except for ONE */
    const char *mariadb;
    const char *mysql;
};

static const struct row rows[] = {
    /* plain */
    {TEXT("USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("use b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("UsE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE\tb"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE\n\r\013\014b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT(" USE b "), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b;"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b ;"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("use b;;"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE `b`"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE`b`"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE `b`;"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE `b``c`"), ESC | UTF, "b`c", UNCLEAR, "b`c", "b`c"},
    {TEXT("USE $b"), ESC | UTF, "$b", "$b", "$b", "$b"},
    {TEXT("USE 1b"), ESC | UTF, "1b", "1b", "1b", "1b"},
    {TEXT("USE \303\251b"), ESC | UTF, "\303\251b", UNCLEAR, "\303\251b", "\303\251b"},
    {TEXT("USE `\303\251b`"), ESC | UTF, "\303\251b", UNCLEAR, "\303\251b", "\303\251b"},
    {TEXT("USE \"b\""), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("USE 'b'"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE;"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE ``"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE b c"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE b.c"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE b,c"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE (b)"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE @b"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE `b"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE [b]"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USEb"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("USE_b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("USE.b"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("`USE` b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("\"USE\" b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("XUSE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 1 USE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT(""), ESC | UTF, "", "", SAME, SAME},
    {TEXT("  "), ESC | UTF, "", "", SAME, SAME},
    {TEXT(";"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("USE b\\"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE nosuch"), ESC | UTF, "nosuch", "nosuch", SAME, SAME},
    {TEXT("use use"), ESC | UTF, "use", "use", SAME, SAME},
    {TEXT("USE `b `"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    /* ansi: sql_mode ANSI_QUOTES */
    {TEXT("USE \"b\""), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE\"b\""), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE \"b\"\"c\""), ESC | UTF, "b\"c", "b\"c", SAME, SAME},
    /* mssql: sql_mode MSSQL */
    {TEXT("USE [b]"), ESC | UTF, UNCLEAR, UNCLEAR, "b", UNKNOWN},
    {TEXT("SELECT 1 AS [it's]; USE b; -- '"), ESC | UTF, "b", "b", "b", UNKNOWN},
    {TEXT("SELECT 1 AS [`]; USE b; -- `"), ESC | UTF, "b", "b", "b", UNKNOWN},
    /* statements */
    {TEXT("SELECT 1; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1;USE b;SELECT 2"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1; USE b; USE c"), ESC | UTF, "b,c", "b,c", "c", "c"},
    {TEXT("USE b; SELECT 1"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b; USE a"), ESC | UTF, "b,a", "b,a", SAME, SAME},
    {TEXT(";USE b"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT(";;USE b"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT 1;;USE b"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT ';'; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT '; USE b'"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT \"; USE b\""), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 1 AS `; USE b`"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 'it''s; USE b'"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 'a'';'; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("DO 1; use /* x */ `b` -- y"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("BEGIN NOT ATOMIC USE b; END"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 1; PREPARE s FROM 'USE b'; EXECUTE s"), ESC | UTF, DYNAMIC, DYNAMIC, "b", SAME},
    {TEXT("EXECUTE IMMEDIATE 'USE b'"), ESC | UTF, DYNAMIC, DYNAMIC, "b", SAME},
    /* one */
    {TEXT("USE b"), ONE | ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b;"), ONE | ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b; SELECT 1"), ONE | ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT 1; USE b"), ONE | ESC | UTF, "", "", SAME, SAME},
    {TEXT("/* x */ USE b"), ONE | ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000 SELECT */ USE b"), ONE | ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("/*!50000 SELECT 1 */"), ONE | ESC | UTF, "", "", SAME, SAME},
    {TEXT("/*!999999 SELECT */ USE b"), ONE | ESC | UTF, "b", "b", "b", "b"},
    {TEXT(";USE b"), ONE | ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("(SELECT 1)"), ONE | ESC | UTF, "", "", SAME, SAME},
    {TEXT("# x\nUSE b"), ONE | ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT"), ONE | ESC | UTF, "", "", SAME, SAME},
    {TEXT("-- x"), ONE | ESC | UTF, "", "", SAME, SAME},
    {TEXT("/*! USE b */"), ONE | ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000 */ /*!999999 DO */ USE b"), ONE | ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1 /* open"), ONE | ESC | UTF, "", "", SAME, SAME},
    /* comments */
    {TEXT("/**/USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* */ USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE/**/b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE /* c */ b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b /* c */"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b/* c */;"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* USE c */ USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* ; USE b */"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("/*/ ; USE b */"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("/*/ */ USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/***/ USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/****/USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* /* */ USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* /* */ */ USE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 2*/*x*/3; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* ' */ USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* \" */ USE b -- \""), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("# x\nUSE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("#USE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("# x\rUSE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("USE # x\n b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b# x"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("-- x\nUSE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("--\nUSE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("--\tx\nUSE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("--x\nUSE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 1 --1; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1 --\001; USE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 1 --\177; USE b\n; USE c"), ESC | UTF, "c", "c", "c", "c"},
    {TEXT("---\nUSE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("- -- x\nUSE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 1 - -- x\n 1; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("-- '\nUSE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/* open"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/*"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/* USE b"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE b /* open"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("SELECT /*+ x */ 1; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT /*+ QB_NAME(`*/`) */ 1; USE b; -- `"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE b --"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE b -"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT 1 --\000'\n; USE b -- '"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT 1 -- \000; USE b"), ESC | UTF, "b", "b", SAME, SAME},
    /* executable */
    {TEXT("/*! USE b */"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!USE b*/"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000 USE b */"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000USE b*/"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!050000 USE b */"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!100000 USE b */"), ESC | UTF, "b", "b", "b", SAME},
    {TEXT("/*!80000 USE b */"), ESC | UTF, "b", "b", SAME, "b"},
    {TEXT("/*!90000 USE b */"), ESC | UTF, "b", "b", SAME, "b"},
    {TEXT("/*!50700 USE b */"), ESC | UTF, "b", "b", SAME, "b"},
    {TEXT("/*!50699 USE b */"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!99999 USE b */"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("/*!999999 USE b */"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("/*!101100 USE b */"), ESC | UTF, "b", "b", "b", SAME},
    {TEXT("/*M! USE b */"), ESC | UTF, "b", "b", "b", SAME},
    {TEXT("/*M!100000 USE b */"), ESC | UTF, "b", "b", "b", SAME},
    {TEXT("/*M!50700 USE b */"), ESC | UTF, "b", "b", "b", SAME},
    {TEXT("/*M!999999 USE b */"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("/*m! USE b */"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("/*!5000 USE b */"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("/*!500001 USE b */"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("/*!5000000 USE b */"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("/*! USE */ b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE /*! b */"), ESC | UTF, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("USE /*!50000 b */"), ESC | UTF, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("USE /*!999999 b */ c"), ESC | UTF, UNCLEAR, UNCLEAR, "c", "c"},
    {TEXT("USE b /*!999999 c */"), ESC | UTF, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("/*!999999 USE b */ USE c"), ESC | UTF, UNCLEAR, UNCLEAR, "c", "c"},
    {TEXT("/*!50000 USE b */ /*!999999 USE c */"), ESC | UTF, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("US/*!*/E b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("SELECT 1 /*!50000 + 1 */; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1 /*!999999 ; USE b */"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("SELECT 1 /*!999999 ' */; USE b; -- '"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1 /*!50000 AS '*/ */ ; USE b; -- ' */"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT 1 /*!50000 AS 'x */ ' */; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!999999 /* */ USE b */ USE c"), ESC | UTF, UNCLEAR, UNCLEAR, "c", "c"},
    {TEXT("/*!999999 /* */ */ USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!999999 /* */ USE b; -- */"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/*!50000 /* */ USE b */"), ESC | UTF, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("/*!50000 /*! USE b */"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000 SELECT 1; USE b */"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/*!50000 SELECT 1; USE b; # */"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/*!50000 SELECT 1 -- */\n */; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*! open USE b"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/*!50000 USE b"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/*!"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("/*!*/USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000*/USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!999999*/USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*! */ */ USE b"), ESC | UTF, "", "", SAME, SAME},
    {TEXT("/*!50000 SELECT 1 */*2; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT /*!50000 1 */ /*!999999 USE */; USE b"), ESC | UTF, "b", "b", "b", "b"},
    /* backslash */
    {TEXT("SELECT 'a\\'; USE b; -- '"), ESC | UTF, "", "b", SAME, SAME},
    {TEXT("SELECT '\\\\'; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT '\\\\\\'; USE b; -- '"), ESC | UTF, "", "b", SAME, SAME},
    {TEXT("SELECT 'a\\'; USE c; -- '; USE b"), ESC | UTF, "b", "c,b", "b", "b"},
    {TEXT("SELECT '\\'' ; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT \"\\\"; USE b; -- \""), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT \"\\\"\" ; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1 AS `\\`; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT '\\n'; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT '\\ '; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT N'\\''; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT x'41'; USE b"), ESC | UTF, "b", "b", "b", "b"},
    /* backslash-off: sql_mode NO_BACKSLASH_ESCAPES */
    {TEXT("SELECT '\\'; USE b"), RAW | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT '\\'; USE b; -- '"), RAW | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT '\\\\'; USE b"), RAW | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT \"\\\"; USE b; -- \""), RAW | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 'a\\'''; USE b"), RAW | UTF, "b", "b", "b", "b"},
    /* ansi-backslash: sql_mode ANSI_QUOTES */
    {TEXT("SELECT 1 AS \"\\\"; USE b; -- \""), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1 AS \"\\\"\"; USE b"), ESC | UTF, "b", "b", SAME, SAME},
    /* changes */
    {TEXT("SET sql_mode=NO_BACKSLASH_ESCAPES; SELECT '\\'; USE b; -- '"), ESC | UTF, "b", "b", "b",
     "b"},
    {TEXT("SET sql_mode=''; SELECT '\\''; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000 SET sql_mode=NO_BACKSLASH_ESCAPES */; SELECT '\\'; USE b; -- '"), ESC | UTF,
     "b", "b", "b", "b"},
    {TEXT("SET NAMES gbk; SELECT '\201\\'; USE b; -- '"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SET NAMES gbk; SELECT 1 AS `\201`; USE c; -- `; USE b"), ESC | UTF, "c,b", "c,b", "b",
     "b"},
    {TEXT("SET NAMES latin1; SELECT 1;\240USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SET sql_mode=ANSI_QUOTES; SELECT 1 AS \"\\\"; USE b; -- \""), ESC | UTF, "b", "b", "b",
     "b"},
    /* gbk, gbk */
    {TEXT("SELECT '\201\\'; USE b; -- '"), ESC, "b", "b", "b", "b"},
    {TEXT("SELECT '\201\\'' ; USE b"), ESC, "b", "b", SAME, SAME},
    {TEXT("SELECT '\201\\\\'; USE b; -- '"), ESC, "b", "b", SAME, SAME},
    {TEXT("SELECT 1 AS `\201`; USE c; -- `; USE b"), ESC, "c,b", "c,b", "b", "b"},
    {TEXT("SELECT 1 AS \201`; USE b; -- `"), ESC, "b", "b", "b", "b"},
    {TEXT("SELECT 'x'; USE b"), ESC, "b", "b", "b", "b"},
    {TEXT("USE `\201``; USE b"), ESC, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE \201b"), ESC, UNCLEAR, UNCLEAR, SAME, SAME},
    /* sjis, sjis */
    {TEXT("SELECT '\201\\'; USE b; -- '"), ESC, "b", "b", "b", "b"},
    {TEXT("SELECT '\225\\'; USE b"), ESC, "b", "b", "b", "b"},
    /* big5, big5 */
    {TEXT("SELECT '\244\\'; USE b; -- '"), ESC, "b", "b", "b", "b"},
    /* latin1, latin1 */
    {TEXT("USE\240b"), ESC | ASC, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("\240USE b"), ESC | ASC, "b", "b", "b", "b"},
    {TEXT("SELECT 1;\240USE b"), ESC | ASC, "b", "b", "b", "b"},
    {TEXT("SELECT 1;\240\240USE\240b"), ESC | ASC, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("USE b\240"), ESC | ASC, UNCLEAR, UNCLEAR, "b", "b"},
    {TEXT("--\240x\nUSE b"), ESC | ASC, "b", "b", "b", "b"},
    {TEXT("SELECT 1 --\240; \nUSE c"), ESC | ASC, "c", "c", SAME, SAME},
    {TEXT("SELECT 1;--\240'\nUSE b; -- '"), ESC | ASC, "b", "b", "b", "b"},
    {TEXT("USE \351b"), ESC | ASC, UNCLEAR, UNCLEAR, "\303\251b", "\303\251b"},
    {TEXT("USE `\351b`"), ESC | ASC, UNCLEAR, UNCLEAR, "\303\251b", "\303\251b"},
    {TEXT("SELECT '\351\\'; USE c; -- '; USE b"), ESC | ASC, "b", "c,b", "b", "b"},
    {TEXT("\351USE b"), ESC | ASC, "b", "b", SAME, SAME},
    /* latin2, latin2 */
    {TEXT("SELECT 1;--\205'\nUSE b; -- '"), ESC | ASC, "b", "b", SAME, SAME},
    /* swe7, swe7 */
    {TEXT("USE a[b"), ESC, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("USE `a[b`"), ESC, UNCLEAR, UNCLEAR, "a\303\204b", "a\303\204b"},
    {TEXT("USE b"), ESC, "b", "b", "b", "b"},
    /* utf8 */
    {TEXT("SELECT 1 AS `\303`; USE b; -- `"), ESC | UTF, "b", "b", SAME, "b"},
    {TEXT("SELECT 1 AS `\343``; USE b; -- `"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT '\303'; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT '\303\251\\'; USE c; -- '; USE b"), ESC | UTF, "b", "c,b", "b", "b"},
    {TEXT("USE\240b"), ESC | UTF, "", UNCLEAR, SAME, SAME},
    {TEXT("USE\302\240b"), ESC | UTF, "", UNCLEAR, SAME, SAME},
    {TEXT("USE `\303`"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("SELECT 1 AS `\303\251`; USE b"), ESC | UTF, "b", "b", "b", "b"},
    /* nul */
    {TEXT("SELECT 1\000; USE b"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("USE b\000"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("USE\000b"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("SELECT 1;\000USE b"), ESC | UTF, "b", "b", SAME, SAME},
    {TEXT("USE `b\000c`"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("SELECT '\000'; USE b"), ESC | UTF, "b", "b", "b", "b"},
    /* dollar */
    {TEXT("SELECT $$ ' $$; USE b; -- '"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("SELECT $x$ ' $x$; USE b; -- '"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
    {TEXT("SELECT 1 AS $x; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("SELECT 1 AS a$$; USE b"), ESC | UTF, "b", "b", "b", "b"},
    {TEXT("/*!50000$$ ' $$ */; USE b; -- '"), ESC | UTF, UNCLEAR, UNCLEAR, SAME, SAME},
};

#define ROW_COUNT (sizeof rows / sizeof *rows)

static struct use_scan scan_in_pieces(const char *text, size_t length, unsigned flags, size_t piece)
{
    struct use_scan scan;
    use_scan_init(&scan, flags);
    for (size_t i = 0; i < length; i += piece)
        use_scan_feed(&scan, text + i, length - i < piece ? length - i : piece);
    use_scan_finish(&scan);
    cr_assert(scan.done);
    return scan;
}

/* The result as a text: the schemas joined by commas, or what else it is. */
static const char *describe(const struct use_scan *scan)
{
    static char text[USE_SCAN_FOUND_MAX * (USE_SCAN_SCHEMA_MAX + 1)];
    text[0] = '\0';
    if (scan->unclear)
        return UNCLEAR;
    if (scan->dynamic)
        return DYNAMIC;
    for (size_t i = 0; i < scan->count; i++) {
        strcat(text, i ? "," : "");
        strcat(text, scan->schemas[i]);
    }
    return text;
}

static const char *result(const char *text, size_t length, unsigned flags)
{
    struct use_scan scan = scan_in_pieces(text, length, flags, length ? length : 1);
    return describe(&scan);
}

static bool finds(const struct use_scan *scan, const char *schema)
{
    for (size_t i = 0; i < scan->count; i++)
        if (strcmp(scan->schemas[i], schema) == 0)
            return true;
    return scan->unclear || scan->dynamic;
}

/* The table, as exact results. */
Test(use_scan, reads_each_text_as_expected)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        cr_expect_str_eq(result(row->text, row->length, row->flags), row->found, "%s", row->text);
        cr_expect_str_eq(result(row->text, row->length, row->flags & ONE), row->bare, "%s",
                         row->text);
    }
}

/* The contract: no server's schema changes without the scanner's knowledge. */
Test(use_scan, finds_every_schema_that_a_server_changed_to)
{
    size_t changed = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *const servers[] = {rows[i].mariadb, rows[i].mysql};
        for (size_t s = 0; s < 2; s++) {
            if (!servers[s])
                continue;
            changed++;
            const struct row *row = &rows[i];
            struct use_scan scan = scan_in_pieces(row->text, row->length, row->flags, 4096);
            cr_expect(finds(&scan, servers[s]), "with promises: %s", row->text);
            scan = scan_in_pieces(row->text, row->length, row->flags & ONE, 4096);
            cr_expect(finds(&scan, servers[s]), "without promises: %s", row->text);
        }
    }
    cr_assert_gt(changed, 200, "the table tests something");
}

Test(use_scan, promises_only_ever_take_away)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        struct use_scan sure = scan_in_pieces(row->text, row->length, row->flags, 4096);
        struct use_scan bare = scan_in_pieces(row->text, row->length, row->flags & ONE, 4096);
        if (bare.unclear)
            continue;
        cr_expect_not(sure.unclear, "%s", row->text);
        for (size_t s = 0; s < sure.count; s++)
            cr_expect(finds(&bare, sure.schemas[s]), "%s", row->text);
    }
}

Test(use_scan, where_the_text_is_cut_makes_no_difference)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &rows[i];
        for (size_t piece = 1; piece < 8; piece++) {
            struct use_scan scan = scan_in_pieces(row->text, row->length, row->flags, piece);
            cr_expect_str_eq(describe(&scan), row->found, "%zu: %s", piece, row->text);
        }
    }
}

/* --- limits --- */

Test(use_scan, too_many_schemas_are_unclear)
{
    static const char four[] = "USE a; USE b; USE c; USE d; USE a; USE `b`";
    static const char five[] = "USE a; USE b; USE c; USE d; USE e";
    cr_assert_str_eq(result(TEXT(four), ESC | UTF), "a,b,c,d");
    cr_assert_str_eq(result(TEXT(five), ESC | UTF), UNCLEAR);
}

Test(use_scan, schemas_that_differ_in_case_are_two)
{
    cr_assert_str_eq(result(TEXT("USE shop; USE Shop"), ESC | UTF), "shop,Shop");
}

Test(use_scan, too_long_names_are_unclear)
{
    char text[400] = "USE `";
    struct use_scan scan;
    memset(text + 5, 'x', 300);
    text[5 + 256] = '`';
    scan = scan_in_pieces(text, 5 + 257, UTF, 100);
    cr_assert_not(scan.unclear);
    cr_assert_eq(strlen(scan.schemas[0]), 256);
    text[5 + 256] = 'x';
    text[5 + 257] = '`';
    scan = scan_in_pieces(text, 5 + 258, UTF, 100);
    cr_assert(scan.unclear);
    text[4] = ' ';
    scan = scan_in_pieces(text, 5 + 257, UTF, 100);
    cr_assert(scan.unclear, "a plain one too");
}

/* --- stopping early --- */

/* How many bytes a scanner takes before it is done, fed one by one; 0: not before the end. */
static size_t done_after(const char *text, unsigned flags)
{
    struct use_scan scan;
    use_scan_init(&scan, flags);
    for (size_t i = 0; text[i] != '\0'; i++) {
        use_scan_feed(&scan, text + i, 1);
        if (scan.done)
            return i + 1;
    }
    return 0;
}

Test(use_scan, one_statement_is_done_after_its_first_word)
{
    cr_assert_eq(done_after("SELECT 1 FROM t", ONE), 7);
    cr_assert_eq(done_after("/* c */ SELECT 1", ONE), 15);
    cr_assert_eq(done_after("SELECT 1 FROM t", ESC | UTF), 0, "a second statement may follow");
    cr_assert_eq(done_after("USE b", ONE), 0, "the name may go on");
    cr_assert_eq(done_after("USE b; SELECT", ONE), 6);
    cr_assert_eq(done_after("(SELECT 1)", ONE), 1);
    cr_assert_eq(done_after("/*! SELECT 1 */ + 1", ONE), 17, "it could be blank, too");
    cr_assert_eq(done_after("use 'x' and more", ONE), 5, "unclear is the end");
}

Test(use_scan, feeding_behind_the_end_changes_nothing)
{
    struct use_scan scan;
    use_scan_init(&scan, ONE);
    use_scan_feed(&scan, "SELECT 1; ", 10);
    cr_assert(scan.done);
    use_scan_feed(&scan, "USE b", 5);
    use_scan_finish(&scan);
    use_scan_finish(&scan);
    cr_assert_eq(scan.count, 0);
    cr_assert_not(scan.unclear);
}

Test(use_scan, feeding_nothing_changes_nothing)
{
    struct use_scan scan;
    use_scan_init(&scan, UTF);
    use_scan_feed(&scan, "US", 2);
    use_scan_feed(&scan, NULL, 0);
    use_scan_feed(&scan, "E b", 3);
    use_scan_feed(&scan, "", 0);
    use_scan_finish(&scan);
    cr_assert_str_eq(describe(&scan), "b");
}

Test(use_scan, too_many_readings_are_unclear)
{
    static const char text[] =
        "SELECT [ /*! /*! \\ \" [ ` /*! \" [ /*! ` /* /*! \" \\\" \\` [ /*! ' \" "
        "/* ] /* \" \\\" ' \\' ] ` /* [ \" ' ] /*! /* ] \" ` [";
    cr_assert_gt(done_after(text, 0), 0, "it gave up within the text, not at its open end");
    cr_assert_str_eq(result(TEXT(text), 0), UNCLEAR);
}

/* --- what real clients send --- */

Test(use_scan, ordinary_texts_are_clear)
{
    static const char *const texts[] = {
        "INSERT INTO t (a, b) VALUES ('it\\'s', \"{\\\"k\\\": \\\"v\\\"}\"); SELECT "
        "LAST_INSERT_ID()",
        "/*!40101 SET NAMES utf8mb4 */; /*!40000 ALTER TABLE `t` DISABLE KEYS */; "
        "INSERT INTO `t` VALUES (1,'a\\'b'),(2,'c\\\\d'),(3,NULL)",
        "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`%`*/ /*!50003 TRIGGER t BEFORE INSERT ON u "
        "FOR EACH ROW SET NEW.a = 'x;y' */",
        "UPDATE t SET a = 'caf\xc3\xa9', b = \"\xf0\x9f\x98\x80\" WHERE id = 1; COMMIT",
        "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 'two'; END",
        "SELECT a->'$.b', c->>\"$.d\" FROM t WHERE e LIKE '50\\%'; SELECT 2",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_expect_str_eq(result(texts[i], strlen(texts[i]), ESC | UTF), "", "%s", texts[i]);
        cr_expect_str_eq(result(texts[i], strlen(texts[i]), 0), "", "bare: %s", texts[i]);
    }
}

Test(use_scan, a_dump_names_its_schemas)
{
    static const char dump[] =
        "/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n"
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8 */;\n"
        "\nUSE `shop`;\n-- Table structure for table `it's`\n"
        "INSERT INTO `t` VALUES (1,'x; USE `no`','y');\n\nUSE `bank`;\n";
    cr_assert_str_eq(result(TEXT(dump), ESC | UTF), "shop,bank");
    cr_assert_str_eq(result(TEXT(dump), 0), "shop,bank");
}
