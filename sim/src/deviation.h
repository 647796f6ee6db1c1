/* SPDX-License-Identifier: MIT */
/*
 * Deviations and lists of them: all that distinguishes one run of a scenario from its calm run. Who
 * drew (a connection, a link, a host, "world", "scenario"), what (the kind), the how-manieth draw
 * of that pair, and the answer. Answer 0 is the calm one and never stands in a list.
 */
#ifndef DRYWIRE_SIM_DEVIATION_H
#define DRYWIRE_SIM_DEVIATION_H

#include "drywire/base.h"

enum { SIM_WHO_MAX = 160, SIM_WHAT_MAX = 40 };

/* The kinds the library itself draws. X(ident, name, values are times)
 * latency: extra delay of one packet on a link, ns.        cut: bytes delivered first, of len.
 * join: 1 = wait for the next segment.                     reset: 1 = RST instead of this delivery.
 * close: 1 = FIN both ways instead of this delivery.       refuse: 1 = RST to this SYN.
 * syn-drop: how many SYNs in a row are lost.               partition: for how long a link is cut,
 * ns. order: which of the simultaneous events comes first.     write: bytes accepted by this send.
 * alloc: 1 = this allocation fails.                        user: dw_choose, dw_maybe.
 * Of datagrams: lose: 1 = this one is lost.                duplicate: 1 = two of it are sent.
 * reorder: so much later, past those sent after it, ns.    corrupt: n = bit n-1 arrives inverted,
 * bit 0 being the lowest of the first byte.                    unreachable: 1 = ICMP port
 * unreachable instead of this delivery. Of child processes: spawn: 1 = no process (EAGAIN), 2 = no
 * memory, 3 = the program cannot be run. exit: so much later is its end known, ns. stdin: 1 = it
 * closes its stdin unread. kill: 1 = it is killed now. Of names: name: 1 = no such name, 2 = the
 * name server fails, 3 = it does not answer, 4 = an address that nobody has, 5 = another host's.
 * name-late: how much later the answer comes, ns. Of the world: unclog: which of the links that
 * swizzle-clog holds is released, counted from the one held last. New kinds stand behind the old
 * ones: what a seed draws of a kind depends on its place. */
#define SIM_KIND_TABLE(X)                \
    X(LATENCY, "latency", true)          \
    X(CUT, "cut", false)                 \
    X(JOIN, "join", false)               \
    X(RESET, "reset", false)             \
    X(CLOSE, "close", false)             \
    X(REFUSE, "refuse", false)           \
    X(SYN_DROP, "syn-drop", false)       \
    X(PARTITION, "partition", true)      \
    X(ORDER, "order", false)             \
    X(WRITE, "write", false)             \
    X(ALLOC, "alloc", false)             \
    X(USER, "user", false)               \
    X(LOSE, "lose", false)               \
    X(DUPLICATE, "duplicate", false)     \
    X(REORDER, "reorder", true)          \
    X(CORRUPT, "corrupt", false)         \
    X(UNREACHABLE, "unreachable", false) \
    X(SPAWN, "spawn", false)             \
    X(EXIT, "exit", true)                \
    X(STDIN, "stdin", false)             \
    X(KILLED, "kill", false)             \
    X(NAME, "name", false)               \
    X(NAME_LATE, "name-late", true)      \
    X(UNCLOG, "unclog", false)

typedef enum sim_kind {
#define SIM_KIND_ENUM_(ident, name, times) SIM_##ident,
    SIM_KIND_TABLE(SIM_KIND_ENUM_)
#undef SIM_KIND_ENUM_
        SIM_KIND_COUNT
} sim_kind;

/* "latency", ...; "user" for SIM_USER. */
const char *sim_kind_name(sim_kind kind);

/* The kind called `what`; SIM_USER for any other word: the user's own. */
sim_kind sim_kind_of(const char *what);

/* Whether values of the kind are durations (shown and read as "250ms"). */
bool sim_kind_is_time(sim_kind kind);

typedef struct sim_deviation {
    char who[SIM_WHO_MAX];
    char what[SIM_WHAT_MAX];
    uint64_t nth; /* from 1: the first draw of (who, what) is 1 */
    uint64_t value;
} sim_deviation;

/* A growing list; zero-initialise. Memory from malloc. */
typedef struct sim_list {
    sim_deviation *items;
    size_t count, room;
} sim_list;

/* Appends a copy. False without memory. */
bool sim_list_add(sim_list *list, const sim_deviation *deviation);
bool sim_list_copy(sim_list *to, const sim_list *from);
void sim_list_free(sim_list *list);

#endif
