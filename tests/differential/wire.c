/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/differential/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct tap *selected;

void tap_select(struct tap *tap)
{
    selected = tap;
}

/* Reads and optionally clears bits of `width` bytes at `at` of a greeting. */
static uint32_t greeting_mask(unsigned char *at, size_t width, uint32_t keep, unsigned int shift)
{
    uint32_t found = 0;
    for (size_t i = 0; i < width; i++) {
        found |= (uint32_t)at[i] << (8 * i + shift);
        at[i] = (unsigned char)(at[i] & keep >> (8 * i + shift));
    }
    return found;
}

/*
 * A greeting: header, version 10, server version, NUL, thread id, 8 bytes of salt, filler, lower
 * capabilities, character set, status, upper capabilities, salt length, 6 bytes of filler and
 * MariaDB's 4 of extended capabilities. (MySQL source documentation, "Protocol::HandshakeV10".)
 */
static void greeting_edit(struct tap *tap, unsigned char *bytes, size_t length)
{
    if (length < 5 || bytes[4] != 10)
        return;
    unsigned char *end = memchr(bytes + 5, 0, length - 5);
    if (end == NULL || (size_t)(end - bytes) + 1 + 31 > length)
        return;
    unsigned char *lower = end + 1 + 4 + 8 + 1;
    tap->offered = greeting_mask(lower, 2, tap->keep, 0);
    tap->offered |= greeting_mask(lower + 5, 2, tap->keep, 16);
    /* Only with this bit clear are the last bytes of the filler extended flags. */
    bool extended = !(tap->offered & WIRE_LONG_PASSWORD);
    tap->offered_extended = extended ? greeting_mask(lower + 14, 4, tap->keep_extended, 0) : 0;
    tap->greeting_awaited = false;
}

/*
 * Stands before the C library's recv() for this program and the libraries it uses (the program
 * comes first in the search for symbols). A greeting is asked for whole, so that it can be edited.
 */
ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    ssize_t got = recvfrom(fd, buffer, length, flags, NULL, NULL);
    if (got <= 0 || selected == NULL)
        return got;
    if (selected->greeting_awaited)
        greeting_edit(selected, buffer, (size_t)got);
    if (!selected->as_consumed)
        text_add(&selected->received, buffer, (size_t)got);
    return got;
}

bool wire_connect(struct wire *wire, const char *host, unsigned int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval timeout = {.tv_sec = WIRE_TIMEOUT_S};
    int on = 1;
    *wire = (struct wire){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    if (wire->fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        die("no socket for %s:%u", host, port);
    if (setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0)
        die("no socket options: %s", strerror(errno));
    return connect(wire->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

void wire_close(struct wire *wire)
{
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
    text_free(&wire->packet);
}

static bool send_all(struct wire *wire, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(wire->fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

bool wire_send(struct wire *wire, const struct text *payload, unsigned int first)
{
    struct text framed = {0};
    size_t done = 0;
    size_t length;
    do {
        length = payload->length - done;
        if (length > WIRE_FRAME_MAX)
            length = WIRE_FRAME_MAX;
        text_add_integer(&framed, length, 3);
        text_add_byte(&framed, first++ & 0xFF);
        text_add(&framed, payload->data + done, length);
        done += length;
    } while (length == WIRE_FRAME_MAX);
    bool sent = send_all(wire, framed.data, framed.length);
    text_free(&framed);
    return sent;
}

static bool wire_take(struct wire *wire, size_t length, struct text *out)
{
    while (length > 0) {
        if (wire->at == wire->filled) {
            ssize_t got = recv(wire->fd, wire->input, sizeof wire->input, 0);
            if (got <= 0) {
                errno = got == 0 ? 0 : errno;
                return false;
            }
            wire->at = 0;
            wire->filled = (size_t)got;
        }
        size_t take = wire->filled - wire->at < length ? wire->filled - wire->at : length;
        text_add(out, wire->input + wire->at, take);
        if (selected != NULL && selected->as_consumed)
            text_add(&selected->received, wire->input + wire->at, take);
        wire->at += take;
        length -= take;
    }
    return true;
}

bool wire_is_silent(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

bool wire_read(struct wire *wire)
{
    uint64_t length;
    text_clear(&wire->packet);
    do {
        struct text header = {0};
        size_t at = 0;
        uint64_t sequence = 0;
        bool read = wire_take(wire, 4, &header) && wire_integer(&header, &at, 3, &length) &&
                    wire_integer(&header, &at, 1, &sequence);
        text_free(&header);
        if (!read || !wire_take(wire, (size_t)length, &wire->packet))
            return false;
        wire->sequence = (unsigned int)sequence;
    } while (length == WIRE_FRAME_MAX);
    return true;
}

bool wire_integer(const struct text *payload, size_t *at, size_t width, uint64_t *value)
{
    if (payload->length < *at || payload->length - *at < width)
        return false;
    *value = 0;
    for (size_t i = 0; i < width; i++)
        *value |= (uint64_t)(unsigned char)payload->data[(*at)++] << (8 * i);
    return true;
}

bool wire_lenenc(const struct text *payload, size_t *at, uint64_t *value)
{
    uint64_t first;
    if (!wire_integer(payload, at, 1, &first))
        return false;
    *value = first;
    if (first < 0xFB)
        return true;
    if (first == 0xFB || first == 0xFF)
        return false;
    return wire_integer(payload, at, first == 0xFC ? 2 : first == 0xFD ? 3 : 8, value);
}
