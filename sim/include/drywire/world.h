/* SPDX-License-Identifier: MIT */
/*
 * The dry wire: a world of hosts on a simulated network with a virtual clock. A run of a scenario
 * in it is a pure function of its deviations (docs/guide.md, "Choices").
 *
 * The world, its hosts and all they allocate belong to the library and die with the run. After a
 * finding (a broken promise, a failed dw_always, ...) time stands still: every dw_world_run*
 * returns false at once, so that a scenario ends soon.
 */
#ifndef DRYWIRE_WORLD_H
#define DRYWIRE_WORLD_H

#include "drywire/drywire.h"

DW_BEGIN_DECLS

typedef struct dw_world dw_world;
typedef struct dw_host dw_host;

/* ---- Hosts ---- */

/* What a host runs when it starts: the program's main function. Returns the program (anything but
 * NULL), or NULL when it could not start. Takes its memory from the reactor: a crash takes it all
 * back at once, with no callback. */
typedef void *(*dw_boot_fn)(dw_reactor *reactor, void *user);

/* Hosts end after the scenario function has returned: their programs are then shut down in good
 * order and checked for what they leave behind. So what they use (factories, above all) must not
 * lie on the scenario function's stack. */

/* Adds a host and boots it at once. `name` is copied: letters, digits, '-', '.', '_', unique.
 * `boot` may be NULL: the scenario then drives the host's reactor itself. Names resolve in the
 * whole world; addresses are given out in order: 10.0.0.1, 10.0.0.2, ... */
dw_host *dw_world_add_host(dw_world *world, const char *name, dw_boot_fn boot, void *user);

dw_reactor *dw_host_reactor(dw_host *host);
const char *dw_host_name(const dw_host *host);
dw_address dw_host_address(const dw_host *host);
/* fd00::a00:1, fd00::a00:2, ...: the host's other address, in which its IPv4 address stands. Names
 * know of it only by dw_world_set_name; there is no multicast by IPv6. */
dw_address dw_host_address6(const dw_host *host);

/* What boot returned; NULL while the host is down. */
void *dw_host_program(const dw_host *host);
bool dw_host_is_up(const dw_host *host);

/* The process is killed: no callback runs in it, its kernel closes its sockets (FIN, or RST over
 * unread data). */
void dw_host_kill(dw_host *host);

/* The machine loses power: nothing is sent, packets to it vanish, peers are left half-open. */
void dw_host_crash(dw_host *host);

/* Starts a host that is down: boots it afresh. A crashed host's kernel answers the packets of old
 * connections with RST from now on. Does nothing on a host that is up. */
void dw_host_restart(dw_host *host);

/* The program ends orderly, as by dw_reactor_stop on its reactor. */
void dw_host_stop(dw_host *host);

/* The process gets no CPU for `duration`: its calls and input are late; its kernel works on. */
void dw_host_stall(dw_host *host, dw_time duration);

/* Wall clocks (dw_reactor_wall_clock) may be wrong; the monotonic clock (dw_reactor_now), by which
 * delayed calls run, never is. The first moves the host's to `by` from the true time, whatever it
 * showed. From then on it gains `ppb` nanoseconds in each true second (negative: it loses; within a
 * second, 1e9; an ordinary quartz is good for 20000). A step moves it from what it shows, as
 * settimeofday(2) does. */
void dw_host_set_clock_offset(dw_host *host, dw_time by);
void dw_host_set_clock_drift(dw_host *host, int64_t ppb);
void dw_host_step_clock(dw_host *host, dw_time by);

/* How many sockets the host's program may have open at once; 0: any number, the default. Beyond it
 * opening one fails with EMFILE, and a connection that is to be accepted is closed, as on the live
 * wire, which keeps a descriptor in reserve for that. Pipes and files do not count. */
void dw_host_set_descriptor_limit(dw_host *host, size_t sockets);

/* The ports that are given to who connects, sends or binds without one, the first to the last
 * (Linux: ip_local_port_range); default 32768 to 60999. Those of TCP: a port may lead to several
 * destinations at once, but not twice to the same; without one left connecting fails with
 * EADDRNOTAVAIL, binding with EADDRINUSE. Who closes a connection first keeps its port from being
 * used for the same destination, or bound, for DW_TIME_WAIT; only listeners may bind over that of
 * connections that came to them. */
#define DW_TIME_WAIT DW_SEC(60) /* Linux: TCP_TIMEWAIT_LEN */
void dw_host_set_ports(dw_host *host, uint16_t first, uint16_t last);

/* ---- Names ---- */

#define DW_LOOKUP_TIME        DW_MSEC(1) /* a resolver on the local network */
#define DW_NAME_ADDRESSES_MAX 8

/* What a name server says. */
typedef struct dw_name_answer {
    dw_address addresses[DW_NAME_ADDRESSES_MAX]; /* in this order; DW_ADDRESS_NONE is left out */
    int error; /* instead: an errno, EAGAIN when the server fails; default ENODATA when there are
                  no addresses */
    dw_time delay; /* until it is there; 0: DW_LOOKUP_TIME. Who asks gives up after 20 s. */
} dw_name_answer;

/* From now on `name`, a host's or not, has these addresses of `family` (DW_FAMILY_ANY: of both):
 * the first question gets the first answer, and so on, the last one for ever. No answers: there is
 * no such name. Without this, a host's name is its IPv4 address. `answers` are copied.
 *
 *     dw_world_set_name(w, "www", DW_FAMILY_IPV6,
 *                       (dw_name_answer[]){{.addresses = {dw_host_address6(a)}, .delay =
 * DW_MSEC(30)},
 *                                          {.error = EAGAIN}},
 *                       2);
 */
void dw_world_set_name(dw_world *world, const char *name, dw_family family,
                       const dw_name_answer *answers, size_t count);

/* ---- Network ---- */

#define DW_LATENCY_DEFAULT DW_MSEC(1)

/* One-way latency between two hosts, both ways, for all that is sent from now on. Default: 1 ms; 20
 * us within one host. */
void dw_world_set_latency(dw_world *world, dw_host *a, dw_host *b, dw_time latency);

/* Cuts a link: what is in flight or sent is lost, datagrams for good; streams retransmit and so see
 * delay, or a time-out in the end. Two-way, one-way, and the way back. */
void dw_world_partition(dw_world *world, dw_host *a, dw_host *b);
void dw_world_partition_one_way(dw_world *world, dw_host *from, dw_host *to);
void dw_world_repair(dw_world *world, dw_host *a, dw_host *b);

/* Holds a link: what arrives over it waits, nothing is lost, until the link is released (both
 * ways); then all of it arrives at once, in order. A stream's sender notices nothing. */
void dw_world_hold(dw_world *world, dw_host *a, dw_host *b);
void dw_world_hold_one_way(dw_world *world, dw_host *from, dw_host *to);
void dw_world_release(dw_world *world, dw_host *a, dw_host *b);

/* How much two hosts can send each other, each way, in bytes per second; 0: any amount at once, the
 * default. A packet leaves when those before it have, and arrives when the last byte of it does; a
 * segment of a stream is at most DW_SEGMENT_MAX long on such a link. Headers count (TCP: 40 bytes);
 * acknowledgements do not. */
#define DW_SEGMENT_MAX 1460
void dw_world_set_bandwidth(dw_world *world, dw_host *a, dw_host *b, uint64_t bytes_per_second);

/* How many bytes may wait for such a link, the packet that is being sent included; 0: any number,
 * the default. One packet always fits; then the last to come is dropped: a datagram is lost, a
 * packet of a stream is sent again later. */
void dw_world_set_queue(dw_world *world, dw_host *a, dw_host *b, size_t bytes);

/* Each packet is late by 0 to `jitter`, and `per_million` of a million are dropped, both ways. Not
 * by choices: which ones is the same in each run. Datagrams may overtake each other by it. */
#define DW_LOSS_ALL 1000000
void dw_world_set_jitter(dw_world *world, dw_host *a, dw_host *b, dw_time jitter);
void dw_world_set_loss(dw_world *world, dw_host *a, dw_host *b, uint32_t per_million);

/* Gives all links between hosts, those to come too, the properties of a weather (latency, jitter,
 * loss, bandwidth, queue), in place of those they have; ends what an earlier weather does. Those
 * that do something by themselves begin now, and go on until the world heals or the weather
 * changes: so the world is never idle. False: there is no such weather.
 *
 *     calm          as without one
 *     lan           100 us, 1 Gbit/s
 *     wan           40 ms, 100 Mbit/s
 *     satellite     270 ms, 10 Mbit/s (geostationary: RFC 2488)
 *     flaky-wifi    3 to 33 ms, 20 Mbit/s, 3 % lost
 *     bufferbloat   20 ms, 1 Mbit/s behind a queue of two seconds
 *     blackhole     calm for a second, then everything is lost in silence
 *     flap          of each 10 s all links are cut for the last 2
 *     swizzle-clog  again and again: links are held, one each 500 ms, then released in another
 *                   order, by choices of the world, `unclog`
 */
bool dw_world_set_weather(dw_world *world, const char *name);
/* Their names; NULL behind the last. */
const char *const *dw_world_weather_names(void);

/* Nagle's algorithm (RFC 9293, section 3.7.4), for connections without no-delay: a small write
 * waits while an earlier one is not acknowledged, 40 ms and a round trip when the peer writes
 * nothing (Linux's delayed acknowledgements). Off at first: it makes every write, write, read late,
 * and scenarios should ask for that; the live wire has it always. */
void dw_world_set_nagle(dw_world *world, bool on);

/* Keep-alive, for connections that have it on: after how long without a word it probes the peer,
 * how often again, and after how many in vain it gives up with ETIMEDOUT. Default, as in tcp(7):
 * 7200 s, 75 s, 9. A connection that has it on is never idle. */
void dw_world_set_keep_alive(dw_world *world, dw_time idle, dw_time interval, unsigned probes);

/* ---- Rules ---- */

/* What a rule is asked about, when it is about to arrive. Good until the function returns. */
typedef enum dw_message_kind {
    DW_MESSAGE_SYN,  /* a connection is to be made */
    DW_MESSAGE_DATA, /* bytes of a stream, as they were cut */
    DW_MESSAGE_FIN,  /* the end of a direction */
    DW_MESSAGE_DATAGRAM,
} dw_message_kind;

typedef struct dw_message {
    dw_message_kind kind;
    dw_host *from, *to;
    uint16_t from_port, to_port;
    uint64_t connection; /* streams: the client's n-th, from 1, as in timelines */
    bool reply;          /* streams: from the server to the client */
    const uint8_t *data; /* the bytes of this message */
    size_t len;
    /* Streams: what went this way since there was a rule: so many bytes before this message; and
     * the last of all of them, this message included, at most DW_RULE_STREAM_MAX. */
    uint64_t offset;
    const uint8_t *stream;
    size_t stream_len;
} dw_message;

#define DW_RULE_STREAM_MAX 131072

typedef enum dw_verdict_kind {
    DW_PASS,
    DW_LATER, /* arrives `delay` later, and is not judged again */
    DW_DROP,  /* a datagram is lost; what is of a stream comes again later, and is judged again */
    DW_RESET, /* RST both ways; a SYN is refused; a datagram meets nobody (ICMP) */
    DW_CLOSE, /* someone in between closes: FIN both ways; a SYN is refused; a datagram is lost */
} dw_verdict_kind;

typedef struct dw_verdict {
    dw_verdict_kind kind;
    size_t after; /* DW_MESSAGE_DATA: so many bytes of it still arrive as if nothing was */
    dw_time delay;
} dw_verdict;

typedef struct dw_rule dw_rule;

/* Judges messages. Runs outside every host and may use any verb of the world and of hosts,
 * dw_world_choose too. Must not use reactors. */
typedef dw_verdict (*dw_rule_fn)(dw_world *world, const dw_message *message, void *user);

/* A rule about all that arrives at `to` from `from`, NULL: any host, over TCP and UDP, from now on.
 * Rules are asked in the order in which they were added; the first answer but DW_PASS counts. The
 * rule is the world's and dies with the run; `user` is borrowed. Healing does not remove it.
 *
 *     static dw_verdict no_second_reply(dw_world *w, const dw_message *m, void *user) {
 *         bool second = m->reply && m->kind == DW_MESSAGE_DATA && m->offset > 0;
 *         return (dw_verdict){.kind = second ? DW_RESET : DW_PASS};
 *     }
 */
dw_rule *dw_world_add_rule(dw_world *world, dw_host *from, dw_host *to, dw_rule_fn fn, void *user);
/* It is not asked any more. Once; may be called from inside its function. */
void dw_world_remove_rule(dw_world *world, dw_rule *rule);

/* Faults stop: every partition is repaired, every hold released, the weather does nothing by itself
 * any more and every choice is calm from now on. For liveness: heal, then require progress with
 * dw_world_run_until. */
void dw_world_heal(dw_world *world);

/* Send and receive buffer of each end of a connection made from now on, in bytes; default 65536. */
void dw_world_set_buffers(dw_world *world, size_t send, size_t receive);

/* The largest IP packet, in bytes, that passes between two hosts, both ways; 0: any, the default. A
 * datagram over IPv4 has 28 bytes of headers. Streams cut themselves to fit. A larger datagram
 * would travel in fragments, which many networks drop (RFC 8900): here it is lost, in silence. */
void dw_world_set_mtu(dw_world *world, dw_host *a, dw_host *b, size_t mtu);

/* Linux's net.core.rmem_default. */
#define DW_DATAGRAM_BUFFER_DEFAULT 212992

/* How much a UDP socket holds unread, in bytes, of which each datagram takes its length and
 * DW_DATAGRAM_COST more, as in Linux; one always fits. What is over is lost without a word. */
#define DW_DATAGRAM_COST 832
void dw_world_set_datagram_buffer(dw_world *world, size_t bytes);

/* ---- Child processes ---- */

/* What stands in for a program when a host's program spawns one (dw_reactor_spawn_process): a
 * script. It runs as a process of the host's machine: event-driven code outside the host's program,
 * which is told one thing at a time and answers with the verbs below. It is not crashed, stalled or
 * checked for leaks, and may keep what it needs in its state.
 *
 * How the world plays the system: a program starts 1 ms after spawn, what one side of a pipe does
 * is known at the other 20 us later. A pipe holds 65536 bytes; a write beyond that holds the script
 * up, so it is told of nothing but signals until it is done, and it exits when all is written. A
 * write that nobody will read raises SIGPIPE, which ends it unless it is handled. When the host's
 * program is killed, its children live on without it; when the machine loses power, they are gone.
 * There are no files: `directory`, `uid` and `gid` of a spawn mean nothing; what is written to an
 * inherited descriptor goes to the timeline, and reading one finds its end at once.
 *
 * Choices of the host, all calm in a calm run: `spawn` (1 no process, 2 no memory, 3 the program
 * cannot be run), `exit` (its end is known so much later), `stdin` (it closes its stdin
 * unread, and believes it has ended), `kill` (it is killed), and `cut` and `write` for what the
 * program reads and writes. */
typedef struct dw_script dw_script;

typedef struct dw_script_class {
    /* Shown in the timeline. Required. */
    const char *name;
    /* Bytes of dw_script_state, zeroed for each process. */
    size_t state_size;

    /* All slots may be NULL. The program begins. */
    void (*start)(dw_script *script);
    /* `len` bytes came in on descriptor `fd`; 0, once: its end. `data` dies when this returns.
     * Without the slot nothing is read, and a writer finds the pipe full in the end. */
    void (*received)(dw_script *script, int fd, const uint8_t *data, size_t len);
    /* The sleep is over. */
    void (*woken)(dw_script *script);
    /* A signal came, not SIGKILL and not SIGSTOP. True: that was it; false, or without the slot: it
     * does what the system does with it. */
    bool (*signalled)(dw_script *script, int signal_number);
} dw_script_class;

/* From now on a spawn of `path` runs `cls`, on every host; a later one of the same name takes its
 * place. A name without '/' stands for any directory. `path` is copied, `cls` borrowed. Anything
 * else that is spawned cannot be run: it says so on 2 and ends with exit status 1. */
void dw_world_add_program(dw_world *world, const char *path, const dw_script_class *cls,
                          void *user);

void *dw_script_state(dw_script *script);
void *dw_script_user(const dw_script *script);
dw_world *dw_script_world(const dw_script *script);
/* As spawned, NULL-terminated; a host has no environment of its own. */
const char *const *dw_script_argv(const dw_script *script);
const char *dw_script_env(const dw_script *script, const char *name);

/* Writes all of it, in time. False: there is no such descriptor to write to. */
bool dw_script_write(dw_script *script, int fd, const void *data, size_t len);
/* When all that was written to it is out. */
void dw_script_close(dw_script *script, int fd);
/* Stops and starts reading a descriptor; what comes meanwhile stays in the pipe. */
void dw_script_set_reading(dw_script *script, int fd, bool on);
/* `woken` comes in that time; a second sleep replaces the first. Input goes on coming. */
void dw_script_sleep(dw_script *script, dw_time duration);
/* Exits with a status, when all that was written is out. */
void dw_script_exit(dw_script *script, int status);
/* Sends a signal to itself. */
void dw_script_raise(dw_script *script, int signal_number);
/* Starts a process of its own, which has its descriptors, arguments and environment, and which
 * nobody waits for. Returns it, for its state to be filled in; it starts later. */
dw_script *dw_script_fork(dw_script *script, const dw_script_class *cls, void *user);

/* Ready-made: copies 0 to 1 and exits with 0 at the end of it. */
extern const dw_script_class dw_cat_script;
/* Writes its arguments, with blanks between and a newline behind them, and exits with 0. */
extern const dw_script_class dw_echo_script;
/* Exits at once with the status in argv[1], 0 without one. */
extern const dw_script_class dw_exit_script;
/* Exits with 0 after the seconds in argv[1], a whole number; for ever without one. */
extern const dw_script_class dw_sleep_script;

/* ---- Time ---- */

/* Virtual time since the run began. */
dw_time dw_world_now(const dw_world *world);

/* Runs all that happens in the next `duration`. False: there was a finding. */
bool dw_world_run(dw_world *world, dw_time duration);

/* Runs until holds(user) is true, asked before each event, at most for `limit`. Returns whether it
 * became true. When it did not, lines "waits: ..." in the timeline tell who waits for what:
 * connections, names, delayed calls with where they were armed, links that are cut. */
bool dw_world_run_until(dw_world *world, bool (*holds)(void *user), void *user, dw_time limit);

/* Runs until nothing is scheduled, at most for `limit`. Returns whether it is idle. */
bool dw_world_run_until_idle(dw_world *world, dw_time limit);

/* Runs one event. False: there is none, or there was a finding. */
bool dw_world_step(dw_world *world);

/* Runs all events of the next moment at which there are any. False as above. */
bool dw_world_advance_to_next(dw_world *world);

/* Runs fn(user) at now + delay, outside every host: the scenario's own timer. */
void dw_world_after(dw_world *world, dw_time delay, void (*fn)(void *user), void *user);

/* The scenario's own choice: a number below n, 0 when calm. Written as `scenario WHAT nth value`.
 */
uint32_t dw_world_choose(dw_world *world, const char *what, uint32_t n);

/* Puts a line in the timeline. */
void dw_world_note(dw_world *world, const char *format, ...) DW_PRINTF(2, 3);

/* ---- Findings ---- */

/* One statement about the program, found when the process starts. Made by the macros below. */
typedef enum dw_assertion_kind {
    DW_ALWAYS = 1,
    DW_SOMETIMES,
    DW_REACHABLE,
    DW_UNREACHABLE,
} dw_assertion_kind;

typedef struct dw_assertion {
    dw_assertion_kind kind;
    const char *message;
    const char *where;
    uint32_t index; /* its place in the program's catalogue, given out at the start */
} dw_assertion;

void dw_world_assert(dw_world *world, const dw_assertion *assertion, bool holds);

#define DW_ASSERTION_(world, kind_, holds, message_)                                           \
    do {                                                                                       \
        static dw_assertion dw_assertion_                                                      \
            __attribute__((section("dw_assertions"), used, aligned(8))) = {kind_, "" message_, \
                                                                           DW_HERE, 0};        \
        dw_world_assert((world), &dw_assertion_, (holds));                                     \
    } while (0)

/* Must hold each time it is asked; the first time it does not, the run has failed. `message` is a
 * literal, unique in the program. */
#define dw_always(world, holds, message) DW_ASSERTION_(world, DW_ALWAYS, holds, message)

/* Must hold at least once in all runs of a sweep together; "never reached" is reported. */
#define dw_sometimes(world, holds, message) DW_ASSERTION_(world, DW_SOMETIMES, holds, message)

/* This line must be / must never be reached. */
#define dw_reachable(world, message)   DW_ASSERTION_(world, DW_REACHABLE, true, message)
#define dw_unreachable(world, message) DW_ASSERTION_(world, DW_UNREACHABLE, false, message)

/* The run has failed for a reason only known at run time; the first one counts. */
void dw_world_fail(dw_world *world, const char *format, ...) DW_PRINTF(2, 3);

/* Whether there has been a finding. */
bool dw_world_failed(const dw_world *world);

DW_END_DECLS

#endif
