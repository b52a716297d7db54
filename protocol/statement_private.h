/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by statement.c, which keeps statements, and statement_values.c, which decodes. */
#ifndef SALLYPORT_PROTOCOL_STATEMENT_PRIVATE_H
#define SALLYPORT_PROTOCOL_STATEMENT_PRIVATE_H

#include "protocol/statement.h"

/* Flags of COM_STMT_EXECUTE: the types of cursor, and that a count of values follows even where the
 * statement has no parameters. (include/mysql.h of MySQL 9.x, enum_cursor_type.) */
#define EXECUTE_CURSOR_TYPES    7u
#define EXECUTE_PARAMETER_COUNT 8u

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
