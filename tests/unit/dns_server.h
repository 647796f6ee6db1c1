/* SPDX-License-Identifier: MIT */
/*
 * A name server for tests: on a thread, over UDP and TCP on one port of the loopback. What it
 * answers depends on the first label of the name that is asked for (RFC 1035, section 4, for the
 * format), and it can be told to hold answers back.
 */
#ifndef DRYWIRE_TESTS_DNS_SERVER_H
#define DRYWIRE_TESTS_DNS_SERVER_H

#include "test_poll_support.h"

#include <poll.h>
#include <pthread.h>

enum { DNS_A = 1, DNS_AAAA = 28, DNS_MESSAGE_MAX = 4096, DNS_HELD_MAX = 16, DNS_BIG = 14 };
enum { DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };

typedef struct dns_held {
    uint8_t message[DNS_MESSAGE_MAX];
    size_t len;
    struct sockaddr_in to;
} dns_held;

typedef struct dns_server {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int udp, tcp, wake[2];
    char servers[40];         /* as dw_poll_options has it */
    unsigned asked, over_tcp; /* under the lock */
    bool released;
    dns_held held[DNS_HELD_MAX];
    unsigned held_count;
} dns_server;

/* ---- Messages ---- */

static inline size_t dns_put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return 2;
}

/* The length of the question section, or 0; its type in *type, its first label in `label`. */
static inline size_t dns_question(const uint8_t *message, size_t len, unsigned *type, char *label,
                                  size_t size) {
    size_t at = 12;
    if (len < 17 || message[at] == 0 || message[at] >= size) {
        return 0;
    }
    memcpy(label, message + at + 1, message[at]);
    label[message[at]] = '\0';
    while (at < len && message[at] != 0) {
        at += 1u + message[at];
    }
    if (at + 5 > len) {
        return 0;
    }
    *type = (unsigned)message[at + 1] << 8 | message[at + 2];
    return at + 5 - 12;
}

static inline size_t dns_put_address(uint8_t *at, unsigned type, unsigned n) {
    static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8}, four[4] = {192, 0, 2};
    size_t len = type == DNS_A ? 4 : 16, used = 0;
    used += dns_put16(at + used, 0xc00c); /* the question's name */
    used += dns_put16(at + used, type);
    used += dns_put16(at + used, 1); /* IN */
    used += dns_put16(at + used, 0);
    used += dns_put16(at + used, 60); /* TTL */
    used += dns_put16(at + used, (unsigned)len);
    memcpy(at + used, type == DNS_A ? four : six, len);
    at[used + len - 1] = (uint8_t)n;
    return used + len;
}

/* Turns a query into its answer: `count` addresses, or an error. */
static inline size_t dns_answer(uint8_t *message, size_t question, unsigned type, unsigned code,
                                unsigned count, bool truncated) {
    size_t len = 12 + question;
    message[2] = (uint8_t)(0x81 | message[2] | (truncated ? 2 : 0)); /* response, RD */
    message[3] = (uint8_t)(0x80 | code);
    dns_put16(message + 6, truncated ? 0 : count);
    dns_put16(message + 8, 0);
    dns_put16(message + 10, 0); /* no EDNS back */
    for (unsigned i = 1; i <= count && !truncated; i++) {
        len += dns_put_address(message + len, type, i);
    }
    return len;
}

/* ---- What it says ---- */

typedef enum dns_fate { DNS_SAY, DNS_HOLD, DNS_DROP } dns_fate;

static inline bool dns_is(const char *label, const char *name) {
    return strcmp(label, name) == 0;
}

static inline dns_fate dns_decide(const char *label, bool tcp, unsigned type, uint8_t *message,
                                  size_t question, size_t *len) {
    dns_fate fate = DNS_SAY;
    unsigned code = 0, count = 2;
    bool truncated = false;
    if (dns_is(label, "silent")) {
        fate = DNS_DROP;
    } else if (dns_is(label, "held") || (dns_is(label, "late") && type == DNS_A)) {
        fate = DNS_HOLD;
    } else if (dns_is(label, "servfail") || (dns_is(label, "half") && type == DNS_AAAA)) {
        code = DNS_SERVFAIL;
    } else if (dns_is(label, "refused")) {
        code = DNS_REFUSED;
    } else if (dns_is(label, "four") && type == DNS_AAAA) {
        count = 0;
    } else if (dns_is(label, "big")) {
        truncated = !tcp;
        count = DNS_BIG;
    } else if (!dns_is(label, "good") && !dns_is(label, "late") && !dns_is(label, "half") &&
               !dns_is(label, "four") && !dns_is(label, "garbage")) {
        code = DNS_NXDOMAIN;
    }
    *len = dns_answer(message, question, type, code, code == 0 ? count : 0, truncated);
    if (dns_is(label, "garbage")) {
        *len -= 5; /* cut inside the last record */
    }
    return fate;
}

/* ---- The thread ---- */

static inline void dns_hear_udp(dns_server *s) {
    dns_held h = {.len = 0};
    socklen_t from_len = sizeof(h.to);
    char label[64];
    unsigned type = 0;
    ssize_t got = recvfrom(s->udp, h.message, 512, 0, (struct sockaddr *)&h.to, &from_len);
    size_t question = got > 0 ? dns_question(h.message, (size_t)got, &type, label, 64) : 0;
    if (question == 0) {
        return;
    }
    dns_fate fate = dns_decide(label, false, type, h.message, question, &h.len);
    pthread_mutex_lock(&s->lock);
    s->asked++;
    if (fate == DNS_HOLD && !s->released && s->held_count < DNS_HELD_MAX) {
        s->held[s->held_count++] = h;
        fate = DNS_DROP;
    }
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    if (fate != DNS_DROP) {
        (void)sendto(s->udp, h.message, h.len, 0, (struct sockaddr *)&h.to, sizeof(h.to));
    }
}

static inline bool dns_read(int fd, uint8_t *out, size_t len) {
    for (size_t have = 0; have < len;) {
        ssize_t got = recv(fd, out + have, len - have, 0);
        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

/* One connection to its end: nobody else asks over TCP in these tests. */
static inline void dns_hear_tcp(dns_server *s) {
    uint8_t message[DNS_MESSAGE_MAX + 2];
    int fd = accept(s->tcp, NULL, NULL);
    if (fd < 0) {
        return;
    }
    peer_limit(fd);
    while (dns_read(fd, message, 2)) {
        size_t len = (size_t)message[0] << 8 | message[1];
        char label[64];
        unsigned type = 0;
        if (len > 512 || !dns_read(fd, message + 2, len)) {
            break;
        }
        size_t question = dns_question(message + 2, len, &type, label, 64);
        if (question == 0) {
            break;
        }
        dns_decide(label, true, type, message + 2, question, &len);
        dns_put16(message, (unsigned)len);
        pthread_mutex_lock(&s->lock);
        s->over_tcp++;
        pthread_mutex_unlock(&s->lock);
        (void)send(fd, message, len + 2, MSG_NOSIGNAL);
    }
    close(fd);
}

static inline void *dns_run(void *user) {
    dns_server *s = user;
    for (;;) {
        struct pollfd fds[3] = {{s->wake[0], POLLIN, 0}, {s->udp, POLLIN, 0}, {s->tcp, POLLIN, 0}};
        if (poll(fds, 3, -1) < 0 || fds[0].revents != 0) {
            return NULL;
        }
        if (fds[1].revents != 0) {
            dns_hear_udp(s);
        }
        if (fds[2].revents != 0) {
            dns_hear_tcp(s);
        }
    }
}

/* ---- For the test ---- */

/* A port that is free for UDP and for TCP. */
static inline void dns_bind(dns_server *s) {
    for (int tries = 0; tries < 100; tries++) {
        struct sockaddr_in at = {.sin_family = AF_INET};
        socklen_t len = sizeof(at);
        uint16_t port;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        s->tcp = peer_listen(5, &port);
        s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        at.sin_port = htons(port);
        if (bind(s->udp, (struct sockaddr *)&at, len) == 0) {
            snprintf(s->servers, sizeof(s->servers), "127.0.0.1:%u", (unsigned)port);
            return;
        }
        close(s->udp);
        close(s->tcp);
    }
    ck_abort_msg("no port for a name server");
}

static inline void dns_start(dns_server *s) {
    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    ck_assert_int_eq(pipe(s->wake), 0);
    dns_bind(s);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, dns_run, s), 0);
}

static inline void dns_stop(dns_server *s) {
    ck_assert_int_eq(write(s->wake[1], "", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->udp);
    close(s->tcp);
    close(s->wake[0]);
    close(s->wake[1]);
}

/* Waits until so many questions have come over UDP. */
static inline void dns_wait_asked(dns_server *s, unsigned count) {
    pthread_mutex_lock(&s->lock);
    while (s->asked < count) {
        pthread_cond_wait(&s->moved, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Questions over UDP so far, and over TCP. */
static inline unsigned dns_asked(dns_server *s) {
    pthread_mutex_lock(&s->lock);
    unsigned asked = s->asked;
    pthread_mutex_unlock(&s->lock);
    return asked;
}

static inline unsigned dns_over_tcp(dns_server *s) {
    pthread_mutex_lock(&s->lock);
    unsigned over_tcp = s->over_tcp;
    pthread_mutex_unlock(&s->lock);
    return over_tcp;
}

/* Sends what was held back; from now on nothing is. */
static inline void dns_release(dns_server *s) {
    pthread_mutex_lock(&s->lock);
    s->released = true;
    for (unsigned i = 0; i < s->held_count; i++) {
        dns_held *h = &s->held[i];
        (void)sendto(s->udp, h->message, h->len, 0, (struct sockaddr *)&h->to, sizeof(h->to));
    }
    s->held_count = 0;
    pthread_mutex_unlock(&s->lock);
}

#endif
