/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/differential/grammar.h"
#include "tests/differential/step.h"
#include "tests/differential/wire.h"

#define STEPS_LEAST       10
#define STEPS_SPREAD      51
#define LIBRARY_PERCENT   50
#define HUGE_PER_THOUSAND 2
#define LONG_DATA_MOST    300000

/* What makes a session's functions of the clock and of chance repeatable. */
#define SESSION_FIXED "SET timestamp = 1700000000.123456, rand_seed1 = 11, rand_seed2 = 7"

struct generator {
    struct random random;
    const struct generate_options *options;
    struct sequence *sequence;
    bool cursor[STEP_SLOTS]; /* whether a slot's statement is executed with one, now and then */
};

static struct step *step_add(struct generator *generator, enum step_kind kind)
{
    struct sequence *sequence = generator->sequence;
    if (sequence->count == STEP_MOST)
        die("a sequence has more than %d steps", STEP_MOST);
    struct step *step = &sequence->steps[sequence->count++];
    step->kind = kind;
    return step;
}

static struct step *step_add_text(struct generator *generator, enum step_kind kind,
                                  const char *rule)
{
    struct step *step = step_add(generator, kind);
    grammar_expand(&generator->random, generator->options->flavour, rule, &step->text);
    return step;
}

static void step_add_fixed(struct generator *generator)
{
    struct step *step = step_add(generator, STEP_QUERY);
    step->fixed = true;
    text_print(&step->text, "%s", SESSION_FIXED);
}

static void param_time(struct random *random, struct param *param)
{
    param->time = (MYSQL_TIME){
        .year = (unsigned int)random_below(random, 10000),
        .month = (unsigned int)random_below(random, 13),
        .day = (unsigned int)random_below(random, 32),
        .hour = (unsigned int)random_below(random, 24),
        .minute = (unsigned int)random_below(random, 60),
        .second = (unsigned int)random_below(random, 60),
        .second_part = random_percent(random, 50) ? random_below(random, 1000000) : 0,
        .neg = param->type == MYSQL_TYPE_TIME && random_percent(random, 30),
        .time_type = MYSQL_TIMESTAMP_DATETIME,
    };
    if (param->type == MYSQL_TYPE_TIME) {
        param->time.year = param->time.month = 0;
        param->time.time_type = MYSQL_TIMESTAMP_TIME;
    }
    if (param->type == MYSQL_TYPE_DATE) {
        param->time.hour = param->time.minute = param->time.second = 0;
        param->time.second_part = 0;
        param->time.time_type = MYSQL_TIMESTAMP_DATE;
    }
    if (random_percent(random, 10))
        param->time = (MYSQL_TIME){.time_type = param->time.time_type};
}

static void param_bytes(struct random *random, struct param *param)
{
    static const size_t lengths[] = {0, 1, 10, 250, 251, 252, 255, 256, 4096, 65535, 65536, 100000};
    if (random_percent(random, 70)) {
        grammar_expand(random, FLAVOUR_MARIADB, "str", &param->bytes);
        return;
    }
    size_t length = lengths[random_below(random, sizeof lengths / sizeof lengths[0])];
    unsigned int first = (unsigned int)random_below(random, 256);
    for (size_t i = 0; i < length; i++)
        text_add_byte(&param->bytes, (unsigned int)((first + i) % 256));
}

static const enum enum_field_types temporal_types[] = {
    MYSQL_TYPE_DATE,
    MYSQL_TYPE_TIME,
    MYSQL_TYPE_DATETIME,
    MYSQL_TYPE_TIMESTAMP,
};
static const enum enum_field_types plain_types[] = {
    MYSQL_TYPE_TINY,      MYSQL_TYPE_SHORT,      MYSQL_TYPE_LONG,   MYSQL_TYPE_LONGLONG,
    MYSQL_TYPE_LONGLONG,  MYSQL_TYPE_FLOAT,      MYSQL_TYPE_DOUBLE, MYSQL_TYPE_STRING,
    MYSQL_TYPE_STRING,    MYSQL_TYPE_VAR_STRING, MYSQL_TYPE_BLOB,   MYSQL_TYPE_NEWDECIMAL,
    MYSQL_TYPE_TINY_BLOB, MYSQL_TYPE_LONG_BLOB,  MYSQL_TYPE_NULL,   MYSQL_TYPE_LONG,
};

/* All that the library can bind; the values reach both ends of each type. */
static void param_fill(struct random *random, struct param *param, bool temporal)
{
    static const int64_t integers[] = {0,           1,         -1,       127,   -128,
                                       255,         32767,     -32768,   65535, 2147483647,
                                       -2147483648, INT64_MAX, INT64_MIN};
    static const double reals[] = {0, -0.0, 1.5, -2.25, 1e300, -1e-300, 3.4028235e38, 16777217};
    if (temporal)
        param->type = temporal_types[random_below(random, 4)];
    else
        param->type = plain_types[random_below(random, sizeof plain_types / sizeof plain_types[0])];
    param->is_unsigned = random_percent(random, 30);
    param->null = param->type == MYSQL_TYPE_NULL || random_percent(random, 12);
    param->integer = random_percent(random, 60)
                         ? (int64_t)random_below(random, 30)
                         : integers[random_below(random, sizeof integers / sizeof integers[0])];
    param->real = reals[random_below(random, sizeof reals / sizeof reals[0])];
    if (param->type == MYSQL_TYPE_NEWDECIMAL)
        text_print(&param->bytes, "%" PRId64 ".%02zu", param->integer, random_below(random, 100));
    else
        param_bytes(random, param);
    param_time(random, param);
}

static void params_fill(struct generator *generator, struct step *step, size_t count)
{
    for (size_t i = 0; i < count; i++)
        param_fill(&generator->random, &step->params[i], random_percent(&generator->random, 20));
    step->param_count = count;
}

static unsigned int slot_any(struct generator *generator)
{
    return (unsigned int)random_below(&generator->random, STEP_SLOTS);
}

static struct step *add_execute(struct generator *generator, unsigned int slot)
{
    struct random *random = &generator->random;
    struct step *step = step_add(generator, STEP_EXECUTE);
    step->slot = slot;
    params_fill(generator, step, STEP_PARAMS);
    step->cursor = generator->cursor[slot] && random_percent(random, 70);
    step->reuse_types = random_percent(random, 25);
    step->last_id = generator->options->flavour == FLAVOUR_MARIADB && random_percent(random, 5);
    step->attributes = random_percent(random, 30) ? (unsigned int)random_below(random, 4) : 0;
    return step;
}

static void add_fetches(struct generator *generator, unsigned int slot)
{
    for (size_t left = random_below(&generator->random, 4); left > 0; left--) {
        struct step *step = step_add(generator, STEP_FETCH);
        step->slot = slot;
        step->number = (unsigned int)random_below(&generator->random, 40);
        if (random_percent(&generator->random, 20))
            step_add_text(generator, STEP_QUERY, "select");
    }
}

bool step_may_have_cursor(const struct text *text)
{
    return text->data != NULL && strstr(text->data, "CALL") == NULL &&
           strstr(text->data, "RETURNING") == NULL && strstr(text->data, "EXPLAIN") == NULL;
}

bool step_has_cursor(const struct step *step, const struct step *prepare, enum flavour flavour)
{
    if (prepare == NULL || !step_may_have_cursor(&prepare->text))
        return false;
    return flavour == FLAVOUR_MYSQL ? prepare->cursor : step->cursor;
}

/* A statement's life: prepared, executed a few times with other values and types, maybe closed. */
static void add_prepared(struct generator *generator)
{
    struct random *random = &generator->random;
    unsigned int slot = slot_any(generator);
    struct step *prepare = step_add_text(generator, STEP_PREPARE, "prepare");
    prepare->slot = slot;
    generator->cursor[slot] = random_percent(random, 30) && step_may_have_cursor(&prepare->text);
    prepare->cursor = generator->cursor[slot];
    for (size_t left = 1 + random_below(random, 3); left > 0; left--) {
        if (random_percent(random, 15)) {
            struct step *piece = step_add(generator, STEP_LONG_DATA);
            piece->slot = slot;
            piece->number = (unsigned int)random_below(random, 3);
            params_fill(generator, piece, STEP_PARAMS);
            piece->params[piece->number].type = MYSQL_TYPE_BLOB;
            piece->params[piece->number].null = false;
            size_t length = random_below(random, random_percent(random, 20) ? LONG_DATA_MOST : 300);
            for (size_t i = 0; i < length; i++)
                text_add_byte(&piece->text, (unsigned int)('A' + i % 57));
        }
        struct step *execute = add_execute(generator, slot);
        if (execute->cursor)
            add_fetches(generator, slot);
        if (random_percent(random, 15))
            step_add_text(generator, STEP_QUERY, "statement");
    }
    if (random_percent(random, 40))
        step_add(generator, STEP_STMT_CLOSE)->slot = slot;
}

static void add_bulk(struct generator *generator)
{
    struct random *random = &generator->random;
    unsigned int slot = slot_any(generator);
    struct step *prepare = step_add_text(generator, STEP_PREPARE, "bulk");
    prepare->slot = slot;
    generator->cursor[slot] = false;
    struct step *step = step_add(generator, STEP_BULK);
    step->slot = slot;
    step->rows = 1 + random_below(random, STEP_BULK_ROWS);
    params_fill(generator, step, STEP_PARAMS * step->rows);
    for (size_t i = 0; i < step->param_count; i++) {
        /* One type for all rows of a column: the command has a single list of types. */
        step->params[i].type = step->params[i % STEP_PARAMS].type;
        step->params[i].is_unsigned = step->params[i % STEP_PARAMS].is_unsigned;
        step->params[i].indicator =
            (uint8_t)(random_percent(random, 15) ? random_below(random, 4) : 0);
        if (step->params[i].type == MYSQL_TYPE_NULL)
            step->params[i].indicator = STMT_INDICATOR_NULL;
    }
}

/* Several commands that the raw client sends before it reads the first answer. */
static void add_pipeline(struct generator *generator)
{
    struct random *random = &generator->random;
    size_t length = 2 + random_below(random, STEP_PIPELINE - 1);
    for (size_t i = 0; i < length; i++) {
        struct step *step;
        size_t kind = random_below(random, 10);
        if (kind < 6)
            step = step_add_text(generator, STEP_QUERY, "quick");
        else if (kind < 7)
            step = step_add(generator, STEP_PING);
        else if (kind < 8)
            step = step_add_text(generator, STEP_INIT_DB, "initdb");
        else
            step = add_execute(generator, slot_any(generator));
        if (step->kind == STEP_EXECUTE)
            step->cursor = false;
        step->piped = i + 1 < length;
    }
}

static void add_renewed_session(struct generator *generator, enum step_kind kind)
{
    struct step *step = step_add(generator, kind);
    step->number = (unsigned int)random_below(&generator->random, 3);
    step_add_fixed(generator);
}

/* A command for a statement that nobody prepared. */
static void add_stranger(struct generator *generator)
{
    static const enum step_kind kinds[] = {STEP_EXECUTE,    STEP_FETCH,     STEP_STMT_RESET,
                                           STEP_STMT_CLOSE, STEP_LONG_DATA, STEP_BULK};
    if (!generator->sequence->strangers)
        return;
    struct step *step = step_add(
        generator, kinds[random_below(&generator->random, sizeof kinds / sizeof kinds[0])]);
    step->unknown_id = true;
    step->rows = 1;
}

/* Commands beside queries and statements. */
static void add_command(struct generator *generator)
{
    struct random *random = &generator->random;
    switch (random_below(random, 13)) {
    case 0:
    case 1:
        step_add_text(generator, STEP_INIT_DB, "initdb");
        break;
    case 2:
        step_add(generator, STEP_PING);
        break;
    case 3:
        step_add(generator, STEP_STATISTICS);
        break;
    case 4:
        /* 0 turns several statements on, 1 off. */
        step_add(generator, STEP_SET_OPTION)->number = (unsigned int)random_below(random, 2);
        break;
    case 5:
        step_add_text(generator, STEP_FIELD_LIST, "fields");
        break;
    case 6:
        add_renewed_session(generator, STEP_CHANGE_USER);
        break;
    case 7:
        add_renewed_session(generator, STEP_RESET_CONNECTION);
        break;
    case 8:
        step_add(generator, STEP_STMT_RESET)->slot = slot_any(generator);
        break;
    case 9:
        step_add(generator, STEP_STMT_CLOSE)->slot = slot_any(generator);
        break;
    case 10:
        step_add_text(generator, STEP_CHARSET, "charset");
        break;
    case 11:
        step_add(generator, STEP_FETCH)->slot = slot_any(generator);
        break;
    default:
        add_stranger(generator);
    }
}

static void add_some(struct generator *generator)
{
    struct random *random = &generator->random;
    size_t kind = random_below(random, 100);
    if (generator->options->huge && random_below(random, 1000) < HUGE_PER_THOUSAND) {
        step_add_text(generator, STEP_QUERY, "huge");
    } else if (kind < 52) {
        struct step *step = step_add_text(generator, STEP_QUERY, "statement");
        step->attributes = random_percent(random, 10) ? (unsigned int)random_below(random, 4) : 0;
        if (step->attributes > 0)
            params_fill(generator, step, step->attributes);
        if (random_percent(random, 30))
            text_print(&step_add(generator, STEP_QUERY)->text, "SHOW WARNINGS");
    } else if (kind < 62) {
        step_add_text(generator, STEP_QUERY, "multi");
    } else if (kind < 80) {
        add_prepared(generator);
    } else if (kind < 83) {
        add_bulk(generator);
    } else if (kind < 88) {
        add_pipeline(generator);
    } else {
        add_command(generator);
    }
}

/* What the session is in the end, asked in the session itself. */
static void add_state(struct generator *generator)
{
    static const char *const questions[] = {
        /* Commands of the server's own count: Sallyport adds none. Left out with strangers. */
        "SHOW SESSION STATUS WHERE Variable_name IN ('Com_select', 'Com_insert', 'Com_commit',"
        " 'Com_stmt_prepare', 'Com_stmt_execute', 'Com_stmt_close', 'Com_stmt_fetch',"
        " 'Com_stmt_reset', 'Com_stmt_send_long_data', 'Com_set_option', 'Com_change_db',"
        " 'Com_begin', 'Com_rollback', 'Questions')",
        "SHOW WARNINGS",
        "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID(), @@warning_count, @@error_count",
        "SELECT DATABASE(), @@autocommit, @@sql_mode, @@time_zone, @@sql_select_limit, @@insert_id",
        "SELECT @@character_set_client, @@character_set_connection, @@character_set_results,"
        " @@collation_connection, @@character_set_database",
        "SELECT @@max_error_count, @@group_concat_max_len,"
        " @@wait_timeout, @@net_read_timeout, @@max_allowed_packet, @@sql_safe_updates",
        "SELECT @@session_track_schema, @@session_track_system_variables,"
        " @@session_track_state_change, @@session_track_transaction_info, @@lc_messages",
        "SELECT @u1, @u2, @u3, @`u 4`",
        "EXECUTE ps1 USING @u1",
        "EXECUTE ps2 USING @u1",
    };
    for (size_t i = generator->sequence->strangers ? 1 : 0;
         i < sizeof questions / sizeof questions[0]; i++)
        text_print(&step_add(generator, STEP_QUERY)->text, "%s", questions[i]);
    for (unsigned int i = 0; i < STEP_SLOTS; i++)
        step_add(generator, STEP_STMT_RESET)->slot = i;
    text_print(&step_add(generator, STEP_QUERY)->text, "SELECT * FROM differ.k ORDER BY id");
    /* MySQL has no variable for it: its status flags say so with every answer. */
    if (generator->options->flavour == FLAVOUR_MARIADB)
        text_print(&step_add(generator, STEP_QUERY)->text,
                   "SELECT @@tx_isolation, @@in_transaction");
    else
        text_print(&step_add(generator, STEP_QUERY)->text, "SELECT @@transaction_isolation");
}

/* The last step of a few sequences: the session ends by other means than COM_QUIT. */
static void add_end(struct generator *generator)
{
    struct random *random = &generator->random;
    size_t kind = random_below(random, 100);
    /* How a lost connection looks to the library depends on when it looks. */
    if (kind < 3 && generator->sequence->raw)
        text_print(&step_add(generator, STEP_QUERY)->text, "KILL CONNECTION_ID()");
    else if (kind >= 3 && kind < 6)
        step_add(generator, STEP_RAW)->number =
            (unsigned int)(random_percent(random, 50) ? 0x21 + random_below(random, 0xC0) : 0xFF);
}

static void choose_connection(struct generator *generator)
{
    struct random *random = &generator->random;
    struct sequence *sequence = generator->sequence;
    sequence->raw = !random_percent(random, LIBRARY_PERCENT);
    if (!generator->options->want_library)
        sequence->raw = true;
    if (!generator->options->want_raw)
        sequence->raw = false;
    sequence->strangers = random_percent(random, 10);
    sequence->compress = random_percent(random, 25) && generator->options->compress;
    /* Each optional flag is asked for more often than not. */
    uint32_t mask = (uint32_t)(random_next(random) | random_next(random));
    sequence->capabilities = mask | WIRE_CAPABILITIES_NEEDED;
    sequence->extended = (uint32_t)(random_next(random) | random_next(random));
}

struct sequence *sequence_generate(uint64_t seed, const struct generate_options *options)
{
    struct generator generator = {
        .random = {seed},
        .options = options,
        .sequence = must_allocate(sizeof(struct sequence)),
    };
    generator.sequence->seed = seed;
    generator.sequence->flavour = options->flavour;
    choose_connection(&generator);
    step_add_fixed(&generator);
    size_t wanted = STEPS_LEAST + random_below(&generator.random, STEPS_SPREAD);
    while (generator.sequence->count < wanted)
        add_some(&generator);
    add_state(&generator);
    add_end(&generator);
    return generator.sequence;
}

void sequence_free(struct sequence *sequence)
{
    for (size_t i = 0; i < sequence->count; i++) {
        text_free(&sequence->steps[i].text);
        for (size_t j = 0; j < STEP_PARAMS * STEP_BULK_ROWS; j++)
            text_free(&sequence->steps[i].params[j].bytes);
    }
    free(sequence);
}

void infile_content(const char *name, size_t length, struct text *out)
{
    struct random random = {hash_bytes(name, length)};
    size_t rows = random_below(&random, 20);
    if (length >= 5 && memcmp(name, "empty", 5) == 0)
        return;
    if (length >= 5 && memcmp(name, "large", 5) == 0)
        rows = 4000;
    for (size_t i = 0; i < rows; i++) {
        if (length >= 5 && memcmp(name, "bytes", 5) == 0)
            grammar_expand(&random, FLAVOUR_MARIADB, "garbage", out);
        else
            text_print(out, "%zu,row %zu\n", random_below(&random, 9000), i);
    }
}
