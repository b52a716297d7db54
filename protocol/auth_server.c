/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "protocol/auth.h"

/* What the client is waiting for after its response. */
enum awaited {
    AWAITED_OK,      /* the end */
    AWAITED_SUCCESS, /* fast-auth-success, then the end */
    AWAITED_SWITCH,  /* its plugin wants to hear from the server before it can go on */
};

enum stage { STAGE_NONE, STAGE_SWITCHED, STAGE_DONE };

static const char native[] = "mysql_native_password";
static const char sha2[] = "caching_sha2_password";
static const char sha256[] = "sha256_password";
static const char clear[] = "mysql_clear_password";

#define SHA256_PUBLIC_KEY_REQUEST 0x01

/* Servers compare the names of plugins without regard to case. */
static bool named(const char *plugin, const char *name)
{
    return strcasecmp(plugin, name) == 0;
}

static bool one_byte(struct byte_view response, uint8_t byte)
{
    return response.length == 1 && response.data[0] == byte;
}

/* After a response that answered a scramble for that very plugin. */
static enum awaited after_response(const char *plugin, struct byte_view response)
{
    bool no_password = response.length == 0 || one_byte(response, 0);
    if (named(plugin, sha2) && !no_password)
        return AWAITED_SUCCESS;
    return AWAITED_OK;
}

/*
 * After the login. A client whose plugin is not the greeting's has had no scramble for it. Then an
 * empty response means "none yet", and the client's plugin would take an OK for its scramble
 * (client_mpvio_read_packet() of MySQL 9.x and MariaDB Connector/C 3.4); only some simple clients
 * have sent their whole response already.
 */
static enum awaited after_login(const char *plugin, const char *offered, struct byte_view response)
{
    if (named(plugin, native) || named(plugin, sha2)) {
        if (response.length == 0 && !named(plugin, offered))
            return AWAITED_SWITCH;
        return after_response(plugin, response);
    }
    if (named(plugin, clear))
        return AWAITED_OK;
    if (named(plugin, sha256) && response.length > 0 &&
        !one_byte(response, SHA256_PUBLIC_KEY_REQUEST))
        return AWAITED_OK;
    return AWAITED_SWITCH;
}

/* The plugin to switch to: the client's own where it is one that we serve, since it surely has it
 * (MySQL 9 clients come without mysql_native_password). */
static const char *switch_target(const char *plugin, const char *offered)
{
    if (named(plugin, sha2))
        return sha2;
    if (named(plugin, native))
        return native;
    return offered;
}

static bool end(struct auth_server *auth, enum awaited awaited, struct buffer *out,
                enum auth_step *step, struct error *err)
{
    static const uint8_t success[] = {PACKET_AUTH_MORE, 0x03};
    auth->stage = STAGE_DONE;
    *step = AUTH_ACCEPTED;
    return awaited != AWAITED_SUCCESS || buffer_append(out, success, sizeof success, err);
}

static void set_plugin(struct auth_server *auth, const char *name)
{
    size_t length = strnlen(name, sizeof auth->plugin - 1);
    memset(auth->plugin, 0, sizeof auth->plugin);
    memcpy(auth->plugin, name, length);
}

bool auth_server_begin(struct auth_server *auth, const char *offered,
                       const uint8_t scramble[HANDSHAKE_SCRAMBLE_SIZE],
                       const struct handshake_login *login, struct buffer *out,
                       enum auth_step *step, struct error *err)
{
    *auth = (struct auth_server){0};
    buffer_clear(out);
    set_plugin(auth, login->plugin);
    if (!(login->capabilities & CAPABILITY_PLUGIN_AUTH) || login->plugin[0] == 0)
        return end(auth, AWAITED_OK, out, step, err);
    enum awaited awaited = after_login(login->plugin, offered, login->auth_response);
    /* Servers answer COM_CHANGE_USER with a switch at all times, and clients count on it
     * (parse_com_change_user_packet() of MySQL 9.x ends with MPVIO_EXT::RESTART). */
    if (login->is_change_user)
        awaited = AWAITED_SWITCH;
    if (awaited != AWAITED_SWITCH)
        return end(auth, awaited, out, step, err);
    set_plugin(auth, switch_target(login->plugin, offered));
    auth->stage = STAGE_SWITCHED;
    *step = AUTH_SEND;
    return handshake_auth_switch_payload(out, auth->plugin, scramble, err);
}

bool auth_server_feed(struct auth_server *auth, struct byte_view payload, struct buffer *out,
                      enum auth_step *step, struct error *err)
{
    buffer_clear(out);
    if (auth->stage != STAGE_SWITCHED)
        return error_set(err, ERROR_MALFORMED,
                         "the client sent a packet where its authentication needs none");
    return end(auth, after_response(auth->plugin, payload), out, step, err);
}
