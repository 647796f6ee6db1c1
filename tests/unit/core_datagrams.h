/* SPDX-License-Identifier: MIT */
/*
 * For the tests of datagram ports in core: a wire that does what the test says, and a protocol that
 * notes what it is told. Expectations in those tests: vectors/README.md, "Datagrams", Twisted's
 * udp.py for the limits of a turn, and the manual pages of the calls.
 */
#ifndef DRYWIRE_TESTS_CORE_DATAGRAMS_H
#define DRYWIRE_TESTS_CORE_DATAGRAMS_H

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

static inline ssize_t net_recv_from(dw_reactor *reactor, dw_io *io, size_t max,
                                    const uint8_t **data, dw_address *from) {
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

static inline ssize_t net_send_to(dw_reactor *reactor, dw_io *io, const struct iovec *pieces,
                                  int count, const dw_address *to) {
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

static inline int net_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_socket_of(reactor, io);
    net.peer = *address;
    return -net.connect_error;
}

static inline int net_remote_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)fake_socket_of(reactor, io);
    *out = net.peer;
    return net.peer.kind == DW_ADDRESS_NONE ? -ENOTCONN : 0;
}

static dw_address bound;

static inline int net_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)fake_socket_of(reactor, io);
    bound = *address;
    return -net.bind_error;
}

static inline int net_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)fake_socket_of(reactor, io);
    *out = bound;
    out->port = bound.kind == DW_ADDRESS_UNIX ? 0 : 4321;
    return 0;
}

static inline int net_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    (void)fake_socket_of(reactor, io);
    return net.option_error != 0 ? -net.option_error : net.options[option];
}

static inline int net_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option,
                                 int value) {
    (void)fake_socket_of(reactor, io);
    net.options[option] = value;
    return -net.option_error;
}

static inline int net_membership(dw_reactor *reactor, dw_io *io, const dw_address *group,
                                 const dw_address *interface, bool join) {
    (void)fake_socket_of(reactor, io);
    net.group = *group;
    net.by_null = interface == NULL;
    net.by = interface != NULL ? *interface : (dw_address) { 0 };
    net.joined = join;
    return -net.option_error;
}

static inline int net_set_mode(dw_reactor *reactor, const dw_address *address, unsigned mode) {
    (void)reactor, (void)address;
    net.mode = mode;
    return -net.mode_error;
}

static inline void net_unlink(dw_reactor *reactor, const dw_address *address) {
    (void)reactor;
    ck_assert_uint_eq(address->kind, DW_ADDRESS_UNIX);
    net.unlinked++;
}

static inline int net_file_id(dw_reactor *reactor, const dw_address *address, uint64_t id[2]) {
    (void)reactor, (void)address;
    id[0] = 1;
    id[1] = net.file;
    return net.file == 0 ? -ENOENT : 0;
}

static inline int net_adopt(dw_reactor *reactor, dw_io *io, int fd) {
    ck_assert_uint_eq(io->kind, DW_IO_DATAGRAM);
    if (fd < 0) {
        return fd;
    }
    fake_socket_new(fake_of(reactor), io);
    return 0;
}

static inline fake *net_new(void) {
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

static inline void net_queue(int answer, unsigned times) {
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

static inline void gram_start(dw_datagram_protocol *p) {
    gram *g = (gram *)p;
    ck_assert_ptr_nonnull(p->transport);
    say(g->log, "start");
    if (g->on_start != NULL) {
        g->on_start(g);
    }
}

static inline void gram_received(dw_datagram_protocol *p, const uint8_t *data, size_t len,
                                 const dw_address *from) {
    gram *g = (gram *)p;
    ck_assert(data != NULL && from->kind != DW_ADDRESS_NONE);
    g->received++;
    g->len = len;
    if (g->on_received != NULL) {
        g->on_received(g);
    }
}

static inline void gram_refused(dw_datagram_protocol *p) {
    say(((gram *)p)->log, "refused");
}

static inline void gram_stop(dw_datagram_protocol *p) {
    ((gram *)p)->transport_in_stop = p->transport != NULL;
    say(((gram *)p)->log, "stop");
}

static inline void gram_destroy(dw_datagram_protocol *p) {
    say(((gram *)p)->log, "destroy");
}

static const dw_datagram_protocol_class gram_class = {.name = "gram",
                                                      .start_protocol = gram_start,
                                                      .datagram_received = gram_received,
                                                      .connection_refused = gram_refused,
                                                      .stop_protocol = gram_stop,
                                                      .destroy = gram_destroy};

static inline gram *gram_new(void) {
    static gram g;
    memset(&g, 0, sizeof(g));
    dw_datagram_protocol_init(&g.base, &gram_class);
    return &g;
}

static inline dw_datagram_port *open_udp(fake *f, gram *g) {
    dw_datagram_port *port = NULL;
    ck_assert_int_eq(dw_reactor_listen_udp(&f->reactor, 0, &g->base, "192.0.2.1", 0, &port), 0);
    return port;
}

static inline void connect_udp(dw_datagram_port *port) {
    ck_assert_int_eq(dw_datagram_connect(port, "192.0.2.9", 999), 0);
}

static inline void done(void *user) {
    say(((gram *)user)->log, "done");
}

#endif
