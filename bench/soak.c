/* SPDX-License-Identifier: MIT */
/*
 * soak [SECONDS [CONNECTIONS [POLLER [SEED]]]]: one process full of connections that open and close
 * at random over loopback, with echoes that are checked byte for byte, half closes, aborts on
 * either side, attempts that are given up, slow readers and silent ones. At the end all must be
 * over and nothing left: no descriptor, no memory, no delayed call; and while it ran, nobody who
 * waited for the wire may have waited much longer than all did on the average. The exit status
 * tells.
 *
 * Both ends are in this process, two descriptors a connection; where the limit on descriptors is
 * lower than asked for, there are as many connections as fit.
 */
#include <drywire/drywire.h>
#include <drywire/real.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Who waits for the wire longer than both has starved. How long a wait is depends on the machine
 * and on what else it does, but on a fair poller they are alike: with 10,000 connections the
 * longest is 3 to 6 times the mean on all three, and 0.5 to 3 seconds on two busy cores. A fault by
 * which the io_uring one let some wait for a buffer again and again made it 26 times, 4.5 to 13
 * seconds; the mean hardly changed. */
#define STARVED_TIMES 12
#define STARVED_LEAST DW_SEC(2)

#define END_LIMIT   DW_SEC(60) /* the longest the end may take */
#define NOT_HERE    77 /* the exit status when this system has no such poller: CTest's "skipped" */
#define TICK        DW_MSEC(100)
#define FDS_SPARE   400
#define MESSAGE_MAX 16384
#define SLOW_LEN    300000
#define PATTERN     251   /* a prime: a piece that is lost, doubled or moved does not fit */
#define RECV_ROOM   65536 /* no data_received gets more */
#define ADDRESSES   250   /* of 127.0.0.0/8: ports in TIME_WAIT are counted per pair of addresses */
#define PORTS                                                                       \
    16 /* so that no queue of connections to accept overflows (somaxconn): what the \
          kernel drops there waits for seconds, whatever a reactor does */
#define MESSAGES_MAX 6

enum plan { CLOSE, HALF_CLOSE, ABORT, SLOW, SILENT, GIVE_UP, PLANS };
static const char *const plan_names[PLANS] = {"close",       "half close", "abort",
                                              "slow reader", "silent",     "given up"};

/* A client: its factory, its protocol and what it is doing; used again and again. */
struct slot {
    dw_client_factory factory;
    dw_protocol protocol;
    dw_delayed_call next; /* to open, to read on, to end a silence */
    enum plan plan;
    unsigned messages_left, start; /* start: where in the pattern its stream begins */
    size_t sent, received;
    dw_time since; /* of the last progress */
    bool open;     /* an attempt or a connection is under way */
    bool waiting;  /* of its own will: does not starve */
};

struct server_conn {
    dw_protocol protocol;
    dw_producer producer;
};

static struct soak {
    dw_reactor *reactor;
    dw_factory factory;
    uint16_t ports[PORTS];
    struct slot *slots;
    unsigned count, open;
    dw_delayed_call tick;
    dw_time end;
    bool ending, stuck;
    uint64_t random;

    unsigned long attempts, made, failed, by_plan[PLANS];
    unsigned long lost_done, lost_lost, lost_aborted, lost_other, wrong;
    unsigned long long echoed, waits;
    dw_time longest, waited; /* of a wait; all of them together */
    size_t blocks, bytes, bytes_peak;
    char failure[100]; /* why the last attempt failed that did */
} soak;

static uint8_t pattern[PATTERN + RECV_ROOM];

/* ---- Chance: splitmix64 ---- */

static uint32_t chance(uint32_t n) {
    uint64_t z = soak.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) >> 32) % n;
}

/* ---- Memory that is counted: the size sits in front of each block ---- */

union header {
    size_t size;
    max_align_t align;
};

static void account(size_t blocks, size_t bytes) {
    soak.blocks += blocks;
    soak.bytes += bytes;
    soak.bytes_peak = soak.bytes > soak.bytes_peak ? soak.bytes : soak.bytes_peak;
}

static void *counted_resize(void *user, void *block, size_t size, const char *where) {
    (void)user, (void)where;
    union header *old = block != NULL ? (union header *)block - 1 : NULL;
    size_t old_size = old != NULL ? old->size : 0;
    union header *header = realloc(old, sizeof(*header) + size);
    if (header == NULL) {
        return NULL;
    }
    account(old == NULL, size - old_size);
    header->size = size;
    return header + 1;
}

static void *counted_alloc(void *user, size_t size, const char *where) {
    return counted_resize(user, NULL, size, where);
}

static void counted_release(void *user, void *block) {
    (void)user;
    if (block != NULL) {
        union header *header = (union header *)block - 1;
        soak.blocks--;
        soak.bytes -= header->size;
        free(header);
    }
}

static const dw_allocator counting = {counted_alloc, counted_resize, counted_release, NULL};

/* ---- The server: an echo that reads no faster than it is read, and ends now and then ---- */

static struct server_conn *conn_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, struct server_conn, protocol);
}

static void server_pause(dw_producer *producer) {
    dw_transport_pause_producing(
        DW_CONTAINER_OF(producer, struct server_conn, producer)->protocol.transport);
}

static void server_resume(dw_producer *producer) {
    dw_transport_resume_producing(
        DW_CONTAINER_OF(producer, struct server_conn, producer)->protocol.transport);
}

static void server_stop(dw_producer *producer) {
    (void)producer;
}

static const dw_producer_class server_producer = {.name = "echo",
                                                  .pause_producing = server_pause,
                                                  .resume_producing = server_resume,
                                                  .stop_producing = server_stop};

static void server_made(dw_protocol *p) {
    if (dw_transport_register_producer(p->transport, &conn_of(p)->producer, true) != 0) {
        dw_transport_abort_connection(p->transport);
    }
}

static void server_data(dw_protocol *p, const uint8_t *data, size_t len) {
    dw_transport_write(p->transport, data, len);
    uint32_t whim = chance(500);
    if (whim == 0) {
        dw_transport_abort_connection(p->transport);
    } else if (whim == 1) {
        dw_transport_unregister_producer(p->transport);
        dw_transport_lose_connection(p->transport);
    }
}

/* All that was asked for has been read; the rest of the answer goes out, then the end. */
static void server_read_lost(dw_protocol *p) {
    dw_transport_unregister_producer(p->transport);
    dw_transport_lose_connection(p->transport);
}

static void server_destroy(dw_protocol *p) {
    dw_free(soak.reactor, conn_of(p));
}

static const dw_protocol_class server_class = {.name = "soak server",
                                               .connection_made = server_made,
                                               .data_received = server_data,
                                               .read_connection_lost = server_read_lost,
                                               .destroy = server_destroy};

static dw_protocol *server_build(dw_factory *factory, const dw_address *peer) {
    (void)factory, (void)peer;
    struct server_conn *conn = dw_new(soak.reactor, struct server_conn);
    if (conn == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&conn->protocol, &server_class);
    conn->producer.cls = &server_producer;
    return &conn->protocol;
}

static const dw_factory_class server_factory = {.name = "soak server",
                                                .build_protocol = server_build};

/* ---- Clients ---- */

static void open_slot(void *user);

static void look_at(const struct slot *slot, dw_time now) {
    if (slot->open && !slot->waiting && now - slot->since > soak.longest) {
        soak.longest = now - slot->since;
    }
}

static void progress(struct slot *slot) {
    dw_time now = dw_reactor_now(soak.reactor);
    look_at(slot, now);
    if (slot->open && !slot->waiting) {
        soak.waits++;
        soak.waited += now - slot->since;
    }
    slot->since = now;
}

static dw_time mean_wait(void) {
    return soak.waits > 0 ? soak.waited / (dw_time)soak.waits : 0;
}

static struct slot *slot_of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, struct slot, protocol);
}

static void later(struct slot *slot, uint32_t ms_max, dw_delayed_fn fn) {
    dw_reactor_call_later(soak.reactor, &slot->next, DW_USEC(chance(ms_max * 1000)), fn, slot);
}

static void wait_by_will(struct slot *slot, uint32_t ms_max, dw_delayed_fn fn) {
    progress(slot);
    slot->waiting = true;
    later(slot, ms_max, fn);
}

static void send_bytes(struct slot *slot, size_t len) {
    while (len > 0) {
        size_t piece = len < MESSAGE_MAX ? len : MESSAGE_MAX;
        dw_transport_write(slot->protocol.transport, pattern + (slot->start + slot->sent) % PATTERN,
                           piece);
        slot->sent += piece;
        len -= piece;
    }
}

static void finish(void *user) {
    struct slot *slot = user;
    slot->waiting = false;
    slot->since = dw_reactor_now(soak.reactor);
    if (slot->plan == HALF_CLOSE) {
        dw_transport_lose_write_connection(slot->protocol.transport);
    } else {
        dw_transport_lose_connection(slot->protocol.transport);
    }
}

static void step(struct slot *slot) {
    if (slot->messages_left > 0) {
        slot->messages_left--;
        send_bytes(slot, 1 + chance(MESSAGE_MAX));
        if (slot->plan == ABORT && slot->messages_left == 0) {
            dw_transport_abort_connection(slot->protocol.transport);
        } else if (slot->plan == HALF_CLOSE && slot->messages_left == 0) {
            finish(slot); /* the answer comes after the half close */
        }
    } else if (slot->plan == SILENT && !soak.ending) {
        wait_by_will(slot, 2000, finish);
    } else {
        finish(slot);
    }
}

static void read_on(void *user) {
    struct slot *slot = user;
    slot->waiting = false;
    slot->since = dw_reactor_now(soak.reactor);
    dw_transport_resume_producing(slot->protocol.transport);
}

static void read_later(struct slot *slot) {
    dw_transport_pause_producing(slot->protocol.transport);
    wait_by_will(slot, 20, read_on);
}

static void client_made(dw_protocol *p) {
    struct slot *slot = slot_of(p);
    soak.made++;
    progress(slot);
    if (slot->plan == SLOW) {
        slot->messages_left = 0;
        send_bytes(slot, SLOW_LEN);
        read_later(slot);
    } else {
        step(slot);
    }
}

static void client_data(dw_protocol *p, const uint8_t *data, size_t len) {
    struct slot *slot = slot_of(p);
    progress(slot);
    if (memcmp(data, pattern + (slot->start + slot->received) % PATTERN, len) != 0 ||
        slot->received + len > slot->sent) {
        soak.wrong++;
    }
    slot->received += len;
    soak.echoed += len;
    if (slot->received >= slot->sent) {
        if (slot->plan != HALF_CLOSE || slot->messages_left > 0) {
            step(slot);
        }
    } else if (slot->plan == SLOW) {
        read_later(slot);
    }
}

static void client_lost(dw_protocol *p, const dw_reason *reason) {
    struct slot *slot = slot_of(p);
    progress(slot);
    (void)dw_delayed_call_cancel(&slot->next);
    soak.lost_done += reason->kind == DW_CONNECTION_DONE;
    soak.lost_lost += reason->kind == DW_CONNECTION_LOST;
    soak.lost_aborted += reason->kind == DW_CONNECTION_ABORTED;
    soak.lost_other += reason->kind != DW_CONNECTION_DONE && reason->kind != DW_CONNECTION_LOST &&
                       reason->kind != DW_CONNECTION_ABORTED;
}

static const dw_protocol_class client_class = {.name = "soak client",
                                               .connection_made = client_made,
                                               .data_received = client_data,
                                               .connection_lost = client_lost};

static dw_protocol *client_build(dw_factory *factory, const dw_address *peer) {
    (void)peer;
    struct slot *slot = DW_CONTAINER_OF(factory, struct slot, factory.base);
    dw_protocol_init(&slot->protocol, &client_class);
    return &slot->protocol;
}

static void slot_over(struct slot *slot) {
    slot->open = slot->waiting = false;
    soak.open--;
    if (!soak.ending) {
        later(slot, 50, open_slot);
    }
}

static void client_failed(dw_client_factory *factory, dw_connector *connector,
                          const dw_reason *reason) {
    (void)connector;
    struct slot *slot = DW_CONTAINER_OF(factory, struct slot, factory);
    progress(slot);
    if (reason->kind != DW_USER_ERROR) {
        soak.failed++;
        dw_reason_format(reason, soak.failure, sizeof(soak.failure));
    }
    slot_over(slot);
}

static void client_over(dw_client_factory *factory, dw_connector *connector,
                        const dw_reason *reason) {
    (void)connector, (void)reason;
    slot_over(DW_CONTAINER_OF(factory, struct slot, factory));
}

static const dw_client_factory_class client_factory = {
    .base = {.name = "soak client", .build_protocol = client_build},
    .client_connection_failed = client_failed,
    .client_connection_lost = client_over,
};

static void open_slot(void *user) {
    struct slot *slot = user;
    dw_connector *connector;
    char host[DW_ADDRESS_TEXT_MAX];
    if (soak.ending) {
        return;
    }
    snprintf(host, sizeof(host), "127.0.0.%u", 1 + (unsigned)(slot - soak.slots) % ADDRESSES);
    slot->plan = (enum plan)chance(PLANS);
    slot->messages_left = 1 + chance(MESSAGES_MAX);
    slot->start = chance(PATTERN);
    slot->sent = slot->received = 0;
    slot->open = true;
    slot->waiting = false;
    slot->since = dw_reactor_now(soak.reactor);
    soak.open++;
    soak.attempts++;
    soak.by_plan[slot->plan]++;
    if (dw_reactor_connect_tcp(soak.reactor, host, soak.ports[chance(PORTS)], &slot->factory, -1,
                               NULL, &connector) != 0) {
        soak.failed++;
        slot_over(slot);
    } else if (slot->plan == GIVE_UP) {
        (void)dw_connector_stop_connecting(connector);
    }
}

/* ---- The run ---- */

static void end_if_over(dw_time now) {
    bool over = soak.open == 0 && dw_reactor_count(soak.reactor).connections == 0;
    soak.stuck = !over && now > soak.end + END_LIMIT;
    if (over || soak.stuck) {
        (void)dw_reactor_stop(soak.reactor);
    }
}

static void on_tick(void *user) {
    (void)user;
    dw_time now = dw_reactor_now(soak.reactor);
    soak.ending = now >= soak.end;
    for (unsigned i = 0; i < soak.count; i++) {
        struct slot *slot = &soak.slots[i];
        look_at(slot, now);
        if (soak.ending && !slot->open) {
            (void)dw_delayed_call_cancel(&slot->next);
        }
    }
    dw_reactor_call_later(soak.reactor, &soak.tick, TICK, on_tick, NULL);
    if (soak.ending) {
        end_if_over(now);
    }
}

static rlim_t descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

static unsigned open_descriptors(rlim_t limit) {
    unsigned count = 0;
    for (rlim_t fd = 0; fd < limit && fd < 1000000; fd++) {
        count += fcntl((int)fd, F_GETFD) >= 0;
    }
    return count;
}

static int set_up(const char *poller) {
    dw_poll_options options = {.allocator = &counting};
    soak.reactor = dw_live_reactor_new(poller, &options);
    soak.slots = calloc(soak.count, sizeof(*soak.slots));
    if (soak.reactor == NULL || soak.slots == NULL) {
        perror("soak: no reactor");
        return -1;
    }
    dw_factory_init(&soak.factory, &server_factory);
    for (int i = 0; i < PORTS; i++) {
        dw_port *port;
        int error = dw_reactor_listen_tcp(soak.reactor, 0, &soak.factory, 65535, NULL, &port);
        if (error != 0) {
            fprintf(stderr, "soak: %s\n", dw_strerror(error));
            return -1;
        }
        soak.ports[i] = dw_port_host(port).port;
    }
    for (unsigned i = 0; i < soak.count; i++) {
        dw_client_factory_init(&soak.slots[i].factory, &client_factory);
        later(&soak.slots[i], 1000, open_slot);
    }
    return 0;
}

/* What is wrong, one line each; returns how many. */
static int judge(unsigned fds_before, unsigned fds_after) {
    int bad = 0;
    const struct {
        bool wrong;
        const char *text;
    } findings[] = {
        {soak.wrong > 0, "bytes came back wrong"},
        {soak.lost_other > 0, "connections were lost for a reason that nobody gave"},
        {soak.stuck, "connections never ended"},
        {soak.longest > STARVED_LEAST && soak.longest / STARVED_TIMES > mean_wait(),
         "a connection starved"},
        {fds_after != fds_before, "descriptors leaked"},
        {soak.blocks != 0 || soak.bytes != 0, "memory leaked"},
        {soak.made == 0, "nothing was ever connected"},
    };
    for (size_t i = 0; i < sizeof(findings) / sizeof(findings[0]); i++) {
        if (findings[i].wrong) {
            printf("soak: WRONG: %s\n", findings[i].text);
            bad++;
        }
    }
    return bad;
}

static void report(double seconds) {
    printf("soak: %lu attempts (%.0f a second), %lu connected, %lu failed%s%s\n", soak.attempts,
           (double)soak.attempts / seconds, soak.made, soak.failed,
           soak.failed > 0 ? ", last: " : "", soak.failure);
    printf("soak: plans:");
    for (int i = 0; i < PLANS; i++) {
        printf(" %s %lu%s", plan_names[i], soak.by_plan[i], i + 1 < PLANS ? "," : "\n");
    }
    printf("soak: ends: done %lu, lost %lu, aborted %lu\n", soak.lost_done, soak.lost_lost,
           soak.lost_aborted);
    printf("soak: %.1f MB echoed, longest wait %.0f ms (mean %.1f ms), memory at most %.1f MB\n",
           (double)soak.echoed / 1e6, (double)soak.longest / 1e6, (double)mean_wait() / 1e6,
           (double)soak.bytes_peak / 1e6);
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 60;
    unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 10000;
    const char *poller = argc > 3 && strcmp(argv[3], "default") != 0 ? argv[3] : NULL;
    rlim_t limit = descriptor_limit();
    unsigned room = limit > FDS_SPARE ? (unsigned)((limit - FDS_SPARE) / 2) : 1;
    soak.count = count < room ? count : room;
    soak.random = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    if (seconds <= 0 || soak.count == 0) {
        fprintf(stderr, "usage: soak [SECONDS [CONNECTIONS [POLLER [SEED]]]]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i % PATTERN);
    }
    unsigned fds_before = open_descriptors(limit);
    if (set_up(poller) != 0) {
        return errno == ENOSYS ? NOT_HERE : 2;
    }
    printf("soak: %u connections on %s for %.0f s%s\n", soak.count,
           dw_live_reactor_poller(soak.reactor), seconds,
           soak.count < count ? " (as many as the limit on descriptors allows)" : "");
    fflush(stdout);
    soak.end = dw_reactor_now(soak.reactor) + (dw_time)(seconds * 1e9);
    dw_reactor_call_later(soak.reactor, &soak.tick, TICK, on_tick, NULL);
    int error = dw_reactor_run(soak.reactor);
    dw_delayed_call_cancel(&soak.tick);
    dw_reactor_counts left = dw_reactor_count(soak.reactor);
    dw_reactor_free(soak.reactor);
    free(soak.slots);
    report(seconds);
    int bad = judge(fds_before, open_descriptors(limit));
    if (error != 0 || left.connections + left.connecting + left.ports + left.delayed_calls > 0) {
        printf("soak: WRONG: %s; left: %zu connections, %zu attempts, %zu ports, %zu calls\n",
               dw_strerror(error), left.connections, left.connecting, left.ports,
               left.delayed_calls);
        bad++;
    }
    printf("soak: %s\n", bad == 0 ? "nothing leaked, nobody starved" : "FAILED");
    return bad == 0 ? 0 : 1;
}
