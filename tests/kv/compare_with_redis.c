/* SPDX-License-Identifier: MIT */
/*
 * compare_with_redis PORT SOCKET CASES: plays each line of CASES, and conversations made by chance,
 * against two servers, kv_server on a loopback PORT and a redis-server on the UNIX SOCKET, and
 * compares the replies byte for byte. Started by compare_with_redis.sh. Prints `N passed, N
 * failed`.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TEXT_MAX     (1 << 17)
#define WAIT_MS      10000
#define CHANCE_CASES 500
#define CHANCE_STEPS 30

static unsigned passed, failed;

static int connect_or_die(int family, const struct sockaddr *address, socklen_t len) {
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, address, len) != 0) {
        perror("compare: cannot connect");
        exit(1);
    }
    return fd;
}

static int connect_port(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect_or_die(AF_INET, (struct sockaddr *)&address, sizeof(address));
}

static int connect_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return connect_or_die(AF_UNIX, (struct sockaddr *)&address, sizeof(address));
}

/* Sends all and reads until the server closes, as it does after the QUIT that ends each case. */
static size_t converse(int fd, const char *request, size_t len, char *out) {
    size_t got = 0;
    if (write(fd, request, len) != (ssize_t)len) {
        perror("compare: cannot send");
        exit(1);
    }
    for (;;) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        if (poll(&one, 1, WAIT_MS) != 1) {
            got += (size_t)snprintf(out + got, TEXT_MAX - got, "<the server does not close>");
            break;
        }
        ssize_t n = read(fd, out + got, TEXT_MAX - 64 - got);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    close(fd);
    return got;
}

static void show(const char *title, const char *text, size_t len) {
    printf("  %s", title);
    for (size_t i = 0; i < len && i < 2000; i++) {
        unsigned char c = (unsigned char)text[i];
        printf(c >= ' ' && c <= '~' ? "%c" : "\\x%02x", c);
    }
    printf("\n");
}

static void play(int port, const char *path, const char *text, size_t len) {
    static char request[TEXT_MAX], ours[TEXT_MAX], theirs[TEXT_MAX];
    int size = snprintf(request, sizeof(request), "FLUSHALL\r\n");
    memcpy(request + size, text, len);
    memcpy(request + (size_t)size + len, "\r\nQUIT\r\n", 8);
    size_t total = (size_t)size + len + 8;
    size_t our_len = converse(connect_port(port), request, total, ours);
    size_t their_len = converse(connect_socket(path), request, total, theirs);
    if (our_len == their_len && memcmp(ours, theirs, our_len) == 0) {
        passed++;
        return;
    }
    failed++;
    printf("FAILED\n");
    show("request: ", text, len);
    show("ours:    ", ours, our_len);
    show("redis's: ", theirs, their_len);
}

/* "\r", "\n", "\\" and "\x41" become the byte. */
static size_t unescape(char *line) {
    char *out = line;
    for (const char *in = line; *in != '\0' && *in != '\n'; in++) {
        if (in[0] != '\\') {
            *out++ = *in;
            continue;
        }
        in++;
        if (*in == 'x') {
            char digits[3] = {in[1], in[2], '\0'};
            *out++ = (char)strtol(digits, NULL, 16);
            in += 2;
        } else {
            *out++ = *in == 'r' ? '\r' : *in == 'n' ? '\n' : *in;
        }
    }
    return (size_t)(out - line);
}

static void play_file(int port, const char *path, const char *name) {
    static char line[TEXT_MAX / 2];
    FILE *file = fopen(name, "r");
    if (file == NULL) {
        perror(name);
        exit(1);
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (line[0] != '#' && line[0] != '\n') {
            size_t len = unescape(line);
            play(port, path, line, len);
        }
    }
    fclose(file);
}

static uint64_t state = 20260101;

static unsigned chance(unsigned n) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % n);
}

static const char *any(const char *const *words, size_t count) {
    return words[chance((unsigned)count)];
}

typedef struct shape {
    const char *name;
    unsigned argc; /* that fits */
} shape;

/* One command of words; most have as many words as they should. */
static size_t put_command(char *out, size_t room) {
    static const shape shapes[] = {
        {"SET", 3},      {"SET", 4},    {"SET", 5},    {"GET", 2},  {"INCR", 2},    {"DECR", 2},
        {"INCRBY", 3},   {"APPEND", 3}, {"EXPIRE", 3}, {"TTL", 2},  {"PERSIST", 2}, {"EXISTS", 3},
        {"DEL", 3},      {"MGET", 4},   {"MSET", 5},   {"ECHO", 2}, {"PING", 2},    {"EXPIRE", 4},
        {"FLUSHALL", 2}, {"DBSIZE", 1}, {"SELECT", 2}, {"nope", 3}};
    static const char *const words[] = {"a",  "b",    "c",   "9000", "-1", "9223372036854775807",
                                        "EX", "PX",   "NX",  "XX",   "gt", "LT",
                                        "",   "1000", "x y", "0"};
    static const char *const keys[] = {"a", "b", "c"};
    const shape *some = &shapes[chance(sizeof(shapes) / sizeof(shapes[0]))];
    unsigned argc = chance(10) == 0 ? 1 + chance(6) : some->argc;
    const char *word = some->name;
    size_t at = (size_t)snprintf(out, room, "*%u\r\n", argc);
    for (unsigned i = 0; i < argc; i++) {
        at += (size_t)snprintf(out + at, room - at, "$%zu\r\n%s\r\n", strlen(word), word);
        word =
            i == 0 && chance(8) != 0 ? any(keys, 3) : any(words, sizeof(words) / sizeof(words[0]));
    }
    return at;
}

static void play_chance(int port, const char *path) {
    static char text[TEXT_MAX / 2];
    for (int i = 0; i < CHANCE_CASES; i++) {
        size_t len = 0;
        for (int k = 0; k < CHANCE_STEPS; k++) {
            len += put_command(text + len, sizeof(text) - len);
        }
        play(port, path, text, len);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: compare_with_redis PORT SOCKET CASES\n");
        return 2;
    }
    play_file(atoi(argv[1]), argv[2], argv[3]);
    play_chance(atoi(argv[1]), argv[2]);
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
