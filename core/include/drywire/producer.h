/* SPDX-License-Identifier: MIT */
/*
 * Flow control towards the writer of a stream (Twisted's IPushProducer and IPullProducer).
 *
 * A push producer writes by itself and is told to pause when more than the high-water mark is
 * buffered, and to resume when the buffer has drained to the low-water mark. A pull producer writes
 * one piece for each resume_producing, first inside register_producer itself, then whenever the
 * buffer is empty (vectors/README.md, section 3 "Producers"; section 4: 12, 13).
 */
#ifndef DRYWIRE_PRODUCER_H
#define DRYWIRE_PRODUCER_H

#include "drywire/base.h"

DW_BEGIN_DECLS

typedef struct dw_producer_class {
    const char *name;
    /* Write no more for now. May come again while paused, with each further write over the mark;
     * comes inside dw_transport_write. Push producers only. */
    void (*pause_producing)(dw_producer *producer);
    /* Write on (push), or write one piece (pull). Required. */
    void (*resume_producing)(dw_producer *producer);
    /* The connection has ended, connection_lost follows; or there was none to begin with. The
     * library forgets the producer. */
    void (*stop_producing)(dw_producer *producer);
} dw_producer_class;

/* Embedded by its owner, who keeps it until it is unregistered or stop_producing was called. */
struct dw_producer {
    const dw_producer_class *cls;
};

/* Twisted's FileDescriptor.bufferSize, and its rule to resume only at empty. */
#define DW_HIGH_WATER_DEFAULT 65536
#define DW_LOW_WATER_DEFAULT  0

DW_END_DECLS

#endif
