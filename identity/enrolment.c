/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/enrolment.h"

#include <stddef.h>
#include <string.h>

#include "identity/join_token.h"
#include "tls/certificate.h"

static const struct config_field authority_fields[] = {
    {CONFIG_STRING_AT(struct enrolment_authority, address_text), .key = "address", .required = true,
     .help = "the authority, HOST:PORT"},
    {CONFIG_STRING_AT(struct enrolment_authority, ca_pin_text), .allow_empty = true,
     .key = "ca_pin",
     .help = "what tells it from others while there is no ca.pem: sha256:…, as bot add prints it"},
    {CONFIG_STRING_AT(struct enrolment_authority, server_name), .key = "server_name",
     .help = "the name that its certificate must have; default: the host of address"},
};

const struct config_table enrolment_authority_table = {
    CONFIG_TABLE(struct enrolment_authority, authority_fields),
    .place = CONFIG_PLACE_AT(struct enrolment_authority, place)};

bool enrolment_authority_check(const struct config *source, struct enrolment_authority *authority,
                               struct error *err)
{
    struct error why = {0};
    struct config_place place = authority->place;
    if (!address_parse(authority->address_text, &authority->address, &why))
        return config_error(source, place, "address", err, "%s", why.message);
    if (authority->address.kind != ADDRESS_HOST || authority->address.port == 0)
        return config_error(source, place, "address", err,
                            "'%s': the authority is reached at HOST:PORT", authority->address_text);
    if (!authority->server_name)
        authority->server_name = authority->address.host;
    if (strlen(authority->server_name) >= ADDRESS_HOST_SIZE)
        return config_error(source, place, "server_name", err, "the name is too long");
    if (authority->ca_pin_text && !authority->ca_pin_text[0])
        return config_error(source, place, "ca_pin", err,
                            "the pin is empty: sallyport bot add prints it (sha256:...), and "
                            "sallyport ca status shows it as that of the service CA");
    if (authority->ca_pin_text &&
        !certificate_pin_parse(authority->ca_pin_text, authority->pin, &why))
        return config_error(source, place, "ca_pin", err, "%s", why.message);
    return true;
}

static bool check_joining(const struct config *source, struct config_place place,
                          const struct enrolment *enrolment, struct error *err)
{
    struct error why = {0};
    if (enrolment->join && join_token_looks_like(enrolment->join)) {
        (void)join_token_refuse("this key", &why);
        return config_error(source, place, "join", err, "%s", why.message);
    }
    if (!enrolment->has_authority && (enrolment->join || enrolment->bound_key))
        return config_error(source, place, enrolment->join ? "join" : "bound_key", err,
                            "joining needs an authority: give its address (authority)");
    if (enrolment->join && enrolment->bound_key)
        return config_error(source, place, "join", err,
                            "a bot joins either with a token or with its bound_key");
    if (enrolment->bound_key && !enrolment->bot)
        return config_error(source, place, "bound_key", err,
                            "whose key is it? Give the bot's name (bot)");
    return true;
}

bool enrolment_check(const struct config *source, struct config_place place,
                     const struct enrolment_authority *otherwise, struct enrolment *enrolment,
                     struct error *err)
{
    if (!enrolment->has_authority && otherwise) {
        enrolment->authority = *otherwise;
        enrolment->has_authority = true;
    }
    return check_joining(source, place, enrolment, err) &&
           (!enrolment->has_authority ||
            enrolment_authority_check(source, &enrolment->authority, err));
}

static const struct {
    size_t offset;
    const char *key;
} texts[ENROLMENT_TEXTS] = {
    {offsetof(struct enrolment, authority.address_text), "authority"},
    {offsetof(struct enrolment, authority.ca_pin_text), "authority"},
    {offsetof(struct enrolment, authority.server_name), "authority"},
    {offsetof(struct enrolment, join), "join"},
    {offsetof(struct enrolment, bound_key), "bound_key"},
    {offsetof(struct enrolment, bot), "bot"},
};

const char **enrolment_text(struct enrolment *enrolment, unsigned index)
{
    return (const char **)(void *)((char *)enrolment + texts[index].offset);
}

bool enrolment_agree(struct enrolment *enrolment, const struct enrolment *other, const char **key)
{
    struct enrolment copy = *other;
    for (unsigned i = 0; i < ENROLMENT_TEXTS; i++) {
        const char **mine = enrolment_text(enrolment, i);
        const char *theirs = *enrolment_text(&copy, i);
        *key = texts[i].key;
        if (*mine && theirs && strcmp(*mine, theirs) != 0)
            return false;
        if (!*mine)
            *mine = theirs;
    }
    if (!enrolment->has_authority && other->has_authority)
        enrolment->authority.place = other->authority.place;
    enrolment->has_authority = enrolment->has_authority || other->has_authority;
    return true;
}

bool enrolment_takes_token(const struct enrolment *enrolment)
{
    return enrolment->has_authority && !enrolment->join && !enrolment->bound_key;
}

struct renewal_settings enrolment_renewal(const struct enrolment *enrolment)
{
    return (struct renewal_settings){
        .authority = enrolment->authority.address,
        .server_name = enrolment->authority.server_name,
        .pin = enrolment->authority.ca_pin_text ? enrolment->authority.pin : NULL,
        .join_file = enrolment->join,
        .bound_key = enrolment->bound_key,
        .bot = enrolment->bot,
    };
}
