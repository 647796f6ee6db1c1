/* SPDX-License-Identifier: MIT */
/*
 * What names mean in a world, for who resolves them there (dw_reactor_resolve, connecting by name).
 * Without a word of this each host's name is its IPv4 address.
 */
#ifndef DRYWIRE_NAMES_H
#define DRYWIRE_NAMES_H

#include "drywire/resolver.h"
#include "drywire/world.h"

DW_BEGIN_DECLS

#define DW_LOOKUP_TIME        DW_MSEC(1) /* a resolver on the local network */
#define DW_NAME_ADDRESSES_MAX 8

/* What a name server says. */
typedef struct dw_name_answer {
    dw_address addresses[DW_NAME_ADDRESSES_MAX]; /* in this order; DW_ADDRESS_NONE is left out */
    int error; /* instead: an errno, EAGAIN when the server fails; default ENODATA when there are
                  no addresses */
    dw_time delay; /* until it is there; 0: DW_LOOKUP_TIME. Who asks gives up after 20 s. */
} dw_name_answer;

/* From now on `name`, a host's or not, has these addresses of `family` (DW_FAMILY_ANY: of both):
 * the first question gets the first answer, and so on, the last one for ever. No answers: there is
 * no such name. Without this, a host's name is its IPv4 address. `answers` are copied.
 *
 *     dw_world_set_name(w, "www", DW_FAMILY_IPV6,
 *                       (dw_name_answer[]){{.addresses = {dw_host_address6(a)}, .delay =
 * DW_MSEC(30)},
 *                                          {.error = EAGAIN}},
 *                       2);
 */
void dw_world_set_name(dw_world *world, const char *name, dw_family family,
                       const dw_name_answer *answers, size_t count);

DW_END_DECLS

#endif
