/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

bool authority_refuse(struct authority_refusal *refusal, enum control_code code, const char *format,
                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(refusal->message, sizeof refusal->message, format, arguments);
    va_end(arguments);
    refusal->code = code;
    if (length < 0)
        refusal->message[0] = '\0';
    refusal->message[utf8_prefix(refusal->message, strlen(refusal->message))] = '\0';
    return false;
}

bool authority_refuse_store(struct authority_refusal *refusal, enum control_code not_found,
                            const struct error *cause, struct error *err)
{
    if (cause->code == ERROR_NOT_FOUND)
        return authority_refuse(refusal, not_found, "%s", cause->message);
    if (cause->code == ERROR_EXISTS)
        return authority_refuse(refusal, CONTROL_EXISTS, "%s", cause->message);
    if (err)
        *err = *cause;
    return false;
}
