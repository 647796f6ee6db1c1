/* SPDX-License-Identifier: MIT */
/*
 * Addresses: plain values, copied freely, compared with dw_address_equal.
 */
#ifndef DRYWIRE_ADDRESS_H
#define DRYWIRE_ADDRESS_H

#include "drywire/base.h"

DW_BEGIN_DECLS

typedef enum dw_address_kind {
    DW_ADDRESS_NONE = 0,
    DW_ADDRESS_IPV4,
    DW_ADDRESS_IPV6,
} dw_address_kind;

typedef struct dw_address {
    uint8_t kind;      /* a dw_address_kind */
    uint16_t port;     /* host byte order */
    uint32_t scope_id; /* IPv6 link-local scope, else 0 */
    uint8_t ip[16];    /* network byte order; IPv4 uses the first four */
} dw_address;

/* Long enough for any address that dw_address_format writes. */
#define DW_ADDRESS_TEXT_MAX 64

/* Reads an IPv4 or IPv6 literal such as "127.0.0.1", "::1", "fe80::1%2" (no port inside).
 * Returns 0, or DW_INVALID_ADDRESS and leaves `out` alone. */
int dw_address_parse(dw_address *out, const char *literal, uint16_t port);

/* Writes "127.0.0.1:80", "[::1]:80" or "none" into `buffer`, cut to `size`; returns `buffer`. */
const char *dw_address_format(const dw_address *address, char *buffer, size_t size);

/* Writes the host part alone: "127.0.0.1", "::1". */
const char *dw_address_format_host(const dw_address *address, char *buffer, size_t size);

/* Same kind, host, port and scope. */
bool dw_address_equal(const dw_address *a, const dw_address *b);

DW_END_DECLS

#endif
