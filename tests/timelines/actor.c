/* SPDX-License-Identifier: MIT */
/*
 * Actors: protocols that count what they are told and take the scenario's steps. The same on both
 * wires. The memory is static, in the play: an actor survives the death of its program, and knows
 * by `life` which connections died with it.
 */
#include "play.h"

#include <stdarg.h>
#include <string.h>

/* ---- Steps ---- */

static bool is_present(const actor *who) {
    return who->reactor != NULL && !who->ending;
}

static void perform(const step *s, talk *t) {
    s->verb->perform(s->play, s->who, t, s->args);
}

static void take_on_all(const step *s) {
    for (unsigned i = 0; i < s->who->talk_count; i++) {
        talk *t = &s->who->talks[i];
        if (t->open && is_present(s->who)) {
            perform(s, t);
        }
    }
}

/* Who is down does nothing, but for being started again. */
void step_take(const step *s, talk *t) {
    bool starts = s->who != NULL && strcmp(s->verb->pattern, "starts again") == 0;
    if (s->who != NULL && !starts && !is_present(s->who)) {
        return;
    }
    if (s->verb->talks && t == NULL) {
        take_on_all(s);
    } else if (!s->verb->talks || t->open) {
        perform(s, t);
    }
}

void actor_take(actor *who, moment when, talk *t) {
    const play *p = who->play;
    for (unsigned i = 0; i < p->step_count; i++) {
        const step *s = &p->steps[i];
        if (s->who == who && s->when == when && !s->before) {
            step_take(s, t);
        }
    }
}

unsigned actor_open_talks(const actor *who) {
    unsigned count = 0;
    for (unsigned i = 0; i < who->talk_count; i++) {
        count += who->talks[i].open;
    }
    return count;
}

/* ---- Streams ---- */

static talk *talk_of(dw_protocol *protocol) {
    return DW_CONTAINER_OF(protocol, talk, protocol);
}

static void made(dw_protocol *protocol) {
    talk *t = talk_of(protocol);
    t->open = true;
    actor_take(t->who, MOMENT_CONNECT, t);
}

static void received(dw_protocol *protocol, const uint8_t *data, size_t len) {
    talk *t = talk_of(protocol);
    (void)data;
    t->received += len;
    actor_take(t->who, MOMENT_DATA, t);
}

static void lost(dw_protocol *protocol, const dw_reason *reason) {
    talk *t = talk_of(protocol);
    t->open = false;
    t->lost = true;
    t->reason = *reason;
    actor_take(t->who, MOMENT_LOST, NULL);
}

static void read_lost(dw_protocol *protocol) {
    talk *t = talk_of(protocol);
    actor_take(t->who, MOMENT_END, t);
}

dw_protocol *actor_build(dw_factory *factory, const dw_address *peer) {
    static const dw_protocol_class plain = {.name = "peer",
                                            .connection_made = made,
                                            .data_received = received,
                                            .connection_lost = lost};
    static const dw_protocol_class aware = {.name = "peer",
                                            .connection_made = made,
                                            .data_received = received,
                                            .connection_lost = lost,
                                            .read_connection_lost = read_lost};
    actor *who = DW_CONTAINER_OF(factory, actor, factory.base);
    (void)peer;
    if (who->talk_count == TALKS_MAX) {
        return NULL;
    }
    talk *t = &who->talks[who->talk_count++];
    *t = (talk){.who = who, .life = who->life};
    dw_protocol_init(&t->protocol, who->aware ? &aware : &plain);
    return &t->protocol;
}

void actor_failed(dw_client_factory *factory, dw_connector *connector, const dw_reason *reason) {
    actor *who = DW_CONTAINER_OF(factory, actor, factory);
    (void)connector;
    if (who->failure_count < FAILURES_MAX) {
        who->failures[who->failure_count++] = *reason;
    }
    actor_take(who, MOMENT_FAILED, NULL);
}

/* ---- Datagrams and children ---- */

static void heard(dw_datagram_protocol *protocol, const uint8_t *data, size_t len,
                  const dw_address *from) {
    actor *who = DW_CONTAINER_OF(protocol, actor, ear);
    (void)data;
    (void)from;
    who->heard++;
    who->heard_bytes += len;
    actor_take(who, MOMENT_DATAGRAM, NULL);
}

static void refused(dw_datagram_protocol *protocol) {
    DW_CONTAINER_OF(protocol, actor, ear)->refused++;
}

const dw_datagram_protocol_class actor_ear = {
    .name = "port", .datagram_received = heard, .connection_refused = refused};

static void child_wrote(dw_process_protocol *protocol, int fd, const uint8_t *data, size_t len) {
    actor *who = DW_CONTAINER_OF(protocol, actor, parent);
    (void)fd;
    (void)data;
    who->child_output += len;
    actor_take(who, MOMENT_OUTPUT, NULL);
}

static void child_ended(dw_process_protocol *protocol, const dw_reason *reason) {
    actor *who = DW_CONTAINER_OF(protocol, actor, parent);
    who->child_ended = true;
    who->child_status = dw_reason_exit_status(reason);
    who->child_signal = dw_reason_exit_signal(reason);
    actor_take(who, MOMENT_EXIT, NULL);
}

const dw_process_protocol_class actor_parent = {
    .name = "parent", .child_data_received = child_wrote, .process_ended = child_ended};

/* ---- Life ---- */

void actor_enter(actor *who, dw_reactor *reactor) {
    static const dw_client_factory_class cls = {
        .base = {.name = "peers", .build_protocol = actor_build},
        .client_connection_failed = actor_failed};
    who->reactor = reactor;
    who->ending = false;
    who->life++;
    who->port = NULL;
    dw_client_factory_init(&who->factory, &cls);
    dw_datagram_protocol_init(&who->ear, &actor_ear);
    dw_process_protocol_init(&who->parent, &actor_parent);
}

void actor_gone(actor *who) {
    who->reactor = NULL;
    who->ending = false;
    for (unsigned i = 0; i < who->talk_count; i++) {
        who->talks[i].open = false;
    }
}

void play_begin(play *p, const stage *with) {
    p->stage = with;
    for (unsigned i = 0; i < p->actor_count; i++) {
        actor *who = &p->actors[i], old = *who;
        *who = (actor){.play = p, .index = old.index, .aware = old.aware};
        memcpy(who->name, old.name, sizeof(who->name));
        memcpy(who->address, old.address, sizeof(who->address));
        memcpy(who->address6, old.address6, sizeof(who->address6));
    }
    for (unsigned i = 0; i < p->step_count; i++) {
        p->steps[i].done = false;
    }
}

/* ---- The summary ---- */

typedef struct text {
    char *out;
    size_t size, len;
} text;

static void DW_PRINTF(2, 3) add(text *to, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(to->out + to->len, to->size - to->len, format, args);
    va_end(args);
    to->len += n > 0 && (size_t)n < to->size - to->len ? (size_t)n : 0;
}

static void add_talk(text *to, const actor *who, const talk *t, unsigned number) {
    char reason[200];
    const char *end = t->open ? "open" : "gone with its program";
    add(to, "%s: connection %u: %zu bytes received; ", who->name, number, t->received);
    if (t->lost) {
        end = dw_reason_format(&t->reason, reason, sizeof(reason));
    }
    add(to, "%s%s\n", t->lost ? "lost: " : "", end);
}

static void add_actor(text *to, const actor *who) {
    char reason[200];
    for (unsigned i = 0; i < who->talk_count; i++) {
        add_talk(to, who, &who->talks[i], i + 1);
    }
    for (unsigned i = 0; i < who->failure_count; i++) {
        add(to, "%s: attempt failed: %s\n", who->name,
            dw_reason_format(&who->failures[i], reason, sizeof(reason)));
    }
    if (who->uses_datagrams) {
        add(to, "%s: %u datagrams of %zu bytes received", who->name, who->heard, who->heard_bytes);
        if (who->refused > 0) {
            add(to, "; %u refused", who->refused);
        }
        add(to, "\n");
    }
    if (who->uses_child) {
        add(to, "%s: %zu bytes from its child, which ", who->name, who->child_output);
        if (!who->child_ended) {
            add(to, "lives\n");
        } else {
            bool by_signal = who->child_signal != 0;
            add(to, "ended with %s %d\n", by_signal ? "signal" : "status",
                by_signal ? who->child_signal : who->child_status);
        }
    }
}

void play_summary(const play *p, char *out, size_t size) {
    text to = {out, size, 0};
    out[0] = '\0';
    for (unsigned i = 0; i < p->actor_count; i++) {
        add_actor(&to, &p->actors[i]);
    }
}
