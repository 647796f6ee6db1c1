/* SPDX-License-Identifier: MIT */
/*
 * What an event in the queue is about; world.c hands each to the file that knows.
 */
#ifndef DRYWIRE_SIM_EVENTS_H
#define DRYWIRE_SIM_EVENTS_H

#include "queue.h"

typedef enum sim_event_type {
    EV_ARRIVAL,      /* the first packet in flight to a sim_end */
    EV_READY,        /* a sim_end has something to report to its program */
    EV_CONTROL,      /* a reset or a window update arrives */
    EV_LISTENER,     /* a sim_listener has connections to accept */
    EV_TURN,         /* a host's reactor has something due */
    EV_LOOKUP,       /* a name is answered */
    EV_AFTER,        /* the scenario's own timer */
    EV_DATAGRAM,     /* a sim_datagram arrives */
    EV_SOCKET,       /* a sim_socket has something to report to its program */
    EV_PIPE,         /* a sim_pipe has something to report to its program */
    EV_SCRIPT,       /* a child process has something to do */
    EV_SCRIPT_SLEEP, /* its sleep is over */
    EV_SCRIPT_EXIT,  /* its end is to be told */
    EV_WEATHER,      /* links change with the weather */
    EV_KEEPALIVE,    /* a connection is probed */
    EV_NAGLE,        /* what waits for an acknowledgement has it */
} sim_event_type;

#endif
