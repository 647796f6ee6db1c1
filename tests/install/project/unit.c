/* SPDX-License-Identifier: MIT */
/* The greeting in a unit test of libcheck, without a network. */
#include "hello.h"

#include <drywire/check.h>

START_TEST(client_is_greeted_and_left) {
    dw_test_transport *transport = dw_test_transport_new();
    struct hello_server server;
    hello_server_init(&server, dw_test_transport_reactor(transport));
    dw_test_transport_build(transport, &server.base);
    dw_test_transport_advance(transport, 0);
    ck_assert_str_eq(dw_test_transport_written(transport, NULL), HELLO_GREETING);
    ck_assert(dw_test_transport_sent_fin(transport));
    dw_test_transport_free(transport);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("hello");
    TCase *tests = tcase_create("greeting");
    tcase_add_test(tests, client_is_greeted_and_left);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
