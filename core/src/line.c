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

static void skip_line(dw_framing *f, bool *skipping) {
    framing_stir(f);
    if (f->dropping_) {
        f->dropping_ = false;
        *skipping = true;
    }
}

static void send_line(dw_transport *t, const void *line, size_t len, const char *delimiter,
                      size_t delimiter_len) {
    struct iovec pieces[] = {{(void *)(uintptr_t)line, len},
                             {(void *)(uintptr_t)delimiter, delimiter_len}};
    dw_transport_writev(t, pieces, 2);
}

/* ---- What both do with a line ---- */

/* A receiver of either kind while it takes lines: its fields, which callbacks may change, and its
 * slots. Made where it is used, so that the functions below become plain code for each kind. */
typedef struct lines {
    dw_protocol *receiver;
    dw_framing *framing;
    struct dw_line_search *search;
    const char *const *delimiter;
    const size_t *delimiter_len, *max_length;
    bool *skipping;
    void (*received)(dw_protocol *receiver, const uint8_t *line, size_t len);
    bool (*length_exceeded)(dw_protocol *receiver, const uint8_t *start, size_t len); /* had one */
    bool (*unfinished)(const struct lines *l, const uint8_t *view, size_t len); /* no end in view */
} lines;

static inline bool exceeded(const lines *l, const uint8_t *start) {
    dw_framing *f = l->framing;
    size_t len = *l->max_length + 1;
    f->dropping_ = true;
    l->search->done_ = 0;
    framing_consume(f, len);
    struct dw_framing_turn *turn = framing_lend(f);
    if (!l->length_exceeded(l->receiver, start, len)) {
        dw_transport_lose_connection(l->receiver->transport);
    }
    return framing_returned(f, turn);
}

static inline bool deliver(const lines *l, const uint8_t *line, size_t len) {
    dw_framing *f = l->framing;
    framing_consume(f, len + *l->delimiter_len);
    struct dw_framing_turn *turn = framing_lend(f);
    l->received(l->receiver, line, len);
    return framing_returned(f, turn);
}

/* Lines that lie whole in the input, one after the other: the way that bytes usually take. `stop`
 * is the end of the first. Ends before anything out of the common; false: the receiver is gone. */
static inline bool deliver_run(const lines *l, const dw_transport *t, const uint8_t *stop) {
    dw_framing *f = l->framing;
    const uint8_t *at = f->input_, *end = at + f->input_len_;
    struct dw_framing_turn *turn = framing_lend(f);
    do {
        const uint8_t *line = at;
        at = stop + *l->delimiter_len;
        f->input_ = at;
        f->input_len_ = (size_t)(end - at);
        l->received(l->receiver, line, (size_t)(stop - line));
        if (turn->stirred || !framing_open_plain(t) || *l->delimiter_len == 0) {
            break;
        }
        stop = find(at, (size_t)(end - at), 0, *l->delimiter, *l->delimiter_len);
    } while (stop != NULL && (size_t)(stop - at) <= *l->max_length);
    return framing_returned(f, turn);
}

/* Takes one line off the view, which is not empty, or makes the view longer. False: there is
 * nothing more to do. */
static inline bool take_line(const lines *l, const uint8_t *view, size_t len) {
    dw_framing *f = l->framing;
    dw_transport *t = l->receiver->transport;
    if (!usable_delimiter(t, *l->delimiter, *l->delimiter_len)) {
        return false;
    }
    if (*l->skipping) {
        return skip(f, t, l->skipping, *l->delimiter, *l->delimiter_len);
    }
    const uint8_t *end = find_on(l->search, view, len, *l->delimiter, *l->delimiter_len);
    if (end == NULL) {
        return l->unfinished(l, view, len);
    }
    size_t line = (size_t)(end - view);
    if (line > *l->max_length) {
        return exceeded(l, view);
    }
    return framing_kept(f) == 0 && framing_is_plain(t) ? deliver_run(l, t, end)
                                                       : deliver(l, view, line);
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
    skip_line(&r->framing_, &r->skipping_);
}

static size_t line_only_most(const dw_protocol *protocol) {
    const dw_line_only_receiver *r = (const dw_line_only_receiver *)(const void *)protocol;
    return framing_sum(r->max_length, r->delimiter_len);
}

static void line_only_received(dw_protocol *protocol, const uint8_t *line, size_t len) {
    dw_line_only_receiver *r = line_only_of(protocol);
    line_only_class(r)->line_received(r, line, len);
}

static bool line_only_length_exceeded(dw_protocol *protocol, const uint8_t *start, size_t len) {
    dw_line_only_receiver *r = line_only_of(protocol);
    if (line_only_class(r)->line_length_exceeded == NULL) {
        return false;
    }
    line_only_class(r)->line_length_exceeded(r, start, len);
    return true;
}

static bool line_only_unfinished(const lines *l, const uint8_t *view, size_t len) {
    size_t delimiter_len = *l->delimiter_len, most = framing_sum(*l->max_length, delimiter_len);
    if (len > *l->max_length &&
        len - half_delimiter(view, len, *l->delimiter, delimiter_len) > *l->max_length) {
        return exceeded(l, view);
    }
    size_t want = worth_pulling(l->framing, *l->delimiter, delimiter_len, most - len);
    return dw_framing_pull(l->framing, l->receiver->transport, want, most);
}

static bool line_only_step(dw_protocol *protocol) {
    dw_line_only_receiver *r = line_only_of(protocol);
    size_t len;
    const uint8_t *view = framing_view(&r->framing_, &len);
    if (r->framing_.dropping_) {
        dw_framing_clear(&r->framing_);
        return false;
    }
    lines l = {.receiver = protocol,
               .framing = &r->framing_,
               .search = &r->search_,
               .delimiter = &r->delimiter,
               .delimiter_len = &r->delimiter_len,
               .max_length = &r->max_length,
               .skipping = &r->skipping_,
               .received = line_only_received,
               .length_exceeded = line_only_length_exceeded,
               .unfinished = line_only_unfinished};
    return len > 0 && take_line(&l, view, len);
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

static void line_received(dw_protocol *protocol, const uint8_t *line, size_t len) {
    dw_line_receiver *r = line_of(protocol);
    line_class(r)->line_received(r, line, len);
}

static bool line_length_exceeded(dw_protocol *protocol, const uint8_t *start, size_t len) {
    dw_line_receiver *r = line_of(protocol);
    if (line_class(r)->line_length_exceeded == NULL) {
        return false;
    }
    line_class(r)->line_length_exceeded(r, start, len);
    return true;
}

/* Once it has the length of the limit and of a delimiter, the line is too long whatever may follow.
 */
static bool line_unfinished(const lines *l, const uint8_t *view, size_t len) {
    size_t most = framing_sum(*l->max_length, *l->delimiter_len);
    if (len >= most) {
        return exceeded(l, view);
    }
    size_t want = worth_pulling(l->framing, *l->delimiter, *l->delimiter_len, most - len);
    return dw_framing_pull(l->framing, l->receiver->transport, want, most);
}

static bool line_step(dw_protocol *protocol) {
    dw_line_receiver *r = line_of(protocol);
    size_t len;
    const uint8_t *view = framing_view(&r->framing_, &len);
    if (r->framing_.dropping_) {
        dw_framing_clear(&r->framing_);
        return false;
    }
    if (len > 0 && !r->line_mode) {
        return line_deliver_raw(r);
    }
    lines l = {.receiver = protocol,
               .framing = &r->framing_,
               .search = &r->search_,
               .delimiter = &r->delimiter,
               .delimiter_len = &r->delimiter_len,
               .max_length = &r->max_length,
               .skipping = &r->skipping_,
               .received = line_received,
               .length_exceeded = line_length_exceeded,
               .unfinished = line_unfinished};
    return len > 0 && take_line(&l, view, len);
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
    skip_line(&r->framing_, &r->skipping_);
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
