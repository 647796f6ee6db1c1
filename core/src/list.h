/* SPDX-License-Identifier: MIT */
/*
 * Lists: circular, doubly linked, through a node that is embedded in what they hold. The head is a
 * node itself; a node that is in no list may be linked to itself, then removing it is harmless.
 */
#ifndef DRYWIRE_CORE_LIST_H
#define DRYWIRE_CORE_LIST_H

#include "drywire/backend.h"

static inline void list_init(struct dw_list_node *head) {
    head->next = head->previous = head;
}

static inline bool list_empty(const struct dw_list_node *head) {
    return head->next == head;
}

static inline void list_add(struct dw_list_node *head, struct dw_list_node *node) {
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

static inline void list_remove(struct dw_list_node *node) {
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* Moves all nodes to the empty list `to`. */
static inline void list_move(struct dw_list_node *to, struct dw_list_node *from) {
    list_init(to);
    if (list_empty(from)) {
        return;
    }
    *to = *from;
    to->next->previous = to->previous->next = to;
    list_init(from);
}

#endif
