/* SPDX-License-Identifier: MIT */
/*
 * StatefulProtocol: the three machines A, B and C of vectors/README.md, 1.5.
 */
#include "session.h"

#include "drywire/stateful.h"

typedef struct machine {
    session session; /* first */
    dw_stateful_protocol protocol;
    const char *kind;
    unsigned sum; /* B: of the body */
} machine;

static machine *of(dw_stateful_protocol *p) {
    return DW_CONTAINER_OF(p, machine, protocol);
}

static void seen(dw_stateful_protocol *p, const char *state, const uint8_t *data, size_t len) {
    session_bytes(&of(p)->session, state, data, len);
}

/* ---- A: a length, then so many bytes ---- */

static dw_state a_length(dw_stateful_protocol *p, const uint8_t *data, size_t len);

static dw_state a_payload(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    seen(p, "payload", data, len);
    return (dw_state){a_length, 1};
}

static dw_state a_length(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    size_t next = data[0];
    seen(p, "length", data, len);
    return (dw_state){a_payload, next};
}

/* ---- B: magic, length, body, checksum ---- */

static dw_state b_magic(dw_stateful_protocol *p, const uint8_t *data, size_t len);

static dw_state b_checksum(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    bool good = data[0] == of(p)->sum % 256;
    seen(p, "checksum", data, len);
    if (!good) {
        dw_transport_lose_connection(recording_transport(&of(p)->session.recording));
        return DW_STATE_SAME;
    }
    return (dw_state){b_magic, 2};
}

static dw_state b_body(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        of(p)->sum += data[i];
    }
    seen(p, "body", data, len);
    return (dw_state){b_checksum, 1};
}

static dw_state b_length(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    size_t next = (size_t)data[0] * 256 + data[1];
    of(p)->sum = 0;
    seen(p, "length", data, len);
    return next == 0 ? (dw_state){b_checksum, 1} : (dw_state){b_body, next};
}

static dw_state b_magic(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    bool good = memcmp(data, "TW", 2) == 0;
    seen(p, "magic", data, len);
    if (!good) {
        dw_transport_lose_connection(recording_transport(&of(p)->session.recording));
        return DW_STATE_SAME;
    }
    return (dw_state){b_length, 2};
}

/* ---- C: records that change their own size ---- */

static dw_state c_record(dw_stateful_protocol *p, const uint8_t *data, size_t len) {
    bool resizes = len >= 2 && data[0] == 'N' && data[1] >= '0' && data[1] <= '9';
    bool quits = len >= 1 && data[0] == 'Q';
    size_t size = resizes ? 1U + (size_t)(data[1] - '0') : 0;
    seen(p, "record", data, len);
    if (quits) {
        dw_transport_lose_connection(recording_transport(&of(p)->session.recording));
    }
    return resizes ? (dw_state){c_record, size} : DW_STATE_SAME;
}

/* ---- The protocol ---- */

static dw_state initial(dw_stateful_protocol *p) {
    switch (of(p)->kind[0]) {
    case 'A':
        return (dw_state){a_length, 1};
    case 'B':
        return (dw_state){b_magic, 2};
    default:
        return (dw_state){c_record, 3};
    }
}

static machine *of_base(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, machine, protocol.base);
}

static void made(dw_protocol *protocol) {
    session_made(&of_base(protocol)->session);
}

static void lost(dw_protocol *protocol, const dw_reason *reason) {
    session_lost(&of_base(protocol)->session, reason);
    dw_stateful_protocol_connection_lost(protocol, reason);
}

static const dw_stateful_protocol_class machine_class = {
    .base = {.name = "machine",
             .connection_made = made,
             .data_received = dw_stateful_protocol_data_received,
             .connection_lost = lost},
    .initial_state = initial,
};

static void machine_perform(player *p, const char *op, const json_t *args) {
    machine *m = p->object;
    if (!session_perform(&m->session, op, args)) {
        player_unknown(p, op);
    }
}

void play_stateful(player *p, const char *protocol) {
    machine *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        player_trouble(p, "out of memory");
        return;
    }
    m->kind = strchr(protocol, '/') + 1;
    dw_stateful_protocol_init(&m->protocol, &machine_class);
    session_play(&m->session, p, &m->protocol.base, machine_perform);
    free(m);
}
