/* SPDX-License-Identifier: MIT */
/*
 * The queue's policy: what is near, what waits in its day, what lies in the heap; when days are
 * opened and when they are laid out anew.
 *
 * Invariant: near < days < heap, by day: below base, below base + room, from there on. Called by
 * the world's loop, and by whoever schedules an event.
 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

/* A queue that outgrows SMALL_MAX is spread over days; one that is down to SMALL is put together
 * again. SAMPLE: keys that a first day's width is judged by. */
enum { NEAR_FIRST = 128, SMALL_MAX = 64, SMALL = 16, SAMPLE = 32 };

/* Days of the ring; how many instants one day should hold; when to judge that. */
enum {
    DAYS_MIN = 256,
    DAYS_MAX = 131072,
    INSTANTS_WANTED = 8,
    INSTANTS_MAX = 32,
    JUDGE_AFTER = 64
};

/* The width of a day when nothing is known: the 2^17 ns below a tenth of a millisecond's link. */
enum { SHIFT_DEFAULT = 17, SHIFT_MAX = 40 };

void *sim_queue_grow(void *array, size_t room, size_t size) {
    void *grown = realloc(array, room * size);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

/* ---- Near ---- */

static void near_reserve(sim_queue *queue, size_t more) {
    if (queue->end + more <= queue->room) {
        return;
    }
    queue->room = queue->room > 0 ? queue->room : NEAR_FIRST;
    while (queue->room < queue->end + more) {
        queue->room *= 2;
    }
    queue->near = sim_queue_grow(queue->near, queue->room, sizeof(sim_queue_key));
}

/* The first key in `near` that is not before `key`. */
static size_t near_place(const sim_queue *queue, const sim_queue_key *key) {
    size_t low = queue->head, high = queue->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key_before(&queue->near[middle], key)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Moves the shorter side out of the way: what comes is nearly always the last or among the first.
 */
static void near_add(sim_queue *queue, const sim_queue_key *key) {
    near_reserve(queue, 1);
    sim_queue_key *near = queue->near;
    size_t at = queue->end;
    queue->live++;
    key->event->place = 1;
    if (at > queue->head && key_before(key, &near[at - 1])) {
        at = near_place(queue, key);
    }
    if (queue->head > 0 && at - queue->head < queue->end - at) {
        queue->head--;
        memmove(near + queue->head, near + queue->head + 1, (at - 1 - queue->head) * sizeof(*near));
        near[at - 1] = *key;
        return;
    }
    memmove(near + at + 1, near + at, (queue->end - at) * sizeof(*near));
    near[at] = *key;
    queue->end++;
}

/* Skips what was taken out. */
static void near_trim(sim_queue *queue) {
    if (queue->live == 0) {
        queue->head = queue->end = 0;
        return;
    }
    while (queue->near[queue->head].event == NULL) {
        queue->head++;
    }
}

static void near_remove(sim_queue *queue, size_t i) {
    queue->near[i].event->place = 0;
    queue->near[i].event = NULL;
    queue->live--;
    near_trim(queue);
}

/* ---- Sorting what a day held ---- */

static void insertion_sort(sim_queue_key *keys, size_t n) {
    for (size_t i = 1; i < n; i++) {
        sim_queue_key key = keys[i];
        size_t j = i;
        for (; j > 0 && key_before(&key, &keys[j - 1]); j--) {
            keys[j] = keys[j - 1];
        }
        keys[j] = key;
    }
}

static int compare(const void *a, const void *b) {
    return key_before(a, b) ? -1 : 1; /* no two are equal */
}

static void sort(sim_queue_key *keys, size_t n) {
    size_t sorted = 1;
    while (sorted < n && key_before(&keys[sorted - 1], &keys[sorted])) {
        sorted++;
    }
    if (n <= INSTANTS_MAX) {
        insertion_sort(keys, n);
    } else if (sorted < n) {
        qsort(keys, n, sizeof(*keys), compare);
    }
}

static size_t instants_in(const sim_queue_key *keys, size_t n) {
    size_t instants = n > 0;
    for (size_t i = 1; i < n; i++) {
        instants += keys[i].at != keys[i - 1].at;
    }
    return instants;
}

/* ---- Far ---- */

static void far_add(sim_queue *queue, const sim_queue_key *key) {
    if (day_of(&queue->days, key->at) - queue->days.base < queue->days.room) {
        sim_days_add(&queue->days, key);
    } else {
        queue->added_heap++;
        sim_heap_add(&queue->heap, *key);
    }
    queue->added++;
}

static size_t far_count(const sim_queue *queue) {
    return queue->spread ? queue->days.count + queue->heap.count : 0;
}

/* What has come within the ring's reach leaves the heap. */
static void fetch_from_heap(sim_queue *queue) {
    while (queue->heap.count > 0 &&
           day_of(&queue->days, queue->heap.keys[0].at) - queue->days.base < queue->days.room) {
        sim_queue_key key = queue->heap.keys[0];
        sim_heap_remove(&queue->heap, 0);
        sim_days_add(&queue->days, &key);
    }
}

static size_t days_for(size_t count) {
    size_t room = DAYS_MIN;
    while (room < count && room < DAYS_MAX) {
        room *= 2;
    }
    return room;
}

static unsigned log2_of(uint64_t n) {
    return n > 1 ? 63u - (unsigned)__builtin_clzll(n) : 0;
}

static void start_judging(sim_queue *queue) {
    queue->opened = queue->instants = queue->added = queue->added_heap = 0;
}

/* From one array to days: the later half of what is near goes to where it belongs. */
static void spread(sim_queue *queue) {
    sim_queue_key *near = queue->near + queue->head;
    size_t n = queue->end - queue->head;
    uint64_t span = (uint64_t)(near[SAMPLE - 1].at - near[0].at);
    unsigned shift = span > 0 ? log2_of(span / (SAMPLE / INSTANTS_WANTED)) : SHIFT_DEFAULT;
    queue->days.shift = shift < SHIFT_MAX ? shift : SHIFT_MAX;
    sim_days_init(&queue->days, DAYS_MIN);
    queue->days.base = day_of(&queue->days, near[SMALL - 1].at) + 1;
    queue->spread = true;
    start_judging(queue);
    size_t keep = SMALL;
    while (keep < n && day_of(&queue->days, near[keep].at) < queue->days.base) {
        keep++;
    }
    for (size_t i = keep; i < n; i++) {
        if (near[i].event != NULL) {
            far_add(queue, &near[i]);
            queue->live--;
        }
    }
    queue->end = queue->head + keep;
    near_trim(queue);
}

/* Takes all there is from days and heap; `out` has room. */
static size_t gather(sim_queue *queue, sim_queue_key *out) {
    size_t n = 0;
    while (queue->days.count > 0) {
        uint64_t day;
        size_t count = sim_days_first(&queue->days, &day);
        sim_days_open(&queue->days, day, out + n, count);
        n += count;
    }
    for (size_t i = 0; i < queue->heap.count; i++) {
        out[n++] = queue->heap.keys[i];
    }
    queue->heap.count = 0;
    return n;
}

/* Days of another width or number; `near` is empty and lends its room. */
static void lay_out(sim_queue *queue, unsigned shift) {
    dw_time from = (dw_time)(queue->days.base << queue->days.shift);
    near_reserve(queue, far_count(queue));
    size_t n = gather(queue, queue->near);
    queue->days.shift = shift;
    sim_days_init(&queue->days, days_for(n));
    queue->days.base = day_of(&queue->days, from);
    for (size_t i = 0; i < n; i++) {
        far_add(queue, &queue->near[i]);
    }
    start_judging(queue);
}

/* Days with too many instants cost sorting; events that miss the ring cost the heap. */
static void judge(sim_queue *queue) {
    if (queue->opened < JUDGE_AFTER || queue->added < far_count(queue)) {
        return;
    }
    uint64_t instants = queue->instants / queue->opened;
    unsigned shift = queue->days.shift;
    if (instants > INSTANTS_MAX) {
        unsigned less = log2_of(instants / INSTANTS_WANTED);
        shift = shift > less ? shift - less : 0;
    } else if (queue->added_heap * 2 > queue->added && instants * 4 <= INSTANTS_WANTED * 2 &&
               shift < SHIFT_MAX) {
        shift += 2;
    }
    if (shift != queue->days.shift || days_for(far_count(queue)) > queue->days.room) {
        lay_out(queue, shift);
    } else {
        start_judging(queue);
    }
}

/* Few are left: back into one array. */
static void collapse(sim_queue *queue) {
    near_reserve(queue, far_count(queue));
    queue->end = queue->live = gather(queue, queue->near);
    queue->spread = false;
    sort(queue->near, queue->end);
    for (size_t i = 0; i < queue->end; i++) {
        queue->near[i].event->place = 1;
    }
}

static void open_day(sim_queue *queue) {
    if (queue->days.count == 0) {
        queue->days.base = day_of(&queue->days, queue->heap.keys[0].at);
        fetch_from_heap(queue);
    }
    uint64_t day;
    size_t n = sim_days_first(&queue->days, &day);
    near_reserve(queue, n);
    sim_days_open(&queue->days, day, queue->near, n);
    queue->days.base = day + 1;
    fetch_from_heap(queue);
    sort(queue->near, n);
    queue->end = queue->live = n;
    queue->opened++;
    queue->instants += instants_in(queue->near, n);
}

/* Makes sure that the next event, if there is one, is in `near`. */
static bool fill(sim_queue *queue) {
    if (queue->live > 0) {
        return true;
    }
    size_t far = far_count(queue);
    if (far == 0) {
        queue->spread = false;
        return false;
    }
    if (far <= SMALL) {
        collapse(queue);
    } else {
        judge(queue);
        open_day(queue);
    }
    return true;
}

/* ---- The queue ---- */

static bool base_is_empty(const sim_queue *queue) {
    return queue->live == 0 && !queue->spread;
}

void sim_queue_add_anywhere(sim_queue *queue, sim_event *event) {
    sim_queue_key key = {event->at, event->sequence, event};
    bool laned = sim_lanes_add(&queue->lanes, &key);
    if ((!laned || event->lane != queue->current + 1) && event->at < queue->limit) {
        queue->limit = event->at;
    }
    if (laned) {
        return;
    }
    if (queue->spread && day_of(&queue->days, event->at) >= queue->days.base) {
        far_add(queue, &key);
        return;
    }
    near_add(queue, &key);
    if (!queue->spread && queue->live > SMALL_MAX && queue->end - queue->head > SMALL_MAX) {
        spread(queue);
    }
}

void sim_queue_remove(sim_queue *queue, sim_event *event) {
    if (event->place == 0) {
        return;
    }
    if (event->lane != 0) {
        sim_lanes_remove(&queue->lanes, event);
        return;
    }
    uint64_t day = day_of(&queue->days, event->at);
    if (!queue->spread || day < queue->days.base) {
        sim_queue_key key = {event->at, event->sequence, event};
        near_remove(queue, near_place(queue, &key));
        return;
    }
    if (day - queue->days.base < queue->days.room) {
        sim_days_remove(&queue->days, event);
    } else {
        sim_heap_remove(&queue->heap, event->place - 1);
    }
    event->place = 0;
}

/* ---- Taking: lanes and `near` are merged ---- */

/* How far each of them has been looked at; where the key lies that was found last. */
typedef struct cursor {
    uint32_t lane[SIM_LANES], lane_at;
    size_t near, which, near_at;
    const sim_queue_key *key;
} cursor;

static cursor begin(const sim_queue *queue) {
    cursor c = {.near = queue->head};
    for (size_t i = 0; i < SIM_LANES; i++) {
        c.lane[i] = queue->lanes.lane[i].head;
    }
    return c;
}

/* Goes on to the next key, in order; false: there is none. Behind `near` lie others of a later
 * instant. */
static bool next(const sim_queue *queue, cursor *c) {
    c->key = sim_lanes_next(&queue->lanes, c->lane, &c->which, &c->lane_at);
    while (c->near < queue->end && queue->near[c->near].event == NULL) {
        c->near++;
    }
    if (c->near < queue->end && (c->key == NULL || key_before(&queue->near[c->near], c->key))) {
        c->which = SIM_LANES;
        c->near_at = c->near++;
        c->key = &queue->near[c->near_at];
    } else if (c->key != NULL) {
        c->lane[c->which] = c->lane_at + 1;
    }
    return c->key != NULL;
}

static sim_event *take(sim_queue *queue, const cursor *c) {
    sim_event *event = c->key->event;
    if (c->which == SIM_LANES) {
        near_remove(queue, c->near_at);
    } else {
        sim_lanes_take(&queue->lanes, c->which, c->lane_at);
    }
    return event;
}

static cursor begin_filled(sim_queue *queue) {
    if (!base_is_empty(queue)) {
        fill(queue);
    }
    cursor c = begin(queue);
    next(queue, &c);
    return c;
}

/* The first key, and where it is: in that lane, which becomes the current one, or for SIM_LANES at
 * the head of `near`. `others` is when the first one elsewhere is due. */
static const sim_queue_key *first(sim_queue *queue, size_t *which, dw_time *others) {
    const sim_queue_key *key = NULL;
    *others = DW_TIME_MAX;
    if (!base_is_empty(queue) && fill(queue)) {
        key = &queue->near[queue->head];
        *which = SIM_LANES;
    }
    for (unsigned left = queue->lanes.filled; left != 0; left &= left - 1) {
        size_t i = (size_t)__builtin_ctz(left);
        const sim_queue_key *other = lane_key(&queue->lanes.lane[i], queue->lanes.lane[i].head);
        if (key == NULL || key_before(other, key)) {
            const sim_queue_key *before = key;
            key = other;
            other = before;
            *which = i;
        }
        if (other != NULL && other->at < *others) {
            *others = other->at;
        }
    }
    if (key != NULL && *which != SIM_LANES) {
        queue->current = (unsigned)*which; /* it goes that far before any other */
        queue->limit = *others;
    }
    return key;
}

dw_time sim_queue_next_at(sim_queue *queue) {
    size_t which;
    dw_time others;
    const sim_queue_key *key = first(queue, &which, &others);
    return key != NULL ? key->at : DW_TIME_MAX;
}

sim_event *sim_queue_take_first(sim_queue *queue, dw_time until) {
    size_t which;
    dw_time others;
    const sim_queue_key *key = first(queue, &which, &others);
    if (key == NULL || key->at > until) {
        return NULL;
    }
    sim_event *event = key->event;
    if (which == SIM_LANES) {
        near_remove(queue, queue->head);
    } else {
        sim_lanes_take(&queue->lanes, which, queue->lanes.lane[which].head);
    }
    return event;
}

/* When the key behind `key` in the same place is due. */
static dw_time behind(const sim_queue *queue, const sim_queue_key *key, size_t which) {
    if (which == SIM_LANES) {
        for (key++; key < queue->near + queue->end; key++) {
            if (key->event != NULL) {
                return key->at;
            }
        }
        return DW_TIME_MAX; /* what is farther is later */
    }
    const sim_lane *lane = &queue->lanes.lane[which];
    for (uint32_t i = lane->head + 1; i != lane->tail; i++) {
        if (lane_key(lane, i)->event != NULL) {
            return lane_key(lane, i)->at;
        }
    }
    return DW_TIME_MAX;
}

sim_company sim_queue_company_anywhere(sim_queue *queue, dw_time until) {
    size_t which;
    dw_time others;
    const sim_queue_key *key = first(queue, &which, &others);
    if (key == NULL || key->at > until) {
        return SIM_NOBODY;
    }
    return others > key->at && behind(queue, key, which) > key->at ? SIM_ALONE : SIM_IN_COMPANY;
}

size_t sim_queue_simultaneous(sim_queue *queue, size_t max) {
    cursor c = begin_filled(queue);
    dw_time at = c.key != NULL ? c.key->at : 0;
    size_t n = 0;
    while (n < max && c.key != NULL && c.key->at == at) {
        n++;
        next(queue, &c);
    }
    return n;
}

void sim_queue_peek(const sim_queue *queue, const sim_event **out, size_t n) {
    cursor c = begin(queue);
    for (size_t i = 0; i < n && next(queue, &c); i++) {
        out[i] = c.key->event;
    }
}

sim_event *sim_queue_take(sim_queue *queue, size_t n) {
    cursor c = begin_filled(queue);
    for (; n > 0; n--) {
        next(queue, &c);
    }
    return take(queue, &c);
}

void sim_queue_clear(sim_queue *queue) {
    sim_lanes_clear(&queue->lanes);
    queue->current = 0;
    queue->limit = 0;
    queue->head = queue->end = queue->live = 0;
    queue->spread = false;
    queue->heap.count = 0;
    sim_days_clear(&queue->days);
}

void sim_queue_free(sim_queue *queue) {
    sim_lanes_free(&queue->lanes);
    free(queue->near);
    sim_days_free(&queue->days);
    sim_heap_free(&queue->heap);
    *queue = (sim_queue){0};
}
