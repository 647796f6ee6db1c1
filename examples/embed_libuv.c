/* SPDX-License-Identifier: MIT */
/*
 * embed_libuv [PORT]: an echo server whose reactor is a guest in a libuv loop. The host loop waits
 * for the reactor's descriptor and for its next delayed call; when either is due the reactor has a
 * turn. What libuv does besides (here: SIGTERM) goes on beside it.
 */
#include <drywire/drywire.h>
#include <drywire/real.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static void echo_data_received(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
}

static void echo_destroy(dw_protocol *p) {
    free(p);
}

static const dw_protocol_class echo_class = {
    .name = "echo", .data_received = echo_data_received, .destroy = echo_destroy};

static dw_protocol *echo_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    dw_protocol *p = malloc(sizeof(*p));
    if (p == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(p, &echo_class);
    return p;
}

static const dw_factory_class factory_class = {.name = "echo", .build_protocol = echo_build};

/* ---- The guest ---- */

struct guest {
    dw_reactor *reactor;
    uv_poll_t readable;
    uv_timer_t due;
    uv_prepare_t before_wait;
    uv_signal_t terminate;
};

static void leave(struct guest *guest) {
    uv_close((uv_handle_t *)&guest->readable, NULL);
    uv_close((uv_handle_t *)&guest->due, NULL);
    uv_close((uv_handle_t *)&guest->before_wait, NULL);
    uv_close((uv_handle_t *)&guest->terminate, NULL);
}

static void turn(struct guest *guest) {
    dw_reactor_iterate(guest->reactor, 0);
    if (!dw_reactor_running(guest->reactor) && !uv_is_closing((uv_handle_t *)&guest->readable)) {
        leave(guest); /* it was told to stop, and has shut down */
    }
}

static void on_readable(uv_poll_t *handle, int status, int events) {
    (void)status, (void)events;
    turn(handle->data);
}

static void on_due(uv_timer_t *handle) {
    turn(handle->data);
}

/* Rounded up: a delayed call must not find that it is too early. */
static void on_before_wait(uv_prepare_t *handle) {
    struct guest *guest = handle->data;
    dw_time timeout = dw_reactor_timeout(guest->reactor);
    if (timeout < 0) {
        uv_timer_stop(&guest->due);
        return;
    }
    uv_update_time(handle->loop);
    uv_timer_start(&guest->due, on_due, (uint64_t)((timeout + DW_MSEC(1) - 1) / DW_MSEC(1)), 0);
}

static void on_terminate(uv_signal_t *handle, int signal_number) {
    (void)signal_number;
    dw_reactor_stop(((struct guest *)handle->data)->reactor);
}

static int enter(struct guest *guest, uv_loop_t *loop) {
    guest->readable.data = guest->due.data = guest->before_wait.data = guest->terminate.data =
        guest;
    int error = uv_poll_init(loop, &guest->readable, dw_reactor_descriptor(guest->reactor));
    if (error != 0) {
        return error;
    }
    uv_timer_init(loop, &guest->due);
    uv_prepare_init(loop, &guest->before_wait);
    uv_signal_init(loop, &guest->terminate);
    uv_poll_start(&guest->readable, UV_READABLE, on_readable);
    uv_prepare_start(&guest->before_wait, on_before_wait);
    uv_signal_start(&guest->terminate, on_terminate, SIGTERM);
    return dw_reactor_start(guest->reactor);
}

/* ---- The program ---- */

static void say_due(void *user) {
    (void)user;
    printf("a delayed call ran inside libuv's loop\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    dw_factory factory;
    dw_port *port;
    dw_delayed_call call = {.fn_ = NULL};
    struct guest guest = {.reactor = dw_live_reactor_new(NULL, NULL)};
    uint16_t number = (uint16_t)(argc > 1 ? atoi(argv[1]) : 7007);
    dw_factory_init(&factory, &factory_class);
    if (guest.reactor == NULL ||
        dw_reactor_listen_tcp(guest.reactor, number, &factory, 0, "127.0.0.1", &port) != 0) {
        fprintf(stderr, "embed_libuv: cannot listen on 127.0.0.1:%u\n", number);
        return 1;
    }
    if (enter(&guest, uv_default_loop()) != 0) {
        fprintf(stderr, "embed_libuv: this reactor has no descriptor to wait for\n");
        return 1;
    }
    printf("listening on 127.0.0.1:%u\n", dw_port_host(port).port);
    fflush(stdout);
    dw_reactor_call_later(guest.reactor, &call, DW_MSEC(20), say_due, NULL);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT); /* until SIGTERM */
    dw_reactor_free(guest.reactor);
    return uv_loop_close(uv_default_loop()) == 0 ? 0 : 1;
}
