/* SPDX-License-Identifier: MIT */
/* All that a protocol needs, stock protocols and policies included. Wires: drywire/real.h and
 * drywire/sim.h. */
#ifndef DRYWIRE_DRYWIRE_H
#define DRYWIRE_DRYWIRE_H

#include "drywire/address.h"
#include "drywire/alloc.h"
#include "drywire/base.h"
#include "drywire/choice.h"
#include "drywire/connector.h"
#include "drywire/datagram.h"
#include "drywire/delayed_call.h"
#include "drywire/descriptor.h"
#include "drywire/embed.h"
#include "drywire/endpoint.h"
#include "drywire/error.h"
#include "drywire/factory.h"
#include "drywire/haproxy.h"
#include "drywire/idle_timeout.h"
#include "drywire/int_string.h"
#include "drywire/limits.h"
#include "drywire/line.h"
#include "drywire/looping_call.h"
#include "drywire/netstring.h"
#include "drywire/port.h"
#include "drywire/process.h"
#include "drywire/producer.h"
#include "drywire/promise.h"
#include "drywire/protocol.h"
#include "drywire/reactor.h"
#include "drywire/reconnecting.h"
#include "drywire/resolver.h"
#include "drywire/stateful.h"
#include "drywire/thread_call.h"
#include "drywire/throttling.h"
#include "drywire/timeout.h"
#include "drywire/traffic_log.h"
#include "drywire/transport.h"
#include "drywire/wrapper.h"

#endif
