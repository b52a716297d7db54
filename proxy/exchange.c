/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's pool of exchanges, so that a command costs no allocation in the steady state. */
#include <stdlib.h>

#include "proxy/relay.h"

/* Text of a prepare that an idle exchange may keep room for. */
#define EXCHANGE_KEEP_TEXT 1024

struct exchange *exchange_take(struct worker *worker)
{
    struct exchange *exchange = worker->spare_exchanges;
    if (!exchange) {
        exchange = calloc(1, sizeof *exchange);
        if (exchange)
            buffer_init(&exchange->text, AUDIT_STATEMENT_LIMIT_MAX);
        return exchange;
    }
    worker->spare_exchanges = exchange->next_spare;
    worker->spare_exchange_count--;
    struct buffer text = exchange->text;
    *exchange = (struct exchange){.text = text};
    return exchange;
}

void exchange_give(struct worker *worker, struct exchange *exchange)
{
    buffer_trim(&exchange->text, EXCHANGE_KEEP_TEXT);
    if (worker->spare_exchange_count >= RELAY_SPARE_EXCHANGES_MAX) {
        buffer_release(&exchange->text);
        free(exchange);
        return;
    }
    exchange->next_spare = worker->spare_exchanges;
    worker->spare_exchanges = exchange;
    worker->spare_exchange_count++;
}

void exchange_free_spares(struct worker *worker)
{
    while (worker->spare_exchanges) {
        struct exchange *next = worker->spare_exchanges->next_spare;
        buffer_release(&worker->spare_exchanges->text);
        free(worker->spare_exchanges);
        worker->spare_exchanges = next;
    }
    worker->spare_exchange_count = 0;
}
