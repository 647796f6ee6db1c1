/* SPDX-License-Identifier: MIT */
/*
 * Factory policies (vectors/README.md, 1.6): a policy around an application that records its
 * callbacks and does nothing else; below each wrapper lies a recording transport.
 */
#include "recording.h"

#include "drywire/idle_timeout.h"
#include "drywire/limits.h"
#include "drywire/throttling.h"

typedef struct connection {
    struct connection *next;
    struct policy *policy;
    json_int_t number;
    recording recording;
    dw_protocol application;
    dw_producer producer;
    bool connected; /* it was built, and recording is valid */
} connection;

typedef struct policy {
    player *player;
    dw_factory application, overflow; /* what builds */
    union {
        dw_wrapping_factory plain;
        dw_throttling_factory throttling;
        dw_limit_total_factory limit;
        dw_idle_timeout_factory idle;
    } u; /* each begins with a dw_wrapping_factory */
    bool is_idle;
    connection *connections;
    connection *building; /* the one that a connect step asks for */
} policy;

/* ---- Events ---- */

static void note(connection *c, const char *name) {
    player_callback(c->policy->player, json_pack("{s:s, s:I}", "ev", name, "conn", c->number), NULL,
                    0);
}

static connection *of(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, connection, application);
}

static void note_lost(connection *c, const char *name, const dw_reason *reason) {
    json_t *event = event_reason(name, reason);
    json_object_set_new(event, "conn", json_integer(c->number));
    player_callback(c->policy->player, event, NULL, 0);
}

/* ---- The application ---- */

static void made(dw_protocol *protocol) {
    note(of(protocol), "connectionMade");
}

static void data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    json_t *event = event_bytes("data", data, len);
    json_object_set_new(event, "conn", json_integer(of(protocol)->number));
    player_callback(of(protocol)->policy->player, event, data, len);
}

static void lost(dw_protocol *protocol, const dw_reason *reason) {
    note_lost(of(protocol), "connectionLost", reason);
}

static const dw_protocol_class application_class = {
    .name = "application",
    .connection_made = made,
    .data_received = data_received,
    .connection_lost = lost,
};

static policy *policy_of_application(dw_factory *factory) {
    return DW_CONTAINER_OF(factory, policy, application);
}

static dw_protocol *build(dw_factory *factory, const dw_address *peer) {
    connection *c = policy_of_application(factory)->building;
    (void)peer;
    note(c, "buildProtocol");
    dw_protocol_init(&c->application, &application_class);
    return &c->application;
}

static void start(dw_factory *factory) {
    player_callback(policy_of_application(factory)->player,
                    json_pack("{s:s}", "ev", "startFactory"), NULL, 0);
}

static void stop(dw_factory *factory) {
    player_callback(policy_of_application(factory)->player, json_pack("{s:s}", "ev", "stopFactory"),
                    NULL, 0);
}

static const dw_factory_class application_factory_class = {
    .name = "application", .build_protocol = build, .start = start, .stop = stop};

/* ---- The overflow protocol: says "busy" and closes ---- */

static void overflow_made(dw_protocol *protocol) {
    note(of(protocol), "overflow.connectionMade");
    dw_transport_write(protocol->transport, "busy", 4);
    dw_transport_lose_connection(protocol->transport);
}

static void overflow_lost(dw_protocol *protocol, const dw_reason *reason) {
    note_lost(of(protocol), "overflow.connectionLost", reason);
}

static const dw_protocol_class overflow_class = {
    .name = "overflow",
    .connection_made = overflow_made,
    .connection_lost = overflow_lost,
};

static dw_protocol *build_overflow(dw_factory *factory, const dw_address *peer) {
    connection *c = DW_CONTAINER_OF(factory, policy, overflow)->building;
    (void)peer;
    dw_protocol_init(&c->application, &overflow_class);
    return &c->application;
}

static const dw_factory_class overflow_factory_class = {.name = "overflow",
                                                        .build_protocol = build_overflow};

/* ---- The application's producer ---- */

static void producer_pause(dw_producer *producer) {
    note(DW_CONTAINER_OF(producer, connection, producer), "producer.pauseProducing");
}

static void producer_resume(dw_producer *producer) {
    note(DW_CONTAINER_OF(producer, connection, producer), "producer.resumeProducing");
}

static void producer_stop(dw_producer *producer) {
    note(DW_CONTAINER_OF(producer, connection, producer), "producer.stopProducing");
}

static const dw_producer_class producer_class = {
    .name = "application",
    .pause_producing = producer_pause,
    .resume_producing = producer_resume,
    .stop_producing = producer_stop,
};

/* ---- Steps ---- */

static dw_factory *factory_of(policy *f) {
    return &f->u.plain.base.base;
}

static void connect_one(policy *f, const json_t *args) {
    dw_address peer = {0};
    connection *c = calloc(1, sizeof(*c));
    if (c == NULL || dw_address_parse(&peer, "127.0.0.1", 1) != 0) {
        player_trouble(f->player, "out of memory");
        free(c);
        return;
    }
    c->policy = f;
    c->number = (json_int_t)arg_number(f->player, args, "conn");
    c->producer.cls = &producer_class;
    c->next = f->connections;
    f->connections = f->building = c;
    dw_protocol *protocol = factory_of(f)->cls->build_protocol(factory_of(f), &peer);
    if (protocol == DW_PROTOCOL_FAILED) {
        player_trouble(f->player, "build_protocol failed");
    } else if (protocol == NULL) {
        note(c, "refused");
    } else {
        protocol->factory = factory_of(f);
        c->connected = true;
        recording_connect(&c->recording, f->player, protocol, c->number);
    }
}

static connection *connection_of(policy *f, const json_t *args) {
    json_int_t number = (json_int_t)arg_number(f->player, args, "conn");
    for (connection *c = f->connections; c != NULL; c = c->next) {
        if (c->number == number) {
            return c;
        }
    }
    player_trouble(f->player, "step %d: there is no connection %d", (int)f->player->at,
                   (int)number);
    return NULL;
}

/* As the library does it when a connection has ended. */
static void lose(connection *c, const json_t *args) {
    if (c->connected && !c->recording.lost) {
        dw_protocol *outer = &c->recording.base.base;
        recording_lost(&c->recording, args);
        outer->cls->destroy(outer);
    }
}

static void register_producer(connection *c, const json_t *args) {
    bool streaming = json_is_true(json_object_get(args, "streaming"));
    if (dw_transport_register_producer(c->application.transport, &c->producer, streaming) != 0) {
        player_raised(c->policy->player, "registerProducer", "RuntimeError");
    }
}

static bool timeout_perform(connection *c, const char *op, const json_t *args) {
    if (!c->policy->is_idle) {
        return false;
    }
    if (strcmp(op, "cancelTimeout") == 0) {
        dw_idle_timeout_cancel(c->application.transport);
    } else if (strcmp(op, "setTimeout") == 0) {
        dw_idle_timeout_set(c->application.transport,
                            arg_null(args, "s")
                                ? DW_TIMEOUT_OFF
                                : duration_of(arg_number(c->policy->player, args, "s")));
    } else {
        return false;
    }
    return true;
}

static void connection_perform(connection *c, const char *op, const json_t *args) {
    if (!c->connected) {
        return; /* it was refused */
    }
    if (strcmp(op, "data") == 0) {
        recording_data(&c->recording, args);
    } else if (strcmp(op, "lost") == 0) {
        lose(c, args);
    } else if (strcmp(op, "registerProducer") == 0) {
        register_producer(c, args);
    } else if (strcmp(op, "unregisterProducer") == 0) {
        dw_transport_unregister_producer(c->application.transport);
    } else if (!timeout_perform(c, op, args) &&
               !recording_perform(&c->recording, c->application.transport, op, args)) {
        player_unknown(c->policy->player, op);
    }
}

static void policy_perform(player *p, const char *op, const json_t *args) {
    policy *f = p->object;
    if (strcmp(op, "doStart") == 0) {
        dw_factory_do_start(factory_of(f));
    } else if (strcmp(op, "doStop") == 0) {
        dw_factory_do_stop(factory_of(f));
    } else if (strcmp(op, "connect") == 0) {
        connect_one(f, args);
    } else if (strcmp(op, "advance") == 0) {
        player_advance(p, args);
    } else if (strcmp(op, "connectionCount") == 0) {
        json_int_t n = (json_int_t)dw_wrapping_factory_count(&f->u.plain);
        player_note(p, json_pack("{s:s, s:I}", "ev", op, "n", n));
    } else {
        connection *c = connection_of(f, args);
        if (c != NULL) {
            connection_perform(c, op, args);
        }
    }
}

/* ---- Playing ---- */

static void init_policy(policy *f, const char *protocol) {
    player *p = f->player;
    dw_reactor *reactor = &p->rig->reactor;
    if (strcmp(protocol, "ThrottlingFactory") == 0) {
        dw_throttling_factory_init(&f->u.throttling, reactor, &f->application);
        f->u.throttling.read_limit = config_size(p, "read_limit", 0);
        f->u.throttling.write_limit = config_size(p, "write_limit", 0);
        f->u.throttling.max_connections = config_size(p, "max_connections", SIZE_MAX);
    } else if (strcmp(protocol, "LimitTotalConnectionsFactory") == 0) {
        dw_limit_total_factory_init(&f->u.limit, reactor, &f->application);
        f->u.limit.limit = config_size(p, "limit", SIZE_MAX);
        f->u.limit.overflow = config_flag(p, "overflow") ? &f->overflow : NULL;
    } else if (strcmp(protocol, "TimeoutFactory") == 0) {
        const json_t *period = json_object_get(p->config, "timeout");
        dw_idle_timeout_factory_init(&f->u.idle, reactor, &f->application,
                                     json_is_number(period) ? duration_of(json_number_value(period))
                                                            : DW_TIMEOUT_OFF);
        f->is_idle = true;
    } else {
        dw_wrapping_factory_init(&f->u.plain, &dw_wrapping_factory_plain, reactor, &f->application);
    }
}

static void end_connections(policy *f) {
    json_t *end = json_pack("{s:s}", "reason", "ConnectionLost");
    for (connection *c = f->connections; c != NULL; c = c->next) {
        lose(c, end);
    }
    json_decref(end);
    while (f->connections != NULL) {
        connection *c = f->connections;
        f->connections = c->next;
        free(c);
    }
}

void play_policy(player *p, const char *protocol) {
    rig r;
    policy *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        player_trouble(p, "out of memory");
        return;
    }
    rig_init(&r, p);
    f->player = p;
    dw_factory_init(&f->application, &application_factory_class);
    dw_factory_init(&f->overflow, &overflow_factory_class);
    init_policy(f, protocol);
    p->object = f;
    p->perform = policy_perform;
    player_run(p);
    size_t recorded = json_array_size(p->events);
    end_connections(f);
    rig_fini(&r);
    while (json_array_size(p->events) > recorded) {
        json_array_remove(p->events, recorded);
    }
    free(f);
}
