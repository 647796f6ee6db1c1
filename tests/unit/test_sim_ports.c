/* SPDX-License-Identifier: MIT */
/*
 * Which port a new connection gets, once all have been given out: the next one in turn that leads
 * nowhere near (ip(7), ip_local_port_range; ports.c). What the maps say is compared with what the
 * connections say.
 */
#include "sim_support.h"

#include <stream.h>

enum { MANY = 24, FIRST = 40000, LAST = 40015 };

static pair p;
static side clients[MANY], servers[MANY];
static dw_factory crowd;
static unsigned accepted, asked[MANY];

static dw_protocol *crowd_build(dw_factory *f, const dw_address *peer) {
    (void)f;
    for (unsigned i = 0; i < MANY; i++) {
        if (servers[i].built == servers[i].lost) {
            accepted++;
            return side_build(&servers[i].factory.base, peer);
        }
    }
    return NULL;
}

static void crowd_listen(uint16_t port) {
    static const dw_factory_class cls = {.name = "crowd", .build_protocol = crowd_build};
    accepted = 0;
    memset(asked, 0, sizeof(asked));
    dw_factory_init(&crowd, &cls);
    ck_assert_int_eq(dw_reactor_listen_tcp(p.server.reactor, port, &crowd, 100, NULL, NULL), 0);
    for (unsigned i = 0; i < MANY; i++) {
        side_init(&servers[i], p.server.reactor);
        side_init(&clients[i], p.client.reactor);
    }
}

/* ---- What the connections say ---- */

static bool is_used(const dw_host *host, const dw_host *to, uint16_t to_port, uint16_t port) {
    for (sim_end *end = host->ends; end != NULL; end = *end_next(end)) {
        uint32_t over = end->flags & (E_CLOSED | E_FIN_SEEN);
        if (end->port == port && end_host(peer_of(end)) == to && peer_of(end)->port == to_port &&
            (end->flags & E_DEAD) == 0 && over != (E_CLOSED | E_FIN_SEEN)) {
            return true;
        }
    }
    return false;
}

static uint16_t expected(const dw_host *host, const dw_host *to, uint16_t to_port) {
    uint16_t port = host->next_port;
    for (int i = 0; i <= LAST - FIRST; i++) {
        if (!is_used(host, to, to_port, port)) {
            return port;
        }
        port = port == LAST ? FIRST : (uint16_t)(port + 1);
    }
    return 0;
}

static void expect_agreement(uint16_t to_port) {
    uint16_t next = p.client_host->next_port;
    uint16_t wanted = expected(p.client_host, p.server_host, to_port);
    ck_assert_uint_eq(sim_port_pick(p.client_host, p.server_host, to_port), wanted);
    p.client_host->next_port = next;
}

/* Only the server closes in good order, so that no TIME_WAIT is the client's. One connection each
 * at a time. */
static void something(dw_world *w, uint64_t r) {
    size_t i = r / 8 % MANY;
    side *client = &clients[i], *server = &servers[i];
    bool connected = client->made > client->lost;
    switch (r % 8) {
    case 0:
    case 1:
    case 2:
        if (asked[i] == client->lost + client->failed) {
            asked[i]++;
            side_connect(client, "10.0.0.1", r / 1024 % 2 ? 81 : 82);
        }
        break;
    case 3:
        if (connected) {
            dw_transport_abort_connection(client->protocol.transport);
        }
        break;
    case 4:
    case 5:
        if (server->made > server->lost) {
            dw_transport_lose_connection(server->protocol.transport);
        }
        break;
    case 6:
        if (r / 4096 % 64 == 0) {
            dw_world_partition_one_way(w, p.server_host, p.client_host);
            dw_world_run(w, DW_MSEC(2));
            dw_world_repair(w, p.server_host, p.client_host);
        }
        break;
    default:
        dw_world_run(w, DW_USEC(700));
    }
}

CALM_TEST(the_next_one_in_turn_that_leads_elsewhere) {
    pair_hosts(&p, w);
    crowd_listen(81);
    ck_assert_int_eq(dw_reactor_listen_tcp(p.server.reactor, 82, &crowd, 100, NULL, NULL), 0);
    dw_host_set_ports(p.client_host, FIRST, LAST);
    uint64_t r = 1;
    for (int i = 0; i < 20000; i++) {
        r = mix64(r + UINT64_C(0x9e3779b97f4a7c15));
        something(w, r);
        expect_agreement(81);
        expect_agreement(82);
        dw_world_run(w, DW_USEC(100));
    }
    ck_assert_uint_gt(accepted, 1000);
}

/* ---- Once round and on ---- */

static unsigned rounds, wrong;
static dw_delayed_call next_round;

static void connect_again(void *user) {
    side_connect(user, "10.0.0.1", 80);
}

static void end_it(side *s) {
    dw_transport_lose_connection(s->protocol.transport);
}

static void go_round(side *s) {
    if (++rounds < 60000) {
        dw_reactor_call_later(s->reactor, &next_round, DW_MSEC(3), connect_again, s);
    }
}

/* Linux: 28,232 ports, ip_local_port_range. */
static void check_port(side *s) {
    unsigned nth = s->made - 1;
    wrong += dw_transport_peer(s->protocol.transport).port != 32768 + nth % 28232;
}

/* 12,000 of them are in TIME_WAIT at any time. When each connection looked at all of these, once
 * the ports had gone round, this took three times as long. */
CALM_TEST(sixty_thousand_connections_that_close) {
    memset(&next_round, 0, sizeof(next_round));
    rounds = wrong = 0;
    pair_hosts(&p, w);
    p.client.on_made = end_it;
    p.client.on_lost = go_round;
    p.server.on_made = check_port;
    connect_again(&p.client);
    dw_world_run(w, DW_MIN(10));
    ck_assert_uint_eq(rounds, 60000);
    ck_assert_uint_eq(p.server.made, 60000);
    ck_assert_uint_eq(wrong, 0);
}

int main(void) {
    Suite *suite = suite_create("sim_ports");
    TCase *tc = tcase_create("ports");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_next_one_in_turn_that_leads_elsewhere);
    tcase_add_test(tc, sixty_thousand_connections_that_close);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
