/* SPDX-License-Identifier: MIT */
/*
 * A unit test's transport: one protocol, no world (Twisted's StringTransport and Clock). It runs
 * the very connection code that real sockets run, over a socket pair made of two buffers and a
 * clock that the test moves.
 *
 *     dw_test_transport *t = dw_test_transport_new();
 *     dw_test_transport_connect(t, &my_protocol.base);
 *     dw_test_transport_receive(t, "PING\r\n", 6);
 *     ck_assert_str_eq(dw_test_transport_written(t, NULL), "+PONG\r\n");
 *     dw_test_transport_advance(t, DW_SEC(30));
 *     dw_test_transport_lose(t, 0);
 *     dw_test_transport_free(t);
 */
#ifndef DRYWIRE_TEST_TRANSPORT_H
#define DRYWIRE_TEST_TRANSPORT_H

#include "drywire/drywire.h"

DW_BEGIN_DECLS

typedef struct dw_test_transport dw_test_transport;

/* A new one, or NULL without memory. */
dw_test_transport *dw_test_transport_new(void);

/* Its reactor, for protocols that want one when they are made; running from the start. */
dw_reactor *dw_test_transport_reactor(dw_test_transport *test);

/* Connects the protocol, borrowed unless its class has destroy: connection_made is called before
 * this returns. One protocol at a time. */
void dw_test_transport_connect(dw_test_transport *test, dw_protocol *protocol);

/* The same through a factory's build_protocol. Returns the protocol, or NULL when it was refused.
 */
dw_protocol *dw_test_transport_build(dw_test_transport *test, dw_factory *factory);

/* The peer sends: data_received is called before this returns, unless the protocol paused; then the
 * bytes wait. */
void dw_test_transport_receive(dw_test_transport *test, const void *data, size_t len);

/* The same, cut in pieces of `piece` bytes. */
void dw_test_transport_receive_cut(dw_test_transport *test, const void *data, size_t len,
                                   size_t piece);

/* Moves the clock, running each delayed call at its own time. */
void dw_test_transport_advance(dw_test_transport *test, dw_time by);

/* What the protocol has sent since the last clear; NUL-terminated behind `*len` bytes (`len` may be
 * NULL). Good until the next call on this test. */
const char *dw_test_transport_written(dw_test_transport *test, size_t *len);
void dw_test_transport_clear(dw_test_transport *test);

/* How many bytes the network still takes before writes stay in the buffer: back-pressure. Default
 * without limit. Raising it lets buffered bytes out. */
void dw_test_transport_set_room(dw_test_transport *test, size_t room);

/* The peer ends its stream (FIN); a protocol that is not aware of half closes is lost. */
void dw_test_transport_half_close(dw_test_transport *test);

/* The connection breaks: 0 for an orderly end (FIN), else the errno that the socket reports, such
 * as ECONNRESET. */
void dw_test_transport_lose(dw_test_transport *test, int sys_errno);

/* How the connection stands: whether the protocol still has it; the reason's kind once it ended
 * (DW_OK before); whether this end sent FIN, or RST. */
bool dw_test_transport_connected(const dw_test_transport *test);
dw_error dw_test_transport_reason(const dw_test_transport *test);
bool dw_test_transport_sent_fin(const dw_test_transport *test);
bool dw_test_transport_sent_reset(const dw_test_transport *test);
/* Whether the protocol paused reading. */
bool dw_test_transport_paused(const dw_test_transport *test);

/* The n-th allocation from now (1: the next) fails, and every later one too if `and_after`; 0
 * switches that off. */
void dw_test_transport_fail_alloc(dw_test_transport *test, unsigned n, bool and_after);
/* Blocks taken from the reactor and not given back. */
size_t dw_test_transport_allocations(const dw_test_transport *test);

/* Ends the connection (DW_CONNECTION_LOST, as a reactor that stops) and frees all. NULL is fine. */
void dw_test_transport_free(dw_test_transport *test);

DW_END_DECLS

#endif
