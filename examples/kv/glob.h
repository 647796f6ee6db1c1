/* SPDX-License-Identifier: MIT */
/*
 * Patterns of KEYS and CONFIG GET: '*', '?', '[a-z]', '[^a]' and '\' as in Redis. Takes time in
 * proportion to pattern times text at most, whatever a client sends.
 */
#ifndef KV_GLOB_H
#define KV_GLOB_H

#include "buffer.h"

bool kv_glob(kv_slice pattern, kv_slice text);

#endif
