/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in a connection's character set, as UTF-8 for the record. Private to audit/.
 *
 * Conversion is exact or not at all: nothing is replaced or guessed, because the record is
 * evidence. The names are MySQL's (manual, "Supported Character Sets and Collations"; MariaDB's are
 * a subset). What MySQL calls latin1 is cp1252 with its five holes filled by the C1 controls
 * (MySQL manual, "West European Character Sets"); it is converted by a table of our own. The others
 * go through iconv(3), or stay bytes where the C library has no such set.
 */
#ifndef SALLYPORT_AUDIT_CHARSET_H
#define SALLYPORT_AUDIT_CHARSET_H

#include <iconv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define AUDIT_CONVERTER_HANDLES 8           /* iconv handles kept by a lane */
#define AUDIT_CONVERTER_KEEP    (16 * 1024) /* scratch that stays allocated between records */

/* How the bytes of a set relate to ASCII: what a scan for quotes and keywords must know. */
enum audit_charset_form {
    AUDIT_CHARSET_ASCII,       /* every byte below 0x80 is that ASCII character */
    AUDIT_CHARSET_DOUBLE_BYTE, /* the same, but the second byte of a pair may be below 0x80 */
    AUDIT_CHARSET_WIDE,        /* not ASCII at all: ucs2, utf16, utf32 */
};

struct audit_charset {
    const char *name;  /* MySQL's */
    const char *iconv; /* iconv's, or NULL: not converted by iconv */
    enum audit_charset_form form;
    bool utf8; /* UTF-8 as it is */
};

/* NULL is utf8mb4. An unknown name is treated as binary. Never NULL. */
const struct audit_charset *audit_charset_find(const char *name);

struct audit_converter_handle {
    const struct audit_charset *charset; /* NULL: free */
    iconv_t descriptor;                  /* (iconv_t)-1: the C library has no such set */
    uint64_t used;                       /* for finding the least recently used */
};

/* One of each lane: handles and scratch. All zero is an empty one. */
struct audit_converter {
    struct audit_converter_handle handles[AUDIT_CONVERTER_HANDLES];
    uint64_t clock;
    struct buffer text;           /* converted */
    struct buffer redacted;       /* the text with secrets taken out */
    struct buffer redacted_again; /* the same, read with the other meaning of a backslash */
};

void audit_converter_init(struct audit_converter *converter);
void audit_converter_release(struct audit_converter *converter);
/* Gives back scratch beyond AUDIT_CONVERTER_KEEP. */
void audit_converter_trim(struct audit_converter *converter);

struct audit_text {
    bool is_text;         /* false: cannot be converted; bytes are as they came */
    const uint8_t *bytes; /* valid UTF-8 when is_text; in the input or in the converter's scratch */
    size_t length;
};

/*
 * Converts. `cut` says that the bytes were cut out of longer ones, so that an incomplete character
 * at their end is dropped instead of making all of it unconvertible. False: out of memory.
 */
bool audit_convert(struct audit_converter *converter, const struct audit_charset *charset,
                   const void *bytes, size_t length, bool cut, struct audit_text *out,
                   struct error *err) MUST_USE;

#endif
