/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hex.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

Test(hex, every_byte_is_two_lower_case_digits)
{
    for (int byte = 0; byte < 256; byte++) {
        uint8_t bytes[1] = {(uint8_t)byte};
        char out[HEX_SIZE(1)];
        char expected[HEX_SIZE(1)];
        hex_encode(bytes, 1, out);
        snprintf(expected, sizeof expected, "%02x", bytes[0]);
        cr_assert_str_eq(out, expected);
    }
}

Test(hex, keeps_to_its_room)
{
    char out[HEX_SIZE(3) + 1];
    memset(out, 'x', sizeof out);
    hex_encode("\x00\xFF\x0A", 3, out);
    cr_assert_str_eq(out, "00ff0a");
    cr_assert_eq(out[HEX_SIZE(3)], 'x');
    hex_encode("", 0, out);
    cr_assert_str_eq(out, "");
}
