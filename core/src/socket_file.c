/* SPDX-License-Identifier: MIT */
/*
 * The file that a UNIX socket is bound to: made by bind, given its permissions, removed when its
 * port closes, but only while it is still the file that was made. Used by port.c and datagram.c.
 */
#include "internal.h"

static bool is_file(const dw_address *address) {
    return address->kind == DW_ADDRESS_UNIX && address->path_len > 0 && address->path[0] != '\0';
}

int dw_socket_file_bind(dw_reactor *reactor, dw_io *io, const dw_address *address, unsigned mode,
                        struct dw_socket_file *file) {
    const dw_wire *wire = reactor->wire;
    int error = wire->bind(reactor, io, address);
    if (error < 0 || !is_file(address)) {
        return error;
    }
    file->ours = true;
    file->known = wire->file_id != NULL && wire->file_id(reactor, address, file->id) == 0;
    if (mode != 0 && wire->set_mode != NULL) {
        error = wire->set_mode(reactor, address, mode);
    }
    return error;
}

void dw_socket_file_remove(dw_reactor *reactor, const dw_address *address,
                           struct dw_socket_file *file) {
    uint64_t now[2];
    if (!file->ours) {
        return;
    }
    file->ours = false;
    if (!file->known || (reactor->wire->file_id(reactor, address, now) == 0 &&
                         now[0] == file->id[0] && now[1] == file->id[1])) {
        reactor->wire->unlink(reactor, address);
    }
}
