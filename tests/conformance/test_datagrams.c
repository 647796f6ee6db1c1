/* SPDX-License-Identifier: MIT */
/*
 * Datagrams on every wire that has them: UDP, broadcast, multicast, UNIX. The expectations are what
 * the real Twisted did: each case names the vectors (vectors/README.md, "Datagrams";
 * lifecycle_udp.jsonl).
 */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT_MAX = 70000 };

/* ---- A scripted protocol ---- */

typedef struct gram gram;

struct gram {
    dw_datagram_protocol base;
    conf *c;
    dw_datagram_port *port;
    char log[400]; /* "start <text or length> refused stop" */
    uint8_t last[KEPT_MAX];
    size_t last_len;
    unsigned received;
    dw_address from;
    bool echo;
    bool gone_in_stop; /* the transport was, in stop_protocol */
    void (*on_received)(gram *g);
};

static void record(gram *g, const char *word) {
    g->c->activity++;
    note(g->log, sizeof(g->log), word);
}

static void gram_start(dw_datagram_protocol *p) {
    ck_assert_ptr_nonnull(p->transport);
    record((gram *)p, "start");
}

static void gram_received(dw_datagram_protocol *p, const uint8_t *data, size_t len,
                          const dw_address *from) {
    gram *g = (gram *)p;
    char word[30];
    ck_assert_uint_le(len, KEPT_MAX);
    if (len < 20) {
        snprintf(word, sizeof(word), "'%.*s'", (int)len, (const char *)data);
    } else {
        snprintf(word, sizeof(word), "%zu", len);
    }
    memcpy(g->last, data, len);
    g->last_len = len;
    g->from = *from;
    g->received++;
    record(g, word);
    if (g->echo) {
        ck_assert_int_eq(dw_datagram_write(p->transport, data, len, from), (ssize_t)len);
    }
    if (g->on_received != NULL) {
        g->on_received(g);
    }
}

static void gram_refused(dw_datagram_protocol *p) {
    ck_assert_ptr_nonnull(p->transport);
    record((gram *)p, "refused");
}

static void gram_stop(dw_datagram_protocol *p) {
    ((gram *)p)->gone_in_stop = p->transport == NULL;
    record((gram *)p, "stop");
}

static const dw_datagram_protocol_class gram_class = {.name = "gram",
                                                      .start_protocol = gram_start,
                                                      .datagram_received = gram_received,
                                                      .connection_refused = gram_refused,
                                                      .stop_protocol = gram_stop};

static gram grams[3];

static gram *gram_new(conf *c, unsigned number) {
    gram *g = &grams[number];
    memset(g, 0, sizeof(*g));
    g->c = c;
    dw_datagram_protocol_init(&g->base, &gram_class);
    return g;
}

/* A server at c->address and a client, each on its own reactor. False: this wire has none. */
static bool open_server(gram *g, size_t max_packet_size) {
    int result =
        dw_reactor_listen_udp(g->c->server, 0, &g->base, g->c->address, max_packet_size, &g->port);
    ck_assert(result == 0 || result == DW_UNSUPPORTED);
    return result == 0;
}

static void open_client(gram *g) {
    ck_assert_int_eq(dw_reactor_listen_udp(g->c->client, 0, &g->base, NULL, 0, &g->port), 0);
}

static ssize_t say_to(gram *g, const gram *to, const char *text) {
    dw_address address = dw_datagram_host(to->port);
    return dw_datagram_write(g->port, text, strlen(text), &address);
}

/* A number where nobody listens. */
static uint16_t closed_port(conf *c) {
    gram *g = gram_new(c, 2);
    ck_assert(open_server(g, 0));
    uint16_t number = dw_datagram_host(g->port).port;
    ck_assert_int_eq(dw_datagram_stop_listening(g->port, NULL, NULL), 0);
    conf_settle(c);
    return number;
}

#define WITH_SERVER_AND_CLIENT(s, k, max) \
    gram *s = gram_new(c, 0);             \
    gram *k = gram_new(c, 1);             \
    if (!open_server(s, max)) {           \
        return;                           \
    }                                     \
    open_client(k);

/* ---- Sending and receiving ---- */

/* udp-udp-echo */
CONF_CASE(a_datagram_and_its_answer) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    s->echo = true;
    ck_assert_str_eq(k->log, "start"); /* inside the call */
    ck_assert_int_eq(say_to(k, s, "ping"), 4);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'ping'");
    ck_assert_str_eq(k->log, "start 'ping'");
    dw_address at = dw_datagram_host(s->port);
    ck_assert(dw_address_equal(&k->from, &at));
    ck_assert_uint_eq(s->from.port, dw_datagram_host(k->port).port);
}

/* udp-udp-empty */
CONF_CASE(an_empty_datagram_is_one) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    s->echo = true;
    ck_assert_int_eq(say_to(k, s, ""), 0);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start ''");
    ck_assert_str_eq(k->log, "start ''");
}

/* "writeSequence: one datagram" */
CONF_CASE(pieces_are_one_datagram) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    struct iovec pieces[3] = {{"one ", 4}, {"", 0}, {"datagram", 8}};
    dw_address to = dw_datagram_host(s->port);
    ck_assert_int_eq(dw_datagram_writev(k->port, pieces, 3, &to), 12);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'one datagram'");
}

static const uint8_t bulk[KEPT_MAX];

static ssize_t send_bulk(gram *g, const gram *to, size_t len) {
    dw_address address = dw_datagram_host(to->port);
    return dw_datagram_write(g->port, bulk, len, &address);
}

/* udp-udp-truncated */
CONF_CASE(a_long_datagram_is_cut_in_silence) {
    WITH_SERVER_AND_CLIENT(s, k, 100)
    ck_assert_int_eq(send_bulk(k, s, 150), 150);
    ck_assert_int_eq(say_to(k, s, "next"), 4);
    ck_assert_int_eq(send_bulk(k, s, 100), 100);
    ck_assert_int_eq(send_bulk(k, s, 101), 101);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 100 'next' 100 100");
}

/* udp-udp-truncated-default */
CONF_CASE(eight_kilobytes_are_the_default) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    send_bulk(k, s, 8192);
    send_bulk(k, s, 8193);
    send_bulk(k, s, 20000);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 8192 8192 8192");
}

/* "more than 65507 bytes sent: MessageLengthError"; and as many as that arrive */
CONF_CASE(the_longest_datagram_and_one_byte_more) {
    WITH_SERVER_AND_CLIENT(s, k, 65536)
    ck_assert_int_eq(send_bulk(k, s, DW_UDP_PAYLOAD_MAX + 1), DW_MESSAGE_TOO_LONG);
    ck_assert_int_eq(send_bulk(k, s, DW_UDP_PAYLOAD_MAX), DW_UDP_PAYLOAD_MAX);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 65507");
}

/* udp-udp-two-ports */
CONF_CASE(two_ports_have_two_protocols) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    gram *other = gram_new(c, 2);
    ck_assert(open_server(other, 0));
    say_to(k, s, "a");
    say_to(k, other, "b");
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'a'");
    ck_assert_str_eq(other->log, "start 'b'");
}

/* udp-udp-pause */
CONF_CASE(datagrams_wait_while_the_port_is_paused) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    dw_datagram_pause_producing(s->port);
    dw_datagram_pause_producing(s->port); /* not counted */
    say_to(k, s, "a");
    say_to(k, s, "b");
    conf_settle(c);
    ck_assert_str_eq(s->log, "start");
    dw_datagram_resume_producing(s->port);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'a' 'b'");
}

/* ---- Addresses ---- */

/* udp-udp-write-hostname, udp-udp-write-no-address */
CONF_CASE(write_wants_a_literal_and_wants_one) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    dw_address six;
    ck_assert_int_eq(dw_address_parse(&six, "::1", 9), 0);
    ck_assert_int_eq(dw_datagram_connect(k->port, c->name, 9), DW_INVALID_ADDRESS);
    ck_assert_int_eq(dw_datagram_write(k->port, "x", 1, NULL), DW_INVALID_ARGUMENT);
    ck_assert_int_eq(dw_datagram_write(k->port, "x", 1, &six), DW_INVALID_ADDRESS);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start");
    ck_assert_str_eq(k->log, "start");
}

/* udp-udp-connect-twice; "another address in write: AssertionError" */
CONF_CASE(a_connected_port_writes_to_its_peer_alone) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    dw_address to = dw_datagram_host(s->port);
    ck_assert_int_eq(dw_datagram_connect(k->port, c->address, to.port), 0);
    ck_assert_int_eq(dw_datagram_connect(k->port, c->address, to.port), DW_ALREADY_CONNECTED);
    dw_address peer = dw_datagram_peer(k->port);
    ck_assert(dw_address_equal(&peer, &to));
    ck_assert_int_eq(dw_datagram_write(k->port, "a", 1, NULL), 1);
    ck_assert_int_eq(dw_datagram_write(k->port, "b", 1, &to), 1);
    to.port = (uint16_t)(to.port + 1);
    ck_assert_int_eq(dw_datagram_write(k->port, "c", 1, &to), DW_INVALID_ARGUMENT);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'a' 'b'");
}

/* udp-udp-connected-filter: what comes later, and what waited already */
CONF_CASE(a_connected_port_does_not_see_other_senders) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    gram *stranger = gram_new(c, 2);
    char host[DW_ADDRESS_TEXT_MAX];
    open_client(stranger);
    say_to(k, s, "hello");
    conf_settle(c);
    dw_datagram_pause_producing(s->port);
    say_to(stranger, s, "early");
    say_to(k, s, "mine");
    conf_settle(c);
    dw_address_format_host(&s->from, host, sizeof(host));
    ck_assert_int_eq(dw_datagram_connect(s->port, host, s->from.port), 0);
    say_to(stranger, s, "late");
    dw_datagram_resume_producing(s->port);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'hello' 'mine'");
}

/* ---- Refusals ---- */

/* udp-udp-connected-refused: as documented, and not as Twisted's poll reactor does it */
CONF_CASE(a_connected_port_hears_of_refusals_and_lives) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    uint16_t nobody = closed_port(c);
    ck_assert_int_eq(dw_datagram_connect(k->port, c->address, nobody), 0);
    ck_assert_int_eq(dw_datagram_write(k->port, "a", 1, NULL), 1);
    ck_assert_str_eq(k->log, "start");
    conf_settle(c);
    ck_assert_str_eq(k->log, "start refused");
    ck_assert_int_eq(dw_datagram_write(k->port, "b", 1, NULL), 1);
    conf_settle(c);
    ck_assert_str_eq(k->log, "start refused refused");
    ck_assert_uint_eq(s->received, 0);
}

/* udp-udp-unconnected-refused */
CONF_CASE(without_a_connection_a_refusal_is_silent) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    dw_address to = dw_datagram_host(s->port);
    to.port = closed_port(c);
    ck_assert_int_eq(dw_datagram_write(k->port, "a", 1, &to), 1);
    conf_settle(c);
    ck_assert_int_eq(dw_datagram_write(k->port, "b", 1, &to), 1);
    conf_settle(c);
    ck_assert_str_eq(k->log, "start");
    ck_assert_int_eq(say_to(k, s, "c"), 1);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'c'");
}

/* ---- Ports ---- */

/* udp-udp-cannot-listen */
CONF_CASE(a_used_port_cannot_be_listened_on) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    gram *late = gram_new(c, 2);
    uint16_t number = dw_datagram_host(s->port).port;
    ck_assert_int_eq(dw_reactor_listen_udp(c->server, number, &late->base, c->address, 0, NULL),
                     DW_CANNOT_LISTEN);
    ck_assert_int_eq(dw_reactor_errno(c->server), EADDRINUSE);
    ck_assert_str_eq(late->log, "");
    say_to(k, s, "a");
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'a'");
}

static void done(void *user) {
    record(user, "done");
}

/* udp-udp-stop, udp-udp-stop-twice */
CONF_CASE(stopping_happens_later_and_once) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    uint16_t number = dw_datagram_host(s->port).port;
    ck_assert_int_eq(dw_datagram_stop_listening(s->port, done, s), 0);
    ck_assert_int_eq(dw_datagram_stop_listening(s->port, done, s), DW_NOT_LISTENING);
    ck_assert_str_eq(s->log, "start");
    conf_settle(c);
    ck_assert_str_eq(s->log, "start stop done");
    ck_assert(s->gone_in_stop);
    gram *again = gram_new(c, 0);
    ck_assert_int_eq(
        dw_reactor_listen_udp(c->server, number, &again->base, c->address, 0, &again->port), 0);
    say_to(k, again, "a");
    conf_settle(c);
    ck_assert_str_eq(again->log, "start 'a'");
}

static void stop_it(gram *g) {
    g->on_received = NULL;
    ck_assert_int_eq(dw_datagram_write(g->base.transport, "bye", 3, &g->from), 3);
    ck_assert_int_eq(dw_datagram_stop_listening(g->base.transport, done, g), 0);
    ck_assert_int_eq(dw_datagram_write(g->base.transport, "bye bye", 7, &g->from), 7);
}

CONF_CASE(a_port_may_be_stopped_inside_datagram_received) {
    WITH_SERVER_AND_CLIENT(s, k, 0)
    s->on_received = stop_it;
    say_to(k, s, "a");
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'a' stop done");
    ck_assert_str_eq(k->log, "start 'bye' 'bye bye'");
}

static void stop_reactor(void *reactor) {
    ck_assert_int_eq(dw_reactor_stop(reactor), 0);
}

/* udp-reactor-udp-at-stop */
CONF_CASE(the_end_of_the_reactor_stops_the_port) {
    gram *s = gram_new(c, 0);
    if (!open_server(s, 0)) {
        return;
    }
    dw_trigger trigger = {0};
    dw_reactor_call_when_running(c->server, &trigger, stop_reactor, c->server);
    conf_run(c);
    ck_assert_str_eq(s->log, "start stop");
    ck_assert(s->gone_in_stop);
    ck_assert_uint_eq(dw_reactor_count(c->server).ports, 0);
}

/* ---- Broadcast, multicast ---- */

/* Off at first (socket(7): EACCES, SO_BROADCAST); every port on the number gets it. */
CONF_CASE(broadcast_has_to_be_allowed) {
    gram *s = gram_new(c, 0), *k = gram_new(c, 1);
    dw_address to;
    int result = dw_reactor_listen_udp(c->server, 0, &s->base, NULL, 0, &s->port);
    if (result == DW_UNSUPPORTED) {
        return;
    }
    open_client(k);
    ck_assert_int_eq(dw_address_parse(&to,
                                      c->backend == NULL ? "127.255.255.255" : "255.255.255.255",
                                      dw_datagram_host(s->port).port),
                     0);
    ck_assert(!dw_datagram_get_broadcast_allowed(k->port));
    ck_assert_int_eq(dw_datagram_write(k->port, "a", 1, &to), DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_reactor_errno(c->client), EACCES);
    ck_assert_int_eq(dw_datagram_set_broadcast_allowed(k->port, true), 0);
    ck_assert(dw_datagram_get_broadcast_allowed(k->port));
    ck_assert_int_eq(dw_datagram_write(k->port, "b", 1, &to), 1);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'b'");
}

/* The address of the interface to use; the system's choice would need a route. */
static const char *interface_of(const conf *c) {
    return c->backend == NULL ? "127.0.0.1" : NULL;
}

/* ip(7): TTL 1, loopback on at first; members alone get what is sent to the group. */
CONF_CASE(members_of_a_group_get_what_is_sent_to_it) {
    gram *s = gram_new(c, 0), *k = gram_new(c, 1), *member = gram_new(c, 2);
    dw_address to;
    int result = dw_reactor_listen_multicast(c->server, 0, &s->base, NULL, 0, &s->port);
    if (result == DW_UNSUPPORTED) {
        return;
    }
    uint16_t number = dw_datagram_host(s->port).port;
    open_client(k);
    result = dw_datagram_join_group(s->port, "239.255.7.7", interface_of(c));
    if (result == DW_UNSUPPORTED) {
        return;
    }
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(
        dw_reactor_listen_multicast(c->server, number, &member->base, NULL, 0, &member->port), 0);
    ck_assert_int_eq(dw_datagram_join_group(member->port, "239.255.7.7", interface_of(c)), 0);
    ck_assert_int_eq(dw_datagram_set_outgoing_interface(k->port, interface_of(c)), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(k->port), 1);
    ck_assert_int_eq(dw_datagram_set_ttl(k->port, 3), 0);
    ck_assert_int_eq(dw_datagram_get_ttl(k->port), 3);
    ck_assert(dw_datagram_get_loopback_mode(k->port));
    ck_assert_int_eq(dw_address_parse(&to, "239.255.7.7", number), 0);
    ck_assert_int_eq(dw_datagram_write(k->port, "both", 4, &to), 4);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'both'");
    ck_assert_str_eq(member->log, "start 'both'");
    ck_assert_int_eq(dw_datagram_leave_group(member->port, "239.255.7.7", interface_of(c)), 0);
    ck_assert_int_eq(dw_datagram_leave_group(member->port, "239.255.7.7", interface_of(c)),
                     DW_SYSTEM_ERROR);
    ck_assert_int_eq(dw_datagram_join_group(s->port, "192.0.2.1", NULL), DW_INVALID_ADDRESS);
}

/* ---- UNIX ---- */

/* A directory for the files; "" on a wire without real ones. */
static void place(conf *c, char dir[32]) {
    dir[0] = '\0';
    if (c->backend == NULL) {
        strcpy(dir, "/tmp/drywire-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
    }
}

static bool open_unix(gram *g, const char *dir, const char *name, char path[64]) {
    snprintf(path, 64, "%s/%s", dir[0] != '\0' ? dir : "/run", name);
    int result = dw_reactor_listen_unix_datagram(g->c->server, path, &g->base, 0, 0600, &g->port);
    ck_assert(result == 0 || result == DW_UNSUPPORTED);
    return result == 0;
}

/* Each takes its file with it. */
static void close_all(conf *c, const char *dir) {
    for (size_t i = 0; i < sizeof(grams) / sizeof(grams[0]); i++) {
        if (grams[i].base.transport != NULL) {
            dw_datagram_stop_listening(grams[i].base.transport, NULL, NULL);
        }
    }
    conf_settle(c);
    ck_assert(dir[0] == '\0' || rmdir(dir) == 0);
}

CONF_CASE(unix_datagrams_go_from_path_to_path) {
    gram *s = gram_new(c, 0), *k = gram_new(c, 1);
    char dir[32], path[64], own[64], text[DW_ADDRESS_TEXT_MAX];
    gram_new(c, 2);
    place(c, dir);
    if (!open_unix(s, dir, "s", path)) {
        ck_assert(dir[0] == '\0' || rmdir(dir) == 0);
        return;
    }
    ck_assert(open_unix(k, dir, "k", own));
    s->echo = true;
    ck_assert_int_eq(say_to(k, s, "ping"), 4);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'ping'");
    ck_assert_str_eq(k->log, "start 'ping'");
    ck_assert_str_eq(dw_address_format_host(&s->from, text, sizeof(text)), own);
    close_all(c, dir);
}

CONF_CASE(a_connected_unix_datagram_port_needs_no_address) {
    gram *s = gram_new(c, 0), *k = gram_new(c, 1), *mute = gram_new(c, 2);
    char dir[32], path[64], own[80];
    place(c, dir);
    if (!open_unix(s, dir, "s", path)) {
        ck_assert(dir[0] == '\0' || rmdir(dir) == 0);
        return;
    }
    snprintf(own, sizeof(own), "%s-client", path);
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(c->server, path, &k->base, 0, 0, own, &k->port), 0);
    s->echo = true;
    ck_assert_int_eq(dw_datagram_write(k->port, "ping", 4, NULL), 4);
    conf_settle(c);
    ck_assert_str_eq(k->log, "start 'ping'");
    /* One without a name can send, and nobody can answer. */
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(c->server, path, &mute->base, 0, 0, NULL, &mute->port), 0);
    s->echo = false;
    ck_assert_int_eq(dw_datagram_write(mute->port, "psst", 4, NULL), 4);
    conf_settle(c);
    ck_assert_str_eq(s->log, "start 'ping' 'psst'");
    ck_assert_uint_eq(s->from.kind, DW_ADDRESS_UNIX);
    ck_assert_uint_eq(s->from.path_len, 0);
    ck_assert_int_eq(dw_datagram_write(s->port, "a", 1, &s->from), DW_INVALID_ADDRESS);
    close_all(c, dir);
}

CONF_CASE(connecting_a_unix_datagram_port_to_nobody_fails_at_once) {
    gram *s = gram_new(c, 0), *k = gram_new(c, 1);
    char dir[32], path[64], missing[80];
    gram_new(c, 2);
    place(c, dir);
    if (!open_unix(s, dir, "s", path)) {
        ck_assert(dir[0] == '\0' || rmdir(dir) == 0);
        return;
    }
    snprintf(missing, sizeof(missing), "%s-missing", path);
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(c->server, missing, &k->base, 0, 0, NULL, &k->port),
        DW_CONNECT_ERROR);
    ck_assert_int_eq(dw_reactor_errno(c->server), ENOENT);
    ck_assert_str_eq(k->log, "");
    close_all(c, dir);
}

CONF_CASE(a_unix_datagram_peer_that_has_gone_is_a_refusal) {
    gram *s = gram_new(c, 0), *k = gram_new(c, 1);
    char dir[32], path[64];
    gram_new(c, 2);
    place(c, dir);
    if (!open_unix(s, dir, "s", path)) {
        ck_assert(dir[0] == '\0' || rmdir(dir) == 0);
        return;
    }
    ck_assert_int_eq(
        dw_reactor_connect_unix_datagram(c->server, path, &k->base, 0, 0, NULL, &k->port), 0);
    ck_assert_int_eq(dw_datagram_stop_listening(s->port, NULL, NULL), 0);
    conf_settle(c);
    k->log[0] = '\0';
    ck_assert_int_eq(dw_datagram_write(k->port, "a", 1, NULL), 0);
    ck_assert_str_eq(k->log, "");
    conf_settle(c);
    ck_assert_str_eq(k->log, "refused");
    ck_assert_int_eq(dw_datagram_write(k->port, "b", 1, NULL), 0);
    conf_settle(c);
    ck_assert_str_eq(k->log, "refused refused");
    close_all(c, dir);
}

int main(void) {
    Suite *suite = suite_create("conformance: datagrams");
    TCase *tc = tcase_create("datagrams");
    CONF_ADD(tc, a_datagram_and_its_answer);
    CONF_ADD(tc, an_empty_datagram_is_one);
    CONF_ADD(tc, pieces_are_one_datagram);
    CONF_ADD(tc, a_long_datagram_is_cut_in_silence);
    CONF_ADD(tc, eight_kilobytes_are_the_default);
    CONF_ADD(tc, the_longest_datagram_and_one_byte_more);
    CONF_ADD(tc, two_ports_have_two_protocols);
    CONF_ADD(tc, datagrams_wait_while_the_port_is_paused);
    CONF_ADD(tc, write_wants_a_literal_and_wants_one);
    CONF_ADD(tc, a_connected_port_writes_to_its_peer_alone);
    CONF_ADD(tc, a_connected_port_does_not_see_other_senders);
    CONF_ADD(tc, a_connected_port_hears_of_refusals_and_lives);
    CONF_ADD(tc, without_a_connection_a_refusal_is_silent);
    CONF_ADD(tc, a_used_port_cannot_be_listened_on);
    CONF_ADD(tc, stopping_happens_later_and_once);
    CONF_ADD(tc, a_port_may_be_stopped_inside_datagram_received);
    CONF_ADD(tc, the_end_of_the_reactor_stops_the_port);
    CONF_ADD(tc, broadcast_has_to_be_allowed);
    CONF_ADD(tc, members_of_a_group_get_what_is_sent_to_it);
    CONF_ADD(tc, unix_datagrams_go_from_path_to_path);
    CONF_ADD(tc, a_connected_unix_datagram_port_needs_no_address);
    CONF_ADD(tc, connecting_a_unix_datagram_port_to_nobody_fails_at_once);
    CONF_ADD(tc, a_unix_datagram_peer_that_has_gone_is_a_refusal);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
