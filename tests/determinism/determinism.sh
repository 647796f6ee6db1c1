#!/bin/sh
# SPDX-License-Identifier: MIT
# The same scenarios, built by different compilers at different levels, for 32 bits and for a
# machine of the other byte order, must run the same: the hash over every event and every choice is
# compared, seed by seed. A compiler that is not there is left out, in so many words.
#     determinism.sh SOURCE WORK
set -eu
source=$1 work=$2
seeds=8
rm -rf "$work"
mkdir -p "$work/runs"

# build NAME LEVEL COMPILER [FLAG...]
build() {
    name=$1 level=$2
    shift 2
    echo "building with $* $level"
    # shellcheck disable=SC2046 # words
    set -- "$@" "$level"
    "$@" -std=c11 -D_POSIX_C_SOURCE=200809L -o "$work/$name" \
        -I"$source/core/include" -I"$source/sim/include" -I"$source/examples/kv" \
        "$source"/core/src/*.c "$source"/sim/src/*.c \
        $(find "$source/examples/kv" -name '*.c' ! -name kv_server_main.c) -pthread
}

# hashes NAME: one line for each scenario and seed.
hashes() {
    $emulator "$work/$1" --list | awk '{ print $1 }' >"$work/scenarios"
    while read -r scenario; do
        seed=1
        while [ "$seed" -le $seeds ]; do
            printf '%s %s ' "$scenario" "$seed"
            # A failure found has a hash as good as any; a broken runner has none.
            $emulator "$work/$1" "$scenario" --seed $seed --quiet $in_process --out "$work/runs" \
                2>/dev/null |
                grep -Eo 'hash (0x)?[0-9a-f]{16}' || echo none
            seed=$((seed + 1))
        done
    done <"$work/scenarios" >"$work/$1.hashes"
}

# Names of builds. The emulator that another machine's needs cannot run a child process beside its
# parent as the runner does, so those play in the process itself.
builds="gcc-O0 gcc-O3 clang-O2 i686-linux-gnu-gcc-O2 s390x-linux-gnu-gcc-O2"
count=0 first=
for name in $builds; do
    compiler=${name%-*} level=-${name##*-} emulator='' in_process='' static=''
    case $name in
    i686*) static="-static -Wno-psabi" ;;
    s390x*) static=-static emulator=qemu-s390x in_process=--no-fork ;;
    esac
    if ! command -v "$compiler" >/dev/null || ! command -v ${emulator:-true} >/dev/null; then
        echo "left out: no $compiler${emulator:+ or no $emulator} here"
        continue
    fi
    # shellcheck disable=SC2086 # empty or one word
    build "$name" "$level" "$compiler" $static
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
