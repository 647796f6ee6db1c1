/* SPDX-License-Identifier: MIT */
/*
 * Work that takes too long for the loop: a hash to compute, a file to read, a library that blocks
 * (in the place of Twisted's callInThread and deferToThread). It is done beside the loop, and what
 * comes of it is told on the reactor's thread. The owner embeds the dw_offload.
 *
 *     struct job { dw_offload offload; char password[64], key[64]; };
 *     static void work(void *user) { struct job *j = user; derive(j->password, j->key); }
 *     static void done(void *user, bool worked) { ... }
 *     dw_reactor_offload(reactor, &job->offload, work, done, job);
 *
 * On a live wire up to DW_OFFLOAD_THREADS threads of the reactor's own work, so pieces of work run
 * at the same time and end in any order. On the dry wire there is one thread: work runs on it in a
 * later turn, by default in order and without time passing; the choice "offload" lets it take up to
 * four seconds, so that others overtake it and the program has changed meanwhile.
 *
 * Rules for `work`, on every wire: of the library it may use dw_reactor_call_from_thread and
 * nothing else, no reactor, transport or timer, not even to read; and it and the loop do not touch
 * the same memory, but for what was written before dw_reactor_offload (which work sees) and what
 * work wrote (which done sees). Nothing bounds its time, and a reactor that stops or is freed waits
 * for it. It handles no signals.
 */
#ifndef DRYWIRE_OFFLOAD_H
#define DRYWIRE_OFFLOAD_H

#include "drywire/base.h"
#include "drywire/delayed_call.h"

DW_BEGIN_DECLS

#define DW_OFFLOAD_THREADS 4

typedef void (*dw_offload_work_fn)(void *user);

/* `work` has returned; or, with `worked` false, the reactor stops and it was not begun. */
typedef void (*dw_offload_done_fn)(void *user, bool worked);

/* Zero-initialise it before first use; all fields are the library's. */
typedef struct dw_offload {
    dw_offload_work_fn work_;
    dw_offload_done_fn done_;
    void *user_;
    const char *where_;
    dw_reactor *reactor_; /* NULL: not under way */
    struct dw_list_node node_;
    dw_delayed_call call_; /* where there are no threads */
    void *wire_data_;
} dw_offload;

/* On the reactor's thread: has work(user) done beside the loop, then calls done(user, true), once,
 * on the reactor's thread and never from inside this call. `offload` must live, and stay where it
 * is, until then, and is its owner's again when done begins: to free, or for the next piece of
 * work. Waiting pieces are begun in the order in which they were given.
 *
 * When the reactor stops, after connections are lost, what has not begun is not done: done(user,
 * false); what runs is waited for, and then told as always. dw_reactor_free calls no done any more;
 * it drops and waits likewise. A host of a simulated world that crashes forgets its work.
 *
 * Returns 0, or an error, and then done is not called: DW_INVALID_ARGUMENT (it is under way),
 * DW_NO_MEMORY, or DW_SYSTEM_ERROR (no thread could be had; dw_reactor_errno). */
#define dw_reactor_offload(reactor, offload, work, done, user) \
    dw_reactor_offload_at((reactor), (offload), (work), (done), (user), DW_HERE)
int dw_reactor_offload_at(dw_reactor *reactor, dw_offload *offload, dw_offload_work_fn work,
                          dw_offload_done_fn done, void *user, const char *where);

/* Takes it back if it was not begun: returns true, neither function is called, and `offload` is its
 * owner's. False: it has begun, and done will be called; or it is not under way. */
bool dw_offload_cancel(dw_offload *offload);

/* From dw_reactor_offload until just before done. */
bool dw_offload_active(const dw_offload *offload);

DW_END_DECLS

#endif
