/* SPDX-License-Identifier: MIT */
/*
 * System event triggers: functions run at the phases of startup and shutdown, in order of adding.
 * One that is added for the phase that runs now still runs; one that is removed does not
 * (vectors/README.md, "Start and stop of the reactor").
 *
 * Invariant: a trigger is in a list of its reactor's, of its phase or of those that hold up the
 * shutdown, if and only if its state says so. A trigger whose function runs is in none, and may be
 * freed by it.
 */
#include "internal.h"

#include <assert.h>

/* state_ */
enum { IDLE, PENDING, HOLDING };

static dw_trigger *trigger_of(struct dw_list_node *node) {
    return DW_CONTAINER_OF(node, dw_trigger, node_);
}

void dw_reactor_add_trigger(dw_reactor *reactor, dw_trigger *trigger, dw_phase phase,
                            void (*fn)(void *user), void *user) {
    dw_trigger_remove(trigger);
    trigger->fn_ = fn;
    trigger->user_ = user;
    trigger->reactor_ = reactor;
    trigger->phase_ = (uint8_t)phase;
    trigger->state_ = PENDING;
    list_add(&reactor->triggers[phase], &trigger->node_);
}

void dw_trigger_remove(dw_trigger *trigger) {
    dw_trigger_release(trigger);
    if (trigger->state_ == PENDING) {
        trigger->state_ = IDLE;
        list_remove(&trigger->node_);
    }
}

void dw_trigger_hold(dw_trigger *trigger) {
    dw_reactor *reactor = trigger->reactor_;
    assert(reactor != NULL); /* it was added once */
    if (dw_contract(reactor,
                    reactor->firing == trigger && trigger->phase_ == DW_BEFORE_SHUTDOWN &&
                        trigger->state_ != PENDING,
                    "contract",
                    "dw_trigger_hold is for a before-shutdown trigger whose function runs") &&
        trigger->state_ == IDLE) {
        trigger->state_ = HOLDING;
        list_add(&reactor->held, &trigger->node_);
    }
}

void dw_trigger_release(dw_trigger *trigger) {
    if (trigger->state_ != HOLDING) {
        return;
    }
    dw_reactor *reactor = trigger->reactor_;
    trigger->state_ = IDLE;
    list_remove(&trigger->node_);
    if (list_empty(&reactor->held)) {
        reactor_wake(reactor, reactor_now(reactor));
    }
}

void dw_triggers_let_go(dw_reactor *reactor) {
    while (!list_empty(&reactor->held)) {
        dw_trigger_release(trigger_of(reactor->held.next));
    }
}

void dw_reactor_call_when_running(dw_reactor *reactor, dw_trigger *trigger, void (*fn)(void *user),
                                  void *user) {
    if (dw_reactor_running(reactor)) {
        dw_trigger_remove(trigger);
        fn(user);
    } else {
        dw_reactor_add_trigger(reactor, trigger, DW_AFTER_STARTUP, fn, user);
    }
}

void dw_triggers_drop(dw_reactor *reactor) {
    dw_triggers_let_go(reactor);
    for (size_t i = 0; i < sizeof(reactor->triggers) / sizeof(reactor->triggers[0]); i++) {
        while (!list_empty(&reactor->triggers[i])) {
            dw_trigger_remove(trigger_of(reactor->triggers[i].next));
        }
    }
}

void dw_triggers_fire(dw_reactor *reactor, dw_phase phase) {
    struct dw_list_node *list = &reactor->triggers[phase];
    while (!list_empty(list)) {
        dw_trigger *trigger = trigger_of(list->next);
        void (*fn)(void *user) = trigger->fn_;
        void *user = trigger->user_;
        dw_trigger_remove(trigger);
        reactor->firing = trigger;
        fn(user);
        reactor->firing = NULL;
        dw_reactor_flush(reactor);
    }
}
