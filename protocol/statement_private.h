/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by statement.c, which keeps statements, and statement_values.c, which decodes. */
#ifndef SALLYPORT_PROTOCOL_STATEMENT_PRIVATE_H
#define SALLYPORT_PROTOCOL_STATEMENT_PRIVATE_H

#include "protocol/statement.h"

#define TYPE_SIZE 2 /* bytes of a parameter's type: the code and its flags */

/* Long data of one parameter. */
struct statement_long {
    struct buffer bytes; /* as much of it as is kept */
    uint64_t full_length;
    bool cut;
};

/* The long data of a parameter; NULL where there is none. */
const struct statement_long *statement_long_find(const struct statement *statement,
                                                 uint16_t parameter);

/* Counts memory towards STATEMENT_STATE_MAX; false where that would be passed. */
bool statement_state_take(struct statement *statement, size_t bytes);

#endif
