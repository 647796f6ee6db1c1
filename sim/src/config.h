/* SPDX-License-Identifier: MIT */
/*
 * drywire.conf: seeds and options per scenario, in a text file that is kept beside the program.
 *
 *     seeds 20000              # above the first section: every scenario
 *
 *     [reconnect]
 *     seeds 100000
 *     seed 0x5eed              # always played, before the others; as many lines as there are
 *     kinds reset,cut
 *     weather wan              # --weather
 *
 *     [slow_one]
 *     skip
 *
 * One rule says who wins: the command line, then the scenario's section, then the lines above the
 * first section, then the scenario's own fields.
 */
#ifndef DRYWIRE_SIM_CONFIG_H
#define DRYWIRE_SIM_CONFIG_H

#include "drywire/scenario.h"

enum { SIM_CONFIG_KNOWN_MAX = 256, SIM_CONFIG_ERROR = 512, SIM_CONFIG_WEATHER_MAX = 40 };

/* The file that is read when it lies in the current directory and no other was named. */
#define SIM_CONFIG_DEFAULT "drywire.conf"

typedef struct sim_settings {
    bool has_seeds, has_first_seed, has_kinds, skip;
    uint64_t seeds, first_seed;
    uint32_t kinds;
    uint64_t *known; /* seeds that are always played */
    size_t known_count;
    char weather[SIM_CONFIG_WEATHER_MAX]; /* "": it does not say */
} sim_settings;

/* Zero-initialise; free with sim_config_free whatever came of it. */
typedef struct sim_config {
    sim_settings all;
    sim_settings *own; /* one per scenario; NULL: no file was read */
    size_t count;
} sim_config;

/* Reads `path`. False: `error` says in one line, with the file's line, what is wrong. */
bool sim_config_read(sim_config *config, const char *path, const dw_scenario *scenarios,
                     size_t count, char error[SIM_CONFIG_ERROR]);

/* What holds for the scenario `which`: its section over what stands above. Its known seeds
 * are those of its section, or else those above; they are borrowed from `config`. */
sim_settings sim_config_of(const sim_config *config, size_t which);
/* The weather it is to be played in, borrowed from `config`; NULL: the file does not say. */
const char *sim_config_weather(const sim_config *config, size_t which);
void sim_config_free(sim_config *config);

#endif
