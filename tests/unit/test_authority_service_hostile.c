/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that mean no good, and faults of what is around. */
#include "tests/unit/authority_service_support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/intake.h"
#include "base/clock.h"
#include "tls/certificate.h"
#include "tls/request.h"

TestSuite(authority_hostile, .init = service_enter, .fini = service_leave);
TestSuite(authority_hostile_alone, .init = service_prepare, .fini = service_leave);

#define REFUSED(caller_, code_, words_, ...)                                                       \
    do {                                                                                           \
        cr_assert(!caller_asks((caller_), __VA_ARGS__), "it was granted (line %d)", __LINE__);     \
        cr_assert_eq((caller_)->failure.code, (code_), "%s: %s",                                   \
                     control_code_name((caller_)->failure.code), (caller_)->failure.message);      \
        cr_assert(strstr((caller_)->failure.message, (words_)), "%s", (caller_)->failure.message); \
    } while (0)

static bool is_closed(const struct caller *caller)
{
    return caller->closed;
}

/* --- of the wrong kind --- */

Test(authority_hostile, nobody_gets_only_what_nobody_may)
{
    struct caller caller;
    caller_open(&caller, NULL);
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "", "{'request':'renew','csr':'x'}");
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "", "{'request':'bot_add','name':'x','roles':[]}");
    REFUSED(&caller, CONTROL_UNKNOWN_REQUEST, "", "{'request':'exec','command':'ls'}");
    cr_assert(caller_asks(&caller, "{'request':'hello'}"), "the connection goes on");
    caller_close(&caller);
    cr_assert_eq(count_records("peer.refused", 3), 3);
    cr_assert_str_eq(record_text("peer.refused", 0, "outcome"), "denied");
}

Test(authority_hostile, a_bot_is_no_proxy_and_a_proxy_no_bot)
{
    struct caller caller;
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    struct who proxy = join_proxy("proxy-1");
    caller_open(&caller, &bot);
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "mint", "{'request':'mint','csr':'x','mysql_user':'r'}");
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "", "{'request':'subscribe'}");
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "", "{'request':'join','token':'x','csr':'x'}");
    caller_close(&caller);
    caller_open(&caller, &proxy);
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "", "{'request':'renew','csr':'x'}");
    REFUSED(&caller, CONTROL_NOT_ALLOWED, "", "{'request':'lock_list'}");
    caller_close(&caller);
    cr_assert_str_eq(record_text("peer.refused", 0, "bot"), "ci-1");
    who_release(&bot);
    who_release(&proxy);
}

/* Signs with a CA's own key, as a thief of that key would. */
static struct who forge(const char *ca_kind, const char *key_name, const char *unit)
{
    struct who who = {0};
    char file[128];
    struct tls_key *key;
    struct tls_request *request;
    struct buffer pem;
    struct error err = {0};
    snprintf(file, sizeof file, "%s/keys/%s-1.key", home, key_name);
    cr_assert(tls_key_read(file, &key, &err), "%s", err.message);
    const char *ca = admin_text_of(admin("{'request':'ca_export','kind':'%s'}", ca_kind), "ca");
    const char *csr = fresh_csr(&who);
    cr_assert(tls_request_parse(csr, strlen(csr), &request, &err), "%s", err.message);
    const struct certificate_name names[] = {{"CN", "ci-1"}, {"OU", unit}};
    struct certificate_template wanted = {.names = names,
                                          .name_count = 2,
                                          .not_before_us = clock_wall_us() - 60000000,
                                          .not_after_us = clock_wall_us() + 60000000,
                                          .use = CERTIFICATE_CLIENT,
                                          .public = tls_request_public(request)};
    cr_assert(certificate_serial_random(wanted.serial, &err));
    buffer_init(&pem, 65536);
    cr_assert(certificate_sign(&wanted, key, ca, &pem, &err), "%s", err.message);
    who.certificate = strndup((const char *)buffer_bytes(&pem), buffer_length(&pem));
    buffer_release(&pem);
    tls_request_free(request);
    tls_key_free(key);
    return who;
}

static void expect_turned_away(const struct who *who)
{
    struct caller caller;
    if (caller_try(&caller, who))
        cr_assert(!caller_asks(&caller, "{'request':'hello'}"));
    cr_assert(caller_runs(&caller, is_closed));
    caller_close(&caller);
}

Test(authority_hostile, certificates_that_the_ledger_does_not_have_are_refused)
{
    apply_reader();
    add_bot("ci-1");
    struct who bot = forge("bot", "bot", "bots");
    struct who proxy = forge("service", "service", "proxies");
    expect_turned_away(&bot);
    expect_turned_away(&proxy);
    cr_assert(strstr(record_text("peer.refused", 0, "reason"), "no such certificate"));
    cr_assert_str_eq(record_text("peer.refused", 0, "bot"), "ci-1");
    cr_assert_eq(count_records("peer.refused", 2), 2);
    who_release(&bot);
    who_release(&proxy);
}

Test(authority_hostile, certificates_of_other_cas_do_not_even_shake_hands)
{
    struct who other = forge("database-client", "database-client", "bots");
    expect_turned_away(&other);
    cr_assert_eq(count_records("peer.refused", 1), 1);
    who_release(&other);
}

/* --- of the wrong form --- */

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(authority_service_port(service)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Whether the other side ends the connection within three seconds. */
static bool ends(int fd)
{
    char byte[4096];
    struct timeval limit = {.tv_sec = 3};
    ssize_t count;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while ((count = read(fd, byte, sizeof byte)) > 0)
        continue;
    return count == 0 || errno == ECONNRESET;
}

Test(authority_hostile, garbage_instead_of_tls_ends)
{
    int fd = dial();
    cr_assert_eq(write(fd, "GET / HTTP/1.1\r\nHost: authority\r\n\r\n", 36), 36);
    cr_assert(ends(fd));
    close(fd);
    cr_assert_eq(count_records("peer.refused", 1), 1);
}

static struct tls_context *context_with(const char *const *alpn)
{
    struct tls_context *context;
    char text[CERTIFICATE_PIN_TEXT_SIZE];
    uint8_t pin[TLS_PIN_SIZE];
    authority_service_pin(service, text);
    cr_assert(certificate_pin_parse(text, pin, NULL));
    const struct tls_settings wanted = {.side = TLS_CLIENT, .ca_pin = pin, .alpn = alpn};
    cr_assert(tls_context_create(&wanted, &context, NULL));
    return context;
}

struct raw {
    bool secured, over;
};

static void on_connected(struct stream *stream, void *owner)
{
    (void)owner;
    struct error err = {0};
    struct tls_context *context = context_with(NULL);
    cr_assert(stream_start_tls(stream, context, "localhost", &err), "%s", err.message);
    tls_context_unref(context);
}

static void on_secured(struct stream *stream, void *owner)
{
    (void)stream;
    ((struct raw *)owner)->secured = true;
}

static size_t on_data(struct stream *stream, void *owner, const uint8_t *data, size_t length)
{
    (void)stream, (void)owner, (void)data;
    return length;
}

static void on_ended(struct stream *stream, void *owner)
{
    ((struct raw *)owner)->over = true;
    stream_close(stream, 0);
}

static void on_failed(struct stream *stream, void *owner, const struct error *err)
{
    (void)err;
    on_ended(stream, owner);
}

static void on_closed(struct stream *stream, void *owner)
{
    (void)stream;
    ((struct raw *)owner)->over = true;
}

Test(authority_hostile, tls_without_the_protocols_name_ends)
{
    static const struct stream_events events = {.connected = on_connected,
                                                .secured = on_secured,
                                                .data = on_data,
                                                .ended = on_ended,
                                                .failed = on_failed,
                                                .closed = on_closed};
    uv_loop_t loop;
    struct stream_loop *shared;
    struct stream *stream;
    struct raw raw = {0};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(authority_service_port(service)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uv_loop_init(&loop);
    cr_assert(stream_loop_create(&loop, &shared, NULL));
    cr_assert(
        stream_connect(shared, (const struct sockaddr *)&address, &events, &raw, &stream, NULL));
    int64_t until = clock_monotonic_us() + 5000000;
    while (!raw.over && clock_monotonic_us() < until)
        (void)uv_run(&loop, UV_RUN_ONCE);
    cr_assert(raw.over);
    stream_loop_destroy(shared);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    cr_assert_eq(count_records("peer.refused", 1), 1);
    cr_assert(strstr(record_text("peer.refused", 0, "reason"), "sallyport-control/1"));
}

Test(authority_hostile, what_breaks_the_protocol_ends_the_connection)
{
    struct caller caller;
    caller_open(&caller, NULL);
    REFUSED(&caller, CONTROL_MALFORMED, "surprise", "{'request':'hello','surprise':1}");
    cr_assert(caller_runs(&caller, is_closed));
    caller_close(&caller);
    caller_open(&caller, NULL);
    REFUSED(&caller, CONTROL_MALFORMED, "csr", "{'request':'join','token':'x'}");
    cr_assert(caller_runs(&caller, is_closed));
    caller_close(&caller);
}

/* The Unix socket takes frames as they are. */
static int dial_admin(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", settings.socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

Test(authority_hostile, hostile_frames_end_the_connection_and_are_recorded)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"\0\0\0\0", 4},                            /* empty */
        {"\xFF\xFF\xFF\xFF", 4},                    /* 4 GiB */
        {"\0\x40\x10\1", 4},                        /* a byte more than 4 MiB and 4 KiB */
        {"\0\0\0\2[]", 6},                          /* no object */
        {"\0\0\0\2{]", 6},                          /* no JSON */
        {"\0\0\0\x0F{\"request\":\"x\"}", 19},      /* no id */
        {"\0\0\0\x12{\"id\":1,\"request\":7}", 22}, /* no name */
        {"\0\0\0\x1E{\"id\":1,\"id\":2,\"request\":\"hi\"}", 34},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial_admin();
        cr_assert_eq(write(fd, cases[i].bytes, cases[i].length), (ssize_t)cases[i].length);
        cr_assert(ends(fd), "case %zu", i);
        close(fd);
    }
    cr_assert_eq(count_records("peer.refused", 8), 8);
    admin_does("{'request':'hello'}");
}

Test(authority_hostile, a_flood_of_requests_is_answered_in_turn)
{
    struct buffer out;
    char in[65536];
    size_t got = 0;
    int fd = dial_admin();
    buffer_init(&out, 1 << 20);
    for (unsigned i = 1; i <= 500; i++) {
        char frame[64];
        int length = snprintf(frame + 4, sizeof frame - 4, "{\"id\":%u,\"request\":\"hello\"}", i);
        memcpy(frame, (char[]){0, 0, 0, (char)length}, 4);
        cr_assert(buffer_append(&out, frame, 4 + (size_t)length, NULL));
    }
    cr_assert_eq(write(fd, buffer_bytes(&out), buffer_length(&out)), (ssize_t)buffer_length(&out));
    unsigned answered = 0;
    while (answered < 500) {
        ssize_t count = read(fd, in + got, sizeof in - got);
        cr_assert_gt(count, 0, "after %u answers", answered);
        got += (size_t)count;
        for (;;) {
            size_t length = got < 4 ? 0 : ((size_t)(uint8_t)in[2] << 8 | (uint8_t)in[3]);
            char wanted[32];
            if (got < 4 || got < 4 + length)
                break;
            snprintf(wanted, sizeof wanted, "{\"id\":%u,", ++answered);
            cr_assert_eq(memcmp(in + 4, wanted, strlen(wanted)), 0);
            memmove(in, in + 4 + length, got - 4 - length);
            got -= 4 + length;
        }
    }
    close(fd);
    buffer_release(&out);
}

/* --- too many --- */

Test(authority_hostile_alone, one_address_has_only_its_share_of_connections)
{
    int fds[12];
    settings.limits.connections = 8;
    settings.limits.per_address = 5;
    service_begin();
    for (size_t i = 0; i < 12; i++)
        fds[i] = dial();
    for (size_t i = 5; i < 12; i++)
        cr_assert(ends(fds[i]), "connection %zu", i);
    admin_does("{'request':'hello'}");
    for (size_t i = 0; i < 12; i++)
        close(fds[i]);
    usleep(100000);
    struct caller caller;
    caller_open(&caller, NULL); /* there is room again */
    caller_close(&caller);
}

Test(authority_hostile, refusals_are_recorded_at_a_bounded_rate)
{
    struct caller caller;
    for (int i = 0; i < 10; i++) { /* sixteen for each connection */
        caller_open(&caller, NULL);
        for (int j = 0; j < 16; j++)
            REFUSED(&caller, CONTROL_UNKNOWN_REQUEST, "", "{'request':'x'}");
        cr_assert(caller_runs(&caller, is_closed));
        caller_close(&caller);
    }
    cr_assert_lt(count_records("peer.refused", 10), 15);
}

Test(authority_hostile, stops_while_peers_are_connected)
{
    int fd = dial();
    struct caller caller;
    caller_open(&caller, NULL);
    int64_t since = clock_monotonic_us();
    authority_service_stop(service);
    cr_assert_lt(clock_monotonic_us() - since, 2000000);
    cr_assert(ends(fd));
    close(fd);
    cr_assert(caller_runs(&caller, is_closed));
    caller_close(&caller);
}

/* --- what cannot be recorded is not done --- */

Test(authority_hostile_alone, does_nothing_that_the_audit_log_has_no_room_for)
{
    static struct audit_lane lane; /* that nobody reads */
    static struct audit_doorbell doorbell;
    struct error err = {0};
    int made = 0;
    doorbell.event_fd = dup(STDERR_FILENO);
    cr_assert(audit_lane_open(&lane, 512, &doorbell, &err), "%s", err.message);
    cr_assert(authority_service_open(&settings, &lane, &service, &err), "%s", err.message);
    cr_assert(authority_service_start(service, &err), "%s", err.message);
    while (made < 1000) {
        if (!admin_may("{'request':'bot_add','name':'b%d','roles':[],'no_token':true}", made))
            break;
        made++;
    }
    cr_assert_lt(made, 1000);
    cr_assert_gt(made, 1);
    cr_assert_eq(refused.code, CONTROL_BUSY, "%s", control_code_name(refused.code));
    cr_assert(strstr(refused.message, "audit log"), "%s", refused.message);
    cJSON *bots = admin("{'request':'bot_list'}");
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(bots, "bots")), made);
    cJSON_Delete(bots);
    authority_service_close(service);
    audit_lane_close(&lane);
    close(doorbell.event_fd);
    service = NULL;
}

/* Whoever can fill the log must not be able to use a copy unpunished. */
Test(authority_hostile_alone, a_copy_is_locked_even_where_the_audit_log_has_no_room)
{
    static struct audit_lane lane; /* that nobody reads */
    static struct audit_doorbell doorbell;
    struct error err = {0};
    struct who next = {0};
    struct caller caller;
    doorbell.event_fd = dup(STDERR_FILENO);
    cr_assert(audit_lane_open(&lane, 512, &doorbell, &err), "%s", err.message);
    cr_assert(authority_service_open(&settings, &lane, &service, &err), "%s", err.message);
    cr_assert(authority_service_start(service, &err), "%s", err.message);
    apply_reader();
    struct who bot = join_bot("ci-1", true);
    caller_open(&caller, &bot);
    cr_assert(caller_asks(&caller, "{'request':'renew','csr':%s}", json_text(fresh_csr(&next))));
    who_take(&next, caller.ok);
    caller_close(&caller);
    caller_open(&caller, &next);
    cr_assert(caller_asks(&caller, "{'request':'confirm'}"));
    caller_close(&caller);
    int made = 0;
    while (made < 1000 &&
           admin_may("{'request':'bot_add','name':'b%d','roles':[],'no_token':true}", made))
        made++;
    cr_assert_eq(refused.code, CONTROL_BUSY);
    caller_open(&caller, &bot);
    REFUSED(&caller, CONTROL_SUPERSEDED, "", "{'request':'renew','csr':%s}",
            json_text(fresh_csr(&bot)));
    caller_close(&caller);
    cJSON *locks = admin("{'request':'lock_list'}");
    cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(locks, "locks")), 1);
    cJSON_Delete(locks);
    who_release(&bot);
    who_release(&next);
    authority_service_close(service);
    audit_lane_close(&lane);
    close(doorbell.event_fd);
    service = NULL;
}
