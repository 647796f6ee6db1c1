/* SPDX-License-Identifier: MIT */
/*
 * Hosts: a program's reactor on the dry wire, and the machine around it, which boots, is killed,
 * loses power, stalls. A host's turns are events of the world.
 *
 * Invariant: a host that is not up has no sockets, no memory and no event of its own queued.
 */
#include "datagram.h"
#include "hash.h"
#include "oracle.h"
#include "process.h"
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_FIRST = 16 };

typedef enum host_end_kind { END_NONE, END_KILL, END_CRASH } host_end_kind;

/* ---- Names and addresses ---- */

/* Where the host of that name stands in the table, or would: the first one of the name. */
static dw_host **name_place(dw_world *world, const char *name, uint64_t hash) {
    size_t i = mix64(hash) & (world->name_room - 1);
    dw_host *host;
    while ((host = world->names[i]) != NULL &&
           (host->name_hash != hash || strcmp(host->name, name) != 0)) {
        i = (i + 1) & (world->name_room - 1);
    }
    return &world->names[i];
}

dw_host *sim_host_by_name(dw_world *world, const char *name) {
    return world->name_room > 0 ? *name_place(world, name, sim_hash_text(HASH_START, name)) : NULL;
}

static void put_name(dw_world *world, dw_host *host) {
    dw_host **place = name_place(world, host->name, host->name_hash);
    *place = *place != NULL ? *place : host;
}

/* Lists the world's newest host; at most half of the table is in use. */
static void list_name(dw_world *world, dw_host *host) {
    if (world->host_count * 2 <= world->name_room) {
        put_name(world, host);
        return;
    }
    world->name_room = world->name_room > 0 ? world->name_room * 4 : NAMES_FIRST;
    world->names = sim_world_alloc(world, world->name_room * sizeof(*world->names));
    memset(world->names, 0, world->name_room * sizeof(*world->names));
    for (dw_host *each = world->hosts; each != NULL; each = each->next) {
        put_name(world, each);
    }
}

/* The network's part of IPv6 addresses: a unique local one (RFC 4193). The host's IPv4 address
 * stands in the last four bytes. */
static const uint8_t prefix6[12] = {0xfd};

/* 10.0.0.0/8 and fd00::10.0.0.0/104 in order of adding; 127.0.0.0/8 and ::1 are the host itself. */
dw_host *sim_host_by_address(dw_world *world, dw_host *from, const dw_address *address) {
    static const uint8_t loopback6[16] = {[15] = 1};
    const uint8_t *ip = address->ip;
    if (address->kind == DW_ADDRESS_IPV6) {
        if (memcmp(ip, loopback6, sizeof(loopback6)) == 0) {
            return from;
        }
        if (memcmp(ip, prefix6, sizeof(prefix6)) != 0) {
            return NULL;
        }
        ip += sizeof(prefix6);
    }
    if (ip[0] == 127 && address->kind == DW_ADDRESS_IPV4) {
        return from;
    }
    size_t index = (size_t)ip[1] << 16 | (size_t)ip[2] << 8 | ip[3];
    return ip[0] == 10 && index >= 1 && index <= world->host_count ? world->host_table[index - 1]
                                                                   : NULL;
}

dw_address dw_host_address(const dw_host *host) {
    dw_address address = {.kind = DW_ADDRESS_IPV4, .ip = {10}};
    address.ip[1] = (uint8_t)(host->index >> 16);
    address.ip[2] = (uint8_t)(host->index >> 8);
    address.ip[3] = (uint8_t)host->index;
    return address;
}

dw_address dw_host_address6(const dw_host *host) {
    dw_address address = {.kind = DW_ADDRESS_IPV6}, four = dw_host_address(host);
    memcpy(address.ip, prefix6, sizeof(prefix6));
    memcpy(address.ip + sizeof(prefix6), four.ip, 4);
    return address;
}

/* ---- Turns ---- */

static void schedule_turn(dw_host *host, dw_time due) {
    dw_world *world = host->world;
    dw_time at = due > world->now ? due : world->now;
    at = at > host->stalled_until ? at : host->stalled_until;
    if (host->turn.place != 0) {
        if (host->turn.at <= at) {
            return;
        }
        sim_queue_remove(&world->queue, &host->turn);
    }
    sim_world_schedule(world, &host->turn, at);
}

void sim_wake(dw_reactor *reactor, dw_time due) {
    dw_host *host = host_of(reactor);
    if (host->busy) {
        host->woken = true; /* seen to when it leaves */
    } else if (host->power == POWER_UP) {
        schedule_turn(host, due);
    }
}

static void close_duplicate(dw_world *world) {
    if (world->duplicate != NULL) {
        sim_duplicate_close(world);
    }
}

static void leave(dw_host *host) {
    sim_host_left(host);
    close_duplicate(host->world);
}

static void end_program(dw_host *host, host_end_kind how);

/* Whoever kills the host inside one of these callbacks has to wait for the last of them. */
static void stop_program(dw_host *host) {
    sim_host_enter(host);
    dw_reactor_shutdown(&host->reactor);
    dw_reactor_fini(&host->reactor);
    leave(host);
    end_program(host, host->ending != END_NONE ? (host_end_kind)host->ending : END_KILL);
}

/* When the reactor has something to do, if only to stop. */
static dw_time next_due(const dw_host *host) {
    return dw_reactor_stopping(&host->reactor) ? 0 : dw_reactor_next_due(&host->reactor);
}

void sim_host_leave_with_more_to_do(dw_host *host) {
    close_duplicate(host->world);
    if (!host->woken && host->ending == END_NONE) {
        return;
    }
    host->woken = false;
    if (host->ending != END_NONE) {
        end_program(host, (host_end_kind)host->ending);
        return;
    }
    dw_time due = next_due(host);
    if (due != DW_TIME_MAX) {
        schedule_turn(host, due);
    }
}

bool sim_host_turn_due(dw_host *host) {
    dw_time due = next_due(host);
    dw_world *world = host->world;
    if (host->power != POWER_UP || due == DW_TIME_MAX) {
        return false;
    }
    if (due > host->turn.at || host->stalled_until > host->turn.at) {
        due = due > host->stalled_until ? due : host->stalled_until;
        sim_world_schedule(world, &host->turn, due);
        return false;
    }
    return true;
}

void sim_host_next_turn(dw_host *host) {
    host->turns = host->turns < UINT16_MAX ? (uint16_t)(host->turns + 1) : 1;
}

void sim_host_turn(dw_host *host) {
    sim_host_next_turn(host);
    sim_host_enter(host);
    dw_reactor_turn_calls(&host->reactor);
    if (dw_reactor_stopping(&host->reactor) && host->ending == END_NONE &&
        dw_reactor_prepare_shutdown(&host->reactor) && host->ending == END_NONE) {
        leave(host);
        stop_program(host);
        return;
    }
    dw_reactor_turn_ready(&host->reactor);
    host->woken = true; /* its turn was taken out of the queue */
    sim_host_leave(host);
}

void sim_host_turn_first(dw_host *host) {
    sim_queue_remove(&host->world->queue, &host->turn);
    if (sim_host_turn_due(host)) {
        world_mark(host->world, EV_TURN);
        sim_host_turn(host);
    }
}

/* ---- Boot ---- */

void sim_host_observe_bytes(dw_host *host) {
    host->reactor.observe_bytes = sim_trace_observe;
}

static void boot(dw_host *host) {
    dw_world *world = host->world;
    dw_reactor_init(&host->reactor, &sim_wire, NULL);
    sim_memory_init_host(host);
    host->reactor.observe = sim_trace_observe;
    if (world->trace != NULL) {
        sim_host_observe_bytes(host);
    }
    host->reactor.observe_bytes = world->trace != NULL ? sim_trace_observe : NULL;
    host->power = POWER_UP;
    host->lives++;
    host->ending = END_NONE;
    host->stalled_until = 0;
    host->descriptors = 0;
    world_mark(world, 0x3001 + host->index);
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', host->name, "starts");
    }
    sim_host_enter(host);
    host->program = host->boot != NULL ? host->boot(&host->reactor, host->boot_user) : NULL;
    if (host->boot != NULL && host->program == NULL && host->ending == END_NONE) {
        host->ending = END_KILL;
    } else if (host->ending == END_NONE) {
        dw_reactor_startup(&host->reactor);
    }
    sim_host_leave(host);
}

static bool valid_name(const char *name) {
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
    return len > 0 && len <= 60 && name[len] == '\0';
}

dw_host *dw_world_add_host(dw_world *world, const char *name, dw_boot_fn boot_fn, void *user) {
    if (!valid_name(name) || sim_host_by_name(world, name) != NULL) {
        sim_world_finding(world, "contract", DW_HERE, "the host name '%s' is taken or not a name",
                          name);
    }
    dw_host *host = sim_world_alloc(world, sizeof(*host));
    memset(host, 0, sizeof(*host));
    size_t len = strlen(name) + 1;
    host->name = sim_world_alloc(world, len);
    memcpy(host->name, name, len);
    host->name_hash = sim_hash_text(HASH_START, name);
    host->world = world;
    host->boot = boot_fn;
    host->boot_user = user;
    host->turn.type = EV_TURN;
    host->turns = 1;
    host->next_port = host->port_first = SIM_PORT_FIRST;
    host->port_last = SIM_PORT_LAST;
    if (world->host_count == world->host_room) {
        world->host_room = world->host_room > 0 ? world->host_room * 2 : 16;
        world->host_table = realloc(world->host_table, world->host_room * sizeof(dw_host *));
        if (world->host_table == NULL) {
            abort();
        }
    }
    world->host_table[world->host_count++] = host;
    host->index = (uint32_t)world->host_count;
    if (world->hosts_tail != NULL) {
        world->hosts_tail->next = host;
    } else {
        world->hosts = host;
    }
    world->hosts_tail = host;
    list_name(world, host);
    boot(host);
    return host;
}

/* ---- The ends of a program ---- */

static void end_socket(sim_end *end, const dw_host *host, bool dark) {
    sim_conn *conn = conn_of(end);
    bool server = end->side == 1;
    if (end_host(end) != host || (end->flags & E_CLOSED) != 0 ||
        (server && (end->flags & E_ESTABLISHED) == 0)) {
        return;
    }
    if (dark) {
        conn->listener = server ? NULL : conn->listener; /* it was the server's */
        sim_stream_vanish(end);
    } else if (conn->listener == NULL || !server) {
        sim_stream_close(end, (end->flags & E_OPEN) == 0); /* RST in a handshake */
    }
}

/* The younger end of a connection within the host comes first in its list, then the other. */
static void end_sockets(dw_host *host, bool dark) {
    sim_end *next;
    for (sim_end *end = host->ends; end != NULL; end = next) {
        sim_conn *conn = conn_of(end);
        bool loop = peer_of(end)->link->from == host; /* both ends are in the list */
        next = *end_next(end);
        if (loop && next != NULL && conn_of(next) == conn) {
            next = *end_next(next);
        }
        conn->pins++;
        for (int i = 0; i < 2; i++) {
            end_socket(&conn->end[i], host, dark);
        }
        conn->pins--;
        sim_stream_release(conn);
    }
    while (host->listeners != NULL) {
        if (dark) {
            host->listeners->accept_head = NULL;
        }
        sim_listener_close(host->listeners);
    }
    sim_sockets_end(host);
}

static void end_program(dw_host *host, host_end_kind how) {
    dw_world *world = host->world;
    host->power = how == END_CRASH ? POWER_DEAD : POWER_OFF;
    world->turn_end = NULL;
    host->program = NULL;
    host->ending = END_NONE;
    sim_lookups_end(host);
    end_sockets(host, how == END_CRASH);
    if (how == END_CRASH) {
        sim_timewait_forget(host);
    }
    sim_processes_end(host, how == END_CRASH);
    sim_queue_remove(&world->queue, &host->turn);
    dw_reactor_forget(&host->reactor);
    sim_memory_drop(host);
    dw_reactor_init(&host->reactor, &sim_wire, NULL);
    world_mark(world, 0x3002 + host->index);
}

static void end_soon(dw_host *host, host_end_kind how, const char *text) {
    if (host->power != POWER_UP) {
        return;
    }
    if (host->world->trace != NULL) {
        sim_trace_add(host->world, ' ', host->name, "%s", text);
    }
    if (host->busy) {
        host->ending = (uint8_t)how; /* when the callback has returned */
    } else {
        end_program(host, how);
    }
}

void dw_host_kill(dw_host *host) {
    end_soon(host, END_KILL, "is killed");
}

void dw_host_crash(dw_host *host) {
    end_soon(host, END_CRASH, "loses power");
}

void dw_host_restart(dw_host *host) {
    if (host->power != POWER_UP) {
        boot(host);
    }
}

void dw_host_stop(dw_host *host) {
    if (host->power == POWER_UP && dw_reactor_stop(&host->reactor) == 0) {
        schedule_turn(host, host->world->now);
    }
}

/* One stall inside another does not end it. */
void dw_host_stall(dw_host *host, dw_time duration) {
    dw_world *world = host->world;
    dw_time until = time_add(world->now, duration);
    host->stalled_until = until > host->stalled_until ? until : host->stalled_until;
    world_mark(world, 0x3003 + host->index);
    if (world->trace != NULL) {
        sim_trace_add(world, ' ', host->name, "stalls for %lldus", (long long)(duration / 1000));
    }
}

void sim_host_wake(dw_host *host) {
    dw_world *world = host->world;
    dw_time until = host->stalled_until;
    if (until <= world->now) {
        return;
    }
    host->stalled_until = 0;
    sim_stream_wake(host);
    sim_sockets_wake(host);
    sim_processes_wake(host, until);
    for (sim_listener *l = host->listeners; l != NULL; l = l->next) {
        sim_queue_remove(&world->queue, &l->ready);
        sim_listener_poke(l);
    }
    sim_lookups_wake(host, until);
    if (host->turn.place != 0) {
        schedule_turn(host, world->now);
    }
}

/* What a program has not given back when it has ended in good order. */
static void check_left_over(dw_host *host) {
    size_t bytes, size;
    const char *where;
    size_t count = sim_memory_leaks(host, &bytes, &where, &size);
    where = sim_base_name(where);
    if (count > 0) {
        sim_world_finding(
            host->world, "leak", where,
            "%s: memory was not freed: %zu in number, the oldest of %zu bytes, from %s", host->name,
            count, size, where);
    }
}

void sim_host_end(dw_host *host, bool check_leaks) {
    if (host->power == POWER_UP && check_leaks) {
        sim_host_enter(host);
        dw_reactor_shutdown(&host->reactor);
        sim_leaks_open(host); /* first: an attempt has delayed calls of its own */
        const char *call = dw_reactor_pending_call(&host->reactor);
        if (call != NULL) {
            call = sim_base_name(call);
            sim_world_finding(
                host->world, "leak", call,
                "%s: %zu delayed calls are pending after the end; the next was armed at %s",
                host->name, dw_reactor_count(&host->reactor).delayed_calls, call);
        }
        sim_leaks_mark_children(host);
        dw_reactor_fini(&host->reactor);
        leave(host);
        check_left_over(host);
    }
    sim_memory_drop(host);
    host->power = POWER_OFF;
}

/* ---- The slots of the wire that are not about sockets ---- */

dw_time sim_now(dw_reactor *reactor) {
    return host_of(reactor)->world->now;
}

/* The same bytes in every run: a run depends on its deviations only. */
void sim_random(dw_reactor *reactor, void *buffer, size_t len) {
    dw_host *host = host_of(reactor);
    uint8_t *out = buffer;
    uint64_t r = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) {
            r = mix64(host->name_hash + UINT64_C(0x9e3779b97f4a7c15) * ++host->randoms);
        }
        out[i] = (uint8_t)(r >> (8 * (i % 8)));
    }
}

uint32_t sim_choose(dw_reactor *reactor, const char *what, uint32_t n) {
    dw_host *host = host_of(reactor);
    return sim_choice_user(host->world, (sim_who){WHO_HOST, host}, host->name_hash, what, n);
}

void sim_violation(dw_reactor *reactor, const char *oracle, const char *message) {
    dw_host *host = host_of(reactor);
    sim_world_finding(host->world, oracle, host->name, "%s: %s", host->name, message);
}

void sim_log(dw_reactor *reactor, const char *line) {
    dw_host *host = host_of(reactor);
    if (host->world->trace != NULL) {
        sim_trace_add(host->world, ' ', host->name, "log: %s", line);
    }
}

/* ---- Facts ---- */

dw_reactor *dw_host_reactor(dw_host *host) {
    return &host->reactor;
}

const char *dw_host_name(const dw_host *host) {
    return host->name;
}

void *dw_host_program(const dw_host *host) {
    return host->program;
}

bool dw_host_is_up(const dw_host *host) {
    return host->power == POWER_UP;
}
