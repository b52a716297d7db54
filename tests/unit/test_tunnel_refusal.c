/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/refusal.h"

static struct refusal made(enum refusal_stage stage, enum error_code code, const char *message)
{
    struct refusal refusal;
    struct error err = {.code = code};
    (void)snprintf(err.message, sizeof err.message, "%s", message);
    refusal_make(stage, &err, "ci-1", "proxy:3308", &refusal);
    cr_assert_eq(strncmp(refusal.message, "sallyport: ci-1: ", 17), 0, "%s", refusal.message);
    return refusal;
}

static void is(struct refusal refusal, unsigned code, const char *sqlstate, const char *text)
{
    cr_assert_eq(refusal.code, code, "%s", refusal.message);
    cr_assert_str_eq(refusal.sqlstate, sqlstate);
    cr_assert(strstr(refusal.message, text), "%s", refusal.message);
}

Test(tunnel_refusal, says_what_is_wrong_with_the_identity)
{
    is(made(REFUSAL_IDENTITY, ERROR_DENIED, "the certificate expired at X: renew"), 1045, "28000",
       "ci-1: the certificate expired at X: renew");
}

Test(tunnel_refusal, tells_a_refused_certificate_from_a_lost_connection)
{
    static const char words[] = "the peer refused our certificate: certificate revoked";
    is(made(REFUSAL_DIAL, ERROR_TLS, words), 1045, "28000", ": certificate revoked;");
    is(made(REFUSAL_GREETING, ERROR_TLS, words), 1045, "28000",
       "the proxy proxy:3308 does not accept this bot's certificate: certificate revoked;");
    is(made(REFUSAL_DIAL, ERROR_TLS, "the peer demands a certificate and we sent none"), 1045,
       "28000", "sent none");
    is(made(REFUSAL_GREETING, ERROR_CLOSED, "reset"), 1159, "08S01",
       "before the database's greeting");
    is(made(REFUSAL_DIAL, ERROR_TLS, "the server's certificate is not for proxy"), 1159, "08S01",
       "ca.pem");
    /* Only the stream's own verdict counts, not words that a resolver or a system could say. */
    is(made(REFUSAL_DIAL, ERROR_SYSTEM, words), 1159, "08S01", "cannot connect");
}

Test(tunnel_refusal, does_not_say_the_address_twice)
{
    is(made(REFUSAL_DIAL, ERROR_SYSTEM, "cannot connect to proxy:3308: connection refused"), 1159,
       "08S01", "cannot connect to the proxy proxy:3308: connection refused; check");
    is(made(REFUSAL_DIAL, ERROR_SYSTEM, "cannot connect to 10.0.0.1:3308: connection refused"),
       1159, "08S01", "proxy:3308: cannot connect to 10.0.0.1:3308: connection refused; check");
}

Test(tunnel_refusal, has_words_for_every_stage)
{
    is(made(REFUSAL_TIMEOUT, ERROR_TIMEOUT, ""), 1159, "08S01", "no greeting in time");
    is(made(REFUSAL_LIMIT, ERROR_LIMIT, ""), 1040, "08004", "max_connections");
    is(made(REFUSAL_STOPPING, ERROR_CLOSED, ""), 1053, "08S01", "stopping");
    is(made(REFUSAL_INTERNAL, ERROR_MEMORY, "out of memory"), 1159, "08S01", "out of memory");
}

Test(tunnel_refusal, works_without_an_error)
{
    struct refusal refusal;
    refusal_make(REFUSAL_GREETING, NULL, "ci-1", "p:1", &refusal);
    cr_assert_eq(refusal.code, 1159);
}

Test(tunnel_refusal, is_an_err_packet_that_always_fits)
{
    uint8_t room[REFUSAL_PACKET_MAX];
    char bot[2048];
    struct buffer out;
    struct refusal refusal;
    struct packet_err read;
    struct byte_view payload;
    size_t consumed;
    bool found;
    memset(bot, 'b', sizeof bot);
    bot[sizeof bot - 1] = '\0';
    refusal_make(REFUSAL_LIMIT, NULL, bot, "p:1", &refusal);
    buffer_init_fixed(&out, room, sizeof room);
    cr_assert(refusal_append(&refusal, &out, NULL));
    struct byte_view bytes = {buffer_bytes(&out), buffer_length(&out)};
    cr_assert(packet_take(bytes, REFUSAL_PACKET_MAX, 0, &found, &payload, &consumed, NULL));
    cr_assert(found);
    cr_assert(packet_err_read(payload, &read, NULL));
    cr_assert_eq(read.code, 1040);
    cr_assert_str_eq(read.sqlstate, "08004");
}

static struct error heard(const void *data, size_t length)
{
    struct error err = {0};
    refusal_read(data, length, &err);
    return err;
}

Test(tunnel_refusal, reads_the_proxys_own)
{
    uint8_t room[REFUSAL_PACKET_MAX];
    struct buffer out;
    buffer_init_fixed(&out, room, sizeof room);
    cr_assert(
        packet_err_append(&out, 0, 1045, "28000", "sallyport: bot ci-1 is locked: INC-42", NULL));
    struct error err = heard(buffer_bytes(&out), buffer_length(&out));
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert_str_eq(err.message, "the proxy says: bot ci-1 is locked: INC-42");
    for (size_t length = 0; length < buffer_length(&out); length++)
        cr_assert_eq(heard(buffer_bytes(&out), length).code, ERROR_MALFORMED);
}

Test(tunnel_refusal, takes_nothing_else_for_the_proxys)
{
    cr_assert_not_null(strstr(heard("early", 5).message, "is it a Sallyport proxy?"));
    cr_assert_eq(heard("SSH-2.0-OpenSSH_9\r\n", 19).code, ERROR_MALFORMED);
    cr_assert_eq(heard("\1\0\0\0\12", 5).code, ERROR_MALFORMED, "a greeting's first byte");
    cr_assert_eq(heard("\377\377\377\0\377", 5).code, ERROR_MALFORMED, "a packet without end");
}
