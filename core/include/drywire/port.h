/* SPDX-License-Identifier: MIT */
/*
 * A listening port (Twisted's IListeningPort). Made by dw_reactor_listen_tcp; the library frees it
 * when stop_listening has finished or its reactor has stopped.
 */
#ifndef DRYWIRE_PORT_H
#define DRYWIRE_PORT_H

#include "drywire/address.h"
#include "drywire/base.h"

DW_BEGIN_DECLS

/* Stops accepting; connections live on. The port is closed, its factory stopped and done(user)
 * called (may be NULL) in a later turn. Returns 0, or DW_NOT_LISTENING: nothing to wait for. */
int dw_port_stop_listening(dw_port *port, void (*done)(void *user), void *user);

/* The local address; its port is the real one when 0 was asked for. DW_ADDRESS_NONE for NULL. */
dw_address dw_port_host(const dw_port *port);

/* The socket's descriptor, for options that this library does not have; -1 on the dry wire and for
 * NULL. Still the library's: do not close or accept from it. */
int dw_port_handle(const dw_port *port);

DW_END_DECLS

#endif
