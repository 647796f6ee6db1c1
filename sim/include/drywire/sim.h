/* SPDX-License-Identifier: MIT */
/* All that a scenario or a unit test on the dry wire needs. */
#ifndef DRYWIRE_SIM_H
#define DRYWIRE_SIM_H

#include "drywire/drywire.h"
#include "drywire/scenario.h"
#include "drywire/test_transport.h"
#include "drywire/world.h"

#endif
