/* SPDX-License-Identifier: MIT */
/*
 * The traffic log: a wrapper whose every slot writes a line and passes on. A line is put together
 * on the stack, so logging allocates nothing and cannot fail.
 */
#include "drywire/traffic_log.h"

#include <inttypes.h>
#include <string.h>

/* Number, mark, length; then up to four characters for each byte; "..." and the quotes. */
#define LINE_MAX_LEN (128 + 4 * DW_TRAFFIC_SHOWN_MAX)

struct logged {
    dw_protocol_wrapper base;
    uint64_t number;
};

struct line {
    size_t len;
    char text[LINE_MAX_LEN];
};

static dw_traffic_log_factory *factory_of(const dw_protocol_wrapper *w) {
    dw_wrapping_factory *base = DW_CONTAINER_OF(w->base.factory, dw_wrapping_factory, base.base);
    return DW_CONTAINER_OF(base, dw_traffic_log_factory, base);
}

/* ---- Lines ---- */

static void add(struct line *line, const char *text) {
    size_t len = strlen(text);
    size_t room = sizeof(line->text) - 1 - line->len;
    len = len < room ? len : room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
    line->text[line->len] = '\0';
}

static void begin(struct line *line, const dw_protocol_wrapper *w, const char *mark) {
    char number[24];
    line->len = 0;
    snprintf(number, sizeof(number), "%" PRIu64,
             DW_CONTAINER_OF(w, const struct logged, base)->number);
    add(line, number);
    add(line, mark);
}

static void emit(const struct line *line, const dw_protocol_wrapper *w) {
    const dw_traffic_log_factory *factory = factory_of(w);
    if (factory->fn != NULL) {
        factory->fn(factory->fn_user, line->text);
    } else if (factory->file != NULL) {
        fprintf(factory->file, "%s\n", line->text);
        fflush(factory->file);
    } else {
        dw_reactor_log(factory->base.reactor, "%s", line->text);
    }
}

static const char *text_of_byte(uint8_t byte, char buffer[5]) {
    switch (byte) {
    case '\r':
        return "\\r";
    case '\n':
        return "\\n";
    case '\t':
        return "\\t";
    case '\\':
        return "\\\\";
    case '"':
        return "\\\"";
    default:
        snprintf(buffer, 5, byte >= 0x20 && byte < 0x7f ? "%c" : "\\x%02x", byte);
        return buffer;
    }
}

static void add_byte(struct line *line, dw_traffic_format format, uint8_t byte) {
    char buffer[5];
    if (format == DW_TRAFFIC_HEX) {
        snprintf(buffer, sizeof(buffer), " %02x", byte);
        add(line, buffer);
    } else {
        add(line, text_of_byte(byte, buffer));
    }
}

static size_t total_of(const struct iovec *pieces, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    return total;
}

static void add_bytes(struct line *line, const dw_traffic_log_factory *factory,
                      const struct iovec *pieces, size_t count) {
    size_t left =
        factory->shown_max < DW_TRAFFIC_SHOWN_MAX ? factory->shown_max : DW_TRAFFIC_SHOWN_MAX;
    bool text = factory->format == DW_TRAFFIC_TEXT;
    add(line, text ? " \"" : "");
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes = pieces[i].iov_base;
        for (size_t j = 0; j < pieces[i].iov_len && left > 0; j++, left--) {
            add_byte(line, factory->format, bytes[j]);
        }
    }
    add(line, text ? "\"" : "");
}

static void log_pieces(const dw_protocol_wrapper *w, const char *mark, const struct iovec *pieces,
                       size_t count) {
    const dw_traffic_log_factory *factory = factory_of(w);
    struct line line;
    char length[32];
    size_t total = total_of(pieces, count);
    begin(&line, w, mark);
    snprintf(length, sizeof(length), " [%zu]", total);
    add(&line, length);
    if (factory->format != DW_TRAFFIC_SIZES) {
        add_bytes(&line, factory, pieces, count);
        add(&line, total > factory->shown_max || total > DW_TRAFFIC_SHOWN_MAX ? "..." : "");
    }
    emit(&line, w);
}

static void log_event(const dw_protocol_wrapper *w, const char *mark, const char *what,
                      const char *more) {
    struct line line;
    begin(&line, w, mark);
    add(&line, what);
    add(&line, more);
    emit(&line, w);
}

/* ---- From the network ---- */

static void logged_made(dw_protocol_wrapper *w) {
    char peer[DW_ADDRESS_TEXT_MAX];
    dw_address address = dw_transport_peer(w->base.transport);
    log_event(w, " * made ", dw_address_format(&address, peer, sizeof(peer)), "");
    dw_protocol_wrapper_connection_made(w);
}

static void logged_data(dw_protocol_wrapper *w, const uint8_t *data, size_t len) {
    struct iovec piece = {(void *)(uintptr_t)data, len};
    log_pieces(w, " <", &piece, 1);
    dw_protocol_wrapper_data_received(w, data, len);
}

static void logged_lost(dw_protocol_wrapper *w, const dw_reason *reason) {
    char text[160];
    log_event(w, " * lost: ", dw_reason_format(reason, text, sizeof(text)), "");
    dw_protocol_wrapper_connection_lost(w, reason);
}

static void logged_read_lost(dw_protocol_wrapper *w) {
    log_event(w, " < end of stream", "", "");
    dw_protocol_wrapper_read_connection_lost(w);
}

static void logged_write_lost(dw_protocol_wrapper *w) {
    log_event(w, " * end of stream sent", "", "");
    dw_protocol_wrapper_write_connection_lost(w);
}

/* ---- From the application ---- */

/* Verbs on a connection that has ended do nothing, and the factory may be gone. */
static void log_verb(const dw_protocol_wrapper *w, const char *verb, const char *more) {
    if (w->counted_) {
        log_event(w, " > ", verb, more);
    }
}

static void logged_writev(dw_protocol_wrapper *w, const struct iovec *pieces, size_t count) {
    if (w->counted_) {
        log_pieces(w, " >", pieces, count);
    }
    dw_transport_writev(w->base.transport, pieces, count);
}

static void logged_write(dw_protocol_wrapper *w, const void *data, size_t len) {
    struct iovec piece = {(void *)(uintptr_t)data, len};
    if (w->counted_) {
        log_pieces(w, " >", &piece, 1);
    }
    dw_transport_write(w->base.transport, data, len);
}

static void logged_lose(dw_protocol_wrapper *w) {
    log_verb(w, "lose_connection", "");
    dw_transport_lose_connection(w->base.transport);
}

static void logged_lose_write(dw_protocol_wrapper *w) {
    log_verb(w, "lose_write_connection", "");
    dw_transport_lose_write_connection(w->base.transport);
}

static void logged_abort(dw_protocol_wrapper *w) {
    log_verb(w, "abort_connection", "");
    dw_transport_abort_connection(w->base.transport);
}

static void logged_fail(dw_protocol_wrapper *w, const dw_reason *reason) {
    char text[160];
    log_verb(w, "fail: ", dw_reason_format(reason, text, sizeof(text)));
    dw_transport_fail(w->base.transport, reason);
}

static void logged_pause(dw_protocol_wrapper *w) {
    log_verb(w, "pause_producing", "");
    dw_transport_pause_producing(w->base.transport);
}

static void logged_resume(dw_protocol_wrapper *w) {
    log_verb(w, "resume_producing", "");
    dw_transport_resume_producing(w->base.transport);
}

static const dw_protocol_wrapper_class logged_class = {
    .connection_made = logged_made,
    .data_received = logged_data,
    .connection_lost = logged_lost,
    .read_connection_lost = logged_read_lost,
    .write_connection_lost = logged_write_lost,
    .write = logged_write,
    .writev = logged_writev,
    .lose_connection = logged_lose,
    .lose_write_connection = logged_lose_write,
    .abort_connection = logged_abort,
    .fail = logged_fail,
    .pause_producing = logged_pause,
    .resume_producing = logged_resume,
};

/* ---- The factory ---- */

static int built(dw_wrapping_factory *base, dw_protocol_wrapper *w, const dw_address *peer) {
    dw_traffic_log_factory *factory = DW_CONTAINER_OF(base, dw_traffic_log_factory, base);
    (void)peer;
    DW_CONTAINER_OF(w, struct logged, base)->number = ++factory->connections_;
    return 0;
}

static const dw_wrapping_factory_class traffic_log_class = {
    .name = "traffic log",
    .wrapper = &logged_class,
    .wrapper_size = sizeof(struct logged),
    .built = built,
};

static void set_defaults(dw_traffic_log_factory *factory) {
    factory->format = DW_TRAFFIC_TEXT;
    factory->shown_max = DW_TRAFFIC_SHOWN_DEFAULT;
    factory->fn = NULL;
    factory->fn_user = NULL;
    factory->file = NULL;
    factory->connections_ = 0;
}

void dw_traffic_log_factory_init(dw_traffic_log_factory *factory, dw_reactor *reactor,
                                 dw_factory *wrapped) {
    dw_wrapping_factory_init(&factory->base, &traffic_log_class, reactor, wrapped);
    set_defaults(factory);
}

void dw_traffic_log_factory_init_client(dw_traffic_log_factory *factory, dw_reactor *reactor,
                                        dw_client_factory *wrapped) {
    dw_wrapping_factory_init_client(&factory->base, &traffic_log_class, reactor, wrapped);
    set_defaults(factory);
}
