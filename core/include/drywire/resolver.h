/* SPDX-License-Identifier: MIT */
/*
 * Names: looking one up, and who answers (Twisted's IHostnameResolver and IResolutionReceiver).
 *
 *     struct client { dw_lookup lookup; ... };
 *     dw_reactor_resolve(reactor, &client->lookup, "example.org", DW_FAMILY_ANY,
 *                        address_found, lookup_done, client);
 *
 * The caller embeds the dw_lookup. Addresses come one by one, as they are known; then on_done, once
 * and last. Cancelling is synchronous: nothing comes afterwards, the memory may go.
 */
#ifndef DRYWIRE_RESOLVER_H
#define DRYWIRE_RESOLVER_H

#include "drywire/address.h"
#include "drywire/base.h"
#include "drywire/delayed_call.h"
#include "drywire/error.h"

DW_BEGIN_DECLS

/* Which addresses are wanted. */
typedef enum dw_family {
    DW_FAMILY_ANY = 0,
    DW_FAMILY_IPV4,
    DW_FAMILY_IPV6,
} dw_family;

/* The longest name that is looked up, in bytes without the final NUL (RFC 1035, 2.3.4, says 255 on
 * the wire; what is longer cannot exist). */
#define DW_NAME_MAX 255

typedef struct dw_lookup dw_lookup;
typedef struct dw_resolver dw_resolver;

/* An address of the name; its port is 0. May do anything, even cancel the lookup. */
typedef void (*dw_lookup_address_fn)(dw_lookup *lookup, const dw_address *address);

/* The lookup is over and `lookup` the caller's again. `failure`: NULL when there was an address,
 * else DW_DNS_LOOKUP with the errno behind it: ENODATA (no such name, or none of that family),
 * EAGAIN (the name server failed), ETIMEDOUT (it did not answer), ENOMEM, ECANCELED (the reactor
 * stopped), EIO, or what else a resolver says. */
typedef void (*dw_lookup_done_fn)(dw_lookup *lookup, const dw_reason *failure);

/* One name being looked up. Zero-initialise it before first use. */
struct dw_lookup {
    const char *name;    /* to read for resolvers, as long as they have the lookup */
    dw_family family;    /* likewise */
    void *resolver_data; /* the resolver's own while it has the lookup */
    void *user;

    /* The library's. */
    dw_lookup_address_fn on_address_;
    dw_lookup_done_fn on_done_;
    dw_reactor *reactor_;
    dw_resolver *resolver_; /* who has it; NULL: nobody */
    struct dw_list_node node_;
    dw_delayed_call start_;
    bool *gone_; /* inside on_address: set when the lookup is cancelled there */
    bool active_, answered_;
};

/* Looks `name` up, which is borrowed until the end: a host name, or a literal, which answers
 * itself. The answer never comes from inside this call. Returns 0, or DW_INVALID_ARGUMENT: the name
 * is empty or longer than DW_NAME_MAX, or `lookup` is under way. */
int dw_reactor_resolve(dw_reactor *reactor, dw_lookup *lookup, const char *name, dw_family family,
                       dw_lookup_address_fn on_address, dw_lookup_done_fn on_done, void *user);

/* Gives a lookup up: neither function is called any more. Fine for one that is over, and for one
 * that never began. */
void dw_lookup_cancel(dw_lookup *lookup);

/* From the start until on_done is called or the lookup is cancelled. */
bool dw_lookup_active(const dw_lookup *lookup);

dw_reactor *dw_lookup_reactor(const dw_lookup *lookup);

/* ---- Resolvers: who answers ---- */

/* To be embedded first. A table of hosts, say:
 *
 *     static int resolve(dw_resolver *resolver, dw_lookup *lookup) {
 *         const dw_address *known = find((struct hosts *)resolver, lookup->name);
 *         if (known == NULL) {
 *             return dw_lookup_forward(lookup);
 *         }
 *         if (dw_lookup_found(lookup, known)) {
 *             dw_lookup_finish(lookup, 0);
 *         }
 *         return 0;
 *     }
 */
typedef struct dw_resolver_class {
    const char *name; /* required */

    /* Starts one lookup; may answer at once, or later. The resolver has the lookup until it calls
     * dw_lookup_finish, dw_lookup_forward succeeds, `cancel` is called, or this returns an error:
     * minus an errno, which is the answer. Never gets a literal. */
    int (*resolve)(dw_resolver *resolver, dw_lookup *lookup);

    /* Nobody wants the answer any more: forget the lookup, whose memory goes. Also called inside
     * dw_lookup_found, when the receiver has had enough; that then returns false. NULL: a resolver
     * that always answers inside `resolve`. */
    void (*cancel)(dw_resolver *resolver, dw_lookup *lookup);
} dw_resolver_class;

struct dw_resolver {
    const dw_resolver_class *cls;
};

/* From now on `resolver` answers: dw_reactor_resolve, connect_tcp, endpoints. NULL: the wire's own
 * again. Lookups under way stay where they are. Borrows `resolver` until it is replaced and has
 * answered, or the reactor is freed. */
void dw_reactor_set_resolver(dw_reactor *reactor, dw_resolver *resolver);

/* An address of the name. One that is not of the wanted family is left out. False: the lookup was
 * cancelled meanwhile and must not be touched any more. */
bool dw_lookup_found(dw_lookup *lookup, const dw_address *address);

/* The end of the answer: `error` is 0, or minus the errno why there are no (further) addresses. An
 * error after an address is no failure; no address and no error is ENODATA. */
void dw_lookup_finish(dw_lookup *lookup, int error);

/* Hands a lookup that `resolve` was given, and of which nothing was found yet, on to the wire's own
 * resolver. To be returned from `resolve`: 0, or why that could not start. */
int dw_lookup_forward(dw_lookup *lookup);

DW_END_DECLS

#endif
