/* SPDX-License-Identifier: MIT */
/*
 * Datagrams on real sockets, on each poller: what the conformance suite cannot ask of every wire.
 * IPv6, interfaces, refusals as the kernel reports them, sockets that the program made, calls that
 * fail. The expectations are ip(7)'s, ipv6(7)'s, udp(7)'s and unix(7)'s.
 */
#define _GNU_SOURCE /* unshare */
#include "test_poll_support.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/un.h>

/* ---- A protocol ---- */

struct gram {
    dw_datagram_protocol base;
    dw_datagram_port *port;
    int received, refused, stopped;
    size_t bytes;
    char last[32];
    dw_address from;
};

static void gram_received(dw_datagram_protocol *p, const uint8_t *data, size_t len,
                          const dw_address *from) {
    struct gram *g = (struct gram *)p;
    size_t kept = len < sizeof(g->last) - 1 ? len : sizeof(g->last) - 1;
    memcpy(g->last, data, kept);
    g->last[kept] = '\0';
    g->bytes += len;
    g->from = *from;
    g->received++;
}

static void gram_refused(dw_datagram_protocol *p) {
    ((struct gram *)p)->refused++;
}

static void gram_stop(dw_datagram_protocol *p) {
    ((struct gram *)p)->stopped++;
}

static const dw_datagram_protocol_class gram_class = {.name = "gram",
                                                      .datagram_received = gram_received,
                                                      .connection_refused = gram_refused,
                                                      .stop_protocol = gram_stop};

static void gram_init(struct gram *g) {
    memset(g, 0, sizeof(*g));
    dw_datagram_protocol_init(&g->base, &gram_class);
}

static void open_at(dw_reactor *reactor, struct gram *g, const char *interface) {
    gram_init(g);
    ck_assert_int_eq(dw_reactor_listen_udp(reactor, 0, &g->base, interface, 0, &g->port), 0);
}

static dw_address literal(const char *host, uint16_t port) {
    dw_address address;
    ck_assert_int_eq(dw_address_parse(&address, host, port), 0);
    return address;
}

static uint16_t number_of(const struct gram *g) {
    return dw_datagram_host(g->port).port;
}

static ssize_t say_to(struct gram *g, const char *text, const char *host, uint16_t port) {
    dw_address to = literal(host, port);
    return dw_datagram_write(g->port, text, strlen(text), &to);
}

/* ---- IPv6 ---- */

START_TEST(ipv6_datagrams_and_their_sender) {
    struct gram s, k;
    dw_reactor *reactor = new_reactor();
    open_at(reactor, &s, "::1");
    open_at(reactor, &k, "::1");
    ck_assert_int_eq(say_to(&k, "six", "::1", number_of(&s)), 3);
    ck_assert(turn_until(reactor, &s.received, 1));
    dw_address from = dw_datagram_host(k.port);
    ck_assert(dw_address_equal(&s.from, &from));
    ck_assert_int_eq(say_to(&k, "four", "127.0.0.1", number_of(&s)), DW_INVALID_ADDRESS);
    dw_reactor_free(reactor);
}
END_TEST

/* ipv6(7): IPV6_V6ONLY is off; the sender is an IPv4-mapped address (RFC 4291, section 2.5.5.2). */
START_TEST(a_port_on_all_addresses_gets_both_kinds) {
    struct gram s, k;
    char text[DW_ADDRESS_TEXT_MAX];
    dw_reactor *reactor = new_reactor();
    open_at(reactor, &s, "::");
    open_at(reactor, &k, "127.0.0.1");
    ck_assert_int_eq(say_to(&k, "four", "127.0.0.1", number_of(&s)), 4);
    ck_assert(turn_until(reactor, &s.received, 1));
    ck_assert_str_eq(dw_address_format_host(&s.from, text, sizeof(text)), "::ffff:127.0.0.1");
    ck_assert_int_eq(dw_datagram_write(s.port, "back", 4, &s.from), 4);
    ck_assert(turn_until(reactor, &k.received, 1));
    dw_reactor_free(reactor);
}
END_TEST

/* rtnetlink(7): local ff00::/8 dev lo. */
static void add_group_route(void) {
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
        struct rtattr to;
        uint8_t group[16];
        struct rtattr by;
        int interface;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = RTM_NEWROUTE,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK},
        .route = {.rtm_family = AF_INET6,
                  .rtm_dst_len = 8,
                  .rtm_table = RT_TABLE_LOCAL,
                  .rtm_protocol = RTPROT_BOOT,
                  .rtm_type = RTN_LOCAL},
        .to = {.rta_len = RTA_LENGTH(16), .rta_type = RTA_DST},
        .group = {0xff},
        .by = {.rta_len = RTA_LENGTH(sizeof(int)), .rta_type = RTA_OIF},
        .interface = 1,
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[256];
    } reply;
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    ck_assert_int_eq(send(fd, &request, sizeof(request), 0), (ssize_t)sizeof(request));
    ck_assert_int_gt(recv(fd, &reply, sizeof(reply), 0), (ssize_t)sizeof(reply.header));
    ck_assert_int_eq(reply.error.error, 0);
    ck_assert_int_eq(close(fd), 0);
}

/* Loopback has no IPv6 route for groups, and other interfaces are none of a test's business; so a
 * network of our own gets one. False: not allowed here. */
static bool own_network(void) {
    struct ifreq up = {.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        printf("no network of our own: %s\n", strerror(errno));
        return false;
    }
    strcpy(up.ifr_name, "lo");
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &up), 0);
    ck_assert_int_eq(close(fd), 0);
    add_group_route();
    return true;
}

/* The loopback interface by its address, and by its name as a scope. */
START_TEST(ipv6_groups_go_by_interface) {
    static const char *const interfaces[] = {"::1", "::%lo"};
    const char *lo = interfaces[_i];
    struct gram s, k;
    char text[DW_ADDRESS_TEXT_MAX];
    if (!own_network()) {
        return;
    }
    dw_reactor *reactor = new_reactor();
    open_at(reactor, &s, "::");
    open_at(reactor, &k, "::1");
    ck_assert_int_eq(dw_datagram_join_group(s.port, "ff15::7:7", lo), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(k.port), 1);
    ck_assert_int_eq(dw_datagram_set_ttl(k.port, 7), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(k.port), 7);
    ck_assert(dw_datagram_get_loopback_mode(k.port));
    dw_address by = dw_datagram_get_outgoing_interface(k.port);
    ck_assert_str_eq(dw_address_format_host(&by, text, sizeof(text)), "::"); /* the system's */
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(k.port, lo), 0);
    by = dw_datagram_get_outgoing_interface(k.port);
    ck_assert_str_eq(dw_address_format_host(&by, text, sizeof(text)), "::%1"); /* lo is first */
    ck_assert_int_eq(say_to(&k, "group", "ff15::7:7", number_of(&s)), 5);
    ck_assert(turn_until(reactor, &s.received, 1));
    ck_assert_int_eq(dw_datagram_leave_group(s.port, "ff15::7:7", lo), 0);
    ck_assert_int_eq(dw_datagram_leave_group(s.port, "ff15::7:7", lo), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_datagram_join_group(s.port, "239.1.2.3", NULL), DW_INVALID_ADDRESS);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(interfaces_that_do_not_exist_are_errors) {
    struct gram s, k;
    dw_reactor *reactor = new_reactor();
    open_at(reactor, &s, "::");
    open_at(reactor, &k, NULL);
    /* Addresses for documentation (RFC 3849, RFC 5737) are nobody's. */
    ck_assert_int_eq(dw_datagram_join_group(s.port, "ff15::7:7", "2001:db8::1"), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), ENODEV);
    ck_assert_int_eq(dw_datagram_join_group(k.port, "239.1.2.3", "192.0.2.1"), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), ENODEV);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(s.port, "2001:db8::1"), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(k.port, "192.0.2.1"), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(k.port, "lo"), DW_INVALID_ADDRESS);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(the_outgoing_interface_is_told_by_its_address) {
    struct gram k;
    dw_reactor *reactor = new_reactor();
    dw_address none = literal("0.0.0.0", 0), lo = literal("127.0.0.1", 0);
    open_at(reactor, &k, NULL);
    dw_address by = dw_datagram_get_outgoing_interface(k.port);
    ck_assert(dw_address_equal(&by, &none));
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(k.port, "127.0.0.1"), 0);
    by = dw_datagram_get_outgoing_interface(k.port);
    ck_assert(dw_address_equal(&by, &lo));
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(without_loopback_the_host_hears_nothing_of_its_own) {
    struct gram s, k;
    dw_reactor *reactor = new_reactor();
    open_at(reactor, &s, NULL);
    open_at(reactor, &k, NULL);
    ck_assert_int_eq(dw_datagram_join_group(s.port, "239.255.7.8", "127.0.0.1"), 0);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(k.port, "127.0.0.1"), 0);
    ck_assert_int_eq(dw_datagram_set_loopback_mode(k.port, true), 0);
    ck_assert_int_eq(say_to(&k, "one", "239.255.7.8", number_of(&s)), 3);
    ck_assert(turn_until(reactor, &s.received, 1));
    ck_assert_int_eq(dw_datagram_set_loopback_mode(k.port, false), 0);
    ck_assert(!dw_datagram_get_loopback_mode(k.port));
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Refusals ---- */

/* udp(7): the error of an earlier datagram is reported by the next call, whichever it is. */
START_TEST(a_refusal_that_a_write_finds_costs_nothing) {
    struct gram s, k, late;
    dw_reactor *reactor = new_reactor();
    open_at(reactor, &s, "127.0.0.1");
    open_at(reactor, &k, "127.0.0.1");
    uint16_t number = number_of(&s);
    ck_assert_int_eq(dw_datagram_stop_listening(s.port, NULL, NULL), 0);
    ck_assert(turn_until(reactor, &s.stopped, 1));
    ck_assert_int_eq(dw_datagram_connect(k.port, "127.0.0.1", number), 0);
    ck_assert_int_eq(dw_datagram_write(k.port, "lost", 4, NULL), 4);
    gram_init(&late);
    ck_assert_int_eq(dw_reactor_listen_udp(reactor, number, &late.base, "127.0.0.1", 0, &late.port),
                     0);
    ck_assert_int_eq(dw_datagram_write(k.port, "heard", 5, NULL), 5); /* finds it, and goes */
    ck_assert_int_eq(k.refused, 0);
    ck_assert(turn_until(reactor, &late.received, 1));
    ck_assert_str_eq(late.last, "heard");
    ck_assert(turn_until(reactor, &k.refused, 1));
    ck_assert_int_eq(k.stopped, 0);
    dw_reactor_free(reactor);
}
END_TEST

/* The kernel reports an error on the socket; it must not be reported for ever while paused. */
START_TEST(a_paused_port_hears_of_a_refusal_when_it_resumes) {
    struct gram s, k;
    dw_reactor *reactor = new_reactor();
    open_at(reactor, &s, "127.0.0.1");
    open_at(reactor, &k, "127.0.0.1");
    uint16_t number = number_of(&s);
    dw_datagram_stop_listening(s.port, NULL, NULL);
    ck_assert(turn_until(reactor, &s.stopped, 1));
    ck_assert_int_eq(dw_datagram_connect(k.port, "127.0.0.1", number), 0);
    dw_datagram_pause_producing(k.port);
    ck_assert_int_eq(dw_datagram_write(k.port, "a", 1, NULL), 1);
    ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(20)), 0);
    ck_assert_int_eq(k.refused, 0);
    dw_datagram_resume_producing(k.port);
    ck_assert(turn_until(reactor, &k.refused, 1));
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Sockets that the program made ---- */

static int plain_udp(uint16_t *port) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    peer_limit(fd);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void plain_connect(int fd, uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

START_TEST(a_datagram_socket_of_the_programs_is_taken_over) {
    struct gram g;
    uint16_t own, other;
    int before = open_descriptors();
    dw_reactor *reactor = new_reactor();
    int fd = plain_udp(&own), peer = plain_udp(&other);
    plain_connect(peer, own);
    if (_i == 1) {
        plain_connect(fd, other);
    }
    gram_init(&g);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(reactor, fd, &g.base, 0, &g.port), 0);
    close(fd);
    ck_assert_uint_eq(number_of(&g), own);
    ck_assert_uint_eq(dw_datagram_peer(g.port).port, _i == 1 ? other : 0);
    peer_write(peer, "hello");
    ck_assert(turn_until(reactor, &g.received, 1));
    ck_assert_int_eq(dw_datagram_write(g.port, "back", 4, _i == 1 ? NULL : &g.from), 4);
    peer_expect(peer, "back");
    close(peer);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(what_is_no_datagram_socket_is_not_adopted) {
    struct gram g;
    int fds[3] = {socket(AF_INET, SOCK_STREAM, 0), dup(0), -1};
    dw_reactor *reactor = new_reactor();
    int before = open_descriptors();
    gram_init(&g);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dw_reactor_adopt_datagram_port(reactor, fds[i], &g.base, 0, NULL),
                         DW_INVALID_ARGUMENT);
    }
    ck_assert_int_eq(open_descriptors(), before);
    close(fds[0]);
    close(fds[1]);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- UNIX ---- */

static void unix_pair(dw_reactor *reactor, struct gram *g, int *peer) {
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    gram_init(g);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(reactor, fds[0], &g->base, 0, &g->port), 0);
    close(fds[0]);
    peer_limit(fds[1]);
    *peer = fds[1];
}

/* The two ends of a socketpair have no names, and are connected. */
START_TEST(a_pair_without_names_talks) {
    struct gram g;
    int peer;
    dw_reactor *reactor = new_reactor();
    unix_pair(reactor, &g, &peer);
    peer_write(peer, "hello");
    ck_assert(turn_until(reactor, &g.received, 1));
    ck_assert_uint_eq(g.from.kind, DW_ADDRESS_UNIX);
    ck_assert_int_eq(dw_datagram_write(g.port, "back", 4, NULL), 4);
    peer_expect(peer, "back");
    close(peer);
    ck_assert_int_eq(dw_datagram_write(g.port, "gone", 4, NULL), 0);
    ck_assert(turn_until(reactor, &g.refused, 1));
    dw_reactor_free(reactor);
}
END_TEST

/* A queue of the kernel's is full (net.unix.max_dgram_qlen): the rest is lost, as Twisted has it,
 * and what was taken arrives. */
START_TEST(what_a_full_queue_does_not_take_is_lost) {
    struct gram s, k;
    int taken = 0;
    dw_reactor *reactor = new_reactor();
    char name[64];
    snprintf(name, sizeof(name), "@drywire-full-%ld", (long)getpid());
    gram_init(&s);
    gram_init(&k);
    ck_assert_int_eq(dw_reactor_listen_unix_datagram(reactor, name, &s.base, 0, 0, &s.port), 0);
    ck_assert_int_eq(dw_reactor_connect_unix_datagram(reactor, name, &k.base, 0, 0, NULL, &k.port),
                     0);
    for (ssize_t sent = 1; sent > 0 && taken<100000; taken += sent> 0) {
        sent = dw_datagram_write(k.port, "x", 1, NULL);
        ck_assert_int_ge(sent, 0);
    }
    ck_assert_int_gt(taken, 0);
    ck_assert_int_lt(taken, 100000);
    ck_assert(turn_until(reactor, &s.received, taken));
    ck_assert_int_eq(dw_datagram_write(k.port, "x", 1, NULL), 1);
    ck_assert(turn_until(reactor, &s.received, taken + 1));
    dw_reactor_free(reactor);
}
END_TEST

/* unix(7), "Ancillary messages": a receiver that did not ask for it gets no descriptor. */
START_TEST(a_descriptor_in_a_datagram_is_dropped_and_closed) {
    struct gram g;
    int peer, fds[2];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    dw_reactor *reactor = new_reactor();
    unix_pair(reactor, &g, &peer);
    ck_assert_int_eq(pipe(fds), 0);
    memset(&control, 0, sizeof(control));
    struct iovec piece = {"x", 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    control.align = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.align), &fds[1], sizeof(int));
    ck_assert_int_eq(sendmsg(peer, &message, 0), 1);
    close(fds[1]);
    ck_assert(turn_until(reactor, &g.received, 1));
    char byte;
    ck_assert_int_eq(read(fds[0], &byte, 1), 0); /* nobody holds the other end */
    close(fds[0]);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

/* sun_path may be full to the last byte, without a NUL, which dw_address does not hold. */
START_TEST(a_name_that_is_too_long_is_no_name) {
    dw_address address;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memset(at.sun_path, 'a', sizeof(at.sun_path));
    dw_live_address_from(&address, (struct sockaddr *)&at, sizeof(at));
    ck_assert_uint_eq(address.kind, DW_ADDRESS_UNIX);
    ck_assert_uint_eq(address.path_len, 0);
    at.sun_path[107] = '\0';
    dw_live_address_from(&address, (struct sockaddr *)&at, sizeof(at));
    ck_assert_uint_eq(address.path_len, 107);
    memset(at.sun_path, 0, sizeof(at.sun_path)); /* an abstract name of zeros, and all of it */
    dw_live_address_from(&address, (struct sockaddr *)&at, sizeof(at));
    ck_assert_uint_eq(address.path_len, 108);
    union dw_live_sockaddr back;
    ck_assert_uint_eq(dw_live_address_to(&back, &address), sizeof(at));
    dw_live_address_from(&address, (struct sockaddr *)&at, sizeof(at.sun_family));
    ck_assert_uint_eq(address.kind, DW_ADDRESS_UNIX);
    ck_assert_uint_eq(address.path_len, 0);
    dw_live_address_from(&address, (struct sockaddr *)&at, 0);
    ck_assert_uint_eq(address.kind, DW_ADDRESS_NONE);
}
END_TEST

/* ---- Calls that fail ---- */

static int failures_left, failure;

static ssize_t failing_recvmsg(int fd, struct msghdr *message, int flags) {
    if (failures_left > 0) {
        failures_left--;
        errno = failure;
        return -1;
    }
    return dw_syscalls_libc.recvmsg(fd, message, flags);
}

static ssize_t failing_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (failures_left > 0) {
        failures_left--;
        errno = failure;
        return -1;
    }
    return dw_syscalls_libc.sendmsg(fd, message, flags);
}

static int log_lines;

static void count_line(void *user, const char *line) {
    (void)user, (void)line;
    log_lines++;
}

/* More than DW_EINTR_MAX interruptions go round the loop; no memory rests for a tenth of a second.
 */
START_TEST(a_port_survives_errors_of_recvmsg) {
    static const int errors[] = {EINTR, ENOMEM, ENOBUFS, EIO};
    struct gram s, k;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.recvmsg = failing_recvmsg;
    dw_reactor *reactor = new_reactor_on(&sys);
    log_lines = 0;
    dw_reactor_set_log(reactor, count_line, NULL);
    open_at(reactor, &s, "127.0.0.1");
    open_at(reactor, &k, "127.0.0.1");
    failure = errors[_i];
    failures_left = _i == 0 ? 2 * DW_EINTR_MAX + 1 : 1;
    say_to(&k, "hello", "127.0.0.1", number_of(&s));
    ck_assert(turn_until(reactor, &s.received, 1));
    ck_assert_int_eq(failures_left, 0);
    ck_assert_int_eq(log_lines, _i == 0 ? 0 : 1);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_write_survives_interruptions) {
    struct gram s, k;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.sendmsg = failing_sendmsg;
    dw_reactor *reactor = new_reactor_on(&sys);
    open_at(reactor, &s, "127.0.0.1");
    open_at(reactor, &k, "127.0.0.1");
    failure = EINTR;
    failures_left = DW_EINTR_MAX - 1;
    ck_assert_int_eq(say_to(&k, "hello", "127.0.0.1", number_of(&s)), 5);
    failures_left = DW_EINTR_MAX;
    ck_assert_int_eq(say_to(&k, "hello", "127.0.0.1", number_of(&s)), 0); /* lost, and told */
    ck_assert(turn_until(reactor, &s.received, 1));
    dw_reactor_free(reactor);
}
END_TEST

static int refused_level, refused_name;

static int failing_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    if (level == refused_level && name == refused_name) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return dw_syscalls_libc.setsockopt(fd, level, name, value, len);
}

START_TEST(a_port_that_cannot_be_shared_is_not_opened) {
    struct gram g;
    struct dw_syscalls sys = dw_syscalls_libc;
    sys.setsockopt = failing_setsockopt;
    refused_level = SOL_SOCKET;
    refused_name = SO_REUSEADDR;
    dw_reactor *reactor = new_reactor_on(&sys);
    int before = open_descriptors();
    gram_init(&g);
    ck_assert_int_eq(dw_reactor_listen_multicast(reactor, 0, &g.base, NULL, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(reactor), ENOPROTOOPT);
    ck_assert_int_eq(dw_reactor_listen_udp(reactor, 0, &g.base, NULL, 0, NULL), 0);
    ck_assert_int_eq(open_descriptors(), before + 1);
    dw_reactor_free(reactor);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("datagrams");
    tcase_add_test(tc, ipv6_datagrams_and_their_sender);
    tcase_add_test(tc, a_port_on_all_addresses_gets_both_kinds);
    tcase_add_loop_test(tc, ipv6_groups_go_by_interface, 0, 2);
    tcase_add_test(tc, interfaces_that_do_not_exist_are_errors);
    tcase_add_test(tc, the_outgoing_interface_is_told_by_its_address);
    tcase_add_test(tc, without_loopback_the_host_hears_nothing_of_its_own);
    tcase_add_test(tc, a_refusal_that_a_write_finds_costs_nothing);
    tcase_add_test(tc, a_paused_port_hears_of_a_refusal_when_it_resumes);
    tcase_add_loop_test(tc, a_datagram_socket_of_the_programs_is_taken_over, 0, 2);
    tcase_add_test(tc, what_is_no_datagram_socket_is_not_adopted);
    tcase_add_test(tc, a_pair_without_names_talks);
    tcase_add_test(tc, what_a_full_queue_does_not_take_is_lost);
    tcase_add_test(tc, a_descriptor_in_a_datagram_is_dropped_and_closed);
    tcase_add_test(tc, a_name_that_is_too_long_is_no_name);
    tcase_add_loop_test(tc, a_port_survives_errors_of_recvmsg, 0, 4);
    tcase_add_test(tc, a_write_survives_interruptions);
    tcase_add_test(tc, a_port_that_cannot_be_shared_is_not_opened);
    tcase_set_timeout(tc, 3 * LIMIT_S);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return run_on_each_poller("live_datagrams", make_suite);
}
