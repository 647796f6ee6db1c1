/* SPDX-License-Identifier: MIT */
/*
 * Datagram ports on a wire that does what the test says. Expectations: vectors/README.md,
 * "Datagrams", Twisted's udp.py for the limits of a turn, and the manual pages of the calls.
 */
#include "test_core_wire.h"

enum { QUEUE_MAX = 2048 };

/* ---- A wire with datagrams ---- */

static dw_wire wire;
static struct {
    int answers[QUEUE_MAX]; /* of recv_from: a length, or -errno */
    dw_address from;
    unsigned next, count, recvs;
    size_t max;
    int sends[8]; /* of send_to: -errno first, then success */
    unsigned send_next, send_count, sent;
    dw_address to;
    bool to_null;
    size_t sent_len;
    int connect_error, option_error, options[8], bind_error, mode_error;
    dw_address peer;
    unsigned unlinked, mode;
    uint64_t file;
    dw_address group, by;
    bool by_null, joined;
} net;

static uint8_t bytes[DW_RECV_MAX];

static ssize_t net_recv_from(dw_reactor *reactor, dw_io *io, size_t max, const uint8_t **data,
                             dw_address *from) {
    (void)fake_socket_of(reactor, io);
    net.recvs++;
    net.max = max;
    if (net.next == net.count) {
        return -EAGAIN;
    }
    *data = bytes;
    *from = net.from;
    return net.answers[net.next++];
}

static ssize_t net_send_to(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count,
                           const dw_address *to) {
    (void)fake_socket_of(reactor, io);
    if (net.send_next < net.send_count) {
        return net.sends[net.send_next++];
    }
    net.sent++;
    net.sent_len = 0;
    net.to_null = to == NULL;
    net.to = to != NULL ? *to : (dw_address){0};
    for (int i = 0; i < count; i++) {
        net.sent_len += pieces[i].iov_len;
    }
    return (ssize_t)net.sent_len;
}

static int net_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_socket_of(reactor, io);
    net.peer = *address;
    return -net.connect_error;
}

static int net_remote_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)fake_socket_of(reactor, io);
    *out = net.peer;
    return net.peer.kind == DW_ADDRESS_NONE ? -ENOTCONN : 0;
}

static dw_address bound;

static int net_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_socket_of(reactor, io);
    bound = *address;
    return -net.bind_error;
}

static int net_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)fake_socket_of(reactor, io);
    *out = bound;
    out->port = bound.kind == DW_ADDRESS_UNIX ? 0 : 4321;
    return 0;
}

static int net_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    (void)fake_socket_of(reactor, io);
    return net.option_error != 0 ? -net.option_error : net.options[option];
}

static int net_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value) {
    (void)fake_socket_of(reactor, io);
    net.options[option] = value;
    return -net.option_error;
}

static int net_membership(dw_reactor *reactor, dw_io *io, const dw_address *group,
                          const dw_address *interface, bool join) {
    (void)fake_socket_of(reactor, io);
    net.group = *group;
    net.by_null = interface == NULL;
    net.by = interface != NULL ? *interface : (dw_address) { 0 };
    net.joined = join;
    return -net.option_error;
}

static int net_set_mode(dw_reactor *reactor, const dw_address *address, unsigned mode) {
    (void)reactor, (void)address;
    net.mode = mode;
    return -net.mode_error;
}

static void net_unlink(dw_reactor *reactor, const dw_address *address) {
    (void)reactor;
    ck_assert_uint_eq(address->kind, DW_ADDRESS_UNIX);
    net.unlinked++;
}

static int net_file_id(dw_reactor *reactor, const dw_address *address, uint64_t id[2]) {
    (void)reactor, (void)address;
    id[0] = 1;
    id[1] = net.file;
    return net.file == 0 ? -ENOENT : 0;
}

static int net_adopt(dw_reactor *reactor, dw_io *io, int fd) {
    ck_assert_uint_eq(io->kind, DW_IO_DATAGRAM);
    if (fd < 0) {
        return fd;
    }
    fake_socket_new(fake_of(reactor), io);
    return 0;
}

static fake *net_new(void) {
    fake *f = fake_new();
    memset(&net, 0, sizeof(net));
    bound = (dw_address){0};
    net.file = 7;
    dw_address_parse(&net.from, "192.0.2.9", 999);
    wire = fake_wire;
    wire.recv_from = net_recv_from;
    wire.send_to = net_send_to;
    wire.connect = net_connect;
    wire.bind = net_bind;
    wire.local_address = net_local_address;
    wire.remote_address = net_remote_address;
    wire.get_option = net_get_option;
    wire.set_option = net_set_option;
    wire.membership = net_membership;
    wire.set_mode = net_set_mode;
    wire.unlink = net_unlink;
    wire.file_id = net_file_id;
    wire.adopt = net_adopt;
    f->reactor.wire = &wire;
    return f;
}

static void net_queue(int answer, unsigned times) {
    while (times-- > 0) {
        ck_assert_uint_lt(net.count, QUEUE_MAX);
        net.answers[net.count++] = answer;
    }
}

/* ---- A protocol that notes what it is told ---- */

typedef struct gram {
    dw_datagram_protocol base;
    char log[REC_LOG_MAX];
    unsigned received;
    size_t len;
    void (*on_start)(struct gram *g);
    void (*on_received)(struct gram *g);
    bool transport_in_stop;
} gram;

static void gram_start(dw_datagram_protocol *p) {
    gram *g = (gram *)p;
    ck_assert_ptr_nonnull(p->transport);
    say(g->log, "start");
    if (g->on_start != NULL) {
        g->on_start(g);
    }
}

static void gram_received(dw_datagram_protocol *p, const uint8_t *data, size_t len,
                          const dw_address *from) {
    gram *g = (gram *)p;
    ck_assert(data != NULL && from->kind != DW_ADDRESS_NONE);
    g->received++;
    g->len = len;
    if (g->on_received != NULL) {
        g->on_received(g);
    }
}

static void gram_refused(dw_datagram_protocol *p) {
    say(((gram *)p)->log, "refused");
}

static void gram_stop(dw_datagram_protocol *p) {
    ((gram *)p)->transport_in_stop = p->transport != NULL;
    say(((gram *)p)->log, "stop");
}

static void gram_destroy(dw_datagram_protocol *p) {
    say(((gram *)p)->log, "destroy");
}

static const dw_datagram_protocol_class gram_class = {.name = "gram",
                                                      .start_protocol = gram_start,
                                                      .datagram_received = gram_received,
                                                      .connection_refused = gram_refused,
                                                      .stop_protocol = gram_stop,
                                                      .destroy = gram_destroy};

static gram *gram_new(void) {
    static gram g;
    memset(&g, 0, sizeof(g));
    dw_datagram_protocol_init(&g.base, &gram_class);
    return &g;
}

static dw_datagram_port *open_udp(fake *f, gram *g) {
    dw_datagram_port *port = NULL;
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, "192.0.2.1", 0, &port), 0);
    return port;
}

static void connect_udp(dw_datagram_port *port) {
    ck_assert_int_eq(dw_datagram_connect(port, "192.0.2.9", 999), 0);
}

static void done(void *user) {
    say(((gram *)user)->log, "done");
}

/* ---- Opening ---- */

START_TEST(listening_starts_the_protocol_inside_the_call) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_str_eq(g->log, "start");
    ck_assert_uint_eq(dw_datagram_host(port).port, 4321);
    ck_assert_ptr_eq(dw_datagram_reactor(port), &f->reactor);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 1);
    ck_assert_str_eq(dw_io_name(f->sockets[0].io), "gram");
    fake_fini(f);
    ck_assert_str_eq(g->log, "start destroy"); /* no word about the end */
}
END_TEST

START_TEST(a_wire_without_datagrams_says_so) {
    fake *f = fake_new();
    gram *g = gram_new();
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, NULL, 0, NULL),
                     DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_listen_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL),
                     DW_UNSUPPORTED);
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL, NULL),
        DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, 0, &g->base, 0, NULL),
                     DW_UNSUPPORTED);
    fake_fini(f);
}
END_TEST

START_TEST(bad_arguments_are_refused_before_anything_is_opened) {
    fake *f = net_new();
    gram *g = gram_new();
    char long_path[DW_UNIX_PATH_MAX + 2] = "";
    memset(long_path, 'a', DW_UNIX_PATH_MAX + 1);
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, "localhost", 0, NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, NULL, NULL, 0, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, NULL, DW_RECV_MAX + 1, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_listen_unix_datagram(&f->reactor, long_path, &g->base, 0, 0, NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, "", NULL),
                     DW_INVALID_ADDRESS);
    ck_assert_int_eq(f->socket_count, 0);
    ck_assert_str_eq(g->log, "");
    fake_fini(f);
}
END_TEST

/* udp-udp-cannot-listen */
START_TEST(a_failed_bind_leaves_the_protocol_alone) {
    fake *f = net_new();
    gram *g = gram_new();
    net.bind_error = EADDRINUSE;
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 53, &g->base, NULL, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EADDRINUSE);
    ck_assert(!f->sockets[0].open);
    ck_assert_str_eq(g->log, "");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 0);
    fake_fini(f);
}
END_TEST

START_TEST(no_memory_for_a_port_is_an_answer) {
    fake *f = net_new();
    gram *g = gram_new();
    f->fail_in = 1;
    f->fail_after = true;
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, NULL, 0, NULL), DW_NO_MEMORY);
    ck_assert_int_eq(dw_reactor_listen_multicast(&f->reactor, 0, &g->base, NULL, 0, NULL),
                     DW_NO_MEMORY);
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL, NULL),
        DW_NO_MEMORY);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, 0, &g->base, 0, NULL),
                     DW_NO_MEMORY);
    f->fail_in = 0;
    fake_fini(f);
}
END_TEST

static void stop_in_start(gram *g) {
    dw_datagram_stop_listening(g->base.transport, done, g);
}

START_TEST(a_port_may_be_stopped_while_it_starts) {
    fake *f = net_new();
    gram *g = gram_new();
    g->on_start = stop_in_start;
    open_udp(f, g);
    ck_assert_str_eq(g->log, "start");
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    fake_fini(f);
}
END_TEST

START_TEST(members_of_a_group_share_their_port) {
    fake *f = net_new();
    gram *g = gram_new();
    ck_assert_int_eq(dw_reactor_listen_multicast(&f->reactor, 5353, &g->base, NULL, 0, NULL), 0);
    ck_assert_int_eq(net.options[DW_OPTION_REUSE_PORT], 1);
    fake_fini(f);
}
END_TEST

/* ---- Receiving ---- */

START_TEST(datagrams_come_whole_cut_by_the_wire_and_empty) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(5, 1);
    net_queue(0, 1);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 2);
    ck_assert_uint_eq(g->len, 0);
    ck_assert_uint_eq(net.max, 8192); /* Twisted's default (udp-udp-truncated-default) */
    fake_fini(f);
}
END_TEST

/* 256 KiB / 8 KiB = 32 */
START_TEST(a_turn_reads_a_quarter_of_a_megabyte) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(8192, 40);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 32);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 40);
    fake_fini(f);
}
END_TEST

START_TEST(empty_datagrams_do_not_hold_a_turn_up_for_ever) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(0, 1500);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1024);
    fake_fini(f);
}
END_TEST

static void pause_it(gram *g) {
    dw_datagram_pause_producing(g->base.transport);
}

START_TEST(a_paused_port_leaves_the_rest_in_the_queue) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    g->on_received = pause_it;
    net_queue(1, 3);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    g->on_received = NULL;
    dw_datagram_resume_producing(port);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 3);
    fake_fini(f);
}
END_TEST

static void stop_it(gram *g) {
    dw_datagram_stop_listening(g->base.transport, done, g);
}

/* "datagrams that the receive loop of this turn finds are still delivered" */
START_TEST(a_stopped_port_delivers_what_this_turn_finds) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    g->on_received = stop_it;
    net_queue(1, 3);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 3);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    fake_fini(f);
}
END_TEST

START_TEST(a_reading_error_is_logged_and_the_port_rests) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(-ENOMEM, 1);
    net_queue(1, 1);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(f->logs, 1);
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    fake_advance(f, DW_MSEC(100));
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    fake_fini(f);
}
END_TEST

START_TEST(a_resting_port_can_be_stopped) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    net_queue(-EIO, 1);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_int_eq(dw_datagram_stop_listening(port, done, g), 0);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    fake_fini(f);
}
END_TEST

/* What Linux reports about a datagram that was sent (icmp(7)) ends nothing. */
START_TEST(errors_of_the_network_pass) {
    static const int errors[] = {ENETUNREACH, EHOSTUNREACH, EPROTO, EMSGSIZE, EINTR, EACCES};
    fake *f = net_new();
    gram *g = gram_new();
    connect_udp(open_udp(f, g));
    net_queue(-errors[_i], 1);
    net_queue(1, 1);
    fake_ready(f, 0, DW_READABLE);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    ck_assert_uint_eq(f->logs, 0);
    ck_assert_str_eq(g->log, "start");
    fake_fini(f);
}
END_TEST

/* ---- Refusals ---- */

/* udp-udp-connected-refused */
START_TEST(a_refusal_found_by_reading_is_told_and_the_port_lives) {
    fake *f = net_new();
    gram *g = gram_new();
    connect_udp(open_udp(f, g));
    net_queue(-ECONNREFUSED, 1);
    net_queue(3, 1);
    fake_ready(f, 0, DW_READABLE);
    fake_ready(f, 0, DW_READABLE);
    ck_assert_str_eq(g->log, "start refused");
    ck_assert_uint_eq(g->received, 1);
    fake_fini(f);
}
END_TEST

/* udp-udp-unconnected-refused */
START_TEST(a_port_that_is_not_connected_hears_of_no_refusal) {
    fake *f = net_new();
    gram *g = gram_new();
    open_udp(f, g);
    net_queue(-ECONNREFUSED, 1);
    fake_ready(f, 0, DW_READABLE);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start");
    fake_fini(f);
}
END_TEST

START_TEST(a_refusal_found_by_writing_is_told_later_and_this_one_is_sent) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    connect_udp(port);
    net.sends[net.send_count++] = -ECONNREFUSED;
    ck_assert_int_eq(dw_datagram_write(port, "abc", 3, NULL), 3);
    ck_assert_uint_eq(net.sent, 1);
    ck_assert_str_eq(g->log, "start"); /* not inside the call */
    fake_settle(f);
    ck_assert_str_eq(g->log, "start refused");
    fake_fini(f);
}
END_TEST

START_TEST(a_refusal_that_is_still_to_be_told_dies_with_the_port) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    connect_udp(port);
    net.sends[net.send_count++] = -ECONNREFUSED;
    dw_datagram_stop_listening(port, NULL, NULL);
    dw_datagram_write(port, "abc", 3, NULL);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop destroy");
    fake_fini(f);
}
END_TEST

/* A UNIX socket's peer is gone for good: ECONNREFUSED, then ENOTCONN (Linux). */
START_TEST(a_unix_peer_that_is_gone_refuses_each_datagram) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port;
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/a", &g->base, 0, 0, NULL, &port), 0);
    net.sends[net.send_count++] = -ECONNREFUSED;
    net.sends[net.send_count++] = -ENOTCONN;
    net.sends[net.send_count++] = -ENOTCONN;
    net.sends[net.send_count++] = -ENOTCONN;
    ck_assert_int_eq(dw_datagram_write(port, "abc", 3, NULL), 0);
    fake_settle(f);
    ck_assert_int_eq(dw_datagram_write(port, "abc", 3, NULL), 0);
    fake_settle(f);
    ck_assert_str_eq(g->log, "start refused refused");
    fake_fini(f);
}
END_TEST

/* ---- Writing ---- */

START_TEST(write_takes_an_address_of_its_own_kind) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    dw_address six, path, to, other;
    dw_address_parse(&six, "::1", 9);
    dw_address_unix(&path, "/a");
    dw_address_parse(&to, "192.0.2.9", 999);
    dw_address_parse(&other, "192.0.2.9", 998);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, NULL), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &six), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &path), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &(dw_address){0}), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_write(port, NULL, 0, &to), 0);
    ck_assert_uint_eq(net.sent, 1); /* an empty datagram is one */
    connect_udp(port);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &other), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &to), 1);
    ck_assert(net.to_null);
    fake_fini(f);
}
END_TEST

START_TEST(pieces_are_one_datagram) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    struct iovec pieces[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    ck_assert_int_eq(dw_datagram_writev(port, pieces, 3, &net.from), 5);
    ck_assert_uint_eq(net.sent, 1);
    ck_assert_int_eq(dw_datagram_writev(port, NULL, 0, &net.from), 0);
    ck_assert_uint_eq(net.sent, 2);
    ck_assert_int_eq(dw_datagram_writev(port, pieces, DW_DATAGRAM_PIECES_MAX + 1, &net.from),
                     DW_INVALID_ARGUMENT);
    fake_fini(f);
}
END_TEST

START_TEST(what_the_network_has_no_room_for_is_lost) {
    static const struct {
        int error;
        ssize_t result;
    } cases[] = {{EAGAIN, 0},
                 {ENOBUFS, 0},
                 {EINTR, 0},
                 {EMSGSIZE, DW_MESSAGE_TOO_LONG},
                 {EPERM, DW_SYSTEM_ERROR},
                 {ENETUNREACH, DW_SYSTEM_ERROR}};
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    net.sends[net.send_count++] = -cases[_i].error;
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, &net.from), cases[_i].result);
    if (cases[_i].result == DW_SYSTEM_ERROR) {
        ck_assert_int_eq(dw_reactor_errno(&f->reactor), cases[_i].error);
    }
    fake_fini(f);
}
END_TEST

/* ---- Connecting ---- */

START_TEST(connecting_filters_what_waits_already) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    connect_udp(port);
    dw_address peer = dw_datagram_peer(port);
    ck_assert(dw_address_equal(&peer, &net.from));
    net_queue(1, 1);
    net.from.port++;
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 0);
    net_queue(1, 1);
    net.from.port--;
    fake_ready(f, 0, DW_READABLE);
    ck_assert_uint_eq(g->received, 1);
    fake_fini(f);
}
END_TEST

START_TEST(connecting_takes_a_literal_once) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_connect(port, "localhost", 9), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_connect(port, NULL, 9), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_connect(port, "::1", 9), DW_INVALID_ADDRESS);
    net.connect_error = ENETUNREACH;
    ck_assert_int_eq(dw_datagram_connect(port, "192.0.2.9", 999), DW_SYSTEM_ERROR);
    ck_assert_uint_eq(dw_datagram_peer(port).kind, DW_ADDRESS_NONE);
    net.connect_error = 0;
    connect_udp(port);
    ck_assert_int_eq(dw_datagram_connect(port, "192.0.2.9", 999), DW_ALREADY_CONNECTED);
    fake_fini(f);
}
END_TEST

START_TEST(an_adopted_socket_may_be_connected_already) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port;
    net.peer = net.from;
    bound = net.from;
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, -EBADF, &g->base, 0, NULL),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, -EMFILE, &g->base, 0, NULL),
                     DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_adopt_datagram_port(&f->reactor, 0, &g->base, 0, &port), 0);
    ck_assert_int_eq(dw_datagram_write(port, "a", 1, NULL), 1);
    fake_fini(f);
}
END_TEST

/* ---- Stopping ---- */

/* udp-udp-stop, udp-udp-stop-twice */
START_TEST(stopping_happens_later_and_once) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_stop_listening(port, done, g), 0);
    ck_assert_int_eq(dw_datagram_stop_listening(port, done, g), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_write(port, "bye", 3, &net.from), 3); /* still open */
    ck_assert_str_eq(g->log, "start");
    fake_settle(f);
    ck_assert_str_eq(g->log, "start stop done destroy");
    ck_assert(!g->transport_in_stop);
    ck_assert(!f->sockets[0].open);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 0);
    fake_fini(f);
}
END_TEST

/* udp-reactor-udp-at-stop */
START_TEST(the_reactors_end_stops_the_port) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_reactor_startup(&f->reactor);
    open_udp(f, g);
    dw_reactor_shutdown(&f->reactor);
    ck_assert_str_eq(g->log, "start stop destroy");
    fake_fini(f);
}
END_TEST

START_TEST(null_is_a_port_that_is_gone) {
    fake *f = net_new();
    ck_assert_int_eq(dw_datagram_write(NULL, "a", 1, NULL), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_connect(NULL, "127.0.0.1", 1), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_stop_listening(NULL, NULL, NULL), DW_NOT_LISTENING);
    dw_datagram_pause_producing(NULL);
    dw_datagram_resume_producing(NULL);
    ck_assert_uint_eq(dw_datagram_host(NULL).kind, DW_ADDRESS_NONE);
    ck_assert_uint_eq(dw_datagram_peer(NULL).kind, DW_ADDRESS_NONE);
    ck_assert_ptr_null(dw_datagram_reactor(NULL));
    ck_assert(!dw_datagram_get_broadcast_allowed(NULL) && !dw_datagram_get_loopback_mode(NULL));
    ck_assert_int_eq(dw_datagram_set_broadcast_allowed(NULL, true), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_join_group(NULL, "224.0.0.1", NULL), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_get_ttl(NULL), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_set_ttl(NULL, 1), DW_NOT_LISTENING);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(NULL, NULL), DW_NOT_LISTENING);
    ck_assert_uint_eq(dw_datagram_get_outgoing_interface(NULL).kind, DW_ADDRESS_NONE);
    fake_fini(f);
}
END_TEST

/* ---- Options and groups ---- */

START_TEST(options_go_to_the_wire) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_set_broadcast_allowed(port, true), 0);
    ck_assert(dw_datagram_get_broadcast_allowed(port));
    ck_assert_int_eq(dw_datagram_set_ttl(port, 255), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(port), 255);
    ck_assert_int_eq(dw_datagram_set_ttl(port, 256), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_datagram_set_ttl(port, -1), DW_INVALID_ARGUMENT);
    net.option_error = EOPNOTSUPP;
    ck_assert_int_eq(dw_datagram_get_ttl(port), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_datagram_set_loopback_mode(port, false), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EOPNOTSUPP);
    fake_fini(f);
}
END_TEST

START_TEST(groups_are_literals_of_multicast_addresses) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_udp(f, g);
    ck_assert_int_eq(dw_datagram_join_group(port, "239.1.2.3", "192.0.2.1"), 0);
    ck_assert(net.joined && !net.by_null && net.group.ip[0] == 239 && net.by.ip[0] == 192);
    ck_assert_int_eq(dw_datagram_leave_group(port, "239.1.2.3", NULL), 0);
    ck_assert(!net.joined && net.by_null);
    ck_assert_int_eq(dw_datagram_join_group(port, "192.0.2.9", NULL), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_join_group(port, "240.0.0.1", NULL), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_join_group(port, "ff02::1", NULL), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_join_group(port, "239.1.2.3", "lo"), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(port, NULL), DW_UNSUPPORTED);
    net.option_error = EADDRINUSE;
    ck_assert_int_eq(dw_datagram_join_group(port, "239.1.2.3", NULL), DW_SYSTEM_ERROR);
    fake_fini(f);
}
END_TEST

/* ---- UNIX files ---- */

static dw_datagram_port *open_unix(fake *f, gram *g) {
    dw_datagram_port *port;
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(&f->reactor, "/run/a", &g->base, 0, 0600, &port), 0);
    return port;
}

START_TEST(a_unix_port_takes_its_file_with_it) {
    fake *f = net_new();
    gram *g = gram_new();
    dw_datagram_port *port = open_unix(f, g);
    ck_assert_uint_eq(net.mode, 0600);
    dw_datagram_stop_listening(port, NULL, NULL);
    ck_assert_uint_eq(net.unlinked, 0);
    fake_settle(f);
    ck_assert_uint_eq(net.unlinked, 1);
    fake_fini(f);
}
END_TEST

START_TEST(a_file_that_somebody_put_in_its_place_stays) {
    static const uint64_t now[] = {8 /* another one */, 0 /* none */};
    fake *f = net_new();
    gram *g = gram_new();
    open_unix(f, g);
    net.file = now[_i];
    fake_fini(f);
    ck_assert_uint_eq(net.unlinked, 0);
}
END_TEST

START_TEST(abstract_names_have_no_file) {
    fake *f = net_new();
    gram *g = gram_new();
    ck_assert_int_eq(dw_reactor_listen_unix_datagram(&f->reactor, "@a", &g->base, 0, 0600, NULL),
                     0);
    fake_fini(f);
    ck_assert_uint_eq(net.mode, 0);
    ck_assert_uint_eq(net.unlinked, 0);
}
END_TEST

START_TEST(a_file_that_was_made_goes_when_the_rest_fails) {
    fake *f = net_new();
    gram *g = gram_new();
    net.mode_error = EPERM;
    ck_assert_int_eq(
        dw_reactor_listen_unix_datagram(&f->reactor, "/run/a", &g->base, 0, 0600, NULL),
        DW_CANNOT_LISTEN);
    ck_assert_uint_eq(net.unlinked, 1);
    net.mode_error = 0;
    net.connect_error = ENOENT;
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/run/b", &g->base, 0, 0, "/run/a", NULL),
        DW_CONNECT_ERROR);
    ck_assert_uint_eq(net.unlinked, 2);
    net.connect_error = ECONNREFUSED;
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(&f->reactor, "/run/b", &g->base, 0, 0, NULL, NULL),
        DW_CONNECTION_REFUSED);
    ck_assert_str_eq(g->log, "");
    fake_fini(f);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("datagrams");
    tcase_add_test(tc, listening_starts_the_protocol_inside_the_call);
    tcase_add_test(tc, a_wire_without_datagrams_says_so);
    tcase_add_test(tc, bad_arguments_are_refused_before_anything_is_opened);
    tcase_add_test(tc, a_failed_bind_leaves_the_protocol_alone);
    tcase_add_test(tc, no_memory_for_a_port_is_an_answer);
    tcase_add_test(tc, a_port_may_be_stopped_while_it_starts);
    tcase_add_test(tc, members_of_a_group_share_their_port);
    tcase_add_test(tc, datagrams_come_whole_cut_by_the_wire_and_empty);
    tcase_add_test(tc, a_turn_reads_a_quarter_of_a_megabyte);
    tcase_add_test(tc, empty_datagrams_do_not_hold_a_turn_up_for_ever);
    tcase_add_test(tc, a_paused_port_leaves_the_rest_in_the_queue);
    tcase_add_test(tc, a_stopped_port_delivers_what_this_turn_finds);
    tcase_add_test(tc, a_reading_error_is_logged_and_the_port_rests);
    tcase_add_test(tc, a_resting_port_can_be_stopped);
    tcase_add_loop_test(tc, errors_of_the_network_pass, 0, 6);
    tcase_add_test(tc, a_refusal_found_by_reading_is_told_and_the_port_lives);
    tcase_add_test(tc, a_port_that_is_not_connected_hears_of_no_refusal);
    tcase_add_test(tc, a_refusal_found_by_writing_is_told_later_and_this_one_is_sent);
    tcase_add_test(tc, a_refusal_that_is_still_to_be_told_dies_with_the_port);
    tcase_add_test(tc, a_unix_peer_that_is_gone_refuses_each_datagram);
    tcase_add_test(tc, write_takes_an_address_of_its_own_kind);
    tcase_add_test(tc, pieces_are_one_datagram);
    tcase_add_loop_test(tc, what_the_network_has_no_room_for_is_lost, 0, 6);
    tcase_add_test(tc, connecting_filters_what_waits_already);
    tcase_add_test(tc, connecting_takes_a_literal_once);
    tcase_add_test(tc, an_adopted_socket_may_be_connected_already);
    tcase_add_test(tc, stopping_happens_later_and_once);
    tcase_add_test(tc, the_reactors_end_stops_the_port);
    tcase_add_test(tc, null_is_a_port_that_is_gone);
    tcase_add_test(tc, options_go_to_the_wire);
    tcase_add_test(tc, groups_are_literals_of_multicast_addresses);
    tcase_add_test(tc, a_unix_port_takes_its_file_with_it);
    tcase_add_loop_test(tc, a_file_that_somebody_put_in_its_place_stays, 0, 2);
    tcase_add_test(tc, abstract_names_have_no_file);
    tcase_add_test(tc, a_file_that_was_made_goes_when_the_rest_fails);
    return run_suite(tc);
}
