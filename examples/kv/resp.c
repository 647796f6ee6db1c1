/* SPDX-License-Identifier: MIT */
/*
 * The request parser: arrays of bulk strings, and inline requests. Invariant: what it answers
 * depends on the bytes alone, never on the chunks they came in; so each limit is judged by position
 * in the request, not by what happens to be buffered. Lenient where Redis is: the byte behind a
 * '\r' and the two behind a bulk string are skipped unseen.
 */
#include "resp.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_MAX_DEFAULT ((size_t)8 * 1024 * 1024)
#define ARGS_MAX_DEFAULT    65536
#define ARGS_ROOM_FIRST     8
#define ARGS_ROOM_KEEP      1024
#define WORDS_KEEP          4096

enum { STAGE_FIRST, STAGE_COUNT, STAGE_LENGTH, STAGE_BULK, STAGE_INLINE, STAGE_BROKEN };

/* What one step of the machine came to. */
typedef enum step { STEP_ON, STEP_WAIT, STEP_DONE, STEP_ERROR, STEP_NO_MEMORY } step;

void kv_request_parser_init(kv_request_parser *parser, dw_reactor *reactor,
                            const kv_limits *limits) {
    *parser = (kv_request_parser){0};
    if (limits != NULL) {
        parser->limits = *limits;
    }
    kv_limits *own = &parser->limits;
    own->request_max = own->request_max > 0 ? own->request_max : REQUEST_MAX_DEFAULT;
    own->args_max = own->args_max > 0 ? own->args_max : ARGS_MAX_DEFAULT;
    own->bulk_max = own->bulk_max > 0 ? own->bulk_max : own->request_max;
    kv_input_init(&parser->input, reactor, own->request_max + KV_LINE_MAX + 8);
    kv_buffer_init(&parser->words, reactor, KV_LINE_MAX);
}

void kv_request_parser_fini(kv_request_parser *parser) {
    dw_reactor *reactor = parser->words.reactor;
    kv_input_fini(&parser->input);
    kv_buffer_fini(&parser->words);
    dw_free(reactor, parser->args);
    dw_free(reactor, parser->spans);
    parser->args = NULL;
    parser->spans = NULL;
    parser->args_room = 0;
}

void kv_request_parser_feed(kv_request_parser *parser, const uint8_t *data, size_t len) {
    kv_input_next(&parser->input);
    kv_input_feed(&parser->input, data, len);
}

kv_slice kv_request_parser_rest(kv_request_parser *parser) {
    kv_input_next(&parser->input);
    return (kv_slice){parser->input.chunk, parser->input.chunk_len};
}

size_t kv_request_parser_memory(const kv_request_parser *parser) {
    return parser->input.held.room + parser->words.room +
           parser->args_room * (sizeof(kv_span) + sizeof(kv_slice));
}

static step broken(kv_request_parser *parser, const char *text) {
    snprintf(parser->error, sizeof(parser->error), "Protocol error: %s", text);
    parser->stage = STAGE_BROKEN;
    return STEP_ERROR;
}

static bool make_room(kv_request_parser *parser) {
    size_t room = parser->args_room > 0 ? parser->args_room * 2 : ARGS_ROOM_FIRST;
    dw_reactor *reactor = parser->words.reactor;
    kv_span *spans = dw_resize(reactor, parser->spans, room * sizeof(*spans));
    if (spans == NULL) {
        return false;
    }
    parser->spans = spans;
    kv_slice *args = dw_resize(reactor, parser->args, room * sizeof(*args));
    if (args == NULL) {
        return false; /* args_room still says what both have room for */
    }
    parser->args = args;
    parser->args_room = room;
    return true;
}

static bool add_arg(kv_request_parser *parser, size_t at, size_t len) {
    if (parser->argc == parser->args_room && !make_room(parser)) {
        return false;
    }
    parser->spans[parser->argc++] = (kv_span){at, len};
    return true;
}

/* The request is complete: its bytes stay where they are now. */
static step finish(kv_request_parser *parser, const uint8_t *base) {
    for (size_t i = 0; i < parser->argc; i++) {
        parser->args[i] = (kv_slice){base + parser->spans[i].at, parser->spans[i].len};
    }
    parser->input.whole = true;
    parser->stage = STAGE_FIRST;
    return STEP_DONE;
}

/* ---- Arrays of bulk strings ---- */

/* A line that ends in '\r' and one more byte. STEP_DONE: *line is it, without its end. */
static step read_line(kv_request_parser *parser, const char *too_long, kv_slice *line) {
    kv_input *input = &parser->input;
    kv_found found = kv_input_find(input, '\r', KV_LINE_MAX);
    if (found != KV_FOUND) {
        return found == KV_TOO_LONG ? broken(parser, too_long) : STEP_WAIT;
    }
    size_t len;
    const uint8_t *window = kv_input_window(input, &len);
    size_t next = input->seen + 2;
#ifdef KV_BUG_SPLIT_CRLF
    /* The planted bug: takes it that "\r\n" always comes in one piece. */
    next = next > len ? len : next;
#endif
    if (next > len) {
        return STEP_WAIT;
    }
    *line = (kv_slice){window + input->at, input->seen - input->at};
    input->at = input->seen = next;
    return STEP_DONE;
}

static step read_count(kv_request_parser *parser) {
    kv_slice line;
    step got = read_line(parser, "too big mbulk count string", &line);
    if (got != STEP_DONE) {
        return got;
    }
    int64_t count;
    if (!kv_parse_integer((kv_slice){line.data + 1, line.len - 1}, &count) ||
        count > (int64_t)parser->limits.args_max) {
        return broken(parser, "invalid multibulk length");
    }
    if (count <= 0) {
        return finish(parser, NULL);
    }
    parser->args_due = (size_t)count;
    parser->stage = STAGE_LENGTH;
    return STEP_ON;
}

/* The byte as it can stand in an error line, which must stay one line. */
static step expected_bulk(kv_request_parser *parser, uint8_t got) {
    char text[40];
    int c = got == '\r' || got == '\n' ? ' ' : got;
    snprintf(text, sizeof(text), "expected '$', got '%c'", c);
    return broken(parser, text);
}

static step read_length(kv_request_parser *parser) {
    kv_slice line;
    step got = read_line(parser, "too big bulk count string", &line);
    if (got != STEP_DONE) {
        return got;
    }
    if (line.len == 0 || line.data[0] != '$') {
        return expected_bulk(parser, line.data[0]);
    }
    int64_t len;
    if (!kv_parse_integer((kv_slice){line.data + 1, line.len - 1}, &len) || len < 0 ||
        (uint64_t)len > parser->limits.bulk_max || parser->input.at > parser->limits.request_max ||
        (uint64_t)len > parser->limits.request_max - parser->input.at) {
        return broken(parser, "invalid bulk length");
    }
    parser->bulk_len = (size_t)len;
    parser->stage = STAGE_BULK;
    return STEP_ON;
}

static step read_bulk(kv_request_parser *parser) {
    kv_input *input = &parser->input;
    size_t len;
    const uint8_t *window = kv_input_window(input, &len);
    size_t next = input->at + parser->bulk_len + 2;
    if (next > len) {
        return STEP_WAIT;
    }
    if (!add_arg(parser, input->at, parser->bulk_len)) {
        return STEP_NO_MEMORY;
    }
    input->at = input->seen = next;
    parser->stage = STAGE_LENGTH;
    return parser->argc == parser->args_due ? finish(parser, window) : STEP_ON;
}

/* ---- Inline requests ---- */

static bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint8_t unescape(uint8_t c) {
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* The character at line[*at] inside double quotes; moves *at behind it. */
static uint8_t double_quoted(kv_slice line, size_t *at) {
    const uint8_t *s = line.data + *at;
    size_t left = line.len - *at;
    if (s[0] == '\\' && left >= 4 && s[1] == 'x' && hex_digit(s[2]) >= 0 && hex_digit(s[3]) >= 0) {
        *at += 4;
        return (uint8_t)(hex_digit(s[2]) * 16 + hex_digit(s[3]));
    }
    if (s[0] == '\\' && left >= 2) {
        *at += 2;
        return unescape(s[1]);
    }
    *at += 1;
    return s[0];
}

/* The rest of a quoted word behind its opening quote, into *out. False: no closing quote, or one
 * with something else than a space behind it. */
static bool quoted_word(kv_slice line, size_t *at, uint8_t quote, uint8_t **out) {
    while (*at < line.len && line.data[*at] != quote) {
        if (quote == '"') {
            *(*out)++ = double_quoted(line, at);
            continue;
        }
        if (line.data[*at] == '\\' && *at + 1 < line.len && line.data[*at + 1] == '\'') {
            *at += 1;
        }
        *(*out)++ = line.data[(*at)++];
    }
    if (*at == line.len) {
        return false;
    }
    *at += 1;
    return *at == line.len || is_space(line.data[*at]);
}

/* One word of an inline request into *out. False: its quotes do not match. */
static bool read_word(kv_slice line, size_t *at, uint8_t **out) {
    while (*at < line.len) {
        uint8_t c = line.data[*at];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
            return true;
        }
        *at += 1;
        if (c == '"' || c == '\'') {
            return quoted_word(line, at, c, out);
        }
        *(*out)++ = c;
    }
    return true;
}

static step split_words(kv_request_parser *parser, kv_slice line) {
    kv_buffer_clear(&parser->words, WORDS_KEEP);
    uint8_t *base = kv_buffer_reserve(&parser->words, line.len + 1); /* words only get shorter */
    if (base == NULL) {
        return STEP_NO_MEMORY;
    }
    uint8_t *out = base;
    size_t at = 0;
    for (;;) {
        while (at < line.len && is_space(line.data[at])) {
            at++;
        }
        if (at == line.len) {
            return finish(parser, base);
        }
        uint8_t *word = out;
        if (!read_word(line, &at, &out)) {
            return broken(parser, "unbalanced quotes in request");
        }
        if (parser->argc == parser->limits.args_max) {
            return broken(parser, "too big inline request");
        }
        if (!add_arg(parser, (size_t)(word - base), (size_t)(out - word))) {
            return STEP_NO_MEMORY;
        }
    }
}

static step read_inline(kv_request_parser *parser) {
    kv_input *input = &parser->input;
    size_t max =
        parser->limits.request_max < KV_LINE_MAX - 1 ? parser->limits.request_max : KV_LINE_MAX - 1;
    kv_found found = kv_input_find(input, '\n', max);
    if (found != KV_FOUND) {
        return found == KV_TOO_LONG ? broken(parser, "too big inline request") : STEP_WAIT;
    }
    size_t len;
    const uint8_t *window = kv_input_window(input, &len);
    size_t end = input->seen;
    input->at = end + 1;
    if (end > 0 && window[end - 1] == '\r') {
        end--;
    }
    return split_words(parser, (kv_slice){window, end});
}

/* ---- The machine ---- */

static step read_first(kv_request_parser *parser) {
    size_t len;
    const uint8_t *window = kv_input_window(&parser->input, &len);
    if (len == 0) {
        return STEP_WAIT;
    }
    parser->argc = 0;
    parser->stage = window[0] == '*' ? STAGE_COUNT : STAGE_INLINE;
    return STEP_ON;
}

static step take_step(kv_request_parser *parser) {
    switch (parser->stage) {
    case STAGE_FIRST:
        return read_first(parser);
    case STAGE_COUNT:
        return read_count(parser);
    case STAGE_LENGTH:
        return read_length(parser);
    case STAGE_BULK:
        return read_bulk(parser);
    case STAGE_INLINE:
        return read_inline(parser);
    default:
        return STEP_ERROR;
    }
}

static kv_more more(kv_request_parser *parser) {
    kv_input *input = &parser->input;
    switch (parser->stage) {
    case STAGE_BULK:
        return kv_input_more(input, KV_WAIT_BYTES, input->at + parser->bulk_len + 2);
    case STAGE_INLINE:
        return kv_input_more(input, KV_WAIT_LF, 0);
    default:
        return kv_input_more(input, KV_WAIT_CRLF, 0);
    }
}

/* A request with very many words leaves no memory behind. */
static void forget_args(kv_request_parser *parser) {
    if (parser->args_room > ARGS_ROOM_KEEP) {
        dw_free(parser->words.reactor, parser->args);
        dw_free(parser->words.reactor, parser->spans);
        parser->args = NULL;
        parser->spans = NULL;
        parser->args_room = 0;
    }
    parser->argc = 0;
}

kv_parse kv_request_parser_next(kv_request_parser *parser) {
    if (parser->input.whole) {
        kv_input_next(&parser->input);
        forget_args(parser);
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
