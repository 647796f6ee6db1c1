#!/bin/sh
# SPDX-License-Identifier: MIT
# An oracle that finds nothing must be shown able to find something. Plays a scenario with a planted
# bug, the same with its own oracle switched off, and the same without the bug: the first must fail,
# by that oracle and no other, the two others must hold.
#     oracle.sh DIRECTORY PROGRAM SCENARIO ORACLE WORK [SENTENCE]
# DIRECTORY has PROGRAM_planted, PROGRAM_off and PROGRAM_clean. ORACLE `none` is for a run that is
# not deterministic, exit status 125. SENTENCE must be in what the first one prints.
set -eu
directory=$1 program=$2 scenario=$3 oracle=$4 work=$5 sentence=${6-}
rm -rf "$work"
mkdir -p "$work"

fail() { echo "oracle: $*"; exit 1; }

play() {
    status=0
    "$directory/${program}_$1" "$scenario" --jobs 1 --quiet --out "$work" >"$work/$1.log" 2>&1 ||
        status=$?
}

play planted
cat "$work/planted.log"
if [ "$oracle" = none ]; then
    [ $status -eq 125 ] || fail "$scenario: exit status $status, not 125"
else
    [ $status -eq 1 ] || fail "$scenario: the bug was not found (exit status $status)"
    grep '^  oracle: ' "$work/planted.log" >"$work/oracles" || fail "$scenario: no oracle is named"
    if grep -v "^  oracle: $oracle\(,\|\$\)" "$work/oracles"; then
        fail "$scenario: another oracle than $oracle found something"
    fi
fi
for run in "$work"/*.run; do
    [ -e "$run" ] || continue
    count=$(grep -c '^deviate' "$run" || true)
    [ "$count" -le 3 ] || fail "$scenario: $count deviations after shrinking, more than 3"
done
if [ -n "$sentence" ]; then
    grep -q -- "$sentence" "$work/planted.log" || fail "$scenario: it does not say '$sentence'"
fi

# Who switches these off meets a crash or a hang all the same; a run that differs is found whoever
# looks.
case $oracle in
crash | hang | livelock | none) ;;
*)
    play off
    [ $status -eq 0 ] || { cat "$work/off.log"; fail "$scenario: found by others than $oracle"; }
    ;;
esac

play clean
[ $status -eq 0 ] || { cat "$work/clean.log"; fail "$scenario: a false alarm"; }
echo "oracle: $scenario: found by $oracle alone, nothing without the bug"
