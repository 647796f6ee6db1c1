/* SPDX-License-Identifier: MIT */
/*
 * TimeoutMixin: a bare protocol with a time-out (vectors/README.md, 1.3 and 1.5).
 */
#include "session.h"

typedef struct bare {
    session session; /* first */
    dw_protocol protocol;
} bare;

static session *of(dw_protocol *protocol) {
    return &DW_CONTAINER_OF(protocol, bare, protocol)->session;
}

static void made(dw_protocol *protocol) {
    session_made(of(protocol));
}

static void data(dw_protocol *protocol, const uint8_t *bytes_in, size_t len) {
    session *s = of(protocol);
    session_bytes(s, "data", bytes_in, len);
    if (config_flag(s->player, "reset_on_data")) {
        dw_timeout_reset(&s->timeout);
    }
}

static void lost(dw_protocol *protocol, const dw_reason *reason) {
    session_lost(of(protocol), reason);
}

static const dw_protocol_class bare_class = {
    .name = "bare",
    .connection_made = made,
    .data_received = data,
    .connection_lost = lost,
};

static void bare_perform(player *p, const char *op, const json_t *args) {
    bare *b = p->object;
    if (!session_perform(&b->session, op, args)) {
        player_unknown(p, op);
    }
}

void play_timeout(player *p, const char *protocol) {
    bare b;
    (void)protocol;
    memset(&b, 0, sizeof(b));
    dw_protocol_init(&b.protocol, &bare_class);
    session_play(&b.session, p, &b.protocol, bare_perform);
}
