#!/bin/sh
# SPDX-License-Identifier: MIT
# Shrinking what is large: failures with 10,000 deviations of which a few matter, and one of a run of
# about 1,000 events. The runs that it takes are bounded by arithmetic, not by a clock:
#
# With k needed of n, halving the chunks from n/2 to 1 is log2(n) walks; after a walk with chunks of
# length l at most k of them are left, which the next walk tries as 2k halves, and one more at an end
# that is uneven. A last walk shows that each of the k is needed.
#     storms.sh PROGRAM WORK
set -eu
program=$1 work=$2
rm -rf "$work"
mkdir -p "$work"

fail() { cat "$work/log"; echo "storms: $*"; exit 1; }

# ten_thousand SCENARIO: every one of its datagrams is lost.
ten_thousand() {
    awk -v scenario="$1" 'BEGIN {
        print "drywire run 1\nscenario " scenario
        for (i = 1; i <= 10000; i++) print "deviate udp a:9>b:9 lose " i " 1" }' >"$work/$1.run"
}

# shrink SCENARIO LEFT RUNS SENTENCE: to so many deviations, in so many runs at most.
shrink() {
    status=0
    "$program" --shrink "$work/$1.run" --quiet >"$work/log" 2>&1 || status=$?
    [ $status -eq 1 ] || fail "$1: exit status $status"
    grep -qF "FAILED $1: $4" "$work/log" || fail "$1: another failure than: $4"
    left=$(grep -c '^deviate' "$work/$1.min.run")
    [ "$left" -eq "$2" ] || fail "$1: $left deviations are left, not $2"
    runs=$(sed -n 's/.*(minimal; shrunk from [0-9]* in \([0-9]*\) runs.*/\1/p' "$work/log")
    [ -n "$runs" ] || fail "$1: it is not minimal"
    [ "$runs" -le "$3" ] || fail "$1: $runs runs, more than $3"
    echo "storms: $1: to $left deviations in $runs runs"
}

# has SCENARIO NTH...: these datagrams are what is left.
has() {
    name=$1
    shift
    for nth; do
        grep -q "lose  *$nth  1\$" "$work/$name.min.run" || fail "$name: not datagram $nth"
    done
}

# 14 walks of at most 5, the last one of 2, and a few for the list as a whole: 14 * 5 + 2 + 8.
ten_thousand two
shrink two 2 80 "one of the two arrives"
has two 3001 7002

# 14 walks of at most 41, the last one of 20, and 8.
ten_thousand twenty
shrink twenty 20 602 "one of the twenty arrives"
has twenty 487 4870 9740

# Without the second of them the run fails too, in another way: that is not what is looked for.
ten_thousand masked
shrink masked 2 80 "the two together are this one"
has masked 3001 7002
sed '/ 7002  1$/d' "$work/masked.min.run" >"$work/log.run"
"$program" --replay "$work/log.run" --quiet >"$work/log" 2>&1 && fail "masked: the first alone holds"
grep -qF "FAILED masked: the first alone is another bug" "$work/log" || fail "masked: not masked"

# About 1,000 events, 330 + 327 deviations, of which three matter: 10 walks of at most 7, a last one
# of 3; values: 16 small numbers for each of two cuts, of a time at most 19 numbers of digits, 2 tries
# each, and a search among 9 * 19 numbers (8 tries); 10 more with other numbers of draws. At two
# million events a second (a tenth of what one core does) they take a tenth of a second.
awk 'BEGIN {
    print "drywire run 1\nscenario thousand"
    for (i = 1; i <= 330; i++) print "deviate client:1>server:7 cut " i " " (i % 2 ? 17 : 5)
    for (i = 4; i <= 330; i++) print "deviate link server>client latency " i " 80ms" }' \
    >"$work/thousand.run"
shrink thousand 3 165 "three faults in a row do no harm"
status=0
"$program" --replay "$work/thousand.run" --quiet >"$work/log" 2>&1 || status=$?
[ $status -eq 1 ] || fail "thousand: its replay ends with exit status $status"
events=$(sed -n 's/^thousand: failed.* \([0-9]*\) events.*/\1/p' "$work/log")
[ "$events" -ge 1000 ] || fail "thousand: $events events"
[ $((runs * events)) -le 200000 ] || fail "thousand: $((runs * events)) events in all"

# What the run never came to is told, and not at length.
sed '3,9000d' "$work/two.run" >"$work/few.run"
awk 'BEGIN { for (i = 10001; i <= 20000; i++) print "deviate udp a:9>b:9 lose " i " 1" }' \
    >>"$work/few.run"
"$program" --replay "$work/few.run" --quiet >"$work/log" 2>&1 || fail "few: it fails"
grep -qF "... and 9960 more that were not reached" "$work/log" || fail "few: it lists everything"
[ "$(grep -c '^not reached: ' "$work/log")" -eq 40 ] || fail "few: it does not list 40"
echo "storms: every bound is kept"
