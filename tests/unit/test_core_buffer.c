/* SPDX-License-Identifier: MIT */
/*
 * Write buffers (core/src/buffer.c): what goes in comes out, through growing, moving to the front
 * and the pool; failures change nothing; memory stays in proportion to what is kept.
 */
#include "test_core_wire.h"

static fake *f;
static dw_buffer *buffer;

static void setup(void) {
    f = fake_new();
    buffer = NULL;
}

static void teardown(void) {
    dw_buffer_release(&f->reactor, buffer);
    fake_fini(f);
}

static bool append(const void *data, size_t len) {
    return dw_buffer_append(&f->reactor, &buffer, data, len);
}

static void release(void) {
    dw_buffer_release(&f->reactor, buffer);
    buffer = NULL;
}

START_TEST(bytes_come_out_as_they_went_in) {
    static uint8_t in[100000], out[100000];
    size_t written = 0, read = 0;
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i * 131 + i / 256);
    }
    for (size_t step = 1; read < sizeof(in); step = step * 5 % 4093) {
        size_t len = step < sizeof(in) - written ? step : sizeof(in) - written;
        ck_assert(append(in + written, len));
        written += len;
        size_t take = step % 3 == 0 ? buffer_len(buffer) : buffer_len(buffer) / 2;
        take = written == sizeof(in) ? buffer_len(buffer) : take;
        memcpy(out + read, buffer->bytes + buffer->head, take);
        buffer->head += take;
        read += take;
        ck_assert_uint_eq(buffer_len(buffer), written - read);
    }
    ck_assert_mem_eq(out, in, sizeof(in));
}
END_TEST

START_TEST(a_failed_append_changes_nothing) {
    static const uint8_t much[100000];
    f->fail_in = 1;
    ck_assert(!append("abc", 3));
    ck_assert_ptr_null(buffer);
    ck_assert(append("abc", 3));
    f->fail_in = 1;
    ck_assert(!append(much, sizeof(much)));
    ck_assert_uint_eq(buffer_len(buffer), 3);
    ck_assert_mem_eq(buffer->bytes + buffer->head, "abc", 3);
    ck_assert(append(much, sizeof(much)));
    ck_assert_uint_eq(buffer_len(buffer), 3 + sizeof(much));
}
END_TEST

START_TEST(an_empty_buffer_is_used_again) {
    ck_assert(append("abc", 3));
    size_t blocks = f->blocks;
    release();
    f->fail_in = 1; /* not asked */
    ck_assert(append("de", 2));
    ck_assert_uint_eq(f->fails, 0);
    ck_assert_uint_eq(f->blocks, blocks);
    ck_assert_uint_eq(buffer_len(buffer), 2);
    ck_assert_mem_eq(buffer->bytes + buffer->head, "de", 2);
    f->fail_in = 0;
}
END_TEST

START_TEST(a_buffer_too_small_stays_in_the_pool) {
    static const uint8_t much[50000];
    ck_assert(append("abc", 3));
    release();
    ck_assert(append(much, sizeof(much)));
    ck_assert_uint_eq(f->blocks, 2);
    ck_assert_uint_eq(buffer_len(buffer), sizeof(much));
}
END_TEST

/* A burst on many connections does not keep its memory for ever: at most eight buffers of at most
 * 64 KiB each. */
START_TEST(the_pool_is_small) {
    static const uint8_t huge[65537];
    dw_buffer *many[20] = {NULL};
    for (int i = 0; i < 20; i++) {
        ck_assert(dw_buffer_append(&f->reactor, &many[i], "x", 1));
    }
    for (int i = 0; i < 20; i++) {
        dw_buffer_release(&f->reactor, many[i]);
    }
    ck_assert_uint_eq(f->blocks, 8);
    ck_assert(append(huge, sizeof(huge)));
    release();
    ck_assert_uint_eq(f->blocks, 8);
    dw_buffer_pool_clear(&f->reactor);
    ck_assert_uint_eq(f->blocks, 0);
    dw_buffer_release(&f->reactor, NULL);
}
END_TEST

/* A slow reader that always keeps some bytes back: what is read is not kept. */
START_TEST(a_buffer_that_never_empties_does_not_grow_without_bound) {
    static const uint8_t piece[1000];
    ck_assert(append(piece, 1000));
    for (int i = 0; i < 10000; i++) {
        ck_assert(append(piece, 1000));
        buffer->head += 1000;
    }
    ck_assert_uint_eq(buffer_len(buffer), 1000);
    ck_assert_uint_le(buffer->room, 16384);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core buffer");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, bytes_come_out_as_they_went_in);
    tcase_add_test(tc, a_failed_append_changes_nothing);
    tcase_add_test(tc, an_empty_buffer_is_used_again);
    tcase_add_test(tc, a_buffer_too_small_stays_in_the_pool);
    tcase_add_test(tc, the_pool_is_small);
    tcase_add_test(tc, a_buffer_that_never_empties_does_not_grow_without_bound);
    return run_case(tc);
}
