/* SPDX-License-Identifier: MIT */
/*
 * Lines. Both receivers look for the delimiter's last byte with memchr and compare the others in
 * front of it: the first end found is the first delimiter, and an unfinished line is never searched
 * twice.
 *
 * Invariant: whether a line is too long is decided by its own bytes alone, never by where the
 * stream was cut; what is handed over is always its first max_length + 1 bytes.
 */
#include "drywire/line.h"

#include "framing.h"

/* ---- What both share ---- */

/* Where the first delimiter begins in `view`, or NULL; nothing ends before view + from. */
static inline const uint8_t *find(const uint8_t *view, size_t len, size_t from,
                                  const char *delimiter, size_t delimiter_len) {
    size_t before = delimiter_len - 1;
    if (len < delimiter_len) {
        return NULL;
    }
    const uint8_t *at = view + (from > before ? from : before);
    const uint8_t *end = view + len;
    int last = (unsigned char)delimiter[before];
    while (at < end) {
        at = memchr(at, last, (size_t)(end - at));
        if (at == NULL) {
            return NULL;
        }
        if (before == 0 || (at[-1] == (uint8_t)delimiter[before - 1] &&
                            (before == 1 || memcmp(at - before, delimiter, before) == 0))) {
            return at - before;
        }
        at++;
    }
    return NULL;
}

/* The same for a view that may be the longer one of last time. */
static const uint8_t *find_on(struct dw_line_search *search, const uint8_t *view, size_t len,
                              const char *delimiter, size_t delimiter_len) {
    bool same = search->delimiter_ == delimiter && search->delimiter_len_ == delimiter_len;
    const uint8_t *found = find(view, len, same ? search->done_ : 0, delimiter, delimiter_len);
    search->delimiter_ = delimiter;
    search->delimiter_len_ = delimiter_len;
    search->done_ = found != NULL ? 0 : len;
    return found;
}

/* How many bytes at the end of `view` may be the beginning of a delimiter. */
static size_t half_delimiter(const uint8_t *view, size_t len, const char *delimiter,
                             size_t delimiter_len) {
    size_t n = delimiter_len - 1 < len ? delimiter_len - 1 : len;
    while (n > 0 && memcmp(view + len - n, delimiter, n) != 0) {
        n--;
    }
    return n;
}

/* Up to and with the next byte that may end a delimiter, and no more than `room`. */
static size_t worth_pulling(const dw_framing *f, const char *delimiter, size_t delimiter_len,
                            size_t room) {
    size_t len = f->input_len_ < room ? f->input_len_ : room;
    if (len == 0) {
        return 0;
    }
    const uint8_t *at = memchr(f->input_, (unsigned char)delimiter[delimiter_len - 1], len);
    return at != NULL ? (size_t)(at - f->input_) + 1 : len;
}

static bool usable_delimiter(dw_transport *t, const char *delimiter, size_t delimiter_len) {
    static const dw_reason reason = {DW_INVALID_ARGUMENT, 0, "an empty line delimiter"};
    if (delimiter == NULL || delimiter_len == 0) {
        dw_transport_fail(t, &reason);
        return false;
    }
    return true;
}

/* Drops bytes of a line that was too long, down to what may be half a delimiter; clears *skipping
 * when its end was among them. Returns whether there is more to look at. */
static bool skip(dw_framing *f, dw_transport *t, bool *skipping, const char *delimiter,
                 size_t delimiter_len) {
    size_t len;
    bool kept = framing_kept(f) > 0;
    const uint8_t *view = framing_view(f, &len);
    const uint8_t *end = find(view, len, 0, delimiter, delimiter_len);
    if (end != NULL) {
        *skipping = false;
        framing_consume(f, (size_t)(end - view) + delimiter_len);
        return true;
    }
    framing_consume(f, len - half_delimiter(view, len, delimiter, delimiter_len));
    if (kept && framing_kept(f) == 0) {
        return f->input_len_ > 0;
    }
    return dw_framing_pull(f, t, delimiter_len, framing_sum(delimiter_len, delimiter_len));
}

static void send_line(dw_transport *t, const void *line, size_t len, const char *delimiter,
                      size_t delimiter_len) {
    struct iovec pieces[] = {{(void *)(uintptr_t)line, len},
                             {(void *)(uintptr_t)delimiter, delimiter_len}};
    dw_transport_writev(t, pieces, 2);
}

/* ---- Lines and nothing else ---- */

static dw_line_only_receiver *line_only_of(dw_protocol *protocol) {
    return (dw_line_only_receiver *)(void *)protocol;
}

static const dw_line_only_receiver_class *line_only_class(const dw_line_only_receiver *r) {
    return (const dw_line_only_receiver_class *)(const void *)r->base.cls;
}

void dw_line_only_receiver_init(dw_line_only_receiver *r, const dw_line_only_receiver_class *cls) {
    *r = (dw_line_only_receiver){
        .delimiter = "\r\n", .delimiter_len = 2, .max_length = DW_LINE_MAX_LENGTH_DEFAULT};
    dw_protocol_init(&r->base, &cls->base);
}

void dw_line_only_receiver_fini(dw_line_only_receiver *r) {
    dw_framing_fini(&r->framing_);
}

void dw_line_only_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    dw_line_only_receiver_fini(line_only_of(protocol));
}

void dw_line_only_receiver_send_line(dw_line_only_receiver *r, const void *line, size_t len) {
    send_line(r->base.transport, line, len, r->delimiter, r->delimiter_len);
}

void dw_line_only_receiver_skip_line(dw_line_only_receiver *r) {
    framing_stir(&r->framing_);
    if (r->framing_.dropping_) {
        r->framing_.dropping_ = false;
        r->skipping_ = true;
    }
}

static bool line_only_exceeded(dw_line_only_receiver *r, const uint8_t *start) {
    dw_framing *f = &r->framing_;
    size_t len = r->max_length + 1;
    f->dropping_ = true;
    r->search_.done_ = 0;
    framing_consume(f, len);
    struct dw_framing_turn *turn = framing_lend(f);
    if (line_only_class(r)->line_length_exceeded != NULL) {
        line_only_class(r)->line_length_exceeded(r, start, len);
    } else {
        dw_transport_lose_connection(r->base.transport);
    }
    return framing_returned(f, turn);
}

static bool line_only_deliver(dw_line_only_receiver *r, const uint8_t *line, size_t len) {
    dw_framing *f = &r->framing_;
    framing_consume(f, len + r->delimiter_len);
    struct dw_framing_turn *turn = framing_lend(f);
    line_only_class(r)->line_received(r, line, len);
    return framing_returned(f, turn);
}

/* Lines that lie whole in the input, one after the other: the way that bytes usually take. `stop`
 * is the end of the first. Ends before anything out of the common; false: the receiver is gone. */
static bool line_only_run(dw_line_only_receiver *r, const dw_transport *t, const uint8_t *stop) {
    dw_framing *f = &r->framing_;
    const uint8_t *at = f->input_, *end = at + f->input_len_;
    struct dw_framing_turn *turn = framing_lend(f);
    do {
        const uint8_t *line = at;
        at = stop + r->delimiter_len;
        f->input_ = at;
        f->input_len_ = (size_t)(end - at);
        line_only_class(r)->line_received(r, line, (size_t)(stop - line));
        if (turn->stirred || !framing_open_plain(t) || r->delimiter_len == 0) {
            break;
        }
        stop = find(at, (size_t)(end - at), 0, r->delimiter, r->delimiter_len);
    } while (stop != NULL && (size_t)(stop - at) <= r->max_length);
    return framing_returned(f, turn);
}

/* An unfinished line: no delimiter in the view. */
static bool line_only_unfinished(dw_line_only_receiver *r, const uint8_t *view, size_t len) {
    dw_framing *f = &r->framing_;
    size_t most = framing_sum(r->max_length, r->delimiter_len);
    if (len > r->max_length &&
        len - half_delimiter(view, len, r->delimiter, r->delimiter_len) > r->max_length) {
        return line_only_exceeded(r, view);
    }
    size_t want = worth_pulling(f, r->delimiter, r->delimiter_len, most - len);
    return dw_framing_pull(f, r->base.transport, want, most);
}

static size_t line_only_most(const dw_protocol *protocol) {
    const dw_line_only_receiver *r = (const dw_line_only_receiver *)(const void *)protocol;
    return framing_sum(r->max_length, r->delimiter_len);
}

/* Takes one line off the view, or makes the view longer. False: there is nothing more to do. */
static bool line_only_step(dw_protocol *protocol) {
    dw_line_only_receiver *r = line_only_of(protocol);
    dw_framing *f = &r->framing_;
    size_t len;
    const uint8_t *view = framing_view(f, &len);
    if (f->dropping_) {
        dw_framing_clear(f);
        return false;
    }
    if (len == 0 || !usable_delimiter(r->base.transport, r->delimiter, r->delimiter_len)) {
        return false;
    }
    if (r->skipping_) {
        return skip(f, r->base.transport, &r->skipping_, r->delimiter, r->delimiter_len);
    }
    const uint8_t *end = find_on(&r->search_, view, len, r->delimiter, r->delimiter_len);
    if (end == NULL) {
        return line_only_unfinished(r, view, len);
    }
    size_t line = (size_t)(end - view);
    if (line > r->max_length) {
        return line_only_exceeded(r, view);
    }
    if (framing_kept(f) == 0 && framing_is_plain(r->base.transport)) {
        return line_only_run(r, r->base.transport, end);
    }
    return line_only_deliver(r, view, line);
}

void dw_line_only_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    framing_run(&line_only_of(protocol)->framing_, protocol, data, len, line_only_step,
                line_only_most);
}

/* ---- Lines, raw bytes, pauses ---- */

static dw_line_receiver *line_of(dw_protocol *protocol) {
    return (dw_line_receiver *)(void *)protocol;
}

static const dw_line_receiver_class *line_class(const dw_line_receiver *r) {
    return (const dw_line_receiver_class *)(const void *)r->base.cls;
}

static size_t line_most(const dw_protocol *protocol) {
    const dw_line_receiver *r = (const dw_line_receiver *)(const void *)protocol;
    return framing_sum(r->max_length, r->delimiter_len);
}

void dw_line_receiver_init(dw_line_receiver *r, const dw_line_receiver_class *cls) {
    *r = (dw_line_receiver){.delimiter = "\r\n",
                            .delimiter_len = 2,
                            .max_length = DW_LINE_MAX_LENGTH_DEFAULT,
                            .line_mode = true};
    dw_protocol_init(&r->base, &cls->base);
}

void dw_line_receiver_fini(dw_line_receiver *r) {
    dw_framing_fini(&r->framing_);
}

void dw_line_receiver_connection_lost(dw_protocol *protocol, const dw_reason *reason) {
    (void)reason;
    dw_line_receiver_fini(line_of(protocol));
}

void dw_line_receiver_send_line(dw_line_receiver *r, const void *line, size_t len) {
    send_line(r->base.transport, line, len, r->delimiter, r->delimiter_len);
}

static bool line_exceeded(dw_line_receiver *r, const uint8_t *start) {
    dw_framing *f = &r->framing_;
    size_t len = r->max_length + 1;
    f->dropping_ = true;
    r->search_.done_ = 0;
    framing_consume(f, len);
    struct dw_framing_turn *turn = framing_lend(f);
    if (line_class(r)->line_length_exceeded != NULL) {
        line_class(r)->line_length_exceeded(r, start, len);
    } else {
        dw_transport_lose_connection(r->base.transport);
    }
    return framing_returned(f, turn);
}

static bool line_deliver(dw_line_receiver *r, const uint8_t *line, size_t len) {
    dw_framing *f = &r->framing_;
    framing_consume(f, len + r->delimiter_len);
    struct dw_framing_turn *turn = framing_lend(f);
    line_class(r)->line_received(r, line, len);
    return framing_returned(f, turn);
}

/* Lines that lie whole in the input, one after the other: the way that bytes usually take. `stop`
 * is the end of the first. Ends before anything out of the common; false: the receiver is gone. */
static bool line_run(dw_line_receiver *r, const dw_transport *t, const uint8_t *stop) {
    dw_framing *f = &r->framing_;
    const uint8_t *at = f->input_, *end = at + f->input_len_;
    struct dw_framing_turn *turn = framing_lend(f);
    do {
        const uint8_t *line = at;
        at = stop + r->delimiter_len;
        f->input_ = at;
        f->input_len_ = (size_t)(end - at);
        line_class(r)->line_received(r, line, (size_t)(stop - line));
        if (turn->stirred || !framing_open_plain(t) || r->delimiter_len == 0) {
            break;
        }
        stop = find(at, (size_t)(end - at), 0, r->delimiter, r->delimiter_len);
    } while (stop != NULL && (size_t)(stop - at) <= r->max_length);
    return framing_returned(f, turn);
}

/* All that is there in one call, as Twisted does it (vectors/README.md, "LineReceiver"). */
static bool line_deliver_raw(dw_line_receiver *r) {
    dw_framing *f = &r->framing_;
    size_t len;
    if (!dw_framing_join(f, r->base.transport, line_most(&r->base))) {
        return false;
    }
    const uint8_t *view = framing_view(f, &len);
    framing_consume(f, len);
    struct dw_framing_turn *turn = framing_lend(f);
    line_class(r)->raw_data_received(r, view, len);
    return framing_returned(f, turn);
}

/* An unfinished line: no delimiter in the view. Once it has the length of the limit and of a
 * delimiter, the line is too long whatever may follow. */
static bool line_unfinished(dw_line_receiver *r, const uint8_t *view, size_t len) {
    dw_framing *f = &r->framing_;
    size_t most = line_most(&r->base);
    if (len >= most) {
        return line_exceeded(r, view);
    }
    size_t want = worth_pulling(f, r->delimiter, r->delimiter_len, most - len);
    return dw_framing_pull(f, r->base.transport, want, most);
}

/* Takes one line or the raw bytes off the view, or makes the view longer. False: there is nothing
 * more to do. */
static bool line_step(dw_protocol *protocol) {
    dw_line_receiver *r = line_of(protocol);
    dw_framing *f = &r->framing_;
    size_t len;
    const uint8_t *view = framing_view(f, &len);
    if (f->dropping_) {
        dw_framing_clear(f);
        return false;
    }
    if (len == 0) {
        return false;
    }
    if (!r->line_mode) {
        return line_deliver_raw(r);
    }
    if (!usable_delimiter(r->base.transport, r->delimiter, r->delimiter_len)) {
        return false;
    }
    if (r->skipping_) {
        return skip(f, r->base.transport, &r->skipping_, r->delimiter, r->delimiter_len);
    }
    const uint8_t *end = find_on(&r->search_, view, len, r->delimiter, r->delimiter_len);
    if (end == NULL) {
        return line_unfinished(r, view, len);
    }
    size_t line = (size_t)(end - view);
    if (line > r->max_length) {
        return line_exceeded(r, view);
    }
    if (framing_kept(f) == 0 && framing_is_plain(r->base.transport)) {
        return line_run(r, r->base.transport, end);
    }
    return line_deliver(r, view, line);
}

void dw_line_receiver_data_received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    framing_run(&line_of(protocol)->framing_, protocol, data, len, line_step, line_most);
}

/* Either mode puts a stream that was given up on its feet again. */
static void line_set_mode(dw_line_receiver *r, bool line_mode) {
    framing_stir(&r->framing_);
    r->line_mode = line_mode;
    r->skipping_ = false;
    r->framing_.dropping_ = false;
    r->search_.done_ = 0;
}

void dw_line_receiver_set_raw_mode(dw_line_receiver *r) {
    line_set_mode(r, false);
}

void dw_line_receiver_set_line_mode(dw_line_receiver *r, const void *extra, size_t len) {
    line_set_mode(r, true);
    if (len > 0) {
        dw_line_receiver_data_received(&r->base, extra, len);
    }
}

void dw_line_receiver_skip_line(dw_line_receiver *r) {
    framing_stir(&r->framing_);
    if (r->framing_.dropping_) {
        r->framing_.dropping_ = false;
        r->skipping_ = true;
    }
}

const uint8_t *dw_line_receiver_clear_line_buffer(dw_line_receiver *r, size_t *len) {
    dw_framing *f = &r->framing_;
    framing_stir(f);
    r->search_.done_ = 0;
    *len = 0;
    if (!dw_framing_join(f, r->base.transport, line_most(&r->base))) {
        return (const uint8_t *)"";
    }
    const uint8_t *bytes = framing_view(f, len);
    dw_framing_clear(f);
    return *len > 0 ? bytes : (const uint8_t *)"";
}

void dw_line_receiver_pause_producing(dw_line_receiver *r) {
    framing_stir(&r->framing_);
    r->framing_.paused_ = true;
    dw_transport_pause_producing(r->base.transport);
}

void dw_line_receiver_resume_producing(dw_line_receiver *r) {
    r->framing_.paused_ = false;
    dw_transport_resume_producing(r->base.transport);
    if (r->framing_.turn_ == NULL) {
        dw_line_receiver_data_received(&r->base, NULL, 0);
    }
}

void dw_line_receiver_stop_producing(dw_line_receiver *r) {
    framing_stir(&r->framing_);
    r->framing_.paused_ = true;
    dw_transport_stop_producing(r->base.transport);
}
