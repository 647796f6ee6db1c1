/* SPDX-License-Identifier: MIT */
/*
 * The allocator of live reactors: what malloc promises (C11, 7.22.3), and what slabs are for, that
 * a small block costs no more than its size in steps of 16.
 */
#include "../../real/src/slab.h"
#include "../suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct dw_slabs slabs;
static dw_allocator allocator;

static void begin(void) {
    memset(&slabs, 0, sizeof(slabs));
    allocator = dw_slabs_allocator(&slabs);
}

static void *take(size_t size) {
    void *block = allocator.alloc(allocator.user, size, "here");
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq((uintptr_t)block % DW_SLAB_STEP, 0);
    return block;
}

static void give(void *block) {
    allocator.release(allocator.user, block);
}

START_TEST(blocks_of_one_size_lie_side_by_side) {
    begin();
    char *first = take(96), *second = take(90), *third = take(96);
    if (slabs.count > 0) { /* else a sanitizer watches malloc's */
        ck_assert_uint_eq(slabs.count, 1);
        ck_assert_ptr_eq(second, first + 96);
        ck_assert_ptr_eq(third, second + 96);
    }
    give(first);
    give(second);
    give(third);
    dw_slabs_fini(&slabs);
}
END_TEST

struct shadow {
    unsigned char *block;
    size_t size;
    unsigned char fill;
};

static void check(const struct shadow *shadow) {
    for (size_t i = 0; i < shadow->size; i++) {
        ck_assert_int_eq(shadow->block[i], shadow->fill);
    }
}

static uint32_t next(uint32_t *state) { /* xorshift: Marsaglia, 2003 */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static void fill(struct shadow *shadow, size_t size, unsigned char with) {
    shadow->size = size;
    shadow->fill = with;
    memset(shadow->block, with, size);
}

/* Every block holds what was written to it until it is released, whatever the others do. */
START_TEST(no_block_overlaps_another) {
    enum { BLOCKS = 5000, STEPS = 200000 };
    static struct shadow all[BLOCKS];
    uint32_t random = 2463534242u;
    memset(all, 0, sizeof(all));
    begin();
    for (int step = 0; step < STEPS; step++) {
        struct shadow *one = &all[next(&random) % BLOCKS];
        size_t size = 1 + next(&random) % (step % 50 == 0 ? 4000 : DW_SLAB_BLOCK_MAX + 20);
        if (one->block == NULL) {
            one->block = take(size);
            fill(one, size, (unsigned char)step);
        } else if (step % 3 == 0) {
            size_t kept = size < one->size ? size : one->size;
            one->block = allocator.resize(allocator.user, one->block, size, "here");
            ck_assert_ptr_nonnull(one->block);
            one->size = kept;
            check(one);
            fill(one, size, (unsigned char)step);
        } else {
            check(one);
            give(one->block);
            one->block = NULL;
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (all[i].block != NULL) {
            check(&all[i]);
            give(all[i].block);
        }
    }
    ck_assert_uint_le(slabs.count, DW_SLAB_BLOCK_MAX / DW_SLAB_STEP); /* one of a size may stay */
    dw_slabs_fini(&slabs);
}
END_TEST

START_TEST(memory_goes_back_when_the_crowd_has_gone) {
    enum { CROWD = 100000 };
    void **crowd = malloc(CROWD * sizeof(*crowd));
    ck_assert_ptr_nonnull(crowd);
    begin();
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = take(96);
    }
    if (slabs.count > 0) {
        ck_assert_uint_ge(slabs.count, CROWD * 96 / 65536);
    }
    for (int i = 0; i < CROWD; i++) {
        give(crowd[i]);
    }
    ck_assert_uint_le(slabs.count, 1);
    free(crowd);
    dw_slabs_fini(&slabs);
}
END_TEST

START_TEST(null_may_be_released_and_nothing_need_be) {
    begin();
    give(NULL);
    void *large = take(100000);
    void *small = take(1);
    give(NULL);
    give(large);
    if (slabs.count == 0) {
        give(small); /* malloc's */
    }
    dw_slabs_fini(&slabs); /* with a block that nobody has released */
    ck_assert_uint_eq(slabs.count, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slab");
    TCase *tcase = tcase_create("slab");
    tcase_add_test(tcase, blocks_of_one_size_lie_side_by_side);
    tcase_add_test(tcase, no_block_overlaps_another);
    tcase_add_test(tcase, memory_goes_back_when_the_crowd_has_gone);
    tcase_add_test(tcase, null_may_be_released_and_nothing_need_be);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
