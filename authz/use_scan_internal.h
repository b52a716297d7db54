/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader of the scanner can be at, for its two source files. Nobody else includes this.
 */
#ifndef SALLYPORT_AUTHZ_USE_SCAN_INTERNAL_H
#define SALLYPORT_AUTHZ_USE_SCAN_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "authz/use_scan.h"

enum use_scan_mode {
    CODE,
    DASH,         /* "-" */
    DASH_DASH,    /* "--", which is a comment only before certain bytes */
    SLASH,        /* "/" */
    COMMENT_OPEN, /* "/" "*" */
    COMMENT_M,    /* "/" "*M" */
    VERSION,      /* the digits behind "/" "*!" */
    STAR,         /* "*" in an executable comment, which "/" would end */
    DOLLAR,       /* a word that began with "$" */
    QUOTED,
    LINE,   /* a comment up to the end of its line */
    BLOCK,  /* a comment that does not nest */
    HINT,   /* an optimizer hint */
    BLANK,  /* an executable comment that is skipped */
    NESTED, /* a comment in one */
    RETIRED,
};

enum use_scan_position {
    START, /* before the first word of a statement */
    WORD,  /* in it */
    BODY,
    NAME,        /* behind USE */
    NAME_PLAIN,  /* in a name */
    NAME_QUOTED, /* in a quoted name */
    NAME_CLOSED, /* behind its closing quote, which may be one of two */
    END,         /* behind the name */
};

/* Of QUOTED: what the backslash before means. */
enum { UNESCAPED, ESCAPED, DOUBTED };
/* Of comments: the byte before was one of these. */
enum { NOTHING, SAW_STAR, SAW_SLASH };

/*
 * The index, from `at` on, of the first byte that makes a difference to any reader; `length` when
 * there is none. Most of a text is passed over here, which is what makes the scanner fast.
 */
size_t use_scan_pass_over(const struct use_scan *scan, const uint8_t *bytes, size_t at,
                          size_t length);

#endif
