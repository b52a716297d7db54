/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of members embedded in what they link: no allocation, and removal without a search. A
 * member that is in no ring points to itself, so removing it again is harmless. */
#ifndef SALLYPORT_TUNNEL_LIST_H
#define SALLYPORT_TUNNEL_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

/* The struct of type_ whose member member_ is at `node`. */
#define LIST_OF(node, type_, member_) ((type_ *)(void *)((char *)(node)-offsetof(type_, member_)))

static inline void list_init(struct list *node)
{
    node->next = node;
    node->previous = node;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

static inline void list_remove(struct list *node)
{
    node->next->previous = node->previous;
    node->previous->next = node->next;
    list_init(node);
}

#endif
