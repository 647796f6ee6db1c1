/* SPDX-License-Identifier: MIT */
/*
 * The store by itself: what it keeps, in which order, until when, and that a change without memory
 * changes nothing.
 */
#include "glob.h"
#include "kv_support.h"

#include <stdio.h>

static dw_test_transport *wire;
static kv_store store;

static void setup(void) {
    wire = dw_test_transport_new();
    ck_assert_int_eq(kv_store_init(&store, dw_test_transport_reactor(wire), 0), 0);
}

static void teardown(void) {
    kv_store_fini(&store);
    ck_assert_uint_eq(store.memory, 0);
    ck_assert_uint_eq(dw_test_transport_allocations(wire), 0);
    dw_test_transport_free(wire);
}

static int set(const char *key, const char *value) {
    return kv_store_set(&store, kv_text(key), kv_text(value), KV_NO_DEADLINE);
}

static int set_until(const char *key, int64_t deadline_ms) {
    return kv_store_set(&store, kv_text(key), kv_text("v"), deadline_ms);
}

static bool has(const char *key, const char *value) {
    const kv_entry *entry = kv_store_find(&store, kv_text(key));
    return entry != NULL && entry->value_len == strlen(value) &&
           memcmp(entry->value, value, entry->value_len) == 0;
}

static bool lacks(const char *key) {
    return kv_store_find(&store, kv_text(key)) == NULL;
}

/* All keys in their order, with a space behind each. */
static const char *keys(void) {
    static char out[512];
    size_t at = 0;
    out[0] = '\0';
    const kv_entry *entry = NULL;
    while ((entry = kv_store_next(&store, entry)) != NULL) {
        at += (size_t)snprintf(out + at, sizeof(out) - at, "%.*s ", (int)entry->key_len,
                               (const char *)entry->key);
    }
    return out;
}

START_TEST(a_value_is_found_until_it_is_deleted) {
    ck_assert_int_eq(set("a", "1"), 0);
    ck_assert(has("a", "1"));
    ck_assert(lacks("b"));
    kv_store_delete(&store, kv_store_find(&store, kv_text("a")));
    ck_assert(lacks("a"));
    ck_assert_uint_eq(kv_store_count(&store), 0);
}
END_TEST

START_TEST(keys_stay_in_the_order_they_were_made) {
    set("b", "1");
    set("a", "2");
    set("c", "3");
    set("b", "4");
    ck_assert_str_eq(keys(), "b a c ");
    kv_store_delete(&store, kv_store_find(&store, kv_text("a")));
    set("a", "5");
    ck_assert_str_eq(keys(), "b c a ");
}
END_TEST

START_TEST(many_keys_survive_growing_and_shrinking) {
    char key[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        ck_assert_int_eq(set(key, key), 0);
        snprintf(key, sizeof(key), "key:%d", i / 2);
        ck_assert(has(key, key));
    }
    ck_assert_uint_eq(kv_store_count(&store), 20000);
    for (int i = 0; i < 20000; i += 2) {
        snprintf(key, sizeof(key), "key:%d", i);
        kv_store_delete(&store, kv_store_find(&store, kv_text(key)));
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        ck_assert(i % 2 == 0 ? lacks(key) : has(key, key));
    }
    kv_store_clear(&store);
    ck_assert_uint_eq(kv_store_count(&store), 0);
    ck_assert(lacks("key:1"));
    ck_assert_int_eq(set("key:1", "again"), 0);
    ck_assert(has("key:1", "again"));
}
END_TEST

START_TEST(values_of_any_bytes_and_length_are_kept) {
    static const uint8_t bytes[] = {0, 13, 10, 255, 0};
    kv_slice odd = {bytes, sizeof(bytes)}, none = {NULL, 0};
    ck_assert_int_eq(kv_store_set(&store, odd, none, KV_NO_DEADLINE), 0);
    ck_assert_int_eq(kv_store_set(&store, none, odd, KV_NO_DEADLINE), 0);
    ck_assert_uint_eq(kv_store_find(&store, odd)->value_len, 0);
    ck_assert_mem_eq(kv_store_find(&store, none)->value, bytes, sizeof(bytes));
}
END_TEST

START_TEST(appending_lengthens_a_value) {
    set("a", "");
    kv_entry *entry = kv_store_find(&store, kv_text("a"));
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(kv_store_append(&store, entry, kv_text("abc")), 0);
    }
    ck_assert_uint_eq(entry->value_len, 3000);
    ck_assert_mem_eq(entry->value + 2994, "abcabc", 6);
}
END_TEST

START_TEST(a_key_is_gone_when_its_deadline_has_passed) {
    int64_t now = kv_store_now(&store);
    set_until("a", now + 100);
    set("b", "stays");
    dw_test_transport_advance(wire, DW_MSEC(100));
    ck_assert(has("a", "v"));
    dw_test_transport_advance(wire, DW_MSEC(1));
    ck_assert(lacks("a"));
    ck_assert(has("b", "stays"));
}
END_TEST

START_TEST(keys_past_their_deadline_are_swept_though_nobody_asks) {
    int64_t now = kv_store_now(&store);
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        set_until(key, now + 1 + (i * 7919) % 1000);
    }
    dw_test_transport_advance(wire, DW_MSEC(501));
    ck_assert_uint_eq(kv_store_count(&store), 500);
    dw_test_transport_advance(wire, DW_MSEC(500));
    ck_assert_uint_eq(kv_store_count(&store), 0);
}
END_TEST

START_TEST(a_deadline_can_be_moved_and_taken_away) {
    int64_t now = kv_store_now(&store);
    set_until("a", now + 100);
    set_until("b", now + 100);
    set_until("c", now + 100);
    kv_store_set_deadline(&store, kv_store_find(&store, kv_text("a")), KV_NO_DEADLINE);
    kv_store_set_deadline(&store, kv_store_find(&store, kv_text("b")), now + 300);
    set("c", "without"); /* SET takes the deadline away */
    dw_test_transport_advance(wire, DW_MSEC(200));
    ck_assert_str_eq(keys(), "a b c ");
    dw_test_transport_advance(wire, DW_MSEC(200));
    ck_assert_str_eq(keys(), "a c ");
    ck_assert_uint_eq(dw_reactor_count(dw_test_transport_reactor(wire)).delayed_calls, 0);
}
END_TEST

START_TEST(a_deadline_far_away_does_not_overflow) {
    ck_assert_int_eq(set_until("a", INT64_MAX - 1), 0);
    dw_test_transport_advance(wire, DW_HOUR(100));
    ck_assert(has("a", "v"));
}
END_TEST

START_TEST(many_keys_are_set_together_or_not_at_all) {
    kv_slice pairs[] = {kv_text("a"), kv_text("1"), kv_text("b"),
                        kv_text("2"), kv_text("a"), kv_text("3")};
    set_until("b", kv_store_now(&store) + 5);
    set("z", "old");
    for (unsigned n = 1; n <= 6; n++) {
        dw_test_transport_fail_alloc(wire, n, false);
        ck_assert_int_eq(kv_store_set_many(&store, pairs, 3), DW_NO_MEMORY);
        ck_assert_str_eq(keys(), "b z ");
        ck_assert(has("b", "v"));
    }
    dw_test_transport_fail_alloc(wire, 0, false);
    ck_assert_int_eq(kv_store_set_many(&store, pairs, 3), 0);
    ck_assert_str_eq(keys(), "b z a ");
    ck_assert(has("a", "3"));
    ck_assert(has("b", "2"));
    dw_test_transport_advance(wire, DW_SEC(1));
    ck_assert(has("b", "2"));
}
END_TEST

START_TEST(a_change_without_memory_changes_nothing) {
    set("a", "old");
    kv_entry *entry = kv_store_find(&store, kv_text("a"));
    size_t memory = store.memory;
    kv_slice large = kv_text("a value that is longer than what the entry has room for");
    dw_test_transport_fail_alloc(wire, 1, true);
    ck_assert_int_eq(kv_store_replace(&store, entry, large), DW_NO_MEMORY);
    ck_assert_int_eq(kv_store_append(&store, entry, large), DW_NO_MEMORY);
    ck_assert_int_eq(kv_store_set(&store, kv_text("a"), large, KV_NO_DEADLINE), DW_NO_MEMORY);
    ck_assert_int_eq(kv_store_set_deadline(&store, entry, 1000), DW_NO_MEMORY);
    ck_assert_int_eq(set("b", "1"), DW_NO_MEMORY);
    ck_assert_int_eq(set_until("a", 1000), DW_NO_MEMORY);
    ck_assert_uint_eq(store.memory, memory);
    dw_test_transport_advance(wire, DW_MIN(1));
    ck_assert(has("a", "old"));
    ck_assert_str_eq(keys(), "a ");
}
END_TEST

START_TEST(a_table_that_cannot_grow_goes_on) {
    char key[32];
    unsigned failed = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        dw_test_transport_fail_alloc(wire, 3, false); /* after the key and its value */
        failed += set(key, "v") != 0 ? 1 : 0;
    }
    ck_assert_uint_eq(failed, 0);
    ck_assert_uint_eq(store.table.mask, 63);
    dw_test_transport_fail_alloc(wire, 0, false);
    ck_assert(has("key:999", "v"));
    set("one more", "v");
    ck_assert(has("key:0", "v"));
    ck_assert_uint_gt(store.table.mask, 63);
}
END_TEST

START_TEST(the_memory_limit_is_kept) {
    kv_store_fini(&store);
    ck_assert_int_eq(kv_store_init(&store, dw_test_transport_reactor(wire), 4000), 0);
    char key[32];
    int done = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        done += set(key, "0123456789") == 0 ? 1 : 0;
        ck_assert_uint_le(store.memory, 4000);
    }
    ck_assert_int_gt(done, 10);
    ck_assert_int_lt(done, 40);
    ck_assert(has("key:0", "0123456789"));
    ck_assert_int_eq(set("key:0", "9876543210"), 0); /* needs nothing more */
}
END_TEST

static bool glob(const char *pattern, const char *text) {
    return kv_glob(kv_text(pattern), kv_text(text));
}

/* The examples of redis.io, "KEYS", and corners. */
START_TEST(patterns_match_as_redis_says) {
    ck_assert(glob("h?llo", "hello") && glob("h?llo", "hxllo") && !glob("h?llo", "hllo"));
    ck_assert(glob("h*llo", "hllo") && glob("h*llo", "heeeello") && !glob("h*llo", "hllox"));
    ck_assert(glob("h[ae]llo", "hello") && glob("h[ae]llo", "hallo") && !glob("h[ae]llo", "hillo"));
    ck_assert(glob("h[^e]llo", "hallo") && !glob("h[^e]llo", "hello"));
    ck_assert(glob("h[a-b]llo", "hbllo") && !glob("h[a-b]llo", "hcllo"));
    ck_assert(glob("h[b-a]llo", "hallo"));
    ck_assert(glob("\\*", "*") && !glob("\\*", "a") && glob("[\\]]", "]"));
    ck_assert(glob("*", "") && glob("**", "") && !glob("?", "") && glob("", "") && !glob("", "a"));
    ck_assert(glob("*a*b*", "xxaxxbxx") && !glob("*a*b*", "xxbxxaxx"));
    ck_assert(glob("[", "[") == false && glob("a\\", "a\\"));
}
END_TEST

START_TEST(a_nasty_pattern_takes_no_time) {
    char pattern[201], text[10001];
    for (size_t i = 0; i < 200; i += 2) {
        memcpy(pattern + i, "*a", 2);
    }
    pattern[199] = 'b';
    pattern[200] = '\0';
    memset(text, 'a', 10000);
    text[10000] = '\0';
    ck_assert(!glob(pattern, text));
}
END_TEST

START_TEST(hashes_depend_on_the_key_and_on_every_byte) {
    kv_hash_key one = {1, 2}, two = {1, 3};
    uint8_t data[20] = {0};
    uint64_t first = kv_hash(&one, data, sizeof(data));
    ck_assert_uint_eq(first, kv_hash(&one, data, sizeof(data)));
    ck_assert_uint_ne(first, kv_hash(&two, data, sizeof(data)));
    ck_assert_uint_ne(first, kv_hash(&one, data, sizeof(data) - 1));
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = 1;
        ck_assert_uint_ne(first, kv_hash(&one, data, sizeof(data)));
        data[i] = 0;
    }
}
END_TEST

static void add_tests(TCase *tc) {
    tcase_add_test(tc, a_value_is_found_until_it_is_deleted);
    tcase_add_test(tc, keys_stay_in_the_order_they_were_made);
    tcase_add_test(tc, many_keys_survive_growing_and_shrinking);
    tcase_add_test(tc, values_of_any_bytes_and_length_are_kept);
    tcase_add_test(tc, appending_lengthens_a_value);
    tcase_add_test(tc, a_key_is_gone_when_its_deadline_has_passed);
    tcase_add_test(tc, keys_past_their_deadline_are_swept_though_nobody_asks);
    tcase_add_test(tc, a_deadline_can_be_moved_and_taken_away);
    tcase_add_test(tc, a_deadline_far_away_does_not_overflow);
    tcase_add_test(tc, many_keys_are_set_together_or_not_at_all);
    tcase_add_test(tc, a_change_without_memory_changes_nothing);
    tcase_add_test(tc, a_table_that_cannot_grow_goes_on);
    tcase_add_test(tc, the_memory_limit_is_kept);
    tcase_add_test(tc, patterns_match_as_redis_says);
    tcase_add_test(tc, a_nasty_pattern_takes_no_time);
    tcase_add_test(tc, hashes_depend_on_the_key_and_on_every_byte);
}

int main(void) {
    Suite *suite = suite_create("kv_store");
    TCase *tc = tcase_create("store");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_tests(tc);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
