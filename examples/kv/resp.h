/* SPDX-License-Identifier: MIT */
/*
 * The Redis protocol, RESP2 (redis.io, "Redis serialization protocol specification"): requests in,
 * for the server, and replies in, for the client. Both parsers take a stream in chunks; the same
 * bytes give the same results however they are cut, and a message that lies whole in one chunk is
 * never copied.
 */
#ifndef KV_RESP_H
#define KV_RESP_H

#include "input.h"

typedef enum kv_parse {
    KV_PARSE_MORE,  /* everything so far is used up; feed the next chunk */
    KV_PARSE_DONE,  /* one request or reply */
    KV_PARSE_ERROR, /* the stream makes no sense from here on; `error` says why */
    KV_PARSE_NO_MEMORY,
} kv_parse;

/* Limits on one request; 0 is the default. */
typedef struct kv_limits {
    size_t request_max; /* bytes, all told; default 8 MiB */
    size_t args_max;    /* words; default 65,536 */
    size_t bulk_max;    /* bytes of one word; default request_max */
} kv_limits;

/* ---- Requests ---- */

typedef struct kv_span {
    size_t at, len;
} kv_span;

typedef struct kv_request_parser {
    kv_input input;
    kv_limits limits;
    kv_slice *args; /* the request's words: good until the next call on the parser */
    size_t argc;
    char error[64]; /* in Redis's words, without "-ERR " */

    kv_span *spans; /* the same, as offsets while the bytes may still move */
    size_t args_room;
    size_t args_due; /* words that the header announced */
    size_t bulk_len;
    kv_buffer words; /* an inline request's words, without quotes */
    uint8_t stage;
} kv_request_parser;

void kv_request_parser_init(kv_request_parser *parser, dw_reactor *reactor,
                            const kv_limits *limits);
void kv_request_parser_fini(kv_request_parser *parser);

/* The next chunk, borrowed until it is used up. */
void kv_request_parser_feed(kv_request_parser *parser, const uint8_t *data, size_t len);

/* KV_PARSE_DONE: args and argc are a request; argc is 0 for an empty line or array. */
kv_parse kv_request_parser_next(kv_request_parser *parser);

/* The part of the chunk that belongs to no request returned so far. */
kv_slice kv_request_parser_rest(kv_request_parser *parser);

/* Bytes of memory that the parser holds. */
size_t kv_request_parser_memory(const kv_request_parser *parser);

/* ---- Replies ---- */

/* Arrays inside arrays, the outermost included. */
#define KV_REPLY_DEPTH_MAX 8

/* One item of a reply. An array's items follow it, each with its own items behind it. */
typedef struct kv_reply {
    char type;       /* '+', '-', ':', '$', '*' */
    bool null;       /* "$-1", "*-1" */
    int64_t integer; /* of ':' */
    kv_slice text;   /* of '+', '-', '$' */
    size_t count;    /* of '*' */
} kv_reply;

typedef struct kv_reply_parser {
    kv_input input;
    kv_reply *items; /* items[0] is the reply: good until the next call on the parser */
    size_t items_count;
    const char *error;

    kv_span *spans;
    size_t items_room, items_max;
    size_t reply_max;
    size_t due[KV_REPLY_DEPTH_MAX]; /* items missing in each open array */
    size_t bulk_len;
    uint8_t depth;
    uint8_t stage;
} kv_reply_parser;

/* `reply_max` bytes of one reply, at most `items_max` items in it; 0 is 64 MiB, 1,048,576. */
void kv_reply_parser_init(kv_reply_parser *parser, dw_reactor *reactor, size_t reply_max,
                          size_t items_max);
void kv_reply_parser_fini(kv_reply_parser *parser);
void kv_reply_parser_reset(kv_reply_parser *parser);
void kv_reply_parser_feed(kv_reply_parser *parser, const uint8_t *data, size_t len);
kv_parse kv_reply_parser_next(kv_reply_parser *parser);

/* ---- Numbers ---- */

/* Reads a decimal as Redis does: an optional '-', no other sign, no leading zero, no space; all of
 * `text`. False, and *out alone, when it is not one or does not fit. */
bool kv_parse_integer(kv_slice text, int64_t *out);

/* Long enough for any 64-bit number. */
#define KV_INTEGER_MAX 21

/* Writes `value` in decimal, without a NUL; returns how many bytes. */
size_t kv_format_integer(char out[KV_INTEGER_MAX], int64_t value);

#endif
