/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte of the input is the flags, the second says how the text is cut. What must hold:
 * cutting changes nothing; without promises nothing less is found; names are good; a USE that is
 * put behind a text that ended plainly is found.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authz/use_scan.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static struct use_scan scan_whole(const uint8_t *text, size_t length, unsigned flags)
{
    struct use_scan scan;
    use_scan_init(&scan, flags);
    use_scan_feed(&scan, text, length);
    use_scan_finish(&scan);
    return scan;
}

/* Pieces of 1 to 16 bytes, in an order that `seed` makes. */
static struct use_scan scan_cut(const uint8_t *text, size_t length, unsigned flags, uint8_t seed)
{
    struct use_scan scan;
    use_scan_init(&scan, flags);
    for (size_t at = 0; at < length;) {
        seed = (uint8_t)(seed * 5 + 3);
        size_t piece = (size_t)(seed >> 4) + 1;
        if (piece > length - at)
            piece = length - at;
        use_scan_feed(&scan, text + at, piece);
        at += piece;
    }
    use_scan_finish(&scan);
    return scan;
}

static bool finds(const struct use_scan *scan, const char *schema)
{
    for (size_t i = 0; i < scan->count; i++)
        if (strcmp(scan->schemas[i], schema) == 0)
            return true;
    return scan->unclear;
}

static bool finds_all(const struct use_scan *scan, const struct use_scan *of)
{
    for (size_t i = 0; i < of->count; i++)
        if (!finds(scan, of->schemas[i]))
            return false;
    return scan->unclear || !of->unclear;
}

static void check_names(const struct use_scan *scan)
{
    must(scan->count <= USE_SCAN_FOUND_MAX && scan->done);
    for (size_t i = 0; i < scan->count; i++) {
        size_t length = strnlen(scan->schemas[i], USE_SCAN_SCHEMA_MAX);
        must(length > 0 && length < USE_SCAN_SCHEMA_MAX);
        must(utf8_valid(scan->schemas[i], length));
    }
}

/* A new statement behind the text: it counts in each reading that ended between tokens. */
static void check_appended(const uint8_t *text, size_t length, unsigned flags)
{
    static const char tail[] = "\n;USE zz9";
    uint8_t *longer = malloc(length + sizeof tail);
    if (!longer)
        return;
    memcpy(longer, text, length);
    memcpy(longer + length, tail, sizeof tail - 1);
    struct use_scan whole = scan_whole(text, length, flags);
    struct use_scan more = scan_whole(longer, length + sizeof tail - 1, flags);
    must(finds_all(&more, &whole) || whole.unclear);
    if (!whole.unclear && !(flags & USE_SCAN_ONE_STATEMENT))
        must(finds(&more, "zz9"));
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned flags = data[0] & 31;
    if ((flags & USE_SCAN_BACKSLASH_ESCAPES) && (flags & USE_SCAN_NO_BACKSLASH_ESCAPES))
        flags &= ~(unsigned)USE_SCAN_NO_BACKSLASH_ESCAPES; /* a caller never promises both */
    struct use_scan whole = scan_whole(data + 2, size - 2, flags);
    struct use_scan cut = scan_cut(data + 2, size - 2, flags, data[1]);
    struct use_scan bare = scan_whole(data + 2, size - 2, flags & USE_SCAN_ONE_STATEMENT);
    struct use_scan many =
        scan_whole(data + 2, size - 2, flags & ~(unsigned)USE_SCAN_ONE_STATEMENT);
    check_names(&whole);
    must(whole.unclear == cut.unclear && whole.dynamic == cut.dynamic);
    must(whole.count == cut.count && memcmp(whole.schemas, cut.schemas, sizeof whole.schemas) == 0);
    must(finds_all(&bare, &whole) || whole.unclear);
    must(finds_all(&many, &whole) || whole.unclear);
    check_appended(data + 2, size - 2, flags);
    return 0;
}
