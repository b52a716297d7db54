/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds `USE schema` in statement text, so that the schema can be judged before the text reaches
 * the database.
 *
 *     struct use_scan scan;
 *     use_scan_init(&scan, flags);
 *     use_scan_feed(&scan, piece, length);     any number of times; may stop early at scan.done
 *     use_scan_finish(&scan);
 *     if (scan.unclear) refuse; else judge each of scan.schemas[0 .. scan.count - 1]
 *
 * What a text means depends on things that the scanner does not know for certain: the server's kind
 * and version, sql_mode, the client's character set. So it follows every reading at once, and a USE
 * that any of them finds counts. Soundness is the contract: if a server changes its schema because
 * of the text, then that schema is among those found, or the text is unclear. The other direction
 * is not promised: `USE` inside of a string may be found when a reading exists in which it is code.
 *
 * The readings, and where they come from (MySQL 9.x sql/sql_lex.cc, MariaDB 10.11 sql/sql_lex.cc):
 *  - an executable comment is code and is blank (MySQL "Comments": the server's version decides,
 * and MariaDB skips 50700 to 99999; blank ones may hold one more comment, or not); `/ *M!` is as `/
 * *!`
 *  - a backslash escapes and does not (NO_BACKSLASH_ESCAPES), unless the caller knows
 *  - `"` delimits a string and an identifier (ANSI_QUOTES; it does not show in status flags)
 *  - `[` is a bad character and delimits an identifier (MariaDB, sql_mode MSSQL)
 *  - bytes of 0x80 and up are part of a word and are white space (0xA0 is in latin1), and in front
 * of
 *    `\` and a backtick may swallow it (gbk, sjis, big5, gb18030; in quoted identifiers every
 *    multi-byte character set), unless the caller knows
 *  - `--` starts a comment before white space and control characters only; those of 0x80 and up
 *    depend on the character set; a line comment ends at NUL and does not
 * `$tag$…$tag$` (MySQL 9) and optimizer hints that hold quotes are unclear: they occur in
 * statements that no policy lets through by accident. More than USE_SCAN_READERS readings at once
 * is unclear too.
 *
 * Out of scope, because the text is data: what PREPARE, EXECUTE and EXECUTE IMMEDIATE run. The
 * scanner says `dynamic` when a statement begins with one of these; the session's schema is also
 * followed by session tracking.
 *
 * Memory is constant, nothing is allocated and nothing outside of the struct is kept between calls.
 * Ordinary texts cost 0.5 to 3 ns a byte, JSON between double quotes some 8, hostile texts some 30.
 */
#ifndef SALLYPORT_AUTHZ_USE_SCAN_H
#define SALLYPORT_AUTHZ_USE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Different schemas of one text; more is unclear. */
#define USE_SCAN_FOUND_MAX 4
/* A name with its NUL. Servers allow 64 characters, 4 bytes each at most ("Identifier Length
 * Limits"); a longer one is unclear. */
#define USE_SCAN_SCHEMA_MAX 257
/* Readings followed at once; more is unclear. Real texts need one to three. */
#define USE_SCAN_READERS 8
/* The longest verb that matters, "rollback", and one more to know a longer word by. */
#define USE_SCAN_WORD_MAX 9

/*
 * Promises of the caller; without any the scanner assumes the worst. What they say must hold when
 * the server reads the text, so not while a command that could change it is still in flight. The
 * scanner itself forgets them after a statement of the text that could have changed them, such as
 * SET.
 */
enum use_scan_flags {
    /* The server takes one statement only: CLIENT_MULTI_STATEMENTS is off, or the text is that of
     * COM_STMT_PREPARE. Scanning is done as soon as its first word is known not to be USE. */
    USE_SCAN_ONE_STATEMENT = 1,
    /* SERVER_STATUS_NO_BACKSLASH_ESCAPES was clear in the last status flags, or set. */
    USE_SCAN_BACKSLASH_ESCAPES = 2,
    USE_SCAN_NO_BACKSLASH_ESCAPES = 4,
    /* character_set_client has ASCII below 0x80 and nothing else there: all but gbk, gb18030, big5,
     * sjis, cp932 and swe7. */
    USE_SCAN_ASCII = 8,
    /* character_set_client is utf8mb3 or utf8mb4. Includes USE_SCAN_ASCII. */
    USE_SCAN_UTF8 = 16,
};

/* Private: one way to read the text, as far as it has come. */
struct use_scan_reader {
    uint8_t mode;      /* where in the lexical grammar */
    uint8_t position;  /* where in the statement */
    uint8_t quote;     /* the closing byte of what is quoted */
    uint8_t pending;   /* what the byte before means for the next one, within the mode */
    bool executable;   /* within an executable comment that is read as code */
    bool trusted;      /* the caller's promises still hold */
    bool steady;       /* nothing in this statement can end the promises */
    uint8_t word_size; /* of the statement's first word so far */
    char word[USE_SCAN_WORD_MAX];
};

struct use_scan {
    /* The result. `done` says that more text cannot change it. */
    bool unclear;
    bool done;
    bool dynamic;
    size_t count;
    char schemas[USE_SCAN_FOUND_MAX][USE_SCAN_SCHEMA_MAX];

    /* Private. */
    unsigned flags;
    size_t reader_count;
    struct use_scan_reader readers[USE_SCAN_READERS];
    bool retired;      /* a reading has come to its end, cleanly */
    bool naming;       /* a reading is within a name */
    uint8_t before[3]; /* the bytes before the current one, the nearest first */
    size_t name_size;
    char name[USE_SCAN_SCHEMA_MAX];
};

void use_scan_init(struct use_scan *scan, unsigned flags);

/* The next bytes of the text; where it is cut makes no difference. */
void use_scan_feed(struct use_scan *scan, const void *bytes, size_t length);

/* The end of the text. A text that no reading can end (an open quote or comment) is unclear. */
void use_scan_finish(struct use_scan *scan);

#endif
