/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/joining_key.h"

#include <string.h>

#include "base/buffer.h"
#include "base/log.h"

static bool write_key(struct identity_store *store, const struct tls_key *key, struct error *err)
{
    struct buffer pem;
    uint8_t room[TLS_KEY_PEM_MAX];
    buffer_init_fixed(&pem, room, sizeof room);
    bool written = tls_key_write(key, &pem, err) && buffer_append(&pem, "", 1, err) &&
                   identity_store_write_joining(store, (const char *)room, err);
    buffer_wipe(&pem);
    return written;
}

static bool make_key(struct identity_store *store, struct tls_key **out, struct error *err)
{
    if (!tls_key_generate(out, err))
        return false;
    if (write_key(store, *out, err))
        return true;
    tls_key_free(*out);
    *out = NULL;
    return error_wrap(err, "cannot keep the key to join with, and no token is used up without");
}

/* *out is NULL where there is none that is good for anything. */
static bool read_key(const struct identity_store *store, struct tls_key **out, struct error *err)
{
    struct buffer pem;
    uint8_t room[TLS_KEY_PEM_MAX];
    bool found;
    struct error cause = {0};
    *out = NULL;
    buffer_init_fixed(&pem, room, sizeof room);
    bool read = identity_store_read_joining(store, &pem, &found, &cause);
    if (!read && cause.code != ERROR_LIMIT) { /* too long for a key: no better than a damaged one */
        *err = cause;
        return false;
    }
    bool usable =
        read && found && tls_key_parse((const char *)room, strlen((const char *)room), out, &cause);
    buffer_wipe(&pem);
    if (!usable)
        *out = NULL;
    if (!usable && (!read || found))
        log_warning("the key of an earlier attempt to join is of no use: another is made", "error",
                    cause.message, NULL);
    return true;
}

bool joining_key_find(struct identity_store *store, struct tls_key **out, struct error *err)
{
    return read_key(store, out, err) && (*out || make_key(store, out, err));
}
