/* SPDX-License-Identifier: MIT */
/*
 * Endpoints from descriptions. How a description is cut is Twisted's (22.4, endpoints.py): the rows
 * below are what its _parse says. What the arguments do: test_endpoint_sim.c, and for files and
 * descriptors test_endpoint_live.c.
 */
#include "test_core_wire.h"

/* ---- Cutting ---- */

/* A type of our own that writes down what it is given: "positional|..." then "name=value|...". */
static char written[500];

static void write_word(const char *prefix, const char *name, const char *value) {
    size_t used = strlen(written);
    snprintf(written + used, sizeof(written) - used, "%s%s%s%s|", prefix, name,
             name[0] != '\0' ? "=" : "", value);
}

static const char *const asked_names[] = {"k", "k=l", "a:b", "d", "host"};

static int written_parse(dw_reactor *reactor, dw_endpoint_args *args, dw_client_endpoint **out) {
    (void)reactor, (void)out;
    written[0] = '\0';
    for (int i = 0;; i++) {
        const char *value = dw_endpoint_arg(args, "nobody has this name", i);
        if (value == NULL) {
            break;
        }
        write_word("", "", value);
    }
    for (size_t i = 0; i < sizeof(asked_names) / sizeof(asked_names[0]); i++) {
        const char *value = dw_endpoint_arg(args, asked_names[i], -1);
        if (value != NULL) {
            write_word("", asked_names[i], value);
        }
    }
    return DW_UNSUPPORTED;
}

static fake *f;
static char error[DW_ENDPOINT_ERROR_MAX];

static void setup(void) {
    f = fake_new();
}

static void teardown(void) {
    fake_fini(f);
}

static int parse_client(const char *description) {
    dw_client_endpoint *endpoint = NULL;
    int result =
        dw_client_endpoint_parse(&f->reactor, description, &endpoint, error, sizeof(error));
    ck_assert_int_eq(endpoint != NULL, result == 0);
    dw_client_endpoint_free(endpoint);
    return result;
}

static int parse_server(const char *description) {
    dw_server_endpoint *endpoint = NULL;
    int result =
        dw_server_endpoint_parse(&f->reactor, description, &endpoint, error, sizeof(error));
    ck_assert_int_eq(endpoint != NULL, result == 0);
    dw_server_endpoint_free(endpoint);
    return result;
}

static const struct {
    const char *description, *written;
} cuts[] = {
    {"x", ""},
    {"x:", "|"},
    {"x::", "||"},
    {"x:a", "a|"},
    {"x:a:b", "a|b|"},
    {"x:k=b", "k=b|"},
    {"x:k=b=c", "k=b=c|"}, /* only the first '=' of an argument means something */
    {"x:a\\=b", "a=b|"},
    {"x:a\\:b", "a:b|"},
    {"x:\\\\", "\\|"},
    {"x:a\\b", "ab|"}, /* any character may be escaped */
    {"x:k=", "k=|"},
    {"x:k=a\\:b\\=c:d", "d|k=a:b=c|"},
    {"x:a:k=1:b", "a|b|k=1|"}, /* positions count what has no name */
    {"x: a : b ", " a | b |"},
    {"x:k\\=l=m", "k=l=m|"},
    {"x:a\\:b=c", "a:b=c|"},
    {"\\x:a", "a|"},
    {"X:a", "a|"},
    {"x:host=h:d=e=:f", "f|d=e=|host=h|"},
};

START_TEST(descriptions_are_cut_as_twisted_cuts_them) {
    dw_endpoint_type type = {.prefix = "x", .parse_client = written_parse};
    dw_endpoint_register(&f->reactor, &type);
    ck_assert_int_eq(parse_client(cuts[_i].description), DW_UNSUPPORTED);
    ck_assert_str_eq(written, cuts[_i].written);
}
END_TEST

/* ---- Quoting ---- */

/* As quoteStringArgument does, and '=', which it forgets. */
static const struct {
    const char *plain, *quoted;
} quotes[] = {
    {"", ""},           {"a", "a"},         {"a:b", "a\\:b"},
    {"a\\b", "a\\\\b"}, {"a=b", "a\\=b"},   {"C:\\x", "C\\:\\\\x"},
    {":", "\\:"},       {"\\:", "\\\\\\:"}, {"/run/a b", "/run/a b"},
};

START_TEST(what_is_quoted_stands_for_itself) {
    dw_endpoint_type type = {.prefix = "x", .parse_client = written_parse};
    char quoted[50], description[60], expected[60];
    dw_endpoint_register(&f->reactor, &type);
    size_t len = dw_endpoint_quote(quotes[_i].plain, quoted, sizeof(quoted));
    ck_assert_str_eq(quoted, quotes[_i].quoted);
    ck_assert_uint_eq(len, strlen(quotes[_i].quoted));
    snprintf(description, sizeof(description), "x:%s", quoted);
    snprintf(expected, sizeof(expected), "%s|", quotes[_i].plain);
    ck_assert_int_eq(parse_client(description), DW_UNSUPPORTED);
    ck_assert_str_eq(written, expected);
}
END_TEST

START_TEST(a_quote_that_does_not_fit_is_cut_as_snprintf_cuts) {
    char buffer[8] = "1234567";
    ck_assert_uint_eq(dw_endpoint_quote("ab:cd", buffer, 5), 6);
    ck_assert_str_eq(buffer, "ab\\:");
    ck_assert_uint_eq(dw_endpoint_quote("ab:cd", buffer, 4), 6);
    ck_assert_str_eq(buffer, "ab\\");
    ck_assert_uint_eq(dw_endpoint_quote("ab:cd", buffer, 1), 6);
    ck_assert_str_eq(buffer, "");
    ck_assert_uint_eq(dw_endpoint_quote("ab:cd", NULL, 0), 6);
}
END_TEST

/* ---- Complaints ---- */

static const struct {
    bool client;
    const char *description, *error;
} wrong[] = {
    {true, "", "it does not begin with the type of the endpoint"},
    {true, ":80", "it does not begin with the type of the endpoint"},
    {true, "host=a:80", "it does not begin with the type of the endpoint"},
    {true, "tpc:a:80",
     "there is no client endpoint 'tpc:' on the wire 'fake'; it has tcp, tcp6, unix"},
    {true, "sim:a:80",
     "there is no client endpoint 'sim:' on the wire 'fake'; it has tcp, tcp6, unix"},
    {false, "sim:80",
     "there is no server endpoint 'sim:' on the wire 'fake'; it has tcp, tcp6, unix, fd, systemd, "
     "haproxy, stdio"},
    {true, "fd:3", "'fd:' is for servers; on the wire 'fake' clients have tcp, tcp6, unix"},
    {true, "Haproxy:tcp:a:80",
     "'Haproxy:' is for servers; on the wire 'fake' clients have tcp, tcp6, unix"},
    {true, "tcp:a:80\\", "it ends in a backslash with nothing behind it"},
    {true, "tcp:a:80:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15", "more than 16 arguments"},
    {true, "tcp", "the host is missing"},
    {true, "tcp::80", "the host is missing"},
    {true, "tcp:port=80", "the host is missing"},
    {true, "tcp:a", "the port is missing"},
    {true, "tcp:host=a", "the port is missing"},
    {true, "tcp:a:0", "'port' is not within 1 and 65535: 0"},
    {true, "tcp:a:65536", "'port' is not within 1 and 65535: 65536"},
    {true, "tcp:a:99999999999999999999", "'port' is not within 1 and 65535: 99999999999999999999"},
    {true, "tcp:a:http", "'port' is not a number: 'http'"},
    {true, "tcp:a:", "'port' is not a number: ''"},
    {true, "tcp:a: 80", "'port' is not a number: ' 80'"},
    {true, "tcp:a:+80", "'port' is not a number: '+80'"},
    {true, "tcp:a:80x", "'port' is not a number: '80x'"},
    {true, "tcp:a:80:90", "one argument too many: '90'"},
    {true, "tcp:a:80:timout=3",
     "there is no argument 'timout'; there are host, port, timeout, bindAddress"},
    {true, "tcp:a:80:timeout=0", "'timeout' is not within 1 and 1000000000: 0"},
    {true, "tcp:a:80:timeout=1.5", "'timeout' is not a number: '1.5'"},
    {true, "tcp:a:80:timeout=3:timeout=4", "'timeout' is given twice"},
    {true, "tcp:a:80:port=81", "'port' is given twice, by its name and by its place"},
    {true, "tcp:a:80:bindAddress=b", "'bindAddress' is not an IP address: 'b'"},
    {true, "tcp6:a:80:bindAddress=1.2.3.4", "'bindAddress' is not an IPv6 address: '1.2.3.4'"},
    {true, "tcp6:1.2.3.4:80", "'host' is not an IPv6 address: '1.2.3.4'"},
    {true, "unix", "the path is missing"},
    {true, "unix:", "the path is missing"},
    {true, "unix:a:b", "one argument too many: 'b'"},
    {true, "unix:/a:mode=660", "there is no argument 'mode'; there are path, timeout"},
    {false, "tcp", "the port is missing"},
    {false, "tcp:x", "'port' is not a number: 'x'"},
    {false, "tcp:80:localhost", "'interface' is not an IP address: 'localhost'"},
    {false, "tcp:80:::1", "'backlog' is not a number: ''"}, /* "::1" must be quoted */
    {false, "tcp:80:backlog=0", "'backlog' is not within 1 and 2147483647: 0"},
    {false, "tcp:80:port=80", "'port' is given twice, by its name and by its place"},
    {false, "tcp6:80:interface=127.0.0.1", "'interface' is not an IPv6 address: '127.0.0.1'"},
    {false, "unix:/a:mode=8", "'mode' is not an octal number: '8'"},
    {false, "unix:/a:mode=1000", "'mode' is not within 1 and 777: 1000"},
    {false, "unix:/a:lockfile=0",
     "there is no argument 'lockfile'; there are address, mode, backlog"},
    {false, "tcp:80:bindAddress=1.2.3.4",
     "there is no argument 'bindAddress'; there are port, interface, backlog"},
    {false, "tcp6:80:timeout=3",
     "there is no argument 'timeout'; there are port, interface, backlog"},
    {true, "unix:/a:checkPID=1", "there is no argument 'checkPID'; there are path, timeout"},
    {false, "fd", "the descriptor's number is missing"},
    {false, "fd:-1", "'fd' is not a number: '-1'"},
    {false, "systemd:index=0", "the wire 'fake' takes no descriptors"},
};

START_TEST(what_is_wrong_is_said_precisely) {
    int result = wrong[_i].client ? parse_client(wrong[_i].description)
                                  : parse_server(wrong[_i].description);
    ck_assert_int_eq(result, DW_INVALID_ARGUMENT);
    ck_assert_str_eq(error, wrong[_i].error);
}
END_TEST

START_TEST(a_long_path_is_no_path) {
    char description[DW_UNIX_PATH_MAX + 10] = "unix:";
    memset(description + 5, 'p', DW_UNIX_PATH_MAX + 1);
    ck_assert_int_eq(parse_client(description), DW_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error, "longer than 107"));
    ck_assert_int_eq(parse_server(description), DW_INVALID_ARGUMENT);
    description[5 + DW_UNIX_PATH_MAX] = '\0';
    ck_assert_int_eq(parse_client(description), 0);
    ck_assert_int_eq(parse_server(description), 0);
}
END_TEST

START_TEST(nobody_has_to_ask_for_the_sentence) {
    dw_client_endpoint *endpoint = NULL;
    char tiny[4];
    ck_assert_int_eq(dw_client_endpoint_parse(&f->reactor, "tcp", &endpoint, NULL, 0),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_client_endpoint_parse(&f->reactor, "tcp", &endpoint, tiny, sizeof(tiny)),
                     DW_INVALID_ARGUMENT);
    ck_assert_str_eq(tiny, "the");
}
END_TEST

static const char *const fine_clients[] = {
    "tcp:a:80",       "tcp:host=a:port=80", "tcp:host=a:80",
    "tcp:a:port=80",  "TCP:a:80",           "tcp:a:80:timeout=5:bindAddress=1.2.3.4",
    "tcp:\\:\\:1:80", "tcp6:a:80",          "tcp6:\\:\\:1:80:bindAddress=\\:\\:1",
    "unix:/a",        "unix:path=/a",       "unix:/a:timeout=9",
    "unix:@a",
};
static const char *const fine_servers[] = {
    "tcp:0",
    "tcp:port=80",
    "tcp:80:127.0.0.1",
    "tcp:80:127.0.0.1:5",
    "tcp:80:",
    "tcp:80:interface=",
    "tcp:80:interface=\\:\\:1:backlog=50",
    "tcp6:80",
    "tcp6:80:50",
    "tcp6:80:50:\\:\\:1",
    "tcp6:80:interface=\\:\\:1",
    "unix:/a",
    "unix:address=/a",
    "unix:/a:660",
    "unix:/a:mode=0660:backlog=2",
    "fd:3",
    "fd:fd=3",
};

START_TEST(what_is_right_is_taken_and_each_allocation_may_fail) {
    bool client = (size_t)_i < sizeof(fine_clients) / sizeof(fine_clients[0]);
    const char *description =
        client ? fine_clients[_i]
               : fine_servers[(size_t)_i - sizeof(fine_clients) / sizeof(fine_clients[0])];
    int result = DW_NO_MEMORY;
    for (unsigned nth = 1; result == DW_NO_MEMORY; nth++) {
        f->fail_in = nth;
        result = client ? parse_client(description) : parse_server(description);
        f->fail_in = 0;
        ck_assert_uint_eq(f->blocks, 0);
        ck_assert_uint_lt(nth, 5);
    }
    ck_assert_msg(result == 0, "%s: %s", description, error);
    ck_assert_uint_eq(f->fails, 2); /* the text's copy, and the endpoint */
}
END_TEST

/* ---- Types of one's own ---- */

static int numbers_parse(dw_reactor *reactor, dw_endpoint_args *args, dw_server_endpoint **out) {
    long number = 7;
    int given = dw_endpoint_arg_number(args, "n", 0, 5, 9, &number);
    if (given < 0) {
        return given;
    }
    if (number == 6) {
        dw_endpoint_args_fail(args, "%ld is not a nice number", number);
        return dw_endpoint_args_fail(args, "and more"); /* the first complaint stands */
    }
    *out = dw_tcp_server_endpoint_new(reactor, (uint16_t)number, NULL, 0);
    return 0;
}

START_TEST(a_program_may_have_types_of_its_own) {
    dw_endpoint_type numbers = {.prefix = "numbers", .parse_server = numbers_parse};
    dw_endpoint_type tcp = {.prefix = "tcp", .parse_server = numbers_parse};
    dw_endpoint_register(&f->reactor, &numbers);
    ck_assert_int_eq(parse_server("Numbers:5"), 0);
    ck_assert_int_eq(parse_server("numbers"), 0);
    ck_assert_int_eq(parse_server("numbers:4"), DW_INVALID_ARGUMENT);
    ck_assert_str_eq(error, "'n' is not within 5 and 9: 4");
    ck_assert_int_eq(parse_server("numbers:6"), DW_INVALID_ARGUMENT);
    ck_assert_str_eq(error, "6 is not a nice number");
    ck_assert_int_eq(parse_server("numbers:7:8"), DW_INVALID_ARGUMENT); /* the endpoint is freed */
    ck_assert_str_eq(error, "one argument too many: '8'");
    ck_assert_int_eq(parse_client("numbers:5"), DW_INVALID_ARGUMENT);
    ck_assert_str_eq(error,
                     "'numbers:' is for servers; on the wire 'fake' clients have tcp, tcp6, unix");
    dw_endpoint_register(&f->reactor, &tcp); /* comes before the library's */
    ck_assert_int_eq(parse_server("tcp:80"), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(parse_client("tcp:a:80"), 0); /* as a client it is nothing new */
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("descriptions");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, descriptions_are_cut_as_twisted_cuts_them, 0,
                        sizeof(cuts) / sizeof(cuts[0]));
    tcase_add_loop_test(tc, what_is_quoted_stands_for_itself, 0,
                        sizeof(quotes) / sizeof(quotes[0]));
    tcase_add_test(tc, a_quote_that_does_not_fit_is_cut_as_snprintf_cuts);
    tcase_add_loop_test(tc, what_is_wrong_is_said_precisely, 0, sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(tc, a_long_path_is_no_path);
    tcase_add_test(tc, nobody_has_to_ask_for_the_sentence);
    tcase_add_loop_test(tc, what_is_right_is_taken_and_each_allocation_may_fail, 0,
                        (sizeof(fine_clients) + sizeof(fine_servers)) / sizeof(char *));
    tcase_add_test(tc, a_program_may_have_types_of_its_own);
    return run_case(tc);
}
