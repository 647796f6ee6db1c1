/* SPDX-License-Identifier: MIT */
/*
 * Promises of a protocol under fuzz: each is tried on every input. One protocol, a line server that
 * answers after 10 ms, with a mistake of each kind that can be switched on; without one, no input
 * of these is a finding.
 */
#include "../suite.h"

#include <check.h>
#include <drywire/fuzz.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum mistake {
    NONE,
    FORGETS_ON_CUT,
    DEAF_WHEN_BUSY,
    HASTY_EOF,
    COMPLETES_AT_EOF,
    SHARES_A_BUFFER,
    NEVER_CLOSES,
    GARBLES
} mistake;

static mistake made; /* by the protocols of this test */

/* ---- The server ---- */

enum { LINE_MAX_LEN = 64 };

typedef struct line {
    char text[LINE_MAX_LEN + 1];
    size_t len;
} line;

typedef struct greeter {
    dw_protocol base;
    dw_factory *factory; /* whose buffer is shared by mistake */
    dw_reactor *reactor;
    dw_delayed_call call, idle;
    line own;
    char *waiting; /* whole lines, not answered yet */
    size_t waiting_len;
    bool busy, ended;
} greeter;

typedef struct greeters {
    dw_factory base;
    dw_reactor *reactor;
    line shared;
} greeters;

static greeter *of(dw_protocol *p) {
    return DW_CONTAINER_OF(p, greeter, base);
}

static void answered(void *user);

static void answer_next(greeter *g) {
    g->busy = g->waiting_len > 0;
    if (g->busy) {
        dw_reactor_call_later(g->reactor, &g->call, DW_MSEC(10), answered, g);
    } else if (g->ended) {
        dw_transport_lose_connection(g->base.transport);
    }
}

static void answered(void *user) {
    greeter *g = user;
    size_t len = strlen(g->waiting);
    dw_transport_write(g->base.transport, "hello ", 6);
    dw_transport_write(g->base.transport, g->waiting, len);
    dw_transport_write(g->base.transport, made == GARBLES && len == 0 ? "!" : "\n", 1);
    g->waiting_len -= len + 1;
    memmove(g->waiting, g->waiting + len + 1, g->waiting_len);
    answer_next(g);
}

static void line_is_whole(greeter *g, line *l) {
    char *waiting = dw_resize(g->reactor, g->waiting, g->waiting_len + l->len + 1);
    if (waiting == NULL) {
        dw_transport_abort_connection(g->base.transport);
        return;
    }
    memcpy(waiting + g->waiting_len, l->text, l->len);
    g->waiting = waiting;
    g->waiting_len += l->len + 1;
    g->waiting[g->waiting_len - 1] = '\0';
    l->len = 0;
    if (!g->busy) {
        answer_next(g);
    }
}

static void idle_over(void *user) {
    greeter *g = user;
    dw_transport_abort_connection(g->base.transport);
}

static void arm(greeter *g) {
    if (made != NEVER_CLOSES) {
        dw_reactor_call_later(g->reactor, &g->idle, DW_SEC(30), idle_over, g);
    }
}

static void greeter_made(dw_protocol *p) {
    arm(of(p));
}

static void greeter_data(dw_protocol *p, const uint8_t *data, size_t len) {
    greeter *g = of(p);
    line *l =
        made == SHARES_A_BUFFER ? &DW_CONTAINER_OF(g->factory, greeters, base)->shared : &g->own;
    if (made == DEAF_WHEN_BUSY && g->busy) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            line_is_whole(g, l);
            arm(g);
        } else if (l->len < LINE_MAX_LEN) {
            l->text[l->len++] = (char)data[i];
        }
        if (made == DEAF_WHEN_BUSY && g->busy) {
            return;
        }
    }
    l->len = made == FORGETS_ON_CUT ? 0 : l->len;
}

static void greeter_eof(dw_protocol *p) {
    greeter *g = of(p);
    if (made == COMPLETES_AT_EOF && g->own.len > 0) {
        line_is_whole(g, &g->own);
    }
    g->ended = true;
    if (!g->busy || made == HASTY_EOF) {
        dw_transport_lose_connection(p->transport);
    }
}

static void greeter_lost(dw_protocol *p, const dw_reason *reason) {
    (void)reason;
    dw_delayed_call_cancel(&of(p)->call);
    dw_delayed_call_cancel(&of(p)->idle);
}

static void greeter_destroy(dw_protocol *p) {
    dw_free(of(p)->reactor, of(p)->waiting);
    dw_free(of(p)->reactor, of(p));
}

/* ---- What it promises ---- */

static size_t message_len(const uint8_t *input, size_t len) {
    const uint8_t *end = memchr(input, '\n', len);
    return end != NULL ? (size_t)(end - input) + 1 : 0;
}

static bool well_formed(const uint8_t *output, size_t len) {
    return memchr(output, '!', len) == NULL;
}

static const dw_promises all = {.segment_invariant = true,
                                .window_invariant = true,
                                .pipeline_invariant = true,
                                .replies_after_eof = true,
                                .framed = true,
                                .fresh_reconnect = true,
                                .memory_max = 4000,
                                .message_deadline = DW_SEC(30),
                                .message_len = message_len,
                                .well_formed = well_formed};

static const dw_protocol_class greeter_class = {.name = "greeter",
                                                .connection_made = greeter_made,
                                                .data_received = greeter_data,
                                                .connection_lost = greeter_lost,
                                                .read_connection_lost = greeter_eof,
                                                .destroy = greeter_destroy,
                                                .promises = &all};

static dw_protocol *build(dw_factory *factory, const dw_address *peer) {
    greeters *f = DW_CONTAINER_OF(factory, greeters, base);
    greeter *g = dw_new(f->reactor, greeter);
    (void)peer;
    if (g == NULL) {
        return DW_PROTOCOL_FAILED;
    }
    dw_protocol_init(&g->base, &greeter_class);
    g->reactor = f->reactor;
    g->factory = factory;
    return &g->base;
}

static dw_factory *greeters_new(dw_reactor *reactor) {
    static const dw_factory_class cls = {.name = "greeters", .build_protocol = build};
    greeters *f = dw_new(reactor, greeters);
    ck_assert_ptr_nonnull(f);
    dw_factory_init(&f->base, &cls);
    f->reactor = reactor;
    return &f->base;
}

static void greeters_release(dw_factory *factory) {
    greeters *f = DW_CONTAINER_OF(factory, greeters, base);
    dw_free(f->reactor, f);
}

/* cuts_matter: the engine's own check of cuts is off, so that it is the promise's that is seen. */
static const dw_fuzz_protocol target = {
    .factory = greeters_new, .release = greeters_release, .cuts_matter = true};

/* ---- Playing ---- */

static int play(const char *input, size_t len, char *text, size_t size) {
    size_t used = 0;
    int pipes[2], status = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        dw_fuzz_protocol_run(&target, (const uint8_t *)input, len);
        _exit(EXIT_SUCCESS);
    }
    close(pipes[1]);
    for (ssize_t n = 1; n > 0 && used < size - 1; used += (size_t)n) {
        n = read(pipes[0], text + used, size - 1 - used);
        n = n < 0 ? 0 : n;
    }
    text[used] = '\0';
    close(pipes[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

#define S10 \
    "\xff"  \
    "6"

/* Each finds one mistake; none finds anything in a good protocol. */
static const struct plan {
    mistake mistake;
    const char *input, *oracle;
} plans[] = {
    {FORGETS_ON_CUT, "ann\nbob\n", "segment-invariant"},
    {DEAF_WHEN_BUSY, "ann\nbob\n", "pipeline-invariant"},
    {HASTY_EOF, "ann\n", "replies-after-eof"},
    {COMPLETES_AT_EOF, "ann\nbob\n", "framed"},
    {SHARES_A_BUFFER, "ann\nbob\ncid\n", "fresh-reconnect"},
    {GARBLES, "\n" S10, "well-formed"},
    {NEVER_CLOSES, "ann\n" S10 "b" S10 "o" S10 "b" S10, "deadline"},
};

START_TEST(each_promise_is_tried_on_every_input) {
    const struct plan *plan = &plans[_i];
    char text[4096];
    made = plan->mistake;
    int status = play(plan->input, strlen(plan->input), text, sizeof(text));
    char head[100];
    snprintf(head, sizeof(head), "drywire fuzz: %s: ", plan->oracle);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "nothing was found by %s",
                  plan->oracle);
    ck_assert_msg(strstr(text, head) != NULL, "not '%s' in %s", head, text);
    ck_assert_ptr_nonnull(strstr(text, "the conversation:"));
}
END_TEST

START_TEST(a_protocol_that_keeps_its_promises_is_no_finding) {
    char text[4096];
    made = NONE;
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        int status = play(plans[i].input, strlen(plans[i].input), text, sizeof(text));
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", text);
    }
}
END_TEST

static char long_input[5000];

START_TEST(memory_is_limited_for_each_connection) {
    char text[4096];
    made = NONE;
    memset(long_input, '\n', sizeof(long_input)); /* each a line that waits for its answer */
    int status = play(long_input, 4000, text, sizeof(text));
    ck_assert_msg(WIFEXITED(status), "%s", text);
    status = play(long_input, 4001, text, sizeof(text));
    ck_assert(WIFSIGNALED(status));
    ck_assert_msg(strstr(text, "drywire fuzz: memory-limit: ") != NULL, "%s", text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fuzz_promises");
    TCase *tc = tcase_create("promises");
    tcase_add_loop_test(tc, each_promise_is_tried_on_every_input, 0,
                        (int)(sizeof(plans) / sizeof(plans[0])));
    tcase_add_test(tc, a_protocol_that_keeps_its_promises_is_no_finding);
    tcase_add_test(tc, memory_is_limited_for_each_connection);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
