/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/require_clause.h"

#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/utf8.h"

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_OTHER, TOKEN_BROKEN };

struct token {
    enum token_kind kind;
    struct byte_view text; /* a string's with its quotes */
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0x80;
}

/* The length of a string with its quotes; 0: it does not end. A doubled quote is one of its
 * characters; a backslash escapes in all but identifiers. */
static size_t string_length(struct byte_view text)
{
    uint8_t quote = text.data[0];
    for (size_t i = 1; i < text.length; i++) {
        bool escapes = text.data[i] == '\\' && quote != '`';
        bool ends = text.data[i] == quote;
        bool doubled = ends && i + 1 < text.length && text.data[i + 1] == quote;
        if (escapes || doubled)
            i++;
        else if (ends)
            return i + 1;
    }
    return 0;
}

static size_t word_length(struct byte_view text)
{
    size_t length = 0;
    while (length < text.length && is_word(text.data[length]))
        length++;
    return length;
}

/* Takes the next token off the front. */
static struct token next_token(struct byte_view *text)
{
    while (text->length > 0 && is_space(text->data[0]))
        *text = byte_view(text->data + 1, text->length - 1);
    if (text->length == 0)
        return (struct token){.kind = TOKEN_END};
    struct token token = {.kind = TOKEN_OTHER};
    size_t length = 1;
    if (text->data[0] == '\'' || text->data[0] == '"' || text->data[0] == '`') {
        token.kind = TOKEN_STRING;
        length = string_length(*text);
    } else if (is_word(text->data[0])) {
        token.kind = TOKEN_WORD;
        length = word_length(*text);
    }
    if (length == 0)
        return (struct token){.kind = TOKEN_BROKEN};
    token.text = byte_view(text->data, length);
    *text = byte_view(text->data + length, text->length - length);
    return token;
}

static bool is(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && token->text.length == strlen(word) &&
           strncasecmp((const char *)token->text.data, word, token->text.length) == 0;
}

/* Appends as far as there is room; what does not fit makes the clause one that was not read. */
static bool add(struct require_clause *out, const void *bytes, size_t length)
{
    size_t used = strlen(out->text);
    if (length >= sizeof out->text - used || memchr(bytes, 0, length) || !utf8_valid(bytes, length))
        return false;
    memcpy(out->text + used, bytes, length);
    out->text[used + length] = '\0';
    return true;
}

static bool add_text(struct require_clause *out, const char *text)
{
    return add(out, text, strlen(text));
}

static bool *part_of(struct require_clause *out, const struct token *word)
{
    if (is(word, "SUBJECT"))
        return &out->subject;
    if (is(word, "ISSUER"))
        return &out->issuer;
    return is(word, "CIPHER") ? &out->cipher : NULL;
}

/* SUBJECT '…', ISSUER '…', CIPHER '…', with or without AND between them. */
static bool read_parts(struct byte_view rest, struct token word, struct require_clause *out)
{
    out->kind = REQUIRE_SPECIFIED;
    bool *part;
    while ((part = part_of(out, &word))) {
        struct token value = next_token(&rest);
        if (*part || value.kind != TOKEN_STRING || value.text.data[0] == '`' ||
            (out->text[0] && !add_text(out, " AND ")) ||
            !add(out, word.text.data, word.text.length) || !add_text(out, " ") ||
            !add(out, value.text.data, value.text.length))
            return false;
        *part = true;
        word = next_token(&rest);
        if (is(&word, "AND"))
            word = next_token(&rest);
    }
    return out->text[0] && word.kind != TOKEN_BROKEN;
}

static bool read_clause(struct byte_view rest, struct require_clause *out)
{
    static const struct {
        const char *word;
        enum require_kind kind;
    } simple[] = {{"NONE", REQUIRE_NONE}, {"SSL", REQUIRE_SSL}, {"X509", REQUIRE_X509}};
    struct token word = next_token(&rest);
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (is(&word, simple[i].word)) {
            out->kind = simple[i].kind;
            return add_text(out, simple[i].word);
        }
    return read_parts(rest, word, out);
}

/* Finds the word behind which the clause stands. False: the statement cannot be read. */
static bool find_clause(struct byte_view *rest, bool *found)
{
    struct token before = {.kind = TOKEN_OTHER};
    for (;;) {
        struct token token = next_token(rest);
        if (token.kind == TOKEN_BROKEN)
            return false;
        *found = is(&token, "REQUIRE") && !is(&before, "PASSWORD");
        if (token.kind == TOKEN_END || *found)
            return true;
        before = token;
    }
}

void require_clause_read(struct byte_view statement, struct require_clause *out)
{
    struct byte_view rest = statement;
    bool found = false;
    memset(out, 0, sizeof *out);
    struct token first = next_token(&statement);
    bool good = (is(&first, "CREATE") || is(&first, "GRANT")) && find_clause(&rest, &found);
    if (good && !found) {
        out->kind = REQUIRE_NONE;
        good = add_text(out, "NONE");
    } else if (good) {
        good = read_clause(rest, out);
    }
    if (!good)
        memset(out, 0, sizeof *out);
}
