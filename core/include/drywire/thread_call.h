/* SPDX-License-Identifier: MIT */
/*
 * Calls from other threads (Twisted's IReactorFromThreads.callFromThread): the one thing that a
 * thread which is not the reactor's may do with a reactor. The owner embeds the dw_thread_call;
 * nothing is allocated, nothing can fail, nobody waits for a lock.
 *
 *     struct job { dw_thread_call done; int result; };
 *     dw_reactor_call_from_thread(reactor, &job->done, job_done, job);   // on the worker's thread
 *
 * What the thread wrote before it made the call, the function sees.
 */
#ifndef DRYWIRE_THREAD_CALL_H
#define DRYWIRE_THREAD_CALL_H

#include "drywire/base.h"

DW_BEGIN_DECLS

/* An object that several threads use: atomic to the library, which alone touches it, and of the
 * same size to a C++ program, which only has to make room for it. */
#if defined(__cplusplus)
#define DW_SHARED_(type) type
#else
#define DW_SHARED_(type) _Atomic(type)
#endif

typedef void (*dw_thread_fn)(void *user);

/* Zero-initialise it before first use; all fields are the library's. */
typedef struct dw_thread_call {
    dw_thread_fn fn_;
    void *user_;
    const char *where_;
    struct dw_thread_call *next_;
    DW_SHARED_(unsigned char) pending_;
} dw_thread_call;

/* From any thread, the reactor's own too: runs fn(user) once on the reactor's thread, in a turn of
 * its loop that begins after this was called, before that turn's delayed calls, and never inside
 * this call. Calls run in the order in which they were made; those of one thread always.
 *
 * Returns true; or false when `call` is pending already, which changes nothing: it then runs once,
 * in its place and with the function it was given first, and what this thread wrote before is seen
 * by it. So one call may serve as a bell that many threads ring.
 *
 * `call` must live, and stay where it is, until fn begins; from then on it is its owner's, to use
 * again or to free. It cannot be taken back. A reactor that is not running keeps it for its next
 * run; dw_reactor_free runs those that are left, on the thread that frees, before it closes
 * anything. By then no other thread may use the reactor any more. A host of a simulated world that
 * is killed or crashes forgets its calls, as it forgets all else.
 *
 * A signal handler may make a call too: all there is to it are lock-free atomics and, on the live
 * wire, write(2) (signal-safety(7)).
 * On the dry wire it is a queue like any other, for the world's own thread: a call from another
 * thread would make the run depend on a race, and ends the program with a message. */
#define dw_reactor_call_from_thread(reactor, call, fn, user) \
    dw_reactor_call_from_thread_at((reactor), (call), (fn), (user), DW_HERE)
bool dw_reactor_call_from_thread_at(dw_reactor *reactor, dw_thread_call *call, dw_thread_fn fn,
                                    void *user, const char *where);

DW_END_DECLS

#endif
