/* SPDX-License-Identifier: MIT */
/* All that a protocol needs. Wires: drywire/real.h and drywire/sim.h. */
#ifndef DRYWIRE_DRYWIRE_H
#define DRYWIRE_DRYWIRE_H

#include "drywire/address.h"
#include "drywire/alloc.h"
#include "drywire/base.h"
#include "drywire/choice.h"
#include "drywire/connector.h"
#include "drywire/delayed_call.h"
#include "drywire/error.h"
#include "drywire/factory.h"
#include "drywire/port.h"
#include "drywire/producer.h"
#include "drywire/protocol.h"
#include "drywire/reactor.h"
#include "drywire/transport.h"

#endif
