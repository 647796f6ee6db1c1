/* SPDX-License-Identifier: MIT */
/*
 * Names in the world: a host's name is its IPv4 address unless the scenario says otherwise, and a
 * choice may make an answer late, wrong, or none. The slots `resolve` and `resolve_cancel`.
 *
 * What is asked and answered is an event like others: it stands in the hash and in the timeline.
 *
 * Invariant: a lookup is in its host's list until it is answered, cancelled, or the host is gone;
 * each family that is asked for is one question, with an event of its own while it is open.
 */
#include "drywire/names.h"
#include "hash.h"
#include "host.h"
#include "trace.h"

#include <errno.h>
#include <string.h>

/* What a resolver gives up after: two tries of five seconds at each of two name servers. */
#define GIVE_UP DW_SEC(20)

enum { FAMILIES = 2 };

/* What a deviation makes of an answer. Where there is one host only, OTHER_HOST is not offered. */
typedef enum name_fault {
    RIGHT,
    NO_SUCH_NAME,
    SERVER_FAILS,
    NO_ANSWER,
    NOBODYS, /* an address that was somebody's once */
    OTHER_HOST,
    FAULT_COUNT
} name_fault;

/* What the scenario says a name's answers are, for one family. */
struct sim_record {
    sim_record *next;
    char *name;
    dw_name_answer *answers;
    size_t count, asked;
    dw_family family;
};

typedef struct sim_question {
    sim_event event;
    struct sim_lookup *lookup;
    dw_family family;
    const dw_name_answer *answer; /* NULL: hosts' names alone */
    bool given_up;                /* no answer came: this event is the end of waiting */
} sim_question;

struct sim_lookup {
    struct sim_lookup *next;
    dw_host *host;
    dw_lookup *lookup;
    sim_question questions[FAMILIES];
    unsigned question_count, open;
    int error; /* the most telling so far */
};

/* ---- What the scenario says ---- */

static sim_record *find_record(dw_world *world, const char *name, dw_family family) {
    for (sim_record *r = world->records; r != NULL; r = r->next) {
        if (r->family == family && strcmp(r->name, name) == 0) {
            return r;
        }
    }
    return NULL;
}

static sim_record *record_new(dw_world *world, const char *name, dw_family family) {
    size_t len = strlen(name) + 1;
    sim_record *r = sim_world_alloc(world, sizeof(*r));
    *r = (sim_record){.next = world->records, .family = family};
    r->name = sim_world_alloc(world, len);
    memcpy(r->name, name, len);
    world->records = r;
    return r;
}

void dw_world_set_name(dw_world *world, const char *name, dw_family family,
                       const dw_name_answer *answers, size_t count) {
    if (family == DW_FAMILY_ANY) {
        dw_world_set_name(world, name, DW_FAMILY_IPV4, answers, count);
        dw_world_set_name(world, name, DW_FAMILY_IPV6, answers, count);
        return;
    }
    static const dw_name_answer none;
    sim_record *record = find_record(world, name, family);
    record = record != NULL ? record : record_new(world, name, family);
    answers = count > 0 ? answers : &none;
    record->count = count > 0 ? count : 1;
    record->asked = 0;
    record->answers = sim_world_alloc(world, record->count * sizeof(*answers));
    memcpy(record->answers, answers, record->count * sizeof(*answers));
}

/* The next one; the last one for ever. */
static const dw_name_answer *next_answer(sim_record *record) {
    size_t at = record->asked < record->count ? record->asked++ : record->count - 1;
    return &record->answers[at];
}

/* ---- In the hash and the timeline ---- */

static const char *family_text(dw_family family) {
    return family == DW_FAMILY_IPV6 ? "IPv6" : "IPv4";
}

static void tell_asked(const sim_question *q) {
    const dw_host *host = q->lookup->host;
    world_mark(host->world, 0x8001 + host->index * UINT64_C(16) + (uint64_t)q->family);
    if (host->world->trace != NULL) {
        sim_trace_add(host->world, ' ', host->name, "looks up %s, %s", q->lookup->lookup->name,
                      family_text(q->family));
    }
}

static const char *error_text(int error) {
    switch (error) {
    case -ENODATA:
        return "no address";
    case -EAGAIN:
        return "the name server fails";
    case -ETIMEDOUT:
        return "no answer";
    default:
        return "an error";
    }
}

static void trace_addresses(const sim_question *q, const dw_address *addresses, int count) {
    const dw_host *host = q->lookup->host;
    char text[DW_NAME_ADDRESSES_MAX * (DW_ADDRESS_TEXT_MAX + 1) + 1];
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        text[len++] = ' ';
        dw_address_format_host(&addresses[i], text + len, sizeof(text) - len);
        len += strlen(text + len);
    }
    text[len] = '\0';
    sim_trace_add(host->world, ' ', host->name, "%s, %s:%s", q->lookup->lookup->name,
                  family_text(q->family), text);
}

/* `count` addresses, or -errno. */
static void tell_answered(const sim_question *q, const dw_address *addresses, int count) {
    const dw_host *host = q->lookup->host;
    size_t len = q->family == DW_FAMILY_IPV6 ? 16 : 4;
    world_mark(host->world,
               0x8002 + host->index * UINT64_C(16) + ((uint64_t)(unsigned)count << 32));
    for (int i = 0; i < count; i++) {
        world_mark(host->world, sim_hash_bytes(addresses[i].ip, len));
    }
    if (host->world->trace != NULL && count >= 0) {
        trace_addresses(q, addresses, count);
    } else if (host->world->trace != NULL) {
        sim_trace_add(host->world, ' ', host->name, "%s, %s: %s", q->lookup->lookup->name,
                      family_text(q->family), error_text(count));
    }
}

static void tell_cancelled(const struct sim_lookup *l) {
    const dw_host *host = l->host;
    world_mark(host->world, 0x8003 + host->index * UINT64_C(16));
    if (host->world->trace != NULL) {
        sim_trace_add(host->world, ' ', host->name, "looks up %s no more", l->lookup->name);
    }
}

/* ---- Asking ---- */

static void ask(struct sim_lookup *l, dw_family family, sim_record *record) {
    dw_host *host = l->host;
    dw_world *world = host->world;
    sim_question *q = &l->questions[l->question_count++];
    *q = (sim_question){.event = {.type = EV_LOOKUP}, .lookup = l, .family = family};
    q->answer = record != NULL ? next_answer(record) : NULL;
    tell_asked(q);
    dw_time delay = q->answer != NULL && q->answer->delay != 0 ? q->answer->delay : DW_LOOKUP_TIME;
    if (choice_active(world, SIM_NAME_LATE)) {
        uint64_t extra = sim_choice_draw(world, SIM_NAME_LATE, (sim_who){WHO_HOST, host},
                                         "name-late", &host->name_delays, 0);
        delay = time_add(delay, (dw_time)extra);
    }
    if (delay > GIVE_UP) {
        delay = GIVE_UP;
        q->given_up = true;
    }
    l->open++;
    sim_world_schedule(world, &q->event, world->now + delay);
}

/* Hosts' own names have no IPv6 addresses, so nobody asks for them who would take any. */
int sim_resolve(dw_reactor *reactor, dw_lookup *lookup) {
    dw_host *host = host_of(reactor);
    struct sim_lookup *l = sim_world_alloc(host->world, sizeof(*l));
    *l = (struct sim_lookup){.next = host->lookups, .host = host, .lookup = lookup};
    host->lookups = l;
    lookup->resolver_data = l;
    sim_record *six = find_record(host->world, lookup->name, DW_FAMILY_IPV6);
    if (lookup->family == DW_FAMILY_IPV6 || (lookup->family == DW_FAMILY_ANY && six != NULL)) {
        ask(l, DW_FAMILY_IPV6, six);
    }
    if (lookup->family != DW_FAMILY_IPV6) {
        ask(l, DW_FAMILY_IPV4, find_record(host->world, lookup->name, DW_FAMILY_IPV4));
    }
    return 0;
}

static void forget(struct sim_lookup *lookup) {
    for (struct sim_lookup **l = &lookup->host->lookups; *l != NULL; l = &(*l)->next) {
        if (*l == lookup) {
            *l = lookup->next;
            return;
        }
    }
}

static void drop_events(struct sim_lookup *l) {
    for (unsigned i = 0; i < l->question_count; i++) {
        sim_queue_remove(&l->host->world->queue, &l->questions[i].event);
    }
}

void sim_resolve_cancel(dw_reactor *reactor, dw_lookup *lookup) {
    struct sim_lookup *l = lookup->resolver_data;
    (void)reactor;
    tell_cancelled(l);
    drop_events(l);
    forget(l);
}

/* ---- Answering ---- */

static dw_address address_of(const dw_host *host, dw_family family) {
    return family == DW_FAMILY_IPV6 ? dw_host_address6(host) : dw_host_address(host);
}

static dw_address nobodys(dw_family family) {
    dw_address address;
    dw_address_parse(&address, family == DW_FAMILY_IPV6 ? "fd00::aff:fffe" : "10.255.255.254", 0);
    return address;
}

/* The one after whoever has `address`, in the order of adding. */
static dw_address somebody_else(dw_host *asks, dw_family family, const dw_address *address) {
    dw_world *world = asks->world;
    dw_host *owner = sim_host_by_address(world, asks, address);
    size_t index = owner != NULL ? owner->index : 0; /* from 1: the next one's, from 0 */
    return address_of(world->host_table[index % world->host_count], family);
}

/* What hosts' names alone say. `localhost` is the host itself (RFC 6761, section 6.3). */
static int answer_by_host(const sim_question *q, dw_address *out) {
    dw_host *host = q->lookup->host;
    const char *name = q->lookup->lookup->name;
    if (strcmp(name, "localhost") == 0) {
        *out = address_of(host, q->family);
        return 1;
    }
    dw_host *found = q->family == DW_FAMILY_IPV4 ? sim_host_by_name(host->world, name) : NULL;
    if (found == NULL) {
        return -ENODATA;
    }
    *out = dw_host_address(found);
    return 1;
}

static int answer_by_record(const sim_question *q, dw_address *out) {
    dw_address_kind kind = q->family == DW_FAMILY_IPV6 ? DW_ADDRESS_IPV6 : DW_ADDRESS_IPV4;
    int count = 0;
    for (int i = 0; i < DW_NAME_ADDRESSES_MAX; i++) {
        if (q->answer->addresses[i].kind == kind) {
            out[count++] = q->answer->addresses[i];
        }
    }
    int error = q->answer->error != 0 ? q->answer->error : ENODATA;
    return count > 0 && q->answer->error == 0 ? count : -error;
}

static name_fault draw_fault(const sim_question *q) {
    dw_host *host = q->lookup->host;
    dw_world *world = host->world;
    if (!choice_active(world, SIM_NAME)) {
        return RIGHT;
    }
    uint64_t options = world->host_count > 1 ? FAULT_COUNT : OTHER_HOST;
    return (name_fault)sim_choice_draw(world, SIM_NAME, (sim_who){WHO_HOST, host}, "name",
                                       &host->name_faults, options);
}

/* Applies a deviation to the right answer: `count` addresses, or -errno. */
static int spoil(const sim_question *q, name_fault fault, dw_address *addresses, int count) {
    switch (fault) {
    case NO_SUCH_NAME:
        return -ENODATA;
    case SERVER_FAILS:
        return -EAGAIN;
    case NOBODYS:
        addresses[0] = nobodys(q->family);
        return 1;
    case OTHER_HOST:
        addresses[0] = somebody_else(q->lookup->host, q->family, &addresses[0]);
        return 1;
    default:
        return count;
    }
}

/* A name server that fails tells more than one that knows of no address. */
static void note_error(struct sim_lookup *l, int error) {
    if (l->error == 0 || l->error == -ENODATA) {
        l->error = error;
    }
}

/* The program may cancel the lookup on the way: then nothing of it is left to touch. */
static void deliver(struct sim_lookup *l, const dw_address *addresses, int count) {
    l->open--;
    for (int i = 0; i < count; i++) {
        if (!dw_lookup_found(l->lookup, &addresses[i])) {
            return;
        }
    }
    if (count < 0) {
        note_error(l, count);
    }
    if (l->open == 0) {
        forget(l);
        dw_lookup_finish(l->lookup, l->error);
    }
}

static void answer(sim_question *q) {
    struct sim_lookup *l = q->lookup;
    dw_world *world = l->host->world;
    dw_address addresses[DW_NAME_ADDRESSES_MAX] = {{.kind = DW_ADDRESS_NONE}};
    int count = -ETIMEDOUT;
    if (!q->given_up) {
        name_fault fault = draw_fault(q);
        if (fault == NO_ANSWER) {
            q->given_up = true;
            sim_world_schedule(world, &q->event, time_add(world->now, GIVE_UP));
            return;
        }
        count = q->answer != NULL ? answer_by_record(q, addresses) : answer_by_host(q, addresses);
        count = spoil(q, fault, addresses, count);
    }
    tell_answered(q, addresses, count);
    deliver(l, addresses, count);
}

void sim_host_lookup_event(sim_event *event) {
    sim_question *q = DW_CONTAINER_OF(event, sim_question, event);
    dw_host *host = q->lookup->host;
    if (host->stalled_until > host->world->now) {
        sim_world_schedule(host->world, event, host->stalled_until);
        return;
    }
    sim_host_enter(host);
    answer(q);
    sim_host_leave(host);
}

/* ---- The host's life ---- */

void sim_lookups_end(dw_host *host) {
    for (struct sim_lookup *l = host->lookups; l != NULL; l = l->next) {
        drop_events(l);
    }
    host->lookups = NULL;
}

void sim_lookups_wake(dw_host *host, dw_time until) {
    dw_world *world = host->world;
    for (struct sim_lookup *l = host->lookups; l != NULL; l = l->next) {
        for (unsigned i = 0; i < l->question_count; i++) {
            sim_event *event = &l->questions[i].event;
            if (event->place != 0 && event->at == until) {
                sim_queue_remove(&world->queue, event);
                sim_world_schedule(world, event, world->now);
            }
        }
    }
}

const char *sim_lookup_waiting(const dw_host *host, size_t i) {
    const struct sim_lookup *l = host->lookups;
    while (l != NULL && i-- > 0) {
        l = l->next;
    }
    return l != NULL ? l->lookup->name : NULL;
}
