/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "audit/redact.h"

static struct buffer out;

static void open_out(void)
{
    buffer_init(&out, 1 << 20);
}

static void close_out(void)
{
    buffer_release(&out);
}

TestSuite(redact, .init = open_out, .fini = close_out);

static struct audit_redaction redact_bytes(const char *sql, size_t length,
                                           struct audit_redact_dialect dialect)
{
    struct audit_redaction redaction;
    struct error err;
    cr_assert(audit_redact(sql, length, dialect, &out, &redaction, &err), "%s", err.message);
    return redaction;
}

static void expect_dialect(const char *sql, const char *wanted, struct audit_redact_dialect dialect)
{
    struct audit_redaction redaction = redact_bytes(sql, strlen(sql), dialect);
    const char *got = redaction.redacted ? (const char *)buffer_bytes(&out) : sql;
    size_t length = redaction.redacted ? buffer_length(&out) : strlen(sql);
    cr_expect(length == strlen(wanted) && memcmp(got, wanted, length) == 0,
              "\n   %s\nbecame\n   %.*s\nnot\n   %s", sql, (int)length, got, wanted);
    cr_expect_eq(redaction.redacted, strcmp(sql, wanted) != 0);
    if (redaction.redacted)
        cr_expect(audit_redact_suspect(sql, strlen(sql)), "not suspected: %s", sql);
}

static void expect(const char *sql, const char *wanted)
{
    expect_dialect(sql, wanted, (struct audit_redact_dialect){0});
}

static void expect_kept(const char *sql)
{
    expect(sql, sql);
}

#define R AUDIT_REDACTED

/* MySQL 9 manual, "CREATE USER Statement", "ALTER USER Statement". */
Test(redact, accounts_of_mysql)
{
    expect("CREATE USER 'a'@'h' IDENTIFIED BY 'secret'",
           "CREATE USER 'a'@'h' IDENTIFIED BY '" R "'");
    expect("create user a identified by \"secret\"", "create user a identified by \"" R "\"");
    expect("CREATE USER a IDENTIFIED WITH 'sha256_password' BY 'secret'",
           "CREATE USER a IDENTIFIED WITH 'sha256_password' BY '" R "'");
    expect("CREATE USER a IDENTIFIED WITH mysql_native_password AS '*ABC'",
           "CREATE USER a IDENTIFIED WITH mysql_native_password AS '" R "'");
    expect("CREATE USER a IDENTIFIED WITH caching_sha2_password AS 0x24412430",
           "CREATE USER a IDENTIFIED WITH caching_sha2_password AS " R);
    expect("CREATE USER a IDENTIFIED WITH p AS x'2441'",
           "CREATE USER a IDENTIFIED WITH p AS x'" R "'");
    expect("ALTER USER a IDENTIFIED BY 'new' REPLACE 'old' RETAIN CURRENT PASSWORD",
           "ALTER USER a IDENTIFIED BY '" R "' REPLACE '" R "' RETAIN CURRENT PASSWORD");
    expect("ALTER USER USER() IDENTIFIED BY 'x'", "ALTER USER USER() IDENTIFIED BY '" R "'");
    expect("ALTER USER a ADD 2 FACTOR IDENTIFIED WITH p BY 'x' ADD 3 FACTOR IDENTIFIED BY 'y'",
           "ALTER USER a ADD 2 FACTOR IDENTIFIED WITH p BY '" R "' ADD 3 FACTOR IDENTIFIED BY '" R
           "'");
    expect("CREATE USER a IDENTIFIED BY 'x' AND IDENTIFIED WITH p BY 'y'",
           "CREATE USER a IDENTIFIED BY '" R "' AND IDENTIFIED WITH p BY '" R "'");
    expect("CREATE USER a IDENTIFIED BY 'x', 'b'@'h' IDENTIFIED BY 'y'",
           "CREATE USER a IDENTIFIED BY '" R "', 'b'@'h' IDENTIFIED BY '" R "'");
    expect_kept("CREATE USER a IDENTIFIED BY RANDOM PASSWORD");
    expect_kept("ALTER USER 'a'@'h' PASSWORD EXPIRE INTERVAL 90 DAY COMMENT 'who'");
}

/* MariaDB manual, "CREATE USER", "GRANT". */
Test(redact, accounts_of_mariadb)
{
    expect("CREATE USER a IDENTIFIED VIA ed25519 USING 'hash' OR mysql_native_password USING 'h2'",
           "CREATE USER a IDENTIFIED VIA ed25519 USING '" R "' OR mysql_native_password USING '" R
           "'");
    expect("CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD('x') OR p USING 'y'",
           "CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD('" R "') OR p USING '" R "'");
    expect("CREATE USER a IDENTIFIED BY PASSWORD '*HASH'",
           "CREATE USER a IDENTIFIED BY PASSWORD '" R "'");
    expect("GRANT ALL ON *.* TO 'a'@'h' IDENTIFIED BY 'x' REQUIRE SUBJECT '/CN=a' WITH "
           "MAX_USER_CONNECTIONS 5",
           "GRANT ALL ON *.* TO 'a'@'h' IDENTIFIED BY '" R "' REQUIRE SUBJECT '/CN=a' WITH "
           "MAX_USER_CONNECTIONS 5");
    expect("GRANT ALL ON *.* TO a IDENTIFIED BY PASSWORD 'x' REQUIRE ISSUER '/CN=ca'",
           "GRANT ALL ON *.* TO a IDENTIFIED BY PASSWORD '" R "' REQUIRE ISSUER '/CN=ca'");
}

Test(redact, set_password)
{
    expect("SET PASSWORD = 'x'", "SET PASSWORD = '" R "'");
    expect("SET PASSWORD='x' REPLACE 'y'", "SET PASSWORD='" R "' REPLACE '" R "'");
    expect("SET PASSWORD FOR 'bob'@'%' = 'x'", "SET PASSWORD FOR 'bob'@'%' = '" R "'");
    expect("SET PASSWORD FOR 'bob'@'%' = PASSWORD('x')",
           "SET PASSWORD FOR 'bob'@'%' = PASSWORD('" R "')");
    expect("SET PASSWORD = OLD_PASSWORD ( 'x' )", "SET PASSWORD = OLD_PASSWORD ( '" R "' )");
    expect("SET PASSWORD = CONCAT('a', \"b\")", "SET PASSWORD = CONCAT('" R "', \"" R "\")");
    expect("SELECT PASSWORD(1234), 'kept'", "SELECT PASSWORD(" R "), 'kept'");
    expect("SET @password := 'x', @other = 'y'", "SET @password := '" R "', @other = 'y'");
    expect_kept("SET PASSWORD FOR 'bob'@'%' TO RANDOM");
}

Test(redact, replication_servers_and_clones)
{
    expect("CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD='x', MASTER_HOST='h'",
           "CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD='" R "', MASTER_HOST='h'");
    expect("CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD = 'x'",
           "CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD = '" R "'");
    expect("START REPLICA USER='u' PASSWORD='x'", "START REPLICA USER='u' PASSWORD='" R "'");
    expect("CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 'x', HOST 'h')",
           "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD '" R
           "', HOST 'h')");
    expect("CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY 'x' DATA DIRECTORY = '/d'",
           "CLONE INSTANCE FROM 'u'@'h':3306 IDENTIFIED BY '" R "' DATA DIRECTORY = '/d'");
}

Test(redact, whatever_quotes_and_comments_stand_in_the_way)
{
    expect("SET PASSWORD = 'a''b'", "SET PASSWORD = '" R "'");
    expect("SET PASSWORD = 'a\\'b'", "SET PASSWORD = '" R "'");
    expect("SET PASSWORD = \"a\"\"b\"", "SET PASSWORD = \"" R "\"");
    expect("SET PASSWORD = 'a\\\\' , @x = 'kept'", "SET PASSWORD = '" R "' , @x = 'kept'");
    expect("SET PASSWORD = 'a' 'b'\n\"c\"", "SET PASSWORD = '" R "' '" R "'\n\"" R "\"");
    expect("SET PASSWORD /* c */ = -- d\n # e\n 'x'",
           "SET PASSWORD /* c */ = -- d\n # e\n '" R "'");
    expect("SET PASSWORD = _utf8mb4'x'", "SET PASSWORD = _utf8mb4'" R "'");
    expect("SET PASSWORD = N'x'", "SET PASSWORD = N'" R "'");
    expect("UPDATE t SET `password` = 'x' WHERE id = 'kept'",
           "UPDATE t SET `password` = '" R "' WHERE id = 'kept'");
    expect("CREATE USER a/**/IDENTIFIED/**/BY/**/'x'",
           "CREATE USER a/**/IDENTIFIED/**/BY/**/'" R "'");
    expect("/*!50706 CREATE USER a IDENTIFIED BY 'x' */",
           "/*!50706 CREATE USER a IDENTIFIED BY '" R "' */");
    expect("CREATE USER a /*M!100100 IDENTIFIED BY */ 'x'",
           "CREATE USER a /*M!100100 IDENTIFIED BY */ '" R "'");
    expect("SET PASSWORD = 'not ended", "SET PASSWORD = '" R);
    expect("SET PASSWORD = '", "SET PASSWORD = '" R);
}

Test(redact, each_statement_of_several)
{
    expect("SET PASSWORD = 'x'; SELECT 'kept'; SET PASSWORD = 'y'",
           "SET PASSWORD = '" R "'; SELECT 'kept'; SET PASSWORD = '" R "'");
    expect("CREATE USER a IDENTIFIED BY 'x'; INSERT INTO t VALUES ('kept')",
           "CREATE USER a IDENTIFIED BY '" R "'; INSERT INTO t VALUES ('kept')");
}

Test(redact, statements_within_literals_and_comments)
{
    expect("PREPARE s FROM 'CREATE USER a IDENTIFIED BY ''x'''",
           "PREPARE s FROM 'CREATE USER a IDENTIFIED BY " R "'");
    expect("EXECUTE IMMEDIATE \"SET PASSWORD = 'x'\"",
           "EXECUTE IMMEDIATE \"SET PASSWORD = " R "\"");
    expect("SET @s = CONCAT('CREATE USER a IDENTIFIED BY ', QUOTE('x'), 'y')",
           "SET @s = CONCAT('CREATE USER a IDENTIFIED BY ', QUOTE('" R "'), '" R "')");
    expect("SELECT 1 /* CREATE USER a IDENTIFIED BY 'x' */",
           "SELECT 1 /* CREATE USER a IDENTIFIED BY " R "*/");
    expect("SELECT 1 -- set password = 'x'\n+ 'kept'",
           "SELECT 1 -- set password = " R "\n+ 'kept'");
}

Test(redact, keeps_what_is_no_password)
{
    expect_kept("SELECT 'password'");
    expect_kept("INSERT INTO log VALUES ('password changed for bob')");
    expect_kept("INSERT INTO users (name, password) VALUES ('bob', 'x')");
    expect_kept("SELECT password, name FROM users WHERE name = 'bob'");
    expect_kept("SELECT identified FROM t WHERE a = 'b'");
    expect_kept("SET GLOBAL validate_password.policy = 'LOW'");
    expect_kept("SELECT * FROM t WHERE password IN ('a')");
    expect_kept("INSERT INTO t VALUES ('{\"password\": \"x\"}')");
    expect_kept("");
}

/* MySQL manual, "Server SQL Modes", NO_BACKSLASH_ESCAPES: the status flag tells which holds. */
Test(redact, reads_backslashes_as_the_server_does)
{
    const char *sql = "SET PASSWORD = 'a\\', @b = 'kept'";
    expect_dialect(sql, "SET PASSWORD = '" R "', @b = 'kept'",
                   (struct audit_redact_dialect){.no_backslash_escapes = true});
    expect("SET PASSWORD = 'a\\', @b = 'x'", "SET PASSWORD = '" R "'x'" R);
}

/* gbk 0xBF5C is one character: its second byte is no backslash, so the quote behind it ends. */
Test(redact, reads_double_bytes_as_the_server_does)
{
    expect_dialect("SET PASSWORD = '\xBF\x5C', @b = 'kept'", "SET PASSWORD = '" R "', @b = 'kept'",
                   (struct audit_redact_dialect){.double_byte = true});
}

/* A server that skips the comment runs the DROP: it must stay in the record. */
Test(redact, hides_no_code_behind_an_executable_comment)
{
    expect_kept("/*!99999 SET PASSWORD = ' */ DROP TABLE t; -- '");
}

Test(redact, notes_bound_passwords)
{
    const char *sql = "SET PASSWORD FOR 'a'@'h' = ?";
    cr_expect(redact_bytes(sql, strlen(sql), (struct audit_redact_dialect){0}).placeholder);
    sql = "SELECT ? FROM t WHERE password IS NULL";
    cr_expect_not(redact_bytes(sql, strlen(sql), (struct audit_redact_dialect){0}).placeholder);
}

Test(redact, suspects_at_every_offset_and_in_any_case)
{
    static const char *const words[] = {"password",   "PASSWORD",   "PassWord",
                                        "identified", "IDENTIFIED", "iDeNtIfIeD"};
    char text[200];
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        size_t size = strlen(words[w]);
        for (size_t at = 0; at + size <= sizeof text; at++) {
            memset(text, 's', sizeof text); /* nearly a match everywhere */
            memcpy(text + at, words[w], size);
            cr_assert(audit_redact_suspect(text, sizeof text), "%s at %zu", words[w], at);
            cr_assert(audit_redact_suspect(text, at + size));
            cr_assert_not(audit_redact_suspect(text, at + size - 1));
        }
    }
    cr_assert_not(audit_redact_suspect("passwor", 7));
    cr_assert_not(audit_redact_suspect("ss", 2));
    cr_assert_not(audit_redact_suspect("", 0));
}

/* Whatever the statement is cut to, none of the password's letters is left behind. */
Test(redact, leaks_nothing_at_any_cut)
{
    static const char *const statements[] = {
        "CREATE USER a IDENTIFIED BY 'ZZZZZZ' REQUIRE SSL",
        "SET PASSWORD FOR a = PASSWORD(\"ZZZZZZ\")",
        "PREPARE s FROM 'CREATE USER a IDENTIFIED BY ''ZZZZZZ'''",
        "CHANGE MASTER TO MASTER_PASSWORD=/* c */'ZZ\\'ZZ''ZZ'",
    };
    for (size_t s = 0; s < sizeof statements / sizeof *statements; s++) {
        for (size_t length = 0; length <= strlen(statements[s]); length++) {
            struct audit_redaction redaction =
                redact_bytes(statements[s], length, (struct audit_redact_dialect){0});
            const void *got = redaction.redacted ? (const void *)buffer_bytes(&out) : statements[s];
            size_t size = redaction.redacted ? buffer_length(&out) : length;
            cr_assert_null(memchr(got, 'Z', size), "%.*s", (int)size, (const char *)got);
        }
    }
}

Test(redact, survives_every_byte_and_keeps_length_bounded)
{
    char text[600];
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(text, (int)byte, sizeof text);
        memcpy(text + 100, "password=", 9);
        redact_bytes(text, sizeof text, (struct audit_redact_dialect){0});
        redact_bytes(text, sizeof text, (struct audit_redact_dialect){true, true});
    }
}

/* Found by fuzzing: what is inside of the quotes is empty, and nothing follows it in memory. */
Test(redact, looks_at_no_byte_behind_the_end)
{
    static const char *const texts[] = {"password`",  "password '", "password \"", "password /*",
                                        "password 0", "password -", "password --", "password /*!"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t length = strlen(texts[i]);
        char *exact = malloc(length);
        cr_assert_not_null(exact);
        memcpy(exact, texts[i], length);
        redact_bytes(exact, length, (struct audit_redact_dialect){0});
        redact_bytes(exact, length, (struct audit_redact_dialect){true, true});
        free(exact);
    }
}

Test(redact, says_when_there_is_no_room)
{
    struct buffer small;
    struct audit_redaction redaction;
    struct error err;
    buffer_init(&small, 8);
    cr_assert_not(audit_redact("SET PASSWORD = 'x'", 18, (struct audit_redact_dialect){0}, &small,
                               &redaction, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    buffer_release(&small);
}
