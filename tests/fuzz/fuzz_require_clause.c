/* SPDX-License-Identifier: Apache-2.0 */
/* A server's words about an account: the clause is valid UTF-8, and NUL-terminated within its room.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "proxy/require_clause.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct require_clause clause;
    require_clause_read(byte_view(data, size), &clause);
    size_t length = strnlen(clause.text, sizeof clause.text);
    if (length == sizeof clause.text || !utf8_valid(clause.text, length))
        abort();
    if ((clause.kind == REQUIRE_UNKNOWN) != (length == 0))
        abort();
    if (clause.kind == REQUIRE_SPECIFIED && !clause.subject && !clause.issuer && !clause.cipher)
        abort();
    return 0;
}
