/* SPDX-License-Identifier: MIT */
/*
 * The reply parser, and numbers as RESP writes them. Invariant: due[0..depth) counts the items that
 * the open arrays still miss, each at least 1; the reply is complete when none is open.
 */
#include "resp.h"

#include <string.h>

#define REPLY_MAX_DEFAULT ((size_t)64 * 1024 * 1024)
#define ITEMS_MAX_DEFAULT ((size_t)1024 * 1024)
#define ITEMS_ROOM_FIRST  8
#define ITEMS_ROOM_KEEP   1024

enum { STAGE_LINE, STAGE_BULK, STAGE_BROKEN };

typedef enum step { STEP_ON, STEP_WAIT, STEP_DONE, STEP_ERROR, STEP_NO_MEMORY } step;

void kv_reply_parser_init(kv_reply_parser *parser, dw_reactor *reactor, size_t reply_max,
                          size_t items_max) {
    *parser = (kv_reply_parser){0};
    parser->reply_max = reply_max > 0 ? reply_max : REPLY_MAX_DEFAULT;
    parser->items_max = items_max > 0 ? items_max : ITEMS_MAX_DEFAULT;
    kv_input_init(&parser->input, reactor, parser->reply_max + KV_LINE_MAX + 8);
}

static void free_items(kv_reply_parser *parser) {
    dw_free(parser->input.held.reactor, parser->items);
    dw_free(parser->input.held.reactor, parser->spans);
    parser->items = NULL;
    parser->spans = NULL;
    parser->items_room = 0;
}

void kv_reply_parser_fini(kv_reply_parser *parser) {
    kv_input_fini(&parser->input);
    free_items(parser);
}

void kv_reply_parser_reset(kv_reply_parser *parser) {
    kv_input_reset(&parser->input);
    parser->items_count = 0;
    parser->depth = 0;
    parser->stage = STAGE_LINE;
    parser->error = NULL;
}

void kv_reply_parser_feed(kv_reply_parser *parser, const uint8_t *data, size_t len) {
    kv_input_next(&parser->input);
    kv_input_feed(&parser->input, data, len);
}

static step broken(kv_reply_parser *parser, const char *text) {
    parser->error = text;
    parser->stage = STAGE_BROKEN;
    return STEP_ERROR;
}

static bool make_room(kv_reply_parser *parser) {
    size_t room = parser->items_room > 0 ? parser->items_room * 2 : ITEMS_ROOM_FIRST;
    dw_reactor *reactor = parser->input.held.reactor;
    kv_span *spans = dw_resize(reactor, parser->spans, room * sizeof(*spans));
    if (spans == NULL) {
        return false;
    }
    parser->spans = spans;
    kv_reply *items = dw_resize(reactor, parser->items, room * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    parser->items = items;
    parser->items_room = room;
    return true;
}

static step finish(kv_reply_parser *parser) {
    size_t len;
    const uint8_t *base = kv_input_window(&parser->input, &len);
    for (size_t i = 0; i < parser->items_count; i++) {
        parser->items[i].text = (kv_slice){base + parser->spans[i].at, parser->spans[i].len};
    }
    parser->input.whole = true;
    return STEP_DONE;
}

/* One item is complete; so may be the arrays that it was the last of. */
static step close_item(kv_reply_parser *parser) {
    while (parser->depth > 0) {
        if (--parser->due[parser->depth - 1] > 0) {
            return STEP_ON;
        }
        parser->depth--;
    }
    return finish(parser);
}

static step add_item(kv_reply_parser *parser, kv_reply item, kv_span span) {
    if (parser->items_count == parser->items_max) {
        return broken(parser, "too many items in a reply");
    }
    if (parser->items_count == parser->items_room && !make_room(parser)) {
        return STEP_NO_MEMORY;
    }
    parser->spans[parser->items_count] = span;
    parser->items[parser->items_count++] = item;
    if (item.type != '*' || item.count == 0) {
        return close_item(parser);
    }
    if (parser->depth == KV_REPLY_DEPTH_MAX) {
        return broken(parser, "arrays nested too deep");
    }
    parser->due[parser->depth++] = item.count;
    return STEP_ON;
}

static step begin_bulk(kv_reply_parser *parser, int64_t len) {
    if (len == -1) {
        return add_item(parser, (kv_reply){.type = '$', .null = true}, (kv_span){0, 0});
    }
    if (len < 0 || parser->input.at > parser->reply_max ||
        (uint64_t)len > parser->reply_max - parser->input.at) {
        return broken(parser, "invalid bulk length");
    }
    parser->bulk_len = (size_t)len;
    parser->stage = STAGE_BULK;
    return STEP_ON;
}

static step begin_array(kv_reply_parser *parser, int64_t count) {
    if (count < -1 || count > (int64_t)parser->items_max) {
        return broken(parser, "invalid multibulk length");
    }
    kv_reply item = {.type = '*', .null = count < 0, .count = count < 0 ? 0 : (size_t)count};
    return add_item(parser, item, (kv_span){0, 0});
}

/* A complete line: its type, and what follows the type at `span`. */
static step take_line(kv_reply_parser *parser, char type, kv_slice text, kv_span span) {
    int64_t number = 0;
    if (type == '+' || type == '-') {
        return add_item(parser, (kv_reply){.type = type}, span);
    }
    if (type != ':' && type != '$' && type != '*') {
        return broken(parser, "unknown type of reply");
    }
    if (!kv_parse_integer(text, &number)) {
        return broken(parser, "invalid number");
    }
    switch (type) {
    case ':':
        return add_item(parser, (kv_reply){.type = type, .integer = number}, span);
    case '$':
        return begin_bulk(parser, number);
    default:
        return begin_array(parser, number);
    }
}

static step read_line(kv_reply_parser *parser) {
    kv_input *input = &parser->input;
    kv_found found = kv_input_find(input, '\r', KV_LINE_MAX);
    if (found == KV_TOO_LONG || input->at > parser->reply_max) {
        return broken(parser, "too long");
    }
    size_t len;
    const uint8_t *window = kv_input_window(input, &len);
    if (found == KV_NOT_YET || input->seen + 2 > len) {
        return STEP_WAIT;
    }
    if (window[input->seen + 1] != '\n' || input->seen == input->at) {
        return broken(parser, "a line without its end or type");
    }
    kv_span span = {input->at + 1, input->seen - input->at - 1};
    char type = (char)window[input->at];
    input->at = input->seen = input->seen + 2;
    return take_line(parser, type, (kv_slice){window + span.at, span.len}, span);
}

static step read_bulk(kv_reply_parser *parser) {
    kv_input *input = &parser->input;
    size_t len;
    const uint8_t *window = kv_input_window(input, &len);
    size_t end = input->at + parser->bulk_len;
    if (end + 2 > len) {
        return STEP_WAIT;
    }
    if (window[end] != '\r' || window[end + 1] != '\n') {
        return broken(parser, "a bulk string without its end");
    }
    kv_span span = {input->at, parser->bulk_len};
    input->at = input->seen = end + 2;
    parser->stage = STAGE_LINE;
    return add_item(parser, (kv_reply){.type = '$'}, span);
}

static step take_step(kv_reply_parser *parser) {
    switch (parser->stage) {
    case STAGE_LINE:
        return read_line(parser);
    case STAGE_BULK:
        return read_bulk(parser);
    default:
        return STEP_ERROR;
    }
}

static kv_more more(kv_reply_parser *parser) {
    kv_input *input = &parser->input;
    if (parser->stage == STAGE_BULK) {
        return kv_input_more(input, KV_WAIT_BYTES, input->at + parser->bulk_len + 2);
    }
    return kv_input_more(input, KV_WAIT_CRLF, 0);
}

kv_parse kv_reply_parser_next(kv_reply_parser *parser) {
    if (parser->input.whole) {
        kv_input_next(&parser->input);
        parser->items_count = 0;
        if (parser->items_room > ITEMS_ROOM_KEEP) {
            free_items(parser);
        }
    }
    for (;;) {
        switch (take_step(parser)) {
        case STEP_ON:
            break;
        case STEP_DONE:
            return KV_PARSE_DONE;
        case STEP_ERROR:
            return KV_PARSE_ERROR;
        case STEP_NO_MEMORY:
            return KV_PARSE_NO_MEMORY;
        case STEP_WAIT: {
            kv_more got = more(parser);
            if (got != KV_MORE_TAKEN) {
                return got == KV_MORE_NONE ? KV_PARSE_MORE : KV_PARSE_NO_MEMORY;
            }
            break;
        }
        }
    }
}

/* ---- Numbers ---- */

bool kv_parse_integer(kv_slice text, int64_t *out) {
    bool negative = text.len > 0 && text.data[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == text.len || text.len >= KV_INTEGER_MAX) {
        return false;
    }
    if (text.data[i] == '0') {
        if (text.len != 1) {
            return false; /* "-0", "007" */
        }
        *out = 0;
        return true;
    }
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t value = 0;
    for (; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (digit > 9 || value > (limit - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

size_t kv_format_integer(char out[KV_INTEGER_MAX], int64_t value) {
    char digits[KV_INTEGER_MAX];
    size_t count = 0, len = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        out[len++] = '-';
    }
    while (count > 0) {
        out[len++] = digits[--count];
    }
    return len;
}
