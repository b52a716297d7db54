/* SPDX-License-Identifier: Apache-2.0 */
/* An authority of a thread: it accepts once, and does what the test says. */
#include "control/ask.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/frame.h"
#include "tests/unit/control_support.h"

struct authority {
    char directory[64];
    char path[96];
    int listener;
    pthread_t thread;
    struct buffer says; /* after the request came */
    size_t piece;       /* so many bytes at a time; 0: all */
    bool hangs;         /* keeps the connection open until the client goes */
    bool deaf;          /* does not read the request */
    char request[256];  /* what came, without its header */
};

static void write_all(int fd, const uint8_t *bytes, size_t length, size_t piece)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    while (length > 0) {
        size_t part = piece > 0 && piece < length ? piece : length;
        ssize_t sent = send(fd, bytes, part, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        length -= (size_t)sent;
        if (piece > 0)
            (void)nanosleep(&pause, NULL);
    }
}

static void *serve(void *context)
{
    struct authority *authority = context;
    char rest[16];
    int fd = accept(authority->listener, NULL, NULL);
    if (fd < 0)
        return NULL;
    if (!authority->deaf) {
        uint8_t header[4];
        (void)recv(fd, header, sizeof header, MSG_WAITALL);
        size_t length = (size_t)header[2] << 8 | header[3];
        if (length < sizeof authority->request)
            (void)recv(fd, authority->request, length, MSG_WAITALL);
    }
    write_all(fd, buffer_bytes(&authority->says), buffer_length(&authority->says),
              authority->piece);
    while (authority->hangs && recv(fd, rest, sizeof rest, 0) > 0) {
    }
    (void)close(fd);
    return NULL;
}

static void authority_init(struct authority *authority)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(authority, 0, sizeof *authority);
    (void)snprintf(authority->directory, sizeof authority->directory, "/tmp/control-ask-XXXXXX");
    cr_assert_not_null(mkdtemp(authority->directory));
    (void)snprintf(authority->path, sizeof authority->path, "%s/control.sock",
                   authority->directory);
    memcpy(address.sun_path, authority->path, strlen(authority->path));
    authority->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(authority->listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(authority->listener, 1), 0);
    buffer_init(&authority->says, 32 << 20);
}

static void authority_start(struct authority *authority)
{
    cr_assert_eq(pthread_create(&authority->thread, NULL, serve, authority), 0);
}

static void authority_stop(struct authority *authority)
{
    (void)shutdown(authority->listener, SHUT_RDWR);
    cr_assert_eq(pthread_join(authority->thread, NULL), 0);
    (void)close(authority->listener);
    (void)unlink(authority->path);
    (void)rmdir(authority->directory);
    buffer_release(&authority->says);
}

struct result {
    bool good;
    cJSON *answer;
    struct control_failure failure;
    struct error err;
    int64_t took_ms;
};

static struct result ask(const char *path, int64_t timeout_ms)
{
    struct result result = {.answer = (cJSON *)"not touched"};
    int64_t began = clock_monotonic_us();
    cJSON *request = control_request("bot_show");
    cr_assert(control_put_text(request, "name", "ci-1"));
    result.good =
        control_ask(path, request, timeout_ms, &result.answer, &result.failure, &result.err);
    result.took_ms = (clock_monotonic_us() - began) / 1000;
    control_free(request);
    cr_assert_eq(result.good, result.answer != NULL);
    cr_assert_eq(result.good, result.err.code == ERROR_NONE, "%s", result.err.message);
    return result;
}

static struct result ask_authority(const char *says, size_t piece)
{
    struct authority authority;
    authority_init(&authority);
    append_frame(&authority.says, says);
    authority.piece = piece;
    authority_start(&authority);
    struct result result = ask(authority.path, 5000);
    authority_stop(&authority);
    cr_assert_str_eq(authority.request, "{\"id\":1,\"request\":\"bot_show\",\"name\":\"ci-1\"}");
    return result;
}

Test(control_ask, gets_its_answer)
{
    struct result result = ask_authority("{\"id\":1,\"ok\":{\"name\":\"ci-1\"}}", 0);
    cr_assert(result.good);
    cr_assert_str_eq(result.answer->child->valuestring, "ci-1");
    control_free(result.answer);
}

Test(control_ask, gets_an_answer_in_pieces)
{
    struct result result = ask_authority("{\"id\":1,\"ok\":{\"name\":\"ci-1\"}}", 1);
    cr_assert(result.good, "%s", result.err.message);
    control_free(result.answer);
}

Test(control_ask, gets_the_greatest_answer)
{
    char *text = malloc(CONTROL_ANSWER_MAX + 1);
    cr_assert_not_null(text);
    memset(text, 'x', CONTROL_ANSWER_MAX);
    memcpy(text, "{\"id\":1,\"ok\":{\"a\":\"", 19);
    memcpy(text + CONTROL_ANSWER_MAX - 3, "\"}}", 4);
    struct result result = ask_authority(text, 0);
    cr_assert(result.good, "%s", result.err.message);
    cr_assert_eq(strlen(result.answer->child->valuestring), CONTROL_ANSWER_MAX - 22);
    control_free(result.answer);
    free(text);
}

Test(control_ask, tells_a_refusal_from_a_failure)
{
    struct result result = ask_authority(
        "{\"id\":1,\"error\":{\"code\":\"not_found\",\"message\":\"no bot ci-1\"}}", 0);
    cr_assert_eq(result.failure.code, CONTROL_NOT_FOUND);
    cr_assert_str_eq(result.err.message, "no bot ci-1");
    result = ask_authority("{\"id\":0,\"error\":{\"code\":\"malformed\",\"message\":\"x\"}}", 0);
    cr_assert_eq(result.failure.code, CONTROL_MALFORMED);
}

Test(control_ask, refuses_what_is_no_answer)
{
    static const char *const bad[] = {"no",
                                      "{}",
                                      "{\"id\":2,\"ok\":{}}",
                                      "{\"id\":1,\"ok\":1}",
                                      "{\"event\":\"alive\"}",
                                      "{\"id\":1,\"request\":\"hello\"}",
                                      "{\"id\":1,\"ok\":{\"a\":1,\"a\":2}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct result result = ask_authority(bad[i], 0);
        cr_assert_not(result.good, "%s", bad[i]);
        cr_assert_eq(result.failure.code, CONTROL_NO_ERROR);
        cr_assert_not_null(strstr(result.err.message, "cannot read the answer"), "%s",
                           result.err.message);
    }
}

/* What it says when it cannot even ask. */

static void expect_advice(const char *path, const char *advice)
{
    struct result result = ask(path, 1000);
    cr_assert_eq(result.failure.code, CONTROL_NO_ERROR);
    cr_assert_not_null(strstr(result.err.message, advice), "%s", result.err.message);
    cr_assert_lt(result.took_ms, 900);
}

Test(control_ask, says_what_to_do_when_nobody_is_there)
{
    struct authority authority;
    expect_advice("/nonexistent/control.sock", "is it running? Its socket is /nonexistent/");
    expect_advice("/etc/passwd/control.sock", "is it running?");
    expect_advice("/etc/passwd", "is it running?"); /* a file, no socket */
    authority_init(&authority);
    (void)close(authority.listener); /* the socket stays behind */
    expect_advice(authority.path, "is it running?");
    (void)unlink(authority.path);
    (void)rmdir(authority.directory);
}

Test(control_ask, says_who_may_ask)
{
    struct authority authority;
    authority_init(&authority);
    cr_assert_eq(chmod(authority.path, 0600), 0);
    cr_assert_eq(chmod(authority.directory, 0700), 0);
    if (geteuid() == 0) {
        cr_assert_eq(seteuid(65534), 0);
        expect_advice(authority.path, "run this as root, or as the user");
        cr_assert_eq(seteuid(0), 0);
    } else {
        cr_assert_eq(chmod(authority.path, 0), 0);
        expect_advice(authority.path, "run this as root, or as the user");
    }
    (void)close(authority.listener);
    (void)unlink(authority.path);
    (void)rmdir(authority.directory);
}

Test(control_ask, refuses_a_path_that_is_too_long)
{
    char path[300];
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    expect_advice(path, "at most 107 bytes");
}

Test(control_ask, does_not_wait_for_ever)
{
    for (int deaf = 0; deaf < 2; deaf++) {
        struct authority authority;
        authority_init(&authority);
        authority.hangs = true;
        authority.deaf = deaf;
        authority_start(&authority);
        struct result result = ask(authority.path, 200);
        cr_assert_eq(result.err.code, ERROR_TIMEOUT, "%s", result.err.message);
        cr_assert_not_null(strstr(result.err.message, "whether the request was carried out"));
        cr_assert(result.took_ms >= 190 && result.took_ms < 3000, "%d", (int)result.took_ms);
        authority_stop(&authority);
    }
}

/* Its queue is full and nobody accepts: connect() says EAGAIN. */
Test(control_ask, waits_for_a_full_queue_until_its_deadline)
{
    struct authority authority;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fds[8];
    size_t count = 0;
    authority_init(&authority);
    memcpy(address.sun_path, authority.path, strlen(authority.path));
    for (; count < 8; count++) {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fds[count], (struct sockaddr *)&address, sizeof address) != 0)
            break;
    }
    cr_assert_eq(errno, EAGAIN);
    (void)close(fds[count]);
    struct result result = ask(authority.path, 200);
    cr_assert_eq(result.err.code, ERROR_TIMEOUT, "%s", result.err.message);
    cr_assert_not_null(strstr(result.err.message, "takes no connections"));
    while (count > 0)
        (void)close(fds[--count]);
    (void)close(authority.listener);
    (void)unlink(authority.path);
    (void)rmdir(authority.directory);
}

Test(control_ask, says_when_it_was_hung_up_on)
{
    static const size_t sent[] = {0, 3, 4, 10};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        struct authority authority;
        authority_init(&authority);
        append_frame(&authority.says, "{\"id\":1,\"ok\":{}}");
        buffer_truncate(&authority.says, sent[i]);
        authority_start(&authority);
        struct result result = ask(authority.path, 5000);
        cr_assert_eq(result.err.code, ERROR_CLOSED, "%s", result.err.message);
        authority_stop(&authority);
    }
}

/* Refused before a byte goes out. */
Test(control_ask, does_not_send_what_is_too_long)
{
    struct authority authority;
    static char text[CONTROL_ADMIN_REQUEST_MAX];
    cJSON *answer;
    struct control_failure failure;
    struct error err = {0};
    authority_init(&authority);
    authority_start(&authority);
    memset(text, 'x', sizeof text - 1);
    cJSON *request = control_request("apply");
    cr_assert(control_put_text(request, "documents", text));
    cr_assert_not(control_ask(authority.path, request, 1000, &answer, &failure, &err));
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    control_free(request);
    authority_stop(&authority);
    cr_assert_str_eq(authority.request, "");
}
