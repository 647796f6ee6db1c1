#!/bin/sh
# SPDX-License-Identifier: MIT
# The kv example beside Debian's redis-server, both under redis-benchmark, in turns.
#
#     sh bench/kv.sh BUILD [ROUNDS [REQUESTS]]
#
# SET and GET with 50 clients, one request at a time and 16 at once. Both servers run from first to
# last on loopback, and each round asks one right after the other, the one that begins changing from
# round to round. Printed are requests per second, kv to redis: the median of the rounds' ratios
# with the least and the largest, then the medians of both. Above 1, kv is faster.
set -eu

build=$(cd "${1:?usage: kv.sh BUILD [ROUNDS [REQUESTS]]}" && pwd) rounds=${2:-7} requests=${3:-100000}
for tool in redis-server redis-cli redis-benchmark; do
    if ! command -v $tool >/dev/null; then
        echo "kv.sh: no $tool here (Debian: redis-server, redis-tools); nothing compared" >&2
        exit 77
    fi
done
work=$(mktemp -d)
kv= redis=
cleanup() {
    for pid in $kv $redis; do kill -TERM "$pid" 2>/dev/null || :; done
    wait
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# wait_for COMMAND...: until it prints something, 20 s at most
wait_for() {
    tries=0
    until [ -n "$("$@" 2>/dev/null)" ]; do
        tries=$((tries + 1))
        if [ $tries -ge 200 ]; then echo "kv.sh: no answer to: $*" >&2; exit 1; fi
        sleep 0.1
    done
}

"$build/kv_server" 0 >"$work/kv.out" 2>"$work/kv.err" &
kv=$!
wait_for sed -n 's/^listening on .*://p' "$work/kv.out"
kv_port=$(sed -n 's/^listening on .*://p' "$work/kv.out")

# redis-server has no "any free port": one after the other is tried. On a UNIX socket it would be
# another race.
redis_port=$((kv_port + 1))
while [ -z "$redis" ]; do
    redis-server --port $redis_port --bind 127.0.0.1 --save '' --appendonly no \
        --dir "$work" --daemonize no >"$work/redis.out" 2>&1 &
    redis=$!
    tries=0
    until redis-cli -p $redis_port ping 2>/dev/null | grep -q PONG; do
        tries=$((tries + 1))
        if [ $tries -ge 100 ]; then echo "kv.sh: redis-server does not answer" >&2; exit 1; fi
        if ! kill -0 $redis 2>/dev/null; then redis='' && redis_port=$((redis_port + 1)) && break; fi
        sleep 0.1
    done
done

# asked PORT PIPELINE: "set,12345.67" and "get,23456.78", a line each
asked() {
    redis-benchmark -p "$1" -t set,get -c 50 -P "$2" -n "$requests" -r 10000 --csv </dev/null |
        sed -n 's/^"\(SET\|GET\)","\([0-9.]*\)".*/\1 \2/p'
}

for pipeline in 1 16; do
    round=0
    : >"$work/results"
    while [ $round -lt "$rounds" ]; do
        turns="kv:$kv_port redis:$redis_port"
        if [ $((round % 2)) -eq 1 ]; then turns="redis:$redis_port kv:$kv_port"; fi
        for turn in $turns; do
            asked "${turn#*:}" $pipeline | sed "s/^/$round ${turn%:*} /" >>"$work/results"
        done
        round=$((round + 1))
    done
    for verb in SET GET; do
        awk -v verb=$verb -v pipeline=$pipeline '
            $3 == verb { rate[$2, $1] = $4; rounds[$1] = 1 }
            function sorted(v, n,    i, j, x) {
                for (i = 2; i <= n; i++) {
                    x = v[i]
                    for (j = i - 1; j > 0 && v[j] > x; j--) v[j + 1] = v[j]
                    v[j + 1] = x
                }
            }
            END {
                for (r in rounds) {
                    n++
                    kv[n] = rate["kv", r]
                    redis[n] = rate["redis", r]
                    ratio[n] = kv[n] / redis[n]
                }
                sorted(kv, n); sorted(redis, n); sorted(ratio, n)
                m = int((n + 1) / 2)
                printf "%s pipeline=%-2d ratio=%.2f (%.2f-%.2f) kv=%d redis=%d\n", verb, pipeline,
                       ratio[m], ratio[1], ratio[n], kv[m], redis[m]
            }' "$work/results"
    done
done
