/* SPDX-License-Identifier: MIT */
/*
 * How every test program of libcheck ends: main runs its suite by Check's usual rules (CK_FORK,
 * CK_RUN_CASE, CK_VERBOSITY, ...) and returns whether all of it passed.
 */
#ifndef DRYWIRE_TESTS_SUITE_H
#define DRYWIRE_TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Takes the suite; returns main's status. */
static inline int run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
