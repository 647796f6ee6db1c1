/* SPDX-License-Identifier: MIT */
/*
 * The recording transport's verbs. `disconnecting` is true after lose_connection and
 * stop_producing, not after abort_connection (vectors/README.md, 1.1).
 */
#include "recording.h"

static recording *recording_of(dw_protocol_wrapper *w) {
    return DW_CONTAINER_OF(w, recording, base);
}

static void note(recording *r, json_t *event) {
    if (r->conn >= 0 && event != NULL) {
        json_object_set_new(event, "conn", json_integer(r->conn));
    }
    player_note(r->player, event);
}

static void note_verb(dw_protocol_wrapper *w, const char *name) {
    note(recording_of(w), json_pack("{s:s}", "ev", name));
}

/* ---- Verbs ---- */

static bool join_write(recording *r, const json_t *event) {
    size_t count = json_array_size(r->player->events);
    json_t *last = count > 0 ? json_array_get(r->player->events, count - 1) : NULL;
    const json_t *ev = json_object_get(last, "ev");
    if (!r->joining || count <= r->call_begin || strcmp(json_string_value(ev), "write") != 0) {
        return false;
    }
    json_object_set_new(last, "hex",
                        json_sprintf("%s%s", json_string_value(json_object_get(last, "hex")),
                                     json_string_value(json_object_get(event, "hex"))));
    return true;
}

static void rec_write(dw_protocol_wrapper *w, const void *data, size_t len) {
    recording *r = recording_of(w);
    json_t *event = event_bytes("write", data, len);
    if (join_write(r, event)) {
        json_decref(event);
    } else {
        note(r, event);
    }
}

static void rec_writev(dw_protocol_wrapper *w, const struct iovec *pieces, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    uint8_t *joined = malloc(total + 1);
    if (joined == NULL) {
        player_trouble(recording_of(w)->player, "out of memory");
        return;
    }
    total = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) {
            memcpy(joined + total, pieces[i].iov_base, pieces[i].iov_len);
            total += pieces[i].iov_len;
        }
    }
    rec_write(w, joined, total);
    free(joined);
}

static void rec_lose(dw_protocol_wrapper *w) {
    recording *r = recording_of(w);
    r->below->flags |= T_DISCONNECTING;
    note_verb(w, r->stopping ? "transport.stopProducing" : "transport.loseConnection");
}

static void rec_lose_write(dw_protocol_wrapper *w) {
    note_verb(w, "transport.loseWriteConnection");
}

static void rec_abort(dw_protocol_wrapper *w) {
    recording_of(w)->below->flags |= T_ABORTED;
    note_verb(w, "transport.abortConnection");
}

static void rec_fail(dw_protocol_wrapper *w, const dw_reason *reason) {
    recording *r = recording_of(w);
    r->below->flags |= T_FAILED;
    note(r, json_pack("{s:s, s:s}", "ev", "transport.fail", "reason", reason_name(reason->kind)));
}

static void rec_pause(dw_protocol_wrapper *w) {
    note_verb(w, "transport.pauseProducing");
}

static void rec_resume(dw_protocol_wrapper *w) {
    note_verb(w, "transport.resumeProducing");
}

static int rec_register(dw_protocol_wrapper *w, dw_producer *producer, bool streaming) {
    (void)producer;
    note(recording_of(w),
         json_pack("{s:s, s:b}", "ev", "transport.registerProducer", "streaming", (int)streaming));
    return 0;
}

static void rec_unregister(dw_protocol_wrapper *w) {
    note_verb(w, "transport.unregisterProducer");
}

static bool rec_disconnecting(const dw_protocol_wrapper *w) {
    return (DW_CONTAINER_OF(w, const recording, base)->below->flags & T_DISCONNECTING) != 0;
}

static const dw_protocol_wrapper_class recording_class = {
    .write = rec_write,
    .writev = rec_writev,
    .lose_connection = rec_lose,
    .lose_write_connection = rec_lose_write,
    .abort_connection = rec_abort,
    .fail = rec_fail,
    .pause_producing = rec_pause,
    .resume_producing = rec_resume,
    .register_producer = rec_register,
    .unregister_producer = rec_unregister,
    .disconnecting = rec_disconnecting,
};

/* ---- Driving ---- */

void recording_connect(recording *r, player *p, dw_protocol *protocol, json_int_t conn) {
    memset(r, 0, sizeof(*r));
    r->player = p;
    r->conn = conn;
    r->below = dw_stream_new(&p->rig->reactor);
    dw_protocol_wrapper_init(&r->base, &recording_class, protocol);
    if (r->below == NULL) {
        player_trouble(p, "out of memory");
        r->lost = true;
        return;
    }
    r->below->flags |= T_CONNECTED;
    dw_protocol_make_connection(&r->base.base, r->below);
}

dw_transport *recording_transport(recording *r) {
    return dw_protocol_wrapper_transport(&r->base);
}

void recording_data(recording *r, const json_t *args) {
    bytes b = arg_bytes(r->player, args);
    unsigned over = T_DISCONNECTING | T_ABORTED | T_FAILED | T_LOST;
    if (r->below != NULL && (r->below->flags & over) == 0 && r->player->trouble[0] == '\0') {
        r->base.base.cls->data_received(&r->base.base, b.data, b.len);
    }
    bytes_free(&b);
}

void recording_lost(recording *r, const json_t *args) {
    dw_reason reason = {reason_kind(r->player, arg_text(r->player, args, "reason")), 0, NULL};
    if (r->lost) {
        return;
    }
    r->lost = true;
    r->below->flags = (uint16_t)((r->below->flags | T_LOST) & ~T_CONNECTED);
    r->base.base.connected = false;
    r->base.base.cls->connection_lost(&r->base.base, &reason);
    r->base.base.transport = NULL;
}

void recording_call_begin(recording *r) {
    r->call_begin = json_array_size(r->player->events);
    r->joining = true;
}

void recording_call_end(recording *r) {
    r->joining = false;
}

static void write_pieces(recording *r, dw_transport *t, const json_t *args) {
    bytes pieces[PIECES_MAX];
    struct iovec vector[PIECES_MAX];
    size_t count = arg_pieces(r->player, args, pieces);
    for (size_t i = 0; i < count; i++) {
        vector[i] = (struct iovec){pieces[i].data, pieces[i].len};
    }
    recording_call_begin(r);
    dw_transport_writev(t, vector, count);
    recording_call_end(r);
    for (size_t i = 0; i < count; i++) {
        bytes_free(&pieces[i]);
    }
}

bool recording_perform(recording *r, dw_transport *t, const char *op, const json_t *args) {
    if (strcmp(op, "write") == 0) {
        bytes b = arg_bytes(r->player, args);
        dw_transport_write(t, b.data, b.len);
        bytes_free(&b);
    } else if (strcmp(op, "writeSequence") == 0) {
        write_pieces(r, t, args);
    } else if (strcmp(op, "loseConnection") == 0) {
        dw_transport_lose_connection(t);
    } else if (strcmp(op, "abortConnection") == 0) {
        dw_transport_abort_connection(t);
    } else {
        return false;
    }
    return true;
}
