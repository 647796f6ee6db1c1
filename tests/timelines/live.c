/* SPDX-License-Identifier: MIT */
/*
 * A page played by the kernel: each host is a network namespace of its own with a reactor of its
 * own, and a router in between, which loses what the scenario says is lost. One thread plays all of
 * them in turn; it enters a host's namespace before it runs its reactor, so that sockets are made
 * there. Needs Linux, iproute2, and the right to make namespaces.
 *
 * The `compared:` line may go on with ", KEY=VALUE" for sysctls of every namespace and with ", N
 * times as fast" for the scenario's times.
 */
#define _GNU_SOURCE
#include "namespaces.h"
#include "play.h"

#include <drywire/real.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)

#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

/* How long nothing more must happen once all is as expected: an answer too many would show. */
#define QUIET DW_MSEC(50)

/* How long the kernel has for any scenario: a SYN that a fresh interface has lost comes again. */
#define PATIENCE DW_SEC(10)

/* Of a link with a bandwidth: what leaves it at once, and all that may ever wait. */
enum { BUCKET = 1600, QUEUE_MAX = 10000000, HELD_TABLE = 100, PACKET_MAX = 65536 };

static int tunnel = -1;     /* packets of links that are held */
static const char *lacking; /* what the page needs and this machine does not have */
static int router;          /* its namespace */
static bool has_ipv6;
static uint64_t speed;
static dw_time began;

/* ---- Setting up ---- */

/* What follows "namespaces" in the line: settings and the speed. */
static bool apply(const play *p, const char *compared) {
    char text[TEXT_MAX * 2];
    bool good = ns_set_sysctl(router, "net.ipv4.ip_forward=1");
    snprintf(text, sizeof(text), "%s", compared);
    for (char *word = strtok(text, ","); word != NULL; word = strtok(NULL, ",")) {
        word += strspn(word, " ");
        for (unsigned i = 0; strchr(word, '=') != NULL && i < p->actor_count; i++) {
            good = ns_set_sysctl(p->actors[i].ns, word) && good;
        }
        if (strstr(word, "times as fast") != NULL) {
            speed = strtoull(word, NULL, 10);
        }
    }
    return good;
}

static const char *set_up(play *p, const char *compared) {
    speed = 1;
    lacking = NULL;
    if (!ns_become_root() || (router = ns_new()) < 0) {
        return "no right to make namespaces";
    }
    if (system("ip -V >/dev/null 2>&1") != 0) {
        return "no ip (iproute2)";
    }
    has_ipv6 = ns_set_sysctl(router, "net.ipv6.conf.all.forwarding=1");
    for (unsigned i = 0; i < p->actor_count; i++) {
        p->actors[i].ns = ns_new();
        if (p->actors[i].ns < 0 || !ns_wire_up(router, &p->actors[i])) {
            return "no virtual network";
        }
        has_ipv6 = ns_wire_up_ipv6(router, &p->actors[i]) && has_ipv6;
    }
    return apply(p, compared) ? NULL : "a sysctl cannot be set";
}

/* ---- The stage ---- */

static dw_time now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return DW_SEC(t.tv_sec) + t.tv_nsec;
}

/* A tun device of the router that a table of routes leads to; -1: there is none to be had. */
static int open_tunnel(void) {
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int before = ns_enter(router);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(request.ifr_name, sizeof(request.ifr_name), "held");
    bool good = fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0;
    ns_enter(before);
    ns_set_sysctl(router, "net.ipv4.conf.all.rp_filter=0");
    good = good && ns_run(router,
                          "ip link set held up txqueuelen 10000 && ip route add default dev held "
                          "table %d",
                          HELD_TABLE);
    ns_set_sysctl(router, "net.ipv4.conf.held.rp_filter=0");
    if (!good) {
        lacking = "no tunnel (/dev/net/tun)";
    }
    return good ? fd : -1;
}

/* Packets that the router does not pass on; nobody hears of it. */
static void live_cut(play *p, actor *from, actor *to) {
    (void)p;
    ns_run(router, "ip rule add from %s to %s blackhole", from->address, to->address);
}

/* None of it need be there. */
static void live_repair(play *p, actor *a, actor *b) {
    (void)p;
    ns_run(router,
           "ip rule del from %s to %s blackhole 2>/dev/null;"
           "ip rule del from %s to %s blackhole 2>/dev/null",
           a->address, b->address, b->address, a->address);
}

/* What is held goes into a tunnel of the router, whose other end is this program: it keeps the
 * packets there, and puts them back in when the link is released. */
static void live_hold(play *p, actor *from, actor *to) {
    (void)p;
    if (tunnel < 0) {
        tunnel = open_tunnel();
    }
    ns_run(router, "ip rule add from %s to %s lookup %d", from->address, to->address, HELD_TABLE);
}

static void live_release(play *p, actor *a, actor *b) {
    char packet[PACKET_MAX];
    ssize_t len;
    (void)p;
    ns_run(router,
           "ip rule del from %s to %s lookup %d 2>/dev/null;"
           "ip rule del from %s to %s lookup %d 2>/dev/null",
           a->address, b->address, HELD_TABLE, b->address, a->address, HELD_TABLE);
    while (tunnel >= 0 && (len = read(tunnel, packet, sizeof(packet))) > 0) {
        if (write(tunnel, packet, (size_t)len) != len) {
            perror("tunnel");
        }
    }
}

static void live_kill(actor *who) {
    who->ending = true;
}

/* Nothing that it sends or is sent comes through any more; what it leaves is forgotten. */
static void live_crash(actor *who) {
    ns_run(router, "ip rule add from %s blackhole; ip rule add to %s blackhole", who->address,
           who->address);
    who->ending = who->crashed = true;
}

static void live_start(actor *who) {
    if (who->reactor != NULL) {
        return;
    }
    if (who->crashed) {
        ns_run(router, "ip rule del from %s blackhole; ip rule del to %s blackhole", who->address,
               who->address);
        who->crashed = false;
    }
    ns_enter(who->ns);
    dw_reactor *reactor = dw_poll_reactor_new(&(dw_poll_options){.no_signals = true});
    if (reactor == NULL) {
        perror("reactor");
        exit(EXIT_FAILURE);
    }
    actor_enter(who, reactor);
    actor_take(who, MOMENT_START, NULL);
}

static void live_stall(actor *who, dw_time duration) {
    who->stalled_until = now() + duration / (dw_time)speed;
}

static void live_latency(play *p, actor *a, actor *b, dw_time latency) {
    (void)p, (void)a, (void)b, (void)latency; /* times are not compared */
}

static void live_mtu(play *p, actor *a, actor *b, size_t mtu) {
    (void)p;
    ns_run(router, "ip link set r%u mtu %zu; ip link set r%u mtu %zu", a->index, mtu, b->index,
           mtu);
}

/* Of a listener these are inherited by what it accepts (tcp(7)). */
static void live_buffers(play *p, size_t send, size_t receive) {
    char text[100];
    for (unsigned i = 0; i < p->actor_count; i++) {
        snprintf(text, sizeof(text), "net.ipv4.tcp_wmem=4096 %zu %zu", send, send);
        ns_set_sysctl(p->actors[i].ns, text);
        snprintf(text, sizeof(text), "net.ipv4.tcp_rmem=4096 %zu %zu", receive, receive);
        ns_set_sysctl(p->actors[i].ns, text);
    }
}

/* net.core.rmem_default is not a namespace's own: left as it is. */
static void live_datagram_buffer(play *p, size_t bytes) {
    (void)p, (void)bytes;
}

/* Whole seconds (tcp(7)). */
static void live_keep_alive(play *p, dw_time idle, dw_time interval, unsigned probes) {
    char text[100];
    for (unsigned i = 0; i < p->actor_count; i++) {
        snprintf(text, sizeof(text), "net.ipv4.tcp_keepalive_time=%d", (int)(idle / DW_SEC(1)));
        ns_set_sysctl(p->actors[i].ns, text);
        snprintf(text, sizeof(text), "net.ipv4.tcp_keepalive_intvl=%d",
                 (int)(interval / DW_SEC(1)));
        ns_set_sysctl(p->actors[i].ns, text);
        snprintf(text, sizeof(text), "net.ipv4.tcp_keepalive_probes=%u", probes);
        ns_set_sysctl(p->actors[i].ns, text);
    }
}

static void live_ports(actor *who, uint16_t first, uint16_t last) {
    char text[100];
    snprintf(text, sizeof(text), "net.ipv4.ip_local_port_range=%u %u", first, last);
    ns_set_sysctl(who->ns, text);
}

/* One process plays all hosts: their limits cannot differ. */
static void live_descriptors(actor *who, size_t sockets) {
    (void)who, (void)sockets;
}

/* Varies by itself; only pages that are not compared ask for more. */
static void live_jitter(play *p, actor *a, actor *b, dw_time jitter) {
    (void)p, (void)a, (void)b, (void)jitter;
}

static void live_loss(play *p, actor *a, actor *b, uint32_t per_million) {
    (void)p, (void)a, (void)b, (void)per_million;
}

static void live_rule(play *p, const rule *r) {
    (void)p, (void)r;
}

static void live_name(play *p, const char *name, actor *first, actor *then) {
    (void)p, (void)name, (void)first, (void)then;
}

static void live_clock(actor *who, clock_change change, int64_t amount) {
    (void)who, (void)change, (void)amount;
}

/* A token bucket of one packet, towards each of them (tc-tbf(8)); behind it waits what a queue with
 * that packet in it holds. */
static void live_bandwidth(play *p, actor *a, actor *b, uint64_t bytes_per_second, size_t queue) {
    const actor *ends[] = {a, b};
    (void)p;
    for (int i = 0; i < 2; i++) {
        bool good =
            ns_run(router, "tc qdisc replace dev r%u root tbf rate %llubit burst %d limit %zu",
                   ends[i]->index, (unsigned long long)bytes_per_second * 8, BUCKET,
                   queue > BUCKET ? queue - BUCKET : QUEUE_MAX);
        lacking = good ? lacking : "no token bucket (tc-tbf(8))";
    }
}

static void live_weather(play *p, const char *name) {
    (void)p, (void)name; /* only pages that are not compared have any */
}

static void live_nagle(play *p) {
    (void)p; /* always there */
}

static const stage live_stage = {
    .kill = live_kill,
    .crash = live_crash,
    .start = live_start,
    .stall = live_stall,
    .cut = live_cut,
    .repair = live_repair,
    .hold = live_hold,
    .release = live_release,
    .bandwidth = live_bandwidth,
    .jitter = live_jitter,
    .loss = live_loss,
    .rule = live_rule,
    .name = live_name,
    .clock = live_clock,
    .latency = live_latency,
    .mtu = live_mtu,
    .buffers = live_buffers,
    .datagram_buffer = live_datagram_buffer,
    .keep_alive = live_keep_alive,
    .ports = live_ports,
    .descriptors = live_descriptors,
    .weather = live_weather,
    .nagle = live_nagle,
};

/* ---- Playing ---- */

/* As exit(2) closes them; dw_reactor_free would reset them. A machine without power has no state
 * either: its sockets are reset, which nobody hears. */
static void close_sockets(const actor *who) {
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (unsigned i = 0; i < who->talk_count; i++) {
        const talk *t = &who->talks[i];
        if (t->open) {
            struct linger linger = {who->crashed, 0};
            int fd = dw_transport_handle(t->protocol.transport);
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
            dup2(nothing, fd); /* the descriptor stays the library's to close */
        }
    }
    close(nothing);
}

static void end_if_asked(actor *who) {
    if (who->reactor == NULL || !who->ending) {
        return;
    }
    close_sockets(who);
    dw_reactor *reactor = who->reactor;
    actor_gone(who);
    dw_reactor_free(reactor);
}

static void run(actor *who) {
    if (who->reactor != NULL && who->stalled_until <= now()) {
        ns_enter(who->ns);
        dw_reactor_iterate(who->reactor, DW_USEC(500));
    }
    end_if_asked(who);
}

/* The connections are there, or gone, that were when the dry wire took the step: a machine under
 * load is late. */
static bool is_ready(const play *p, const step *s) {
    for (unsigned i = 0; i < p->actor_count; i++) {
        if (actor_open_talks(&p->actors[i]) != s->open_then[i]) {
            return false;
        }
    }
    return true;
}

/* The first step that was not taken yet, in the order of their times. */
static step *next_step(play *p) {
    step *next = NULL;
    for (unsigned i = 0; i < p->step_count; i++) {
        step *s = &p->steps[i];
        if (!s->done && s->when == MOMENT_AT && (next == NULL || s->at < next->at)) {
            next = s;
        }
    }
    return next;
}

/* Steps after one that is late are as late, so that there is time between them. */
static bool take_due(play *p) {
    for (step *s = next_step(p); s != NULL; s = next_step(p)) {
        dw_time due = began + s->at / (dw_time)speed, late = now() - due;
        if (late < 0 || !is_ready(p, s)) {
            return false;
        }
        began += late;
        s->done = true;
        if (s->who != NULL) {
            ns_enter(s->who->ns);
        }
        step_take(s, NULL);
    }
    return true;
}

static void begin(play *p) {
    for (unsigned i = 0; i < p->step_count; i++) {
        if (p->steps[i].before) {
            p->steps[i].done = true;
            step_take(&p->steps[i], NULL);
        }
    }
    for (unsigned i = 0; i < p->actor_count; i++) {
        live_start(&p->actors[i]);
    }
    began = now();
}

/* Until all is as expected and stays so for a while, or the time is up. */
static bool play_on(play *p, const char *expected, char *out, size_t size) {
    dw_time as_expected_since = 0, until = p->until / (dw_time)speed;
    until = until > PATIENCE ? until : PATIENCE;
    while (now() < began + until || as_expected_since != 0) {
        bool all = take_due(p);
        for (unsigned i = 0; i < p->actor_count; i++) {
            run(&p->actors[i]);
        }
        play_summary(p, out, size);
        bool as_expected = all && strcmp(out, expected) == 0;
        if (!as_expected) {
            as_expected_since = 0;
        } else if (as_expected_since == 0) {
            as_expected_since = now();
        } else if (now() - as_expected_since > QUIET) {
            return true;
        }
    }
    return false;
}

static void end(play *p) {
    for (unsigned i = 0; i < p->actor_count; i++) {
        actor *who = &p->actors[i];
        who->ending = true;
        end_if_asked(who);
        close(who->ns);
    }
    close(router);
}

int live_play(play *p, const char *compared, const char *expected, char *out, size_t size) {
    if (strncmp(compared, "namespaces", 10) != 0) {
        snprintf(out, size, "compared: %s", compared);
        return EXIT_SKIPPED;
    }
    play_begin(p, &live_stage);
    const char *why = set_up(p, compared);
    if (why != NULL) {
        snprintf(out, size, "%s", why);
        return EXIT_SKIPPED;
    }
    begin(p);
    bool good = play_on(p, expected, out, size);
    end(p);
    if (!good && !has_ipv6) {
        lacking = "no IPv6";
    }
    if (lacking != NULL) {
        snprintf(out, size, "%s", lacking);
        return EXIT_SKIPPED;
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#else

int live_play(play *p, const char *compared, const char *expected, char *out, size_t size) {
    (void)p, (void)compared, (void)expected;
    snprintf(out, size, "namespaces are Linux's");
    return EXIT_SKIPPED;
}

#endif
