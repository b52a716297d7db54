/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "protocol/auth.h"
#include "protocol/auth_plugin.h"

static void use_plugin(struct auth_client *auth, const struct auth_plugin *plugin)
{
    auth->behind = plugin;
    auth->stage = 0;
    memset(auth->plugin, 0, sizeof auth->plugin);
    memcpy(auth->plugin, plugin->name, strlen(plugin->name));
}

/* A scramble may come with a NUL behind it, which is not part of it. */
static bool take_scramble(struct auth_client *auth, size_t wanted, struct byte_view scramble)
{
    if (scramble.length == wanted + 1 && scramble.data[wanted] == 0)
        scramble.length--;
    if (wanted > sizeof auth->scramble || scramble.length != wanted)
        return false;
    if (wanted > 0)
        memcpy(auth->scramble, scramble.data, wanted);
    auth->scramble_length = wanted;
    return true;
}

bool auth_client_begin(struct auth_client *auth, const struct auth_crypto *crypto,
                       const char *plugin, const uint8_t *scramble, size_t scramble_length,
                       const char *password, bool secure, struct buffer *out, struct error *err)
{
    *auth = (struct auth_client){.crypto = crypto, .password = password, .secure = secure};
    buffer_clear(out);
    if (strlen(password) > AUTH_PASSWORD_MAX)
        return error_set(err, ERROR_LIMIT, "a password of more than %d bytes", AUTH_PASSWORD_MAX);
    if (!take_scramble(auth, HANDSHAKE_SCRAMBLE_SIZE, byte_view(scramble, scramble_length)))
        return error_set(err, ERROR_MALFORMED, "a greeting with a scramble of %zu bytes",
                         scramble_length);
    const struct auth_plugin *named = auth_plugin_find(plugin);
    /* A password in clear waits until the server has asked for it. */
    if (!named || named->scramble != HANDSHAKE_SCRAMBLE_SIZE)
        named = auth_plugin_default();
    use_plugin(auth, named);
    return auth->behind->begin(auth, out, err);
}

static bool on_switch(struct auth_client *auth, struct byte_view payload, struct buffer *out,
                      enum auth_step *step, struct error *err)
{
    char name[HANDSHAKE_PLUGIN_MAX];
    struct byte_view scramble;
    if (!handshake_auth_switch_read(payload, name, &scramble, err))
        return false;
    const struct auth_plugin *plugin = auth_plugin_find(name);
    if (!plugin)
        return auth_plugin_refuse(name, err);
    if (plugin->in_clear && !auth->secure && auth->password[0] != 0)
        return error_set(err, ERROR_DENIED,
                         "the database account uses the plugin '%s', which sends its password in "
                         "clear, and the connection is not encrypted: configure TLS for it",
                         name);
    if (plugin->scramble > 0 && !take_scramble(auth, plugin->scramble, scramble))
        return error_set(err, ERROR_MALFORMED, "a scramble of %zu bytes for the plugin '%s'",
                         scramble.length, name);
    use_plugin(auth, plugin);
    *step = AUTH_SEND;
    return plugin->begin(auth, out, err);
}

/*
 * Data for the plugin. MySQL always puts 0x01 before it; MariaDB only where its first byte would
 * otherwise be taken for OK, ERR or a switch (server_mpvio_write_packet() of both).
 */
static bool on_data(struct auth_client *auth, struct byte_view payload, struct buffer *out,
                    enum auth_step *step, struct error *err)
{
    if (payload.data[0] == PACKET_AUTH_MORE)
        payload = byte_view(payload.data + 1, payload.length - 1);
    if (!auth->behind->more)
        return error_set(err, ERROR_MALFORMED,
                         "the server sent data that the authentication plugin '%s' does not know",
                         auth->plugin);
    return auth->behind->more(auth, payload, out, step, err);
}

bool auth_client_feed(struct auth_client *auth, struct byte_view payload, struct buffer *out,
                      enum auth_step *step, struct error *err)
{
    buffer_clear(out);
    if (!auth->behind)
        return error_set(err, ERROR_STATE, "an authentication that has not begun");
    if (++auth->rounds > AUTH_ROUNDS_MAX)
        return error_set(err, ERROR_LIMIT, "the server's authentication takes more than %d packets",
                         AUTH_ROUNDS_MAX);
    if (payload.length == 0)
        return error_set(err, ERROR_MALFORMED, "an empty packet during authentication");
    struct packet_ok ok;
    struct packet_err refusal;
    switch (payload.data[0]) {
    case PACKET_OK:
        *step = AUTH_ACCEPTED;
        return packet_ok_read(payload, 0, &ok, err);
    case PACKET_ERR:
        *step = AUTH_REFUSED;
        return packet_err_read(payload, &refusal, err);
    case PACKET_AUTH_SWITCH:
        return on_switch(auth, payload, out, step, err);
    default:
        return on_data(auth, payload, out, step, err);
    }
}

void auth_client_wipe(struct auth_client *auth)
{
    if (auth->crypto)
        auth->crypto->wipe(auth, sizeof *auth);
}
