/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop: who is under way, and when it is told. The wire's threads do it; on a wire
 * without threads it is a delayed call, whose time is a choice.
 *
 * Invariant: an offload is in its reactor's list exactly while it is under way, and leaves it once:
 * by done, by a cancel that came in time, or without a word when the reactor goes.
 */
#include "drywire/offload.h"

#include "internal.h"

/* What the choice "offload" may make of it: no time at all, or 1 ms, 4 ms, ... 4096 ms. */
enum { DELAYS = 8 };

static dw_offload *offload_of(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_offload, node_);
}

static void leave(dw_offload *offload) {
    offload->reactor_ = NULL;
    list_remove(&offload->node_);
}

static void tell(dw_offload *offload, bool worked) {
    leave(offload); /* from here on it is its owner's */
    offload->done_(offload->user_, worked);
}

void dw_offload_worked(dw_reactor *reactor, dw_offload *offload) {
    const char *where = offload->where_;
    if (reactor->observe != NULL) {
        reactor->observe(reactor, DW_SEEN_CALL, NULL, 0, where, strlen(where));
    }
    reactor->depth++;
    tell(offload, true);
    reactor->depth--;
    dw_reactor_flush(reactor);
}

/* ---- Without threads ---- */

static void work_now(void *user) {
    dw_offload *offload = user;
    offload->work_(offload->user_);
    tell(offload, true);
}

static dw_time choose_delay(dw_reactor *reactor) {
    uint32_t chosen = dw_choose(reactor, "offload", DELAYS);
    return chosen == 0 ? 0 : DW_MSEC(1) << 2 * (chosen - 1);
}

/* ---- Verbs ---- */

static int begin(dw_reactor *reactor, dw_offload *offload) {
    if (reactor->wire->offload != NULL) {
        return reactor->wire->offload(reactor, offload);
    }
    dw_reactor_call_later_at(reactor, &offload->call_, choose_delay(reactor), work_now, offload,
                             offload->where_);
    return 0;
}

int dw_reactor_offload_at(dw_reactor *reactor, dw_offload *offload, dw_offload_work_fn work,
                          dw_offload_done_fn done, void *user, const char *where) {
    if (offload->reactor_ != NULL) {
        return DW_INVALID_ARGUMENT;
    }
    offload->work_ = work;
    offload->done_ = done;
    offload->user_ = user;
    offload->where_ = where;
    offload->reactor_ = reactor;
    list_add(&reactor->offloads, &offload->node_);
    int error = begin(reactor, offload);
    if (error == 0) {
        return 0;
    }
    leave(offload);
    reactor->last_errno = -error;
    return error == -ENOMEM ? DW_NO_MEMORY : DW_SYSTEM_ERROR;
}

/* Whether it had not begun, and will not. */
static bool take_back(dw_reactor *reactor, dw_offload *offload) {
    if (reactor->wire->offload != NULL) {
        return reactor->wire->offload_cancel(reactor, offload);
    }
    return dw_delayed_call_cancel(&offload->call_) == 0;
}

bool dw_offload_cancel(dw_offload *offload) {
    dw_reactor *reactor = offload->reactor_;
    if (reactor == NULL || !take_back(reactor, offload)) {
        return false;
    }
    leave(offload);
    return true;
}

bool dw_offload_active(const dw_offload *offload) {
    return offload->reactor_ != NULL;
}

/* ---- The reactor's end ---- */

/* Those that are there now. */
void dw_offloads_shutdown(dw_reactor *reactor) {
    struct dw_list_node old;
    list_move(&old, &reactor->offloads);
    while (!list_empty(&old)) {
        dw_offload *offload = offload_of(old.next);
        if (take_back(reactor, offload)) {
            tell(offload, false);
        } else {
            list_remove(&offload->node_);
            list_add(&reactor->offloads, &offload->node_);
        }
    }
    if (reactor->wire->offload != NULL) {
        reactor->wire->offload_finish(reactor);
    }
}

void dw_offloads_discard(dw_reactor *reactor) {
    while (!list_empty(&reactor->offloads)) {
        dw_offload *offload = offload_of(reactor->offloads.next);
        if (!take_back(reactor, offload) && reactor->wire->offload != NULL) {
            reactor->wire->offload_forget(reactor, offload);
        }
        leave(offload);
    }
}

size_t dw_offloads_count(const dw_reactor *reactor) {
    size_t count = 0;
    const struct dw_list_node *head = &reactor->offloads;
    for (const struct dw_list_node *node = head->next; node != head; node = node->next) {
        count++;
    }
    return count;
}
