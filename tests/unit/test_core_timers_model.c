/* SPDX-License-Identifier: MIT */
/*
 * Delayed calls (core/src/timers.c) against a naive model that keeps an unsorted table and searches
 * it. Expectations: drywire/delayed_call.h.
 */
#include "test_core_wire.h"

/* ---- The model ---- */

enum { MODEL_CALLS = 40, MODEL_STEPS = 20000, MODEL_RUNS = 10 };

typedef struct model_call {
    dw_delayed_call call;
    bool pending, cancelled, ever;
    dw_time due;
    uint64_t order;
    bool waits; /* armed without delay in the turn that runs: not before the next one */
} model_call;

static struct model {
    fake *f;
    model_call calls[MODEL_CALLS];
    uint64_t order, random;
    dw_time turn; /* when the running turn began, or -1 outside */
    size_t ran;
} model;

/* xorshift64 (Marsaglia 2003) */
static unsigned below(unsigned n) {
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return (unsigned)(model.random % n);
}

static model_call *model_next(dw_time now) {
    model_call *best = NULL;
    for (int i = 0; i < MODEL_CALLS; i++) {
        model_call *m = &model.calls[i];
        if (m->pending && !m->waits && m->due <= now &&
            (best == NULL || m->due < best->due ||
             (m->due == best->due && m->order < best->order))) {
            best = m;
        }
    }
    return best;
}

static void model_ran(void *user);

static void model_put(model_call *m, dw_time due, bool waits) {
    m->pending = m->ever = true;
    m->cancelled = false;
    m->due = due;
    m->order = ++model.order;
    m->waits = waits && model.turn >= 0;
}

static void model_arm(model_call *m) {
    dw_time delay = (dw_time)(below(3) == 0 ? 0 : below(50));
    dw_reactor_call_later(&model.f->reactor, &m->call, delay, model_ran, m);
    model_put(m, model.f->now + delay, delay == 0);
}

static int model_result(const model_call *m) {
    if (m->pending) {
        return 0;
    }
    return m->cancelled ? DW_ALREADY_CANCELLED : DW_ALREADY_CALLED;
}

static void model_verb(void) {
    model_call *m = &model.calls[below(MODEL_CALLS)];
    int expected = model_result(m);
    dw_time by = (dw_time)below(40);
    switch (below(6)) {
    case 0:
        ck_assert_int_eq(dw_delayed_call_cancel(&m->call), expected);
        m->cancelled = expected == 0 || m->cancelled;
        m->pending = false;
        break;
    case 1:
        ck_assert_int_eq(dw_delayed_call_reset(&m->call, by), expected);
        if (expected == 0) {
            model_put(m, model.f->now + by, by == 0);
        }
        break;
    case 2:
        /* Not into the turn that runs: whether it still takes part is nobody's promise. */
        by = model.turn >= 0 ? by + 1 : by - 20;
        ck_assert_int_eq(dw_delayed_call_delay(&m->call, by), expected);
        if (expected == 0) {
            model_put(m, m->due + by, false);
        }
        break;
    default:
        model_arm(m);
    }
    ck_assert(dw_delayed_call_active(&m->call) == m->pending);
}

static void model_ran(void *user) {
    model_call *m = user;
    ck_assert_ptr_eq(m, model_next(model.turn));
    m->pending = false;
    model.ran++;
    for (unsigned i = below(4); i > 0; i--) {
        model_verb();
    }
}

static void model_turn(void) {
    model.turn = model.f->now;
    dw_reactor_turn(&model.f->reactor);
    ck_assert_ptr_null(model_next(model.turn));
    model.turn = -1;
    for (int i = 0; i < MODEL_CALLS; i++) {
        model.calls[i].waits = false;
    }
}

/* `delay` may move a call before another's due time, and so on: any order of verbs, inside and
 * outside calls, with memory that fails now and then. */
START_TEST(any_order_of_verbs_runs_as_a_sorted_list_would) {
    memset(&model, 0, sizeof(model));
    model.f = fake_new();
    model.random = 88172645463325252u + (uint64_t)_i;
    model.turn = -1;
    for (int step = 0; step < MODEL_STEPS; step++) {
        if (below(50) == 0) {
            model.f->fail_in = 1;
            model.f->fail_after = below(2) == 0;
        }
        if (below(5) == 0) {
            model.f->now += below(30);
            model_turn();
        } else {
            model_verb();
        }
    }
    ck_assert_uint_gt(model.ran, MODEL_STEPS / 50);
    fake_fini(model.f);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core timers against a model");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, any_order_of_verbs_runs_as_a_sorted_list_would, 0, MODEL_RUNS);
    return run_case(tc);
}
