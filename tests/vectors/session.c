/* SPDX-License-Identifier: MIT */
/*
 * One connection, driven by steps. See session.h.
 */
#include "session.h"

/* ---- Time-outs ---- */

static double seconds_of(dw_time period) {
    return (double)period / 1e9;
}

static void set_timeout(session *s, const json_t *period) {
    dw_time before = json_is_number(period)
                         ? dw_timeout_set(&s->timeout, duration_of(json_number_value(period)))
                         : dw_timeout_off(&s->timeout);
    json_t *previous = before == DW_TIMEOUT_OFF ? json_null() : json_real(seconds_of(before));
    player_note(s->player, json_pack("{s:s, s:o}", "ev", "setTimeout", "previous", previous));
}

/* The stock behaviour is to close. */
static void timeout_connection(dw_protocol *protocol) {
    session *s = DW_CONTAINER_OF(protocol, session, owner);
    const player *p = s->player;
    const char *then = config_text(p, "on_timeout", "default");
    player_callback(s->player,
                    json_pack("{s:s, s:f}", "ev", "timeoutConnection", "t", s->rig.now_s), NULL, 0);
    if (strcmp(then, "default") == 0) {
        dw_transport_lose_connection(recording_transport(&s->recording));
    } else if (strcmp(then, "abort") == 0) {
        dw_transport_abort_connection(recording_transport(&s->recording));
    } else if (strcmp(then, "rearm") == 0) {
        const json_t *period = json_object_get(p->config, "rearm");
        dw_timeout_set(&s->timeout, duration_of(json_number_value(period)));
    } else if (strcmp(then, "none") != 0) {
        player_trouble(s->player, "unknown on_timeout \"%s\"", then);
    }
}

/* ---- Callbacks ---- */

void session_made(session *s) {
    const json_t *period = json_object_get(s->player->config, "timeout");
    player_callback(s->player, json_pack("{s:s}", "ev", "connectionMade"), NULL, 0);
    if (json_is_number(period)) {
        dw_timeout_set(&s->timeout, duration_of(json_number_value(period)));
    }
}

void session_bytes(session *s, const char *event, const uint8_t *data, size_t len) {
    player_callback(s->player, event_bytes(event, data, len), data, len);
}

void session_lost(session *s, const dw_reason *reason) {
    player_callback(s->player, event_reason("connectionLost", reason), NULL, 0);
    if (config_flag(s->player, "cancel_timeout_on_lost")) {
        dw_timeout_off(&s->timeout);
    }
}

void session_exceeded(session *s) {
    const char *then = config_text(s->player, "exceeded", "default");
    if (strcmp(then, "default") == 0) {
        dw_transport_lose_connection(recording_transport(&s->recording));
    } else if (strcmp(then, "abort") == 0) {
        dw_transport_abort_connection(recording_transport(&s->recording));
    } else if (strcmp(then, "ignore") != 0) {
        player_trouble(s->player, "unknown exceeded \"%s\"", then);
    }
}

/* ---- Steps ---- */

bool session_perform(session *s, const char *op, const json_t *args) {
    if (strcmp(op, "data") == 0) {
        recording_data(&s->recording, args);
    } else if (strcmp(op, "lost") == 0) {
        recording_lost(&s->recording, args);
    } else if (strcmp(op, "advance") == 0) {
        rig_advance(&s->rig, arg_number(s->player, args, "s"));
    } else if (strcmp(op, "setTimeout") == 0) {
        set_timeout(s, json_object_get(args, "s"));
    } else if (strcmp(op, "resetTimeout") == 0) {
        dw_timeout_reset(&s->timeout);
    } else {
        return recording_perform(&s->recording, recording_transport(&s->recording), op, args);
    }
    return true;
}

bool session_flow(session *s, const flow_verbs *verbs, const char *op) {
    if (strcmp(op, "pauseProducing") == 0) {
        verbs->pause(s);
    } else if (strcmp(op, "resumeProducing") == 0) {
        verbs->resume(s);
    } else if (strcmp(op, "stopProducing") == 0) {
        s->recording.stopping = true;
        verbs->stop(s);
        s->recording.stopping = false;
    } else {
        return false;
    }
    return true;
}

/* ---- Playing ---- */

static const dw_protocol_class owner_class = {.name = "time-out"};

/* What ends the reactor may call back; that is no longer part of the play. */
void session_play(session *s, player *p, dw_protocol *protocol, perform_fn perform) {
    s->player = p;
    rig_init(&s->rig, p);
    p->object = s;
    p->perform = perform;
    dw_protocol_init(&s->owner, &owner_class);
    dw_timeout_init(&s->timeout, &s->rig.reactor, &s->owner, timeout_connection);
    recording_connect(&s->recording, p, protocol, -1);
    player_run(p);
    size_t recorded = json_array_size(p->events);
    if (!s->recording.lost) {
        json_t *end = json_pack("{s:s}", "reason", "ConnectionLost");
        recording_lost(&s->recording, end);
        json_decref(end);
    }
    rig_fini(&s->rig);
    while (json_array_size(p->events) > recorded) {
        json_array_remove(p->events, recorded);
    }
}
