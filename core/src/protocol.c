/* SPDX-License-Identifier: MIT */
/*
 * Protocols and factories: the few lines that are not the user's.
 */
#include "internal.h"

void dw_protocol_init(dw_protocol *protocol, const dw_protocol_class *cls) {
    *protocol = (dw_protocol){.cls = cls};
}

void dw_protocol_make_connection(dw_protocol *protocol, dw_transport *transport) {
    protocol_make_connection(protocol, transport);
}

void dw_protocol_made_twice(dw_transport *transport) {
    dw_contract(dw_transport_reactor(transport), false, "contract",
                "a protocol was connected twice");
}

const char *dw_protocol_log_prefix(dw_protocol *protocol) {
    return protocol->cls->log_prefix != NULL ? protocol->cls->log_prefix(protocol)
                                             : protocol->cls->name;
}

void dw_factory_init(dw_factory *factory, const dw_factory_class *cls) {
    *factory = (dw_factory){.cls = cls};
}

void dw_client_factory_init(dw_client_factory *factory, const dw_client_factory_class *cls) {
    dw_factory_init(&factory->base, &cls->base);
}

void dw_factory_do_start(dw_factory *factory) {
    factory->num_ports++;
    if (factory->num_ports == 1 && factory->cls->start != NULL) {
        factory->cls->start(factory);
    }
}

/* One stop more than starts is forgiven, as in Twisted (vectors/README.md, section 5). */
void dw_factory_do_stop(dw_factory *factory) {
    if (factory->num_ports == 0) {
        return;
    }
    factory->num_ports--;
    if (factory->num_ports == 0 && factory->cls->stop != NULL) {
        factory->cls->stop(factory);
    }
}
