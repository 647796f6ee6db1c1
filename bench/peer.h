/* SPDX-License-Identifier: MIT */
/*
 * What the echo servers that Drywire is measured beside have in common: a listening socket, the
 * line that says so, and a limit on descriptors that is as high as it may be. Each of them is the
 * fastest plain use of its library that its manual shows; all serve until SIGTERM.
 */
#ifndef DRYWIRE_BENCH_PEER_H
#define DRYWIRE_BENCH_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* As large as Drywire's, and one for all connections. */
#define PEER_READ    65536
#define PEER_BACKLOG 1024

static inline void peer_die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline void peer_raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static inline void peer_say(uint16_t port) {
    printf("listening on %u\n", (unsigned)port);
    fflush(stdout);
}

/* Listens on 127.0.0.1, on the port that the first argument says, and says so. The connections
 * inherit what is set here. */
static inline int peer_listen(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
    peer_raise_limit();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, PEER_BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        peer_die("listen");
    }
    peer_say(ntohs(at.sin_port));
    return fd;
}

#endif
