#!/bin/sh
# SPDX-License-Identifier: MIT
# A harness that finds nothing must be shown able to find something. Plays a program with a planted
# bug: the bug must be found within a budget of runs, shrunk to so many deviations at most, replayed
# 100 times out of 100 to the same words, and be gone from the fixed program.
#     planted.sh BUGGY FIXED DEVIATIONS WORK SEARCH...
set -eu
buggy=$1 fixed=$2 most=$3 work=$4
shift 4
replays=100
rm -rf "$work"
mkdir -p "$work/replay" "$work/fixed"

fail() { echo "planted: $*"; exit 1; }

status=0
"$buggy" "$@" --jobs 2 --out "$work" >"$work/search.log" 2>&1 || status=$?
cat "$work/search.log"
[ $status -eq 1 ] || fail "not found by $* (exit status $status)"
set -- "$work"/*.run
[ -e "$1" ] || fail "found, but there is no run file"

for run; do
    count=$(grep -c '^deviate' "$run") || fail "$run has no deviation"
    [ "$count" -le "$most" ] || fail "$run has $count deviations, not 1 to $most"
    i=0
    while [ $i -lt $replays ]; do
        status=0
        "$buggy" --replay "$run" --out "$work/replay" >"$work/replay.log" 2>&1 || status=$?
        [ $status -eq 1 ] || fail "replay $i of $run: exit status $status"
        [ $i -gt 0 ] || cp "$work/replay.log" "$work/first.log"
        diff "$work/first.log" "$work/replay.log" || fail "replay $i of $run differs"
        i=$((i + 1))
    done
    "$fixed" --replay "$run" --out "$work/fixed" >"$work/fixed.log" 2>&1 ||
        { cat "$work/fixed.log"; fail "the fixed program fails $run"; }

    # The same from a file in which a hundred others stand, too.
    { cat "$run"; awk 'BEGIN {
        for (i = 101; i <= 200; i++) print "deviate link server>client-1 latency " i " 1us" }'
    } | grep -v '^hash' >"$work/noisy.run"
    status=0
    "$buggy" --shrink "$work/noisy.run" --quiet >"$work/noisy.log" 2>&1 || status=$?
    [ $status -eq 1 ] || { cat "$work/noisy.log"; fail "$run with others does not fail"; }
    count=$(grep -c '^deviate' "$work/noisy.min.run") || fail "$run with others: no deviation left"
    [ "$count" -le "$most" ] || fail "$run with others: $count deviations, not at most $most"
    rm "$work/noisy.run" "$work/noisy.min.run"
    echo "planted: $(basename "$run"): $count deviations, $replays replays, gone when fixed"
done
