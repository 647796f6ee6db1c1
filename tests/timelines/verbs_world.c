/* SPDX-License-Identifier: MIT */
/*
 * All that the world outside programs can be told to do, one function for each, and the words for
 * it. What that means is the stage's business: a dry world's, or network namespaces'.
 */
#include "play.h"

#include <string.h>

static void link_takes(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->latency(p, &p->actors[a[0].host], &p->actors[a[1].host], a[2].time);
}

static void link_carries(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->mtu(p, &p->actors[a[0].host], &p->actors[a[1].host], a[2].number);
}

static void link_cut(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->cut(p, &p->actors[a[0].host], &p->actors[a[1].host]);
    p->stage->cut(p, &p->actors[a[1].host], &p->actors[a[0].host]);
}

static void link_cut_one_way(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->cut(p, &p->actors[a[0].host], &p->actors[a[1].host]);
}

static void link_repaired(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->repair(p, &p->actors[a[0].host], &p->actors[a[1].host]);
}

static void link_held(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->hold(p, &p->actors[a[0].host], &p->actors[a[1].host]);
    p->stage->hold(p, &p->actors[a[1].host], &p->actors[a[0].host]);
}

static void link_held_one_way(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->hold(p, &p->actors[a[0].host], &p->actors[a[1].host]);
}

static void link_released(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->release(p, &p->actors[a[0].host], &p->actors[a[1].host]);
}

static void link_sends(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->bandwidth(p, &p->actors[a[0].host], &p->actors[a[1].host], a[2].number, 0);
}

static void link_queues(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->bandwidth(p, &p->actors[a[0].host], &p->actors[a[1].host], a[2].number, a[3].number);
}

static void link_varies(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->jitter(p, &p->actors[a[0].host], &p->actors[a[1].host], a[2].time);
}

static void link_loses(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->loss(p, &p->actors[a[0].host], &p->actors[a[1].host], (uint32_t)a[2].number);
}

static void rule_drops(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    rule r = {{.kind = DW_DROP}, &p->actors[a[1].host], a[0].number, ""};
    p->stage->rule(p, &r);
}

static void rule_on_text(play *p, const argument *text, const argument *to, dw_verdict verdict) {
    rule r = {.verdict = verdict, .to = &p->actors[to->host]};
    memcpy(r.text, text->text, sizeof(r.text));
    p->stage->rule(p, &r);
}

static void rule_delays(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    rule_on_text(p, &a[0], &a[1], (dw_verdict){.kind = DW_LATER, .delay = a[2].time});
}

static void rule_resets(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    rule_on_text(p, &a[0], &a[1], (dw_verdict){.kind = DW_RESET, .after = a[2].number});
}

static void rule_closes(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    rule_on_text(p, &a[0], &a[1], (dw_verdict){.kind = DW_CLOSE, .after = a[2].number});
}

static void name_leads(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->name(p, a[0].text, &p->actors[a[1].host], &p->actors[a[2].host]);
}

#define CLOCK_VERB(name, change, amount)                                \
    static void name(play *p, actor *who, talk *t, const argument *a) { \
        (void)who, (void)t;                                             \
        p->stage->clock(&p->actors[a[0].host], change, amount);         \
    }
CLOCK_VERB(clock_ahead, CLOCK_OFFSET, a[1].time)
CLOCK_VERB(clock_behind, CLOCK_OFFSET, -a[1].time)
CLOCK_VERB(clock_gains, CLOCK_DRIFT, (int64_t)a[1].number)
CLOCK_VERB(clock_loses, CLOCK_DRIFT, -(int64_t)a[1].number)
CLOCK_VERB(clock_steps_ahead, CLOCK_STEP, a[1].time)
CLOCK_VERB(clock_steps_back, CLOCK_STEP, -a[1].time)

static void buffers(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->buffers(p, a[0].number, a[1].number);
}

static void datagram_buffers(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->datagram_buffer(p, a->number);
}

static void keep_alive(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->keep_alive(p, a[0].time, a[1].time, (unsigned)a[2].number);
}

static void ports(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->ports(&p->actors[a[0].host], (uint16_t)a[1].number, (uint16_t)a[2].number);
}

static void descriptors(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->descriptors(&p->actors[a[0].host], a[1].number);
}

static void weather(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    p->stage->weather(p, a->text);
}

static void nagle(play *p, actor *who, talk *t, const argument *a) {
    (void)who;
    (void)t;
    (void)a;
    p->stage->nagle(p);
}

const verb world_verbs[] = {
    {"link %h and %h takes %t", false, link_takes},
    {"link %h and %h carries %n bytes at most", false, link_carries},
    {"link %h and %h is cut", false, link_cut},
    {"link %h to %h is cut", false, link_cut_one_way},
    {"link %h and %h is repaired", false, link_repaired},
    {"link %h and %h is held", false, link_held},
    {"link %h to %h is held", false, link_held_one_way},
    {"link %h and %h is released", false, link_released},
    {"link %h and %h sends %n bytes a second", false, link_sends},
    {"link %h and %h sends %n bytes a second and queues %n", false, link_queues},
    {"link %h and %h varies by %t", false, link_varies},
    {"link %h and %h loses %n of a million", false, link_loses},
    {"a rule drops datagram %n to %h", false, rule_drops},
    {"a rule delays %s to %h by %t", false, rule_delays},
    {"a rule resets %s to %h after %n bytes", false, rule_resets},
    {"a rule closes %s to %h after %n bytes", false, rule_closes},
    {"name %s leads to %h then to %h", false, name_leads},
    {"clock of %h is %t ahead", false, clock_ahead},
    {"clock of %h is %t behind", false, clock_behind},
    {"clock of %h gains %n ppb", false, clock_gains},
    {"clock of %h loses %n ppb", false, clock_loses},
    {"clock of %h steps %t ahead", false, clock_steps_ahead},
    {"clock of %h steps %t back", false, clock_steps_back},
    {"buffers hold %n bytes to send and %n received", false, buffers},
    {"buffers of datagrams hold %n bytes", false, datagram_buffers},
    {"keep-alive begins after %t and asks every %t %n times", false, keep_alive},
    {"host %h connects from ports %n to %n", false, ports},
    {"weather is %s", false, weather},
    {"nagle is on", false, nagle},
    {"host %h has room for %n sockets", false, descriptors},
    {NULL, false, NULL},
};
