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
    DW_ADDRESS_UNIX,
} dw_address_kind;

/* The longest path of a UNIX socket (Linux: sun_path, unix(7)), without a final NUL. */
#define DW_UNIX_PATH_MAX 107

typedef struct dw_address {
    uint8_t kind;      /* a dw_address_kind */
    uint8_t path_len;  /* UNIX: bytes in `path`, 0 for a socket without a name */
    uint16_t port;     /* host byte order; 0 for UNIX */
    uint32_t scope_id; /* IPv6 link-local scope, else 0 */
    union {
        uint8_t ip[16];                  /* network byte order; IPv4 uses the first four */
        char path[DW_UNIX_PATH_MAX + 1]; /* a file's, NUL-terminated, or an abstract name: then its
                                            first byte is NUL (unix(7)) */
    };
} dw_address;

/* Long enough for any address that dw_address_format writes. */
#define DW_ADDRESS_TEXT_MAX 128

/* Reads an IPv4 or IPv6 literal such as "127.0.0.1", "::1", "fe80::1%2" (no port inside).
 * Returns 0, or DW_INVALID_ADDRESS and leaves `out` alone. */
int dw_address_parse(dw_address *out, const char *literal, uint16_t port);

/* The address of a UNIX socket: the path of a file, or, when it begins with '@', an abstract name
 * (the rest of the text; a file of that name is "./@name"). Returns 0, or DW_INVALID_ADDRESS when
 * it is empty or too long, and leaves `out` alone. */
int dw_address_unix(dw_address *out, const char *path);

/* Writes "127.0.0.1:80", "[::1]:80", "unix:/run/a", "unix:@abstract", "unix:" or "none" into
 * `buffer`, cut to `size`; returns `buffer`. */
const char *dw_address_format(const dw_address *address, char *buffer, size_t size);

/* Writes the host part alone: "127.0.0.1", "::1"; of a UNIX socket the path. */
const char *dw_address_format_host(const dw_address *address, char *buffer, size_t size);

/* Same kind, host, port and scope; of UNIX sockets the same path, byte by byte. */
bool dw_address_equal(const dw_address *a, const dw_address *b);

DW_END_DECLS

#endif
