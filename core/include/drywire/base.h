/* SPDX-License-Identifier: MIT */
/*
 * The words every other header uses: time, source locations, small macros.
 */
#ifndef DRYWIRE_BASE_H
#define DRYWIRE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Time and durations: signed nanoseconds. What "now" counts from is the reactor's business; only
 * differences mean something. */
typedef int64_t dw_time;

#define DW_USEC(n)  ((dw_time)(n)*1000)
#define DW_MSEC(n)  ((dw_time)(n)*1000000)
#define DW_SEC(n)   ((dw_time)(n)*1000000000)
#define DW_MIN(n)   (DW_SEC(60) * (n))
#define DW_HOUR(n)  (DW_SEC(3600) * (n))
#define DW_TIME_MAX INT64_MAX

/* "file.c:42", a string literal: where something was made, for reports of what was left over. */
#define DW_STRINGIFY_(x) #x
#define DW_STRINGIFY(x)  DW_STRINGIFY_(x)
#define DW_HERE          __FILE__ ":" DW_STRINGIFY(__LINE__)

/* The structure that embeds `member` at `pointer`. */
#define DW_CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#if defined(__GNUC__)
#define DW_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#else
#define DW_PRINTF(format_at, args_at)
#endif

#if defined(__cplusplus)
#define DW_BEGIN_DECLS extern "C" {
#define DW_END_DECLS   }
#else
#define DW_BEGIN_DECLS
#define DW_END_DECLS
#endif

/* A link of the library's own lists, where the caller's memory has to hold one. */
struct dw_list_node {
    struct dw_list_node *next, *previous;
};

typedef struct dw_reactor dw_reactor;
typedef struct dw_transport dw_transport;
typedef struct dw_connector dw_connector;
typedef struct dw_port dw_port;
typedef struct dw_protocol dw_protocol;
typedef struct dw_factory dw_factory;
typedef struct dw_client_factory dw_client_factory;
typedef struct dw_producer dw_producer;

#endif
