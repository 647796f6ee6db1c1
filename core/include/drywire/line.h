/* SPDX-License-Identifier: MIT */
/*
 * Line-based protocols (twisted.protocols.basic LineOnlyReceiver and LineReceiver; facts in
 * vectors/README.md, section 3). Embed the receiver first, fill in its class:
 *
 *     struct chat { dw_line_receiver base; };
 *     static void chat_line(dw_line_receiver *r, const uint8_t *line, size_t len) {
 *         dw_line_receiver_send_line(r, line, len);
 *     }
 *     static const dw_line_receiver_class chat_class = {
 *         .base = {.name = "chat", DW_LINE_RECEIVER_SLOTS},
 *         .line_received = chat_line,
 *     };
 *     dw_line_receiver_init(&chat->base, &chat_class);
 *
 * A class with a data_received or connection_lost of its own names them in place of the _SLOTS
 * macro, and calls the receiver's function of that name from them.
 *
 * How the stream was cut never changes what is delivered, where Twisted's own limits do. A line is
 * too long exactly when it is longer than max_length. Once the program has asked for the
 * connection's end (lose, abort, fail), nothing more is delivered. `line` lives until the callback
 * returns; it lies in the read buffer if the line arrived in one piece, else in a buffer of the
 * receiver, which never holds more than max_length + delimiter_len bytes (and what came in one
 * reception, when paused). Without memory the connection fails with DW_NO_MEMORY.
 */
#ifndef DRYWIRE_LINE_H
#define DRYWIRE_LINE_H

#include "drywire/base.h"
#include "drywire/framing.h"
#include "drywire/protocol.h"

DW_BEGIN_DECLS

/* Twisted's MAX_LENGTH of line protocols. */
#define DW_LINE_MAX_LENGTH_DEFAULT 16384

/* How much of an unfinished line was searched, and for what; the library's. */
struct dw_line_search {
    size_t done_;
    const char *delimiter_;
    size_t delimiter_len_;
};

/* ---- Lines and nothing else ---- */

typedef struct dw_line_only_receiver dw_line_only_receiver;

typedef struct dw_line_only_receiver_class {
    dw_protocol_class base;

    /* A line without its delimiter; `len` may be 0. Required. */
    void (*line_received)(dw_line_only_receiver *receiver, const uint8_t *line, size_t len);

    /* A line is longer than max_length; `start` is its first max_length + 1 bytes. NULL: closes by
     * dw_transport_lose_connection. One that does not close gets nothing more of the stream,
     * unless it calls dw_line_only_receiver_skip_line. */
    void (*line_length_exceeded)(dw_line_only_receiver *receiver, const uint8_t *start, size_t len);
} dw_line_only_receiver_class;

struct dw_line_only_receiver {
    dw_protocol base;
    const char *delimiter; /* borrowed; "\r\n" at first; may be replaced at any time */
    size_t delimiter_len;  /* at least 1 */
    size_t max_length;     /* may be changed at any time */
    bool skipping_;
    dw_framing framing_;
    struct dw_line_search search_;
};

#define DW_LINE_ONLY_RECEIVER_SLOTS                       \
    .data_received = dw_line_only_receiver_data_received, \
    .connection_lost = dw_line_only_receiver_connection_lost

/* Prepares a receiver in the caller's memory, with the defaults above. Never fails. */
void dw_line_only_receiver_init(dw_line_only_receiver *receiver,
                                const dw_line_only_receiver_class *cls);

/* Gives back what the receiver keeps; connection_lost does it too. For a protocol's destroy, which
 * may come without connection_lost when the reactor is freed. May be called twice. */
void dw_line_only_receiver_fini(dw_line_only_receiver *receiver);

/* Sends the line and the delimiter, in one write. */
void dw_line_only_receiver_send_line(dw_line_only_receiver *receiver, const void *line, size_t len);

/* Inside line_length_exceeded, or later: drops the rest of the long line and goes on behind it. */
void dw_line_only_receiver_skip_line(dw_line_only_receiver *receiver);

/* The class's slots. */
void dw_line_only_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len);
void dw_line_only_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason);

/* ---- Lines, raw bytes, pauses ---- */

typedef struct dw_line_receiver dw_line_receiver;

typedef struct dw_line_receiver_class {
    dw_protocol_class base;

    /* As above. In here every verb below is allowed, and counts for the very next byte. Required.*/
    void (*line_received)(dw_line_receiver *receiver, const uint8_t *line, size_t len);

    /* In raw mode: all bytes that are there, at least one. Required if raw mode is used. */
    void (*raw_data_received)(dw_line_receiver *receiver, const uint8_t *data, size_t len);

    /* As above; skip_line, set_raw_mode and set_line_mode go on, from behind `start`. */
    void (*line_length_exceeded)(dw_line_receiver *receiver, const uint8_t *start, size_t len);
} dw_line_receiver_class;

struct dw_line_receiver {
    dw_protocol base;
    const char *delimiter; /* borrowed; "\r\n" at first; may be replaced at any time */
    size_t delimiter_len;  /* at least 1 */
    size_t max_length;     /* may be changed at any time */
    bool line_mode;        /* true at first; read only */
    bool skipping_;
    dw_framing framing_;
    struct dw_line_search search_;
};

#define DW_LINE_RECEIVER_SLOTS                       \
    .data_received = dw_line_receiver_data_received, \
    .connection_lost = dw_line_receiver_connection_lost

/* As for the line-only receiver. */
void dw_line_receiver_init(dw_line_receiver *receiver, const dw_line_receiver_class *cls);
void dw_line_receiver_fini(dw_line_receiver *receiver);
void dw_line_receiver_send_line(dw_line_receiver *receiver, const void *line, size_t len);
void dw_line_receiver_skip_line(dw_line_receiver *receiver);
void dw_line_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len);
void dw_line_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason);

/* What follows the line that is being delivered goes to raw_data_received. */
void dw_line_receiver_set_raw_mode(dw_line_receiver *receiver);

/* Back to lines. `extra` (NULL if `len` is 0) is put behind what is buffered: the bytes that
 * raw_data_received was given too many. Inside a callback its lines come after the callback has
 * returned, outside at once, before this returns. */
void dw_line_receiver_set_line_mode(dw_line_receiver *receiver, const void *extra, size_t len);

/* Takes all that is buffered and undelivered, complete lines behind the current one included.
 * Returns their start and sets *len; good until the callback returns, or outside any callback until
 * the next call on this receiver. Not NULL. */
const uint8_t *dw_line_receiver_clear_line_buffer(dw_line_receiver *receiver, size_t *len);

/* Delivery stops behind the current line, and the transport stops reading / the transport reads
 * again, then what was kept is delivered, before this returns unless inside a callback / delivery
 * stops and the connection closes. */
void dw_line_receiver_pause_producing(dw_line_receiver *receiver);
void dw_line_receiver_resume_producing(dw_line_receiver *receiver);
void dw_line_receiver_stop_producing(dw_line_receiver *receiver);

DW_END_DECLS

#endif
