/* SPDX-License-Identifier: MIT */
/*
 * The parser of PROXY headers. Section numbers are those of HAProxy's proxy-protocol.txt. The
 * factory that uses it is in haproxy_factory.c.
 *
 * Invariant: a header is refused at the first byte that no valid header can have there.
 */
#include "drywire/haproxy.h"

#include <string.h>

static const uint8_t v1_signature[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t v2_signature[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                       0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

void dw_haproxy_parser_init(dw_haproxy_parser *p) {
    *p = (dw_haproxy_parser){.status_ = DW_HAPROXY_MORE};
}

static dw_haproxy_status finish(dw_haproxy_parser *p) {
    p->status_ = DW_HAPROXY_DONE;
    return DW_HAPROXY_DONE;
}

static dw_haproxy_status invalid(dw_haproxy_parser *p, const char *why) {
    p->error = why;
    p->status_ = DW_HAPROXY_INVALID;
    return DW_HAPROXY_INVALID;
}

/* ---- Version 1: a line of text (section 2.1) ---- */

/* The words of the line, apart by exactly one space. */
typedef struct words {
    const char *at, *end; /* at NULL: there is no further word */
} words;

/* Takes the next word, in *len bytes; NULL at the end of the line. */
static const char *next_word(words *w, size_t *len) {
    const char *word = w->at;
    if (word == NULL) {
        return NULL;
    }
    const char *space = memchr(word, ' ', (size_t)(w->end - word));
    *len = (size_t)((space != NULL ? space : w->end) - word);
    w->at = space != NULL ? space + 1 : NULL;
    return word;
}

/* A decimal number up to `max`, without zeros in front. */
static bool read_number(const char *text, size_t len, uint32_t max, uint32_t *out) {
    uint32_t value = 0;
    if (len == 0 || len > 5 || (len > 1 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *out = value;
    return value <= max;
}

static bool read_ipv4(const char *text, size_t len, dw_address *out) {
    const char *end = text + len;
    for (int i = 0; i < 4; i++) {
        const char *dot = i < 3 ? memchr(text, '.', (size_t)(end - text)) : end;
        uint32_t value;
        if (dot == NULL || !read_number(text, (size_t)(dot - text), 255, &value)) {
            return false;
        }
        out->ip[i] = (uint8_t)value;
        text = i < 3 ? dot + 1 : end;
    }
    out->kind = DW_ADDRESS_IPV4;
    return true;
}

/* Dots are let through for what inet_ntop makes of a mapped address, "::ffff:1.2.3.4". */
static bool read_ipv6(const char *text, size_t len, dw_address *out) {
    char copy[DW_ADDRESS_TEXT_MAX];
    if (len == 0 || len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    return strspn(copy, "0123456789abcdefABCDEF:.") == len && strchr(copy, ':') != NULL &&
           dw_address_parse(out, copy, 0) == 0 && out->kind == DW_ADDRESS_IPV6;
}

static bool read_ip(words *w, bool ipv6, dw_address *out) {
    size_t len;
    const char *word = next_word(w, &len);
    return word != NULL && (ipv6 ? read_ipv6(word, len, out) : read_ipv4(word, len, out));
}

static bool read_port(words *w, dw_address *out) {
    size_t len;
    uint32_t port;
    const char *word = next_word(w, &len);
    if (word == NULL || !read_number(word, len, 65535, &port)) {
        return false;
    }
    out->port = (uint16_t)port;
    return true;
}

static bool is_word(const char *word, size_t len, const char *expected) {
    return len == strlen(expected) && memcmp(word, expected, len) == 0;
}

/* The whole line is there, in `len` bytes without its CR LF. */
static dw_haproxy_status read_line(dw_haproxy_parser *p, size_t len) {
    const char *line = (const char *)p->bytes_;
    words w = {line + sizeof(v1_signature), line + len};
    size_t n = 0;
    const char *family = next_word(&w, &n);
    dw_haproxy_header h = {.version = 1, .proxied = true};
    if (is_word(family, n, "UNKNOWN")) {
        p->header = (dw_haproxy_header){.version = 1};
        return finish(p);
    }
    bool ipv6 = is_word(family, n, "TCP6");
    if (!ipv6 && !is_word(family, n, "TCP4")) {
        return invalid(p, "PROXY header of a family that is not TCP4, TCP6 or UNKNOWN");
    }
    if (!read_ip(&w, ipv6, &h.source) || !read_ip(&w, ipv6, &h.destination)) {
        return invalid(p, "PROXY header with a malformed address");
    }
    if (!read_port(&w, &h.source) || !read_port(&w, &h.destination)) {
        return invalid(p, "PROXY header with a malformed port");
    }
    if (w.at != NULL) {
        return invalid(p, "PROXY header with too many words");
    }
    p->header = h;
    return finish(p);
}

/* One more byte of the line has come. */
static dw_haproxy_status text_byte(dw_haproxy_parser *p) {
    size_t n = p->have_;
    if (n <= sizeof(v1_signature)) {
        return p->bytes_[n - 1] == v1_signature[n - 1]
                   ? DW_HAPROXY_MORE
                   : invalid(p, "the connection does not begin with a PROXY header");
    }
    if (p->bytes_[n - 2] == '\r' && p->bytes_[n - 1] == '\n') {
        return read_line(p, n - 2);
    }
    return n < DW_HAPROXY_V1_MAX ? DW_HAPROXY_MORE
                                 : invalid(p, "PROXY header of more than 107 bytes");
}

/* ---- Version 2: binary (section 2.2) ---- */

static uint16_t read_16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* The fields of bytes 13 and 14. */
enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_UNSPEC = 0, FAMILY_INET = 1, FAMILY_INET6 = 2, FAMILY_UNIX = 3 };
enum { PROTOCOL_UNSPEC = 0, PROTOCOL_STREAM = 1, PROTOCOL_DGRAM = 2 };

/* Whether the address block says something that we use. LOCAL ignores the family altogether. */
static bool has_addresses(const dw_haproxy_parser *p) {
    return (p->bytes_[12] & 0x0f) == COMMAND_PROXY && p->bytes_[13] >> 4 != FAMILY_UNSPEC &&
           (p->bytes_[13] & 0x0f) != PROTOCOL_UNSPEC;
}

static size_t address_len(const dw_haproxy_parser *p) {
    static const uint8_t lengths[] = {0, 12, 36, DW_HAPROXY_V2_ADDR_MAX};
    return has_addresses(p) ? lengths[p->bytes_[13] >> 4] : 0;
}

static void read_ends(dw_haproxy_header *h, const uint8_t *block, dw_address_kind kind,
                      size_t ip_len) {
    h->source.kind = h->destination.kind = (uint8_t)kind;
    memcpy(h->source.ip, block, ip_len);
    memcpy(h->destination.ip, block + ip_len, ip_len);
    h->source.port = read_16(block + 2 * ip_len);
    h->destination.port = read_16(block + 2 * ip_len + 2);
}

static void read_addresses(dw_haproxy_parser *p) {
    dw_haproxy_header *h = &p->header;
    const uint8_t *block = p->bytes_ + DW_HAPROXY_V2_FIXED;
    *h = (dw_haproxy_header){.version = 2};
    if (!has_addresses(p)) {
        return;
    }
    h->proxied = true;
    h->datagram = (p->bytes_[13] & 0x0f) == PROTOCOL_DGRAM;
    switch (p->bytes_[13] >> 4) {
    case FAMILY_INET:
        read_ends(h, block, DW_ADDRESS_IPV4, 4);
        break;
    case FAMILY_INET6:
        read_ends(h, block, DW_ADDRESS_IPV6, 16);
        break;
    default:
        h->local = true;
        memcpy(h->source_path, block, DW_HAPROXY_PATH_MAX);
        memcpy(h->destination_path, block + DW_HAPROXY_PATH_MAX, DW_HAPROXY_PATH_MAX);
    }
}

/* Byte 13 or 14 has come. */
static const char *refuse_kind(const dw_haproxy_parser *p, size_t n) {
    uint8_t high = p->bytes_[n - 1] >> 4, low = p->bytes_[n - 1] & 0x0f;
    if (n == 13) {
        return high != 2             ? "PROXY header of an unknown version"
               : low > COMMAND_PROXY ? "PROXY header with an unknown command"
                                     : NULL;
    }
    bool ignored = (p->bytes_[12] & 0x0f) == COMMAND_LOCAL;
    return ignored                ? NULL
           : high > FAMILY_UNIX   ? "PROXY header of an unknown address family"
           : low > PROTOCOL_DGRAM ? "PROXY header of an unknown transport protocol"
                                  : NULL;
}

static dw_haproxy_status addresses_complete(dw_haproxy_parser *p) {
    read_addresses(p);
    return p->skip_ > 0 ? DW_HAPROXY_MORE : finish(p);
}

static dw_haproxy_status binary_byte(dw_haproxy_parser *p) {
    size_t n = p->have_;
    if (n <= sizeof(v2_signature)) {
        return p->bytes_[n - 1] == v2_signature[n - 1]
                   ? DW_HAPROXY_MORE
                   : invalid(p, "the connection does not begin with a PROXY header");
    }
    if (n <= 14) {
        const char *why = refuse_kind(p, n);
        return why != NULL ? invalid(p, why) : DW_HAPROXY_MORE;
    }
    if (n < DW_HAPROXY_V2_FIXED) {
        return DW_HAPROXY_MORE;
    }
    size_t block = address_len(p);
    uint16_t length = read_16(p->bytes_ + 14);
    if (length < block) {
        return invalid(p, "PROXY header too short for its addresses");
    }
    p->skip_ = (uint16_t)(length - block);
    return n == DW_HAPROXY_V2_FIXED + block ? addresses_complete(p) : DW_HAPROXY_MORE;
}

/* ---- Both ---- */

static bool header_read(const dw_haproxy_parser *p) {
    return p->header.version == 2;
}

dw_haproxy_status dw_haproxy_parser_feed(dw_haproxy_parser *p, const uint8_t *data, size_t len,
                                         size_t *used) {
    size_t at = 0;
    while (p->status_ == DW_HAPROXY_MORE && at < len && !header_read(p)) {
        p->bytes_[p->have_++] = data[at++];
        if (p->bytes_[0] == v2_signature[0]) {
            binary_byte(p);
        } else {
            text_byte(p);
        }
    }
    if (p->status_ == DW_HAPROXY_MORE && header_read(p)) {
        size_t n = p->skip_ < len - at ? p->skip_ : len - at;
        at += n;
        p->skip_ = (uint16_t)(p->skip_ - n);
        if (p->skip_ == 0) {
            finish(p);
        }
    }
    *used = at;
    return (dw_haproxy_status)p->status_;
}
