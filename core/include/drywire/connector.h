/* SPDX-License-Identifier: MIT */
/*
 * A connector: one destination, tried as often as the user likes (Twisted's IConnector).
 *
 * The library frees it when it is disconnected, its factory has been told, and nobody holds it:
 * who wants to connect again later than inside client_connection_failed or _lost holds it.
 */
#ifndef DRYWIRE_CONNECTOR_H
#define DRYWIRE_CONNECTOR_H

#include "drywire/base.h"

DW_BEGIN_DECLS

typedef enum dw_connector_state {
    DW_CONNECTOR_DISCONNECTED = 0,
    DW_CONNECTOR_CONNECTING,
    DW_CONNECTOR_CONNECTED,
} dw_connector_state;

/* Tries (again). started_connecting is called before this returns; the outcome comes later.
 * Returns 0 or DW_NOT_DISCONNECTED (also inside the protocol's connection_lost). */
int dw_connector_connect(dw_connector *connector);

/* Gives a pending attempt up: client_connection_failed(DW_USER_ERROR) is called before this
 * returns (vectors/README.md, section 4: 4). Returns 0 or DW_NOT_CONNECTING. */
int dw_connector_stop_connecting(dw_connector *connector);

/* stop_connecting while connecting, lose_connection while connected, else nothing. */
void dw_connector_disconnect(dw_connector *connector);

dw_connector_state dw_connector_get_state(const dw_connector *connector);

/* What was asked for: the host, borrowed until the connector goes, and the port. */
const char *dw_connector_host(const dw_connector *connector);
uint16_t dw_connector_port(const dw_connector *connector);
dw_reactor *dw_connector_reactor(const dw_connector *connector);

/* Keeps the connector alive until released as often; hold returns its argument. */
dw_connector *dw_connector_hold(dw_connector *connector);
void dw_connector_release(dw_connector *connector);

DW_END_DECLS

#endif
