/* SPDX-License-Identifier: MIT */
/*
 * One suite, every wire: each case is written once and played on real sockets and in a world. A
 * case gets two reactors (the same one on the live wire), connects scripted sides over them, and
 * compares what each side was told with what Twisted's was (vectors/README.md, section 3).
 */
#ifndef DRYWIRE_TESTS_CONFORMANCE_H
#define DRYWIRE_TESTS_CONFORMANCE_H

#include "../suite.h"

#include <check.h>
#include <drywire/drywire.h>

typedef struct conf conf;
typedef struct side side;

struct conf {
    const char *wire;
    dw_reactor *server, *client;
    const char *address; /* where the client finds the server */
    const char *name;    /* the same as a host name */
    void *backend;
    int fds[3];        /* the black hole's, on the live wire */
    unsigned activity; /* grows with every callback: how the live wire knows that all is quiet */
};

/* A side's reaction, run inside the callback after it was recorded. */
typedef void (*reaction)(side *s);

/* A scripted protocol, and what it was told: words such as `made data read-lost lost:DONE`.
 * Adjacent receptions are one `data`, as in the vectors. */
struct side {
    dw_protocol protocol;
    conf *c;
    reaction on_made, on_data, on_lost, on_read_lost, on_write_lost;
    bool aware; /* of half closes */
    dw_producer producer;
    unsigned produce_left, produce_size; /* what a producer still writes, piece by piece */
    reaction on_produced;                /* when it has nothing left */
    bool producer_quiet;                 /* do not record the producer's calls */
    char log[2000];
    uint8_t *bytes; /* all that was received */
    size_t received;
    dw_reason reason;
};

/* A factory of one scripted side after the other: the first connection gets sides[0], and so on. */
typedef struct serving {
    dw_client_factory client; /* its base is the server's factory too */
    conf *c;
    side **sides;
    unsigned count, used;
    enum { BUILD_SIDE, BUILD_NONE, BUILD_FAILED } build;
    void (*on_failed)(struct serving *f, dw_connector *connector);
    void (*on_lost)(struct serving *f, dw_connector *connector);
    void (*on_started)(struct serving *f, dw_connector *connector);
    void (*on_build)(struct serving *f);
    void (*on_stop)(struct serving *f);
    dw_connector *connector;
    dw_reason reason; /* of the last failure or loss */
    bool over;        /* stop was called */
    char log[2000];
} serving;

/* Plays a case on wire number `wire` of the table in conformance.c. One that this system does not
 * have, as an old kernel, says so on stderr and passes. */
void conf_play(int wire, void (*body)(conf *c));
extern const int conf_wire_count;

/* Runs until *flag is true; fails the test if it never comes. */
void conf_until(conf *c, const bool *flag);
/* Runs until nothing more happens by itself. Delayed calls later than a second are not waited for
 * on the live wire. */
void conf_settle(conf *c);
/* Runs the reactors until one of them was told to stop and has ended. */
void conf_run(conf *c);

/* An address and port that never answer: a machine that is dark, or a listener whose accept queue
 * is full. `host` gets the literal. */
uint16_t conf_black_hole(conf *c, char host[DW_ADDRESS_TEXT_MAX]);

void side_init(side *s, conf *c);
void serving_init(serving *f, conf *c, side **sides, unsigned count);
/* Listens for f at the server and connects g at the client; runs until all is quiet. Returns the
 * port. */
dw_port *conf_pair(conf *c, serving *f, serving *g);
dw_port *conf_listen(conf *c, serving *f);
void conf_connect(conf *c, serving *g, uint16_t port);

void side_say(side *s, const char *text);
void note(char *log, size_t size, const char *word);
const char *kind_word(dw_error kind);

/* Ready reactions. */
void do_lose(side *s);
void do_abort(side *s);
void do_lose_write(side *s);
void do_echo(side *s);
void do_hello(side *s);
void do_pause(side *s);

#define CONF_CASE(name)               \
    static void name##_body(conf *c); \
    START_TEST(name) {                \
        conf_play(_i, name##_body);   \
    }                                 \
    END_TEST                          \
    static void name##_body(conf *c)

#define CONF_ADD(tcase, name) tcase_add_loop_test(tcase, name, 0, conf_wire_count)

#endif
