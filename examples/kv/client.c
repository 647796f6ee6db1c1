/* SPDX-License-Identifier: MIT */
/*
 * The client. Requests wait in one queue, in the order they were asked: first those that were sent
 * on the current connection, then the others. Invariant: replies come in the order of the sent
 * ones, so a reply always belongs to the head. All have the same time-out, so the head is also the
 * first to run out of it.
 */
#include "client.h"

#include <string.h>

#define TIMEOUT_DEFAULT     DW_SEC(5)
#define CONNECT_DEFAULT     DW_SEC(2)
#define DELAY_FIRST_DEFAULT DW_MSEC(50)
#define DELAY_MAX_DEFAULT   DW_SEC(5)
#define WAITING_MAX_DEFAULT 1024
#define SENDS_MAX_DEFAULT   8

/* A reply of more bytes or items than this breaks the connection. */
#define REPLY_MAX ((size_t)16 * 1024 * 1024)
#define ITEMS_MAX 65536

typedef struct request {
    struct request *next;
    kv_answer_fn answer;
    void *user;
    dw_time deadline;
    unsigned sends; /* how often it was sent */
    bool may_repeat;
    size_t len;
    uint8_t bytes[]; /* as it goes out */
} request;

typedef struct queue {
    request *head, **tail;
} queue;

struct kv_client {
    dw_client_factory factory;
    dw_protocol protocol; /* of the current connection; one at a time */
    dw_reactor *reactor;
    dw_connector *connector;
    dw_trigger at_shutdown;
    dw_delayed_call reconnect, timeout, release;
    kv_client_options options;
    kv_reply_parser parser;
    queue sent, unsent;
    dw_time delay;  /* before the next attempt */
    unsigned built; /* connections whose protocol the library still holds */
    bool usable;    /* connected, and not about to end */
    bool closed;
    bool over; /* nothing is left to do but to give the memory back */
    kv_client_stats stats;
};

static void queue_init(queue *q) {
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_add(queue *q, request *r) {
    r->next = NULL;
    *q->tail = r;
    q->tail = &r->next;
}

static request *queue_take(queue *q) {
    request *r = q->head;
    if (r != NULL) {
        q->head = r->next;
        if (q->head == NULL) {
            q->tail = &q->head;
        }
    }
    return r;
}

/* Puts all of `front` before all of `q`. */
static void queue_prepend(queue *q, queue *front) {
    if (front->head != NULL) {
        *front->tail = q->head;
        if (q->head == NULL) {
            q->tail = front->tail;
        }
        q->head = front->head;
    }
}

/* ---- Outcomes ---- */

static void settle(kv_client *client, request *r, kv_outcome outcome, const kv_reply *reply) {
    client->stats.waiting--;
    client->stats.failed += outcome == KV_FAILED ? 1 : 0;
    client->stats.unknown += outcome == KV_UNKNOWN ? 1 : 0;
    r->answer(r->user, outcome, reply);
    dw_free(client->reactor, r);
}

/* No reply will come for these. */
static void settle_all(kv_client *client, queue *q) {
    request *r;
    while ((r = queue_take(q)) != NULL) {
        settle(client, r, r->sends > 0 ? KV_UNKNOWN : KV_FAILED, NULL);
    }
}

/* ---- Time-outs ---- */

static request *first_waiting(const kv_client *client) {
    return client->sent.head != NULL ? client->sent.head : client->unsent.head;
}

static void time_is_up(void *user);

static void arm_timeout(kv_client *client) {
    const request *first = first_waiting(client);
    if (first == NULL) {
        dw_delayed_call_cancel(&client->timeout);
        return;
    }
    if (dw_delayed_call_active(&client->timeout) &&
        dw_delayed_call_time(&client->timeout) <= first->deadline) {
        return; /* it looks again when it runs */
    }
    dw_time left = first->deadline - dw_reactor_now(client->reactor);
    dw_reactor_call_later(client->reactor, &client->timeout, left > 0 ? left : 0, time_is_up,
                          client);
}

/* Gives the connection up; connection_lost follows, in a later turn. */
static void drop_connection(kv_client *client) {
    if (client->usable) {
        client->usable = false;
        dw_transport_abort_connection(client->protocol.transport);
    }
}

/* A connection on which a reply is overdue is not worth keeping: its peer may be long gone. */
static void time_is_up(void *user) {
    kv_client *client = user;
    dw_time now = dw_reactor_now(client->reactor);
    queue late;
    queue_init(&late);
    while (client->sent.head != NULL && client->sent.head->deadline <= now) {
        queue_add(&late, queue_take(&client->sent));
    }
    if (late.head != NULL) {
        drop_connection(client);
    }
    while (client->sent.head == NULL && client->unsent.head != NULL &&
           client->unsent.head->deadline <= now) {
        queue_add(&late, queue_take(&client->unsent));
    }
    settle_all(client, &late);
    arm_timeout(client);
}

/* ---- Requests ---- */

/* Commands that leave the same behind when they run twice in a row, and answer the same. */
static const char *const repeatable[] = {
    "get",  "set", "mget", "mset", "exists", "ttl", "keys", "dbsize", "ping", "echo", "persist",
#ifdef KV_BUG_RETRY_INCR
    "incr", /* the planted bug: a counter may count twice */
#endif
};

/* SET with NX or XX answers otherwise the second time. */
static bool may_repeat(const kv_slice *args, size_t argc) {
    if (kv_slice_is(args[0], "set") && argc > 3) {
        return false;
    }
    for (size_t i = 0; i < sizeof(repeatable) / sizeof(repeatable[0]); i++) {
        if (kv_slice_is(args[0], repeatable[i])) {
            return true;
        }
    }
    return false;
}

static size_t put_header(uint8_t *out, char type, size_t value) {
    out[0] = (uint8_t)type;
    size_t len = 1 + kv_format_integer((char *)out + 1, (int64_t)value);
    memcpy(out + len, "\r\n", 2);
    return len + 2;
}

static request *make_request(kv_client *client, const kv_slice *args, size_t argc) {
    size_t most = KV_INTEGER_MAX + 3;
    for (size_t i = 0; i < argc; i++) {
        most += KV_INTEGER_MAX + 5 + args[i].len;
    }
    request *r = dw_alloc(client->reactor, sizeof(*r) + most);
    if (r == NULL) {
        return NULL;
    }
    *r = (request){.may_repeat = may_repeat(args, argc)};
    r->len = put_header(r->bytes, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        r->len += put_header(r->bytes + r->len, '$', args[i].len);
        if (args[i].len > 0) {
            memcpy(r->bytes + r->len, args[i].data, args[i].len);
        }
        memcpy(r->bytes + r->len + args[i].len, "\r\n", 2);
        r->len += args[i].len + 2;
    }
    return r;
}

static void send_waiting(kv_client *client) {
    while (client->usable && client->unsent.head != NULL) {
        request *r = queue_take(&client->unsent);
        client->stats.resent += r->sends > 0 ? 1 : 0;
        r->sends++;
        queue_add(&client->sent, r);
        dw_transport_write(client->protocol.transport, r->bytes, r->len);
    }
}

int kv_client_ask(kv_client *client, const kv_slice *args, size_t argc, kv_answer_fn answer,
                  void *user) {
    if (client->closed) {
        return KV_CLIENT_CLOSED;
    }
    if (argc == 0) {
        return DW_INVALID_ARGUMENT;
    }
    if (client->stats.waiting >= client->options.waiting_max) {
        return KV_CLIENT_FULL;
    }
    request *r = make_request(client, args, argc);
    if (r == NULL) {
        return DW_NO_MEMORY;
    }
    r->answer = answer;
    r->user = user;
    r->deadline = dw_reactor_now(client->reactor) + client->options.timeout;
    client->stats.waiting++;
    queue_add(&client->unsent, r);
    send_waiting(client);
    arm_timeout(client);
    return 0;
}

int kv_client_ask_words(kv_client *client, const char *const *words, kv_answer_fn answer,
                        void *user) {
    kv_slice args[KV_CLIENT_WORDS_MAX];
    size_t argc = 0;
    while (words[argc] != NULL) {
        if (argc == KV_CLIENT_WORDS_MAX) {
            return DW_INVALID_ARGUMENT;
        }
        args[argc] = kv_text(words[argc]);
        argc++;
    }
    return kv_client_ask(client, args, argc, answer, user);
}

/* ---- The connection ---- */

static kv_client *client_of(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, kv_client, protocol);
}

static void connection_made(dw_protocol *protocol) {
    kv_client *client = client_of(protocol);
    kv_reply_parser_reset(&client->parser);
    client->usable = true;
    client->stats.connections++;
    dw_transport_set_no_delay(protocol->transport, true);
    send_waiting(client);
}

static void data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    kv_client *client = client_of(protocol);
    kv_reply_parser_feed(&client->parser, data, len);
    while (client->usable) {
        kv_parse got = kv_reply_parser_next(&client->parser);
        if (got == KV_PARSE_MORE) {
            break;
        }
        request *r = got == KV_PARSE_DONE ? queue_take(&client->sent) : NULL;
        if (r == NULL) { /* nonsense, or a reply to nothing */
            drop_connection(client);
            break;
        }
        client->delay = client->options.delay_first; /* a server that answers is well again */
        settle(client, r, KV_ANSWERED, client->parser.items);
    }
    arm_timeout(client);
}

/* What was sent goes back to the front of the queue, in order, if it may be sent again. */
static void connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    kv_client *client = client_of(protocol);
    queue again, over;
    queue_init(&again);
    queue_init(&over);
    client->usable = false;
    request *r;
    while ((r = queue_take(&client->sent)) != NULL) {
        bool repeat = r->may_repeat && r->sends < client->options.sends_max;
        queue_add(repeat ? &again : &over, r);
    }
    queue_prepend(&client->unsent, &again);
    settle_all(client, &over);
    if (client->closed) {
        settle_all(client, &client->unsent);
    }
}

/* The memory may go once the library refers to neither the protocol nor the factory in it. */
static void free_if_over(kv_client *client) {
    if (client->over && client->built == 0 && client->factory.base.num_ports == 0) {
        dw_free(client->reactor, client);
    }
}

static void destroy(dw_protocol *protocol) {
    kv_client *client = client_of(protocol);
    client->built--;
    free_if_over(client);
}

static const dw_protocol_class protocol_class = {
    .name = "kv-client",
    .connection_made = connection_made,
    .data_received = data_received,
    .connection_lost = connection_lost,
    .destroy = destroy,
};

/* ---- Connecting again ---- */

static kv_client *client_of_factory(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, kv_client, factory.base);
}

static dw_protocol *build_protocol(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    kv_client *client = client_of_factory(factory);
    if (client->closed) {
        return NULL;
    }
    dw_protocol_init(&client->protocol, &protocol_class);
    client->built++;
    return &client->protocol;
}

static void reconnect(void *user) {
    kv_client *client = user;
    dw_connector_connect(client->connector);
}

/* Half of the delay is fixed, half by chance, so that many clients do not all come back at once. */
static void reconnect_later(kv_client *client) {
    if (client->closed || !dw_reactor_running(client->reactor)) {
        return;
    }
    uint64_t chance = dw_reactor_random_number(client->reactor);
    dw_time half = client->delay / 2;
    dw_time delay = half + (dw_time)(chance % 1024) * half / 1024;
    client->delay = client->delay > client->options.delay_max / 2 ? client->options.delay_max
                                                                  : client->delay * 2;
    dw_reactor_call_later(client->reactor, &client->reconnect, delay, reconnect, client);
}

static void attempt_failed(dw_client_factory *factory, dw_connector *connector,
                           const dw_reason *reason) {
    (void)connector;
    (void)reason;
    reconnect_later(client_of_factory(&factory->base));
}

static void factory_stop(dw_factory *factory) {
    free_if_over(client_of_factory(factory));
}

static const dw_client_factory_class factory_class = {
    .base = {.name = "kv-client", .build_protocol = build_protocol, .stop = factory_stop},
    .client_connection_failed = attempt_failed,
    .client_connection_lost = attempt_failed,
};

/* ---- Life ---- */

static void set_defaults(kv_client_options *options) {
    options->timeout = options->timeout > 0 ? options->timeout : TIMEOUT_DEFAULT;
    options->connect = options->connect > 0 ? options->connect : CONNECT_DEFAULT;
    options->delay_first = options->delay_first > 0 ? options->delay_first : DELAY_FIRST_DEFAULT;
    options->delay_max = options->delay_max > 0 ? options->delay_max : DELAY_MAX_DEFAULT;
    options->waiting_max = options->waiting_max > 0 ? options->waiting_max : WAITING_MAX_DEFAULT;
    options->sends_max = options->sends_max > 0 ? options->sends_max : SENDS_MAX_DEFAULT;
}

/* Ends all; the memory goes now, or when the library has let go of it. */
static void finish(void *user) {
    kv_client *client = user;
    client->closed = true;
    dw_trigger_remove(&client->at_shutdown);
    dw_delayed_call_cancel(&client->reconnect);
    settle_all(client, &client->sent);
    settle_all(client, &client->unsent);
    dw_delayed_call_cancel(&client->timeout);
    dw_delayed_call_cancel(&client->release);
    dw_connector_release(client->connector);
    client->connector = NULL;
    kv_reply_parser_fini(&client->parser);
    client->over = true;
    free_if_over(client);
}

kv_client *kv_client_new(dw_reactor *reactor, const kv_client_options *options) {
    kv_client *client = dw_new(reactor, kv_client);
    if (client == NULL) {
        return NULL;
    }
    client->reactor = reactor;
    if (options != NULL) {
        client->options = *options;
    }
    set_defaults(&client->options);
    client->delay = client->options.delay_first;
    queue_init(&client->sent);
    queue_init(&client->unsent);
    kv_reply_parser_init(&client->parser, reactor, REPLY_MAX, ITEMS_MAX);
    dw_client_factory_init(&client->factory, &factory_class);
    dw_protocol_init(&client->protocol, &protocol_class);
    dw_reactor_add_trigger(reactor, &client->at_shutdown, DW_AFTER_SHUTDOWN, finish, client);
    return client;
}

int kv_client_connect(kv_client *client, const char *host, uint16_t port) {
    if (client->connector != NULL || client->closed) {
        return DW_NOT_DISCONNECTED;
    }
    int error = dw_reactor_connect_tcp(client->reactor, host, port, &client->factory,
                                       client->options.connect, NULL, &client->connector);
    if (error == 0) {
        dw_connector_hold(client->connector);
    }
    return error;
}

void kv_client_close(kv_client *client) {
    if (client == NULL || client->closed) {
        return;
    }
    client->closed = true;
    drop_connection(client);
    dw_delayed_call_cancel(&client->reconnect);
    if (client->connector != NULL) {
        dw_connector_stop_connecting(client->connector);
    }
    /* Not here: this may be inside one of the client's own callbacks. */
    dw_reactor_call_later(client->reactor, &client->release, 0, finish, client);
}

dw_client_factory *kv_client_factory(kv_client *client) {
    return &client->factory;
}

kv_client_stats kv_client_get_stats(const kv_client *client) {
    return client->stats;
}

bool kv_client_is_connected(const kv_client *client) {
    return client->usable;
}
