/* SPDX-License-Identifier: MIT */
/*
 * The inside of dw_test_transport: a wire with one socket made of two buffers, a clock that only
 * its owner moves, and an allocator that keeps a list of what it gave out. Nothing here runs a
 * callback by itself: test_transport.c moves the wire on, and the fuzz engines take it up and down
 * once per input with sim_test_transport_init, _shut and _fini, keeping the buffers.
 */
#ifndef DRYWIRE_SIM_TEST_WIRE_H
#define DRYWIRE_SIM_TEST_WIRE_H

#include "drywire/backend.h"
#include "drywire/test_transport.h"

/* A block of the reactor's allocator; the caller's part follows. */
typedef struct test_block {
    struct test_block *next, *previous;
    const char *where;
    size_t size;
} test_block;

/* Bytes on their way; the memory stays when it is emptied. */
typedef struct test_buffer {
    uint8_t *bytes;
    size_t at, len, room; /* at: how many have been taken from the front */
} test_buffer;

struct dw_test_transport {
    dw_reactor reactor; /* first: the wire finds the rest by it */
    dw_time now;
    uint64_t random_state;

    /* Who asks for the connection, and how it stands. */
    dw_factory factory;       /* builds `next`, or what user_factory builds */
    dw_factory *user_factory; /* in use: started and not yet stopped */
    dw_trigger at_shutdown;   /* ends that use */
    dw_factory *own_factory;  /* what `protocol->factory` is for the program */
    dw_protocol *next;        /* to be connected */
    dw_protocol *built; /* build_protocol's last answer, for comparison only once it is lost */
    dw_error reason;
    bool connected, paused, sent_fin, sent_reset;

    /* The network. */
    dw_io *listener, *conn; /* as core watches them now, or NULL */
    bool may_open;          /* the listener is being opened */
    bool knocking;          /* a connection waits to be accepted */
    test_buffer in, out;
    size_t room;    /* what the network still takes; SIZE_MAX: all */
    int error;      /* what the socket reports, or 0 */
    bool end;       /* the peer's FIN is behind the last byte of `in` */
    bool peer_gone; /* the peer reads no more either: what is sent is answered with RST */
    int options[2]; /* by dw_socket_option */

    test_block blocks; /* head of the ring of all that are out */
    size_t block_count;
    unsigned fail_in; /* which allocation from now fails; 0: none */
    bool fail_after;  /* and all later ones */
    bool no_fail;     /* the test's own allocations never fail */

    bool busy; /* inside a step: callbacks run */
};

extern const dw_wire sim_test_wire;

/* The allocator of `test`. */
dw_allocator sim_test_allocator(dw_test_transport *test);

/* Appends; ends the process when there is no memory, for a test cannot go on without. */
void sim_test_buffer_append(test_buffer *buffer, const void *data, size_t len);

/* Under AddressSanitizer: no byte of the buffer may be touched until it is handed out again. */
void sim_test_buffer_guard(test_buffer *buffer);
void sim_test_buffer_free(test_buffer *buffer);

/* What the connection's socket is ready for, of what core wants. */
unsigned sim_test_wire_ready(const dw_test_transport *test);

/* A fresh reactor, up, at time 0, in a test transport that is zeroed or was finished. */
void sim_test_transport_init(dw_test_transport *test);
/* Ends the connection and the use of the factory, with their callbacks, as a reactor that stops. */
void sim_test_transport_shut(dw_test_transport *test);
/* Ends the reactor: core gives back what it holds. The buffers stay. */
void sim_test_transport_fini(dw_test_transport *test);

#endif
