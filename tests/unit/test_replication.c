/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/replication.h"

#include "protocol/command.h"
#include "tests/unit/protocol_support.h"

/* As mariadb-binlog 10.11 sent it: from position 4, not blocking, server id 1, "bin.000001". */
#define DUMP   \
    "12"       \
    "04000000" \
    "0200"     \
    "01000000" \
    "62696e2e303030303031"
/* As a MySQL 9.7 replica does: flags 4, server id 7, no file name, position 4, an empty set. */
#define DUMP_GTID      \
    "1e"               \
    "0400"             \
    "07000000"         \
    "00000000"         \
    "0400000000000000" \
    "08000000"         \
    "0000000000000000"
/* Server id 7, host "r1", user "u", password "secret", port 3307, rank 0, source 0. */
#define REGISTER     \
    "15"             \
    "07000000"       \
    "027231"         \
    "0175"           \
    "06736563726574" \
    "eb0c"           \
    "00000000"       \
    "00000000"

static bool read_hex(const char *hex, struct replication_request *out)
{
    struct bytes bytes = bytes_of(hex);
    struct error err = {0};
    bool good = replication_read(view(bytes), out, &err);
    cr_assert_eq(err.code, good ? ERROR_NONE : ERROR_MALFORMED);
    free(bytes.data);
    return good;
}

Test(replication, knows_which_commands_it_reads)
{
    cr_assert(replication_is_request(COMMAND_BINLOG_DUMP));
    cr_assert(replication_is_request(COMMAND_BINLOG_DUMP_GTID));
    cr_assert(replication_is_request(COMMAND_REGISTER_SLAVE));
    cr_assert_not(replication_is_request(COMMAND_TABLE_DUMP));
    cr_assert_not(replication_is_request(COMMAND_QUERY));
}

Test(replication, reads_a_dump)
{
    struct bytes bytes = bytes_of(DUMP);
    struct replication_request request;
    cr_assert(replication_read(view(bytes), &request, NULL));
    cr_assert_eq(request.server_id, 1);
    cr_assert_eq(request.position, 4);
    cr_assert_eq(request.file.length, 10);
    cr_assert_arr_eq(request.file.data, "bin.000001", 10);
    free(bytes.data);
}

Test(replication, reads_a_dump_by_gtid)
{
    struct replication_request request;
    cr_assert(read_hex(DUMP_GTID, &request));
    cr_assert_eq(request.server_id, 7);
    cr_assert_eq(request.position, 4);
    cr_assert_eq(request.file.length, 0);
}

/* The password stays where it is. */
Test(replication, reads_a_registration)
{
    struct bytes bytes = bytes_of(REGISTER);
    struct replication_request request;
    cr_assert(replication_read(view(bytes), &request, NULL));
    cr_assert_eq(request.server_id, 7);
    cr_assert_eq(request.port, 3307);
    cr_assert_eq(request.host.length, 2);
    cr_assert_arr_eq(request.host.data, "r1", 2);
    cr_assert_eq(request.file.length, 0);
    free(bytes.data);
}

Test(replication, an_empty_file_name_is_the_first_file)
{
    struct replication_request request;
    cr_assert(read_hex("12"
                       "04000000"
                       "0000"
                       "01000000",
                       &request));
    cr_assert_eq(request.file.length, 0);
}

Test(replication, refuses_every_truncation)
{
    static const char *const commands[] = {"12"
                                           "04000000"
                                           "0000"
                                           "01000000",
                                           DUMP_GTID, REGISTER};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        for (size_t length = 0; length < strlen(commands[i]); length += 2) {
            char hex[256] = "";
            struct replication_request request;
            memcpy(hex, commands[i], length);
            cr_assert_not(read_hex(hex, &request), "command %zu, %zu digits", i, length);
        }
    }
}

Test(replication, refuses_lengths_that_lie_and_other_commands)
{
    struct replication_request request;
    cr_assert_not(read_hex("1e"
                           "0400"
                           "07000000"
                           "ffffffff"
                           "0400000000000000"
                           "00000000",
                           &request));
    cr_assert_not(read_hex("1e"
                           "0400"
                           "07000000"
                           "00000000"
                           "0400000000000000"
                           "ffffffff",
                           &request));
    cr_assert_not(read_hex("15"
                           "07000000"
                           "ff7231",
                           &request));
    cr_assert_not(read_hex("03"
                           "04000000"
                           "0000"
                           "01000000",
                           &request));
}

/* --- semi-synchronous replication --- */

/* A whole acknowledgement: magic, position, and a file name of `length` bytes. */
static struct byte_view acknowledgement(uint8_t *storage, size_t length)
{
    storage[0] = REPLICATION_ACKNOWLEDGEMENT;
    memset(storage + 1, 0, 8); /* a position may have any bytes, zeros too */
    memset(storage + 9, 'b', length);
    return byte_view(storage, 9 + length);
}

Test(replication, knows_an_acknowledgement)
{
    /* As a MariaDB 10.11 replica sends it: position 0x0391, "binlog.000002". */
    struct bytes bytes = bytes_of("ef"
                                  "9103000000000000"
                                  "62696e6c6f672e303030303032");
    cr_assert(replication_is_acknowledgement(view(bytes)));
    free(bytes.data);
}

Test(replication, an_acknowledgement_names_a_file_that_is_not_too_long)
{
    uint8_t storage[1024];
    cr_assert(replication_is_acknowledgement(acknowledgement(storage, 1)));
    cr_assert(replication_is_acknowledgement(
        acknowledgement(storage, REPLICATION_ACKNOWLEDGEMENT_FILE_MAX)));
    cr_assert_not(replication_is_acknowledgement(
        acknowledgement(storage, REPLICATION_ACKNOWLEDGEMENT_FILE_MAX + 1)));
    for (size_t length = 0; length <= 9; length++) {
        struct byte_view whole = acknowledgement(storage, 1);
        cr_assert_not(replication_is_acknowledgement(byte_view(whole.data, length)), "%zu", length);
    }
}

Test(replication, other_packets_are_no_acknowledgements)
{
    uint8_t storage[64];
    struct byte_view bytes = acknowledgement(storage, 10);
    storage[14] = 0;
    cr_assert_not(replication_is_acknowledgement(bytes), "a NUL in the name");
    for (unsigned magic = 0; magic < 256; magic++) {
        bytes = acknowledgement(storage, 10);
        storage[0] = (uint8_t)magic;
        cr_assert_eq(replication_is_acknowledgement(bytes), magic == 0xEF, "0x%02x", magic);
    }
}
