/* SPDX-License-Identifier: MIT */
/*
 * The wire below dw_test_transport: the functions core calls. There is one listener, open only
 * while a connection is being made, and one connection; both are told apart by their socket number.
 * Core may move a dw_io between accept and its first watch, so the wire knows an io only from watch
 * on.
 */
#include "test_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif

#if defined(TEST_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)   ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

enum { TEST_LISTENER = 1, TEST_CONNECTION = 2 };

/* First size of a buffer; it doubles from there. */
#define TEST_BUFFER_FIRST 4096

/* 2000-01-01 00:00:00 UTC, when every test's wall clock begins. */
#define TEST_WALL_START DW_SEC(946684800)

static dw_test_transport *test_of(dw_reactor *reactor) {
    return (dw_test_transport *)(void *)reactor;
}

/* ---- Buffers ---- */

static void buffer_grow(test_buffer *buffer, size_t need) {
    size_t room = buffer->room == 0 ? TEST_BUFFER_FIRST : buffer->room;
    while (room < need) {
        room *= 2;
    }
    uint8_t *bytes = realloc(buffer->bytes, room);
    if (bytes == NULL) {
        fprintf(stderr, "dw_test_transport: no memory for a buffer of %zu bytes\n", room);
        abort();
    }
    buffer->bytes = bytes;
    buffer->room = room;
}

void sim_test_buffer_append(test_buffer *buffer, const void *data, size_t len) {
    if (len == 0) {
        return;
    }
    ASAN_UNPOISON_MEMORY_REGION(buffer->bytes, buffer->room);
    if (buffer->at == buffer->len) {
        buffer->at = buffer->len = 0;
    }
    if (len > buffer->room - buffer->len) {
        buffer_grow(buffer, buffer->len + len);
    }
    memcpy(buffer->bytes + buffer->len, data, len);
    buffer->len += len;
}

void sim_test_buffer_guard(test_buffer *buffer) {
    ASAN_POISON_MEMORY_REGION(buffer->bytes, buffer->room);
}

void sim_test_buffer_free(test_buffer *buffer) {
    ASAN_UNPOISON_MEMORY_REGION(buffer->bytes, buffer->room);
    free(buffer->bytes);
    *buffer = (test_buffer){0};
}

/* Hands out the next bytes: exactly these may be touched until the next guard. */
static size_t buffer_take(test_buffer *buffer, const uint8_t **data) {
    size_t len = buffer->len - buffer->at;
    if (len > DW_RECV_MAX) {
        len = DW_RECV_MAX;
    }
    sim_test_buffer_guard(buffer);
    *data = buffer->bytes + buffer->at;
    ASAN_UNPOISON_MEMORY_REGION(*data, len);
    buffer->at += len;
    return len;
}

/* ---- Memory ---- */

/* Keeps what follows a block's head aligned as malloc aligns. */
#define TEST_HEAD                                                               \
    ((sizeof(test_block) + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * \
     _Alignof(max_align_t))

static test_block *block_of(void *memory) {
    return (test_block *)(void *)((char *)memory - TEST_HEAD);
}

static bool allocation_fails(dw_test_transport *test) {
    if (test->no_fail || test->fail_in == 0) {
        return false;
    }
    if (test->fail_in > 1) {
        test->fail_in--;
        return false;
    }
    if (!test->fail_after) {
        test->fail_in = 0;
    }
    return true;
}

static void block_link(dw_test_transport *test, test_block *block) {
    block->previous = test->blocks.previous;
    block->next = &test->blocks;
    block->previous->next = block;
    test->blocks.previous = block;
    test->block_count++;
}

static void block_unlink(dw_test_transport *test, test_block *block) {
    block->previous->next = block->next;
    block->next->previous = block->previous;
    test->block_count--;
}

static void *test_alloc(void *user, size_t size, const char *where) {
    dw_test_transport *test = user;
    if (allocation_fails(test) || size > SIZE_MAX - TEST_HEAD) {
        return NULL;
    }
    test_block *block = malloc(TEST_HEAD + size);
    if (block == NULL) {
        return NULL;
    }
    block->where = where;
    block->size = size;
    block_link(test, block);
    return (char *)block + TEST_HEAD;
}

static void *test_resize(void *user, void *memory, size_t size, const char *where) {
    dw_test_transport *test = user;
    if (memory == NULL) {
        return test_alloc(user, size, where);
    }
    if (allocation_fails(test) || size > SIZE_MAX - TEST_HEAD) {
        return NULL;
    }
    test_block *old = block_of(memory);
    block_unlink(test, old);
    test_block *block = realloc(old, TEST_HEAD + size);
    if (block == NULL) {
        block_link(test, old);
        return NULL;
    }
    block->where = where;
    block->size = size;
    block_link(test, block);
    return (char *)block + TEST_HEAD;
}

static void test_release(void *user, void *memory) {
    if (memory != NULL) {
        block_unlink(user, block_of(memory));
        free(block_of(memory));
    }
}

dw_allocator sim_test_allocator(dw_test_transport *test) {
    return (dw_allocator){
        .alloc = test_alloc, .resize = test_resize, .release = test_release, .user = test};
}

/* ---- Clock and choices ---- */

static dw_time test_now(dw_reactor *reactor) {
    return test_of(reactor)->now;
}

static dw_time test_wall_clock(dw_reactor *reactor) {
    return TEST_WALL_START + test_of(reactor)->now;
}

/* SplitMix64 (Steele, Lea, Flood 2014), from 0: the same bytes in every run of a test. */
static uint64_t random_next(dw_test_transport *test) {
    uint64_t z = test->random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void test_random(dw_reactor *reactor, void *buffer, size_t len) {
    uint8_t *bytes = buffer;
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) {
            word = random_next(test_of(reactor));
        }
        bytes[i] = (uint8_t)(word >> (i % 8 * 8));
    }
}

static uint32_t test_choose(dw_reactor *reactor, const char *what, uint32_t n) {
    (void)reactor, (void)what, (void)n;
    return 0;
}

/* ---- Sockets ---- */

/* Both ends' addresses are of the net that is set aside for examples (RFC 5737, TEST-NET-1). */
static dw_address test_address(uint8_t last, uint16_t port) {
    return (dw_address){.kind = DW_ADDRESS_IPV4, .port = port, .ip = {192, 0, 2, last}};
}

static int test_open(dw_reactor *reactor, dw_io *io, dw_address_kind kind) {
    (void)kind;
    if (!test_of(reactor)->may_open) {
        return -EMFILE; /* there is one socket, and it is the test's */
    }
    io->socket = TEST_LISTENER;
    return 0;
}

static int test_bind(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)reactor, (void)io, (void)address;
    return 0;
}

static int test_listen(dw_reactor *reactor, dw_io *io, int backlog) {
    (void)reactor, (void)io, (void)backlog;
    return 0;
}

static int test_connect(dw_reactor *reactor, dw_io *io, const dw_address *address) {
    (void)reactor, (void)io, (void)address;
    return -ENETUNREACH;
}

static int test_connect_result(dw_reactor *reactor, dw_io *io) {
    (void)reactor, (void)io;
    return -ENETUNREACH;
}

static int test_accept(dw_reactor *reactor, dw_io *listener, dw_io *conn, dw_address *peer) {
    (void)listener;
    dw_test_transport *test = test_of(reactor);
    if (!test->knocking) {
        return -EAGAIN;
    }
    test->knocking = false;
    conn->socket = TEST_CONNECTION;
    *peer = test_address(2, 50000);
    return 0;
}

static ssize_t test_recv(dw_reactor *reactor, dw_io *io, const uint8_t **data) {
    (void)io;
    dw_test_transport *test = test_of(reactor);
    if (test->error != 0) {
        return -test->error;
    }
    if (test->in.at == test->in.len) {
        return test->end ? 0 : -EAGAIN;
    }
    return (ssize_t)buffer_take(&test->in, data);
}

static size_t send_piece(dw_test_transport *test, const struct iovec *piece) {
    size_t len = piece->iov_len < test->room ? piece->iov_len : test->room;
    sim_test_buffer_append(&test->out, piece->iov_base, len);
    if (test->room != SIZE_MAX) {
        test->room -= len;
    }
    return len;
}

/* To a peer that is gone the first bytes still leave; its RST has answered them by the next send.
 */
static ssize_t test_send(dw_reactor *reactor, dw_io *io, const struct iovec *pieces, int count) {
    (void)io;
    dw_test_transport *test = test_of(reactor);
    if (test->error != 0) {
        return -test->error;
    }
    if (test->room == 0) {
        return -EAGAIN;
    }
    size_t taken = 0;
    for (int i = 0; i < count && test->room > 0; i++) {
        taken += send_piece(test, &pieces[i]);
    }
    if (test->peer_gone) {
        test->error = EPIPE;
    }
    return (ssize_t)taken;
}

static int test_shutdown(dw_reactor *reactor, dw_io *io) {
    (void)io;
    test_of(reactor)->sent_fin = true;
    return 0;
}

/* After an error there is nobody to send a FIN or RST to. */
static void connection_closed(dw_test_transport *test, bool reset) {
    test->conn = NULL;
    if (test->error == 0 && reset) {
        test->sent_reset = true;
    } else if (test->error == 0) {
        test->sent_fin = true;
    }
}

static void test_close(dw_reactor *reactor, dw_io *io, bool reset) {
    dw_test_transport *test = test_of(reactor);
    if (io->socket == TEST_CONNECTION) {
        connection_closed(test, reset);
    } else if (io->socket == TEST_LISTENER) {
        test->listener = NULL;
    }
    io->socket = DW_SOCKET_NONE;
}

static int test_local_address(dw_reactor *reactor, dw_io *io, dw_address *out) {
    (void)reactor, (void)io;
    *out = test_address(1, 1024);
    return 0;
}

static int test_get_option(dw_reactor *reactor, dw_io *io, dw_socket_option option) {
    (void)io;
    return test_of(reactor)->options[option];
}

static int test_set_option(dw_reactor *reactor, dw_io *io, dw_socket_option option, int value) {
    (void)io;
    test_of(reactor)->options[option] = value != 0;
    return 0;
}

static void test_watch(dw_reactor *reactor, dw_io *io) {
    dw_test_transport *test = test_of(reactor);
    if (io->socket == TEST_CONNECTION) {
        test->conn = io;
    } else if (io->socket == TEST_LISTENER) {
        test->listener = io;
    }
}

unsigned sim_test_wire_ready(const dw_test_transport *test) {
    unsigned ready = 0;
    if (test->conn == NULL) {
        return 0;
    }
    if (test->error != 0 || test->end || test->in.at < test->in.len) {
        ready |= DW_READABLE;
    }
    if (test->error != 0 || test->room > 0) {
        ready |= DW_WRITABLE;
    }
    return ready & test->conn->want;
}

/* There are no names here. */
static int test_resolve(dw_reactor *reactor, dw_lookup *lookup) {
    (void)reactor, (void)lookup;
    return -ENOENT;
}

static void test_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup) {
    (void)reactor, (void)lookup;
}

const dw_wire sim_test_wire = {
    .name = "test",
    .now = test_now,
    .wall_clock = test_wall_clock,
    .random = test_random,
    .choose = test_choose,
    .open = test_open,
    .bind = test_bind,
    .listen = test_listen,
    .connect = test_connect,
    .connect_result = test_connect_result,
    .accept = test_accept,
    .recv = test_recv,
    .send = test_send,
    .shutdown = test_shutdown,
    .close = test_close,
    .local_address = test_local_address,
    .get_option = test_get_option,
    .set_option = test_set_option,
    .watch = test_watch,
    .resolve = test_resolve,
    .resolve_cancel = test_resolve_cancel,
};
