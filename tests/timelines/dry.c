/* SPDX-License-Identifier: MIT */
/*
 * A page played on the dry wire: its scenario in a world, with its deviations, and the timeline of
 * that, up to the scenario's `until`, with the summary behind it.
 */
#include "play.h"

#include <run.h>
#include <runfile.h>

#include <stdlib.h>
#include <string.h>

#define THE_END "the play is over"

enum { RULES_MAX = 8 };

static rule rules[RULES_MAX];
static size_t rule_count;
static play *playing; /* a scenario's function gets nothing but its world */
static char summary[SUMMARY_MAX];

/* ---- The stage ---- */

static dw_world *world_of(const play *p) {
    return p->world;
}

static void dry_kill(actor *who) {
    who->ending = true;
    dw_host_kill(who->host);
    actor_gone(who);
}

static void dry_crash(actor *who) {
    who->ending = true;
    dw_host_crash(who->host);
    actor_gone(who);
}

static void dry_start(actor *who) {
    dw_host_restart(who->host);
}

static void dry_stall(actor *who, dw_time duration) {
    dw_host_stall(who->host, duration);
}

static void dry_cut(play *p, actor *from, actor *to) {
    dw_world_partition_one_way(world_of(p), from->host, to->host);
}

static void dry_repair(play *p, actor *a, actor *b) {
    dw_world_repair(world_of(p), a->host, b->host);
}

static void dry_latency(play *p, actor *a, actor *b, dw_time latency) {
    dw_world_set_latency(world_of(p), a->host, b->host, latency);
}

static void dry_mtu(play *p, actor *a, actor *b, size_t mtu) {
    dw_world_set_mtu(world_of(p), a->host, b->host, mtu);
}

static void dry_buffers(play *p, size_t send, size_t receive) {
    dw_world_set_buffers(world_of(p), send, receive);
}

static void dry_datagram_buffer(play *p, size_t bytes) {
    dw_world_set_datagram_buffer(world_of(p), bytes);
}

static void dry_keep_alive(play *p, dw_time idle, dw_time interval, unsigned probes) {
    dw_world_set_keep_alive(world_of(p), idle, interval, probes);
}

static void dry_ports(actor *who, uint16_t first, uint16_t last) {
    dw_host_set_ports(who->host, first, last);
}

static void dry_descriptors(actor *who, size_t sockets) {
    dw_host_set_descriptor_limit(who->host, sockets);
}

static void dry_weather(play *p, const char *name) {
    if (!dw_world_set_weather(world_of(p), name)) {
        dw_world_fail(world_of(p), "there is no weather called %s", name);
    }
}

static void dry_nagle(play *p) {
    dw_world_set_nagle(world_of(p), true);
}

static void dry_hold(play *p, actor *from, actor *to) {
    dw_world_hold_one_way(world_of(p), from->host, to->host);
}

static void dry_release(play *p, actor *a, actor *b) {
    dw_world_release(world_of(p), a->host, b->host);
}

static void dry_bandwidth(play *p, actor *a, actor *b, uint64_t bytes_per_second, size_t queue) {
    dw_world_set_bandwidth(world_of(p), a->host, b->host, bytes_per_second);
    dw_world_set_queue(world_of(p), a->host, b->host, queue);
}

static void dry_jitter(play *p, actor *a, actor *b, dw_time jitter) {
    dw_world_set_jitter(world_of(p), a->host, b->host, jitter);
}

static void dry_loss(play *p, actor *a, actor *b, uint32_t per_million) {
    dw_world_set_loss(world_of(p), a->host, b->host, per_million);
}

/* The rule as a user writes one: a function that looks at what is about to arrive. */
static dw_verdict judge(dw_world *world, const dw_message *m, void *user) {
    rule *r = user;
    size_t len = strlen(r->text);
    (void)world;
    bool meant =
        len > 0 ? m->kind == DW_MESSAGE_DATA && m->len == len && memcmp(m->data, r->text, len) == 0
                : m->kind == DW_MESSAGE_DATAGRAM && --r->number == 0;
    return meant ? r->verdict : (dw_verdict){.kind = DW_PASS};
}

static void dry_rule(play *p, const rule *r) {
    if (rule_count < RULES_MAX) {
        rules[rule_count] = *r;
        dw_world_add_rule(world_of(p), NULL, r->to->host, judge, &rules[rule_count++]);
    }
}

static void dry_name(play *p, const char *name, actor *first, actor *then) {
    dw_name_answer answers[] = {{.addresses = {dw_host_address(first->host)}},
                                {.addresses = {dw_host_address(then->host)}}};
    dw_world_set_name(world_of(p), name, DW_FAMILY_ANY, answers, 2);
}

static void dry_clock(actor *who, clock_change change, int64_t amount) {
    switch (change) {
    case CLOCK_OFFSET:
        dw_host_set_clock_offset(who->host, amount);
        break;
    case CLOCK_DRIFT:
        dw_host_set_clock_drift(who->host, amount);
        break;
    case CLOCK_STEP:
        dw_host_step_clock(who->host, amount);
        break;
    }
}

static const stage dry_stage = {
    .kill = dry_kill,
    .crash = dry_crash,
    .start = dry_start,
    .stall = dry_stall,
    .cut = dry_cut,
    .repair = dry_repair,
    .hold = dry_hold,
    .release = dry_release,
    .bandwidth = dry_bandwidth,
    .jitter = dry_jitter,
    .loss = dry_loss,
    .rule = dry_rule,
    .name = dry_name,
    .clock = dry_clock,
    .latency = dry_latency,
    .mtu = dry_mtu,
    .buffers = dry_buffers,
    .datagram_buffer = dry_datagram_buffer,
    .keep_alive = dry_keep_alive,
    .ports = dry_ports,
    .descriptors = dry_descriptors,
    .weather = dry_weather,
    .nagle = dry_nagle,
};

/* ---- The scenario ---- */

/* The first start comes as a step of its own, when all is set up. */
static void *boot(dw_reactor *reactor, void *user) {
    actor *who = user;
    bool first = who->life == 0;
    actor_enter(who, reactor);
    if (!first) {
        actor_take(who, MOMENT_START, NULL);
    }
    return who;
}

static void first_start(void *user) {
    actor_take(user, MOMENT_START, NULL);
}

static void take(void *user) {
    step *s = user;
    for (unsigned i = 0; i < s->play->actor_count; i++) {
        s->open_then[i] = actor_open_talks(&s->play->actors[i]);
    }
    step_take(s, NULL);
}

static void add_programs(dw_world *world) {
    dw_world_add_program(world, "cat", &dw_cat_script, NULL);
    dw_world_add_program(world, "echo", &dw_echo_script, NULL);
    dw_world_add_program(world, "sleep", &dw_sleep_script, NULL);
}

static void scenario(dw_world *world) {
    play *p = playing;
    p->world = world;
    rule_count = 0;
    add_programs(world);
    for (unsigned i = 0; i < p->actor_count; i++) {
        actor *who = &p->actors[i];
        who->host = dw_world_add_host(world, who->name, boot, who);
    }
    for (unsigned i = 0; i < p->step_count; i++) {
        if (p->steps[i].before) {
            step_take(&p->steps[i], NULL);
        }
    }
    for (unsigned i = 0; i < p->actor_count; i++) {
        dw_world_after(world, 0, first_start, &p->actors[i]);
    }
    for (unsigned i = 0; i < p->step_count; i++) {
        if (p->steps[i].when == MOMENT_AT && !p->steps[i].before) {
            dw_world_after(world, p->steps[i].at, take, &p->steps[i]);
        }
    }
    dw_world_run(world, p->until);
    play_summary(p, summary, sizeof(summary));
    dw_world_note(world, THE_END);
}

/* ---- Deviations ---- */

static bool read_deviations(const document *d, sim_runfile *file, char *error, size_t size) {
    static const char head[] = "drywire run 1\nscenario page\n";
    size_t len = sizeof(head) - 1 + d->deviations.len;
    char *text = malloc(len + 1), why[SIM_RUNFILE_ERROR];
    if (text == NULL) {
        snprintf(error, size, "no memory");
        return false;
    }
    memcpy(text, head, sizeof(head));
    memcpy(text + sizeof(head) - 1, d->text + d->deviations.start, d->deviations.len);
    text[len] = '\0';
    bool good = sim_runfile_parse("deviations", text, len, file, why);
    free(text);
    if (!good) {
        snprintf(error, size, "%s", why);
    }
    return good;
}

uint64_t dry_kinds(const document *d) {
    sim_runfile file = {0};
    char error[SIM_RUNFILE_ERROR];
    uint64_t kinds = 0;
    if (read_deviations(d, &file, error, sizeof(error))) {
        for (size_t i = 0; i < file.list.count; i++) {
            kinds |= UINT64_C(1) << sim_kind_of(file.list.items[i].what);
        }
    }
    sim_runfile_free(&file);
    return kinds;
}

static bool same(const sim_deviation *a, const sim_deviation *b) {
    return strcmp(a->who, b->who) == 0 && strcmp(a->what, b->what) == 0 && a->nth == b->nth &&
           a->value == b->value;
}

/* A deviation that nobody took would be a page about nothing. */
static bool all_taken(const sim_list *asked, const sim_list *taken, char *error, size_t size) {
    for (size_t i = 0; i < asked->count; i++) {
        size_t j = 0;
        while (j < taken->count && !same(&asked->items[i], &taken->items[j])) {
            j++;
        }
        if (j == taken->count) {
            snprintf(error, size, "the deviation `%s %s %llu` was not taken", asked->items[i].who,
                     asked->items[i].what, (unsigned long long)asked->items[i].nth);
            return false;
        }
    }
    return true;
}

/* ---- The timeline ---- */

/* "delayed call of connector.c:371": the number changes with every edit of that file. */
static void drop_line_number(char *line) {
    char *call = strstr(line, "delayed call of ");
    char *colon = call != NULL ? strrchr(call, ':') : NULL;
    if (colon != NULL) {
        strcpy(colon, "\n");
    }
}

static char *timeline_text(const sim_trace *trace) {
    size_t count = sim_trace_count(trace), size = sizeof(summary) + 2, len = 0;
    for (size_t i = 0; i < count; i++) {
        size += strlen(sim_trace_line(trace, i, false)) + 1;
    }
    char *text = malloc(size);
    for (size_t i = 0; text != NULL && i < count; i++) {
        const char *line = sim_trace_line(trace, i, false);
        if (strstr(line, THE_END) != NULL) {
            break;
        }
        snprintf(text + len, size - len, "%s\n", line);
        drop_line_number(text + len);
        len += strlen(text + len);
    }
    if (text != NULL && summary[0] != '\0') {
        snprintf(text + len, size - len, "\n%s", summary);
    }
    return text;
}

const char *dry_summary(void) {
    return summary;
}

char *dry_play(play *p, const document *d, char *error, size_t size) {
    static const dw_scenario scenario_of_page = {.name = "page", .run = scenario};
    sim_runfile file = {0};
    sim_outcome outcome;
    sim_run_options options = {.trace = true};
    char *text = NULL;
    sim_runner *runner = sim_runner_new();
    snprintf(error, size, "no memory");
    if (runner != NULL && read_deviations(d, &file, error, size)) {
        sim_source source = {.kind = SIM_LIST, .list = &file.list};
        playing = p;
        play_begin(p, &dry_stage);
        sim_run(runner, &scenario_of_page, &source, &options, &outcome);
        text = timeline_text(sim_runner_trace(runner));
        if (outcome.failed) {
            snprintf(error, size, "a finding, %s: %s", outcome.oracle, outcome.message);
        }
        if (outcome.failed || !all_taken(&file.list, sim_runner_taken(runner), error, size)) {
            fputs(text != NULL ? text : "", stderr);
            free(text);
            text = NULL;
        }
    }
    sim_runfile_free(&file);
    sim_runner_free(runner);
    return text;
}
