/* SPDX-License-Identifier: MIT */
/*
 * The key-value server and its clients on the dry wire: the same object code as on real sockets, in
 * worlds where connections break, segments are cut, memory runs out and machines lose power. Each
 * scenario first lets things happen, then heals the world and asks for what must hold in the end.
 *
 * What can be promised of a store that lives in memory only: a SET that was acknowledged is stored
 * for as long as the server has not started again since it was asked. An INCR runs at most once for
 * each time it was asked, and at least once when it was acknowledged.
 */
#include "client.h"
#include "server.h"
#include "slow_reader.h"

#include "drywire/sim.h"

#include <stdio.h>
#include <string.h>

#define PORT          6379
#define CUSTOMERS_MAX 4
#define QUESTIONS_MAX 128

/* What must have come about by itself, once the faults have stopped. */
#define LIVENESS_LIMIT DW_SEC(120)

typedef enum question_kind { ASK_SET, ASK_GET, ASK_INCR, ASK_ECHO, ASK_KINDS } question_kind;

struct customer;

typedef struct question {
    struct customer *who;
    uint32_t number; /* in the order of asking, from 1 */
    question_kind kind;
    unsigned slot;   /* which of the customer's keys */
    unsigned epoch;  /* of the server, when it was asked */
    bool must_exist; /* of a GET: an acknowledged SET came before it */
    dw_time asked, answered;
} question;

/* One client, on a host of its own. */
typedef struct customer {
    dw_host *host;
    kv_client *client;
    dw_delayed_call next;
    unsigned index, bursts, burst_size;
    dw_time pause; /* between bursts */
    question questions[QUESTIONS_MAX];
    uint32_t asked, settled, last_answered;
    question *acked[QUESTIONS_MAX]; /* by slot: the SET, once it was acknowledged */
    dw_delayed_call probe;
    bool probing, served;
} customer;

/* All of one run. Static, since callbacks may come when the scenario has returned. */
static struct run {
    dw_world *world;
    dw_host *server;
    kv_server_options options;
    unsigned epoch; /* how often the server has started */
    customer customers[CUSTOMERS_MAX];
    unsigned customer_count;
    uint32_t incr_asked, incr_acked;
} run;

static void begin(dw_world *world) {
    memset(&run, 0, sizeof(run));
    run.world = world;
}

static kv_server *running_server(void) {
    return dw_host_program(run.server);
}

/* ---- The server's host ---- */

static void *boot_server(dw_reactor *reactor, void *user) {
    (void)user;
    kv_server *server = kv_server_new(reactor, &run.options);
    if (server == NULL) {
        return NULL;
    }
    if (kv_server_listen(server, NULL, PORT) != 0) {
        kv_server_free(server);
        return NULL;
    }
    run.epoch++;
    return server;
}

static void add_server(void) {
    run.server = dw_world_add_host(run.world, "server", boot_server, NULL);
}

/* ---- What must hold of an answer ---- */

static bool text_is(const kv_reply *reply, const char *text) {
    return reply->text.len == strlen(text) && memcmp(reply->text.data, text, reply->text.len) == 0;
}

static bool is_oom(const kv_reply *reply) {
    return reply->text.len >= 4 && memcmp(reply->text.data, "OOM ", 4) == 0;
}

static void check_counter(int64_t value) {
    dw_always(run.world, value <= (int64_t)run.incr_asked,
              "a counter never counts more than was asked");
}

static void format_key(char *out, size_t size, const customer *c, unsigned slot) {
    snprintf(out, size, "key:%u:%u", c->index, slot);
}

/* Each key is only ever set to one value, so a SET that is sent twice is no matter. */
static void format_value(char *out, size_t size, const customer *c, unsigned slot) {
    snprintf(out, size, "value-of-%u-%u", c->index, slot);
}

static void check_get(const question *q, const kv_reply *reply) {
    char value[64];
    format_value(value, sizeof(value), q->who, q->slot);
    dw_always(run.world, reply->null || text_is(reply, value), "what is read is what was written");
    dw_always(run.world, !reply->null || !q->must_exist || q->epoch != run.epoch,
              "an acknowledged SET can be read");
}

static void check_reply(question *q, const kv_reply *reply) {
    char token[32];
    switch (q->kind) {
    case ASK_SET:
        dw_always(run.world, text_is(reply, "OK"), "a SET is answered with OK");
        q->who->acked[q->slot] = q;
        break;
    case ASK_GET:
        check_get(q, reply);
        break;
    case ASK_INCR:
        run.incr_acked++;
        check_counter(reply->integer);
        break;
    default:
        snprintf(token, sizeof(token), "echo-%u-%u", q->who->index, (unsigned)q->number);
        dw_always(run.world, text_is(reply, token), "a reply belongs to its request");
        break;
    }
}

static void answered(void *user, kv_outcome outcome, const kv_reply *reply) {
    question *q = user;
    customer *c = q->who;
    c->settled++;
    q->answered = dw_world_now(run.world);
    dw_sometimes(run.world, outcome == KV_UNKNOWN, "the client does not know an outcome");
    if (outcome != KV_ANSWERED) {
        return;
    }
    dw_always(run.world, q->number > c->last_answered, "replies come in the order of the requests");
    c->last_answered = q->number;
    dw_always(run.world, reply->type != '-' || is_oom(reply),
              "the server understands every request");
    if (reply->type != '-') {
        check_reply(q, reply);
    }
}

/* ---- Customers ---- */

/* Asks one question; one that there is no memory for was never asked. */
static void ask(customer *c, question_kind kind, unsigned slot, const char *const *words) {
    if (c->asked == QUESTIONS_MAX) {
        return;
    }
    question *q = &c->questions[c->asked];
    const question *set = c->acked[slot];
    *q = (question){.who = c,
                    .number = c->asked + 1,
                    .kind = kind,
                    .slot = slot,
                    .epoch = run.epoch,
                    .must_exist = set != NULL && set->epoch == run.epoch,
                    .asked = dw_world_now(run.world)};
    if (kv_client_ask_words(c->client, words, answered, q) == 0) {
        c->asked++;
        run.incr_asked += kind == ASK_INCR ? 1 : 0;
    }
}

static void ask_kind(customer *c, question_kind kind, unsigned slot) {
    char key[64], value[64], token[32];
    format_key(key, sizeof(key), c, slot);
    format_value(value, sizeof(value), c, slot);
    snprintf(token, sizeof(token), "echo-%u-%u", c->index, (unsigned)c->asked + 1);
    const char *const set[] = {"SET", key, value, NULL};
    const char *const get[] = {"GET", key, NULL};
    const char *const incr[] = {"INCR", "counter", NULL};
    const char *const echo[] = {"ECHO", token, NULL};
    const char *const *const words[ASK_KINDS] = {set, get, incr, echo};
    ask(c, kind, slot, words[kind]);
}

/* A pipeline of SET, GET, INCR, ECHO, ..., then a pause. */
static void burst(void *user) {
    customer *c = user;
    for (unsigned i = 0; i < c->burst_size; i++) {
        ask_kind(c, (question_kind)(i % ASK_KINDS), c->bursts % QUESTIONS_MAX);
    }
    if (--c->bursts > 0) {
        dw_reactor_call_later(dw_host_reactor(c->host), &c->next, c->pause, burst, c);
    }
}

static const kv_client_options eager = {
    .timeout = DW_SEC(4), .connect = DW_SEC(2), .delay_first = DW_MSEC(50), .delay_max = DW_SEC(1)};

static kv_client *new_client(dw_reactor *reactor) {
    kv_client *client = kv_client_new(reactor, &eager);
    if (client != NULL && kv_client_connect(client, "server", PORT) != 0) {
        kv_client_close(client);
        return NULL;
    }
    return client;
}

static void *boot_customer(dw_reactor *reactor, void *user) {
    customer *c = user;
    c->client = new_client(reactor);
    if (c->client != NULL && c->bursts > 0) {
        dw_reactor_call_later(reactor, &c->next, DW_MSEC(10), burst, c);
    }
    return c->client;
}

static customer *add_customer(unsigned bursts, unsigned burst_size, dw_time pause) {
    customer *c = &run.customers[run.customer_count];
    char name[32];
    c->index = ++run.customer_count;
    c->bursts = bursts;
    c->burst_size = burst_size;
    c->pause = pause;
    snprintf(name, sizeof(name), "client-%u", c->index);
    c->host = dw_world_add_host(run.world, name, boot_customer, c);
    return c;
}

/* ---- The end of every scenario ---- */

static bool all_settled(void *user) {
    (void)user;
    for (unsigned i = 0; i < run.customer_count; i++) {
        const customer *c = &run.customers[i];
        if (c->bursts > 0 || c->settled < c->asked) {
            return false;
        }
    }
    return true;
}

static void probe(void *user);

static void probed(void *user, kv_outcome outcome, const kv_reply *reply) {
    customer *c = user;
    c->served = outcome == KV_ANSWERED && text_is(reply, "PONG");
    if (!c->served) {
        dw_reactor_call_later(dw_host_reactor(c->host), &c->probe, DW_MSEC(100), probe, c);
    }
}

static void probe(void *user) {
    customer *c = user;
    const char *const ping[] = {"PING", NULL};
    if (dw_reactor_running(dw_host_reactor(c->host)) &&
        kv_client_ask_words(c->client, ping, probed, c) != 0) {
        dw_reactor_call_later(dw_host_reactor(c->host), &c->probe, DW_MSEC(100), probe, c);
    }
}

static bool all_served(void *user) {
    (void)user;
    for (unsigned i = 0; i < run.customer_count; i++) {
        customer *c = &run.customers[i];
        if (!c->probing && dw_host_is_up(c->host)) {
            c->probing = true;
            dw_reactor_call_later(dw_host_reactor(c->host), &c->probe, 0, probe, c);
        }
        if (!c->served) {
            return false;
        }
    }
    return true;
}

/* A host that could not boot for want of memory is started again, as by an operator. */
static void start_all(void) {
    dw_host_restart(run.server);
    for (unsigned i = 0; i < run.customer_count; i++) {
        dw_host_restart(run.customers[i].host);
    }
}

static void check_sets(kv_store *store) {
    for (unsigned i = 0; i < run.customer_count; i++) {
        const customer *c = &run.customers[i];
        for (unsigned slot = 0; slot < QUESTIONS_MAX; slot++) {
            const question *q = c->acked[slot];
            if (q != NULL && q->epoch == run.epoch) {
                char key[64];
                format_key(key, sizeof(key), c, slot);
                dw_always(run.world, kv_store_find(store, kv_text(key)) != NULL,
                          "an acknowledged SET is stored");
            }
        }
    }
}

static void check_store(void) {
    kv_store *store = kv_server_store(running_server());
    int64_t count = 0;
    const kv_entry *counter = kv_store_find(store, kv_text("counter"));
    if (counter != NULL) {
        kv_parse_integer(kv_entry_value(counter), &count);
    }
    check_counter(count);
    dw_always(run.world, run.epoch > 1 || count >= (int64_t)run.incr_acked,
              "an acknowledged INCR is counted");
    check_sets(store);
}

static void count_clients(void) {
    for (unsigned i = 0; i < run.customer_count; i++) {
        kv_client_stats stats = kv_client_get_stats(run.customers[i].client);
        dw_sometimes(run.world, stats.connections > 1, "a client connects again");
        dw_sometimes(run.world, stats.resent > 0, "a client sends a request again");
    }
}

/* Faults stop; what was begun must end, and everyone be served. False: there was a finding. */
static bool settle(void) {
    if (dw_world_failed(run.world)) {
        return false;
    }
    dw_world_heal(run.world);
    start_all();
    bool settled = dw_world_run_until(run.world, all_settled, NULL, LIVENESS_LIMIT);
    dw_always(run.world, settled || dw_world_failed(run.world), "every request has an outcome");
    bool served = dw_world_run_until(run.world, all_served, NULL, LIVENESS_LIMIT);
    dw_always(run.world, served || dw_world_failed(run.world),
              "once the faults have stopped everyone is served");
    if (dw_world_failed(run.world)) {
        return false;
    }
    check_store();
    count_clients();
    return !dw_world_failed(run.world);
}

/* ---- Scenarios ---- */

/* Clients that share a counter and have keys of their own. */
static void several_clients(dw_world *world) {
    begin(world);
    add_server();
    for (unsigned i = 0; i < 3; i++) {
        add_customer(4, 4, DW_SEC(4));
    }
    dw_world_run(world, DW_SEC(30));
    settle();
}

/* Much in flight at once, in few segments. */
static void pipelines(dw_world *world) {
    begin(world);
    add_server();
    add_customer(3, 32, DW_SEC(2));
    dw_world_run(world, DW_SEC(30));
    settle();
}

/* One client, one request at a time: the smallest story of a lost reply. */
static void counter(dw_world *world) {
    begin(world);
    add_server();
    add_customer(6, 3, DW_SEC(1));
    dw_world_run(world, DW_SEC(30));
    settle();
}

static void kill_server(void *user) {
    (void)user;
    dw_host_kill(run.server);
}

static void crash_server(void *user) {
    (void)user;
    dw_host_crash(run.server);
}

static void restart_server(void *user) {
    (void)user;
    dw_host_restart(run.server);
}

static void add_two_customers(void) {
    add_customer(8, 3, DW_MSEC(2500));
    add_customer(8, 4, DW_MSEC(1500));
}

/* The process is killed twice, and started again: what it stored is gone. */
static void kill_and_restart(dw_world *world) {
    begin(world);
    add_server();
    add_two_customers();
    dw_world_after(world, DW_SEC(3), kill_server, NULL);
    dw_world_after(world, DW_SEC(5), restart_server, NULL);
    dw_world_after(world, DW_MSEC(9011), kill_server, NULL);
    dw_world_after(world, DW_MSEC(9012), restart_server, NULL);
    dw_world_run(world, DW_SEC(40));
    settle();
    dw_sometimes(world, run.epoch > 2, "the server comes back twice");
}

/* The machine loses power, and the clients are left with half-open connections. */
static void crash_and_restart(dw_world *world) {
    begin(world);
    add_server();
    add_two_customers();
    dw_world_after(world, DW_MSEC(4012), crash_server, NULL);
    dw_world_after(world, DW_SEC(9), restart_server, NULL);
    dw_world_run(world, DW_SEC(40));
    settle();
}

/* ---- Expiry ---- */

#define LIFE DW_MSEC(500)

/* A GET of a key that lives for LIFE since some moment between `set->asked` and `set->answered`; it
 * was read between `get->asked` and now. */
static void expiring_read(void *user, kv_outcome outcome, const kv_reply *reply) {
    question *get = user;
    customer *c = get->who;
    const question *set = c->acked[get->slot];
    c->settled++;
    if (outcome != KV_ANSWERED || reply->type == '-' || set == NULL || set->epoch != run.epoch) {
        return;
    }
    dw_time now = dw_world_now(run.world);
    bool too_early = now < set->asked + LIFE;
    bool too_late = get->asked > set->answered + LIFE + DW_MSEC(1);
    dw_always(run.world, !(reply->null && too_early && get->must_exist),
              "a key lives until its deadline");
    dw_always(run.world, reply->null || !too_late, "a key is gone after its deadline");
    dw_sometimes(run.world, reply->null && too_late, "a key expires");
}

static void ask_expiring(void *user) {
    customer *c = user;
    char key[64], value[64];
    unsigned slot = c->bursts / 4;
    if (c->asked + 1 >= QUESTIONS_MAX || c->bursts == 0) {
        return;
    }
    format_key(key, sizeof(key), c, slot);
    format_value(value, sizeof(value), c, slot);
    if (c->bursts-- % 4 == 3) {
        const char *const set[] = {"SET", key, value, "PX", "500", NULL};
        ask(c, ASK_SET, slot, set);
    } else {
        const char *const get[] = {"GET", key, NULL};
        const question *set = c->acked[slot];
        question *q = &c->questions[c->asked];
        *q = (question){.who = c,
                        .number = c->asked + 1,
                        .slot = slot,
                        .must_exist = set != NULL,
                        .asked = dw_world_now(run.world)};
        c->asked += kv_client_ask_words(c->client, get, expiring_read, q) == 0 ? 1 : 0;
    }
    if (c->bursts > 0) {
        dw_reactor_call_later(dw_host_reactor(c->host), &c->next, DW_MSEC(300), ask_expiring, c);
    }
}

static void *boot_expiring(dw_reactor *reactor, void *user) {
    customer *c = user;
    c->client = new_client(reactor);
    if (c->client != NULL && c->bursts > 0) {
        dw_reactor_call_later(reactor, &c->next, DW_MSEC(10), ask_expiring, c);
    }
    return c->client;
}

/* Rounds of SET with a deadline, then three GETs: before it, about it, after it. */
static void expiry(dw_world *world) {
    begin(world);
    add_server();
    customer *c = &run.customers[run.customer_count++];
    c->index = run.customer_count;
    c->bursts = 4 * 8 - 1;
    c->host = dw_world_add_host(world, "client-1", boot_expiring, c);
    dw_world_run(world, DW_SEC(30));
    if (dw_world_failed(world)) {
        return;
    }
    dw_world_heal(world);
    start_all();
    bool settled = dw_world_run_until(world, all_settled, NULL, LIVENESS_LIMIT);
    dw_always(world, settled || dw_world_failed(world), "every expiring request has an outcome");
    if (dw_world_run(world, DW_SEC(10))) {
        dw_always(world, kv_store_count(kv_server_store(running_server())) == 0,
                  "keys past their deadline are swept though nobody reads them");
    }
}

/* ---- A slow reader ---- */

#define SLOW_MARK ((size_t)4 * 1024)
#define SLOW_MAX  ((size_t)16 * 1024)

/* Unsent: what was left below the mark, then replies until these pass the mark by one. */
#define SLOW_BOUND (2 * SLOW_MARK + KV_SLOW_VALUE + 64)

/* The static one too outlives the scenario. */
static kv_slow_reader slow;

static void *boot_slow(dw_reactor *reactor, void *user) {
    (void)user;
    return kv_slow_reader_start(&slow, reactor, "server", PORT) == 0 ? &slow : NULL;
}

static bool slow_is_over(void *user) {
    (void)user;
    return slow.over;
}

static void watch_memory(void *user) {
    (void)user;
    if (dw_host_is_up(run.server)) {
        kv_server_stats stats = kv_server_get_stats(running_server());
        dw_always(run.world, stats.unsent_top <= SLOW_BOUND,
                  "unread replies stay under their limit");
        dw_always(run.world, stats.buffers <= 8 * SLOW_BOUND,
                  "the server's buffers stay under their limit");
        dw_sometimes(run.world, stats.throttled > 0, "a slow reader is not read from");
    }
    if (!dw_world_failed(run.world) && dw_world_now(run.world) < DW_SEC(30)) {
        dw_world_after(run.world, DW_MSEC(500), watch_memory, NULL);
    }
}

/* One client asks for far more than it reads, while another is served as ever. */
static void slow_reader(dw_world *world) {
    begin(world);
    slow = (kv_slow_reader){.over = true}; /* until its host is up */
    run.options = (kv_server_options){.unsent_mark = SLOW_MARK, .unsent_max = SLOW_MAX};
    dw_world_set_buffers(world, 2048, 2048);
    add_server();
    dw_world_add_host(world, "slow", boot_slow, NULL);
    add_customer(4, 4, DW_SEC(2));
    dw_world_after(world, DW_MSEC(1), watch_memory, NULL);
    dw_world_run(world, DW_SEC(30));
    if (settle()) {
        bool over = dw_world_run_until(world, slow_is_over, NULL, LIVENESS_LIMIT);
        dw_always(world, over || dw_world_failed(world), "a slow reader comes to an end");
        dw_sometimes(world, kv_slow_reader_has_all(&slow), "a slow reader gets every reply");
    }
}

DW_MAIN(DW_SCENARIO(counter, .seeds = 2000), DW_SCENARIO(several_clients, .seeds = 2000),
        DW_SCENARIO(pipelines, .seeds = 2000), DW_SCENARIO(kill_and_restart, .seeds = 2000),
        DW_SCENARIO(crash_and_restart, .seeds = 2000), DW_SCENARIO(expiry, .seeds = 2000),
        DW_SCENARIO(slow_reader, .seeds = 2000))
