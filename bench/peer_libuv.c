/* SPDX-License-Identifier: MIT */
/* An echo server on libuv: uv_try_write at once, uv_write only for a rest. */
#include "peer.h"

#include <uv.h>

struct write {
    uv_write_t request;
    uv_buf_t piece;
};

static char buffer[PEER_READ];

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(buffer, sizeof(buffer));
}

static void closed(uv_handle_t *handle) {
    free(handle);
}

static void readable(uv_stream_t *stream, ssize_t got, const uv_buf_t *data);

static void written(uv_write_t *request, int status) {
    struct write *write = (struct write *)request;
    if (status == 0 && !uv_is_closing((uv_handle_t *)request->handle)) {
        uv_read_start(request->handle, allocate, readable);
    }
    free(write->piece.base);
    free(write);
}

static void write_rest(uv_stream_t *stream, const char *data, size_t len) {
    struct write *write = malloc(sizeof(*write));
    char *copy = malloc(len);
    if (write == NULL || copy == NULL) {
        peer_die("memory");
    }
    memcpy(copy, data, len);
    write->piece = uv_buf_init(copy, (unsigned)len);
    uv_read_stop(stream);
    uv_write(&write->request, stream, &write->piece, 1, written);
}

static void readable(uv_stream_t *stream, ssize_t got, const uv_buf_t *data) {
    if (got < 0) {
        uv_close((uv_handle_t *)stream, closed);
        return;
    }
    if (got == 0) {
        return;
    }
    uv_buf_t piece = uv_buf_init(data->base, (unsigned)got);
    int sent = uv_try_write(stream, &piece, 1);
    sent = sent < 0 ? 0 : sent;
    if (sent < got) {
        write_rest(stream, data->base + sent, (size_t)(got - sent));
    }
}

static void connected(uv_stream_t *listener, int status) {
    uv_tcp_t *conn = status == 0 ? malloc(sizeof(*conn)) : NULL;
    if (conn == NULL) {
        return;
    }
    uv_tcp_init(listener->loop, conn);
    if (uv_accept(listener, (uv_stream_t *)conn) == 0) {
        uv_read_start((uv_stream_t *)conn, allocate, readable);
    } else {
        uv_close((uv_handle_t *)conn, closed);
    }
}

int main(int argc, char **argv) {
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    uv_tcp_init(loop, &listener);
    if (uv_tcp_open(&listener, peer_listen(argc, argv)) != 0 ||
        uv_listen((uv_stream_t *)&listener, PEER_BACKLOG, connected) != 0) {
        return 1;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
