/* SPDX-License-Identifier: MIT */
/* All that a scenario or a unit test on the dry wire needs. */
#ifndef DRYWIRE_SIM_H
#define DRYWIRE_SIM_H

#include "drywire/assertion.h"
#include "drywire/drywire.h"
#include "drywire/host.h"
#include "drywire/names.h"
#include "drywire/network.h"
#include "drywire/rule.h"
#include "drywire/scenario.h"
#include "drywire/script.h"
#include "drywire/test_transport.h"
#include "drywire/world.h"

#endif
