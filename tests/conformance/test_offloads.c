/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop, on every wire: on threads of the live ones, in later turns of the dry one;
 * the program cannot tell. Expectations: drywire/offload.h. What needs several threads to be held
 * up is in tests/unit/test_offload.c.
 */
#include "conformance.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 50 };

typedef struct piece {
    dw_offload offload;
    conf *c;
    int number, result; /* result: work's alone until done */
    pthread_t worker;
    int worked, dropped, again;
    bool over;
} piece;

static piece pieces[PIECES];
static char seen[200];

static void begin(conf *c) {
    memset(pieces, 0, sizeof(pieces));
    seen[0] = '\0';
    for (int i = 0; i < PIECES; i++) {
        pieces[i].c = c;
        pieces[i].number = i;
    }
}

static void work(void *user) {
    piece *p = user;
    p->worker = pthread_self();
    p->result = p->number * p->number;
}

static void done(void *user, bool worked) {
    piece *p = user;
    ck_assert(!dw_offload_active(&p->offload));
    ck_assert_int_eq(p->result, worked ? p->number * p->number : 0);
    p->worked += worked;
    p->dropped += !worked;
    p->over = true;
    p->c->activity++;
    note(seen, sizeof(seen), worked ? "done" : "dropped");
}

static void give(piece *p) {
    ck_assert_int_eq(dw_reactor_offload(p->c->server, &p->offload, work, done, p), 0);
}

static size_t under_way(const conf *c) {
    return dw_reactor_count(c->server).offloads;
}

CONF_CASE(done_comes_later_and_sees_what_work_wrote) {
    begin(c);
    pieces[7].over = false;
    give(&pieces[7]);
    ck_assert(dw_offload_active(&pieces[7].offload));
    ck_assert_uint_eq(under_way(c), 1);
    ck_assert_str_eq(seen, "");
    conf_until(c, &pieces[7].over);
    ck_assert_int_eq(pieces[7].result, 49);
    ck_assert_uint_eq(under_way(c), 0);
    bool here = pthread_equal(pieces[7].worker, pthread_self()) != 0;
    ck_assert_int_eq(here, c->backend != NULL);
}

CONF_CASE(one_that_is_under_way_cannot_be_given_again) {
    begin(c);
    give(&pieces[1]);
    ck_assert_int_eq(dw_reactor_offload(c->server, &pieces[1].offload, work, done, &pieces[2]),
                     DW_INVALID_ARGUMENT);
    conf_until(c, &pieces[1].over);
    ck_assert_int_eq(pieces[1].worked, 1);
    ck_assert_int_eq(pieces[2].worked, 0);
    ck_assert(!dw_offload_cancel(&pieces[1].offload)); /* nothing to take back */
}

CONF_CASE(each_of_many_is_done_once) {
    begin(c);
    for (int i = 0; i < PIECES; i++) {
        give(&pieces[i]);
    }
    for (int i = 0; i < PIECES; i++) {
        conf_until(c, &pieces[i].over);
    }
    conf_settle(c);
    for (int i = 0; i < PIECES; i++) {
        ck_assert_int_eq(pieces[i].worked, 1);
    }
    ck_assert_uint_eq(under_way(c), 0);
}

static void again(void *user, bool worked) {
    piece *p = user;
    ck_assert(worked);
    p->c->activity++;
    p->over = ++p->again == 3;
    if (!p->over) {
        ck_assert_int_eq(dw_reactor_offload(p->c->server, &p->offload, work, again, p), 0);
    }
}

CONF_CASE(done_may_give_the_next_piece) {
    begin(c);
    ck_assert_int_eq(dw_reactor_offload(c->server, &pieces[3].offload, work, again, &pieces[3]), 0);
    conf_until(c, &pieces[3].over);
    ck_assert_int_eq(pieces[3].again, 3);
}

/* Taken back in time it is as if it had never been; else it is done as always. */
CONF_CASE(cancelling_says_whether_it_was_in_time) {
    begin(c);
    give(&pieces[5]);
    bool in_time = dw_offload_cancel(&pieces[5].offload);
    ck_assert(in_time || c->backend == NULL);
    ck_assert_int_eq(dw_offload_active(&pieces[5].offload), !in_time);
    if (in_time) {
        conf_settle(c);
        ck_assert_int_eq(pieces[5].worked + pieces[5].dropped, 0);
        ck_assert_int_eq(pieces[5].result, 0);
        give(&pieces[5]);
    }
    conf_until(c, &pieces[5].over);
    ck_assert_int_eq(pieces[5].worked, 1);
}

static void begin_and_stop(void *user) {
    conf *c = user;
    for (int i = 0; i < PIECES; i++) {
        give(&pieces[i]);
    }
    ck_assert_int_eq(dw_reactor_stop(c->server), 0);
}

CONF_CASE(a_reactor_that_stops_tells_of_every_piece) {
    static dw_delayed_call call;
    begin(c);
    memset(&call, 0, sizeof(call));
    dw_reactor_call_later(c->server, &call, 0, begin_and_stop, c);
    conf_run(c);
    for (int i = 0; i < PIECES; i++) {
        ck_assert_int_eq(pieces[i].worked + pieces[i].dropped, 1);
        ck_assert_int_eq(pieces[i].result != 0, pieces[i].worked == 1 && i > 0);
    }
    ck_assert_uint_eq(under_way(c), 0);
}

/* ---- In a protocol ---- */

static side server_side, client_side;
static side *server_sides[] = {&server_side}, *client_sides[] = {&client_side};
static serving f, g;

static void answer(void *user, bool worked) {
    done(user, worked);
    if (server_side.protocol.transport != NULL) {
        side_say(&server_side, "answer");
    }
}

static void ask(side *s) {
    ck_assert_int_eq(dw_reactor_offload(s->c->server, &pieces[9].offload, work, answer, &pieces[9]),
                     0);
}

CONF_CASE(what_done_writes_is_sent) {
    begin(c);
    side_init(&server_side, c);
    side_init(&client_side, c);
    serving_init(&f, c, server_sides, 1);
    serving_init(&g, c, client_sides, 1);
    server_side.on_data = ask;
    client_side.on_made = do_hello;
    conf_pair(c, &f, &g);
    conf_until(c, &pieces[9].over);
    conf_settle(c);
    ck_assert_uint_eq(client_side.received, 6);
    free(server_side.bytes);
    free(client_side.bytes);
}

int main(void) {
    Suite *suite = suite_create("offloads");
    TCase *tc = tcase_create("offloads");
    CONF_ADD(tc, done_comes_later_and_sees_what_work_wrote);
    CONF_ADD(tc, one_that_is_under_way_cannot_be_given_again);
    CONF_ADD(tc, each_of_many_is_done_once);
    CONF_ADD(tc, done_may_give_the_next_piece);
    CONF_ADD(tc, cancelling_says_whether_it_was_in_time);
    CONF_ADD(tc, a_reactor_that_stops_tells_of_every_piece);
    CONF_ADD(tc, what_done_writes_is_sent);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
