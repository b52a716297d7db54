/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/redact.h"

#include <string.h>
#include <strings.h>

#include "base/bytes.h"

/* Bytes that the search looks at in one step; the compiler turns the step into vector code. */
#define REDACT_BLOCK 64

/* Whether the two letters, which are rare pairs in SQL, begin what is looked for: the `ss` of
 * password or the `fi` of identified. Letter case is one bit; other bytes may match wrongly, which
 * only costs a closer look. */
static unsigned is_hint(uint8_t first, uint8_t second)
{
    first |= 0x20;
    second |= 0x20;
    return (unsigned)((first == 's') & (second == 's')) |
           (unsigned)((first == 'f') & (second == 'i'));
}

static bool word_around(const uint8_t *text, size_t length, size_t at, size_t before,
                        const char *word)
{
    size_t size = strlen(word);
    return at >= before && size <= length - (at - before) &&
           strncasecmp((const char *)text + at - before, word, size) == 0;
}

static bool confirm_hint(const uint8_t *text, size_t length, size_t at)
{
    return word_around(text, length, at, strlen("pa"), "password") ||
           word_around(text, length, at, strlen("identi"), "identified");
}

bool audit_redact_suspect(const void *text, size_t length)
{
    const uint8_t *bytes = text;
    size_t at = 0;
    while (at + 1 < length) {
        unsigned hints = 0;
        size_t step = length - 1 - at;
        if (step >= REDACT_BLOCK) {
            step = REDACT_BLOCK;
            for (size_t i = 0; i < REDACT_BLOCK; i++)
                hints |= is_hint(bytes[at + i], bytes[at + i + 1]);
            if (!hints) {
                at += step;
                continue;
            }
        }
        for (size_t i = 0; i < step; i++)
            if (is_hint(bytes[at + i], bytes[at + i + 1]) && confirm_hint(bytes, length, at + i))
                return true;
        at += step;
    }
    return false;
}

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,    /* also a quoted identifier */
    TOKEN_STRING,  /* from quote to quote */
    TOKEN_NUMBER,  /* decimal or 0x… */
    TOKEN_COMMENT, /* not an executable one, whose inside is code */
    TOKEN_MARK,    /* one character */
};

struct token {
    enum token_kind kind;
    const uint8_t *at;
    size_t length;
    /* Of a word, string or comment: what is inside its quotes or markers. */
    const uint8_t *inside;
    size_t inside_length;
};

struct lexer {
    const uint8_t *at, *end;
    struct audit_redact_dialect dialect;
    bool executable; /* inside of an executable comment */
};

static bool is_word_byte(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '$' || byte >= 0x80;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r') || byte == 0;
}

static size_t left_of(const struct lexer *lexer)
{
    return (size_t)(lexer->end - lexer->at);
}

static bool looking_at(const struct lexer *lexer, const char *text)
{
    size_t size = strlen(text);
    return left_of(lexer) >= size && memcmp(lexer->at, text, size) == 0;
}

/* Over one character, which in the double-byte sets may hide a quote or a backslash. */
static void skip_character(struct lexer *lexer)
{
    bool pair = lexer->dialect.double_byte && *lexer->at >= 0x81 && left_of(lexer) >= 2;
    lexer->at += pair ? 2 : 1;
}

static void token_inside(struct token *token, const uint8_t *from, const uint8_t *to)
{
    token->inside = from;
    token->inside_length = to > from ? (size_t)(to - from) : 0;
}

/* Reads to the closing quote; a doubled one stands for itself, so does one behind a backslash. */
static void lex_quoted(struct lexer *lexer, struct token *token, uint8_t quote)
{
    bool backslash = quote != '`' && !lexer->dialect.no_backslash_escapes;
    const uint8_t *from = ++lexer->at;
    while (lexer->at < lexer->end) {
        if (backslash && *lexer->at == '\\' && left_of(lexer) >= 2) {
            lexer->at++;
            skip_character(lexer);
        } else if (*lexer->at != quote) {
            skip_character(lexer);
        } else if (left_of(lexer) >= 2 && lexer->at[1] == quote) {
            lexer->at += 2;
        } else {
            token_inside(token, from, lexer->at++);
            return;
        }
    }
    token_inside(token, from, lexer->end);
}

static void lex_line_comment(struct lexer *lexer, struct token *token)
{
    const uint8_t *end = memchr(lexer->at, '\n', left_of(lexer));
    token->kind = TOKEN_COMMENT;
    token_inside(token, lexer->at + (*lexer->at == '#' ? 1 : 2), end ? end : lexer->end);
    lexer->at = end ? end : lexer->end;
}

static void lex_block_comment(struct lexer *lexer, struct token *token)
{
    const uint8_t *from = lexer->at + 2;
    const uint8_t *end = memmem(from, (size_t)(lexer->end - from), "*/", 2);
    token->kind = TOKEN_COMMENT;
    token_inside(token, from, end ? end : lexer->end);
    lexer->at = end ? end + 2 : lexer->end;
}

/* An executable comment is opened or closed: its marks, and a version, count as white space. */
static bool skip_executable_mark(struct lexer *lexer)
{
    if (lexer->executable && looking_at(lexer, "*/")) {
        lexer->executable = false;
        lexer->at += 2;
        return true;
    }
    bool maria = looking_at(lexer, "/*M!");
    if (!maria && !looking_at(lexer, "/*!"))
        return false;
    lexer->executable = true;
    lexer->at += maria ? 4 : 3;
    while (lexer->at < lexer->end && *lexer->at >= '0' && *lexer->at <= '9')
        lexer->at++;
    return true;
}

static bool at_line_comment(const struct lexer *lexer)
{
    if (*lexer->at == '#')
        return true;
    return looking_at(lexer, "--") && (left_of(lexer) == 2 || lexer->at[2] <= ' ');
}

static void lex_word(struct lexer *lexer, struct token *token)
{
    bool number = *lexer->at >= '0' && *lexer->at <= '9';
    const uint8_t *from = lexer->at;
    while (lexer->at < lexer->end && is_word_byte(*lexer->at))
        skip_character(lexer);
    token->kind = number ? TOKEN_NUMBER : TOKEN_WORD;
    token_inside(token, from, lexer->at);
}

static struct token lex(struct lexer *lexer)
{
    while (lexer->at < lexer->end && (is_space(*lexer->at) || skip_executable_mark(lexer)))
        if (lexer->at < lexer->end && is_space(*lexer->at))
            lexer->at++;
    struct token token = {.kind = TOKEN_END, .at = lexer->at};
    if (lexer->at >= lexer->end)
        return token;
    uint8_t byte = *lexer->at;
    if (at_line_comment(lexer)) {
        lex_line_comment(lexer, &token);
    } else if (looking_at(lexer, "/*")) {
        lex_block_comment(lexer, &token);
    } else if (byte == '\'' || byte == '"' || byte == '`') {
        token.kind = byte == '`' ? TOKEN_WORD : TOKEN_STRING;
        lex_quoted(lexer, &token, byte);
    } else if (is_word_byte(byte)) {
        lex_word(lexer, &token);
    } else {
        token.kind = TOKEN_MARK;
        lexer->at++;
    }
    token.length = (size_t)(lexer->at - token.at);
    return token;
}

/* What the words so far say about the next literal. */
enum password_state {
    PASSWORD_NONE,
    PASSWORD_NAMED,   /* a word that ends in PASSWORD: the next token tells */
    PASSWORD_ACCOUNT, /* PASSWORD FOR …: literals are the account's, up to the = */
    PASSWORD_DUE,     /* literals are secret until the expression ends */
};

enum identified_state {
    IDENTIFIED_NONE,
    IDENTIFIED_NAMED, /* the word IDENTIFIED */
    IDENTIFIED_DUE,   /* … and BY, WITH, …: literals are secret until the clause ends */
};

struct scan {
    struct lexer lexer;
    enum password_state password;
    enum identified_state identified;
    unsigned depth;          /* of parentheses */
    unsigned password_depth; /* where the secret expression began */
    bool plugin;             /* the last word was WITH or VIA: a literal is the plugin's name */
    bool rest;               /* a literal held the beginning of it: all that follow are secret */
};

static bool token_is(const struct token *token, const char *word)
{
    return token->inside_length == strlen(word) &&
           strncasecmp((const char *)token->inside, word, token->inside_length) == 0;
}

static bool token_is_one_of(const struct token *token, const char *const *words)
{
    for (; *words; words++)
        if (token_is(token, *words))
            return true;
    return false;
}

static bool names_password(const struct token *token)
{
    const size_t size = strlen("password");
    return token->inside_length >= size &&
           strncasecmp((const char *)token->inside + token->inside_length - size, "password",
                       size) == 0;
}

static bool secret_due(const struct scan *scan)
{
    return scan->rest || scan->password == PASSWORD_DUE || scan->password == PASSWORD_NAMED ||
           (scan->identified != IDENTIFIED_NONE && !scan->plugin);
}

/* Clauses behind an account's authentication whose literals are worth keeping. */
static const char *const identified_ends[] = {
    "REQUIRE", "ACCOUNT", "COMMENT", "ATTRIBUTE", "DEFAULT", "DATA", "WHERE", "FROM", NULL};
static const char *const identified_begins[] = {"BY", "WITH", "VIA", "AS", "USING", NULL};
static const char *const plugin_begins[] = {"WITH", "VIA", NULL};
static const char *const password_ends[] = {
    "AND",  "OR",   "XOR", "WHERE", "FROM",    "ORDER",   "GROUP",   "LIMIT",     "HAVING", "UNION",
    "THEN", "ELSE", "END", "WHEN",  "REQUIRE", "ACCOUNT", "COMMENT", "ATTRIBUTE", NULL};

static void follow_identified(struct scan *scan, const struct token *word)
{
    scan->plugin = scan->identified != IDENTIFIED_NONE && token_is_one_of(word, plugin_begins);
    if (token_is(word, "IDENTIFIED"))
        scan->identified = IDENTIFIED_NAMED;
    else if (scan->identified == IDENTIFIED_NAMED)
        scan->identified =
            token_is_one_of(word, identified_begins) ? IDENTIFIED_DUE : IDENTIFIED_NONE;
    else if (token_is_one_of(word, identified_ends))
        scan->identified = IDENTIFIED_NONE;
}

static void password_due(struct scan *scan)
{
    scan->password = PASSWORD_DUE;
    scan->password_depth = scan->depth;
}

/* Such as the _utf8mb4 of _utf8mb4'…'. */
static bool is_introducer(const struct token *word)
{
    return word->inside_length > 0 && word->inside[0] == '_';
}

static void follow_word(struct scan *scan, const struct token *word)
{
    follow_identified(scan, word);
    if (scan->password == PASSWORD_DUE) {
        if (scan->depth <= scan->password_depth && token_is_one_of(word, password_ends))
            scan->password = PASSWORD_NONE;
    } else if (names_password(word)) {
        scan->password = PASSWORD_NAMED;
    } else if (scan->password == PASSWORD_NAMED && token_is(word, "FOR")) {
        scan->password = PASSWORD_ACCOUNT;
    } else if (scan->password != PASSWORD_NONE && token_is(word, "TO")) {
        password_due(scan);
    } else if (scan->password == PASSWORD_NAMED && !is_introducer(word)) {
        scan->password = PASSWORD_NONE;
    }
}

/* The end of a list's element or of a statement, as far as secrets go. */
static void follow_separator(struct scan *scan, uint8_t mark)
{
    if (mark == ';')
        *scan = (struct scan){.lexer = scan->lexer};
    if (scan->depth <= scan->password_depth || scan->password != PASSWORD_DUE)
        scan->password = PASSWORD_NONE;
    if (scan->depth == 0 || scan->identified == IDENTIFIED_NAMED)
        scan->identified = IDENTIFIED_NONE;
}

static void follow_close(struct scan *scan)
{
    if (scan->depth > 0)
        scan->depth--;
    if (scan->password == PASSWORD_DUE && scan->depth < scan->password_depth)
        scan->password = PASSWORD_NONE;
}

static void follow_mark(struct scan *scan, uint8_t mark)
{
    scan->plugin = false;
    if (mark == '(') {
        scan->depth++;
        if (scan->password == PASSWORD_NAMED)
            password_due(scan);
    } else if (mark == ')') {
        follow_close(scan);
    } else if (mark == ',' || mark == ';') {
        follow_separator(scan, mark);
    } else if (mark == '=' && scan->password != PASSWORD_NONE) {
        if (scan->password != PASSWORD_DUE)
            password_due(scan);
    } else if (scan->password == PASSWORD_NAMED && mark != ':') {
        scan->password = PASSWORD_NONE;
    }
    if (scan->identified == IDENTIFIED_NAMED)
        scan->identified = IDENTIFIED_NONE;
}

/*
 * The first place in a text from which on a secret is due, or its length. *open: it is still due at
 * the end, so that what the statement joins to this text is secret too.
 */
static size_t secret_within(const uint8_t *text, size_t length, struct audit_redact_dialect dialect,
                            bool *open)
{
    struct scan scan = {.lexer = {.at = text, .end = text + length, .dialect = dialect}};
    *open = false;
    if (!audit_redact_suspect(text, length))
        return length;
    for (;;) {
        struct token token = lex(&scan.lexer);
        if (token.kind == TOKEN_END)
            break;
        if (token.kind == TOKEN_WORD)
            follow_word(&scan, &token);
        else if (token.kind == TOKEN_MARK && token.at[0] != '\\')
            follow_mark(&scan, token.at[0]);
        else if ((token.kind == TOKEN_STRING || token.kind == TOKEN_NUMBER) && secret_due(&scan))
            return (size_t)(token.at - text);
    }
    *open = scan.password == PASSWORD_DUE || scan.identified == IDENTIFIED_DUE;
    return length;
}

struct output {
    struct byte_writer writer;
    const uint8_t *copied; /* up to here the text is written */
    struct audit_redaction *redaction;
};

static void replace(struct output *output, const uint8_t *from, size_t length)
{
    byte_writer_bytes(&output->writer, output->copied, (size_t)(from - output->copied));
    byte_writer_bytes(&output->writer, AUDIT_REDACTED, strlen(AUDIT_REDACTED));
    output->copied = from + length;
    output->redaction->redacted = true;
}

/* A literal that itself holds SQL, or a comment: cut from where a secret is due. */
static void redact_within(struct scan *scan, const struct token *token, struct output *output)
{
    bool open;
    size_t at = secret_within(token->inside, token->inside_length, scan->lexer.dialect, &open);
    if (at < token->inside_length)
        replace(output, token->inside + at, token->inside_length - at);
    if (token->kind == TOKEN_STRING && (open || at < token->inside_length))
        scan->rest = true;
}

/*
 * A literal inside an executable comment that holds the comment's end: a server that skips the
 * comment runs what follows that end. It is kept, or redaction could be used to hide statements.
 */
static bool may_hide_code(const struct scan *scan, const struct token *token)
{
    return scan->lexer.executable && memmem(token->at, token->length, "*/", 2) != NULL;
}

static void redact_literal(struct scan *scan, const struct token *token, struct output *output)
{
    if (!secret_due(scan) || may_hide_code(scan, token)) {
        if (token->kind == TOKEN_STRING)
            redact_within(scan, token, output);
    } else if (token->kind == TOKEN_STRING || scan->password != PASSWORD_NONE ||
               (token->length > 2 && (token->at[1] | 0x20) == 'x')) {
        /* Numbers are secrets as PASSWORD(1234) and as 0x…, not as MAX_USER_CONNECTIONS 5. */
        replace(output, token->inside, token->inside_length);
    }
    scan->plugin = false;
    if (scan->password == PASSWORD_NAMED)
        password_due(scan); /* literals that follow at once are joined to it */
}

static void redact_token(struct scan *scan, const struct token *token, struct output *output)
{
    switch (token->kind) {
    case TOKEN_WORD:
        follow_word(scan, token);
        break;
    case TOKEN_MARK:
        if (token->at[0] == '?' && secret_due(scan))
            output->redaction->placeholder = true;
        follow_mark(scan, token->at[0]);
        break;
    case TOKEN_STRING:
    case TOKEN_NUMBER:
        redact_literal(scan, token, output);
        break;
    case TOKEN_COMMENT:
        redact_within(scan, token, output);
        break;
    case TOKEN_END:
        break;
    }
}

bool audit_redact(const void *text, size_t length, struct audit_redact_dialect dialect,
                  struct buffer *out, struct audit_redaction *redaction, struct error *err)
{
    const uint8_t *end = (const uint8_t *)text + length;
    struct scan scan = {.lexer = {.at = text, .end = end, .dialect = dialect}};
    struct output output = {byte_writer(out), text, redaction};
    *redaction = (struct audit_redaction){0};
    buffer_clear(out);
    for (;;) {
        struct token token = lex(&scan.lexer);
        if (token.kind == TOKEN_END)
            break;
        redact_token(&scan, &token, &output);
    }
    if (redaction->redacted)
        byte_writer_bytes(&output.writer, output.copied, (size_t)(end - output.copied));
    return byte_writer_finish(&output.writer, err);
}
