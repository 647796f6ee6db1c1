/* SPDX-License-Identifier: MIT */
/*
 * All that actors can be told to do, one function for each, and the words for it: they call the
 * library as any program does. What the world can be told is in verbs_world.c.
 */
#include "play.h"

#include <stdlib.h>
#include <string.h>

/* ---- Words that are shared ---- */

static bool complain(actor *who, const char *what, int error) {
    bool has_errno = error == DW_CANNOT_LISTEN || error == DW_SYSTEM_ERROR;
    if (error < 0) {
        dw_reactor_log(who->reactor, "%s: %s%s%s", what, dw_strerror(error), has_errno ? ": " : "",
                       has_errno ? strerror(dw_reactor_errno(who->reactor)) : "");
    }
    return error < 0;
}

/* Where an address of the scenario is: a host's, or the literal it is itself. */
static const char *host_text(play *p, const argument *a) {
    return a->host < ACTORS_MAX ? p->actors[a->host].address : a->text;
}

static dw_address address_of(play *p, const argument *a) {
    dw_address address = {0};
    dw_address_parse(&address, host_text(p, a), a->port);
    return address;
}

/* The alphabet, over and over; to be freed. */
static char *letters(size_t len) {
    char *bytes = malloc(len + 1);
    for (size_t i = 0; bytes != NULL && i < len; i++) {
        bytes[i] = (char)('a' + i % 26);
    }
    return bytes;
}

/* ---- Streams ---- */

static void listens_with(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    complain(who, "listen",
             dw_reactor_listen_tcp(who->reactor, (uint16_t)a[0].number, &who->factory.base,
                                   (int)a[1].number, NULL, &who->port));
}

static void listens(play *p, actor *who, talk *t, const argument *a) {
    argument args[] = {a[0], {.number = 0}};
    listens_with(p, who, t, args);
}

static void stops_listening(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    (void)a;
    if (who->port != NULL) {
        dw_port_stop_listening(who->port, NULL, NULL);
        who->port = NULL;
    }
}

static void connect_to(actor *who, const char *host, uint16_t port, dw_time timeout) {
    complain(who, "connect",
             dw_reactor_connect_tcp(who->reactor, host, port, &who->factory, timeout, NULL, NULL));
}

/* As long as the network tries. */
static void connects(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    connect_to(who, host_text(p, a), a->port, -1);
}

static void connects_within(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    connect_to(who, host_text(p, a), a->port, a[1].time);
}

static void connects_often(play *p, actor *who, talk *t, const argument *a) {
    for (uint64_t i = 0; i < a[1].number; i++) {
        connects(p, who, t, a);
    }
}

static void connects_by_name(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    connect_to(who, a->text, a->port, -1);
}

/* The same by the hosts' other addresses. */
static void listens_by_ipv6(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    complain(who, "listen",
             dw_reactor_listen_tcp(who->reactor, (uint16_t)a->number, &who->factory.base, 0,
                                   "::", &who->port));
}

static void connects_by_ipv6(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    connect_to(who, p->actors[a->host % ACTORS_MAX].address6, a->port, -1);
}

/* ---- UNIX sockets of one host ---- */

static void listens_unix(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    complain(who, "listen",
             dw_reactor_listen_unix(who->reactor, a->text, &who->factory.base, 0, 0, &who->port));
}

static void connects_unix(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    complain(who, "connect",
             dw_reactor_connect_unix(who->reactor, a->text, &who->factory, -1, NULL));
}

static void opens_unix(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    who->uses_datagrams = true;
    complain(who, "listen",
             dw_reactor_listen_unix_datagram(who->reactor, a->text, &who->ear, DW_UDP_PAYLOAD_MAX,
                                             0, NULL));
}

static void sends_unix(play *p, actor *who, talk *t, const argument *a) {
    dw_address to;
    (void)p;
    (void)t;
    if (!complain(who, "address", dw_address_unix(&to, a[1].text))) {
        ssize_t n = dw_datagram_write(who->ear.transport, a[0].text, a[0].len, &to);
        complain(who, "write", n < 0 ? (int)n : 0);
    }
}

/* ---- Bytes ---- */

static void writes(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)who;
    dw_transport_write(t->protocol.transport, a->text, a->len);
}

static void writes_bytes(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)who;
    char *bytes = letters(a->number);
    if (bytes != NULL) {
        dw_transport_write(t->protocol.transport, bytes, a->number);
    }
    free(bytes);
}

#define TRANSPORT_VERB(name, call)                                      \
    static void name(play *p, actor *who, talk *t, const argument *a) { \
        (void)p, (void)who, (void)a;                                    \
        call;                                                           \
    }
TRANSPORT_VERB(closes, dw_transport_lose_connection(t->protocol.transport))
TRANSPORT_VERB(ends_its_stream, dw_transport_lose_write_connection(t->protocol.transport))
TRANSPORT_VERB(aborts, dw_transport_abort_connection(t->protocol.transport))
TRANSPORT_VERB(stops_reading, dw_transport_pause_producing(t->protocol.transport))
TRANSPORT_VERB(reads_on, dw_transport_resume_producing(t->protocol.transport))
TRANSPORT_VERB(sets_no_delay, dw_transport_set_no_delay(t->protocol.transport, true))
TRANSPORT_VERB(sets_keep_alive, dw_transport_set_keep_alive(t->protocol.transport, true))

/* ---- Datagrams ---- */

static void opens_udp(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    who->uses_datagrams = true;
    complain(who, "listen_udp",
             dw_reactor_listen_udp(who->reactor, (uint16_t)a->number, &who->ear, NULL,
                                   DW_UDP_PAYLOAD_MAX, NULL));
}

static void opens_udp_by_ipv6(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    who->uses_datagrams = true;
    complain(who, "listen_udp",
             dw_reactor_listen_udp(who->reactor, (uint16_t)a->number, &who->ear,
                                   "::", DW_UDP_PAYLOAD_MAX, NULL));
}

static void connects_udp(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    complain(who, "connect", dw_datagram_connect(who->ear.transport, host_text(p, a), a->port));
}

static void send_to(play *p, actor *who, const void *data, size_t len, const argument *to) {
    dw_address address = address_of(p, to);
    bool connected = dw_datagram_peer(who->ear.transport).kind != DW_ADDRESS_NONE;
    ssize_t n = dw_datagram_write(who->ear.transport, data, len, connected ? NULL : &address);
    complain(who, "write", n < 0 ? (int)n : 0);
}

static void sends_by_ipv6(play *p, actor *who, talk *t, const argument *a) {
    dw_address to = {0};
    (void)t;
    dw_address_parse(&to, p->actors[a[1].host % ACTORS_MAX].address6, a[1].port);
    ssize_t n = dw_datagram_write(who->ear.transport, a[0].text, a[0].len, &to);
    complain(who, "write", n < 0 ? (int)n : 0);
}

static void sends(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    send_to(p, who, a->text, a->len, &a[1]);
}

static void sends_bytes(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    char *bytes = letters(a->number);
    if (bytes != NULL) {
        send_to(p, who, bytes, a->number, &a[1]);
    }
    free(bytes);
}

static void joins(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    complain(who, "join_group", dw_datagram_join_group(who->ear.transport, a->text, who->address));
}

static void leaves(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    complain(who, "leave_group",
             dw_datagram_leave_group(who->ear.transport, a->text, who->address));
}

static void sends_by_interface(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    (void)a;
    complain(who, "set_outgoing_interface",
             dw_datagram_set_outgoing_interface(who->ear.transport, who->address));
}

static void stops_udp_reading(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    (void)a;
    dw_datagram_pause_producing(who->ear.transport);
}

static void udp_reads_on(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    (void)a;
    dw_datagram_resume_producing(who->ear.transport);
}

/* ---- Children ---- */

static void spawn(actor *who, const char *program, const char *word) {
    const char *argv[] = {program, word, NULL};
    who->uses_child = !complain(who, "spawn",
                                dw_reactor_spawn_process(who->reactor, &who->parent,
                                                         &(dw_spawn_options){.argv = argv}, NULL));
}

static void spawns(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    spawn(who, a->text, NULL);
}

static void spawns_with(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    spawn(who, a[0].text, a[1].text);
}

static void tells_child(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    dw_process_write(who->parent.transport, a->text, a->len);
}

static void closes_stdin(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    (void)a;
    dw_process_close_stdin(who->parent.transport);
}

static void signals_child(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    complain(who, "signal", dw_process_signal_process(who->parent.transport, a->text));
}

/* ---- The program and its machine ---- */

static void chooses(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    dw_reactor_log(who->reactor, "%s: %u", a[0].text,
                   (unsigned)dw_choose(who->reactor, a[0].text, (uint32_t)a[1].number));
}

/* Wall clock and monotonic clock, since the run began, in milliseconds; a world's wall clocks begin
 * at 2026-01-01T00:00:00Z. */
static void tell_time(void *user) {
    actor *who = user;
    dw_time wall = dw_reactor_wall_clock(who->reactor) - DW_SEC(1767225600);
    dw_reactor_log(who->reactor, "the wall clock shows %lld ms, the other %lld ms",
                   (long long)(wall / DW_MSEC(1)),
                   (long long)(dw_reactor_now(who->reactor) / DW_MSEC(1)));
}

static void tells_time(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    (void)a;
    tell_time(who);
}

static void tells_time_in(play *p, actor *who, talk *t, const argument *a) {
    (void)p;
    (void)t;
    dw_reactor_call_later(who->reactor, &who->alarm, a->time, tell_time, who);
}

static void is_killed(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    (void)a;
    p->stage->kill(who);
}

static void loses_power(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    (void)a;
    p->stage->crash(who);
}

static void starts_again(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    (void)a;
    p->stage->start(who);
}

static void stalls(play *p, actor *who, talk *t, const argument *a) {
    (void)t;
    p->stage->stall(who, a->time);
}

const verb actor_verbs[] = {
    {"listens on %n", false, listens},
    {"listens on %n with backlog %n", false, listens_with},
    {"stops listening", false, stops_listening},
    {"connects to %a", false, connects},
    {"connects to %a within %t", false, connects_within},
    {"connects to %a %n times", false, connects_often},
    {"connects by name to %a", false, connects_by_name},
    {"listens on %n by ipv6", false, listens_by_ipv6},
    {"connects to %a by ipv6", false, connects_by_ipv6},
    {"listens at unix %s", false, listens_unix},
    {"connects to unix %s", false, connects_unix},
    {"opens unix datagrams %s", false, opens_unix},
    {"sends %s to unix %s", false, sends_unix},
    {"writes %s", true, writes},
    {"writes %n bytes", true, writes_bytes},
    {"closes", true, closes},
    {"ends its stream", true, ends_its_stream},
    {"aborts", true, aborts},
    {"stops reading", true, stops_reading},
    {"reads on", true, reads_on},
    {"sets no-delay", true, sets_no_delay},
    {"sets keep-alive", true, sets_keep_alive},
    {"opens udp %n", false, opens_udp},
    {"opens udp %n by ipv6", false, opens_udp_by_ipv6},
    {"sends %s to %a by ipv6", false, sends_by_ipv6},
    {"connects udp to %a", false, connects_udp},
    {"sends %s to %a", false, sends},
    {"sends %n bytes to %a", false, sends_bytes},
    {"joins %s", false, joins},
    {"leaves %s", false, leaves},
    {"sends to groups by its network", false, sends_by_interface},
    {"stops reading datagrams", false, stops_udp_reading},
    {"reads datagrams again", false, udp_reads_on},
    {"spawns %s", false, spawns},
    {"spawns %s with %s", false, spawns_with},
    {"tells its child %s", false, tells_child},
    {"closes its child's stdin", false, closes_stdin},
    {"sends its child %s", false, signals_child},
    {"chooses %s of %n", false, chooses},
    {"tells the time", false, tells_time},
    {"tells the time in %t", false, tells_time_in},
    {"is killed", false, is_killed},
    {"loses power", false, loses_power},
    {"starts again", false, starts_again},
    {"stalls for %t", false, stalls},
    {NULL, false, NULL},
};
