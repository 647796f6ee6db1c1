#!/bin/sh
# SPDX-License-Identifier: MIT
# Exhaustive searches of worlds whose runs can be counted by hand.
#     exhaustive.sh PROGRAM WORK
set -eu
program=$1 work=$2
rm -rf "$work"
mkdir -p "$work"

fail() { cat "$work/log"; echo "exhaustive: $*"; exit 1; }

# expect STATUS WORDS ARGUMENTS...
expect() {
    wanted=$1 words=$2
    shift 2
    status=0
    "$program" "$@" --out "$work" --config none >"$work/log" 2>&1 || status=$?
    [ "$status" -eq "$wanted" ] || fail "$*: exit status $status, not $wanted"
    grep -qF "$words" "$work/log" || fail "$*: did not say: $words"
}

# Three that arrive at once: 3! orders, each once.
expect 0 "orders: exhaustive: all 6 runs held" orders --exhaustive order
# Each of three is lost or not, whatever the rest: 2^3.
expect 0 "orders: exhaustive: all 8 runs held" orders --exhaustive lose
# Where in the order a packet is lost is nobody's business: the orders of those that are left,
# 3! + 3 * 2! + 3 * 1! + 1.
expect 0 "orders: exhaustive: all 16 runs held" orders --exhaustive lose,order
# At three hosts only what is lost counts.
expect 0 "apart: exhaustive: all 8 runs held" apart --exhaustive lose,order
# The calm run, and each of the three lost alone; each of those could have gone on, but for the last.
expect 0 "orders: exhaustive: all 4 runs held" orders --exhaustive lose --bound 1
expect 0 "2 of them could have gone on with more than 1 deviations" orders --exhaustive lose --bound 1
# In shards, each run is one shard's: 11 and 5, and together 16.
expect 0 "orders: exhaustive: all 11 runs held" orders --exhaustive lose,order --shard 1/2 \
    --results "$work/1"
expect 0 "orders: exhaustive: all 5 runs held" orders --exhaustive lose,order --shard 2/2 \
    --results "$work/2"
expect 0 "orders: exhaustive: all 16 runs held" --merge "$work/1" "$work/2"
expect 2 "1 of 2 shards missing: 2" --merge "$work/1"
# At three hosts the order is nobody's business.
expect 0 "apart: exhaustive: the calm run is all there is, and it held" apart --exhaustive order
# A counter-example, shrunk; in shards one of them has it.
expect 1 "FAILED broken: the order does not matter" broken --exhaustive order
grep -qF "counter-example" "$work/log" || fail "no counter-example"
expect 2 "goes with --exhaustive" orders --bound 2
expect 2 "there is no kind" orders --exhaustive fog
echo "exhaustive: every count is as by hand"
