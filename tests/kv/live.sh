#!/bin/sh
# SPDX-License-Identifier: MIT
# The server on real sockets, driven by Debian's redis-cli and redis-benchmark:
#     live.sh KV_SERVER
# Ends with the line `N passed, N failed`; exit status 1 when one failed, 77 without redis-tools.
set -u
server=${1:?which kv_server?}
for tool in redis-cli redis-benchmark; do
    command -v $tool >/dev/null || { echo "live: $tool is missing (Debian: redis-tools)"; exit 77; }
done

work=$(mktemp -d) pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0

# check NAME GOT EXPECTED
check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n  got:      %s\n  expected: %s\n' "$1" "$2" "$3"
    fi
}

# start OPTION...: starts the server on a free port; sets pid and port.
start() {
    : >"$work/out" # or the last server's port would be read
    "$server" "$@" 0 >"$work/out" 2>"$work/err" &
    pid=$! port= tries=0
    while [ -z "$port" ] && [ $tries -lt 200 ] && kill -0 $pid 2>/dev/null; do
        port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/out")
        tries=$((tries + 1))
        [ -n "$port" ] || sleep 0.02
    done
    [ -n "$port" ] || { echo "live: the server did not start"; cat "$work/err"; exit 1; }
}

# stop SIGNAL: ends the server; sets status.
stop() {
    kill -"$1" $pid
    status=0
    wait $pid || status=$?
    pid=
}

cli() { redis-cli -h 127.0.0.1 -p "$port" "$@"; }

# reply EXPECTED COMMAND...: what redis-cli prints for it.
reply() {
    expected=$(printf "$1")
    shift
    check "redis-cli $*" "$(cli --no-raw "$@" 2>&1)" "$expected"
}

start
reply 'PONG' ping
reply '"hello world"' echo 'hello world'
reply 'OK' set a 1
reply '"1"' get a
reply '(nil)' get none
reply '(integer) 2' incr a
reply '(integer) 12' incrby a 10
reply '(integer) 11' decr a
reply '(integer) 4' append a xy
reply '(error) ERR value is not an integer or out of range' incr a
reply 'OK' mset b 1 c '' d 'x y'
reply '1) "11xy"\n2) "1"\n3) ""\n4) "x y"\n5) (nil)' mget a b c d e
reply '(nil)' set a 2 NX
reply 'OK' set a 2 XX EX 100
reply '(integer) 100' ttl a
reply '(integer) 1' persist a
reply '(integer) -1' ttl a
reply '(integer) 1' expire a 50
reply '(integer) -2' ttl none
reply '1) "a"\n2) "b"\n3) "c"\n4) "d"' keys '*'
reply '(integer) 4' dbsize
reply '(integer) 2' exists a b none
reply '(integer) 2' del a b none
reply 'OK' select 0
reply '(error) ERR DB index is out of range' select 1
reply "(error) ERR unknown command 'foo', with args beginning with: 'a' 'b' " foo a b
reply "(error) ERR wrong number of arguments for 'get' command" get
reply '(error) ERR syntax error' set a 1 what
reply 'OK' client setname me
reply '1) "save"\n2) ""' config get save
reply 'OK' flushall
reply '(integer) 0' dbsize
reply 'OK' quit
big=$(printf '%0100000d' 7)
check 'a value of 100,000 bytes' "$(printf %s "$big" | cli -x set big) $(cli get big)" "OK $big"
check 'commands on standard input' "$(printf 'SET a 1\nINCR a\nGET a\n' | cli)" "$(printf 'OK\n2\n2')"
check 'a pipe of 3000 requests' \
    "$(i=0; while [ $i -lt 1000 ]; do printf 'SET k%d %d\r\nINCR n\r\nGET k%d\r\n' $i $i $i; i=$((i + 1)); done |
        cli --pipe | tail -n 1)" 'errors: 0, replies: 3000'
check 'all of them were run' "$(cli get n) $(cli get k999)" '1000 999'

# bench N PIPELINE TESTS: one line for each test, none of them an error.
bench() {
    timeout 60 redis-benchmark -h 127.0.0.1 -p "$port" -q -c 50 -n "$1" -P "$2" -r 1000 -t "$3" >"$work/bench" 2>&1
    check "redis-benchmark -P $2 -t $3" "$? $(tr '\r' '\n' <"$work/bench" | grep -c '^[A-Z].*requests per second')" "0 $4"
    check "redis-benchmark -P $2 prints no error" "$(grep -ci 'error\|warn' "$work/bench")" 0
}
bench 5000 1 ping,set,get,incr,mset 6
bench 20000 64 ping,set,get,incr,mset 6
cli flushall >/dev/null
# 12,800 is a multiple of 50 clients times 64, which redis-benchmark would round up to.
timeout 60 redis-benchmark -h 127.0.0.1 -p "$port" -q -c 50 -n 12800 -P 64 -t incr >/dev/null 2>&1
check 'each INCR of the benchmark counted once' "$(cli get counter:__rand_int__)" 12800
stop TERM
check 'SIGTERM ends it with 0' "$status" 0
check 'nothing on standard error' "$(cat "$work/err")" ''

start --idle 60 --bind ::1
check 'IPv6' "$(redis-cli -h ::1 -p "$port" ping)" PONG
status=0
"$server" --bind ::1 "$port" >"$work/out2" 2>"$work/err2" || status=$?
check 'a port in use' "$status $(cat "$work/err2")" \
    "1 kv_server: cannot listen on ::1 port $port: Address already in use"
stop INT
check 'SIGINT ends it with 0' "$status" 0

# wrong EXPECTED ARGUMENT...: exit status 2 and one line.
wrong() {
    expected=$1 status=0
    shift
    "$server" "$@" >"$work/out" 2>"$work/err" || status=$?
    check "kv_server $*" "$status $(cat "$work/err")" "2 kv_server: $expected (kv_server --help tells more)"
}
wrong 'which port?'
wrong 'not a port number from 0 to 65535: x' x
wrong 'not a port number from 0 to 65535: 65536' 65536
wrong 'not a port number from 0 to 65535: 1x' 1x
wrong 'unknown option: --what' --what 1
wrong 'a value is missing: --bind' 1 --bind
wrong 'one port only: 2' 1 2
check '--help' "$("$server" --help | head -n 1)" 'usage: kv_server [OPTION]... PORT'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
