/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the program's own, watched by the reactor (Twisted's IReactorFDSet, as functions
 * like asyncio's add_reader): for a device, an inotify queue, another library's socket. The reactor
 * tells when one is ready and touches it in no other way. Live wires only.
 *
 * Readiness is level-triggered on every reactor: fn is called in each turn in which the descriptor
 * is ready, whether or not the last call used it up. An error or a hang-up counts as ready for
 * whatever is watched; reading or writing then tells. A regular file, or a device that cannot be
 * waited for, is ready in every turn.
 */
#ifndef DRYWIRE_DESCRIPTOR_H
#define DRYWIRE_DESCRIPTOR_H

#include "drywire/base.h"

DW_BEGIN_DECLS

typedef void (*dw_descriptor_fn)(void *user);

/* Calls fn(user) whenever `fd` can be read / written, until removed; a second one for the same
 * direction takes the first one's place. The two directions of a descriptor are independent. `fd`
 * should be non-blocking; it stays the program's, which removes it before closing it. (One that is
 * closed first is either reported as ready again and again, for read(2) to say EBADF, or not at
 * all, depending on the reactor.) Returns 0, DW_INVALID_ARGUMENT (no such descriptor),
 * DW_NO_MEMORY, DW_SYSTEM_ERROR (dw_reactor_errno says why), or DW_UNSUPPORTED on the dry wire. */
int dw_reactor_add_reader(dw_reactor *reactor, int fd, dw_descriptor_fn fn, void *user);
int dw_reactor_add_writer(dw_reactor *reactor, int fd, dw_descriptor_fn fn, void *user);

/* Stops that; fn is not called any more, even if the descriptor is ready in this very turn. Returns
 * whether there was anything to stop. Inside any callback, fn's own too. */
bool dw_reactor_remove_reader(dw_reactor *reactor, int fd);
bool dw_reactor_remove_writer(dw_reactor *reactor, int fd);

/* Both directions of all descriptors. Returns how many directions there were. Stopping the reactor
 * does not do this: what is watched stays so for the next run; dw_reactor_free does. */
size_t dw_reactor_remove_all(dw_reactor *reactor);

/* How many directions are watched. */
size_t dw_reactor_watched(const dw_reactor *reactor);

DW_END_DECLS

#endif
