/* SPDX-License-Identifier: MIT */
/*
 * Addresses: reading, writing, comparing. No look-ups here; a name is not an address.
 */
#include "drywire/address.h"
#include "drywire/error.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The scope behind '%': a number, or the name of an interface (RFC 4007, section 11). */
static bool parse_scope(const char *text, uint32_t *scope) {
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    /* strtoull would take white space and a sign. */
    if (*text >= '0' && *text <= '9' && *end == '\0' && number <= UINT32_MAX) {
        *scope = (uint32_t)number;
        return true;
    }
    *scope = if_nametoindex(text);
    return *scope != 0;
}

static bool parse_ipv6(dw_address *out, const char *literal) {
    char host[INET6_ADDRSTRLEN];
    const char *percent = strchr(literal, '%');
    size_t len = percent ? (size_t)(percent - literal) : strlen(literal);
    if (len >= sizeof(host)) {
        return false;
    }
    memcpy(host, literal, len);
    host[len] = '\0';
    out->kind = DW_ADDRESS_IPV6;
    return inet_pton(AF_INET6, host, out->ip) == 1 &&
           (percent == NULL || parse_scope(percent + 1, &out->scope_id));
}

int dw_address_parse(dw_address *out, const char *literal, uint16_t port) {
    dw_address address = {.port = port};
    if (inet_pton(AF_INET, literal, address.ip) == 1) {
        address.kind = DW_ADDRESS_IPV4;
    } else if (!parse_ipv6(&address, literal)) {
        return DW_INVALID_ADDRESS;
    }
    *out = address;
    return 0;
}

int dw_address_unix(dw_address *out, const char *path) {
    size_t len = strlen(path);
    if (len == 0 || len > DW_UNIX_PATH_MAX || (len == 1 && path[0] == '@')) {
        return DW_INVALID_ADDRESS;
    }
    *out = (dw_address){.kind = DW_ADDRESS_UNIX, .path_len = (uint8_t)len};
    memcpy(out->path, path, len);
    if (path[0] == '@') {
        out->path[0] = '\0';
    }
    return 0;
}

/* A name may hold any byte (an abstract one NUL, too); control characters are shown as '?', so that
 * none of them reaches a terminal, and the rest, UTF-8 for one, as it is. */
static const char *format_path(const dw_address *address, char *buffer, size_t size) {
    size_t len = address->path_len < size ? address->path_len : size - 1;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)address->path[i];
        buffer[i] = c >= ' ' && c != 0x7f ? (char)c : '?';
    }
    if (len > 0 && address->path[0] == '\0') {
        buffer[0] = '@';
    }
    buffer[len] = '\0';
    return buffer;
}

const char *dw_address_format_host(const dw_address *address, char *buffer, size_t size) {
    char host[INET6_ADDRSTRLEN] = "none";
    if (address->kind == DW_ADDRESS_UNIX) {
        return size > 0 ? format_path(address, buffer, size) : buffer;
    }
    if (address->kind == DW_ADDRESS_IPV4) {
        inet_ntop(AF_INET, address->ip, host, sizeof(host));
    } else if (address->kind == DW_ADDRESS_IPV6) {
        inet_ntop(AF_INET6, address->ip, host, sizeof(host));
    }
    if (address->scope_id != 0) {
        snprintf(buffer, size, "%s%%%u", host, (unsigned)address->scope_id);
    } else {
        snprintf(buffer, size, "%s", host);
    }
    return buffer;
}

const char *dw_address_format(const dw_address *address, char *buffer, size_t size) {
    char host[DW_ADDRESS_TEXT_MAX];
    dw_address_format_host(address, host, sizeof(host));
    if (address->kind == DW_ADDRESS_NONE) {
        snprintf(buffer, size, "%s", host);
    } else if (address->kind == DW_ADDRESS_UNIX) {
        snprintf(buffer, size, "unix:%s", host);
    } else {
        bool six = address->kind == DW_ADDRESS_IPV6;
        snprintf(buffer, size, "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "",
                 (unsigned)address->port);
    }
    return buffer;
}

bool dw_address_equal(const dw_address *a, const dw_address *b) {
    size_t len = a->kind == DW_ADDRESS_IPV4 ? 4 : a->kind == DW_ADDRESS_IPV6 ? 16 : 0;
    if (a->kind == DW_ADDRESS_UNIX) {
        return b->kind == DW_ADDRESS_UNIX && a->path_len == b->path_len &&
               memcmp(a->path, b->path, a->path_len) == 0;
    }
    return a->kind == b->kind && a->port == b->port && a->scope_id == b->scope_id &&
           memcmp(a->ip, b->ip, len) == 0;
}
