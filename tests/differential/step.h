/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sequence is made of: steps that a client takes, decided before the first is taken. No step
 * depends on an answer, so a step can be left out and the rest still means something (report.h's
 * shrinking), and a seed repeats the whole sequence.
 */
#ifndef SALLYPORT_DIFFERENTIAL_STEP_H
#define SALLYPORT_DIFFERENTIAL_STEP_H

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/differential/text.h"

#define STEP_SLOTS      4      /* prepared statements that a client keeps at once */
#define STEP_PARAMS     8      /* parameters of a statement that get a value of their own */
#define STEP_BULK_ROWS  4      /* rows of one COM_STMT_BULK_EXECUTE */
#define STEP_MOST       200    /* steps of a sequence, fixed ones included */
#define STEP_PIPELINE   6      /* commands that are sent before the first answer is read */
#define STEP_UNKNOWN_ID 0x7777 /* a statement id that no sequence reaches */

enum flavour { FLAVOUR_MARIADB = 1, FLAVOUR_MYSQL = 2 };

enum step_kind {
    STEP_QUERY,
    STEP_PREPARE,
    STEP_EXECUTE,
    STEP_BULK,
    STEP_FETCH,
    STEP_LONG_DATA,
    STEP_STMT_RESET,
    STEP_STMT_CLOSE,
    STEP_INIT_DB,
    STEP_PING,
    STEP_STATISTICS,
    STEP_SET_OPTION,
    STEP_FIELD_LIST,
    STEP_CHANGE_USER,
    STEP_RESET_CONNECTION,
    STEP_CHARSET, /* the library's own SET NAMES; a query for the raw client */
    STEP_RAW      /* a command byte that no client library sends; for the raw client only */
};

struct param {
    enum enum_field_types type;
    bool is_unsigned;
    bool null;
    uint8_t indicator; /* of a bulk row: enum enum_indicator_type */
    int64_t integer;
    double real;
    MYSQL_TIME time;
    struct text bytes;
};

struct step {
    enum step_kind kind;
    bool fixed;   /* set-up that makes a session repeatable: never left out */
    bool dropped; /* by the shrinker */
    bool piped;   /* may be sent together with the step that follows (raw client) */
    unsigned int slot;
    unsigned int number; /* rows to fetch, a parameter's index, an option, a command byte */
    bool cursor;
    bool reuse_types;        /* execute with new_params_bind_flag 0 where that is possible */
    bool last_id;            /* MariaDB: statement id -1, the last one that was prepared */
    bool unknown_id;         /* STEP_UNKNOWN_ID */
    unsigned int attributes; /* MySQL: query attributes, where the connection has them */
    struct text text;
    struct param params[STEP_PARAMS * STEP_BULK_ROWS];
    size_t param_count; /* values in params; of a bulk, STEP_PARAMS for each row */
    size_t rows;        /* of a bulk */
};

struct sequence {
    uint64_t seed;
    enum flavour flavour;
    bool raw;              /* the raw client, not the library */
    uint32_t capabilities; /* mask over what both servers offer */
    uint32_t extended;     /* the same for MariaDB's extended flags */
    bool strangers;        /* some steps have unknown ids: counters of commands differ */
    bool compress;         /* ask for compression, where it is offered */
    size_t count;
    struct step steps[STEP_MOST];
};

struct generate_options {
    enum flavour flavour;
    bool want_raw, want_library;
    bool compress; /* some sequences use the compressed protocol */
    bool huge;     /* packets around 16 MiB, rarely */
};

/* The sequence of a seed: the same options and seed give the same steps. Free with sequence_free.
 */
struct sequence *sequence_generate(uint64_t seed, const struct generate_options *options);
void sequence_free(struct sequence *sequence);

/*
 * Whether to ask for a cursor when a statement is executed. Servers do not survive, or clients do
 * not follow, all that the protocol has:
 *  - MariaDB 10.11 ends with signal 11 on a cursor over DELETE ... RETURNING, MySQL 9.7 on one over
 *    EXPLAIN;
 *  - libmariadb does not read all of a CALL's answer when it asked for a cursor;
 *  - MySQL 9.7, asked first with a cursor and then without one, sends no rows
 *    (docs/decisions/0705-a-cursor-and-then-none.md): a statement has a cursor always or never.
 *
 * `prepare` is the step that the statement is from: steps before it may have been left out.
 */
bool step_may_have_cursor(const struct text *text);
bool step_has_cursor(const struct step *step, const struct step *prepare, enum flavour flavour);

/* One line about a step, as a person reads it. */
void step_print(const struct step *step, struct text *out);

/* What the client sends for LOAD DATA LOCAL INFILE 'name': the same bytes for the same name. */
void infile_content(const char *name, size_t length, struct text *out);

#endif
