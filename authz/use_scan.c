/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A nondeterministic automaton, simulated: each reader is one state, forks where the text can be
 * read in two ways, and is merged again with a reader whose future finds no less.
 *
 * A reader's mode is lexical and its position is grammatical; the two never influence one another
 * except that a name is collected. That makes START stand for BODY wherever it is in doubt whether
 * something was a token: it finds at least as much.
 */
#include "authz/use_scan.h"

#include <string.h>

#include "authz/use_scan_internal.h"
#include "base/utf8.h"

#define VERSION_DIGITS_MAX 6 /* MariaDB takes 5 or 6, MySQL 9.x 6 before white space and else 5 */

/* --- the set of readers --- */

static void give_up(struct use_scan *scan)
{
    scan->unclear = true;
    scan->done = true;
}

/* Another reader, in the state of this one. NULL when there are too many (then all is over). */
static struct use_scan_reader *fork_reader(struct use_scan *scan,
                                           const struct use_scan_reader *reader)
{
    if (scan->reader_count == USE_SCAN_READERS) {
        give_up(scan);
        return NULL;
    }
    struct use_scan_reader *other = &scan->readers[scan->reader_count++];
    *other = *reader;
    return other;
}

static void fork_mode(struct use_scan *scan, const struct use_scan_reader *reader,
                      enum use_scan_mode mode, uint8_t pending)
{
    struct use_scan_reader *other = fork_reader(scan, reader);
    if (!other)
        return;
    other->mode = (uint8_t)mode;
    other->pending = pending;
}

static void retire(struct use_scan *scan, struct use_scan_reader *reader)
{
    scan->retired = true;
    reader->mode = RETIRED;
}

static bool same_lexically(const struct use_scan_reader *a, const struct use_scan_reader *b)
{
    return a->mode == b->mode && a->pending == b->pending && a->executable == b->executable &&
           (a->quote == b->quote || a->mode != QUOTED);
}

/* Whether `a` can stand for both. Names are never merged: there is at most one. */
static bool stands_for(const struct use_scan_reader *a, const struct use_scan_reader *b)
{
    if (!same_lexically(a, b))
        return false;
    if (a->position == START && b->position == BODY)
        return true;
    if (a->position != b->position)
        return false;
    return a->position != WORD ||
           (a->word_size == b->word_size && memcmp(a->word, b->word, a->word_size) == 0);
}

/* Drops reader `at` if another stands for it. Of promises the lesser remains: it finds more. */
static bool merge_reader(struct use_scan *scan, size_t at)
{
    struct use_scan_reader *reader = &scan->readers[at];
    for (size_t i = 0; i < scan->reader_count; i++) {
        struct use_scan_reader *other = &scan->readers[i];
        if (i == at || !stands_for(other, reader))
            continue;
        other->trusted = other->trusted && reader->trusted;
        other->steady = other->steady && reader->steady;
        return true;
    }
    return false;
}

static void tidy_readers(struct use_scan *scan)
{
    for (size_t i = scan->reader_count; i-- > 0;)
        if (scan->readers[i].mode == RETIRED || merge_reader(scan, i))
            scan->readers[i] = scan->readers[--scan->reader_count];
    if (scan->reader_count == 0)
        scan->done = true;
}

/* --- what bytes are --- */

static bool is_high(uint8_t byte)
{
    return byte >= 0x80;
}

/* A byte of a word, in every character set. */
static bool is_ascii_word(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '_' || byte == '$';
}

/* White space everywhere. NUL is none, but what stands behind it might be read. */
static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r') || byte == '\0';
}

/* What makes a comment of "--" everywhere. */
static bool ends_dashes(uint8_t byte)
{
    return byte <= ' ' || byte == 0x7F;
}

/* Letters of swe7, and second bytes of gbk, gb18030, big5 and sjis. */
static bool is_national(uint8_t byte)
{
    return byte == '@' || (byte >= '[' && byte <= '^') || byte == '`' ||
           (byte >= '{' && byte <= '~');
}

static bool promised(const struct use_scan *scan, const struct use_scan_reader *reader,
                     unsigned flags)
{
    return reader->trusted && (scan->flags & flags) != 0;
}

static bool knows_ascii(const struct use_scan *scan, const struct use_scan_reader *reader)
{
    return promised(scan, reader, USE_SCAN_ASCII | USE_SCAN_UTF8);
}

/* --- names --- */

static void name_begin(struct use_scan *scan)
{
    if (scan->naming)
        give_up(scan); /* two readings at two names */
    scan->naming = true;
    scan->name_size = 0;
}

static void name_append(struct use_scan *scan, const struct use_scan_reader *reader, uint8_t byte)
{
    bool decodable = is_high(byte) ? promised(scan, reader, USE_SCAN_UTF8)
                                   : !is_national(byte) || knows_ascii(scan, reader);
    if (byte == '\0' || !decodable || scan->name_size + 1 >= sizeof scan->name)
        give_up(scan);
    else
        scan->name[scan->name_size++] = (char)byte;
}

/* No server lets a name end in a space; one that dropped it would be told another name than ours.
 */
static bool name_is_good(const struct use_scan *scan)
{
    return scan->name_size > 0 && scan->name[scan->name_size - 1] != ' ' &&
           utf8_valid(scan->name, scan->name_size);
}

static void name_finish(struct use_scan *scan)
{
    scan->naming = false;
    if (!name_is_good(scan)) {
        give_up(scan);
        return;
    }
    scan->name[scan->name_size] = '\0';
    for (size_t i = 0; i < scan->count; i++)
        if (strcmp(scan->schemas[i], scan->name) == 0)
            return;
    if (scan->count == USE_SCAN_FOUND_MAX)
        give_up(scan);
    else
        memcpy(scan->schemas[scan->count++], scan->name, scan->name_size + 1);
}

/* --- words --- */

static bool word_is(const struct use_scan_reader *reader, const char *word)
{
    return reader->word_size == strlen(word) && memcmp(reader->word, word, reader->word_size) == 0;
}

/* Statements that leave sql_mode and the client's character set as they are, whatever they call:
 * stored programs get both back at their end. */
static bool verb_is_steady(const struct use_scan_reader *reader)
{
    static const char *const steady[] = {"select",  "insert", "update",  "delete",
                                         "replace", "commit", "rollback"};
    for (size_t i = 0; i < sizeof steady / sizeof *steady; i++)
        if (word_is(reader, steady[i]))
            return true;
    return false;
}

static void finish_verb(struct use_scan *scan, struct use_scan_reader *reader)
{
    if (word_is(reader, "use")) {
        reader->position = NAME;
        return;
    }
    if (word_is(reader, "prepare") || word_is(reader, "execute"))
        scan->dynamic = true;
    if (!verb_is_steady(reader))
        reader->steady = false;
    reader->position = BODY;
    if (scan->flags & USE_SCAN_ONE_STATEMENT)
        retire(scan, reader);
}

/* Whatever word or name was under way is over. */
static void finish_token(struct use_scan *scan, struct use_scan_reader *reader)
{
    if (reader->position == WORD) {
        finish_verb(scan, reader);
    } else if (reader->position == NAME_PLAIN || reader->position == NAME_CLOSED) {
        name_finish(scan);
        reader->position = END;
    }
}

/* A token that is neither a word nor a name. */
static void take_symbol(struct use_scan *scan, struct use_scan_reader *reader)
{
    if (reader->position == NAME || reader->position == END)
        give_up(scan);
    if (reader->position != START)
        return;
    reader->position = BODY;
    reader->steady = false;
    if (scan->flags & USE_SCAN_ONE_STATEMENT)
        retire(scan, reader);
}

static void add_to_verb(struct use_scan_reader *reader, uint8_t byte)
{
    if (reader->word_size < USE_SCAN_WORD_MAX)
        reader->word[reader->word_size++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

static void take_word_byte(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    switch (reader->position) {
    case START:
        reader->position = WORD;
        reader->word_size = 0;
        add_to_verb(reader, byte);
        break;
    case WORD:
        add_to_verb(reader, byte);
        break;
    case NAME:
        name_begin(scan);
        reader->position = NAME_PLAIN;
        name_append(scan, reader, byte);
        break;
    case NAME_PLAIN:
        name_append(scan, reader, byte);
        break;
    case NAME_CLOSED:
        finish_token(scan, reader);
        give_up(scan);
        break;
    case END:
        give_up(scan);
        break;
    default:
        break;
    }
}

/* A byte that may be a letter or white space. Where a statement begins, white space finds more. */
static void take_high_byte(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (promised(scan, reader, USE_SCAN_UTF8)) {
        take_word_byte(scan, reader, byte);
    } else if (reader->position == START) {
        reader->steady = false;
    } else if (reader->position != BODY) {
        bool verb = reader->position == WORD;
        finish_token(scan, reader);
        if (!verb || reader->position == NAME)
            give_up(scan);
    }
}

/* `$` at the start of a word may open a MySQL 9 dollar-quoted text; a second one decides. */
static void take_dollar(struct use_scan *scan, struct use_scan_reader *reader)
{
    if (reader->position == NAME) {
        take_word_byte(scan, reader, '$');
        return;
    }
    take_symbol(scan, reader);
    if (reader->mode != RETIRED)
        reader->mode = DOLLAR;
}

/* --- code --- */

static void finish_statement(struct use_scan *scan, struct use_scan_reader *reader)
{
    if (reader->position == NAME) {
        give_up(scan);
        return;
    }
    if (reader->position == END && (scan->flags & USE_SCAN_ONE_STATEMENT)) {
        retire(scan, reader);
        return;
    }
    reader->position = START;
    reader->trusted = reader->trusted && reader->steady;
    reader->steady = true;
    if (!reader->executable)
        return;
    /* The next statement is read afresh, as no comment, unless this was a `;` in a compound one. */
    (void)fork_reader(scan, reader);
    reader->executable = false;
}

/* Whether the byte before may be the first of two, with the current one as the second. */
static bool may_be_swallowed(const struct use_scan *scan, const struct use_scan_reader *reader)
{
    return is_high(scan->before[0]) && !knows_ascii(scan, reader);
}

static void open_quote(struct use_scan *scan, struct use_scan_reader *reader, uint8_t quote)
{
    if (quote == '`' && may_be_swallowed(scan, reader))
        (void)fork_reader(scan, reader);
    if (reader->position == NAME && quote != '\'') {
        name_begin(scan);
        reader->position = NAME_QUOTED;
    } else {
        take_symbol(scan, reader);
    }
    if (reader->mode == RETIRED)
        return;
    reader->mode = QUOTED;
    reader->quote = quote;
    reader->pending = UNESCAPED;
}

static void open_bracket(struct use_scan *scan, struct use_scan_reader *reader)
{
    take_symbol(scan, reader);
    if (reader->mode == RETIRED)
        return;
    struct use_scan_reader *other = fork_reader(scan, reader);
    if (!other)
        return;
    other->mode = QUOTED;
    other->quote = ']';
    other->pending = UNESCAPED;
}

static void take_punctuation(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    switch (byte) {
    case '\'':
    case '"':
    case '`':
        open_quote(scan, reader, byte);
        break;
    case '[':
        open_bracket(scan, reader);
        break;
    case ';':
        finish_statement(scan, reader);
        break;
    case '#':
        reader->mode = LINE;
        break;
    case '-':
        reader->mode = DASH;
        break;
    case '/':
        reader->mode = SLASH;
        break;
    case '*':
        if (reader->executable)
            reader->mode = STAR;
        else
            take_symbol(scan, reader);
        break;
    default:
        take_symbol(scan, reader);
    }
}

static void step_code(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (reader->position == NAME_CLOSED && byte == reader->quote) {
        reader->position = NAME_QUOTED;
        reader->mode = QUOTED;
        name_append(scan, reader, byte);
        return;
    }
    if (is_high(byte)) {
        take_high_byte(scan, reader, byte);
        return;
    }
    if (byte == '$' && !is_ascii_word(scan->before[0])) {
        finish_token(scan, reader);
        take_dollar(scan, reader);
        return;
    }
    if (is_ascii_word(byte)) {
        take_word_byte(scan, reader, byte);
        return;
    }
    finish_token(scan, reader);
    if (reader->mode != RETIRED && !scan->done && !is_space(byte))
        take_punctuation(scan, reader, byte);
}

/* What came before was a token after all; the byte is read as code. */
static void back_to_code(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    take_symbol(scan, reader);
    if (reader->mode == RETIRED || scan->done)
        return;
    reader->mode = CODE;
    reader->pending = NOTHING;
    step_code(scan, reader, byte);
}

static void step_dash_dash(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (byte == '\n') {
        reader->mode = CODE;
    } else if (byte == '\0') {
        fork_mode(scan, reader, LINE, NOTHING);
        reader->mode = CODE;
    } else if (ends_dashes(byte)) {
        reader->mode = LINE;
    } else if (byte == '-') {
        take_symbol(scan, reader);
    } else {
        if (is_high(byte) && !promised(scan, reader, USE_SCAN_UTF8))
            fork_mode(scan, reader, LINE, NOTHING);
        back_to_code(scan, reader, byte);
    }
}

/* --- quotes --- */

/* The byte that could be escaped is not, when nothing says so. */
static uint8_t backslash_means(const struct use_scan *scan, const struct use_scan_reader *reader)
{
    if (reader->quote != '\'' && reader->quote != '"')
        return UNESCAPED;
    if (promised(scan, reader, USE_SCAN_NO_BACKSLASH_ESCAPES))
        return UNESCAPED;
    /* Between double quotes it depends on ANSI_QUOTES, which nobody knows. */
    bool certain = promised(scan, reader, USE_SCAN_BACKSLASH_ESCAPES) && reader->quote == '\'' &&
                   !may_be_swallowed(scan, reader);
    return certain ? ESCAPED : DOUBTED;
}

/* In quoted identifiers MySQL skips as many bytes as the first byte of a character announces,
 * without a look at them (sql_lex.cc, MY_LEX_USER_VARIABLE_DELIMITER), so a broken one hides the
 * quote. */
static bool quote_may_be_hidden(const struct use_scan *scan, const struct use_scan_reader *reader)
{
    return reader->quote != '\'' &&
           (is_high(scan->before[0]) || is_high(scan->before[1]) || is_high(scan->before[2]));
}

static void step_quoted_name(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (byte == reader->quote) {
        reader->mode = CODE;
        reader->position = NAME_CLOSED;
    } else {
        name_append(scan, reader, byte);
    }
}

static void step_quoted(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (reader->position == NAME_QUOTED) {
        step_quoted_name(scan, reader, byte);
        return;
    }
    uint8_t before = reader->pending;
    reader->pending = UNESCAPED;
    if (before == ESCAPED)
        return;
    bool special = byte == reader->quote || byte == '\\';
    if (special && (before == DOUBTED || (byte != '\\' && quote_may_be_hidden(scan, reader))))
        (void)fork_reader(scan, reader);
    if (byte == reader->quote)
        reader->mode = CODE;
    else if (byte == '\\')
        reader->pending = backslash_means(scan, reader);
}

/* --- comments --- */

static void open_executable(struct use_scan *scan, struct use_scan_reader *reader)
{
    fork_mode(scan, reader, BLANK, NOTHING);
    reader->executable = true;
    reader->mode = VERSION;
    reader->pending = 0;
}

static void step_version(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (byte >= '0' && byte <= '9' && reader->pending < VERSION_DIGITS_MAX) {
        reader->pending++;
        return;
    }
    reader->mode = CODE;
    reader->pending = NOTHING;
    if (byte == '$') /* the digits before it are no part of its word */
        take_dollar(scan, reader);
    else
        step_code(scan, reader, byte);
}

/* Whether "*" "/" ended just now; notes what the byte means for the next. */
static bool comment_ends(struct use_scan_reader *reader, uint8_t byte)
{
    bool ends = reader->pending == SAW_STAR && byte == '/';
    reader->pending = NOTHING;
    if (!ends && byte == '*')
        reader->pending = SAW_STAR;
    return ends;
}

static void step_block(struct use_scan_reader *reader, uint8_t byte, enum use_scan_mode after)
{
    if (comment_ends(reader, byte))
        reader->mode = (uint8_t)after;
}

static void step_blank(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (reader->pending == SAW_SLASH && byte == '*')
        fork_mode(scan, reader, NESTED, NOTHING);
    if (comment_ends(reader, byte))
        reader->mode = CODE;
    else if (byte == '/')
        reader->pending = SAW_SLASH;
}

static void step_hint(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (byte == '\'' || byte == '"' || byte == '`')
        give_up(scan);
    step_block(reader, byte, CODE);
}

static void step_comment_open(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    reader->pending = NOTHING;
    if (byte == '!') {
        open_executable(scan, reader);
    } else if (reader->mode == COMMENT_OPEN && byte == 'M') {
        reader->mode = COMMENT_M;
    } else if (reader->mode == COMMENT_OPEN && byte == '+') {
        reader->mode = HINT;
    } else {
        reader->mode = BLOCK;
        step_block(reader, byte, CODE);
    }
}

static void step_line(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (byte == '\0')
        fork_mode(scan, reader, CODE, NOTHING);
    else if (byte == '\n')
        reader->mode = CODE;
}

static void step_star(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (byte == '/') {
        reader->executable = false;
        reader->mode = CODE;
    } else if (byte == '*') {
        take_symbol(scan, reader);
    } else {
        back_to_code(scan, reader, byte);
    }
}

static void step_dollar(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    if (byte == '$') {
        give_up(scan);
    } else if (!is_ascii_word(byte) && !is_high(byte)) {
        reader->mode = CODE;
        step_code(scan, reader, byte);
    }
}

/* --- the automaton --- */

static void step_pending_token(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    uint8_t wanted = reader->mode == DASH ? '-' : '*';
    if (byte == wanted)
        reader->mode = reader->mode == DASH ? DASH_DASH : COMMENT_OPEN;
    else
        back_to_code(scan, reader, byte);
}

static void step_reader(struct use_scan *scan, struct use_scan_reader *reader, uint8_t byte)
{
    switch ((enum use_scan_mode)reader->mode) {
    case CODE:
        step_code(scan, reader, byte);
        break;
    case DASH:
    case SLASH:
        step_pending_token(scan, reader, byte);
        break;
    case DASH_DASH:
        step_dash_dash(scan, reader, byte);
        break;
    case COMMENT_OPEN:
    case COMMENT_M:
        step_comment_open(scan, reader, byte);
        break;
    case VERSION:
        step_version(scan, reader, byte);
        break;
    case STAR:
        step_star(scan, reader, byte);
        break;
    case DOLLAR:
        step_dollar(scan, reader, byte);
        break;
    case QUOTED:
        step_quoted(scan, reader, byte);
        break;
    case LINE:
        step_line(scan, reader, byte);
        break;
    case BLOCK:
        step_block(reader, byte, CODE);
        break;
    case HINT:
        step_hint(scan, reader, byte);
        break;
    case BLANK:
        step_blank(scan, reader, byte);
        break;
    case NESTED:
        step_block(reader, byte, BLANK);
        break;
    default: /* no reader is stepped behind its end */
        give_up(scan);
    }
}

static void step(struct use_scan *scan, uint8_t byte)
{
    size_t count = scan->reader_count; /* those that fork off have taken the byte already */
    for (size_t i = 0; i < count && !scan->done; i++)
        step_reader(scan, &scan->readers[i], byte);
    if (!scan->done && (scan->reader_count > 1 || scan->readers[0].mode == RETIRED))
        tidy_readers(scan);
}

static void remember(struct use_scan *scan, uint8_t byte)
{
    scan->before[2] = scan->before[1];
    scan->before[1] = scan->before[0];
    scan->before[0] = byte;
}

void use_scan_init(struct use_scan *scan, unsigned flags)
{
    memset(scan, 0, sizeof *scan);
    scan->flags = flags;
    scan->reader_count = 1;
    scan->readers[0].trusted = true;
    scan->readers[0].steady = true;
}

void use_scan_feed(struct use_scan *scan, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    size_t i = 0;
    while (i < length && !scan->done) {
        size_t next = use_scan_pass_over(scan, at, i, length);
        for (size_t back = next - i > 3 ? next - 3 : i; back < next; back++)
            remember(scan, at[back]);
        if (next == length)
            break;
        step(scan, at[next]);
        remember(scan, at[next]);
        i = next + 1;
    }
}

/* Whether a text may end where this reader is. */
static bool ends_cleanly(const struct use_scan_reader *reader)
{
    switch ((enum use_scan_mode)reader->mode) {
    case CODE:
    case DASH:
    case DASH_DASH:
    case SLASH:
    case DOLLAR:
    case LINE:
        return !reader->executable;
    default:
        return false;
    }
}

void use_scan_finish(struct use_scan *scan)
{
    if (scan->done)
        return;
    bool clean = scan->retired;
    for (size_t i = 0; i < scan->reader_count && !scan->done; i++) {
        struct use_scan_reader *reader = &scan->readers[i];
        clean = clean || ends_cleanly(reader);
        if (reader->mode == CODE)
            finish_token(scan, reader);
        if (reader->position == NAME || reader->position == NAME_QUOTED)
            give_up(scan);
    }
    if (!clean)
        give_up(scan);
    scan->done = true;
}
