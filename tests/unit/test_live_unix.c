/* SPDX-License-Identifier: MIT */
/*
 * UNIX streams on real sockets, on each poller: descriptors that travel with the bytes, sockets
 * that the program made, files, full queues, calls that fail. The expectations are unix(7)'s and
 * the headers'; the other end is plain POSIX.
 */
#include "test_poll_support.h"

#include <drywire/wrapper.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- A protocol that catches descriptors ---- */

enum { CAUGHT_MAX = 300 };

struct catcher {
    dw_protocol base;
    char log[200]; /* "fd", "data 3", "lost" */
    int fds[CAUGHT_MAX], caught;
    size_t before[CAUGHT_MAX]; /* bytes that had come by then */
    size_t received;
    int made, lost;
    dw_reason reason;
    void (*on_fd)(struct catcher *catcher);
};

static void log_word(struct catcher *c, const char *word, size_t number) {
    size_t used = strlen(c->log);
    snprintf(c->log + used, sizeof(c->log) - used, number > 0 ? "%s %zu|" : "%s|", word, number);
}

static void catcher_made(dw_protocol *protocol) {
    ((struct catcher *)protocol)->made++;
}

static void catcher_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    struct catcher *c = (struct catcher *)protocol;
    (void)data;
    c->received += len;
    log_word(c, "data", len);
}

static void catcher_fd(dw_protocol *protocol, int fd) {
    struct catcher *c = (struct catcher *)protocol;
    ck_assert_int_lt(c->caught, CAUGHT_MAX);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    c->before[c->caught] = c->received;
    c->fds[c->caught++] = fd;
    log_word(c, "fd", 0);
    if (c->on_fd != NULL) {
        c->on_fd(c);
    }
}

static void catcher_lost(dw_protocol *protocol, const dw_reason *reason) {
    struct catcher *c = (struct catcher *)protocol;
    c->lost++;
    c->reason = *reason;
    log_word(c, "lost", 0);
}

static const dw_protocol_class catcher_class = {.name = "catcher",
                                                .connection_made = catcher_made,
                                                .data_received = catcher_data,
                                                .connection_lost = catcher_lost,
                                                .file_descriptor_received = catcher_fd};

static const dw_protocol_class butterfingers_class = {.name = "butterfingers",
                                                      .connection_made = catcher_made,
                                                      .data_received = catcher_data,
                                                      .connection_lost = catcher_lost};

struct catchers {
    dw_factory base;
    struct catcher *next;
    const dw_protocol_class *cls;
};

static dw_protocol *catchers_build(dw_factory *factory, const dw_address *peer) {
    struct catchers *f = (struct catchers *)factory;
    ck_assert_uint_ne(peer->kind, DW_ADDRESS_NONE);
    dw_protocol_init(&f->next->base, f->cls);
    return &f->next->base;
}

static const dw_factory_class catchers_class = {.name = "catchers",
                                                .build_protocol = catchers_build};

static int log_lines;

static void count_line(void *user, const char *line) {
    (void)user, (void)line;
    log_lines++;
}

static void adopt(dw_reactor *reactor, struct catcher *c, const dw_protocol_class *cls, int fd) {
    struct catchers f = {.next = c, .cls = cls};
    dw_factory_init(&f.base, &catchers_class);
    memset(c, 0, sizeof(*c));
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(reactor, fd, &f.base), 0);
    ck_assert_int_eq(c->made, 1);
    ck_assert_int_eq(close(fd), 0); /* the program's own; the library has its duplicate */
}

/* A connection of ours whose other end is returned. */
static int catch_from(dw_reactor *reactor, struct catcher *c, const dw_protocol_class *cls) {
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    adopt(reactor, c, cls, fds[0]);
    peer_limit(fds[1]);
    return fds[1];
}

static void drop_caught(struct catcher *c) {
    while (c->caught > 0) {
        ck_assert_int_eq(close(c->fds[--c->caught]), 0);
    }
}

/* ---- The other end ---- */

union rights {
    struct cmsghdr align;
    char room[CMSG_SPACE(300 * sizeof(int))];
};

static void peer_send_fds(int peer, const char *text, const int *fds, size_t count) {
    union rights control;
    memset(&control, 0, sizeof(control));
    struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(count * sizeof(int))};
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    ck_assert_int_eq(sendmsg(peer, &message, 0), (ssize_t)strlen(text));
}

/* Receives one byte, and closes and counts the descriptors beside it. */
static int peer_recv_byte(int peer, char *byte) {
    union rights control;
    struct iovec piece = {byte, 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ck_assert_int_eq(recvmsg(peer, &message, MSG_CMSG_CLOEXEC), 1);
    ck_assert_int_eq(message.msg_flags & MSG_CTRUNC, 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL) {
        return 0;
    }
    int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + (size_t)i * sizeof(int), sizeof(fd));
        ck_assert_int_eq(close(fd), 0);
    }
    return count;
}

/* A pipe whose reading end tells when nobody holds the other one any more. */
static void pipe_new(int fds[2]) {
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
}

static bool pipe_ended(int fd) {
    char byte;
    return read(fd, &byte, 1) == 0;
}

/* ---- Descriptors that come ---- */

START_TEST(descriptors_come_before_the_bytes_they_came_with) {
    struct catcher c;
    int before = open_descriptors(), fds[2];
    dw_reactor *reactor = new_reactor();
    int peer = catch_from(reactor, &c, &catcher_class);
    pipe_new(fds);
    peer_write(peer, "ab");
    peer_send_fds(peer, "c", (int[]){fds[1], fds[0]}, 2);
    peer_write(peer, "d");
    close(fds[1]);
    for (int i = 0; i < 100 && c.received < 4; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(50)), 0);
    }
    ck_assert_str_eq(c.log, "fd|fd|data 3|data 1|");
    ck_assert_int_eq(write(c.fds[0], "x", 1), 1); /* they came in order and they work */
    char byte;
    ck_assert_int_eq(read(c.fds[1], &byte, 1), 1);
    drop_caught(&c);
    close(fds[0]);
    close(peer);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(nobody_to_catch_them_and_they_are_closed) {
    struct catcher c;
    int fds[2];
    dw_reactor *reactor = new_reactor();
    int peer = catch_from(reactor, &c, &butterfingers_class);
    pipe_new(fds);
    peer_send_fds(peer, "a", &fds[1], 1);
    close(fds[1]);
    ck_assert(!pipe_ended(fds[0]));
    for (int i = 0; i < 100 && c.received < 1; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(50)), 0);
    }
    ck_assert(pipe_ended(fds[0]));
    ck_assert_str_eq(c.log, "data 1|");
    close(fds[0]);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

static void lose_it(struct catcher *c) {
    dw_transport_lose_connection(c->base.transport);
}

static void abort_it(struct catcher *c) {
    dw_transport_abort_connection(c->base.transport);
}

static void fail_it(struct catcher *c) {
    dw_transport_fail(c->base.transport, &(dw_reason){.kind = DW_APP_ERROR});
}

/* The others are closed, and the bytes are as if they came after the end. */
START_TEST(a_descriptor_may_end_the_connection) {
    static void (*const ends[])(struct catcher *) = {lose_it, abort_it, fail_it};
    struct catcher c;
    int before = open_descriptors(), fds[2];
    dw_reactor *reactor = new_reactor();
    int peer = catch_from(reactor, &c, &catcher_class);
    c.on_fd = ends[_i];
    pipe_new(fds);
    peer_send_fds(peer, "abc", (int[]){fds[0], fds[1], fds[1]}, 3);
    close(fds[1]);
    ck_assert(turn_until(reactor, &c.lost, 1));
    ck_assert_str_eq(c.log, "fd|lost|");
    ck_assert(pipe_ended(fds[0]));
    drop_caught(&c);
    close(fds[0]);
    close(peer);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* The process has no room for it: MSG_CTRUNC (recvmsg(2)). The limit is on the numbers. */
START_TEST(a_descriptor_that_was_lost_breaks_the_connection) {
    struct catcher c;
    struct rlimit limit;
    int fds[2];
    dw_reactor *reactor = new_reactor();
    log_lines = 0;
    dw_reactor_set_log(reactor, count_line, NULL);
    int peer = catch_from(reactor, &c, &catcher_class);
    pipe_new(fds);
    peer_send_fds(peer, "abc", (int[]){fds[1], fds[1], fds[1]}, 3);
    close(fds[1]);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int last = dup(0); /* the lowest free one: those below are in use */
    struct rlimit one_left = {.rlim_cur = (rlim_t)last + 2, .rlim_max = limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &one_left), 0);
    ck_assert(turn_until(reactor, &c.lost, 1));
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(c.reason.kind, DW_CONNECTION_LOST);
    ck_assert_int_eq(c.reason.sys_errno, EMFILE);
    ck_assert_int_eq(c.caught, 0);
    ck_assert_int_eq(log_lines, 1);
    ck_assert(pipe_ended(fds[0])); /* the one that did come is closed again */
    close(last);
    close(fds[0]);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Descriptors that go ---- */

static void say(struct catcher *c, const char *text) {
    dw_transport_write(c->base.transport, text, strlen(text));
}

START_TEST(descriptors_go_with_the_next_byte_that_is_written) {
    static const struct {
        char byte;
        int fds;
    } expected[] = {{'a', 0}, {'b', 0}, {'c', 1}, {'d', 2}, {'e', 0}, {'f', 1}};
    struct catcher c;
    int before = open_descriptors();
    dw_reactor *reactor = new_reactor();
    int peer = catch_from(reactor, &c, &catcher_class);
    dw_transport *t = c.base.transport;
    say(&c, "ab");
    ck_assert_int_eq(dw_transport_send_file_descriptor(t, 0), 0);
    say(&c, "c");
    ck_assert_int_eq(dw_transport_send_file_descriptor(t, 0), 0);
    ck_assert_int_eq(dw_transport_send_file_descriptor(t, 1), 0);
    say(&c, "de");
    ck_assert_int_eq(dw_transport_send_file_descriptor(t, 2), 0);
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    say(&c, "f"); /* in a later turn */
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        char byte = '\0';
        ck_assert_int_eq(peer_recv_byte(peer, &byte), expected[i].fds);
        ck_assert_int_eq(byte, expected[i].byte);
    }
    close(peer);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(the_program_may_close_its_own_at_once) {
    struct catcher c, d;
    int ends[2], fds[2];
    dw_reactor *reactor = new_reactor();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    adopt(reactor, &c, &catcher_class, ends[0]);
    adopt(reactor, &d, &catcher_class, ends[1]);
    pipe_new(fds);
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, fds[1]), 0);
    close(fds[1]);
    say(&c, "a");
    ck_assert(turn_until(reactor, &d.caught, 1));
    ck_assert_int_eq(write(d.fds[0], "x", 1), 1);
    ck_assert(!pipe_ended(fds[0]));
    drop_caught(&d);
    ck_assert(pipe_ended(fds[0])); /* no other one is left */
    close(fds[0]);
    dw_reactor_free(reactor);
}
END_TEST

/* No byte follows, so it never leaves. */
START_TEST(a_descriptor_that_waits_is_closed_with_the_connection) {
    static void (*const ends[])(struct catcher *) = {lose_it, abort_it, fail_it, NULL};
    struct catcher c;
    int fds[2];
    dw_reactor *reactor = new_reactor();
    int peer = catch_from(reactor, &c, &catcher_class);
    pipe_new(fds);
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, fds[1]), 0);
    close(fds[1]);
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    ck_assert(!pipe_ended(fds[0]));
    if (ends[_i] != NULL) {
        ends[_i](&c);
        ck_assert(turn_until(reactor, &c.lost, 1));
        ck_assert(pipe_ended(fds[0]));
    }
    dw_reactor_free(reactor);
    ck_assert(pipe_ended(fds[0]));
    close(fds[0]);
    close(peer);
}
END_TEST

/* SCM_MAX_FD is 253 (unix(7)). */
START_TEST(one_byte_carries_two_hundred_and_fifty_three) {
    struct catcher c;
    char byte = '\0';
    dw_reactor *reactor = new_reactor();
    int peer = catch_from(reactor, &c, &catcher_class);
    for (int i = 0; i < 253; i++) {
        ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, 0), 0);
    }
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, 0), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), ETOOMANYREFS);
    say(&c, "a");
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    ck_assert_int_eq(peer_recv_byte(peer, &byte), 253);
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, 0), 0);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(descriptors_travel_over_unix_streams_alone) {
    struct catcher c;
    struct catchers f = {.next = &c, .cls = &catcher_class};
    dw_port *port;
    dw_reactor *reactor = new_reactor();
    memset(&c, 0, sizeof(c));
    dw_factory_init(&f.base, &catchers_class);
    ck_assert_int_eq(dw_reactor_listen_tcp(reactor, 0, &f.base, 0, "127.0.0.1", &port), 0);
    int peer = peer_connect(dw_port_host(port).port);
    ck_assert(turn_until(reactor, &c.made, 1));
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, 0), DW_UNSUPPORTED);
    ck_assert_int_eq(dw_transport_send_file_descriptor(NULL, 0), DW_NOT_CONNECTED);
    ck_assert_int_ge(dw_transport_handle(c.base.transport), 0);
    ck_assert_int_eq(dw_transport_handle(NULL), -1);
    abort_it(&c);
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, 0), DW_NOT_CONNECTED);
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

START_TEST(a_descriptor_that_is_none_is_an_error) {
    struct catcher c;
    dw_reactor *reactor = new_reactor();
    int peer = catch_from(reactor, &c, &catcher_class);
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, -1), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), EBADF);
    say(&c, "a");
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    peer_expect(peer, "a");
    close(peer);
    dw_reactor_free(reactor);
}
END_TEST

/* wrapper.h: a policy that does not care passes it on; the socket itself is not for who is behind
 * it (transport.h). */
START_TEST(descriptors_pass_through_a_wrapper) {
    struct catcher c;
    struct catchers f = {.next = &c, .cls = &catcher_class};
    dw_wrapping_factory wrapping;
    char byte = '\0';
    int ends[2];
    dw_reactor *reactor = new_reactor();
    memset(&c, 0, sizeof(c));
    dw_factory_init(&f.base, &catchers_class);
    dw_wrapping_factory_init(&wrapping, &dw_wrapping_factory_plain, reactor, &f.base);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(reactor, ends[0], &wrapping.base.base), 0);
    close(ends[0]);
    peer_limit(ends[1]);
    ck_assert_int_eq(dw_transport_handle(c.base.transport), -1);
    ck_assert_int_eq(dw_transport_send_file_descriptor(c.base.transport, 0), 0);
    say(&c, "a");
    peer_send_fds(ends[1], "b", (int[]){0}, 1);
    ck_assert(turn_until(reactor, &c.caught, 1));
    ck_assert_int_eq(peer_recv_byte(ends[1], &byte), 1);
    drop_caught(&c);
    close(ends[1]);
    dw_reactor_free(reactor);
}
END_TEST

enum { BULK = 1 << 20 };

/* Both sides send at once, more than a socket buffer takes; each descriptor is beside its byte. */
START_TEST(descriptors_keep_their_place_in_a_flood) {
    static uint8_t bulk[BULK];
    struct catcher sides[2];
    int ends[2], before = open_descriptors();
    dw_reactor *reactor = new_reactor();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    for (int i = 0; i < 2; i++) {
        adopt(reactor, &sides[i], &catcher_class, ends[i]);
    }
    for (int i = 0; i < 2; i++) {
        for (int part = 0; part < 4; part++) {
            dw_transport_write(sides[i].base.transport, bulk, BULK);
            ck_assert_int_eq(dw_transport_send_file_descriptor(sides[i].base.transport, 0), 0);
        }
        dw_transport_write(sides[i].base.transport, bulk, 1);
    }
    for (int turn = 0; turn < 20000; turn++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
        if (sides[0].received + sides[1].received == 2 * (4 * BULK + 1)) {
            break;
        }
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(sides[i].received, 4 * BULK + 1);
        ck_assert_int_eq(sides[i].caught, 4);
        for (size_t part = 0; part < 4; part++) {
            /* Not after its byte, and not before a whole reception of bytes before it. */
            ck_assert_uint_le(sides[i].before[part], (part + 1) * BULK);
            ck_assert_uint_ge(sides[i].before[part] + DW_RECV_MAX, (part + 1) * BULK);
        }
        drop_caught(&sides[i]);
    }
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* ---- Adopting ---- */

START_TEST(a_listener_that_the_program_made_is_served) {
    struct probe probe = {.echo = true};
    struct probes probes;
    uint16_t number;
    dw_port *port;
    int before = open_descriptors();
    dw_reactor *reactor = new_reactor();
    int fd = peer_listen(5, &number);
    probes_init(&probes, &probe, 1);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, &port), 0);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_uint_eq(dw_port_host(port).port, number);
    int peer = peer_connect(number);
    ck_assert(turn_until(reactor, &probe.made, 1));
    peer_write(peer, "hello");
    ck_assert(turn_until(reactor, &probe.received_calls, 1));
    ck_assert_int_eq(dw_reactor_iterate(reactor, 0), 0);
    peer_expect(peer, "hello");
    close(peer);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

static int tcp_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int udp_socket(void) {
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static int no_socket(void) {
    return dup(0);
}

static int no_descriptor(void) {
    return -1;
}

START_TEST(what_is_no_such_socket_is_not_adopted) {
    static int (*const make[])(void) = {tcp_socket, udp_socket, no_socket, no_descriptor};
    struct probes probes;
    dw_reactor *reactor = new_reactor();
    int before = open_descriptors();
    int fd = make[_i]();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(reactor, fd, &probes.base.base),
                     DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, NULL),
                     DW_INVALID_ARGUMENT);
    if (fd >= 0) {
        close(fd);
    }
    uint16_t number;
    fd = peer_listen(1, &number);
    ck_assert_int_eq(dw_reactor_adopt_stream_connection(reactor, fd, &probes.base.base),
                     DW_INVALID_ARGUMENT);
    close(fd);
    ck_assert_int_eq(open_descriptors(), before);
    ck_assert_uint_eq(probes.base.base.num_ports, 0);
    dw_reactor_free(reactor);
}
END_TEST

static int failing_duplicate(int fd) {
    (void)fd;
    errno = EMFILE;
    return -1;
}

static int failing_set_nonblocking(int fd) {
    (void)fd;
    errno = EPERM;
    return -1;
}

START_TEST(adopting_fails_without_a_trace) {
    struct dw_syscalls sys = dw_syscalls_libc;
    struct probes probes;
    uint16_t number;
    int fd = peer_listen(1, &number);
    if (_i == 0) {
        sys.duplicate = failing_duplicate;
    } else {
        sys.set_nonblocking = failing_set_nonblocking;
    }
    dw_reactor *reactor = new_reactor_on(&sys);
    int before = open_descriptors();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, NULL),
                     DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(reactor), _i == 0 ? EMFILE : EPERM);
    ck_assert_int_eq(open_descriptors(), before);
    ck_assert_uint_eq(dw_reactor_count(reactor).ports, 0);
    close(fd);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Files ---- */

static char dir[] = "/tmp/drywire-XXXXXX";
static char path[64];

static void make_dir(void) {
    strcpy(dir, "/tmp/drywire-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/socket", dir);
}

static void remove_dir(void) {
    ck_assert_int_eq(rmdir(dir), 0); /* empty, or it fails */
}

/* 0666 is Twisted's, whatever the umask. */
START_TEST(the_file_has_the_bits_that_were_asked_for) {
    static const unsigned asked[] = {0, 0600, 0750};
    static const unsigned bits[] = {0666, 0600, 0750};
    struct probes probes;
    struct stat status;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    mode_t mask = umask(077);
    ck_assert_int_eq(dw_reactor_listen_unix(reactor, path, &probes.base.base, 0, asked[_i], NULL),
                     0);
    umask(mask);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, bits[_i]);
    dw_reactor_free(reactor); /* takes the file with it */
}
END_TEST

START_TEST(a_file_that_was_put_in_its_place_stays) {
    struct probes probes;
    struct stat status;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_listen_unix(reactor, path, &probes.base.base, 0, 0, NULL), 0);
    /* A new inode, made before the old one is given back, so that it cannot have its number. */
    char other[80];
    snprintf(other, sizeof(other), "%s-2", path);
    int fd = open(other, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(rename(other, path), 0);
    dw_reactor_free(reactor);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISREG(status.st_mode));
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(an_adopted_socket_leaves_its_file) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct probe probe = {.made = 0};
    struct probes probes;
    dw_port *port;
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(dw_reactor_adopt_stream_port(reactor, fd, &probes.base.base, &port), 0);
    close(fd);
    ck_assert_str_eq(dw_port_host(port).path, path);
    ck_assert_int_eq(dw_reactor_connect_unix(reactor, path, &probes.base, 0, NULL), 0);
    ck_assert(turn_until(reactor, &probe.made, 1));
    dw_reactor_free(reactor);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static int failing_chmod(const char *file, mode_t mode) {
    (void)file, (void)mode;
    errno = EPERM;
    return -1;
}

START_TEST(a_file_without_its_bits_is_not_left_behind) {
    struct dw_syscalls sys = dw_syscalls_libc;
    struct probes probes;
    sys.chmod = failing_chmod;
    dw_reactor *reactor = new_reactor_on(&sys);
    int before = open_descriptors();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_listen_unix(reactor, path, &probes.base.base, 0, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(reactor), EPERM);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(open_descriptors(), before);
    dw_reactor_free(reactor);
}
END_TEST

/* ---- Attempts at a listener whose queue is full ---- */

/* Linux lets one more wait than listen(2) says: a backlog of 0 takes one. */
static int full_listener(int *waiting) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    *waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(*waiting, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

START_TEST(an_attempt_waits_for_room_in_the_queue) {
    struct probe probe = {.made = 0};
    struct probes probes;
    int waiting, listener = full_listener(&waiting);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, &probe, 1);
    ck_assert_int_eq(dw_reactor_connect_unix(reactor, path, &probes.base, 0, NULL), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dw_reactor_iterate(reactor, DW_MSEC(20)), 0);
    }
    ck_assert_int_eq(probe.made + probes.failed, 0);
    ck_assert_uint_eq(dw_reactor_count(reactor).connecting, 1);
    int first = accept(listener, NULL, NULL);
    ck_assert(turn_until(reactor, &probe.made, 1));
    int ours = accept(listener, NULL, NULL);
    peer_write(ours, "welcome");
    ck_assert(turn_until(reactor, &probe.received_calls, 1));
    ck_assert_str_eq(probe.first, "welcome");
    dw_reactor_free(reactor);
    close(ours);
    close(first);
    close(waiting);
    close(listener);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(an_attempt_at_a_full_queue_times_out) {
    struct probes probes;
    int waiting, listener = full_listener(&waiting);
    dw_reactor *reactor = new_reactor();
    probes_init(&probes, NULL, 0);
    ck_assert_int_eq(dw_reactor_connect_unix(reactor, path, &probes.base, DW_MSEC(60), NULL), 0);
    ck_assert(turn_until(reactor, &probes.failed, 1));
    ck_assert_int_eq(probes.failed_kind, DW_TIMEOUT);
    ck_assert_uint_eq(dw_reactor_count(reactor).delayed_calls, 0);
    dw_reactor_free(reactor);
    close(waiting);
    close(listener);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static Suite *make_suite(const char *name) {
    Suite *suite = suite_create(name);
    TCase *fds = tcase_create("descriptors");
    tcase_add_test(fds, descriptors_come_before_the_bytes_they_came_with);
    tcase_add_test(fds, nobody_to_catch_them_and_they_are_closed);
    tcase_add_loop_test(fds, a_descriptor_may_end_the_connection, 0, 3);
    tcase_add_test(fds, a_descriptor_that_was_lost_breaks_the_connection);
    tcase_add_test(fds, descriptors_go_with_the_next_byte_that_is_written);
    tcase_add_test(fds, the_program_may_close_its_own_at_once);
    tcase_add_loop_test(fds, a_descriptor_that_waits_is_closed_with_the_connection, 0, 4);
    tcase_add_test(fds, one_byte_carries_two_hundred_and_fifty_three);
    tcase_add_test(fds, descriptors_travel_over_unix_streams_alone);
    tcase_add_test(fds, a_descriptor_that_is_none_is_an_error);
    tcase_add_test(fds, descriptors_pass_through_a_wrapper);
    tcase_add_test(fds, descriptors_keep_their_place_in_a_flood);
    tcase_set_timeout(fds, 3 * LIMIT_S);
    suite_add_tcase(suite, fds);
    TCase *adopted = tcase_create("adopted");
    tcase_add_test(adopted, a_listener_that_the_program_made_is_served);
    tcase_add_loop_test(adopted, what_is_no_such_socket_is_not_adopted, 0, 4);
    tcase_add_loop_test(adopted, adopting_fails_without_a_trace, 0, 2);
    suite_add_tcase(suite, adopted);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, make_dir, remove_dir);
    tcase_add_loop_test(files, the_file_has_the_bits_that_were_asked_for, 0, 3);
    tcase_add_test(files, a_file_that_was_put_in_its_place_stays);
    tcase_add_test(files, an_adopted_socket_leaves_its_file);
    tcase_add_test(files, a_file_without_its_bits_is_not_left_behind);
    tcase_add_test(files, an_attempt_waits_for_room_in_the_queue);
    tcase_add_test(files, an_attempt_at_a_full_queue_times_out);
    tcase_set_timeout(files, 3 * LIMIT_S);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void) {
    return run_on_each_poller("live_unix", make_suite);
}
