/* SPDX-License-Identifier: MIT */
/*
 * Connector and ReconnectingClientFactory (vectors/README.md, 1.7): core's connector on the wire
 * that waits for the script, with a factory that records, plain or reconnecting.
 *
 * doStart and doStop are calls of the library's that a factory sees only when the first user comes
 * or the last one goes. With one connector that is each time.
 */
#include "rig.h"

#include "drywire/connector.h"
#include "drywire/reconnecting.h"

#include <math.h>

typedef struct attempts {
    dw_reconnecting_client_factory factory; /* the plain one uses only factory.base */
    bool reconnecting;
    player *player;
    dw_connector *connector; /* held; NULL before the first connect */
    dw_protocol protocol;
    bool by_step;          /* the connect that runs was recorded already */
    dw_time forgotten_due; /* of the wait that resetDelay saw; 0: none */
} attempts;

static attempts *attempts_of(dw_client_factory *factory) {
    return DW_CONTAINER_OF(factory, attempts, factory.base);
}

static void note(player *p, const char *name) {
    player_note(p, json_pack("{s:s}", "ev", name));
}

static void callback(player *p, const char *name) {
    player_callback(p, json_pack("{s:s}", "ev", name), NULL, 0);
}

/* ---- Protocol ---- */

static void made(dw_protocol *protocol) {
    callback(DW_CONTAINER_OF(protocol, attempts, protocol)->player, "connectionMade");
}

static void lost(dw_protocol *protocol, const dw_reason *reason) {
    player *p = DW_CONTAINER_OF(protocol, attempts, protocol)->player;
    player_callback(p, event_reason("connectionLost", reason), NULL, 0);
}

static const dw_protocol_class protocol_class = {
    .name = "attempt",
    .connection_made = made,
    .connection_lost = lost,
};

/* ---- Factory ---- */

static dw_protocol *build(dw_factory *base, const dw_address *peer) {
    attempts *a = DW_CONTAINER_OF(base, attempts, factory.base.base);
    (void)peer;
    callback(a->player, "buildProtocol");
    if (strcmp(config_text(a->player, "build", ""), "none") == 0) {
        return NULL;
    }
    dw_protocol_init(&a->protocol, &protocol_class);
    return &a->protocol;
}

static void start(dw_factory *base) {
    player *p = DW_CONTAINER_OF(base, attempts, factory.base.base)->player;
    note(p, "doStart");
    callback(p, "startFactory");
}

static void stop(dw_factory *base) {
    player *p = DW_CONTAINER_OF(base, attempts, factory.base.base)->player;
    note(p, "doStop");
    callback(p, "stopFactory");
}

static void started_connecting(dw_client_factory *base, dw_connector *connector) {
    attempts *a = attempts_of(base);
    if (a->connector == NULL) {
        a->connector = dw_connector_hold(connector);
    }
    callback(a->player, "startedConnecting");
}

/* The delay that the stock callback asked for. */
static void note_delay(attempts *a, dw_time due_before) {
    dw_time due = dw_reconnecting_due(&a->factory);
    if (due != DW_TIME_MAX && due != due_before) {
        double s = (double)(due - a->player->rig->now) / 1e9;
        player_note(a->player, json_pack("{s:s, s:f}", "ev", "callLater", "s", s));
    }
}

static void connection_failed(dw_client_factory *base, dw_connector *connector,
                              const dw_reason *reason) {
    attempts *a = attempts_of(base);
    player_callback(a->player, event_reason("clientConnectionFailed", reason), NULL, 0);
    if (a->reconnecting) {
        dw_time due = dw_reconnecting_due(&a->factory);
        dw_reconnecting_client_connection_failed(base, connector, reason);
        note_delay(a, due);
    }
}

static void connection_lost(dw_client_factory *base, dw_connector *connector,
                            const dw_reason *reason) {
    attempts *a = attempts_of(base);
    player_callback(a->player, event_reason("clientConnectionLost", reason), NULL, 0);
    if (a->reconnecting) {
        dw_time due = dw_reconnecting_due(&a->factory);
        dw_reconnecting_client_connection_lost(base, connector, reason);
        note_delay(a, due);
    }
}

static const dw_client_factory_class factory_class = {
    .base = {.name = "attempts", .build_protocol = build, .start = start, .stop = stop},
    .started_connecting = started_connecting,
    .client_connection_failed = connection_failed,
    .client_connection_lost = connection_lost,
};

/* ---- Calls on the connector: recorded on entry, then executed ---- */

/* The reconnecting factory's own call of connect shows only here. */
static void observe(dw_reactor *reactor, dw_seen seen, const dw_io *io, int code, const void *data,
                    size_t len) {
    player *p = ((rig *)(void *)reactor)->player;
    attempts *a = p->object;
    (void)io, (void)code, (void)data, (void)len;
    if (seen == DW_SEEN_CONNECT && !a->by_step) {
        note(p, "connector.connect");
    }
    a->by_step = false;
}

static dw_connector_state state_of(const attempts *a) {
    return a->connector != NULL ? dw_connector_get_state(a->connector) : DW_CONNECTOR_DISCONNECTED;
}

static int connect_first(player *p, attempts *a) {
    const json_t *timeout = json_object_get(p->config, "timeout");
    double s = json_number_value(timeout);
    dw_time limit = json_is_number(timeout) ? duration_of(s) : -1;
    return dw_reactor_connect_tcp(&p->rig->reactor, "stand-in.test", 1, &a->factory.base,
                                  limit != 0 ? limit : 1, NULL, NULL);
}

static void connector_connect(player *p) {
    attempts *a = p->object;
    note(p, "connector.connect");
    a->by_step = true;
    int error = a->connector == NULL ? connect_first(p, a) : dw_connector_connect(a->connector);
    a->by_step = false;
    if (error != 0) {
        player_raised(p, "connector.connect",
                      error == DW_NOT_DISCONNECTED ? "RuntimeError"
                                                   : dw_error_name((dw_error)error));
    }
}

static void connector_stop(player *p) {
    attempts *a = p->object;
    note(p, "connector.stopConnecting");
    int error =
        a->connector != NULL ? dw_connector_stop_connecting(a->connector) : DW_NOT_CONNECTING;
    if (error != 0) {
        player_raised(p, "connector.stopConnecting",
                      error == DW_NOT_CONNECTING ? "NotConnectingError"
                                                 : dw_error_name((dw_error)error));
    }
}

/* What disconnect does inside is recorded where it begins, as the stock connector's calls are. */
static void connector_disconnect(player *p) {
    attempts *a = p->object;
    note(p, "connector.disconnect");
    dw_connector_state before = state_of(a);
    if (before == DW_CONNECTOR_CONNECTING) {
        note(p, "connector.stopConnecting");
    }
    if (a->connector != NULL) {
        dw_connector_disconnect(a->connector);
    }
    if (before == DW_CONNECTOR_CONNECTED && dw_transport_disconnecting(rig_connection(p->rig))) {
        note(p, "transport.loseConnection");
    }
}

static void note_state(player *p) {
    static const char *const names[] = {
        [DW_CONNECTOR_DISCONNECTED] = "disconnected",
        [DW_CONNECTOR_CONNECTING] = "connecting",
        [DW_CONNECTOR_CONNECTED] = "connected",
    };
    player_note(p, json_pack("{s:s, s:s}", "ev", "state", "state", names[state_of(p->object)]));
}

/* ---- Steps ---- */

/* A connection for which build_protocol returned nothing closes itself. */
static void succeed(player *p) {
    rig_connect_succeeds(p->rig);
    if (strcmp(config_text(p, "build", ""), "none") == 0 &&
        state_of(p->object) == DW_CONNECTOR_CONNECTED) {
        note(p, "transport.loseConnection");
    }
}

/* Twisted's resetDelay forgets the wait that has begun, so that a stopTrying does not take it back;
 * and a retry during a wait makes it two. Neither is documented (vectors/README.md, section 3: "the
 * pending retry is cancelled"), and ours does otherwise. */
static void note_accident(player *p, dw_time due, bool forgotten_only) {
    const attempts *a = p->object;
    if (due != DW_TIME_MAX && (!forgotten_only || due == a->forgotten_due)) {
        player_accident(p);
    }
}

static void retry(player *p, dw_time due) {
    attempts *a = p->object;
    if (dw_reconnecting_retry(&a->factory) == DW_NOT_CONNECTED) {
        player_raised(p, "retry", "ValueError");
    }
    note_delay(a, due);
}

static bool reconnecting_perform(player *p, const char *op) {
    attempts *a = p->object;
    dw_time due = dw_reconnecting_due(&a->factory);
    if (strcmp(op, "resetDelay") == 0) {
        a->forgotten_due = due;
        dw_reconnecting_reset_delay(&a->factory);
    } else if (strcmp(op, "stopTrying") == 0) {
        note_accident(p, due, true);
        if (a->factory.connector_ != NULL) {
            note(p, "connector.stopConnecting");
        }
        dw_reconnecting_stop_trying(&a->factory);
    } else if (strcmp(op, "retry") == 0) {
        note_accident(p, due, false);
        retry(p, due);
    } else {
        return false;
    }
    return true;
}

static void connector_perform(player *p, const char *op, const json_t *args) {
    const attempts *a = p->object;
    if (strcmp(op, "connector.connect") == 0) {
        connector_connect(p);
    } else if (strcmp(op, "connector.stopConnecting") == 0) {
        connector_stop(p);
    } else if (strcmp(op, "connector.disconnect") == 0) {
        connector_disconnect(p);
    } else if (strcmp(op, "state") == 0) {
        note_state(p);
    } else if (strcmp(op, "succeed") == 0) {
        succeed(p);
    } else if (strcmp(op, "fail") == 0) {
        rig_connect_fails(p->rig, reason_kind(p, arg_text(p, args, "reason")));
    } else if (strcmp(op, "lost") == 0) {
        rig_connection_lost(p->rig, reason_kind(p, arg_text(p, args, "reason")));
    } else if (strcmp(op, "advance") == 0) {
        rig_advance(p->rig, arg_number(p, args, "s"));
    } else if (!a->reconnecting || !reconnecting_perform(p, op)) {
        player_unknown(p, op);
    }
}

/* ---- Playing ---- */

/* The vectors' factors are short binary fractions, or e, the default. */
static void set_factor(player *p, attempts *a) {
    enum { FACTOR_BITS = 20 };
    const json_t *factor = json_object_get(p->config, "factor");
    double value = json_number_value(factor);
    double scaled = ldexp(value, FACTOR_BITS);
    if (!json_is_number(factor) || fabs(value - exp(1)) < 1e-12) {
        return;
    }
    if (scaled != floor(scaled) || scaled < 1 || scaled > 1e15) {
        scaled = floor(value * 1e9 + 0.5);
        a->factory.factor = (dw_ratio){(uint64_t)scaled, 1000000000};
        return;
    }
    a->factory.factor = (dw_ratio){(uint64_t)scaled, UINT64_C(1) << FACTOR_BITS};
}

static void configure(player *p, attempts *a) {
    const json_t *initial = json_object_get(p->config, "initial_delay");
    const json_t *max_delay = json_object_get(p->config, "max_delay");
    const json_t *retries = json_object_get(p->config, "max_retries");
    if (json_is_number(initial)) {
        a->factory.initial_delay = duration_of(json_number_value(initial));
    }
    if (json_is_number(max_delay)) {
        a->factory.max_delay = duration_of(json_number_value(max_delay));
    }
    if (json_is_integer(retries)) {
        a->factory.max_retries = (uint32_t)json_integer_value(retries);
    }
    a->factory.jitter_ppb = 0;
    set_factor(p, a);
}

static void play(player *p, attempts *a) {
    rig r;
    rig_init(&r, p);
    r.reactor.observe = observe;
    a->player = p;
    p->object = a;
    p->perform = connector_perform;
    player_run(p);
    size_t recorded = json_array_size(p->events);
    if (a->reconnecting) {
        dw_reconnecting_client_factory_fini(&a->factory);
    }
    dw_connector_release(a->connector);
    rig_fini(&r);
    while (json_array_size(p->events) > recorded) {
        json_array_remove(p->events, recorded);
    }
}

void play_connector(player *p, const char *protocol) {
    attempts a = {.reconnecting = false};
    (void)protocol;
    dw_client_factory_init(&a.factory.base, &factory_class);
    play(p, &a);
}

void play_reconnecting(player *p, const char *protocol) {
    attempts a = {.reconnecting = true};
    (void)protocol;
    dw_reconnecting_client_factory_init(&a.factory, &factory_class);
    configure(p, &a);
    play(p, &a);
}
