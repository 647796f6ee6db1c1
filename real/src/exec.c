/* SPDX-License-Identifier: MIT */
/*
 * From vfork to execve: descriptors, signals, directory, user, program, in Twisted's order
 * (twisted/internet/process.py). The plan is made in the parent; all from "In the child" on runs in
 * the child, in the parent's memory, and calls nothing that could take a lock or memory.
 *
 * Invariant: the program finds the descriptors of the plan and no others.
 */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* os.defpath in Python: where a program is looked for when the environment has no PATH. */
#define DEFAULT_PATH "/bin:/usr/bin"

/* Descriptors that the last resort looks at, when the system sets no lower limit. */
#define DESCRIPTORS_MAX 65536

/* ---- The plan ---- */

static const char *path_of(const char *const *env) {
    for (; *env != NULL; env++) {
        if (strncmp(*env, "PATH=", 5) == 0) {
            return *env + 5;
        }
    }
    return DEFAULT_PATH;
}

static size_t entries_of(const char *path) {
    size_t count = 1;
    for (; *path != '\0'; path++) {
        count += *path == ':';
    }
    return count;
}

/* "dir/name", or "name" for an empty entry, which is the working directory. */
static char *join(char *out, const char *dir, size_t len, const char *name, size_t name_size) {
    memcpy(out, dir, len);
    if (len > 0 && dir[len - 1] != '/') {
        out[len++] = '/';
    }
    memcpy(out + len, name, name_size);
    return out + len + name_size;
}

static void fill_paths(struct dw_exec *plan, const char *path, char *text) {
    const char *name = plan->options->executable;
    for (bool more = true; more;) {
        size_t len = strcspn(path, ":");
        plan->paths[plan->path_count++] = text;
        text = join(text, path, len, name, strlen(name) + 1);
        more = path[len] == ':';
        path += len + 1;
    }
}

struct dw_exec *dw_exec_new(dw_reactor *reactor, const struct dw_syscalls *sys,
                            const dw_spawn_options *options) {
    const char *const *env = options->env != NULL ? options->env : (const char *const *)environ;
    bool search = strchr(options->executable, '/') == NULL;
    const char *path = search ? path_of(env) : "";
    size_t entries = entries_of(path), fds = options->fd_count;
    size_t text = strlen(path) + entries * (strlen(options->executable) + 2);
    struct dw_exec *plan = dw_alloc(reactor, sizeof(*plan) + entries * sizeof(char *) +
                                                 fds * sizeof(struct dw_exec_move) + text);
    if (plan == NULL) {
        return NULL;
    }
    *plan = (struct dw_exec){.sys = sys, .options = options, .env = env};
    plan->paths = (const char **)(plan + 1);
    plan->moves = (struct dw_exec_move *)(plan->paths + entries);
    fill_paths(plan, path, (char *)(plan->moves + fds));
    return plan;
}

void dw_exec_add(struct dw_exec *plan, int child, int source) {
    size_t at = plan->move_count++;
    for (; at > 0 && plan->moves[at - 1].child > child; at--) {
        plan->moves[at] = plan->moves[at - 1];
    }
    plan->moves[at] = (struct dw_exec_move){child, source};
}

/* ---- In the child: saying what went wrong ---- */

static size_t put_text(char *out, size_t at, size_t size, const char *text) {
    while (*text != '\0' && at < size) {
        out[at++] = *text++;
    }
    return at;
}

static size_t put_number(char *out, size_t at, size_t size, int number) {
    char digits[12];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 && n < sizeof(digits));
    while (n > 0 && at < size) {
        out[at++] = digits[--n];
    }
    return at;
}

/* strerror(3) may take locks and memory. */
static const char *error_text(int error) {
    switch (error) {
    case ENOENT:
        return "no such file or directory";
    case EACCES:
        return "permission denied";
    case EPERM:
        return "operation not permitted";
    case ENOTDIR:
        return "not a directory";
    case ENOEXEC:
        return "not an executable format";
    case EBADF:
        return "no such descriptor";
    default:
        return NULL;
    }
}

static bool has_stderr(const struct dw_exec *plan) {
    for (size_t i = 0; i < plan->move_count; i++) {
        if (plan->moves[i].child == STDERR_FILENO) {
            return true;
        }
    }
    return false;
}

/* One line on the child's stderr, if it takes it at once: the parent waits for us. */
static void complain(const struct dw_exec *plan, const char *what, int error) {
    char line[256];
    const char *text = error_text(error);
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (!has_stderr(plan) || poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0) {
        return;
    }
    size_t n = put_text(line, 0, sizeof(line) - 40, plan->options->executable);
    n = put_text(line, n, sizeof(line), ": ");
    n = put_text(line, n, sizeof(line), what);
    n = put_text(line, n, sizeof(line), ": ");
    if (text != NULL) {
        n = put_text(line, n, sizeof(line), text);
    } else {
        n = put_number(line, put_text(line, n, sizeof(line), "error "), sizeof(line), error);
    }
    n = put_text(line, n, sizeof(line), "\n");
    (void)!write(STDERR_FILENO, line, n);
}

/* ---- In the child: descriptors ---- */

/* Whether a move that is yet to be done needs our descriptor `fd`. */
static bool is_source(const struct dw_exec *plan, size_t from, int fd) {
    for (size_t i = from; i < plan->move_count; i++) {
        if (plan->moves[i].source == fd) {
            return true;
        }
    }
    return false;
}

/* Moves the source `fd` out of the way, to the lowest number that is free; if that is in the way of
 * a later move, it is moved once more. */
static int step_aside(struct dw_exec *plan, size_t from, int fd) {
    int other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (other < 0) {
        return -errno;
    }
    for (size_t i = from; i < plan->move_count; i++) {
        if (plan->moves[i].source == fd) {
            plan->moves[i].source = other;
        }
    }
    return 0;
}

/* In order of the child's numbers, so that one that is done is never touched again; any permutation
 * and any doubling comes out right. */
static int move_all(struct dw_exec *plan) {
    for (size_t i = 0; i < plan->move_count; i++) {
        struct dw_exec_move *move = &plan->moves[i];
        if (move->source == move->child) {
            int flags = fcntl(move->child, F_GETFD);
            if (flags < 0 || fcntl(move->child, F_SETFD, flags & ~FD_CLOEXEC) < 0) {
                return -errno;
            }
            continue;
        }
        int error = is_source(plan, i + 1, move->child) ? step_aside(plan, i + 1, move->child) : 0;
        if (error < 0) {
            return error;
        }
        if (dup2(move->source, move->child) < 0) {
            return -errno;
        }
    }
    return 0;
}

static bool is_wanted(const struct dw_exec *plan, unsigned fd) {
    for (size_t i = 0; i < plan->move_count; i++) {
        if ((unsigned)plan->moves[i].child == fd) {
            return true;
        }
    }
    return false;
}

/* Numbers up to the limit, where the system offers nothing better. */
static void close_by_number(const struct dw_exec *plan) {
    struct rlimit limit = {.rlim_cur = DESCRIPTORS_MAX};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t max = limit.rlim_cur < DESCRIPTORS_MAX ? limit.rlim_cur : DESCRIPTORS_MAX;
    for (unsigned fd = 0; fd < max; fd++) {
        if (!is_wanted(plan, fd)) {
            (void)close((int)fd);
        }
    }
}

#ifdef __linux__

/* What getdents64(2) fills in; readdir(3) takes memory. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t len;
    uint8_t type;
    char name[];
};

static bool parse_number(const char *name, unsigned *out) {
    unsigned number = 0;
    for (; *name >= '0' && *name <= '9'; name++) {
        number = number * 10 + (unsigned)(*name - '0');
    }
    *out = number;
    return *name == '\0';
}

static void close_entry(const struct dw_exec *plan, const struct entry *entry, int directory) {
    unsigned fd;
    if (parse_number(entry->name, &fd) && fd != (unsigned)directory && !is_wanted(plan, fd)) {
        (void)close((int)fd);
    }
}

/* The ones that are open, by name; false where there is no /proc. */
static bool close_listed(const struct dw_exec *plan) {
    uint64_t buffer[512];
    int directory = plan->sys->open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return false;
    }
    long got;
    while ((got = syscall(SYS_getdents64, directory, buffer, sizeof(buffer))) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)((const char *)buffer + at);
            close_entry(plan, entry, directory);
            at += entry->len;
        }
    }
    (void)close(directory);
    return got == 0;
}

#else

static bool close_listed(const struct dw_exec *plan) {
    (void)plan;
    return false;
}

#endif

/* All between the wanted ones. False: the system cannot. */
static bool close_ranges(const struct dw_exec *plan) {
    unsigned from = 0;
    for (size_t i = 0; i <= plan->move_count; i++) {
        unsigned next = i < plan->move_count ? (unsigned)plan->moves[i].child : UINT_MAX;
        if (from < next && plan->sys->close_range(from, next - (i < plan->move_count), 0) != 0) {
            return false;
        }
        from = next + 1;
    }
    return true;
}

static void close_others(const struct dw_exec *plan) {
    if (!close_ranges(plan) && !close_listed(plan)) {
        close_by_number(plan);
    }
}

/* ---- In the child: the rest ---- */

/* Handlers go by themselves at execve; what is ignored would stay ignored. Our handlers must not
 * run in the child either, so all go before the mask is lifted. */
static void default_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) {
        (void)sigaction(number, &action, NULL); /* EINVAL: KILL, STOP, and libc's own */
    }
}

static void empty_mask(void) {
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* By system call on Linux: libc's functions change all threads of the process, and after vfork
 * those it knows of are the parent's. */
static int set_ids(uid_t uid, gid_t gid) {
#ifdef __linux__
#ifdef SYS_setgroups32
    bool failed = syscall(SYS_setgroups32, 0, NULL) != 0 ||
                  syscall(SYS_setresgid32, gid, gid, gid) != 0 ||
                  syscall(SYS_setresuid32, uid, uid, uid) != 0;
#else
    bool failed = syscall(SYS_setgroups, 0, NULL) != 0 ||
                  syscall(SYS_setresgid, gid, gid, gid) != 0 ||
                  syscall(SYS_setresuid, uid, uid, uid) != 0;
#endif
#else
    bool failed = setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0;
#endif
    return failed ? -errno : 0;
}

/* As os._execvpe in Python: the first error that is not "it is not there" is the one that counts.
 */
static int exec_paths(const struct dw_exec *plan) {
    int error = -ENOENT;
    for (size_t i = 0; i < plan->path_count; i++) {
        (void)execve(plan->paths[i], (char *const *)(uintptr_t)plan->options->argv,
                     (char *const *)(uintptr_t)plan->env);
        if (error == -ENOENT && errno != ENOTDIR) {
            error = -errno;
        }
    }
    return error;
}

/* Returns what could not be done, with *error. */
static const char *become_program(struct dw_exec *plan, int *error) {
    const dw_spawn_options *options = plan->options;
    default_signals();
    if ((*error = move_all(plan)) < 0) {
        return "cannot be given its descriptors";
    }
    close_others(plan);
    if (options->directory != NULL && chdir(options->directory) != 0) {
        *error = -errno;
        return "cannot be run in its directory";
    }
    if (options->set_ids && (*error = set_ids(options->uid, options->gid)) < 0) {
        return "cannot be run as that user";
    }
    empty_mask();
    *error = exec_paths(plan);
    return "cannot be run";
}

void dw_exec_run(void *user) {
    struct dw_exec *plan = user;
    int error = 0;
    const char *what = become_program(plan, &error);
    (void)signal(SIGPIPE, SIG_IGN);
    complain(plan, what, -error);
    _exit(1);
}
