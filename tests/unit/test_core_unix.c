/* SPDX-License-Identifier: MIT */
/*
 * UNIX streams in core, on a wire that does what the test says: attempts at a full queue, files of
 * ports, adopted sockets, and descriptors on their way out and in. Expectations: vectors/README.md,
 * transport.h, arithmetic by hand.
 */
#include "test_core_wire.h"

enum { FDS_MAX = 300, CALLS_MAX = 64 };

/* ---- A wire with UNIX sockets ---- */

static dw_wire wire;
static struct {
    unsigned connects;
    int connect_answer;
    unsigned full; /* connects that find the queue full first */
    int bind_error, mode_error, listen_error, keep_error, adopt_error, remote_error;
    unsigned mode, unlinked;
    bool is_unix;
    /* Descriptors: open ones, by number. */
    bool open[FDS_MAX];
    int next_fd;
    /* What was sent, call by call: "3+2" is three bytes with two descriptors. */
    char calls[400];
    size_t room[CALLS_MAX]; /* bytes that each call takes; 0: EAGAIN */
    unsigned call, rooms;
    int send_error;
    /* What the next recv brings. */
    int incoming[FDS_MAX];
    size_t in_count, in_next;
} net;

static int net_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    int result = fake_open(reactor, io, kind);
    io->family = (uint8_t)kind;
    return result;
}

static int net_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_socket_of(reactor, io);
    ck_assert_uint_eq(address->kind, io->family);
    return -net.bind_error;
}

static int net_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    (void)fake_listen(reactor, io, backlog);
    return -net.listen_error;
}

static int net_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)fake_socket_of(reactor, io);
    return io->family == DW_ADDRESS_UNIX ? dw_address_unix(out, "/run/a")
                                         : dw_address_parse(out, "192.0.2.1", 4321);
}

static int net_remote_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)fake_socket_of(reactor, io);
    *out = (dw_address){.kind = DW_ADDRESS_UNIX};
    return -net.remote_error;
}

static int net_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_connect(reactor, io, address);
    net.connects++;
    if (net.full > 0) {
        net.full--;
        return -EAGAIN;
    }
    return net.connect_answer;
}

static int net_set_mode(dw_reactor *reactor, const dw_address *address, unsigned mode) {
    (void)reactor;
    ck_assert_str_eq(address->path, "/run/a");
    net.mode = mode;
    return -net.mode_error;
}

static void net_unlink(dw_reactor *reactor, const dw_address *address) {
    (void)reactor;
    ck_assert_str_eq(address->path, "/run/a");
    net.unlinked++;
}

static int net_adopt(dw_reactor *reactor, dw_io *io, int fd) {
    ck_assert_int_eq(fd, 5);
    if (net.adopt_error == 0) {
        fake_socket_new(fake_of(reactor), io);
        io->family = DW_ADDRESS_UNIX;
    }
    return -net.adopt_error;
}

static ssize_t net_take(fake_socket *s, const struct iovec *piece, size_t fds) {
    size_t len = piece->iov_len;
    size_t used = strlen(net.calls);
    if (net.send_error != 0) {
        return -net.send_error;
    }
    if (net.call < net.rooms && net.room[net.call++] < len) {
        len = net.room[net.call - 1];
    }
    snprintf(net.calls + used, sizeof(net.calls) - used, "%zu+%zu ", len, len > 0 ? fds : 0);
    s->out_len += len;
    return len > 0 || piece->iov_len == 0 ? (ssize_t)len : -EAGAIN;
}

static ssize_t net_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    ck_assert_int_eq(count, 1);
    return net_take(fake_socket_of(reactor, io), pieces, 0);
}

static ssize_t net_send_descriptors(dw_reactor *reactor, dw_io *io, const struct iovec *pieces,
                                    int count, const int *fds, size_t fd_count) {
    ck_assert_int_eq(count, 1);
    for (size_t i = 0; i < fd_count; i++) {
        ck_assert(net.open[fds[i]]);
    }
    return net_take(fake_socket_of(reactor, io), pieces, fd_count);
}

static int net_new_fd(void) {
    ck_assert_int_lt(net.next_fd, FDS_MAX);
    net.open[net.next_fd] = true;
    return net.next_fd++;
}

static int net_keep_descriptor(dw_reactor *reactor, int fd) {
    (void)reactor, (void)fd;
    return net.keep_error != 0 ? -net.keep_error : net_new_fd();
}

static void net_drop_descriptor(dw_reactor *reactor, int fd) {
    (void)reactor;
    ck_assert(net.open[fd]); /* and never twice */
    net.open[fd] = false;
}

static int net_take_descriptor(dw_reactor *reactor, dw_io *io) {
    (void)fake_socket_of(reactor, io);
    return net.in_next < net.in_count ? net.incoming[net.in_next++] : -1;
}

static int open_fds(void) {
    int count = 0;
    for (int i = 0; i < FDS_MAX; i++) {
        count += net.open[i];
    }
    return count;
}

static fake *net_new(void) {
    fake *f = fake_new();
    memset(&net, 0, sizeof(net));
    wire = fake_wire;
    wire.open = net_open;
    wire.bind = net_bind;
    wire.listen = net_listen;
    wire.local_address = net_local_address;
    wire.remote_address = net_remote_address;
    wire.connect = net_connect;
    wire.set_mode = net_set_mode;
    wire.unlink = net_unlink;
    wire.adopt = net_adopt;
    wire.send = net_send;
    wire.send_descriptors = net_send_descriptors;
    wire.take_descriptor = net_take_descriptor;
    wire.keep_descriptor = net_keep_descriptor;
    wire.drop_descriptor = net_drop_descriptor;
    f->reactor.wire = &wire;
    return f;
}

static void net_fini(fake *f) {
    fake_fini(f);
    ck_assert_int_eq(open_fds(), 0);
}

/* ---- Attempts ---- */

static rec_factory g;
static rec r;

static void connect_unix(fake *f, dw_time timeout) {
    rec_init(&r, f);
    rec_factory_init(&g, f, &r);
    ck_assert_int_eq(dw_reactor_connect_unix(&f->reactor, "/run/a", &g.client, timeout, NULL), 0);
}

START_TEST(a_connection_is_there_when_the_delayed_call_has_run) {
    fake *f = net_new();
    connect_unix(f, 0);
    ck_assert_str_eq(g.log, "start connecting");
    dw_reactor_turn_calls(&f->reactor);
    ck_assert_str_eq(g.log, "start connecting build");
    ck_assert_str_eq(r.log, "made");
    net_fini(f);
}
END_TEST

/* After 10, 20, 40 ms. */
START_TEST(a_full_queue_is_tried_again) {
    fake *f = net_new();
    net.full = 3;
    connect_unix(f, 0);
    fake_settle(f);
    ck_assert_uint_eq(net.connects, 1);
    fake_advance(f, DW_MSEC(69));
    ck_assert_uint_eq(net.connects, 3);
    ck_assert_str_eq(r.log, "");
    fake_advance(f, DW_MSEC(1));
    ck_assert_uint_eq(net.connects, 4);
    ck_assert_str_eq(r.log, "made");
    ck_assert_int_eq(f->socket_count, 1); /* always the same socket */
    net_fini(f);
}
END_TEST

/* Seven waits double from 10 to 640 ms, 1270 ms in all; then one each second, 28 of them until 30
 * s: with the first try 36. */
START_TEST(a_queue_that_stays_full_is_a_time_out) {
    fake *f = net_new();
    net.full = 1000;
    connect_unix(f, 0);
    fake_advance(f, DW_SEC(30) - 1);
    ck_assert_str_eq(g.log, "start connecting");
    fake_advance(f, 1);
    ck_assert_str_eq(g.log, "start connecting failed:TIMEOUT stop");
    ck_assert_uint_eq(net.connects, 36);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).delayed_calls, 0);
    net_fini(f);
}
END_TEST

START_TEST(an_attempt_that_waits_can_be_stopped) {
    fake *f = net_new();
    net.full = 1000;
    connect_unix(f, 0);
    fake_settle(f);
    ck_assert_int_eq(dw_connector_stop_connecting(g.connector), 0);
    ck_assert_str_eq(g.log, "start connecting failed:USER_ERROR stop");
    fake_advance(f, DW_SEC(60));
    ck_assert_uint_eq(net.connects, 1);
    net_fini(f);
}
END_TEST

/* Elsewhere it means something else (connect(2): no ports left) and ends the attempt. */
START_TEST(on_tcp_the_same_errno_is_a_failure) {
    fake *f = net_new();
    net.full = 1;
    rec_init(&r, f);
    rec_factory_init(&g, f, &r);
    ck_assert_int_eq(dw_reactor_connect_tcp(&f->reactor, "192.0.2.1", 9, &g.client, 0, NULL, NULL),
                     0);
    fake_settle(f);
    ck_assert_str_eq(g.log, "start connecting failed:CONNECT_ERROR stop");
    net_fini(f);
}
END_TEST

START_TEST(a_wire_without_unix_sockets_says_so) {
    fake *f = fake_new();
    rec_factory_init(&g, f, NULL);
    ck_assert_int_eq(dw_reactor_connect_unix(&f->reactor, "/run/a", &g.client, 0, NULL),
                     DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_listen_unix(&f->reactor, "/run/a", &g.client.base, 0, 0, NULL),
                     DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(&f->reactor, 5, &g.client.base, NULL),
                     DW_UNSUPPORTED);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(&f->reactor, 5, &g.client.base),
                     DW_UNSUPPORTED);
    ck_assert_str_eq(g.log, "");
    fake_fini(f);
}
END_TEST

START_TEST(no_memory_is_an_answer) {
    fake *f = net_new();
    rec_factory_init(&g, f, NULL);
    f->fail_in = 1;
    f->fail_after = true;
    ck_assert_int_eq(dw_reactor_connect_unix(&f->reactor, "/run/a", &g.client, 0, NULL),
                     DW_NO_MEMORY);
    ck_assert_int_eq(dw_reactor_listen_unix(&f->reactor, "/run/a", &g.client.base, 0, 0, NULL),
                     DW_NO_MEMORY);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(&f->reactor, 5, &g.client.base, NULL),
                     DW_NO_MEMORY);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(&f->reactor, 5, &g.client.base),
                     DW_NO_MEMORY);
    f->fail_in = 0;
    ck_assert_str_eq(g.log, "");
    net_fini(f);
}
END_TEST

/* ---- Ports ---- */

START_TEST(a_port_makes_its_file_and_takes_it_along) {
    fake *f = net_new();
    dw_port *port;
    rec_factory_init(&g, f, NULL);
    ck_assert_int_eq(dw_reactor_listen_unix(&f->reactor, "/run/a", &g.client.base, 0, 0, &port), 0);
    ck_assert_uint_eq(net.mode, 0666);
    ck_assert_int_eq(dw_port_stop_listening(port, NULL, NULL), 0);
    ck_assert_uint_eq(net.unlinked, 0);
    fake_settle(f);
    ck_assert_uint_eq(net.unlinked, 1);
    net_fini(f);
}
END_TEST

/* The file goes if it was made, and the factory has been started and is stopped. */
START_TEST(whatever_fails_in_listening_is_undone) {
    static const unsigned unlinked[] = {0, 1, 1};
    fake *f = net_new();
    rec_factory_init(&g, f, NULL);
    int *const errors[] = {&net.bind_error, &net.mode_error, &net.listen_error};
    *errors[_i] = EACCES;
    ck_assert_int_eq(dw_reactor_listen_unix(&f->reactor, "/run/a", &g.client.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EACCES);
    ck_assert_uint_eq(net.unlinked, unlinked[_i]);
    ck_assert_str_eq(g.log, "start stop");
    ck_assert(!f->sockets[0].open);
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 0);
    net_fini(f);
}
END_TEST

START_TEST(an_adopted_port_leaves_its_file) {
    fake *f = net_new();
    dw_port *port;
    rec_factory_init(&g, f, NULL);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(&f->reactor, 5, &g.client.base, &port), 0);
    ck_assert_str_eq(g.log, "start");
    ck_assert_uint_eq(dw_reactor_count(&f->reactor).ports, 1);
    dw_port_stop_listening(port, NULL, NULL);
    fake_settle(f);
    ck_assert_str_eq(g.log, "start stop");
    ck_assert_uint_eq(net.unlinked, 0);
    net_fini(f);
}
END_TEST

START_TEST(errors_of_adopting_are_told_apart) {
    static const struct {
        int error, result;
    } cases[] = {{EBADF, DW_INVALID_ARGUMENT},  {ENOTSOCK, DW_INVALID_ARGUMENT},
                 {EINVAL, DW_INVALID_ARGUMENT}, {ENOTCONN, DW_INVALID_ARGUMENT},
                 {ENOMEM, DW_NO_MEMORY},        {EMFILE, DW_SYSTEM_ERROR}};
    fake *f = net_new();
    rec_factory_init(&g, f, NULL);
    net.adopt_error = cases[_i].error;
    ck_assert_int_eq(dw_reactor_adopt_stream_port(&f->reactor, 5, &g.client.base, NULL),
                     cases[_i].result);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(&f->reactor, 5, &g.client.base),
                     cases[_i].result);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), cases[_i].error);
    ck_assert_str_eq(g.log, "");
    net_fini(f);
}
END_TEST

START_TEST(a_connection_that_ends_while_it_is_adopted_is_closed) {
    fake *f = net_new();
    rec_factory_init(&g, f, NULL);
    net.remote_error = ENOTCONN;
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(&f->reactor, 5, &g.client.base),
                     DW_INVALID_ARGUMENT);
    ck_assert(!f->sockets[0].open);
    net_fini(f);
}
END_TEST

/* ---- Descriptors ---- */

/* An adopted connection, for `r`. */
static fake *connected(void) {
    fake *f = net_new();
    rec_init(&r, f);
    rec_factory_init(&g, f, &r);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(&f->reactor, 5, &g.client.base), 0);
    ck_assert_str_eq(r.log, "made");
    return f;
}

static void send_fd(unsigned times) {
    while (times-- > 0) {
        ck_assert_int_eq(dw_transport_send_file_descriptor(rec_transport(&r), 1), 0);
    }
}

START_TEST(each_goes_with_the_next_byte_that_is_written) {
    fake *f = connected();
    rec_write(&r, "ab");
    send_fd(1);
    rec_write(&r, "cde");
    send_fd(2);
    rec_write(&r, "fg");
    fake_settle(f);
    ck_assert_str_eq(net.calls, "2+0 3+1 2+2 ");
    ck_assert_int_eq(open_fds(), 0);
    net_fini(f);
}
END_TEST

START_TEST(one_that_was_sent_first_waits_for_its_byte) {
    fake *f = connected();
    send_fd(1);
    fake_settle(f);
    ck_assert_str_eq(net.calls, "");
    rec_write(&r, "ab");
    fake_settle(f);
    ck_assert_str_eq(net.calls, "2+1 ");
    net_fini(f);
}
END_TEST

static void echo_then_descriptor(rec *self) {
    dw_transport_write(rec_transport(self), self->data, self->len);
    send_fd(1);
}

static void descriptor_then_echo(rec *self) {
    send_fd(1);
    dw_transport_write(rec_transport(self), self->data, self->len);
}

/* An echo leaves straight from the read buffer, and counts all the same. */
START_TEST(the_bytes_of_an_echo_count) {
    fake *f = connected();
    r.on_data = _i == 0 ? echo_then_descriptor : descriptor_then_echo;
    fake_receive(f, 0, "abc", 3);
    ck_assert_str_eq(net.calls, _i == 0 ? "3+0 " : "3+1 ");
    rec_write(&r, "z");
    fake_settle(f);
    ck_assert_str_eq(net.calls, _i == 0 ? "3+0 1+1 " : "3+1 1+0 ");
    ck_assert_int_eq(open_fds(), 0);
    net_fini(f);
}
END_TEST

/* The wire takes 1 of the 2 bytes before it, then nothing, then the other; then nothing of the call
 * with the descriptor, and then its first byte, with which it has gone. */
START_TEST(short_writes_keep_it_at_its_byte) {
    static const size_t room[] = {1, 0, 1, 0, 1};
    fake *f = connected();
    memcpy(net.room, room, sizeof(room));
    net.rooms = 5;
    rec_write(&r, "ab");
    send_fd(1);
    rec_write(&r, "cd");
    for (int i = 0; i < 10; i++) {
        fake_settle(f);
        fake_ready(f, 0, DW_WRITABLE);
    }
    ck_assert_str_eq(net.calls, "1+0 0+0 1+0 0+0 1+1 1+0 ");
    ck_assert_int_eq(open_fds(), 0);
    net_fini(f);
}
END_TEST

START_TEST(those_that_wait_are_closed_at_the_end) {
    fake *f = connected();
    send_fd(3);
    rec_write(&r, "a");
    send_fd(1);
    ck_assert_int_eq(open_fds(), 4);
    switch (_i) {
    case 0: /* the last one never gets a byte */
        dw_transport_lose_connection(rec_transport(&r));
        fake_settle(f);
        ck_assert_str_eq(net.calls, "1+3 ");
        break;
    case 1:
        dw_transport_abort_connection(rec_transport(&r));
        ck_assert_int_eq(open_fds(), 0);
        break;
    case 2:
        net.send_error = ETOOMANYREFS; /* too many on their way (unix(7)) */
        fake_settle(f);
        ck_assert_str_eq(r.log, "made lost:CONNECTION_LOST");
        ck_assert_int_eq(r.reason.sys_errno, ETOOMANYREFS);
        break;
    case 3:
        dw_transport_fail(rec_transport(&r), &(dw_reason){.kind = DW_APP_ERROR});
        break;
    default: /* the reactor ends */
        break;
    }
    net_fini(f);
}
END_TEST

START_TEST(each_memory_block_of_sending_one_may_fail) {
    fake *f = connected();
    f->fail_in = (unsigned)_i + 1;
    ck_assert_int_eq(dw_transport_send_file_descriptor(rec_transport(&r), 1), DW_NO_MEMORY);
    ck_assert_uint_eq(f->fails, 1);
    ck_assert_str_eq(r.log, "made"); /* nothing was lost, so nothing ends */
    send_fd(1);
    net_fini(f);
}
END_TEST

START_TEST(one_that_cannot_be_kept_is_an_error) {
    fake *f = connected();
    net.keep_error = EBADF;
    ck_assert_int_eq(dw_transport_send_file_descriptor(rec_transport(&r), 1), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(&f->reactor), EBADF);
    rec_write(&r, "a");
    fake_settle(f);
    ck_assert_str_eq(net.calls, "1+0 ");
    net_fini(f);
}
END_TEST

/* By transport.h, and where bytes are not taken any more, descriptors are not either. */
START_TEST(it_needs_a_connection_that_writes) {
    fake *f = connected();
    dw_transport *t = rec_transport(&r);
    ck_assert_int_eq(dw_transport_send_file_descriptor(NULL, 1), DW_NOT_CONNECTED);
    dw_transport_abort_connection(t);
    ck_assert_int_eq(dw_transport_send_file_descriptor(t, 1), DW_NOT_CONNECTED);
    net_fini(f);
}
END_TEST

START_TEST(a_wire_that_cannot_says_so) {
    fake *f = connected();
    wire.send_descriptors = NULL;
    ck_assert_int_eq(dw_transport_send_file_descriptor(rec_transport(&r), 1), DW_UNSUPPORTED);
    ck_assert_int_eq(dw_transport_handle(rec_transport(&r)), -1);
    net_fini(f);
}
END_TEST

static void bring(size_t count) {
    net.in_count = net.in_next = 0;
    while (count-- > 0) {
        net.incoming[net.in_count++] = net_new_fd();
    }
}

START_TEST(those_that_nobody_catches_are_closed) {
    fake *f = connected();
    bring(3);
    fake_receive(f, 0, "abc", 3);
    ck_assert_str_eq(r.log, "made data");
    ck_assert_int_eq(open_fds(), 0);
    net_fini(f);
}
END_TEST

static void (*on_fd)(void);

static void rec_fd(dw_protocol *p, int fd) {
    say(rec_of(p)->log, "fd");
    ck_assert(net.open[fd]);
    net.open[fd] = false; /* the program closes it */
    if (on_fd != NULL) {
        on_fd();
    }
}

static const dw_protocol_class catching_class = {.name = "catching",
                                                 .connection_made = rec_made,
                                                 .data_received = rec_data,
                                                 .connection_lost = rec_lost,
                                                 .file_descriptor_received = rec_fd};

static void do_lose(void) {
    dw_transport_lose_connection(rec_transport(&r));
}

static void do_abort(void) {
    dw_transport_abort_connection(rec_transport(&r));
}

static void do_pause(void) {
    dw_transport_pause_producing(rec_transport(&r));
}

static fake *catching(void (*reaction)(void)) {
    fake *f = connected();
    r.protocol.cls = &catching_class;
    on_fd = reaction;
    bring(2);
    fake_receive(f, 0, "abc", 3);
    return f;
}

START_TEST(they_come_before_the_data) {
    fake *f = catching(NULL);
    ck_assert_str_eq(r.log, "made fd fd data");
    net_fini(f);
}
END_TEST

START_TEST(what_came_with_one_that_ends_the_connection_is_dropped) {
    fake *f = catching(_i == 0 ? do_lose : do_abort);
    ck_assert_str_eq(r.log, "made fd");
    ck_assert_int_eq(open_fds(), 0);
    fake_settle(f);
    ck_assert_str_eq(r.log,
                     _i == 0 ? "made fd lost:CONNECTION_DONE" : "made fd lost:CONNECTION_ABORTED");
    net_fini(f);
}
END_TEST

/* It has been received, and nobody else could keep it. */
START_TEST(pausing_comes_too_late_for_what_was_received) {
    fake *f = catching(do_pause);
    ck_assert_str_eq(r.log, "made fd fd data");
    ck_assert_uint_eq(f->sockets[0].io->want, 0);
    net_fini(f);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("unix");
    tcase_add_test(tc, a_connection_is_there_when_the_delayed_call_has_run);
    tcase_add_test(tc, a_full_queue_is_tried_again);
    tcase_add_test(tc, a_queue_that_stays_full_is_a_time_out);
    tcase_add_test(tc, an_attempt_that_waits_can_be_stopped);
    tcase_add_test(tc, on_tcp_the_same_errno_is_a_failure);
    tcase_add_test(tc, a_wire_without_unix_sockets_says_so);
    tcase_add_test(tc, no_memory_is_an_answer);
    tcase_add_test(tc, a_port_makes_its_file_and_takes_it_along);
    tcase_add_loop_test(tc, whatever_fails_in_listening_is_undone, 0, 3);
    tcase_add_test(tc, an_adopted_port_leaves_its_file);
    tcase_add_loop_test(tc, errors_of_adopting_are_told_apart, 0, 6);
    tcase_add_test(tc, a_connection_that_ends_while_it_is_adopted_is_closed);
    tcase_add_test(tc, each_goes_with_the_next_byte_that_is_written);
    tcase_add_test(tc, one_that_was_sent_first_waits_for_its_byte);
    tcase_add_loop_test(tc, the_bytes_of_an_echo_count, 0, 2);
    tcase_add_test(tc, short_writes_keep_it_at_its_byte);
    tcase_add_loop_test(tc, those_that_wait_are_closed_at_the_end, 0, 5);
    tcase_add_loop_test(tc, each_memory_block_of_sending_one_may_fail, 0, 2);
    tcase_add_test(tc, one_that_cannot_be_kept_is_an_error);
    tcase_add_test(tc, it_needs_a_connection_that_writes);
    tcase_add_test(tc, a_wire_that_cannot_says_so);
    tcase_add_test(tc, those_that_nobody_catches_are_closed);
    tcase_add_test(tc, they_come_before_the_data);
    tcase_add_loop_test(tc, what_came_with_one_that_ends_the_connection_is_dropped, 0, 2);
    tcase_add_test(tc, pausing_comes_too_late_for_what_was_received);
    return run_case(tc);
}
