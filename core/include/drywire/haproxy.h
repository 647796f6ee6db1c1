/* SPDX-License-Identifier: MIT */
/*
 * HAProxy's PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt; Twisted's
 * HAProxyWrappingFactory): a proxy says in front of each connection whom it speaks for. Put the
 * factory around any other, and its protocols see the real client:
 *
 *     static dw_haproxy_factory behind;
 *     dw_haproxy_factory_init(&behind, reactor, &app.base);
 *     dw_reactor_listen_tcp(reactor, 8000, &behind.base.base.base, 0, NULL, NULL);
 *     // in a protocol of `app`:
 *     dw_address client = dw_transport_peer(p->transport);
 *
 * Every connection must begin with a header; one without it, or with a wrong one, is aborted, as
 * the specification asks. So listen only where nobody but the proxy can connect.
 *
 * Unlike Twisted's, the factory builds the wrapped protocol when the header is there: its
 * build_protocol gets the client's address, so that limits per peer work behind a proxy, and
 * connection_made finds it too.
 */
#ifndef DRYWIRE_HAPROXY_H
#define DRYWIRE_HAPROXY_H

#include "drywire/delayed_call.h"
#include "drywire/wrapper.h"

DW_BEGIN_DECLS

/* Section 2.1: the longest line of version 1 with its CR LF. Section 2.2: the fixed part of a
 * version 2 header, and the longest address block (two paths of AF_UNIX). */
#define DW_HAPROXY_V1_MAX      107
#define DW_HAPROXY_V2_FIXED    16
#define DW_HAPROXY_V2_ADDR_MAX 216
#define DW_HAPROXY_PATH_MAX    108

/* How long a connection may take for its header; section 2 asks for 3 seconds at least. */
#define DW_HAPROXY_TIMEOUT_DEFAULT DW_SEC(5)

/* What a header said. */
typedef struct dw_haproxy_header {
    uint8_t version; /* 1 or 2; 0: none yet */
    bool proxied;    /* the ends below are to be used; false for LOCAL, UNKNOWN and UNSPEC, where
                        the connection's own are */
    bool datagram;   /* UDP or UNIX datagrams, not streams */
    bool local;      /* AF_UNIX: the two paths below, and the addresses are DW_ADDRESS_NONE */
    dw_address source, destination;
    char source_path[DW_HAPROXY_PATH_MAX + 1]; /* raw; an abstract name begins with a NUL */
    char destination_path[DW_HAPROXY_PATH_MAX + 1];
} dw_haproxy_header;

/* ---- The parser alone ---- */

typedef enum dw_haproxy_status {
    DW_HAPROXY_MORE,    /* all bytes are used, the header goes on */
    DW_HAPROXY_DONE,    /* parser->header is complete */
    DW_HAPROXY_INVALID, /* parser->error says why; there is no way on */
} dw_haproxy_status;

/* Needs no memory of its own. `header` and `error` are to be read, the rest is the library's. */
typedef struct dw_haproxy_parser {
    dw_haproxy_header header;
    const char *error;
    uint8_t status_;
    uint16_t have_;
    uint16_t skip_; /* bytes of the header still to drop: TLVs, and ends we do not want */
    uint8_t bytes_[DW_HAPROXY_V2_FIXED + DW_HAPROXY_V2_ADDR_MAX];
} dw_haproxy_parser;

void dw_haproxy_parser_init(dw_haproxy_parser *parser);

/* Reads on, with *used of `len` bytes; those behind the header are left. How the bytes were cut
 * into calls means nothing. After DONE or INVALID it uses nothing more. */
dw_haproxy_status dw_haproxy_parser_feed(dw_haproxy_parser *parser, const uint8_t *data, size_t len,
                                         size_t *used);

/* ---- The factory ---- */

typedef struct dw_haproxy_factory {
    dw_wrapping_factory base; /* listen with &f.base.base.base */
    dw_time header_timeout;   /* the default above; 0: none; for connections to come */
    dw_factory waiting_;
    dw_protocol nobody_; /* stands in until the header is there */
} dw_haproxy_factory;

/* Prepares a factory in the caller's memory around `wrapped`, borrowed for as long; the life of
 * both is as drywire/wrapper.h has it. Never fails. */
void dw_haproxy_factory_init(dw_haproxy_factory *factory, dw_reactor *reactor, dw_factory *wrapped);

/* The header of the connection that `transport` stands for, or NULL if no such factory is around
 * it. Lives as long as the transport. */
const dw_haproxy_header *dw_haproxy_header_of(dw_transport *transport);

DW_END_DECLS

#endif
