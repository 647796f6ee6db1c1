/* SPDX-License-Identifier: MIT */
/*
 * The server and its sessions, one for each client. A session takes requests from a chunk until the
 * chunk is used up, the client is throttled, or the session ends; the replies of one chunk are
 * gathered in the server's one buffer and written once. Invariant: while a session is throttled
 * its transport is paused, and what is left of the chunk waits in `backlog`.
 */
#include "server.h"

#include <string.h>

#define UNSENT_MARK_DEFAULT ((size_t)256 * 1024)
#define UNSENT_MAX_DEFAULT  ((size_t)32 * 1024 * 1024)
#define IDLE_DEFAULT        DW_MIN(5)
#define LINGER_DEFAULT      DW_SEC(10)
#define CLIENTS_MAX_DEFAULT 10000
#define BACKLOG             511

/* Memory of replies that is kept from one chunk to the next. */
#define OUT_KEEP ((size_t)64 * 1024)

/* What one data_received brings at most; a backlog is never more. */
#define CHUNK_MAX ((size_t)65536)

struct session;

struct kv_server {
    dw_factory factory;
    dw_reactor *reactor;
    dw_port *port;
    dw_trigger at_shutdown;
    kv_server_options options;
    kv_facts facts;
    kv_store store;
    kv_buffer out; /* replies of the chunk that is being worked on */
    struct session *sessions;
    kv_server_stats stats;
};

typedef struct session {
    dw_protocol base;
    dw_producer producer;
    kv_server *server;
    dw_reactor *reactor;
    struct session *next, *previous;
    kv_request_parser parser;
    kv_buffer backlog;
    kv_peer peer;
    dw_delayed_call timer; /* idle; once `ended`, linger */
    dw_time last_input;
    bool throttled; /* more is unsent than the mark */
    bool eof;       /* the client sends no more */
    bool ended;     /* only the flush is left */
} session;

static session *session_of(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, session, base);
}

/* ---- Ends ---- */

static void linger_over(void *user) {
    session *s = user;
    s->server->stats.cut_off++;
    dw_transport_abort_connection(s->base.transport);
}

/* Closes once the replies are out; a client that does not take them has only so long. */
static void end(session *s) {
    if (s->ended) {
        return;
    }
    s->ended = true;
    dw_transport_unregister_producer(s->base.transport);
    dw_reactor_call_later(s->reactor, &s->timer, s->server->options.linger, linger_over, s);
    dw_transport_lose_connection(s->base.transport);
}

/* Ends now; nothing more is sent. */
static void break_off(session *s, dw_error kind, const char *text) {
    s->ended = true;
    dw_delayed_call_cancel(&s->timer);
    dw_transport_fail(s->base.transport, &(dw_reason){.kind = kind, .text = text});
}

static void idle_check(void *user) {
    session *s = user;
    dw_time quiet = dw_reactor_now(s->reactor) - s->last_input;
    dw_time idle = s->server->options.idle;
    if (quiet >= idle) {
        end(s);
    } else {
        dw_reactor_call_later(s->reactor, &s->timer, idle - quiet, idle_check, s);
    }
}

/* ---- Requests ---- */

/* Hands the gathered replies to the transport, which may throttle the session. */
static void write_out(session *s) {
    kv_buffer *out = &s->server->out;
    dw_transport_write(s->base.transport, out->data, out->len);
    size_t unsent = dw_transport_buffered(s->base.transport);
    if (unsent > s->server->stats.unsent_top) {
        s->server->stats.unsent_top = unsent;
    }
    kv_buffer_clear(out, OUT_KEEP);
}

/* Room for replies: what the client has not read yet counts. */
static void set_out_limit(session *s) {
    size_t unsent = dw_transport_buffered(s->base.transport);
    size_t max = s->server->options.unsent_max;
    s->server->out.max = unsent < max ? max - unsent : 0;
}

static void run_request(session *s) {
    kv_server *server = s->server;
    if (s->parser.argc == 0) {
        return; /* an empty line */
    }
    kv_call call = {.store = &server->store,
                    .peer = &s->peer,
                    .facts = &server->facts,
                    .out = &server->out,
                    .args = s->parser.args,
                    .argc = s->parser.argc};
    kv_execute(&call);
    server->stats.requests++;
}

static void reply_failed(session *s) {
    kv_buffer *out = &s->server->out;
    bool too_much = out->room >= out->max;
    s->server->stats.cut_off += too_much ? 1 : 0;
    kv_buffer_clear(out, OUT_KEEP);
    break_off(s, too_much ? DW_APP_ERROR : DW_NO_MEMORY,
              too_much ? "too many unread replies" : "no memory for a reply");
}

static void put_protocol_error(session *s) {
    kv_buffer *out = &s->server->out;
    kv_put_error_begin(out, "ERR ");
    kv_put_error_some(out, kv_text(s->parser.error), sizeof(s->parser.error));
    kv_put_error_end(out, "");
}

/* One step through what was fed. False: there is nothing more to do for now. */
static bool take_request(session *s) {
    kv_buffer *out = &s->server->out;
    switch (kv_request_parser_next(&s->parser)) {
    case KV_PARSE_MORE:
        return false;
    case KV_PARSE_NO_MEMORY:
        kv_buffer_clear(out, OUT_KEEP);
        break_off(s, DW_NO_MEMORY, "no memory for a request");
        return false;
    case KV_PARSE_ERROR:
        put_protocol_error(s);
        s->peer.quit = true;
        break;
    case KV_PARSE_DONE:
        run_request(s);
        break;
    }
    if (out->failed) {
        reply_failed(s);
        return false;
    }
    if (out->len > s->server->options.unsent_mark) {
        write_out(s);
        set_out_limit(s);
    }
    return !s->throttled && !s->peer.quit;
}

/* Keeps what is left of the chunk, which may lie in the backlog already. */
static bool keep_rest(session *s) {
    kv_slice rest = kv_request_parser_rest(&s->parser);
    kv_buffer *backlog = &s->backlog;
    if (rest.len > 0 && backlog->len > 0) {
        memmove(backlog->data, rest.data, rest.len);
        backlog->len = rest.len;
        return true;
    }
    if (rest.len == 0) {
        kv_buffer_clear(backlog, 0);
        return true;
    }
    return kv_buffer_append(backlog, rest.data, rest.len);
}

/* Works through `data` as far as the session can. */
static void work(session *s, const uint8_t *data, size_t len) {
    set_out_limit(s);
    kv_request_parser_feed(&s->parser, data, len);
    while (take_request(s)) {
    }
    if (s->ended) {
        return;
    }
    write_out(s);
    if (!s->peer.quit && !keep_rest(s)) {
        break_off(s, DW_NO_MEMORY, "no memory for the backlog");
        return;
    }
    kv_request_parser_feed(&s->parser, NULL, 0);
    if (s->peer.quit || (s->eof && s->backlog.len == 0)) {
        end(s);
    }
}

/* ---- Flow control ---- */

static session *session_of_producer(dw_producer *producer) {
    return DW_CONTAINER_OF(producer, session, producer);
}

static void session_pause(dw_producer *producer) {
    session *s = session_of_producer(producer);
    if (!s->throttled) {
        s->throttled = true;
        s->server->stats.throttled++;
        dw_transport_pause_producing(s->base.transport);
    }
}

static void session_resume(dw_producer *producer) {
    session *s = session_of_producer(producer);
    s->throttled = false;
    if (s->backlog.len > 0) {
        work(s, s->backlog.data, s->backlog.len);
    }
    if (!s->throttled && !s->ended) {
        dw_transport_resume_producing(s->base.transport);
    }
}

/* The connection ends; connection_lost follows. */
static void session_stop(dw_producer *producer) {
    (void)producer;
}

static const dw_producer_class session_producer_class = {
    .name = "kv-session",
    .pause_producing = session_pause,
    .resume_producing = session_resume,
    .stop_producing = session_stop,
};

/* ---- Callbacks ---- */

static void join(session *s) {
    kv_server *server = s->server;
    s->previous = NULL;
    s->next = server->sessions;
    if (s->next != NULL) {
        s->next->previous = s;
    }
    server->sessions = s;
    server->stats.clients++;
    s->peer.id = ++server->stats.accepted;
}

static void leave(session *s) {
    *(s->previous != NULL ? &s->previous->next : &s->server->sessions) = s->next;
    if (s->next != NULL) {
        s->next->previous = s->previous;
    }
    s->server->stats.clients--;
}

static void session_made(dw_protocol *protocol) {
    session *s = session_of(protocol);
    const kv_server_options *options = &s->server->options;
    join(s);
    s->last_input = dw_reactor_now(s->reactor);
    if (options->idle >= 0) {
        dw_reactor_call_later(s->reactor, &s->timer, options->idle, idle_check, s);
    }
    dw_transport_set_no_delay(protocol->transport, true);
    if (dw_transport_set_write_limits(protocol->transport, options->unsent_mark / 4,
                                      options->unsent_mark) != 0) {
        dw_transport_abort_connection(protocol->transport);
        return;
    }
    dw_transport_register_producer(protocol->transport, &s->producer, true);
}

static void session_data(dw_protocol *protocol, const uint8_t *data, size_t len) {
    session *s = session_of(protocol);
    if (s->ended) {
        return;
    }
    if (s->server->options.idle >= 0) {
        s->last_input = dw_reactor_now(s->reactor);
    }
    work(s, data, len);
}

/* A client that half-closes still gets its replies. */
static void session_read_lost(dw_protocol *protocol) {
    session *s = session_of(protocol);
    s->eof = true;
    if (s->backlog.len == 0) {
        end(s);
    }
}

static void session_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    session *s = session_of(protocol);
    dw_delayed_call_cancel(&s->timer);
    leave(s);
}

/* May come after the server is gone. */
static void session_destroy(dw_protocol *protocol) {
    session *s = session_of(protocol);
    kv_request_parser_fini(&s->parser);
    kv_buffer_fini(&s->backlog);
    kv_peer_fini(&s->peer);
    dw_free(s->reactor, s);
}

static const dw_protocol_class session_class = {
    .name = "kv-session",
    .connection_made = session_made,
    .data_received = session_data,
    .read_connection_lost = session_read_lost,
    .connection_lost = session_lost,
    .destroy = session_destroy,
};

/* ---- The server ---- */

static kv_server *server_of(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, kv_server, factory);
}

static dw_protocol *server_build(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    kv_server *server = server_of(factory);
    if (server->stats.clients >= server->options.clients_max) {
        return NULL;
    }
    session *s = dw_new(server->reactor, session);
    if (s == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&s->base, &session_class);
    s->producer.cls = &session_producer_class;
    s->server = server;
    s->reactor = server->reactor;
    s->peer.reactor = server->reactor;
    kv_request_parser_init(&s->parser, server->reactor, &server->options.limits);
    kv_buffer_init(&s->backlog, server->reactor, CHUNK_MAX);
    return &s->base;
}

/* The last port is gone: with the reactor, since nothing else closes it. */
static void server_stop(dw_factory *factory) {
    server_of(factory)->port = NULL;
}

static const dw_factory_class server_class = {
    .name = "kv-server",
    .build_protocol = server_build,
    .stop = server_stop,
};

static void set_defaults(kv_server_options *options) {
    options->unsent_mark = options->unsent_mark > 0 ? options->unsent_mark : UNSENT_MARK_DEFAULT;
    options->unsent_max = options->unsent_max > 0 ? options->unsent_max : UNSENT_MAX_DEFAULT;
    options->idle = options->idle != 0 ? options->idle : IDLE_DEFAULT;
    options->linger = options->linger > 0 ? options->linger : LINGER_DEFAULT;
    options->clients_max = options->clients_max > 0 ? options->clients_max : CLIENTS_MAX_DEFAULT;
}

static void free_at_shutdown(void *user) {
    kv_server_free(user);
}

kv_server *kv_server_new(dw_reactor *reactor, const kv_server_options *options) {
    kv_server *server = dw_new(reactor, kv_server);
    if (server == NULL) {
        return NULL;
    }
    if (options != NULL) {
        server->options = *options;
    }
    set_defaults(&server->options);
    server->reactor = reactor;
    server->facts = (kv_facts){
        .memory_max = (int64_t)server->options.memory_max,
        .idle_s = server->options.idle > 0 ? server->options.idle / DW_SEC(1) : 0,
        .clients_max = (int64_t)server->options.clients_max,
    };
    dw_factory_init(&server->factory, &server_class);
    kv_buffer_init(&server->out, reactor, server->options.unsent_max);
    if (kv_store_init(&server->store, reactor, server->options.memory_max) != 0) {
        kv_store_fini(&server->store);
        dw_free(reactor, server);
        return NULL;
    }
    dw_reactor_add_trigger(reactor, &server->at_shutdown, DW_AFTER_SHUTDOWN, free_at_shutdown,
                           server);
    return server;
}

void kv_server_free(kv_server *server) {
    if (server == NULL) {
        return;
    }
    dw_trigger_remove(&server->at_shutdown);
    kv_store_fini(&server->store);
    kv_buffer_fini(&server->out);
    dw_free(server->reactor, server);
}

int kv_server_listen(kv_server *server, const char *interface, uint16_t port) {
    return dw_reactor_listen_tcp(server->reactor, port, &server->factory, BACKLOG, interface,
                                 &server->port);
}

dw_address kv_server_address(const kv_server *server) {
    return server->port != NULL ? dw_port_host(server->port) : (dw_address){0};
}

dw_factory *kv_server_factory(kv_server *server) {
    return &server->factory;
}

kv_store *kv_server_store(kv_server *server) {
    return &server->store;
}

kv_server_stats kv_server_get_stats(const kv_server *server) {
    kv_server_stats stats = server->stats;
    stats.store = server->store.memory;
    stats.buffers = server->out.room;
    for (const session *s = server->sessions; s != NULL; s = s->next) {
        stats.buffers += kv_request_parser_memory(&s->parser) + s->backlog.room +
                         dw_transport_buffered(s->base.transport);
    }
    return stats;
}
