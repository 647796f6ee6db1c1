/* SPDX-License-Identifier: MIT */
/*
 * The set of distinct traces: its size follows how many runs there may be, and it has room for all
 * of them. Expectations are powers of two, counted by hand.
 */
#include "../suite.h"
#include "distinct.h"

#include <check.h>
#include <stdlib.h>

START_TEST(there_is_room_for_twice_as_many) {
    static const struct {
        uint64_t hashes;
        size_t room;
    } cases[] = {
        {0, 1024},          {512, 1024},         {513, 2048},           {40000, 131072},
        {1 << 21, 1 << 22}, {1u << 30, 1 << 22}, {UINT64_MAX, 1 << 22},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_uint_eq(sim_distinct_room(cases[i].hashes), cases[i].room);
    }
}
END_TEST

static sim_distinct *set_of(size_t room) {
    sim_distinct *set = calloc(1, sim_distinct_size(room));
    ck_assert_ptr_nonnull(set);
    return set;
}

/* All of them different, and each twice; they crowd at one end of the set. */
START_TEST(all_that_were_announced_fit) {
    const uint64_t hashes = 600;
    size_t room = sim_distinct_room(hashes);
    sim_distinct *set = set_of(room);
    for (uint64_t i = 0; i < 2 * hashes; i++) {
        sim_distinct_add(set, room, (i % hashes + 1) << 40);
    }
    ck_assert_uint_eq(atomic_load(&set->count), hashes);
    ck_assert(!atomic_load(&set->full));
    free(set);
}
END_TEST

START_TEST(a_full_set_says_so) {
    size_t room = SIM_DISTINCT_ROOM_MIN;
    sim_distinct *set = set_of(room);
    for (uint64_t i = 1; i <= room / 4 * 3; i++) {
        sim_distinct_add(set, room, i);
    }
    ck_assert(!atomic_load(&set->full));
    sim_distinct_add(set, room, 1); /* it is there */
    ck_assert(!atomic_load(&set->full));
    sim_distinct_add(set, room, room);
    ck_assert(atomic_load(&set->full));
    ck_assert_uint_eq(atomic_load(&set->count), room / 4 * 3);
    free(set);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("distinct");
    TCase *tc = tcase_create("distinct");
    tcase_add_test(tc, there_is_room_for_twice_as_many);
    tcase_add_test(tc, all_that_were_announced_fit);
    tcase_add_test(tc, a_full_set_says_so);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
