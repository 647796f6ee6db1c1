/* SPDX-License-Identifier: MIT */
/*
 * Network namespaces: one for each host and one for the router between them, made with iproute2 and
 * wired up. The thread is always in the one that it entered last. Called by live.c.
 */
#define _GNU_SOURCE
#include "namespaces.h"

#if defined(__linux__)

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int inside; /* the one that the thread is in */

static bool write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

bool ns_become_root(void) {
    char map[64];
    unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();
    if (uid == 0) {
        return true;
    }
    if (unshare(CLONE_NEWUSER) != 0) {
        return false;
    }
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof(map), "0 %u 1", uid);
    if (!write_file("/proc/self/uid_map", map)) {
        return false;
    }
    snprintf(map, sizeof(map), "0 %u 1", gid);
    return write_file("/proc/self/gid_map", map);
}

/* Its descriptor is inherited by the commands below. */
int ns_new(void) {
    inside = unshare(CLONE_NEWNET) == 0 ? open("/proc/self/ns/net", O_RDONLY) : -1;
    return inside;
}

int ns_enter(int ns) {
    int before = inside;
    if (setns(ns, CLONE_NEWNET) != 0) {
        perror("setns");
        exit(EXIT_FAILURE);
    }
    inside = ns;
    return before;
}

bool ns_run(int ns, const char *format, ...) {
    char command[600];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    int before = ns_enter(ns);
    bool good = system(command) == 0;
    ns_enter(before);
    return good;
}

/* 10.0.0.N behind an interface of its own; 10.1.0.N is the router on that side. */
bool ns_wire_up(int router, const actor *who) {
    unsigned n = who->index;
    return ns_run(
               router,
               "ip link set lo up && ip link add r%u type veth peer name e0 netns /proc/self/fd/%d"
               " && ip addr add 10.1.0.%u/32 dev r%u && ip link set r%u up"
               " && ip route add 10.0.0.%u/32 dev r%u",
               n, who->ns, n, n, n, n, n) &&
           ns_run(who->ns,
                  "ip link set lo up && ip addr add 10.0.0.%u/32 dev e0 && ip link set e0 up"
                  " && ip route add 10.1.0.%u/32 dev e0 && ip route add default via 10.1.0.%u",
                  n, n, n);
}

/* fd00::a00:N, and fd00:1::N, in the same way. */
bool ns_wire_up_ipv6(int router, const actor *who) {
    unsigned n = who->index;
    return ns_run(router,
                  "ip addr add fd00:1::%x/128 dev r%u nodad 2>/dev/null"
                  " && ip -6 route add fd00::a00:%x/128 dev r%u",
                  n, n, n, n) &&
           ns_run(who->ns,
                  "ip addr add fd00::a00:%x/128 dev e0 nodad"
                  " && ip -6 route add fd00:1::%x/128 dev e0"
                  " && ip -6 route add default via fd00:1::%x dev e0",
                  n, n, n);
}

bool ns_set_sysctl(int ns, const char *setting) {
    char path[300];
    const char *equals = strchr(setting, '=');
    int n = snprintf(path, sizeof(path), "/proc/sys/%.*s", (int)(equals - setting), setting);
    for (int i = 0; i < n; i++) {
        path[i] = path[i] == '.' ? '/' : path[i];
    }
    int before = ns_enter(ns);
    bool good = write_file(path, equals + 1);
    ns_enter(before);
    return good;
}

#endif
