/* SPDX-License-Identifier: MIT */
/*
 * Memory through a reactor's allocator (core/src/alloc.c): the contract of drywire/alloc.h. An
 * allocator may count on it: sizes above 0, never NULL to resize or release (fake_alloc and its
 * like check that).
 */
#include "test_core_wire.h"

static fake *f;

static void setup(void) {
    f = fake_new();
}

static void teardown(void) {
    fake_fini(f);
}

START_TEST(a_block_of_no_bytes_is_a_block) {
    void *block = dw_alloc(&f->reactor, 0);
    ck_assert_ptr_nonnull(block);
    block = dw_resize(&f->reactor, block, 0);
    ck_assert_ptr_nonnull(block);
    dw_free(&f->reactor, block);
    block = dw_alloc_zeroed(&f->reactor, 0);
    ck_assert_ptr_nonnull(block);
    dw_free(&f->reactor, block);
}
END_TEST

START_TEST(free_takes_null) {
    dw_free(&f->reactor, NULL);
    ck_assert_uint_eq(f->blocks, 0);
}
END_TEST

START_TEST(zeroed_is_zero) {
    struct {
        uint64_t a[9];
        void *b;
    } *object = NULL, zero;
    memset(&zero, 0, sizeof(zero));
    uint8_t *block = dw_alloc_zeroed(&f->reactor, 1000);
    object = dw_alloc_zeroed(&f->reactor, sizeof(*object));
    ck_assert(block != NULL && object != NULL);
    for (int i = 0; i < 1000; i++) {
        ck_assert_uint_eq(block[i], 0);
    }
    ck_assert_mem_eq(object, &zero, sizeof(zero));
    dw_free(&f->reactor, object);
    dw_free(&f->reactor, block);
}
END_TEST

START_TEST(resize_of_null_is_an_allocation_and_a_failed_one_keeps_the_block) {
    char *block = dw_resize(&f->reactor, NULL, 4);
    ck_assert_ptr_nonnull(block);
    memcpy(block, "abc", 4);
    f->fail_in = 1;
    ck_assert_ptr_null(dw_resize(&f->reactor, block, 4000));
    ck_assert_str_eq(block, "abc");
    block = dw_resize(&f->reactor, block, 4000);
    ck_assert_str_eq(block, "abc");
    dw_free(&f->reactor, block);
}
END_TEST

START_TEST(a_failed_allocation_is_null) {
    f->fail_in = 1;
    ck_assert_ptr_null(dw_alloc(&f->reactor, 1));
    f->fail_in = 1;
    ck_assert_ptr_null(dw_alloc_zeroed(&f->reactor, 1));
    f->fail_in = 1;
    ck_assert_ptr_null(dw_resize(&f->reactor, NULL, 1));
}
END_TEST

START_TEST(libc_is_an_allocator) {
    const dw_allocator *libc = &dw_allocator_libc;
    char *block = libc->alloc(libc->user, 4, "here");
    ck_assert_ptr_nonnull(block);
    memcpy(block, "abc", 4);
    block = libc->resize(libc->user, block, 4000, "here");
    ck_assert_str_eq(block, "abc");
    libc->release(libc->user, block);
    libc->release(libc->user, NULL);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core alloc");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_block_of_no_bytes_is_a_block);
    tcase_add_test(tc, free_takes_null);
    tcase_add_test(tc, zeroed_is_zero);
    tcase_add_test(tc, resize_of_null_is_an_allocation_and_a_failed_one_keeps_the_block);
    tcase_add_test(tc, a_failed_allocation_is_null);
    tcase_add_test(tc, libc_is_an_allocator);
    return run_case(tc);
}
