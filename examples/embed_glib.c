/* SPDX-License-Identifier: MIT */
/*
 * embed_glib [PORT]: an echo server whose reactor is a guest in a GLib main loop, as in a GTK
 * program: a GSource that is ready when the reactor's descriptor is, or its next delayed call is
 * due. It takes part in the main loop like any other source.
 */
#include <drywire/drywire.h>
#include <drywire/real.h>

#include <glib-unix.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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
    GSource source; /* first */
    dw_reactor *reactor;
    gpointer descriptor;
    GMainLoop *loop;
};

/* GLib waits in milliseconds: rounded up, a delayed call must not find that it is too early. */
static gboolean guest_prepare(GSource *source, gint *timeout_ms) {
    dw_time timeout = dw_reactor_timeout(((struct guest *)source)->reactor);
    dw_time ms = (timeout + DW_MSEC(1) - 1) / DW_MSEC(1);
    *timeout_ms = timeout < 0 ? -1 : ms < G_MAXINT ? (gint)ms : G_MAXINT;
    return timeout == 0;
}

static gboolean guest_check(GSource *source) {
    struct guest *guest = (struct guest *)source;
    return g_source_query_unix_fd(source, guest->descriptor) != 0 ||
           dw_reactor_timeout(guest->reactor) == 0;
}

static gboolean guest_dispatch(GSource *source, GSourceFunc callback, gpointer user) {
    struct guest *guest = (struct guest *)source;
    (void)callback, (void)user;
    dw_reactor_iterate(guest->reactor, 0);
    if (dw_reactor_running(guest->reactor)) {
        return G_SOURCE_CONTINUE;
    }
    g_main_loop_quit(guest->loop); /* it was told to stop, and has shut down */
    return G_SOURCE_REMOVE;
}

static GSourceFuncs guest_functions = {
    .prepare = guest_prepare, .check = guest_check, .dispatch = guest_dispatch};

/* Returns a new source in the loop, or NULL. */
static GSource *enter(dw_reactor *reactor, GMainLoop *loop) {
    int descriptor = dw_reactor_descriptor(reactor);
    if (descriptor < 0 || dw_reactor_start(reactor) != 0) {
        return NULL;
    }
    GSource *source = g_source_new(&guest_functions, sizeof(struct guest));
    struct guest *guest = (struct guest *)source;
    guest->reactor = reactor;
    guest->loop = loop;
    guest->descriptor = g_source_add_unix_fd(source, descriptor, G_IO_IN);
    g_source_attach(source, g_main_loop_get_context(loop));
    return source;
}

/* ---- The program ---- */

static gboolean on_terminate(gpointer user) {
    dw_reactor_stop(user);
    return G_SOURCE_CONTINUE;
}

static void say_due(void *user) {
    (void)user;
    printf("a delayed call ran inside GLib's loop\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    dw_factory factory;
    dw_port *port;
    dw_delayed_call call = {.fn_ = NULL};
    dw_reactor *reactor = dw_live_reactor_new(NULL, NULL);
    uint16_t number = (uint16_t)(argc > 1 ? atoi(argv[1]) : 7007);
    dw_factory_init(&factory, &factory_class);
    if (reactor == NULL ||
        dw_reactor_listen_tcp(reactor, number, &factory, 0, "127.0.0.1", &port) != 0) {
        fprintf(stderr, "embed_glib: cannot listen on 127.0.0.1:%u\n", number);
        return 1;
    }
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    GSource *source = enter(reactor, loop);
    if (source == NULL) {
        fprintf(stderr, "embed_glib: this reactor has no descriptor to wait for\n");
        return 1;
    }
    printf("listening on 127.0.0.1:%u\n", dw_port_host(port).port);
    fflush(stdout);
    dw_reactor_call_later(reactor, &call, DW_MSEC(20), say_due, NULL);
    guint terminate = g_unix_signal_add(SIGTERM, on_terminate, reactor);
    g_main_loop_run(loop); /* until SIGTERM */
    g_source_remove(terminate);
    g_source_unref(source);
    g_main_loop_unref(loop);
    dw_reactor_free(reactor);
    return 0;
}
