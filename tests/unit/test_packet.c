/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/packet.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/capability.h"

static struct byte_view view_of(const char *bytes, size_t length)
{
    return byte_view(bytes, length);
}

#define VIEW(literal) view_of(literal, sizeof(literal) - 1)

static void expect_held(const struct buffer *buffer, const char *bytes, size_t length)
{
    cr_assert_eq(buffer_length(buffer), length, "%zu bytes, not %zu", buffer_length(buffer),
                 length);
    cr_assert_arr_eq(buffer_bytes(buffer), bytes, length);
}

#define EXPECT_HELD(buffer, literal) expect_held(buffer, literal, sizeof(literal) - 1)

/* packet_take on these bytes with the limits of a login; expects no error. */
static bool take(struct byte_view bytes, uint8_t sequence, struct byte_view *payload,
                 size_t *consumed)
{
    struct error err = {0};
    bool found = true;
    cr_assert(packet_take(bytes, PACKET_LOGIN_MAX, sequence, &found, payload, consumed, &err), "%s",
              err.message);
    return found;
}

static enum error_code take_error(struct byte_view bytes, size_t most, uint8_t sequence)
{
    struct error err = {0};
    struct byte_view payload;
    size_t consumed = 77;
    bool found = true;
    cr_assert_not(packet_take(bytes, most, sequence, &found, &payload, &consumed, &err));
    cr_assert_not(found);
    cr_assert_eq(consumed, 0);
    cr_assert(err.message[0]);
    return err.code;
}

Test(packet, takes_one_packet_and_leaves_the_next)
{
    struct byte_view payload;
    size_t consumed;
    cr_assert(take(VIEW("\3\0\0\2abc\1\0\0\3d"), 2, &payload, &consumed));
    cr_assert(byte_view_equals(payload, "abc"));
    cr_assert_eq(consumed, 7);
}

Test(packet, takes_an_empty_packet)
{
    struct byte_view payload;
    size_t consumed;
    cr_assert(take(VIEW("\0\0\0\x05"), 5, &payload, &consumed));
    cr_assert_eq(payload.length, 0);
    cr_assert_eq(consumed, 4);
}

Test(packet, waits_for_every_missing_byte)
{
    static const char whole[] = "\3\0\0\2abc";
    for (size_t length = 0; length < sizeof whole - 1; length++) {
        struct byte_view payload;
        size_t consumed = 77;
        cr_assert_not(take(view_of(whole, length), 2, &payload, &consumed), "at %zu", length);
        cr_assert_eq(consumed, 0);
    }
}

/* TRAPS.md, Handshake: the payload before login is capped. The header alone must be enough. */
Test(packet, refuses_a_long_packet_before_its_body_comes)
{
    cr_assert_eq(take_error(VIEW("\x01\0\1\0"), PACKET_LOGIN_MAX, 0), ERROR_LIMIT);
    cr_assert_eq(take_error(VIEW("\x0b\0\0\0"), 10, 0), ERROR_LIMIT);
    struct byte_view payload;
    size_t consumed;
    cr_assert_not(take(VIEW("\0\0\1\0"), 0, &payload, &consumed), "65536 bytes are allowed");
}

Test(packet, refuses_a_continued_packet)
{
    cr_assert_eq(take_error(VIEW("\xff\xff\xff\0"), SIZE_MAX, 0), ERROR_LIMIT);
}

Test(packet, refuses_a_wrong_sequence_id)
{
    cr_assert_eq(take_error(VIEW("\1\0\0\2a"), PACKET_LOGIN_MAX, 1), ERROR_MALFORMED);
    cr_assert_eq(take_error(VIEW("\1\0\0\0"), PACKET_LOGIN_MAX, 1), ERROR_MALFORMED);
}

Test(packet, header_read_has_no_side_effect_when_short)
{
    struct byte_reader reader = byte_reader("\1\2\3", 3);
    struct packet_header header = {7, 7};
    cr_assert_not(packet_header_read(&reader, &header));
    cr_assert_eq(reader.offset, 0);
    cr_assert_eq(header.length, 7);
}

Test(packet, append_writes_header_and_payload)
{
    uint8_t storage[16];
    struct buffer out;
    buffer_init_fixed(&out, storage, sizeof storage);
    cr_assert(packet_append(&out, 3, "xyz", 3, NULL));
    cr_assert(packet_append(&out, 4, NULL, 0, NULL));
    EXPECT_HELD(&out, "\3\0\0\3xyz\0\0\0\4");
}

Test(packet, writer_fills_the_length_behind_consumed_bytes)
{
    struct buffer out;
    buffer_init(&out, 64);
    cr_assert(buffer_append(&out, "0123456789", 10, NULL));
    buffer_consume(&out, 8);
    struct packet_writer packet = packet_begin(&out, 9);
    for (int i = 0; i < 20; i++)
        byte_writer_u8(&packet.payload, 'a');
    cr_assert(packet_end(&packet, NULL));
    EXPECT_HELD(&out, "89\x14\0\0\x09"
                      "aaaaaaaaaaaaaaaaaaaa");
    buffer_release(&out);
}

Test(packet, a_packet_that_does_not_fit_leaves_the_buffer_as_it_was)
{
    uint8_t storage[10];
    struct buffer out;
    struct error err = {0};
    buffer_init_fixed(&out, storage, sizeof storage);
    cr_assert(buffer_append(&out, "ab", 2, NULL));
    cr_assert_not(packet_append(&out, 0, "12345", 5, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    EXPECT_HELD(&out, "ab");
    struct packet_writer packet = packet_begin(&out, 0);
    byte_writer_zeros(&packet.payload, 5);
    cr_assert_not(packet_end(&packet, &err));
    EXPECT_HELD(&out, "ab");
}

static void *no_memory(void *memory, size_t size)
{
    (void)memory;
    (void)size;
    return NULL;
}

Test(packet, reports_a_failed_allocation)
{
    struct buffer out;
    struct error err = {0};
    buffer_init(&out, 1000);
    buffer_set_allocator(no_memory);
    cr_assert_not(packet_append(&out, 0, "12345", 5, &err));
    cr_assert_eq(err.code, ERROR_MEMORY);
    cr_assert_not(packet_ok_append(&out, 1, 2, &err));
    buffer_set_allocator(NULL);
    cr_assert_eq(buffer_length(&out), 0);
}

Test(packet, refuses_to_write_a_packet_that_would_be_continued)
{
    struct buffer out;
    struct error err = {0};
    uint8_t *big = calloc(1, PACKET_PAYLOAD_MAX);
    cr_assert_not_null(big);
    buffer_init(&out, 2 * PACKET_PAYLOAD_MAX);
    cr_assert_not(packet_append(&out, 0, big, PACKET_PAYLOAD_MAX, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(buffer_length(&out), 0);
    cr_assert(packet_append(&out, 0, big, PACKET_PAYLOAD_MAX - 1, &err));
    cr_assert_arr_eq(buffer_bytes(&out), "\xfe\xff\xff\0", 4);
    buffer_release(&out);
    free(big);
}

Test(packet, reads_an_err_with_sqlstate)
{
    struct packet_err out;
    /* MariaDB 10.11.19, a login with a wrong password. */
    cr_assert(packet_err_read(VIEW("\xff\x15\x04#28000Access denied"), &out, NULL));
    cr_assert_eq(out.code, 1045);
    cr_assert_str_eq(out.sqlstate, "28000");
    cr_assert(byte_view_equals(out.message, "Access denied"));
}

/* TRAPS.md, Handshake: the very first packet of a connection may come without SQLSTATE. */
Test(packet, reads_an_err_without_sqlstate)
{
    struct packet_err out;
    cr_assert(packet_err_read(VIEW("\xff\x10\x04Too many connections"), &out, NULL));
    cr_assert_eq(out.code, 1040);
    cr_assert_str_eq(out.sqlstate, "HY000");
    cr_assert(byte_view_equals(out.message, "Too many connections"));
}

Test(packet, reads_an_err_that_ends_early)
{
    struct packet_err out;
    cr_assert(packet_err_read(VIEW("\xff\x10\x04"), &out, NULL));
    cr_assert_eq(out.message.length, 0);
    /* A '#' without room for an SQLSTATE is text. */
    cr_assert(packet_err_read(VIEW("\xff\x10\x04#abc"), &out, NULL));
    cr_assert_str_eq(out.sqlstate, "HY000");
    cr_assert(byte_view_equals(out.message, "#abc"));
}

Test(packet, refuses_what_is_no_err)
{
    struct packet_err out = {.code = 7};
    struct error err = {0};
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {{"", 0}, {"\xff", 1}, {"\xff\x10", 2}, {"\0\x10\x04#HY000x", 10}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(packet_err_read(view_of(bad[i].bytes, bad[i].length), &out, &err), "%zu", i);
        cr_assert_eq(err.code, ERROR_MALFORMED);
        cr_assert_eq(out.code, 7);
    }
}

Test(packet, writes_an_err_that_reads_back)
{
    struct buffer out;
    struct packet_err back;
    struct byte_view payload;
    size_t consumed;
    buffer_init(&out, 1024);
    cr_assert(packet_err_append(&out, 2, 1045, "28000", "sallyport: bot x: no role", NULL));
    EXPECT_HELD(&out, "\x22\0\0\2\xff\x15\x04#28000sallyport: bot x: no role");
    struct byte_view held = byte_view(buffer_bytes(&out), buffer_length(&out));
    cr_assert(take(held, 2, &payload, &consumed));
    cr_assert(packet_err_read(payload, &back, NULL));
    cr_assert_eq(back.code, 1045);
    cr_assert(byte_view_equals(back.message, "sallyport: bot x: no role"));
    buffer_release(&out);
}

static size_t written_message_length(const char *message)
{
    struct buffer out;
    buffer_init(&out, 4096);
    cr_assert(packet_err_append(&out, 0, 1105, "HY000", message, NULL));
    size_t length = buffer_length(&out) - PACKET_HEADER_SIZE - 9;
    buffer_release(&out);
    return length;
}

Test(packet, cuts_a_long_message_between_characters)
{
    char message[600];
    memset(message, 'a', sizeof message);
    message[PACKET_ERR_MESSAGE_MAX] = 0;
    cr_assert_eq(written_message_length(message), PACKET_ERR_MESSAGE_MAX);
    message[PACKET_ERR_MESSAGE_MAX] = 'a';
    message[sizeof message - 1] = 0;
    cr_assert_eq(written_message_length(message), PACKET_ERR_MESSAGE_MAX);
    memcpy(message + PACKET_ERR_MESSAGE_MAX - 2, "\xe2\x82\xac", 3);
    cr_assert_eq(written_message_length(message), PACKET_ERR_MESSAGE_MAX - 2);
    /* Bytes that are no UTF-8 are cut somewhere, not looked through for ever. */
    memset(message, 0x80, sizeof message - 1);
    cr_assert_eq(written_message_length(message), PACKET_ERR_MESSAGE_MAX - 4);
}

Test(packet, refuses_an_sqlstate_of_another_length)
{
    uint8_t storage[64];
    struct buffer out;
    struct error err = {0};
    buffer_init_fixed(&out, storage, sizeof storage);
    cr_assert_not(packet_err_append(&out, 0, 1, "4200", "x", &err));
    cr_assert_not(packet_err_append(&out, 0, 1, "420000", "x", &err));
    cr_assert_eq(err.code, ERROR_STATE);
    cr_assert_eq(buffer_length(&out), 0);
}

Test(packet, writes_an_ok_like_servers_do)
{
    uint8_t storage[32];
    struct buffer out;
    buffer_init_fixed(&out, storage, sizeof storage);
    cr_assert(packet_ok_append(&out, 2, STATUS_AUTOCOMMIT, NULL));
    /* Byte for byte MariaDB 10.11.19's and MySQL 9.7.4's after a login. */
    EXPECT_HELD(&out, "\7\0\0\2\0\0\0\2\0\0\0");
}

Test(packet, reads_an_ok)
{
    struct packet_ok ok;
    cr_assert(packet_ok_read(VIEW("\0\xfc\x2c\1\x07\x02\0\x05\0"), 0, &ok, NULL));
    cr_assert_eq(ok.affected_rows, 300);
    cr_assert_eq(ok.last_insert_id, 7);
    cr_assert_eq(ok.status, STATUS_AUTOCOMMIT);
    cr_assert_eq(ok.warnings, 5);
    cr_assert_null(ok.schema.data);
}

Test(packet, header_fe_is_an_ok_only_without_old_eofs)
{
    struct packet_ok ok;
    struct error err = {0};
    const struct byte_view payload = VIEW("\xfe\0\0\2\0\0\0");
    cr_assert(packet_ok_read(payload, CAPABILITY_DEPRECATE_EOF, &ok, &err));
    cr_assert_not(packet_ok_read(payload, CAPABILITY_SESSION_TRACK, &ok, &err));
    cr_assert_eq(err.code, ERROR_MALFORMED);
}

/* MySQL's OK after `USE shop`: system variable, schema, state change. TRAPS.md: skip what is
 * unknown. */
#define TRACKED                \
    "\0\0\0\x02\x40\0\0\0\x1a" \
    "\x00\x05\x01"             \
    "a\x02"                    \
    "bc"                       \
    "\x01\x05\x04shop"         \
    "\x02\x01\x31"             \
    "\x7f\x07unknown"

Test(packet, reads_the_new_schema_and_skips_unknown_changes)
{
    struct packet_ok ok;
    struct error err = {0};
    const struct byte_view payload = VIEW(TRACKED);
    cr_assert_eq(payload.data[8], payload.length - 9);
    cr_assert(packet_ok_read(payload, CAPABILITY_SESSION_TRACK, &ok, &err), "%s", err.message);
    cr_assert(byte_view_equals(ok.schema, "shop"));
    cr_assert_eq(ok.status, STATUS_AUTOCOMMIT | STATUS_SESSION_STATE_CHANGED);
}

/* MariaDB 11.8.9 after a login: a proof for its self-signed certificate as the text, then the
 * values of five system variables. */
#define MARIADB_11_8_9_OK                                              \
    "\0\0\0\x02\x40\0\0\x41\x01"                                       \
    "D00C8CF065A7B8A89F8971FEE42E714C3F2482222020A856895BBEAF17F20E33" \
    "\x95\0\x0e\x0a"                                                   \
    "autocommit\x02ON"                                                 \
    "\0\x11\x09time_zone\x06SYSTEM"                                    \
    "\0\x1d\x14"                                                       \
    "character_set_client\x07utf8mb4"                                  \
    "\0\x21\x18"                                                       \
    "character_set_connection\x07utf8mb4"                              \
    "\0\x1e\x15"                                                       \
    "character_set_results\x07utf8mb4"                                 \
    "\0\x0e\x0c"                                                       \
    "redirect_url\0"

Test(packet, reads_the_ok_of_mariadb_11_8)
{
    struct packet_ok ok;
    struct error err = {0};
    cr_assert(packet_ok_read(VIEW(MARIADB_11_8_9_OK), CAPABILITY_SESSION_TRACK, &ok, &err), "%s",
              err.message);
    cr_assert_eq(ok.status, STATUS_AUTOCOMMIT | STATUS_SESSION_STATE_CHANGED);
    cr_assert_null(ok.schema.data);
}

Test(packet, without_session_track_the_rest_is_text)
{
    struct packet_ok ok;
    cr_assert(packet_ok_read(VIEW(TRACKED), 0, &ok, NULL));
    cr_assert_null(ok.schema.data);
    cr_assert(packet_ok_read(VIEW("\0\0\0\2\0\0\0\xff\xff"), 0, &ok, NULL));
}

Test(packet, an_ok_cut_anywhere_is_malformed_or_shorter_but_never_read_past)
{
    static const char whole[] = TRACKED;
    for (size_t length = 0; length < sizeof whole - 1; length++) {
        struct packet_ok ok = {.status = 99};
        char *copy = malloc(length ? length : 1); /* so that the sanitizer sees a read past it */
        memcpy(copy, whole, length);
        bool good = packet_ok_read(byte_view(copy, length), CAPABILITY_SESSION_TRACK, &ok, NULL);
        /* 7 bytes are an OK without a text. */
        cr_assert_eq(good, length == 7, "at %zu", length);
        cr_assert(good || ok.status == 99);
        free(copy);
    }
}

Test(packet, refuses_session_changes_whose_lengths_lie)
{
    struct packet_ok ok;
    const uint32_t track = CAPABILITY_SESSION_TRACK;
    cr_assert_not(packet_ok_read(VIEW("\0\0\0\2\x40\0\0\0\x03\x01\x05\x04"), track, &ok, NULL));
    cr_assert_not(packet_ok_read(VIEW("\0\0\0\2\x40\0\0\0\x03\x01\x01\x04"), track, &ok, NULL));
    cr_assert_not(packet_ok_read(VIEW("\0\0\0\2\x40\0\0\0\x01\x01"), track, &ok, NULL));
    cr_assert_not(packet_ok_read(VIEW("\0\0\0\2\x40\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
                                 track, &ok, NULL));
    cr_assert_not(packet_ok_read(VIEW("\0\xfb\0\2\0\0\0"), 0, &ok, NULL), "NULL is no number");
}
