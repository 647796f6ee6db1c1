/* SPDX-License-Identifier: MIT */
/*
 * Addresses (core/src/address.c): which literals are addresses and how they are written. From
 * inet_pton(3p), RFC 4291 section 2.2 (forms), RFC 5952 (writing), RFC 4007 section 11 (scopes),
 * RFC 3986 section 3.2.2 (brackets around IPv6 before a port).
 */
#include "test_core_wire.h"

typedef struct literal {
    const char *text;
    const char *written; /* with port 80; NULL: no address */
} literal;

static const literal literals[] = {
    {"127.0.0.1", "127.0.0.1:80"},
    {"0.0.0.0", "0.0.0.0:80"},
    {"255.255.255.255", "255.255.255.255:80"},
    {"::", "[::]:80"},
    {"::1", "[::1]:80"},
    {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:80"},
    {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80"},
    {"2001:db8:1:2:3:4:5:6", "[2001:db8:1:2:3:4:5:6]:80"},
    {"fe80::1%2", "[fe80::1%2]:80"},
    {"fe80::1%4294967295", "[fe80::1%4294967295]:80"},
    {"fe80::1%lo", "[fe80::1%1]:80"}, /* the loopback interface is the first */
    {"", NULL},
    {" 127.0.0.1", NULL},
    {"127.0.0.1 ", NULL},
    {"127.0.0", NULL},
    {"127.1", NULL},
    {"127.0.0.256", NULL},
    {"127.0.0.1.1", NULL},
    {"0x7f.0.0.1", NULL},
    {"127.0.0.1%1", NULL},
    {"localhost", NULL},
    {"[::1]", NULL},
    {"::1:80:", NULL},
    {":::", NULL},
    {"1:2:3:4:5:6:7:8:9", NULL},
    {"12345::", NULL},
    {"fe80::1%", NULL},
    {"fe80::1%4294967296", NULL},
    {"fe80::1%99999999999999999999999", NULL},
    {"fe80::1%-1", NULL},
    {"fe80::1%+1", NULL},
    {"fe80::1% 1", NULL},
    {"fe80::1%1x", NULL},
    {"fe80::1%nosuchinterface", NULL},
    {"2001:db8:1:2:3:4:5:6:2001:db8:1:2:3:4:5:6:2001:db8:1:2:3:4:5:6", NULL},
};
enum { LITERALS = sizeof(literals) / sizeof(literals[0]) };

START_TEST(a_literal_is_read_and_written) {
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address address;
    memset(&address, 0x55, sizeof(address));
    const dw_address before = address;
    int result = dw_address_parse(&address, literals[_i].text, 80);
    if (literals[_i].written == NULL) {
        ck_assert_int_eq(result, DW_INVALID_ADDRESS);
        ck_assert_mem_eq(&address, &before, sizeof(address)); /* left alone */
    } else {
        ck_assert_int_eq(result, 0);
        ck_assert_str_eq(dw_address_format(&address, text, sizeof(text)), literals[_i].written);
    }
}
END_TEST

START_TEST(bytes_are_in_network_order_and_the_port_in_the_hosts) {
    dw_address a;
    ck_assert_int_eq(dw_address_parse(&a, "1.2.3.4", 258), 0);
    ck_assert_uint_eq(a.kind, DW_ADDRESS_IPV4);
    ck_assert_mem_eq(a.ip, "\1\2\3\4", 4);
    ck_assert_uint_eq(a.port, 258);
    ck_assert_int_eq(dw_address_parse(&a, "102::304", 65535), 0);
    ck_assert_uint_eq(a.kind, DW_ADDRESS_IPV6);
    ck_assert_mem_eq(a.ip, "\1\2\0\0\0\0\0\0\0\0\0\0\0\0\3\4", 16);
}
END_TEST

START_TEST(the_host_alone_has_neither_brackets_nor_port) {
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address a;
    dw_address_parse(&a, "::1", 80);
    ck_assert_str_eq(dw_address_format_host(&a, text, sizeof(text)), "::1");
    dw_address_parse(&a, "192.0.2.1", 80);
    ck_assert_str_eq(dw_address_format_host(&a, text, sizeof(text)), "192.0.2.1");
    a = (dw_address){0};
    ck_assert_str_eq(dw_address_format_host(&a, text, sizeof(text)), "none");
    ck_assert_str_eq(dw_address_format(&a, text, sizeof(text)), "none");
}
END_TEST

/* drywire/address.h: "Long enough for any address", "cut to `size`" */
START_TEST(every_text_fits_and_a_small_buffer_cuts_it) {
    char text[DW_ADDRESS_TEXT_MAX], cut[6];
    dw_address a = {.kind = DW_ADDRESS_IPV6, .port = 65535, .scope_id = UINT32_MAX};
    memset(a.ip, 0xff, sizeof(a.ip));
    const char *longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535";
    ck_assert_str_eq(dw_address_format(&a, text, sizeof(text)), longest);
    ck_assert_str_eq(dw_address_format(&a, cut, sizeof(cut)), "[ffff");
    ck_assert_ptr_eq(dw_address_format_host(&a, cut, sizeof(cut)), cut);
    ck_assert_str_eq(cut, "ffff:");
}
END_TEST

/* drywire/address.h: "Same kind, host, port and scope" */
START_TEST(addresses_are_equal_in_kind_host_port_and_scope) {
    dw_address a, b, none = {0}, other = {0};
    dw_address_parse(&a, "fe80::1%2", 80);
    dw_address_parse(&b, "fe80:0::0:1%2", 80);
    ck_assert(dw_address_equal(&a, &b));
    b.port = 81;
    ck_assert(!dw_address_equal(&a, &b));
    b.port = 80;
    b.scope_id = 3;
    ck_assert(!dw_address_equal(&a, &b));
    b.scope_id = 2;
    b.ip[15] = 2;
    ck_assert(!dw_address_equal(&a, &b));
    ck_assert(!dw_address_equal(&a, &none));
    ck_assert(dw_address_equal(&other, &none));
    dw_address_parse(&a, "10.0.0.1", 1);
    dw_address_parse(&b, "10.0.0.1", 1);
    b.ip[4] = 9; /* not part of an IPv4 address */
    ck_assert(dw_address_equal(&a, &b));
    dw_address_parse(&a, "::", 0);
    dw_address_parse(&b, "0.0.0.0", 0);
    ck_assert(!dw_address_equal(&a, &b));
}
END_TEST

/* ---- UNIX ---- */

START_TEST(a_path_is_a_files_or_begins_with_an_at_sign) {
    static const struct {
        const char *text, *formatted;
        size_t len;
        char first;
    } cases[] = {{"/run/a", "unix:/run/a", 6, '/'},
                 {"a", "unix:a", 1, 'a'},
                 {"@a b", "unix:@a b", 4, '\0'},
                 {"./@a", "unix:./@a", 4, '.'},
                 {"/t\n\x7f/\xc3\xa4",
                  "unix:/t?"
                  "?/\xc3\xa4",
                  7, '/'}};
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address a;
    memset(&a, 0xff, sizeof(a));
    ck_assert_int_eq(dw_address_unix(&a, cases[_i].text), 0);
    ck_assert_uint_eq(a.kind, DW_ADDRESS_UNIX);
    ck_assert_uint_eq(a.path_len, cases[_i].len);
    ck_assert_int_eq(a.path[0], cases[_i].first);
    ck_assert_int_eq(a.path[a.path_len], '\0');
    ck_assert_uint_eq(a.port, 0);
    ck_assert_uint_eq(a.scope_id, 0);
    ck_assert_str_eq(dw_address_format(&a, text, sizeof(text)), cases[_i].formatted);
    ck_assert_str_eq(dw_address_format_host(&a, text, sizeof(text)), cases[_i].formatted + 5);
}
END_TEST

/* sun_path has 108 bytes, one of them for the NUL (unix(7)). */
START_TEST(a_path_has_a_hundred_and_seven_bytes_at_most) {
    char path[109] = "", text[DW_ADDRESS_TEXT_MAX];
    dw_address a, before;
    memset(path, 'a', 107);
    ck_assert_int_eq(dw_address_unix(&a, path), 0);
    ck_assert_uint_eq(a.path_len, 107);
    ck_assert_uint_eq(strlen(dw_address_format(&a, text, sizeof(text))), 5 + 107);
    before = a;
    path[107] = 'a';
    ck_assert_int_eq(dw_address_unix(&a, path), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_address_unix(&a, ""), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_address_unix(&a, "@"), DW_INVALID_ADDRESS);
    ck_assert_mem_eq(&a, &before, sizeof(a)); /* left alone */
}
END_TEST

START_TEST(unix_addresses_are_equal_byte_by_byte) {
    dw_address a, b, none = {.kind = DW_ADDRESS_UNIX}, v4;
    char text[DW_ADDRESS_TEXT_MAX];
    dw_address_unix(&a, "/run/a");
    dw_address_unix(&b, "/run/a");
    ck_assert(dw_address_equal(&a, &b));
    dw_address_unix(&b, "/run/ab");
    ck_assert(!dw_address_equal(&a, &b) && !dw_address_equal(&b, &a));
    dw_address_unix(&a, "@a");
    dw_address_unix(&b, "@b");
    ck_assert(!dw_address_equal(&a, &b));
    ck_assert(dw_address_equal(&none, &none) && !dw_address_equal(&none, &a));
    dw_address_parse(&v4, "0.0.0.0", 0);
    ck_assert(!dw_address_equal(&none, &v4) && !dw_address_equal(&v4, &none));
    ck_assert_str_eq(dw_address_format(&none, text, sizeof(text)), "unix:");
}
END_TEST

START_TEST(a_small_buffer_cuts_a_path) {
    dw_address a;
    char cut[6] = "?????";
    dw_address_unix(&a, "/run/a");
    ck_assert_str_eq(dw_address_format_host(&a, cut, sizeof(cut)), "/run/");
    ck_assert_str_eq(dw_address_format(&a, cut, sizeof(cut)), "unix:");
    ck_assert_str_eq(dw_address_format_host(&a, cut, 1), "");
    cut[0] = 'x';
    ck_assert_ptr_eq(dw_address_format_host(&a, cut, 0), cut);
    ck_assert_int_eq(cut[0], 'x');
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("core address");
    tcase_add_loop_test(tc, a_path_is_a_files_or_begins_with_an_at_sign, 0, 5);
    tcase_add_test(tc, a_path_has_a_hundred_and_seven_bytes_at_most);
    tcase_add_test(tc, unix_addresses_are_equal_byte_by_byte);
    tcase_add_test(tc, a_small_buffer_cuts_a_path);
    tcase_add_loop_test(tc, a_literal_is_read_and_written, 0, LITERALS);
    tcase_add_test(tc, bytes_are_in_network_order_and_the_port_in_the_hosts);
    tcase_add_test(tc, the_host_alone_has_neither_brackets_nor_port);
    tcase_add_test(tc, every_text_fits_and_a_small_buffer_cuts_it);
    tcase_add_test(tc, addresses_are_equal_in_kind_host_port_and_scope);
    return run_case(tc);
}
