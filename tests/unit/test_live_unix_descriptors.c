/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that travel with the bytes of UNIX streams, on each poller. The expectations are
 * unix(7)'s and the headers'; the other end is plain POSIX.
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

/* All goes, and no descriptor has been left open since there were `before`. */
static void end_catching(dw_reactor *reactor, struct catcher *c, int peer, int before) {
    drop_caught(c);
    close(peer);
    dw_reactor_free(reactor);
    ck_assert_int_eq(open_descriptors(), before);
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
    close(fds[0]);
    end_catching(reactor, &c, peer, before);
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
    close(fds[0]);
    end_catching(reactor, &c, peer, before);
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
    return suite;
}

int main(void) {
    return run_on_each_poller("live_unix_descriptors", make_suite);
}
