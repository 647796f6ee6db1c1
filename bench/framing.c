/* SPDX-License-Identifier: MIT */
/*
 * framing [ROUNDS [READ]]: what the stock receivers cost above the loop that one would write by
 * hand, for lines of 16 bytes and netstrings of 1 KiB, in reads of READ bytes; lines also beside
 * libevent's evbuffer_readln, when this was built with it. The contenders take turns, so that a
 * busy machine hits all alike; each line gives the median of the rounds, and the ratio to the loop:
 * median, least and most of the rounds. All of them must count the same messages.
 */
#include "measure.h"

#include <drywire/line.h>
#include <drywire/netstring.h>
#include <drywire/sim.h>

#include <string.h>

#ifdef DRYWIRE_BENCH_LIBEVENT
#include <event2/buffer.h>
#endif

enum { STREAM = 4 << 20, LINE = 16, STRING = 1024, ROUNDS_MAX = 1001 };

/* What a program does with a message: as little as can be, and the same for all. */
static struct { uint64_t messages, bytes, sum; } seen;

static inline void consume(const uint8_t *message, size_t len) {
    seen.messages++;
    seen.bytes += len;
    seen.sum += message[0];
}

/* ---- The receivers ---- */

static void line_received(dw_line_receiver *r, const uint8_t *line, size_t len) {
    (void)r;
    consume(line, len);
}

static void only_line_received(dw_line_only_receiver *r, const uint8_t *line, size_t len) {
    (void)r;
    consume(line, len);
}

static void string_received(dw_netstring_receiver *r, const uint8_t *string, size_t len) {
    (void)r;
    consume(string, len);
}

static const dw_line_receiver_class line_class = {
    .base = {.name = "lines", DW_LINE_RECEIVER_SLOTS},
    .line_received = line_received,
};
static const dw_line_only_receiver_class only_class = {
    .base = {.name = "only lines", DW_LINE_ONLY_RECEIVER_SLOTS},
    .line_received = only_line_received,
};
static const dw_netstring_receiver_class string_class = {
    .base = {.name = "netstrings", DW_NETSTRING_RECEIVER_SLOTS},
    .string_received = string_received,
};

static dw_line_receiver lines;
static dw_line_only_receiver only_lines;
static dw_netstring_receiver strings;

static void feed_lines(const uint8_t *data, size_t len) {
    dw_line_receiver_data_received(&lines.base, data, len);
}

static void feed_only_lines(const uint8_t *data, size_t len) {
    dw_line_only_receiver_data_received(&only_lines.base, data, len);
}

static void feed_strings(const uint8_t *data, size_t len) {
    dw_netstring_receiver_data_received(&strings.base, data, len);
}

/* ---- The loops by hand: whole messages where they lie, a broken one in a buffer ---- */

static struct {
    uint8_t bytes[STRING + 64];
    size_t len;
} broken;

static void hand_line(const uint8_t *line, size_t len) {
    if (len > 0 && line[len - 1] == '\r' && len - 1 <= DW_LINE_MAX_LENGTH_DEFAULT) {
        consume(line, len - 1);
    }
}

static void hand_lines(const uint8_t *data, size_t len) {
    const uint8_t *end = data + len, *newline;
    while ((newline = memchr(data, '\n', (size_t)(end - data))) != NULL) {
        if (broken.len > 0) {
            memcpy(broken.bytes + broken.len, data, (size_t)(newline - data));
            hand_line(broken.bytes, broken.len + (size_t)(newline - data));
            broken.len = 0;
        } else {
            hand_line(data, (size_t)(newline - data));
        }
        data = newline + 1;
    }
    memcpy(broken.bytes + broken.len, data, (size_t)(end - data));
    broken.len += (size_t)(end - data);
}

/* How long the netstring at `data` is, or 0 when it is not all there. */
static size_t hand_string(const uint8_t *data, size_t len) {
    size_t n = 0, i = 0;
    while (i < len && data[i] >= '0' && data[i] <= '9') {
        n = n * 10 + (size_t)(data[i++] - '0');
        if (n > DW_NETSTRING_MAX_LENGTH_DEFAULT) {
            abort();
        }
    }
    if (i == len || len - i < n + 2) {
        return 0;
    }
    if (data[i] != ':' || data[i + 1 + n] != ',') {
        abort();
    }
    consume(data + i + 1, n);
    return i + 1 + n + 1;
}

static void hand_strings(const uint8_t *data, size_t len) {
    size_t n;
    while (broken.len > 0 && len > 0) {
        size_t room = sizeof(broken.bytes) - broken.len;
        size_t more = len < room ? len : room;
        memcpy(broken.bytes + broken.len, data, more);
        n = hand_string(broken.bytes, broken.len + more);
        if (n == 0) {
            broken.len += more;
            return;
        }
        data += n - broken.len;
        len -= n - broken.len;
        broken.len = 0;
    }
    while ((n = hand_string(data, len)) > 0) {
        data += n;
        len -= n;
    }
    memcpy(broken.bytes, data, len);
    broken.len = len;
}

/* ---- libevent ---- */

#ifdef DRYWIRE_BENCH_LIBEVENT
static struct evbuffer *event_buffer;

static void event_lines(const uint8_t *data, size_t len) {
    size_t n;
    char *line;
    evbuffer_add(event_buffer, data, len);
    while ((line = evbuffer_readln(event_buffer, &n, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
        consume((const uint8_t *)line, n);
        free(line);
    }
}
#endif

/* ---- Rounds ---- */

typedef struct contender {
    const char *name;
    void (*feed)(const uint8_t *data, size_t len);
    uint64_t ns[ROUNDS_MAX];
} contender;

static uint8_t stream[STREAM];

static uint64_t time_once(const contender *c, size_t read_len) {
    uint64_t before = wall_ns();
    for (size_t at = 0; at < STREAM; at += read_len) {
        size_t left = STREAM - at;
        c->feed(stream + at, left < read_len ? left : read_len);
    }
    return wall_ns() - before;
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Thousandths of c's time over the first one's, sorted. */
static void ratios(const contender *c, const contender *first, size_t rounds, uint64_t *out) {
    for (size_t i = 0; i < rounds; i++) {
        out[i] = c->ns[i] * 1000 / first->ns[i];
    }
    qsort(out, rounds, sizeof(out[0]), by_size);
}

static void print_thousandths(const char *name, uint64_t n) {
    printf(" %s=%llu.%03llu", name, (unsigned long long)(n / 1000), (unsigned long long)(n % 1000));
}

static void print_contender(const char *what, const contender *c, const contender *first,
                            size_t rounds) {
    static uint64_t sorted[ROUNDS_MAX];
    memcpy(sorted, c->ns, rounds * sizeof(sorted[0]));
    qsort(sorted, rounds, sizeof(sorted[0]), by_size);
    printf("%s %s", what, c->name);
    print_thousandths("ns_per_byte", sorted[rounds / 2] * 1000 / STREAM);
    ratios(c, first, rounds, sorted);
    print_thousandths("ratio", sorted[rounds / 2]);
    print_thousandths("least", sorted[0]);
    print_thousandths("most", sorted[rounds - 1]);
    printf("\n");
}

/* The first contender is what the others are measured by. */
static bool compare(const char *what, contender *all, size_t count, size_t rounds,
                    size_t read_len) {
    uint64_t expected = 0;
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            seen.messages = 0;
            all[i].ns[round] = time_once(&all[i], read_len);
            expected = expected == 0 ? seen.messages : expected;
            if (seen.messages != expected) {
                fprintf(stderr, "framing: %s counted %llu of %llu messages\n", all[i].name,
                        (unsigned long long)seen.messages, (unsigned long long)expected);
                return false;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        print_contender(what, &all[i], &all[0], rounds);
    }
    return true;
}

/* Whole messages only; the rest of the stream is one long last one, as all would count it. */
static void fill_lines(void) {
    memset(stream, 'x', sizeof(stream));
    for (size_t at = 0; at + LINE + 2 <= STREAM; at += LINE + 2) {
        memcpy(stream + at + LINE, "\r\n", 2);
    }
    memcpy(stream + STREAM - 2, "\r\n", 2);
}

static void fill_strings(void) {
    size_t at = 0, whole = STRING + 6;
    while (at + 2 * whole <= STREAM) {
        memcpy(stream + at, "1024:", 5);
        memset(stream + at + 5, 'x', STRING);
        stream[at + 5 + STRING] = ',';
        at += whole;
    }
    for (; at + 3 <= STREAM; at += 3) {
        memcpy(stream + at, "0:,", 3);
    }
    if (STREAM - at > 0) { /* one or two bytes are left: lengthen the last one */
        memcpy(stream + at - 3, STREAM - at == 1 ? "1:x," : "2:xx,", STREAM - at + 3);
    }
}

static bool bench_lines(size_t rounds, size_t read_len) {
    static contender all[4] = {
        {.name = "hand-loop", .feed = hand_lines},
        {.name = "dw_line_receiver", .feed = feed_lines},
        {.name = "dw_line_only_receiver", .feed = feed_only_lines},
#ifdef DRYWIRE_BENCH_LIBEVENT
        {.name = "evbuffer_readln", .feed = event_lines},
#endif
    };
    size_t count = 3;
#ifdef DRYWIRE_BENCH_LIBEVENT
    count = 4;
    event_buffer = evbuffer_new();
    if (event_buffer == NULL) {
        return false;
    }
#endif
    fill_lines();
    bool good = compare("lines-16", all, count, rounds, read_len);
#ifdef DRYWIRE_BENCH_LIBEVENT
    evbuffer_free(event_buffer);
#endif
    return good;
}

static bool bench_strings(size_t rounds, size_t read_len) {
    static contender all[2] = {
        {.name = "hand-loop", .feed = hand_strings},
        {.name = "dw_netstring_receiver", .feed = feed_strings},
    };
    fill_strings();
    broken.len = 0;
    return compare("netstrings-1024", all, 2, rounds, read_len);
}

static dw_test_transport *connect_to(dw_protocol *protocol) {
    dw_test_transport *test = dw_test_transport_new();
    if (test == NULL) {
        fprintf(stderr, "framing: out of memory\n");
        exit(1);
    }
    dw_test_transport_connect(test, protocol);
    return test;
}

int main(int argc, char **argv) {
    uint64_t rounds = 41, read_len = 65536;
    if (argc > 3 || (argc > 1 && !parse_number(argv[1], &rounds)) ||
        (argc > 2 && !parse_number(argv[2], &read_len)) || rounds == 0 || rounds > ROUNDS_MAX ||
        read_len == 0 || read_len > STREAM) {
        fprintf(stderr, "usage: framing [ROUNDS (at most 1001) [READ]]\n");
        return 2;
    }
    dw_line_receiver_init(&lines, &line_class);
    dw_line_only_receiver_init(&only_lines, &only_class);
    dw_netstring_receiver_init(&strings, &string_class);
    dw_test_transport *tests[] = {connect_to(&lines.base), connect_to(&only_lines.base),
                                  connect_to(&strings.base)};
    bool good = bench_lines(rounds, read_len) && bench_strings(rounds, read_len);
    for (size_t i = 0; i < 3; i++) {
        dw_test_transport_free(tests[i]);
    }
    return good ? 0 : 1;
}
