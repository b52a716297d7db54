/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/admin_token.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* What words of a shell are made of that need no quotes; what a token is made of. */
#define PLAIN_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
#define SHELL_CHARACTERS PLAIN_CHARACTERS "/:@%+=,"

#define WORD_SIZE ADMIN_TEXT_MAX

bool admin_shell_word(const char *word, char *out, size_t size)
{
    bool plain = *word && word[strspn(word, SHELL_CHARACTERS)] == '\0';
    const char *quote = plain ? "" : "'";
    if (2 * strlen(quote) + 1 > size)
        return false;
    size_t used = (size_t)snprintf(out, size, "%s", quote);
    for (; *word; word++) {
        /* A quote within quotes: end them, an escaped one, begin them again. */
        const char letter[] = {*word, '\0'};
        const char *piece = *word == '\'' ? "'\\''" : letter;
        if (used + strlen(piece) + strlen(quote) + 1 > size)
            return false;
        used += (size_t)snprintf(out + used, size - used, "%s", piece);
    }
    (void)snprintf(out + used, size - used, "%s", quote);
    return true;
}

int admin_join_begin(struct admin_join *join)
{
    struct error err = {0};
    join->file.fd = -1;
    if (!join->token_file ||
        admin_file_open(&join->file, NULL, join->token_file, ADMIN_FILE_SECRET, false, &err))
        return EXIT_DONE;
    return exit_with(&err);
}

void admin_join_abandon(struct admin_join *join)
{
    admin_file_abandon(&join->file);
}

/* --- what is to be pasted --- */

/* A shell's word in a line of its own, so that no value runs into another. */
struct words {
    char authority[WORD_SIZE];
    char pin[WORD_SIZE];
    char name[WORD_SIZE];
    char token_file[WORD_SIZE];
    char proxy[WORD_SIZE];
    char database[WORD_SIZE];
    char bound_key[WORD_SIZE];
    char identity[WORD_SIZE];
};

static bool quote(const char *text, const char *otherwise, char out[WORD_SIZE])
{
    return admin_shell_word(text && *text ? text : otherwise, out, WORD_SIZE);
}

static bool make_words(const struct admin_join *join, const cJSON *answer, struct words *words)
{
    char text[WORD_SIZE];
    bool made = quote(admin_text(answer, "authority"), "AUTHORITY-HOST:3309", words->authority) &&
                quote(admin_text(answer, "ca_pin"), "CA-PIN", words->pin) &&
                quote(join->name, "", words->name) &&
                quote(join->proxy, ADMIN_JOIN_PROXY, words->proxy) &&
                quote(join->database, ADMIN_JOIN_DATABASE, words->database) &&
                quote(join->bound_key, "", words->bound_key);
    (void)snprintf(text, sizeof text, "%.1024s.token", join->name);
    /* Elsewhere it has its plain name. */
    const char *slash = join->token_file ? strrchr(join->token_file, '/') : NULL;
    made = made && quote(slash ? slash + 1 : join->token_file, text, words->token_file);
    (void)snprintf(text, sizeof text, "%.1024s-identity", join->name);
    return made && quote(NULL, text, words->identity);
}

/* "good for 60m, until 2026-01-31 09:00:00 UTC", or nothing where the answer does not say it. */
static void say_until(const struct admin *admin, const cJSON *answer)
{
    char time[CLOCK_TIME_SIZE];
    char span[ADMIN_WHEN_SIZE];
    int64_t until = admin_time(answer, "expires");
    if (until <= admin->now_us)
        return;
    clock_format(until, time);
    admin_say(admin, ADMIN_PLAIN, "It is good once, for %s: until %.10s %.8s UTC.",
              admin_span(until - admin->now_us, span), time, time + 11);
}

static void say_blank(void)
{
    (void)fputc('\n', stdout);
}

static void say_title(const struct admin *admin, const char *title)
{
    say_blank();
    admin_say(admin, ADMIN_HEADING, "%s", title);
    say_blank();
}

static void say_token_file(const struct admin *admin, const struct admin_join *join,
                           const struct words *words, const char *token)
{
    if (join->token_file) {
        admin_say(admin, ADMIN_PLAIN, "The join token is in %s, which only you can read.",
                  join->token_file);
        return;
    }
    admin_say(admin, ADMIN_PLAIN, "(umask 077 && cat >%s) <<'END'", words->token_file);
    admin_say(admin, ADMIN_PLAIN, "%s", token);
    admin_say(admin, ADMIN_PLAIN, "END");
}

static void say_tunnel(const struct admin *admin, const struct admin_join *join,
                       const struct words *words)
{
    admin_say(admin, ADMIN_PLAIN, "sallyport tunnel --authority %s \\", words->authority);
    admin_say(admin, ADMIN_PLAIN, "  --ca-pin %s \\", words->pin);
    if (join->bound_key)
        admin_say(admin, ADMIN_PLAIN, "  --bound-key %s --bot %s \\", words->bound_key,
                  words->name);
    else
        admin_say(admin, ADMIN_PLAIN, "  --join %s \\", words->token_file);
    admin_say(admin, ADMIN_PLAIN, "  --proxy %s --database %s \\", words->proxy, words->database);
    admin_say(admin, ADMIN_PLAIN, "  --listen " ADMIN_JOIN_LISTEN " --identity %s",
              words->identity);
}

/* What the user has to fill in. */
static void say_placeholders(const struct admin *admin, const struct admin_join *join)
{
    const char *const names[] = {
        join->bound_key,
        join->proxy ? NULL : ADMIN_JOIN_PROXY,
        join->database ? NULL : ADMIN_JOIN_DATABASE,
    };
    char text[128] = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t used = strlen(text);
        if (names[i])
            (void)snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? ", " : "", names[i]);
    }
    if (text[0])
        admin_say(admin, ADMIN_WARNING, "Fill in: %s", text);
}

static void say_bot(const struct admin *admin, const struct admin_join *join,
                    const struct words *words, const cJSON *answer)
{
    if (join->token_file) {
        say_token_file(admin, join, words, NULL);
        say_until(admin, answer);
        say_title(admin, "Copy it to the bot's machine; there, as the user of the tunnel:");
    } else {
        say_title(admin, "On the bot's machine, as the user that will run the tunnel:");
    }
    if (!join->token_file && !join->bound_key)
        say_token_file(admin, join, words, admin_text(answer, "token"));
    say_tunnel(admin, join, words);
    say_blank();
    say_placeholders(admin, join);
    if (join->bound_key) {
        admin_say(admin, ADMIN_PLAIN,
                  "It joins with its key, which never leaves its machine: at "
                  "the first start,");
        admin_say(admin, ADMIN_PLAIN, "and again whenever its certificate has lapsed.");
    } else if (!join->token_file) {
        say_until(admin, answer);
    }
}

/* A string of the proxy's configuration, quoted as JSON: names and addresses hold nothing that
 * would need more than that. */
static void say_proxy(const struct admin *admin, const struct admin_join *join,
                      const struct words *words, const cJSON *answer)
{
    say_title(admin, "On the proxy's machine, as the user that runs `sallyport serve`:");
    say_token_file(admin, join, words, admin_text(answer, "token"));
    say_title(admin, "In its configuration:");
    admin_say(admin, ADMIN_PLAIN, "\"proxy\": {");
    admin_say(admin, ADMIN_PLAIN, "  \"name\": \"%s\",", join->name);
    admin_say(admin, ADMIN_PLAIN, "  \"names\": [\"PROXY-HOST\"],");
    admin_say(admin, ADMIN_PLAIN, "  \"authority\": {");
    admin_say(admin, ADMIN_PLAIN, "    \"address\": \"%s\",", admin_text(answer, "authority"));
    admin_say(admin, ADMIN_PLAIN, "    \"ca_pin\": \"%s\",", admin_text(answer, "ca_pin"));
    admin_say(admin, ADMIN_PLAIN, "    \"join\": \"%s%s\",",
              join->token_file ? join->token_file : join->name, join->token_file ? "" : ".token");
    admin_say(admin, ADMIN_PLAIN, "    \"identity\": \"%s-identity\"", join->name);
    admin_say(admin, ADMIN_PLAIN, "  }");
    admin_say(admin, ADMIN_PLAIN, "}");
    say_blank();
    say_until(admin, answer);
    admin_say(admin, ADMIN_WARNING, "Fill in: PROXY-HOST, the name that tunnels know it by");
}

static int show_text(const struct admin *admin, const struct admin_join *join, const cJSON *answer)
{
    struct words words;
    struct error err = {0};
    if (!make_words(join, answer, &words)) {
        (void)error_set(&err, ERROR_LIMIT, "the authority's answer holds too long a name");
        return exit_with(&err);
    }
    if (join->is_proxy)
        say_proxy(admin, join, &words, answer);
    else
        say_bot(admin, join, &words, answer);
    return admin_finish();
}

/* --- the token --- */

static bool check_token(const char *token, struct error *err)
{
    /* It is going to be pasted into a shell: nothing may stand there that a shell would act on. */
    size_t length = strnlen(token, ADMIN_TOKEN_MAX + 1);
    return (length > 0 && length <= ADMIN_TOKEN_MAX && strspn(token, PLAIN_CHARACTERS) == length) ||
           error_set(err, ERROR_MALFORMED, "the authority's answer holds no token");
}

/* After this the answer, which may be printed, names the file in the token's place. */
static bool write_token(struct admin_join *join, cJSON *answer, const char *token,
                        struct error *err)
{
    char line[ADMIN_TOKEN_MAX + 2];
    if (!join->token_file)
        return true;
    int length = snprintf(line, sizeof line, "%s\n", token);
    bool written = length > 0 && admin_file_write(&join->file, line, (size_t)length, err);
    explicit_bzero(line, sizeof line);
    if (!written)
        return error_wrap(err,
                          "the token %s was made, and is lost: remove it with `sallyport token rm`"
                          " and make another with `sallyport token add`",
                          admin_text(answer, "token_id"));
    cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(answer, "token");
    control_free(item);
    return control_put_text(answer, "token_file", join->token_file) ||
           error_set(err, ERROR_MEMORY, "out of memory");
}

int admin_join_show(const struct admin *admin, struct admin_join *join, cJSON *answer)
{
    struct error err = {0};
    const char *token = admin_text(answer, "token");
    bool good =
        join->bound_key || (check_token(token, &err) && write_token(join, answer, token, &err));
    admin_join_abandon(join);
    if (!good)
        return exit_with(&err);
    if (!admin->json)
        return show_text(admin, join, answer);
    if (!control_put_text(answer, join->is_proxy ? "proxy" : "bot", join->name)) {
        (void)error_set(&err, ERROR_MEMORY, "out of memory");
        return exit_with(&err);
    }
    return admin_print_json(answer);
}
