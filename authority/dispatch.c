/* SPDX-License-Identifier: Apache-2.0 */
/* Which function handles which request. Who may ask it is in control/message.c. */
#include <string.h>

#include "authority/handle.h"

static const struct dispatch handlers[] = {
    {.name = "hello", .handler = handle_hello},
    {.name = "join", .handler = handle_join},
    {.name = "challenge", .handler = handle_challenge},
    {.name = "join_key", .handler = handle_join_key},
    {.name = "join_proxy", .handler = handle_join_proxy},
    {.name = "renew", .handler = handle_renew},
    {.name = "confirm", .handler = handle_confirm},
    {.name = "renew_proxy", .handler = handle_renew_proxy},
    {.name = "subscribe", .handler = handle_subscribe},
    {.name = "state", .handler = handle_state},
    {.name = "mint", .handler = handle_mint},
    {.name = "seen", .handler = handle_seen},
    {.name = "bot_add", .handler = handle_bot_add, .grows = true},
    {.name = "bot_list", .handler = handle_bot_list},
    {.name = "bot_show", .handler = handle_bot_show},
    {.name = "bot_remove", .handler = handle_bot_remove},
    {.name = "bot_roles", .handler = handle_bot_roles, .grows = true},
    {.name = "instance_list", .handler = handle_instance_list},
    {.name = "instance_remove", .handler = handle_instance_remove},
    {.name = "proxy_list", .handler = handle_proxy_list},
    {.name = "proxy_remove", .handler = handle_proxy_remove},
    {.name = "token_add", .handler = handle_token_add},
    {.name = "token_list", .handler = handle_token_list},
    {.name = "token_remove", .handler = handle_token_remove},
    {.name = "apply", .handler = handle_apply, .grows = true, .much = true},
    {.name = "role_list", .handler = handle_role_list},
    {.name = "role_show", .handler = handle_role_show},
    {.name = "role_remove", .handler = handle_role_remove},
    {.name = "role_test", .handler = handle_role_test},
    {.name = "database_list", .handler = handle_database_list},
    {.name = "database_show", .handler = handle_database_show},
    {.name = "database_remove", .handler = handle_database_remove},
    {.name = "mapping_list", .handler = handle_mapping_list},
    {.name = "mapping_remove", .handler = handle_mapping_remove},
    {.name = "lock_add", .handler = handle_lock_add, .grows = true},
    {.name = "lock_list", .handler = handle_lock_list},
    {.name = "lock_remove", .handler = handle_lock_remove},
    {.name = "ca_status", .handler = handle_ca_status},
    {.name = "ca_export", .handler = handle_ca_export},
    {.name = "ca_rotate", .handler = handle_ca_rotate, .alone = true},
    {.name = "sign_database", .handler = handle_sign_database},
};

const struct dispatch *dispatch_find(const char *name)
{
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        if (strcmp(handlers[i].name, name) == 0)
            return &handlers[i];
    return NULL;
}
