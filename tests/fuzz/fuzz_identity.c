/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a certificate: what is accepted keeps the promises of tls/identity.h. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tls/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    size_t length = strlen(text);
    if (!utf8_valid(text, length))
        abort();
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
            abort();
}

static void check(const struct identity *identity)
{
    if (identity->attribute_count > IDENTITY_ATTRIBUTES_MAX ||
        identity->san_uri_count > IDENTITY_SAN_URIS_MAX || !*identity->bot)
        abort();
    for (size_t i = 0; i < identity->attribute_count; i++) {
        check_text(identity->attributes[i].type);
        check_text(identity->attributes[i].value);
    }
    for (size_t i = 0; i < identity->san_uri_count; i++)
        check_text(identity->san_uris[i]);
    check_text(identity->subject);
    check_text(identity->bot);
    if (strlen(identity->fingerprint) != 64 || strlen(identity->serial) < 2)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct identity identity;
    struct error err = {0};
    if (!identity_from_certificate(data, size, &identity, &err)) {
        if (err.code == ERROR_NONE || !*err.message)
            abort();
        return 0;
    }
    check(&identity);
    struct identity *clone = identity_clone(&identity, &err);
    if (clone)
        check(clone);
    free(clone);
    return 0;
}
