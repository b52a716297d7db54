/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/mint_request.h"

#include "control/fields.h"
#include "control/frame.h"
#include "control/message.h"
#include "tls/key.h"
#include "tls/request.h"

void mint_key_init(struct buffer *key)
{
    buffer_init(key, TLS_KEY_PEM_MAX + 1);
}

void mint_key_release(struct buffer *key)
{
    buffer_wipe(key);
    buffer_release(key);
}

static bool put_request(cJSON *request, const char *mysql_user, struct buffer *key,
                        struct error *err)
{
    struct tls_key *made = NULL;
    struct buffer csr;
    buffer_init(&csr, TLS_REQUEST_PEM_MAX);
    buffer_clear(key);
    uint8_t *room; /* at once, so that no copy stays behind */
    bool good = buffer_reserve(key, TLS_KEY_PEM_MAX + 1, &room, err) &&
                tls_key_generate(&made, err) && tls_key_write(made, key, err) &&
                tls_request_create(made, &csr, err) && buffer_append(&csr, "", 1, err);
    if (good && !(control_put_text(request, "mysql_user", mysql_user) &&
                  control_put_text(request, "csr", (const char *)buffer_bytes(&csr))))
        good = error_set(err, ERROR_MEMORY, "out of memory");
    tls_key_free(made);
    buffer_release(&csr);
    return good;
}

cJSON *mint_request_create(const char *mysql_user, struct buffer *key, struct error *err)
{
    cJSON *request = control_request("mint");
    if (!request) {
        error_set(err, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    if (put_request(request, mysql_user, key, err))
        return request;
    buffer_wipe(key);
    control_free(request);
    return NULL;
}

bool mint_request_take(const char *mysql_user, const cJSON *ok, struct buffer *key,
                       struct credential **out, struct error *err)
{
    const char *certificate;
    int64_t not_after_us;
    const struct control_field fields[] = {
        {.key = "certificate",
         .type = CONTROL_LINES,
         .least = 1,
         .greatest = MINT_CERTIFICATE_MAX,
         .to.text = &certificate},
        {.key = "not_after", .type = CONTROL_TIME, .to.time = &not_after_us},
    };
    *out = NULL;
    bool taken =
        control_fields_read(ok, CONTROL_KEYS_ANY, fields, sizeof fields / sizeof *fields, err) &&
        buffer_append(key, "", 1, err) &&
        credential_create(mysql_user, certificate, (const char *)buffer_bytes(key), not_after_us,
                          out, err);
    buffer_wipe(key);
    return taken;
}
