#!/bin/sh
# SPDX-License-Identifier: MIT
# The same scenarios, built by different compilers at different levels, must run the same: the
# hash over every event and every choice is compared, seed by seed.
#     determinism.sh SOURCE WORK
set -eu
source=$1 work=$2
seeds=12
rm -rf "$work"
mkdir -p "$work/runs"

# build NAME COMPILER LEVEL
build() {
    echo "building with $2 $3"
    # shellcheck disable=SC2046 # words
    "$2" -std=c11 -D_POSIX_C_SOURCE=200809L "$3" -o "$work/$1" \
        -I"$source/core/include" -I"$source/sim/include" -I"$source/examples/kv" \
        "$source"/core/src/*.c "$source"/sim/src/*.c \
        $(find "$source/examples/kv" -name '*.c' ! -name kv_server_main.c) -pthread
}

# hashes NAME: one line for each scenario and seed.
hashes() {
    "$work/$1" --list | awk '{ print $1 }' >"$work/scenarios"
    while read -r scenario; do
        seed=1
        while [ "$seed" -le $seeds ]; do
            printf '%s %s ' "$scenario" "$seed"
            # A failure found has a hash as good as any; a broken runner has none.
            "$work/$1" "$scenario" --seed $seed --quiet --out "$work/runs" 2>/dev/null |
                grep -Eo 'hash (0x)?[0-9a-f]{16}' || echo none
            seed=$((seed + 1))
        done
    done <"$work/scenarios" >"$work/$1.hashes"
}

builds="gcc-O0 gcc-O3 clang-O2"
count=0 first=
for name in $builds; do
    compiler=${name%-*} level=-${name#*-}
    if ! command -v "$compiler" >/dev/null; then
        echo "no $compiler here"
        continue
    fi
    build "$name" "$compiler" "$level"
    hashes "$name"
    count=$((count + 1))
    if [ -z "$first" ]; then
        first=$name
        grep -q 'hash' "$work/$name.hashes" || { echo "no hashes were printed"; exit 1; }
        if grep none "$work/$name.hashes"; then echo "a run printed no hash"; exit 1; fi
    elif ! diff "$work/$first.hashes" "$work/$name.hashes"; then
        echo "determinism: $first and $name differ"
        exit 1
    fi
done
[ $count -gt 1 ] || { echo "one compiler only: nothing to compare"; exit 77; }

# The seed must matter, or equal hashes prove nothing.
different=$(awk '{ print $NF }' "$work/$first.hashes" | sort -u | wc -l)
[ "$different" -gt $seeds ] || { echo "only $different different hashes"; exit 1; }
echo "determinism: $(wc -l <"$work/$first.hashes") runs, the same in $count builds"
