/* SPDX-License-Identifier: MIT */
/*
 * Scripted process protocols and the operations on children (README, 2.1: spawn, proc.*). Where the
 * library dispatches (childConnectionLost to in-, out- and errConnectionLost, childDataReceived to
 * outReceived and errReceived) its own dispatch is used, unless the child has more descriptors than
 * those three: then the protocol does it itself, as Twisted's base class.
 */
#include "lifecycle.h"

#include <stdio.h>

enum { FDS_MAX = 64, ARGUMENTS_MAX = 64, ENVIRONMENT_MAX = 64 };

static child *of(dw_process_protocol *base) {
    return DW_CONTAINER_OF(base, child, base);
}

static json_t *child_event(const child *x, const char *name) {
    json_t *event = json_pack("{s:s}", "ev", name);
    if (strcmp(x->name, "x0") != 0) {
        json_object_set_new(event, "x", json_string(x->name));
    }
    return event;
}

static json_t *fd_event(const child *x, const char *name, int fd) {
    json_t *event = child_event(x, name);
    json_object_set_new(event, "fd", json_integer(fd));
    return event;
}

static context child_context(child *x) {
    return (context){.s = x->s, .x = x};
}

static bool note(child *x, const char *name) {
    context ctx = child_context(x);
    return side_note(&ctx, child_event(x, name));
}

static void fail_if_raised(child *x) {
    if (side_swallow(x->s)) {
        dw_process_fail(x->base.transport, &(dw_reason){DW_APP_ERROR, 0, "the script raised"});
    }
}

/* ---- Callbacks ---- */

static void made(dw_process_protocol *base) {
    child *x = of(base);
    x->process = base->transport;
    note(x, "connectionMade");
    fail_if_raised(x);
}

static bool note_data(child *x, int fd, const uint8_t *data, size_t len) {
    context ctx = {.s = x->s, .x = x, .payload = data, .len = len};
    if (fd >= 0 && fd < FDS_MAX) {
        x->received[fd] += len;
    }
    return side_note_data(&ctx, fd_event(x, "childData", fd), data, len);
}

static void dispatched_data(child *x, int fd, const uint8_t *data, size_t len) {
    if (note_data(x, fd, data, len) && (fd == 1 || fd == 2)) {
        note(x, fd == 1 ? "outReceived" : "errReceived");
    }
    fail_if_raised(x);
}

static void child_data(dw_process_protocol *base, int fd, const uint8_t *data, size_t len) {
    child *x = of(base);
    if (x->s->dispatch) {
        dispatched_data(x, fd, data, len);
        return;
    }
    note_data(x, fd, data, len);
    fail_if_raised(x);
}

static void out_data(dw_process_protocol *base, const uint8_t *data, size_t len) {
    dispatched_data(of(base), 1, data, len);
}

static void err_data(dw_process_protocol *base, const uint8_t *data, size_t len) {
    dispatched_data(of(base), 2, data, len);
}

static void child_lost(dw_process_protocol *base, int fd) {
    static const char *const names[] = {"inConnectionLost", "outConnectionLost",
                                        "errConnectionLost"};
    child *x = of(base);
    context ctx = child_context(x);
    if (side_note(&ctx, fd_event(x, "childConnectionLost", fd)) && fd >= 0 && fd <= 2) {
        note(x, names[fd]);
    }
    fail_if_raised(x);
}

static void in_lost(dw_process_protocol *base) {
    child_lost(base, 0);
}

static void out_lost(dw_process_protocol *base) {
    child_lost(base, 1);
}

static void err_lost(dw_process_protocol *base) {
    child_lost(base, 2);
}

static void note_end(child *x, const char *name, const dw_reason *reason) {
    context ctx = child_context(x);
    int status = dw_reason_exit_status(reason), signal_number = dw_reason_exit_signal(reason);
    json_t *event = child_event(x, name);
    json_object_set_new(event, "reason", json_string(reason_class(reason)));
    json_object_set_new(event, "exitCode", status >= 0 ? json_integer(status) : json_null());
    json_object_set_new(event, "signal",
                        signal_number > 0 ? json_integer(signal_number) : json_null());
    side_note(&ctx, event);
    fail_if_raised(x);
}

static void exited(dw_process_protocol *base, const dw_reason *reason) {
    note_end(of(base), "processExited", reason);
}

static void ended(dw_process_protocol *base, const dw_reason *reason) {
    child *x = of(base);
    note_end(x, "processEnded", reason);
    x->ended = true;
}

/* Once the child is freed it is no longer asked. */
static void forgotten(dw_process_protocol *base) {
    of(base)->process = NULL;
}

#define COMMON \
    .connection_made = made, .process_exited = exited, .process_ended = ended, .destroy = forgotten

static const dw_process_protocol_class plain = {.name = "scripted process protocol",
                                                COMMON,
                                                .child_data_received = child_data,
                                                .in_connection_lost = in_lost,
                                                .out_connection_lost = out_lost,
                                                .err_connection_lost = err_lost};

static const dw_process_protocol_class dispatching = {.name = "dispatching process protocol",
                                                      COMMON,
                                                      .out_received = out_data,
                                                      .err_received = err_data,
                                                      .in_connection_lost = in_lost,
                                                      .out_connection_lost = out_lost,
                                                      .err_connection_lost = err_lost};

static const dw_process_protocol_class many = {.name = "process protocol of more descriptors",
                                               COMMON,
                                               .child_data_received = child_data,
                                               .child_connection_lost = child_lost};

/* ---- spawn ---- */

static size_t texts(const context *ctx, const json_t *list, const char *out[], size_t room) {
    size_t at;
    json_t *text;
    json_array_foreach((json_t *)(uintptr_t)list, at, text) {
        if (at + 1 >= room || !json_is_string(text)) {
            side_trouble(ctx->s, "spawn: \"argv\" is not a short list of texts");
            break;
        }
        out[at] = json_string_value(text);
        out[at + 1] = NULL;
    }
    return json_array_size(list);
}

/* "r": we read what it writes; "w": we write what it reads; a number: one of ours, inherited. */
static size_t descriptors(const context *ctx, const json_t *map, dw_child_fd fds[FDS_MAX],
                          bool *more) {
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, key, value) {
        const char *kind = json_string_value(value);
        dw_child_fd fd = {.fd = atoi(key)};
        if (json_is_integer(value)) {
            fd.kind = DW_CHILD_INHERITS;
            fd.parent_fd = (int)json_integer_value(value);
        } else if (kind != NULL && strcmp(kind, "w") == 0) {
            fd.kind = DW_CHILD_READS;
        } else if (kind != NULL && strcmp(kind, "r") == 0) {
            fd.kind = DW_CHILD_WRITES;
        } else {
            side_trouble(ctx->s, "spawn: unknown kind of descriptor");
        }
        *more = *more || fd.fd > 2;
        if (count < FDS_MAX) {
            fds[count++] = fd;
        }
    }
    return count;
}

/* PATH and LC_ALL=C plus `env`; kept for as long as the play lasts. */
static void environment(const context *ctx, const json_t *env, const char *out[ENVIRONMENT_MAX]) {
    static char path[4096];
    const char *name;
    json_t *value;
    size_t count = 0;
    const char *own = getenv("PATH");
    snprintf(path, sizeof(path), "PATH=%s", own != NULL ? own : "/usr/bin:/bin");
    out[count++] = path;
    out[count++] = "LC_ALL=C";
    json_object_foreach((json_t *)(uintptr_t)env, name, value) {
        const char *text = json_string_value(value);
        size_t len = text != NULL ? strlen(name) + strlen(text) + 2 : 0;
        char *both = len > 0 && count + 1 < ENVIRONMENT_MAX ? malloc(len) : NULL;
        if (both == NULL) {
            side_trouble(ctx->s, "spawn: bad \"env\"");
            break;
        }
        snprintf(both, len, "%s=%s", name, text);
        out[count++] = both;
    }
    out[count] = NULL;
}

static child *add(const context *ctx, const json_t *args, const dw_process_protocol_class *cls) {
    side *s = ctx->s;
    child *x = s->child_count < NAMES_MAX ? calloc(1, sizeof(*x)) : NULL;
    if (x == NULL) {
        side_trouble(s, "too many children");
        return NULL;
    }
    dw_process_protocol_init(&x->base, cls);
    x->s = s;
    x->name = op_text(ctx, args, "x", "x0");
    s->children[s->child_count++] = x;
    return x;
}

static void spawn_op(const context *ctx, const json_t *args) {
    const char *argv[ARGUMENTS_MAX] = {NULL}, *env[ENVIRONMENT_MAX] = {NULL};
    dw_child_fd fds[FDS_MAX];
    const json_t *map = json_object_get(args, "childFDs");
    const char *executable = op_text(ctx, args, "executable", "");
    const char *directory = op_text(ctx, args, "path", "");
    bool more = false;
    if (texts(ctx, json_object_get(args, "argv"), argv, ARGUMENTS_MAX) == 0) {
        side_trouble(ctx->s, "spawn without \"argv\"");
        return;
    }
    size_t count = descriptors(ctx, map, fds, &more);
    environment(ctx, json_object_get(args, "env"), env);
    child *x = add(ctx, args, more ? &many : ctx->s->dispatch ? &dispatching : &plain);
    if (x != NULL) {
        dw_spawn_options options = {.argv = argv,
                                    .executable = executable[0] != '\0' ? executable : NULL,
                                    .env = env,
                                    .directory = directory[0] != '\0' ? directory : NULL,
                                    .fds = json_is_object(map) ? fds : NULL,
                                    .fd_count = count};
        side_result(ctx, args, dw_reactor_spawn_process(ctx->s->reactor, &x->base, &options, NULL));
    }
}

/* ---- proc.* ---- */

static child *needed(const context *ctx, const json_t *args) {
    const char *name = op_text(ctx, args, "x", "");
    side *s = ctx->s;
    child *x = name[0] == '\0' ? ctx->x : NULL;
    for (size_t i = s->child_count; i-- > 0 && x == NULL;) {
        if (strcmp(s->children[i]->name, name[0] != '\0' ? name : "x0") == 0) {
            x = s->children[i];
        }
    }
    if (x == NULL) {
        side_trouble(s, "the operation \"%s\" without a child", op_text(ctx, args, "op", ""));
    }
    return x;
}

static void write_op(const context *ctx, const json_t *args) {
    child *x = needed(ctx, args);
    size_t count;
    bytes *pieces = op_pieces(ctx, args, &count);
    int fd = (int)op_number(ctx, args, "fd", 0);
    for (size_t i = 0; x != NULL && i < count; i++) {
        dw_process_write_to_child(x->process, fd, pieces[i].data, pieces[i].len);
    }
    op_pieces_free(pieces, count);
}

static const struct {
    const char *name;
    void (*verb)(dw_process *process);
} verbs[] = {
    {"proc.closeStdin", dw_process_close_stdin},
    {"proc.closeStdout", dw_process_close_stdout},
    {"proc.closeStderr", dw_process_close_stderr},
    {"proc.loseConnection", dw_process_lose_connection},
    {"proc.pauseProducing", dw_process_pause_producing},
    {"proc.resumeProducing", dw_process_resume_producing},
    {"proc.stopProducing", dw_process_lose_connection},
};

static void verb_op(const context *ctx, const json_t *args) {
    child *x = needed(ctx, args);
    const char *name = op_text(ctx, args, "op", NULL);
    for (size_t i = 0; x != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            verbs[i].verb(x->process);
            return;
        }
    }
}

static void close_fd_op(const context *ctx, const json_t *args) {
    child *x = needed(ctx, args);
    if (x != NULL) {
        dw_process_close_child(x->process, (int)op_number(ctx, args, "fd", 0));
    }
}

static void signal_op(const context *ctx, const json_t *args) {
    child *x = needed(ctx, args);
    const json_t *number = json_object_get(args, "sig");
    if (x == NULL) {
        return;
    }
    int result = json_is_integer(number)
                     ? dw_process_signal(x->process, (int)json_integer_value(number))
                     : dw_process_signal_process(x->process, op_text(ctx, args, "sig", "TERM"));
    side_result(ctx, args, result);
}

static void pid_op(const context *ctx, const json_t *args) {
    child *x = needed(ctx, args);
    if (x != NULL) {
        json_t *event = json_pack("{s:s, s:s, s:b}", "ev", "value", "of", "pid", "value",
                                  dw_process_pid(x->process) != 0);
        side_note(ctx, event);
    }
}

const operation process_operations[] = {
    {"spawn", spawn_op},
    {"proc.write", write_op},
    {"proc.writeSequence", write_op},
    {"proc.writeToChild", write_op},
    {"proc.closeStdin", verb_op},
    {"proc.closeStdout", verb_op},
    {"proc.closeStderr", verb_op},
    {"proc.closeChildFD", close_fd_op},
    {"proc.loseConnection", verb_op},
    {"proc.pauseProducing", verb_op},
    {"proc.resumeProducing", verb_op},
    {"proc.stopProducing", verb_op},
    {"proc.signal", signal_op},
    {"proc.pid", pid_op},
    {NULL, NULL},
};
