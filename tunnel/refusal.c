/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tls/stream.h"

struct refusal_kind {
    uint16_t code;
    const char *sqlstate;
};

static const struct refusal_kind access_denied = {1045, "28000"};
static const struct refusal_kind link_failed = {1159, "08S01"};
static const struct refusal_kind too_many = {1040, "08004"};
static const struct refusal_kind stopping = {1053, "08S01"};

PRINTF_LIKE(4, 5)
static void fill(struct refusal *out, const struct refusal_kind *kind, const char *bot,
                 const char *format, ...)
{
    out->code = kind->code;
    out->sqlstate = kind->sqlstate;
    int used = snprintf(out->message, sizeof out->message, "sallyport: %s: ", bot);
    if (used < 0 || (size_t)used >= sizeof out->message)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out->message + used, sizeof out->message - (size_t)used, format, arguments);
    va_end(arguments);
}

static const char *behind(const char *message, const char *start)
{
    size_t length = strlen(start);
    return strncmp(message, start, length) == 0 ? message + length : message;
}

/* The stream says "cannot connect to ADDRESS: why", which repeats the proxy's address where that is
 * in numbers. */
static const char *without_address(const char *message, const char *proxy)
{
    const char *rest = behind(message, "cannot connect to ");
    const char *reason = rest == message ? message : behind(rest, proxy);
    return reason != rest && reason != message ? behind(reason, ": ") : message;
}

static void fill_certificate(struct refusal *out, const struct error *err, const char *bot,
                             const char *proxy)
{
    fill(out, &access_denied, bot,
         "the proxy %s does not accept this bot's certificate: %s; renew it, or ask who runs the "
         "proxy whether this bot is known and not locked",
         proxy, behind(err->message, "the peer refused our certificate: "));
}

static void fill_dial(struct refusal *out, const struct error *err, const char *bot,
                      const char *proxy)
{
    if (stream_error_is_certificate(err))
        fill_certificate(out, err, bot, proxy);
    else if (err->code == ERROR_SYSTEM || err->code == ERROR_TIMEOUT)
        fill(out, &link_failed, bot,
             "cannot connect to the proxy %s: %s; check that it runs and that its address and the "
             "network between are right",
             proxy, without_address(err->message, proxy));
    else
        fill(out, &link_failed, bot,
             "no TLS connection to the proxy %s: %s; check the proxy's address, server_name and "
             "the identity's ca.pem",
             proxy, err->message);
}

static void fill_greeting(struct refusal *out, const struct error *err, const char *bot,
                          const char *proxy)
{
    if (stream_error_is_certificate(err))
        fill_certificate(out, err, bot, proxy);
    else
        fill(out, &link_failed, bot,
             "the connection to the proxy %s was lost before the database's greeting: %s; the "
             "proxy's log says more",
             proxy, err->message);
}

void refusal_make(enum refusal_stage stage, const struct error *err, const char *bot,
                  const char *proxy, struct refusal *out)
{
    static const struct error unknown = {ERROR_STATE, "for no known reason"};
    const struct error *why = err ? err : &unknown;
    switch (stage) {
    case REFUSAL_IDENTITY:
        fill(out, &access_denied, bot, "%s", why->message);
        return;
    case REFUSAL_DIAL:
        fill_dial(out, why, bot, proxy);
        return;
    case REFUSAL_GREETING:
        fill_greeting(out, why, bot, proxy);
        return;
    case REFUSAL_TIMEOUT:
        fill(out, &link_failed, bot,
             "the proxy %s took the connection and sent no greeting in time; its log says whether "
             "the database answers",
             proxy);
        return;
    case REFUSAL_LIMIT:
        fill(out, &too_many, bot,
             "the tunnel has as many connections as it may; close some or raise max_connections");
        return;
    case REFUSAL_STOPPING:
        fill(out, &stopping, bot, "the tunnel is stopping; connect again when it is back");
        return;
    case REFUSAL_NONE:
    case REFUSAL_INTERNAL:
        break;
    }
    fill(out, &link_failed, bot, "the tunnel cannot serve this connection: %s", why->message);
}

bool refusal_append(const struct refusal *refusal, struct buffer *out, struct error *err)
{
    return packet_err_append(out, 0, refusal->code, refusal->sqlstate, refusal->message, err);
}

static bool read_packet(const uint8_t *data, size_t length, struct packet_err *out)
{
    bool found;
    size_t consumed;
    struct byte_view payload;
    return packet_take(byte_view(data, length), PACKET_LOGIN_MAX, 0, &found, &payload, &consumed,
                       NULL) &&
           found && packet_err_read(payload, out, NULL);
}

void refusal_read(const uint8_t *data, size_t length, struct error *err)
{
    struct packet_err packet;
    char message[PACKET_ERR_MESSAGE_MAX];
    if (!read_packet(data, length, &packet)) {
        (void)error_set(err, ERROR_MALFORMED,
                        "what answers there speaks before the hello frame: is it a Sallyport "
                        "proxy?");
        return;
    }
    (void)snprintf(message, sizeof message, "%.*s", (int)packet.message.length,
                   (const char *)packet.message.data);
    (void)error_set(err, ERROR_DENIED, "the proxy says: %.480s", behind(message, "sallyport: "));
}
