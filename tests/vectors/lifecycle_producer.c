/* SPDX-License-Identifier: MIT */
/*
 * Scripted producers (README, 2.2): a list of chunk sizes, written one after the other while the
 * producer is not paused (push), or one for each resumeProducing (pull).
 */
#include "lifecycle.h"

#include <math.h>

enum { CHUNK_BYTE = 'p' }; /* as in the recordings */

static producer *of(dw_producer *base) {
    return DW_CONTAINER_OF(base, producer, base);
}

static bool note(producer *q, const char *name) {
    context ctx = conn_context(q->c);
    json_t *event = json_pack("{s:s}", "ev", name);
    if (q->c->number > 0) {
        json_object_set_new(event, "c", json_integer(q->c->number));
    }
    if (strcmp(q->name, "q0") != 0) {
        json_object_set_new(event, "q", json_string(q->name));
    }
    return side_note(&ctx, event);
}

/* Returns whether there is more to write. */
static bool write_chunk(producer *q) {
    context ctx = conn_context(q->c);
    size_t count = json_array_size(q->chunks);
    if (q->next >= count) {
        return false;
    }
    json_int_t size = json_integer_value(json_array_get(q->chunks, q->next++));
    uint8_t *chunk = size >= 0 && size <= 100000000 ? malloc((size_t)size + 1) : NULL;
    if (chunk == NULL) {
        side_trouble(q->c->s, "a chunk of %lld bytes", (long long)size);
        return false;
    }
    memset(chunk, CHUNK_BYTE, (size_t)size);
    conn_wrote(q->c, chunk, (size_t)size);
    dw_transport_write(q->c->base.transport, chunk, (size_t)size);
    free(chunk);
    if (q->next == count && !q->c->s->raised) {
        side_perform(&ctx, q->then);
    }
    return q->next < count && !q->c->s->raised;
}

void producer_produce(producer *q) {
    bool more = true;
    while (more && (!q->paused || q->ignore_pause)) {
        more = write_chunk(q);
    }
}

static void fail_if_raised(producer *q) {
    if (side_caught(q->c->s)) {
        conn_drops(q->c);
        dw_transport_fail(q->c->base.transport, &(dw_reason){DW_APP_ERROR, 0, "the script raised"});
    }
}

static void paused(dw_producer *base) {
    producer *q = of(base);
    q->paused = true;
    note(q, "producer.pauseProducing");
    fail_if_raised(q);
}

static void resumed(dw_producer *base) {
    producer *q = of(base);
    q->paused = false;
    if (note(q, "producer.resumeProducing")) {
        if (q->streaming) {
            producer_produce(q);
        } else {
            write_chunk(q);
        }
    }
    fail_if_raised(q);
}

/* An exception here keeps Twisted from ending the connection: nobody is told any more. */
static void stopped(dw_producer *base) {
    producer *q = of(base);
    if (!note(q, "producer.stopProducing")) {
        side_accident(q->c->s);
        side_caught(q->c->s);
    }
}

static const dw_producer_class scripted = {.name = "scripted producer",
                                           .pause_producing = paused,
                                           .resume_producing = resumed,
                                           .stop_producing = stopped};

static producer *find(conn *c, const char *name) {
    for (size_t i = 0; i < c->producer_count; i++) {
        if (strcmp(c->producers[i].name, name) == 0) {
            return &c->producers[i];
        }
    }
    return NULL;
}

static conn *needed(const context *ctx, const json_t *args) {
    conn *c = context_conn(ctx, args);
    if (c == NULL) {
        side_trouble(ctx->s, "\"%s\" without a connection", op_text(ctx, args, "op", ""));
    }
    return c;
}

static void register_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    const char *name = op_text(ctx, args, "q", "q0");
    if (c == NULL) {
        return;
    }
    producer *q = find(c, name);
    if (q == NULL && c->producer_count == PRODUCERS_MAX) {
        side_trouble(ctx->s, "too many producers");
        return;
    }
    if (q == NULL) {
        q = &c->producers[c->producer_count++];
    }
    producer fresh = {.base = {&scripted},
                      .c = c,
                      .name = name,
                      .chunks = json_object_get(args, "chunks"),
                      .then = json_object_get(args, "then"),
                      .streaming = op_flag(args, "streaming"),
                      .ignore_pause = op_flag(args, "ignore_pause")};
    producer old = *q;
    *q = fresh;
    int result = dw_transport_register_producer(c->base.transport, &q->base, q->streaming);
    if (result < 0 && old.name != NULL) {
        *q = old; /* the same one again: it stays as it was */
    }
    side_result(ctx, args, result);
}

static void produce_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    producer *q = c != NULL ? find(c, op_text(ctx, args, "q", "q0")) : NULL;
    if (q == NULL) {
        side_trouble(ctx->s, "\"produce\" without a producer");
    } else {
        producer_produce(q);
    }
}

static void unregister_op(const context *ctx, const json_t *args) {
    conn *c = needed(ctx, args);
    if (c != NULL) {
        dw_transport_unregister_producer(c->base.transport);
    }
}

const operation producer_operations[] = {
    {"registerProducer", register_op},
    {"produce", produce_op},
    {"unregisterProducer", unregister_op},
    {NULL, NULL},
};
