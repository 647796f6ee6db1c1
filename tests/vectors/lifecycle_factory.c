/* SPDX-License-Identifier: MIT */
/*
 * Scripted factories and connectors. The library has no hook for each doStart and doStop, only for
 * the first and the last; they show in the factory's num_ports, which is looked at before each
 * event and after each operation (side_sync).
 *
 * Where a hook cannot fail in C, a script that raises in it is played as a program would be written
 * that wants what Twisted then does: it ignores the calls that Twisted leaves out (hide_..., and
 * ALLOW_SKIPPED is counted).
 */
#include "lifecycle.h"

/* ---- Counting starts and stops ---- */

static json_t *factory_event(const factory *f, const char *name) {
    json_t *event = json_pack("{s:s}", "ev", name);
    if (strcmp(f->name, "f0") != 0) {
        json_object_set_new(event, "f", json_string(f->name));
    }
    return event;
}

static void note_factory(factory *f, const char *name) {
    side_note(&(context){.s = f->s}, factory_event(f, name));
}

static void started(factory *f) {
    f->seen++;
    f->last_hidden = f->hide_starts > 0;
    if (f->last_hidden) {
        f->hide_starts--;
        f->s->allowed |= ALLOW_SKIPPED;
        return;
    }
    f->counted++;
    note_factory(f, "doStart");
}

static void stopped(factory *f) {
    f->seen--;
    f->last_hidden = f->hide_stops > 0 || f->counted == 0;
    if (f->last_hidden) {
        f->hide_stops -= f->hide_stops > 0;
        f->s->allowed |= ALLOW_SKIPPED;
        return;
    }
    f->counted--;
    note_factory(f, "doStop");
}

void factory_missed_start(factory *f) {
    f->counted++;
    f->s->allowed |= ALLOW_SKIPPED;
    note_factory(f, "doStart");
}

void side_sync(side *s) {
    for (size_t i = 0; i < s->factory_count; i++) {
        factory *f = s->factories[i];
        while (f->seen < f->client.base.num_ports) {
            started(f);
        }
        while (f->seen > f->client.base.num_ports) {
            stopped(f);
        }
    }
}

/* ---- Hooks ---- */

static factory *of(dw_factory *base) {
    return DW_CONTAINER_OF(base, factory, client.base);
}

/* Twisted does not count a start that fails; connect and listen undo it, see there. */
static void hook_start(dw_factory *base) {
    factory *f = of(base);
    side_sync(f->s);
    if (f->last_hidden || f->counted != 1) {
        return;
    }
    note_factory(f, "startFactory");
    if (f->s->raised) {
        f->start_raised = true;
        f->counted = 0;
    }
}

static void hook_stop(dw_factory *base) {
    factory *f = of(base);
    side_sync(f->s);
    if (f->last_hidden || f->counted != 0) {
        return;
    }
    f->stopping = true;
    note_factory(f, "stopFactory");
    f->stopping = false;
    if (side_caught(f->s)) {
        side_accident(f->s); /* who waits for the stop is not told in Twisted */
    }
}

/* "none", "raise", or a list with a word for each connection; after its end, as usual. */
static const char *plan_of(factory *f) {
    const json_t *plan = json_object_get(
        json_object_get(json_object_get(f->s->script, "factories"), f->name), "build");
    if (json_is_array(plan)) {
        plan = json_array_get(plan, (size_t)f->built);
    }
    const char *text = json_string_value(plan);
    return text != NULL ? text : "ok";
}

static destination *connecting_of(factory *f) {
    for (size_t i = 0; i < f->s->destination_count; i++) {
        destination *k = f->s->destinations[i];
        if (k->f == f && k->connector != NULL &&
            dw_connector_get_state(k->connector) == DW_CONNECTOR_CONNECTED) {
            bool taken = false;
            for (size_t c = 0; c < f->s->conn_count; c++) {
                taken = taken || (f->s->conns[c]->k == k && !f->s->conns[c]->over);
            }
            if (!taken) {
                return k;
            }
        }
    }
    return NULL;
}

static dw_protocol *build_failed(factory *f, const destination *k) {
    if (k != NULL && f->s->p->stream_unix) {
        for (int i = 0; i < SIDE_COUNT; i++) {
            side_accident(&f->s->p->sides[i]); /* "only logged and nobody is told" */
        }
    }
    return DW_PROTOCOL_FAILED;
}

static dw_protocol *hook_build(dw_factory *base, const dw_address *peer) {
    factory *f = of(base);
    destination *k = connecting_of(f);
    const char *plan = plan_of(f);
    (void)peer;
    f->built++;
    note_factory(f, "buildProtocol");
    if (side_caught(f->s) || strcmp(plan, "raise") == 0) {
        return build_failed(f, k);
    }
    if (strcmp(plan, "none") == 0) {
        return NULL;
    }
    if (strcmp(plan, "ok") != 0) {
        side_trouble(f->s, "unknown plan \"%s\" of a factory", plan);
    }
    conn *c = conn_new(f, k);
    return c != NULL ? &c->base : NULL;
}

/* ---- A client's hooks ---- */

static json_t *connector_event(const destination *k, const char *name, const dw_reason *reason) {
    json_t *event = factory_event(k->f, name);
    if (reason != NULL) {
        json_object_set_new(event, "reason", json_string(reason_class(reason)));
    }
    if (strcmp(k->name, "k0") != 0) {
        json_object_set_new(event, "k", json_string(k->name));
    }
    return event;
}

destination *destination_of(side *s, const dw_connector *connector) {
    for (size_t i = 0; i < s->destination_count; i++) {
        if (s->destinations[i]->connector == connector) {
            return s->destinations[i];
        }
    }
    return NULL;
}

/* The one that is being made has no connector yet. */
static destination *identify(factory *f, dw_connector *connector) {
    destination *k = destination_of(f->s, connector);
    for (size_t i = 0; k == NULL && i < f->s->destination_count; i++) {
        if (f->s->destinations[i]->f == f && f->s->destinations[i]->connector == NULL) {
            k = f->s->destinations[i];
            k->connector = dw_connector_hold(connector);
        }
    }
    if (k == NULL) {
        side_trouble(f->s, "a callback about a connector that nobody made");
    }
    return k;
}

/* The factory's start raised: in Twisted there is no attempt. */
static void give_up_start(destination *k) {
    k->hide_all = true;
    k->f->start_raised = false;
    k->f->hide_stops++;
    k->f->s->allowed |= ALLOW_SKIPPED;
    dw_connector_stop_connecting(k->connector);
}

static void hook_started(dw_client_factory *base, dw_connector *connector) {
    factory *f = of(&base->base);
    destination *k = identify(f, connector);
    if (k == NULL || k->hide_all) {
        return;
    }
    if (f->start_raised) {
        give_up_start(k);
        return;
    }
    side_note(&(context){.s = f->s}, connector_event(k, "startedConnecting", NULL));
}

/* In Twisted an exception in the next two keeps the factory from being stopped for this connector,
 * and so from being started for its next attempt. */
static void skip_stop(destination *k) {
    if (dw_connector_get_state(k->connector) == DW_CONNECTOR_DISCONNECTED) {
        k->f->hide_stops++;
        k->stop_skipped = true;
        k->f->s->allowed |= ALLOW_SKIPPED;
    }
}

static void hook_failed(dw_client_factory *base, dw_connector *connector, const dw_reason *reason) {
    factory *f = of(&base->base);
    destination *k = identify(f, connector);
    if (k == NULL || k->hide_all) {
        return;
    }
    side_note(&(context){.s = f->s}, connector_event(k, "clientConnectionFailed", reason));
    if (f->s->raised && f->s->operations_deep > 0) {
        skip_stop(k);
    } else if (side_caught(f->s)) {
        side_accident(f->s); /* "is reported as a second clientConnectionFailed" */
    }
}

static void hook_lost(dw_client_factory *base, dw_connector *connector, const dw_reason *reason) {
    factory *f = of(&base->base);
    destination *k = identify(f, connector);
    if (k == NULL || k->hide_all) {
        return;
    }
    if (k->hide_lost) {
        k->hide_lost = false;
        skip_stop(k);
        return;
    }
    side_note(&(context){.s = f->s}, connector_event(k, "clientConnectionLost", reason));
    if (f->s->raised) {
        side_caught(f->s);
        skip_stop(k);
    }
}

static const dw_client_factory_class scripted_factory = {
    .base = {.name = "scripted factory",
             .build_protocol = hook_build,
             .start = hook_start,
             .stop = hook_stop},
    .started_connecting = hook_started,
    .client_connection_failed = hook_failed,
    .client_connection_lost = hook_lost,
};

factory *side_factory(side *s, const char *name) {
    for (size_t i = 0; i < s->factory_count; i++) {
        if (strcmp(s->factories[i]->name, name) == 0) {
            return s->factories[i];
        }
    }
    factory *f = s->factory_count < NAMES_MAX ? calloc(1, sizeof(*f)) : NULL;
    if (f == NULL) {
        side_trouble(s, "too many factories");
        return NULL;
    }
    dw_client_factory_init(&f->client, &scripted_factory);
    f->s = s;
    f->name = name;
    s->factories[s->factory_count++] = f;
    return f;
}

/* ---- Connectors' operations ---- */

destination *side_destination(side *s, const char *name) {
    for (size_t i = s->destination_count; i-- > 0;) {
        if (strcmp(s->destinations[i]->name, name) == 0) {
            return s->destinations[i];
        }
    }
    return NULL;
}

static destination *add_destination(const context *ctx, const json_t *args) {
    side *s = ctx->s;
    destination *k = s->destination_count < NAMES_MAX ? calloc(1, sizeof(*k)) : NULL;
    if (k == NULL) {
        side_trouble(s, "too many connectors");
        return NULL;
    }
    k->name = op_text(ctx, args, "name", op_text(ctx, args, "k", "k0"));
    k->to = op_text(ctx, args, "to", "p0");
    k->f = side_factory(s, op_text(ctx, args, "factory", op_text(ctx, args, "f", "f0")));
    s->destinations[s->destination_count++] = k;
    return k;
}

static bool bind_address(const context *ctx, const json_t *args, dw_address *out) {
    const char *bind = op_text(ctx, args, "bind", "");
    if (strcmp(bind, "loopback") == 0) {
        dw_address_parse(out, ctx->s->host, 0);
    } else if (strcmp(bind, "used") == 0) {
        *out = ctx->s->p->used;
    } else if (strcmp(bind, "foreign") == 0) {
        dw_address_parse(out, "192.0.2.1", 0); /* RFC 5737: nobody's */
    } else if (bind[0] != '\0') {
        side_trouble(ctx->s, "unknown \"bind\" \"%s\"", bind);
    }
    return bind[0] != '\0';
}

static void connect_op(const context *ctx, const json_t *args) {
    side *s = ctx->s;
    destination *k = add_destination(ctx, args);
    dw_address to = {0}, bind = {0};
    char host[DW_UNIX_PATH_MAX + 1];
    if (k == NULL || k->f == NULL || !target_find(ctx, k->to, &to, host, sizeof(host))) {
        return;
    }
    dw_time timeout = (dw_time)(op_number(ctx, args, "timeout", 30) * 1e9);
    timeout = timeout > 0 ? timeout : 1;
    bool bound = bind_address(ctx, args, &bind);
    dw_connector *connector = NULL;
    int result = s->p->stream_unix
                     ? dw_reactor_connect_unix(s->reactor, host, &k->f->client, timeout, &connector)
                     : dw_reactor_connect_tcp(s->reactor, host, to.port, &k->f->client, timeout,
                                              bound ? &bind : NULL, &connector);
    side_result(ctx, args, result);
}

static destination *named(const context *ctx, const json_t *args) {
    const char *name = op_text(ctx, args, "name", op_text(ctx, args, "k", "k0"));
    destination *k = side_destination(ctx->s, name);
    if (k == NULL || k->connector == NULL) {
        side_raise_from(ctx, args, "KeyError"); /* there is none of that name yet */
        return NULL;
    }
    return k;
}

/* In Twisted the factory counts as started for a connector whose stop was skipped, and as not yet
 * stopped inside stopFactory (README, section 5). */
static void reconnect_op(const context *ctx, const json_t *args) {
    destination *k = named(ctx, args);
    if (k == NULL) {
        return;
    }
    bool idle = dw_connector_get_state(k->connector) == DW_CONNECTOR_DISCONNECTED;
    if (idle && (k->stop_skipped || k->f->stopping)) {
        k->f->hide_starts++;
        k->stop_skipped = false;
    }
    side_result(ctx, args, dw_connector_connect(k->connector));
}

static void disconnect_op(const context *ctx, const json_t *args) {
    destination *k = named(ctx, args);
    if (k != NULL) {
        dw_connector_disconnect(k->connector);
    }
}

static void stop_connecting_op(const context *ctx, const json_t *args) {
    destination *k = named(ctx, args);
    if (k != NULL) {
        side_result(ctx, args, dw_connector_stop_connecting(k->connector));
    }
}

static void state_op(const context *ctx, const json_t *args) {
    static const char *const states[] = {[DW_CONNECTOR_DISCONNECTED] = "disconnected",
                                         [DW_CONNECTOR_CONNECTING] = "connecting",
                                         [DW_CONNECTOR_CONNECTED] = "connected"};
    destination *k = named(ctx, args);
    if (k == NULL) {
        return;
    }
    json_t *event = json_pack("{s:s, s:s}", "ev", "connector.state", "state",
                              states[dw_connector_get_state(k->connector)]);
    if (strcmp(k->name, "k0") != 0) {
        json_object_set_new(event, "k", json_string(k->name));
    }
    side_note(ctx, event);
}

const operation connector_operations[] = {
    {"connect", connect_op},
    {"connector.connect", reconnect_op},
    {"connector.disconnect", disconnect_op},
    {"connector.stopConnecting", stop_connecting_op},
    {"connector.state", state_op},
    {NULL, NULL},
};
