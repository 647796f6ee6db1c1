#!/bin/sh
# SPDX-License-Identifier: MIT
# The whole story on one screen, in under a minute: a server on real sockets, then the same object
# code on the dry wire, where a planted bug is found, shrunk, shown, replayed and gone when mended.
# Called by `./dev demo`:
#     demo.sh BUILD OUT
set -eu
build=$1 out=$2
rm -rf "$out"
mkdir -p "$out"

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() { echo "demo: $*" >&2; exit 1; }

server=
stop_server() { [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true; server=; }
trap stop_server EXIT
trap 'exit 130' INT TERM

step "1. The live wire: kv_server, a Redis work-alike, serves Debian's redis-benchmark"
"$build/kv_server" 0 >"$out/server.log" 2>&1 &
server=$!
port='' tries=0
while [ -z "$port" ]; do
    port=$(sed -n 's/.*listening on [^0-9]*\(.*:\)\{0,1\}\([0-9][0-9]*\)[^0-9]*$/\2/p' "$out/server.log")
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $server 2>/dev/null; then
        cat "$out/server.log" >&2
        fail "the server did not start"
    fi
    [ -n "$port" ] || sleep 0.05
done
for load in "1 200000" "64 2000000"; do
    pipeline=${load% *}
    echo "pipeline of $pipeline:"
    redis-benchmark -h 127.0.0.1 -p "$port" -q -t set,get,incr -n "${load#* }" -c 50 -P "$pipeline" |
        tr '\r' '\n' | sed -n 's/^\([A-Z]*: .*requests per second.*\)$/   \1/p'
done
stop_server

step "2. The dry wire: the same code on thousands of simulated networks. This build has a planted bug:
   the client retries an INCR whose reply was lost. The search, and what it found:"
buggy=$build/kv_scenarios_bug_retry fixed=$build/kv_scenarios status=0
"$buggy" kill_and_restart --seeds 10000 --out "$out" >"$out/search.txt" || status=$?
[ $status -eq 1 ] || fail "the planted bug was not found (exit status $status)"
sed -n '/^ *timeline/q; s/^/   /; /[^ ]/p' "$out/search.txt"

step "3. All that is left of it is a run file that a person can read and edit:"
run=$(grep -l "^expect *always" "$out"/*.run | head -n 1)
[ -n "$run" ] || fail "no run file was written"
sed 's/^/   /' "$run"

step "4. The timeline around it, and the replay:"
sed -n '/^ *timeline/,/^ *play it again/{ /play it again/q; s/^  //; p; }' "$out/search.txt" | cut -c 1-110
status=0
"$buggy" --replay "$run" >"$out/timeline.txt" 2>&1 || status=$?
[ $status -eq 1 ] || fail "the replay does not fail (exit status $status)"
tail -n 2 "$out/timeline.txt" | sed 's/^/   /'

step "5. The mended build plays the same run file, and then 10,000 seeds of its own"
"$fixed" --replay "$run" --quiet | head -n 1 | sed 's/^/   /'
"$fixed" --replay "$run" --quiet >/dev/null || fail "the mended build fails the run file"
status=0
"$fixed" kill_and_restart --seeds 10000 --out "$out" --quiet >"$out/mended.txt" || status=$?
sed 's/^/   /' "$out/mended.txt"
[ $status -eq 0 ] || fail "the mended build fails (exit status $status)"

step "Left for you: the run file $run, its timeline $out/timeline.txt. Play it yourself:
   $buggy --replay $run"
