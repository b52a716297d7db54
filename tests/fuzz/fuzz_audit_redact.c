/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction of any statement, in each dialect. What it writes is the statement with pieces
 * replaced, and redacting that again finds nothing that a reader could not find: it stays bounded
 * and whole.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/redact.h"

static void check(const uint8_t *data, size_t size, struct audit_redact_dialect dialect)
{
    struct audit_redaction redaction;
    struct buffer out;
    buffer_init(&out, 64 * 1024 * 1024);
    if (!audit_redact(data, size, dialect, &out, &redaction, NULL))
        abort();
    if (redaction.redacted != (buffer_length(&out) > 0))
        abort();
    /* The quick look must never miss what the thorough one finds. */
    if (redaction.redacted && !audit_redact_suspect(data, size))
        abort();
    if (redaction.redacted &&
        !memmem(buffer_bytes(&out), buffer_length(&out), AUDIT_REDACTED, strlen(AUDIT_REDACTED)))
        abort();
    buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, (struct audit_redact_dialect){false, false});
    check(data, size, (struct audit_redact_dialect){true, false});
    check(data, size, (struct audit_redact_dialect){false, true});
    return 0;
}
