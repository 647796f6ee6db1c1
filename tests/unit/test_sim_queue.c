/* SPDX-License-Identifier: MIT */
/*
 * The event queue against a model that is too simple to be wrong: an unsorted array, searched for
 * its least (time, sequence); and large ones against what sorting means.
 */
#include "hash.h"
#include "queue.h"
#include "sim_support.h"

enum { EVENTS = 300, STEPS = 20000, TIMES = 40 };

static sim_queue queue;
static sim_event events[EVENTS];
static bool queued[EVENTS];
static uint64_t sequence, drawn;

static void setup(void) {
    queue = (sim_queue){0};
    memset(events, 0, sizeof(events));
    memset(queued, 0, sizeof(queued));
    sequence = drawn = 0;
}

static void teardown(void) {
    sim_queue_free(&queue);
}

/* Numbers from a counter: no state but how many were drawn. */
static uint64_t draw(uint64_t n) {
    return mix64(++drawn * UINT64_C(0x9e3779b97f4a7c15)) % n;
}

static void add(size_t i, dw_time at) {
    events[i].at = at;
    events[i].sequence = ++sequence;
    queued[i] = true;
    sim_queue_add(&queue, &events[i]);
}

static bool earlier(const sim_event *a, const sim_event *b) {
    return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

/* The model's n-th event of the earliest instant, or NULL. */
static sim_event *model_nth(size_t n) {
    sim_event *best = NULL;
    for (size_t i = 0; i < EVENTS; i++) {
        if (queued[i] && (best == NULL || events[i].at < best->at)) {
            best = &events[i];
        }
    }
    dw_time at = best != NULL ? best->at : 0;
    sim_event *last = NULL;
    for (size_t k = 0; best != NULL && k <= n; k++) {
        sim_event *next = NULL;
        for (size_t i = 0; i < EVENTS; i++) {
            if (queued[i] && events[i].at == at && (last == NULL || earlier(last, &events[i])) &&
                (next == NULL || earlier(&events[i], next))) {
                next = &events[i];
            }
        }
        last = next;
    }
    return best != NULL ? last : NULL;
}

static size_t model_simultaneous(void) {
    const sim_event *first = model_nth(0);
    size_t n = 0;
    for (size_t i = 0; i < EVENTS; i++) {
        n += first != NULL && queued[i] && events[i].at == first->at;
    }
    return n;
}

static void take_one(dw_time *now) {
    sim_event *first = model_nth(0);
    size_t n = model_simultaneous();
    ck_assert_int_eq(sim_queue_next_at(&queue), first != NULL ? first->at : DW_TIME_MAX);
    ck_assert_uint_eq(sim_queue_simultaneous(&queue, SIZE_MAX), n);
    if (n == 0) {
        return;
    }
    size_t pick = draw(n);
    sim_event *expected = model_nth(pick);
    ck_assert_ptr_null(sim_queue_take_due(&queue, first->at - 1));
    sim_event *event =
        pick == 0 ? sim_queue_take_due(&queue, first->at) : sim_queue_take(&queue, pick);
    ck_assert_ptr_eq(event, expected);
    ck_assert_uint_eq(event->place, 0);
    queued[event - events] = false;
    *now = event->at;
}

START_TEST(random_steps_agree_with_a_sorted_model) {
    dw_time now = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t i = draw(EVENTS);
        if (draw(3) == 0) {
            take_one(&now);
        } else if (!queued[i]) {
            add(i, now + (dw_time)draw(TIMES)); /* often at the present instant itself */
        } else if (draw(2) == 0) {
            sim_queue_remove(&queue, &events[i]);
            queued[i] = false;
            ck_assert_uint_eq(events[i].place, 0);
        }
    }
    while (model_nth(0) != NULL) {
        take_one(&now);
    }
    ck_assert_int_eq(sim_queue_next_at(&queue), DW_TIME_MAX);
}
END_TEST

START_TEST(events_of_one_instant_come_in_order_of_sequence) {
    for (size_t i = 0; i < 10; i++) {
        add(i, 5);
    }
    ck_assert_uint_eq(sim_queue_simultaneous(&queue, SIZE_MAX), 10);
    for (size_t i = 0; i < 10; i++) {
        ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[i]);
    }
}
END_TEST

START_TEST(an_event_for_the_present_instant_joins_the_batch_at_its_end) {
    add(0, 5);
    add(1, 5);
    ck_assert_int_eq(sim_queue_next_at(&queue), 5);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[0]);
    add(2, 5);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[1]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[2]);
}
END_TEST

/* A flow's next packet keeps the sequence of its sending and may so be older than others. */
START_TEST(an_older_sequence_goes_to_its_place_in_the_batch) {
    uint64_t old = ++sequence;
    add(0, 5);
    add(1, 5);
    ck_assert_int_eq(sim_queue_next_at(&queue), 5);
    events[2].at = 5;
    events[2].sequence = old;
    sim_queue_add(&queue, &events[2]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[2]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 1), &events[1]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[0]);
}
END_TEST

START_TEST(removing_from_the_batch_keeps_the_others_in_order) {
    for (size_t i = 0; i < 5; i++) {
        add(i, 5);
    }
    ck_assert_int_eq(sim_queue_next_at(&queue), 5);
    sim_queue_remove(&queue, &events[2]);
    sim_queue_remove(&queue, &events[2]); /* twice is harmless */
    ck_assert_ptr_eq(sim_queue_take(&queue, 3), &events[4]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[0]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 1), &events[3]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[1]);
    ck_assert_uint_eq(sim_queue_simultaneous(&queue, SIZE_MAX), 0);
}
END_TEST

START_TEST(clear_forgets_everything) {
    add(0, 5);
    add(1, 5);
    add(2, 6);
    ck_assert_int_eq(sim_queue_next_at(&queue), 5);
    sim_queue_clear(&queue);
    ck_assert_int_eq(sim_queue_next_at(&queue), DW_TIME_MAX);
    ck_assert_uint_eq(sim_queue_simultaneous(&queue, SIZE_MAX), 0);
}
END_TEST

/* A long instant: what is taken at the front makes room for what comes at the back. */
START_TEST(a_batch_that_goes_on_and_on_keeps_its_order) {
    add(0, 5);
    add(1, 5);
    ck_assert_int_eq(sim_queue_next_at(&queue), 5);
    for (size_t i = 0; i < 5000; i++) {
        ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[i % EVENTS]);
        queued[i % EVENTS] = false;
        add((i + 2) % EVENTS, 5);
    }
    ck_assert_uint_eq(sim_queue_simultaneous(&queue, SIZE_MAX), 2);
}
END_TEST

/* ---- Many events, far and near: what is taken never goes back, and all of it comes ---- */

enum { MANY = 20000 };

static sim_event crowd[MANY];

static dw_time delay_at_random(size_t kind) {
    switch (kind) {
    case 0:
        return DW_MSEC(1); /* lock step */
    case 1:
        return DW_MSEC(1) + (dw_time)draw((uint64_t)DW_MSEC(1)); /* jitter */
    case 2:
        return draw(4) == 0 ? DW_SEC(30) : (dw_time)draw((uint64_t)DW_USEC(200));
    case 3:
        return (dw_time)draw(UINT64_C(1) << draw(62)); /* every order of magnitude */
    case 4:
        return draw(50) == 0 ? DW_TIME_MAX - 1 : 0;
    default:
        return (dw_time)draw(3);
    }
}

static void crowd_add(sim_event *event, dw_time now, size_t kind) {
    dw_time delay = delay_at_random(kind);
    event->at = delay < DW_TIME_MAX - now ? now + delay : DW_TIME_MAX;
    event->sequence = ++sequence;
    sim_queue_add(&queue, event);
}

/* Strictly upwards by (time, sequence), and as many as went in: that is sorting. */
static void hold(size_t n, size_t kind, size_t steps) {
    sim_event last = {0};
    size_t out = 0, removed = 0;
    for (size_t i = 0; i < n; i++) {
        crowd_add(&crowd[i], 0, kind);
    }
    while (sim_queue_simultaneous(&queue, 1) == 1) {
        dw_time at = sim_queue_next_at(&queue);
        sim_event *event =
            draw(8) == 0 ? sim_queue_take(&queue, 0) : sim_queue_take_due(&queue, DW_TIME_MAX);
        ck_assert_int_eq(event->at, at);
        ck_assert_uint_eq(event->place, 0);
        ck_assert(earlier(&last, event));
        last = *event;
        out++;
        if (out <= steps) {
            crowd_add(event, last.at, kind);
            sim_event *other = &crowd[draw(n)];
            if (draw(4) == 0 && other->place != 0) {
                sim_queue_remove(&queue, other);
                crowd_add(other, last.at, kind);
                removed++;
            }
        }
    }
    ck_assert_uint_eq(out, n + (out < steps ? out : steps));
    ck_assert(n < 4 || removed > 0);
    ck_assert_int_eq(sim_queue_next_at(&queue), DW_TIME_MAX);
}

START_TEST(every_spread_of_times_comes_out_in_order) {
    static const size_t sizes[] = {1, 16, 63, 64, 65, 200, 3000, MANY};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        hold(sizes[s], (size_t)_i, 2 * sizes[s] + 1000);
    }
}
END_TEST

/* A world changes its habits: what the days' width was chosen for is over. */
START_TEST(a_change_of_habits_keeps_the_order) {
    for (size_t round = 0; round < 12; round++) {
        sim_queue_clear(&queue);
        for (size_t i = 0; i < 4000; i++) {
            crowd[i].place = 0;
            crowd_add(&crowd[i], 0, round % 5);
        }
        sim_event last = {0};
        for (size_t i = 0; i < 30000; i++) {
            sim_event *event = sim_queue_take_due(&queue, DW_TIME_MAX);
            ck_assert(earlier(&last, event));
            last = *event;
            crowd_add(event, last.at, (round + 1 + i / 10000) % 4);
        }
    }
}
END_TEST

/* Delays of as many lengths as there are lanes, and more: each length by itself comes in order. */
START_TEST(delays_of_a_few_lengths_come_in_order) {
    static const dw_time lengths[] = {DW_USEC(20), DW_MSEC(1), DW_MSEC(40), DW_SEC(1), DW_SEC(30)};
    sim_event last = {0};
    dw_time now = 0;
    for (size_t i = 0; i < 1000; i++) {
        crowd[i].at = lengths[i % 5];
        crowd[i].sequence = ++sequence;
        sim_queue_add(&queue, &crowd[i]);
    }
    for (size_t i = 0; i < 50000; i++) {
        sim_event *event = sim_queue_take_due(&queue, DW_TIME_MAX);
        ck_assert(earlier(&last, event));
        last = *event;
        now = event->at;
        event->at = now + lengths[(size_t)(event - crowd) % 5];
        event->sequence = ++sequence;
        sim_queue_add(&queue, event);
    }
}
END_TEST

/* A deadline that is moved again and again costs no memory: its gaps are closed up. */
START_TEST(moving_one_event_leaves_no_gaps_behind) {
    add(0, DW_SEC(1000));
    for (size_t i = 0; i < 100000; i++) {
        sim_queue_remove(&queue, &events[1]);
        add(1, DW_SEC(2000) + (dw_time)i);
        sim_queue_remove(&queue, &events[2]);
        add(2, DW_SEC(2000) + (dw_time)i);
    }
    for (size_t i = 0; i < SIM_LANES; i++) {
        ck_assert_uint_le(queue.lanes.lane[i].room, 64);
    }
    ck_assert_ptr_eq(sim_queue_take_due(&queue, DW_TIME_MAX), &events[0]);
    ck_assert_ptr_eq(sim_queue_take_due(&queue, DW_TIME_MAX), &events[1]);
    ck_assert_ptr_eq(sim_queue_take_due(&queue, DW_TIME_MAX), &events[2]);
    ck_assert_ptr_null(sim_queue_take_due(&queue, DW_TIME_MAX));
}
END_TEST

/* Choosing among simultaneous ones skips what was taken out between them. */
START_TEST(the_nth_of_many_is_counted_without_gaps) {
    for (size_t i = 0; i < 200; i++) {
        add(i, 7);
    }
    for (size_t i = 0; i < 200; i += 2) {
        ck_assert_int_eq(sim_queue_next_at(&queue), 7);
        sim_queue_remove(&queue, &events[i]);
    }
    ck_assert_uint_eq(sim_queue_simultaneous(&queue, SIZE_MAX), 100);
    ck_assert_uint_eq(sim_queue_simultaneous(&queue, 16), 16);
    ck_assert_ptr_eq(sim_queue_take(&queue, 10), &events[21]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 10), &events[23]);
    ck_assert_ptr_eq(sim_queue_take(&queue, 0), &events[1]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_queue");
    TCase *tc = tcase_create("queue");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, random_steps_agree_with_a_sorted_model);
    tcase_add_test(tc, events_of_one_instant_come_in_order_of_sequence);
    tcase_add_test(tc, an_event_for_the_present_instant_joins_the_batch_at_its_end);
    tcase_add_test(tc, an_older_sequence_goes_to_its_place_in_the_batch);
    tcase_add_test(tc, removing_from_the_batch_keeps_the_others_in_order);
    tcase_add_test(tc, clear_forgets_everything);
    tcase_add_test(tc, a_batch_that_goes_on_and_on_keeps_its_order);
    tcase_add_loop_test(tc, every_spread_of_times_comes_out_in_order, 0, 6);
    tcase_add_test(tc, a_change_of_habits_keeps_the_order);
    tcase_add_test(tc, delays_of_a_few_lengths_come_in_order);
    tcase_add_test(tc, moving_one_event_leaves_no_gaps_behind);
    tcase_add_test(tc, the_nth_of_many_is_counted_without_gaps);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
