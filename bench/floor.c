/* SPDX-License-Identifier: MIT */
/*
 * The floor: see floor.h. A message is an event with its bytes inside, from a pool; it goes to one
 * end of a pair, by a callback. The calendar is Brown's ("Calendar queues", CACM 31:10, 1988) with
 * days of a fixed width: each day a list that is kept in order from its end, so that order is
 * exact. The wheel has an array for each tick of 65 us and loses the order within a tick. Both keep
 * what is beyond their year in the same day or tick and step over it.
 */
#include "floor.h"

#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_LEN = 64,
    DAYS = 4096,
    SHIFT_DAY = 14,
    TICKS = 1024,
    SHIFT_TICK = 16,
    LINE = 64,
    WORD = 64
};
#define LATENCY 1000000

typedef struct end end;

typedef struct message {
    struct message *next;
    int64_t at;
    end *to;
    uint8_t bytes[MESSAGE_LEN];
} message;

struct end {
    _Alignas(LINE) end *peer;
    void (*received)(floor_loop *loop, end *to, const uint8_t *bytes);
    uint32_t left;
};

typedef struct day {
    message *head, *tail;
} day;

typedef struct tick {
    message **items;
    uint32_t count, room;
} tick;

struct floor_loop {
    floor_queue queue;
    message *messages, *pool; /* two for each client: each end has one to send */
    end *ends;
    day *days;
    uint64_t filled[DAYS / WORD]; /* a bit for each day that has messages */
    tick *ticks;
    unsigned clients_max;
    uint64_t pending, random, back;
    uint32_t rate;
    int64_t now;
};

floor_loop *floor_new(floor_queue queue, unsigned clients_max) {
    floor_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return NULL;
    }
    loop->queue = queue;
    loop->clients_max = clients_max;
    loop->messages = malloc(2 * (size_t)clients_max * sizeof(*loop->messages));
    loop->ends = aligned_alloc(LINE, 2 * (size_t)clients_max * sizeof(*loop->ends));
    loop->days = calloc(DAYS, sizeof(*loop->days));
    loop->ticks = calloc(TICKS, sizeof(*loop->ticks));
    if (loop->messages == NULL || loop->ends == NULL || loop->days == NULL || loop->ticks == NULL) {
        floor_free(loop);
        return NULL;
    }
    return loop;
}

void floor_free(floor_loop *loop) {
    if (loop == NULL) {
        return;
    }
    for (int i = 0; loop->ticks != NULL && i < TICKS; i++) {
        free(loop->ticks[i].items);
    }
    free(loop->ticks);
    free(loop->days);
    free(loop->ends);
    free(loop->messages);
    free(loop);
}

/* ---- The calendar ---- */

static void day_add(floor_loop *loop, message *m) {
    size_t number = (size_t)(m->at >> SHIFT_DAY) & (DAYS - 1);
    day *d = &loop->days[number];
    m->next = NULL;
    if (d->tail == NULL) {
        d->head = d->tail = m;
        loop->filled[number / WORD] |= UINT64_C(1) << number % WORD;
    } else if (d->tail->at <= m->at) {
        d->tail = d->tail->next = m;
    } else {
        message **place = &d->head;
        while ((*place)->at <= m->at) {
            place = &(*place)->next;
        }
        m->next = *place;
        *place = m;
    }
}

/* The next day from `number` on, over the year's end too, that has messages; there is one. */
static int64_t next_day(const floor_loop *loop, int64_t number) {
    for (;; number = (number / WORD + 1) * WORD) {
        uint64_t bits = loop->filled[(size_t)number % DAYS / WORD] >> number % WORD;
        if (bits != 0) {
            return number + __builtin_ctzll(bits);
        }
    }
}

/* The first message; there is one. */
static message *day_take(floor_loop *loop) {
    for (int64_t number = loop->now >> SHIFT_DAY;; number++) {
        number = next_day(loop, number);
        size_t place = (size_t)number & (DAYS - 1);
        message *m = loop->days[place].head;
        if (m->at >> SHIFT_DAY > number) {
            continue;
        }
        loop->days[place].head = m->next;
        if (m->next == NULL) {
            loop->days[place].tail = NULL;
            loop->filled[place / WORD] &= ~(UINT64_C(1) << place % WORD);
        }
        return m;
    }
}

/* ---- The wheel ---- */

static void tick_add(floor_loop *loop, message *m) {
    tick *t = &loop->ticks[(m->at >> SHIFT_TICK) & (TICKS - 1)];
    if (t->count == t->room) {
        uint32_t room = t->room > 0 ? t->room * 2 : 16;
        message **items = realloc(t->items, room * sizeof(*items));
        if (items == NULL) {
            abort();
        }
        t->items = items;
        t->room = room;
    }
    t->items[t->count++] = m;
}

/* ---- The load ---- */

static uint64_t next_random(floor_loop *loop) { /* splitmix64, public domain, Vigna */
    uint64_t x = loop->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static int64_t late(floor_loop *loop) {
    uint64_t r = next_random(loop);
    unsigned shift = 20 + (unsigned)(r % 13);
    return (int64_t)((UINT64_C(1) << shift) + ((r >> 8) & ((UINT64_C(1) << shift) - 1)));
}

static void post(floor_loop *loop, end *to, const uint8_t *bytes) {
    message *m = loop->pool;
    loop->pool = m->next;
    m->at = loop->now + LATENCY;
    if (loop->rate > 0 && (uint32_t)next_random(loop) < loop->rate) {
        m->at += late(loop);
    }
    m->to = to;
    memcpy(m->bytes, bytes, MESSAGE_LEN);
    loop->pending++;
    if (loop->queue == FLOOR_CALENDAR) {
        day_add(loop, m);
    } else {
        tick_add(loop, m);
    }
}

static void server_received(floor_loop *loop, end *server, const uint8_t *bytes) {
    post(loop, server->peer, bytes);
}

static void client_received(floor_loop *loop, end *client, const uint8_t *bytes) {
    loop->back++;
    if (--client->left > 0) {
        post(loop, client->peer, bytes);
    }
}

static void deliver(floor_loop *loop, message *m) {
    loop->now = m->at;
    loop->pending--;
    m->to->received(loop, m->to, m->bytes);
    m->next = loop->pool;
    loop->pool = m;
}

static void run_calendar(floor_loop *loop) {
    while (loop->pending > 0) {
        deliver(loop, day_take(loop));
    }
}

static void run_wheel(floor_loop *loop) {
    for (int64_t number = 0; loop->pending > 0; number++) {
        tick *t = &loop->ticks[number & (TICKS - 1)];
        uint32_t kept = 0;
        for (uint32_t i = 0; i < t->count; i++) {
            message *m = t->items[i];
            if (m->at >> SHIFT_TICK > number) {
                t->items[kept++] = m;
            } else {
                deliver(loop, m);
            }
        }
        t->count = kept;
    }
}

static void fill_pool(floor_loop *loop) {
    loop->pool = NULL;
    for (size_t i = 2 * (size_t)loop->clients_max; i-- > 0;) {
        loop->messages[i].next = loop->pool;
        loop->pool = &loop->messages[i];
    }
}

uint64_t floor_run(floor_loop *loop, const floor_load *load, int64_t *virtual_ns) {
    static const uint8_t first[MESSAGE_LEN] = {'d', 'r', 'y', 'w', 'i', 'r', 'e'};
    loop->now = 0;
    loop->pending = loop->back = 0;
    loop->random = load->seed;
    loop->rate = load->rate;
    fill_pool(loop);
    for (uint32_t i = 0; load->messages > 0 && i < load->clients && i < loop->clients_max; i++) {
        end *client = &loop->ends[2 * (size_t)i], *server = client + 1;
        *client = (end){.peer = server, .received = client_received, .left = load->messages};
        *server = (end){.peer = client, .received = server_received};
        post(loop, server, first);
    }
    if (loop->queue == FLOOR_CALENDAR) {
        run_calendar(loop);
    } else {
        run_wheel(loop);
    }
    *virtual_ns = loop->now;
    return loop->back;
}
