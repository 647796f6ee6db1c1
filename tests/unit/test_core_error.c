/* SPDX-License-Identifier: MIT */
/*
 * Errors (core/src/error.c): each one of drywire/error.h has a number, a name and a text of its
 * own; a reason is written in one line.
 */
#include "test_core_wire.h"

#define ERROR_NUMBER(name, value, text) name,
static const int numbers[] = {DW_ERROR_TABLE(ERROR_NUMBER)};
#define ERROR_NAME(name, value, text) #name,
static const char *const names[] = {DW_ERROR_TABLE(ERROR_NAME)};
enum { ERRORS = sizeof(numbers) / sizeof(numbers[0]) };

START_TEST(every_error_is_negative_and_has_its_own_name_and_text) {
    ck_assert_int_lt(numbers[_i], 0);
    ck_assert_str_eq(dw_error_name(numbers[_i]), names[_i]);
    ck_assert_uint_gt(strlen(dw_strerror(numbers[_i])), 3);
    for (int i = 0; i < _i; i++) {
        ck_assert_int_ne(numbers[i], numbers[_i]);
        ck_assert_str_ne(dw_strerror(numbers[i]), dw_strerror(numbers[_i]));
    }
}
END_TEST

START_TEST(what_is_no_error_has_a_text_all_the_same) {
    ck_assert_str_eq(dw_error_name(DW_OK), "DW_OK");
    ck_assert_str_eq(dw_strerror(DW_OK), "no error");
    ck_assert_str_eq(dw_error_name(1), "DW_UNKNOWN");
    ck_assert_str_eq(dw_strerror(INT32_MIN), "unknown error");
}
END_TEST

START_TEST(a_reason_is_its_kind_then_its_text_then_the_systems_word) {
    char text[200], expected[200];
    const char *kind = dw_strerror(DW_CONNECTION_LOST);
    dw_reason reason = {DW_CONNECTION_LOST, 0, NULL};
    ck_assert_str_eq(dw_reason_format(&reason, text, sizeof(text)), kind);
    reason.text = "more";
    snprintf(expected, sizeof(expected), "%s: more", kind);
    ck_assert_str_eq(dw_reason_format(&reason, text, sizeof(text)), expected);
    reason.sys_errno = ECONNRESET;
    snprintf(expected, sizeof(expected), "%s: more: %s", kind, strerror(ECONNRESET));
    ck_assert_str_eq(dw_reason_format(&reason, text, sizeof(text)), expected);
    reason.text = NULL;
    snprintf(expected, sizeof(expected), "%s: %s", kind, strerror(ECONNRESET));
    ck_assert_str_eq(dw_reason_format(&reason, text, sizeof(text)), expected);
}
END_TEST

START_TEST(a_reason_is_cut_to_the_buffer) {
    char text[8];
    dw_reason reason = {DW_NO_MEMORY, 0, NULL};
    memset(text, 'x', sizeof(text));
    ck_assert_ptr_eq(dw_reason_format(&reason, text, 7), text);
    ck_assert_str_eq(text, "out of");
    ck_assert_int_eq(text[7], 'x');
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core error");
    tcase_add_loop_test(tc, every_error_is_negative_and_has_its_own_name_and_text, 0, ERRORS);
    tcase_add_test(tc, what_is_no_error_has_a_text_all_the_same);
    tcase_add_test(tc, a_reason_is_its_kind_then_its_text_then_the_systems_word);
    tcase_add_test(tc, a_reason_is_cut_to_the_buffer);
    return run_case(tc);
}
