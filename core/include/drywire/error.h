/* SPDX-License-Identifier: MIT */
/*
 * What can go wrong, in one table: the results of functions and the reasons that end connections
 * and attempts. Twisted's names (twisted.internet.error) where it has one.
 *
 * A function that can fail returns 0 or one of these, all negative. A callback that ends something
 * gets a dw_reason: one of these, the errno behind it, and a text.
 */
#ifndef DRYWIRE_ERROR_H
#define DRYWIRE_ERROR_H

#include "drywire/base.h"

DW_BEGIN_DECLS

/* X(name, value, text) */
#define DW_ERROR_TABLE(X)                                                     \
    /* Reasons of connection_lost. */                                         \
    X(DW_CONNECTION_DONE, -1, "connection was closed cleanly")                \
    X(DW_CONNECTION_LOST, -2, "connection was lost in a non-clean fashion")   \
    X(DW_CONNECTION_ABORTED, -3, "connection was aborted by this side")       \
    X(DW_APP_ERROR, -4, "the application reported a fatal error")             \
    X(DW_NO_MEMORY, -5, "out of memory")                                      \
    /* Reasons of client_connection_failed. */                                \
    X(DW_CONNECT_ERROR, -10, "connecting failed")                             \
    X(DW_CONNECTION_REFUSED, -11, "connection was refused by the other side") \
    X(DW_TIMEOUT, -12, "connecting took longer than the time-out")            \
    X(DW_USER_ERROR, -13, "connecting was stopped by the application")        \
    X(DW_DNS_LOOKUP, -14, "the host name could not be resolved")              \
    X(DW_CONNECT_BIND_ERROR, -15, "the local address could not be used")      \
    X(DW_NO_ROUTE, -16, "no route to the host")                               \
    X(DW_TCP_TIMED_OUT, -17, "the connection timed out in the network")       \
    /* Results of functions. */                                               \
    X(DW_CANNOT_LISTEN, -30, "cannot listen on that address")                 \
    X(DW_ALREADY_CALLED, -31, "the delayed call has run already")             \
    X(DW_ALREADY_CANCELLED, -32, "the delayed call was cancelled already")    \
    X(DW_NOT_CONNECTING, -33, "the connector is not connecting")              \
    X(DW_NOT_DISCONNECTED, -34, "the connector is connecting or connected")   \
    X(DW_NOT_LISTENING, -35, "the port is not listening")                     \
    X(DW_NOT_CONNECTED, -36, "there is no connection")                        \
    X(DW_PRODUCER_REGISTERED, -37, "another producer is registered")          \
    X(DW_ALREADY_RUNNING, -38, "the reactor is running already")              \
    X(DW_NOT_RUNNING, -39, "the reactor is not running")                      \
    X(DW_INVALID_ARGUMENT, -40, "invalid argument")                           \
    X(DW_INVALID_ADDRESS, -41, "not a usable address")                        \
    X(DW_UNSUPPORTED, -42, "not supported here")                              \
    X(DW_SYSTEM_ERROR, -43, "a system call failed")                           \
    X(DW_MESSAGE_TOO_LONG, -44, "the datagram is too long")                   \
    X(DW_ALREADY_CONNECTED, -45, "it is connected already")                   \
    X(DW_PROCESS_EXITED_ALREADY, -46, "the process has exited already")       \
    /* More reasons of an attempt that failed. */                             \
    X(DW_CONNECTING_CANCELLED, -47, "connecting was cancelled")               \
    X(DW_NO_PROTOCOL, -48, "the factory made no protocol")                    \
    /* Reasons of process_exited and process_ended. */                        \
    X(DW_PROCESS_DONE, -60, "the process ended with exit status 0")           \
    X(DW_PROCESS_TERMINATED, -61, "the process ended with another exit status or by a signal")

typedef enum dw_error {
    DW_OK = 0,
#define DW_ERROR_ENUM_(name, value, text) name = (value),
    DW_ERROR_TABLE(DW_ERROR_ENUM_)
#undef DW_ERROR_ENUM_
} dw_error;

/* Why something ended. Passed by pointer; valid until the callback returns. */
typedef struct dw_reason {
    dw_error kind;
    int sys_errno;    /* the errno behind it, 0 when there was none */
    const char *text; /* NULL, or more about it; lives as long as the program */
} dw_reason;

/* How a process ended, out of the reason that process_exited and process_ended get: its exit
 * status, or -1 when a signal ended it; the signal, or 0. (sys_errno holds the one, or minus the
 * other.) */
static inline int dw_reason_exit_status(const dw_reason *reason) {
    return reason->sys_errno >= 0 ? reason->sys_errno : -1;
}
static inline int dw_reason_exit_signal(const dw_reason *reason) {
    return reason->sys_errno < 0 ? -reason->sys_errno : 0;
}

/* The text of `error`, a dw_error; a string literal, never NULL. */
const char *dw_strerror(int error);

/* The name of `error` as written in source, "DW_CONNECTION_DONE"; a string literal. */
const char *dw_error_name(int error);

/* Writes "connection was lost in a non-clean fashion: Connection reset by peer" into `buffer`, cut
 * to `size` bytes with the final NUL; returns `buffer`. */
const char *dw_reason_format(const dw_reason *reason, char *buffer, size_t size);

DW_END_DECLS

#endif
