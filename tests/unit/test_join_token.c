/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/join_token.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "AAAAAAAAAAAAAAAAAAAAA-_AAAAAAAAAAAAAAAAAAAA"
#define TOKEN  "sallyport-join-1.0123456789abcdef." SECRET

static void expect_token(const char *text)
{
    struct join_token token;
    struct error err = {0};
    cr_assert(join_token_parse(text, strlen(text), "it", &token, &err), "%s", err.message);
    cr_assert_str_eq(token.text, TOKEN);
}

static void expect_refused(const char *text, const char *words)
{
    struct join_token token;
    struct error err = {0};
    cr_assert_not(join_token_parse(text, strlen(text), "the token in X", &token, &err), "%s", text);
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
    cr_assert_null(strstr(err.message, "AAAA"), "a token is never shown: %s", err.message);
    cr_assert_eq(token.text[0], '\0');
}

Test(join_token, is_taken_with_white_space_around_it)
{
    cr_assert_eq(strlen(TOKEN), JOIN_TOKEN_LENGTH);
    expect_token(TOKEN);
    expect_token(TOKEN "\n");
    expect_token(" \t\r\n" TOKEN "\r\n\n");
}

Test(join_token, says_what_is_wrong_and_shows_none_of_it)
{
    expect_refused("", "is empty");
    expect_refused("\n\n", "is empty");
    expect_refused(SECRET, "is no join token");
    expect_refused("sallyport-join-2.0123456789abcdef." SECRET, "upgrade");
    expect_refused("sallyport-join-1.0123456789abcdef.AAAAAAAAA", "is not whole");
    expect_refused(TOKEN "A", "is not whole");
    expect_refused(TOKEN " " TOKEN, "is not whole");
    expect_refused("sallyport-join-1.0123456789ABCDEF." SECRET, "is not whole");
    expect_refused("sallyport-join-1.0123456789abcdef-" SECRET, "is not whole");
    expect_refused("sallyport-join-1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                   "is not whole");
}

Test(join_token, is_known_where_a_file_is_meant)
{
    struct error err = {0};
    cr_assert(join_token_looks_like(TOKEN));
    cr_assert(join_token_looks_like("./" TOKEN));
    cr_assert(join_token_looks_like("sallyport-join-1.01234"), "the beginning of one too");
    cr_assert(join_token_looks_like("/etc/sallyport-join-12.x"));
    cr_assert_not(join_token_looks_like("sallyport-join-token"));
    cr_assert_not(join_token_looks_like("/run/secrets/token"));
    cr_assert_not(join_token_looks_like("-"));
    cr_assert_not(join_token_looks_like(""));
    cr_assert_not(join_token_refuse("--join", &err));
    cr_assert_eq(err.code, ERROR_CONFIG);
    cr_assert_not_null(strstr(err.message, "every user of this machine"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "SALLYPORT_TOKEN"), "%s", err.message);
}

static void expect_file(const char *path, const char *words)
{
    struct join_token token;
    struct error err = {0};
    bool read = join_token_read(path, &token, &err);
    if (!words) {
        cr_assert(read, "%s", err.message);
        cr_assert_str_eq(token.text, TOKEN);
        return;
    }
    cr_assert_not(read);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

Test(join_token, comes_from_a_file)
{
    char path[] = "/tmp/sallyport-token-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    expect_file(path, "is empty");
    cr_assert_eq(write(fd, TOKEN "\n", strlen(TOKEN) + 1), (ssize_t)strlen(TOKEN) + 1);
    expect_file(path, NULL);
    cr_assert_eq(ftruncate(fd, 100000), 0);
    expect_file(path, "cannot read the token in /tmp/sallyport-token-");
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(unlink(path), 0);
    expect_file(path, "No such file");
    expect_file("/tmp", "not a regular file");
}

Test(join_token, a_file_that_others_read_is_refused)
{
    char path[] = "/tmp/sallyport-token-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, TOKEN, strlen(TOKEN)), (ssize_t)strlen(TOKEN));
    cr_assert_eq(fchmod(fd, 0640), 0);
    expect_file(path, "chmod 600");
    cr_assert_eq(fchmod(fd, 0400), 0);
    expect_file(path, NULL);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(unlink(path), 0);
}

Test(join_token, a_pipe_by_name_does_not_block, .timeout = 5)
{
    char path[] = "/tmp/sallyport-token-XXXXXX";
    cr_assert_eq(close(mkstemp(path)), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_file(path, "not a regular file");
    cr_assert_eq(unlink(path), 0);
}

Test(join_token, comes_on_standard_input)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    cr_assert_eq(write(ends[1], TOKEN, 20), 20);
    cr_assert_eq(write(ends[1], TOKEN + 20, strlen(TOKEN) - 20), (ssize_t)strlen(TOKEN) - 20);
    cr_assert_eq(close(ends[1]), 0);
    expect_file("-", NULL);
    expect_file("-", "on standard input is empty");
}

Test(join_token, leaves_nothing_in_the_environment)
{
    struct join_token token;
    struct error err = {0};
    cr_assert(join_token_from_environment(&token, &err));
    cr_assert_eq(token.text[0], '\0', "without the variable there is none");
    cr_assert_eq(setenv(JOIN_TOKEN_VARIABLE, TOKEN, 1), 0);
    const char *where = getenv(JOIN_TOKEN_VARIABLE);
    cr_assert(join_token_from_environment(&token, &err), "%s", err.message);
    cr_assert_str_eq(token.text, TOKEN);
    cr_assert_null(getenv(JOIN_TOKEN_VARIABLE));
    cr_assert_eq(where[0], '\0', "wiped where /proc/PID/environ shows it");
    cr_assert_eq(setenv(JOIN_TOKEN_VARIABLE, "nonsense", 1), 0);
    cr_assert_not(join_token_from_environment(&token, &err));
    cr_assert_null(getenv(JOIN_TOKEN_VARIABLE), "removed all the same");
    join_token_wipe(&token);
    cr_assert_eq(token.text[0], '\0');
}
