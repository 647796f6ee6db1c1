#!/bin/sh
# SPDX-License-Identifier: MIT
# Replies of kv_server and of a real redis-server, compared byte for byte:
#     compare_with_redis.sh KV_SERVER [COMPARE_WITH_REDIS]
# COMPARE_WITH_REDIS is compare_with_redis.c, built; without it ${CC:-cc} builds it. Exit status 77
# without Redis 7.0, whose words are the measure. Debian's redis-tools is enough: redis-check-rdb is
# the server's own program, which looks at the name it is called by.
set -u
server=${1:?which kv_server?} compare=${2:-}
here=$(dirname "$0")

work=$(mktemp -d) ours= theirs=
stop() { [ -z "$1" ] || { kill "$1" && wait "$1"; } 2>/dev/null; }
trap 'stop "$ours"; stop "$theirs"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

redis=$work/redis-server
ln -s "$(command -v redis-server || command -v redis-check-rdb)" "$redis" 2>/dev/null
"$redis" --version 2>/dev/null | grep -q 'v=7\.0\.' ||
    { echo "compare: Redis 7.0 is missing (Debian 12: redis-tools)"; exit 77; }

if [ -z "$compare" ]; then
    compare=$work/compare
    "${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -o "$compare" "$here/compare_with_redis.c" || exit 1
fi

"$server" 0 >"$work/out" 2>"$work/err" &
ours=$!
"$redis" --port 0 --unixsocket "$work/socket" --dir "$work" --save '' --appendonly no \
    --databases 1 >"$work/redis.log" 2>&1 &
theirs=$!
port= tries=0
until [ -n "$port" ] && [ -S "$work/socket" ]; do
    tries=$((tries + 1))
    [ $tries -lt 250 ] || { echo "compare: a server did not start"; cat "$work/err" "$work/redis.log"; exit 1; }
    sleep 0.02
    port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/out")
done
"$compare" "$port" "$work/socket" "$here/redis_cases.txt"
