/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/capability.h"

uint32_t capability_offer(uint32_t upstream, bool starttls)
{
    uint32_t local = CAPABILITY_LEG_LOCAL;
    if (!starttls)
        local &= ~CAPABILITY_SSL;
    return (upstream & CAPABILITY_END_TO_END) | local;
}

uint32_t capability_login(uint32_t upstream, uint32_t accepted, bool tls, bool schema)
{
    uint32_t local = upstream & CAPABILITY_LEG_LOCAL;
    if (!tls)
        local &= ~CAPABILITY_SSL;
    if (!schema)
        local &= ~CAPABILITY_CONNECT_WITH_DB;
    return (upstream & accepted & CAPABILITY_END_TO_END) | local;
}
