#!/bin/sh
# SPDX-License-Identifier: MIT
# Echo servers on the live wire, ours beside those on raw epoll and poll and on other libraries.
#
#     sh bench/live.sh BUILD [short | full | counts]
#
# BUILD is a build tree of kind Release or RelWithDebInfo. All servers of a row run at once and take
# turns with the load, so that what else the machine does hits them alike; what is printed are
# ratios to raw epoll: processor time of the server per message, and time per message, each the
# median of the rounds' ratios with the least and the largest. `counts` prints what does not depend
# on the machine's mood: instructions in user space (valgrind --tool=callgrind) and system calls
# (strace -c) per message, each the difference between two numbers of messages.
set -eu

build=$(cd "${1:?usage: live.sh BUILD [short|full|counts]}" && pwd) mode=${2:-short}
work=$(mktemp -d)
pids=
cleanup() {
    for pid in $pids; do kill -TERM "$pid" 2>/dev/null || :; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# The first is the measure of the others. Names carry no spaces, commands may have arguments.
servers() {
    echo "epoll peer_epoll 0"
    echo "poll peer_poll 0"
    for peer in libev libuv libevent; do
        if [ -x "$build/peer_$peer" ]; then echo "$peer peer_$peer 0"; fi
    done
    for poller in epoll poll uring; do
        echo "dw-$poller echo_server 0 --poller=$poller"
    done
}

# start NAME COMMAND...: sets `port` and `pid`; fails for a server that this system cannot run.
start() {
    name=$1
    shift
    : >"$work/$name.out"
    "$@" >"$work/$name.out" 2>"$work/$name.err" &
    pid=$!
    port= waited=0
    while [ -z "$port" ]; do
        if [ $waited -ge 200 ] || ! kill -0 "$pid" 2>/dev/null; then return 1; fi
        sleep 0.1
        waited=$((waited + 1))
        port=$(sed -n 's/^listening on //p' "$work/$name.out")
    done
    pids="$pids $pid"
}

stop() {
    kill -TERM "$1" 2>/dev/null || :
    wait "$1" 2>/dev/null || :
    pids=$(echo " $pids " | sed "s/ $1 / /")
}

# value KEY LINE
value() { echo "$2" | sed -n "s/.*$1=\([0-9.]*\).*/\1/p"; }

# row TITLE ROUNDS LOAD...
row() {
    title=$1 rounds=$2
    shift 2
    : >"$work/running"
    : >"$work/results"
    servers | while read -r name program arguments; do
        # shellcheck disable=SC2086 # a list
        if start "$name" "$build/$program" $arguments; then
            echo "$name $pid $port" >>"$work/running"
        fi
    done
    pids=$(awk '{ print $2 }' "$work/running")
    round=0
    while [ $round -lt "$rounds" ]; do
        while read -r name pid port; do
            line=$("$build/live_load" -p "$pid" "$@" "$port" </dev/null) || line=
            echo "$round $name $(value cpu "$line") $(value wall "$line")" >>"$work/results"
        done <"$work/running"
        round=$((round + 1))
    done
    for pid in $pids; do kill -TERM "$pid" 2>/dev/null || :; done
    pids=
    awk -v title="$title" '
        NF == 4 && $2 == "epoll" { cpu[$1] = $3; wall[$1] = $4; base = base " " $3 }
        NF == 4 && cpu[$1] > 0 {
            if (!($2 in n)) order[++count] = $2
            n[$2]++
            c[$2, n[$2]] = $3 / cpu[$1]
            w[$2, n[$2]] = $4 / wall[$1]
        }
        function sorted(a, name,    i, j, x) {
            for (i = 1; i <= n[name]; i++) v[i] = a[name, i]
            for (i = 2; i <= n[name]; i++) {
                x = v[i]
                for (j = i - 1; j > 0 && v[j] > x; j--) v[j + 1] = v[j]
                v[j + 1] = x
            }
            return sprintf("%5.2f (%.2f-%.2f)", v[int((n[name] + 1) / 2)], v[1], v[n[name]])
        }
        END {
            split(base, b, " ")
            printf "%s; raw epoll: %d ns of processor time a message\n", title, b[1]
            for (i = 1; i <= count; i++)
                printf "    %-10s cpu %-20s time %s\n", order[i], sorted(c, order[i]),
                       sorted(w, order[i])
        }' "$work/results"
}

# What an idle connection costs the process, its protocol object included.
memory() {
    echo "memory of the process per idle connection, in bytes"
    servers | while read -r name program arguments; do
        # shellcheck disable=SC2086 # a list
        if start "$name" "$build/$program" $arguments; then
            line=$("$build/live_load" -p "$pid" -m idle -i "$1" "$port" </dev/null) || line=
            printf '    %-10s %s\n' "$name" "$(value memory "$line")"
            stop "$pid"
        fi
    done
}

# counted N TOOL SERVER LOAD...: the tool's total for a run of N messages
counted() {
    number=$1 tool=$2 server=$3
    shift 3
    case $tool in
    # shellcheck disable=SC2086 # a list
    instructions)
        start counted valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" \
            "$build/"$server || return 1
        target=$pid ;;
    # shellcheck disable=SC2086 # a list
    calls)
        start counted strace -f -c -o "$work/strace" "$build/"$server || return 1
        target=$(ps -o pid= --ppid "$pid") ;;
    esac
    "$build/live_load" -n "$number" "$@" "$port" >/dev/null </dev/null
    # shellcheck disable=SC2086 # with a leading space
    kill -TERM $target
    # valgrind keeps the signal back until io_uring_enter returns: a connection more ends its wait
    "$build/live_load" -n 1 -c 1 "$port" >/dev/null 2>&1 </dev/null || :
    wait "$pid" 2>/dev/null || :
    pids=
    case $tool in
    instructions) sed -n 's/.*Collected : //p' "$work/counted.err" ;;
    calls) awk '$NF == "total" { print $4 }' "$work/strace" ;;
    esac
}

# count_row TITLE FEW MANY LOAD...
count_row() {
    title=$1 few=$2 many=$3
    shift 3
    echo "$title"
    servers | while read -r name server; do
        figures=
        for tool in instructions calls; do
            least=$(counted "$few" $tool "$server" "$@") || least=
            most=$(counted "$many" $tool "$server" "$@") || most=
            figures="$figures $(echo "${least:-0} ${most:-0} $few $many" |
                awk '$1 > 0 { printf "%.2f", ($2 - $1) / ($4 - $3) } $1 == 0 { printf "-" }')"
        done
        # shellcheck disable=SC2086 # two words
        printf '    %-10s %9s instructions %7s calls\n' "$name" $figures
    done
}

case $mode in
short)
    row "ping-pong, 50 connections, 64 bytes" 5 -c 50 -n 30000
    row "connect, echo, close" 5 -m churn -c 20 -n 2000
    memory 2000 ;;
full)
    row "ping-pong, 1 connection, 64 bytes" 9 -c 1 -n 20000
    row "ping-pong, 50 connections, 64 bytes" 9 -c 50 -n 50000
    row "ping-pong, 500 connections, 64 bytes" 9 -c 500 -n 50000
    row "ping-pong, 50 connections, 16 KiB" 9 -c 50 -s 16384 -n 20000
    row "connect, echo, close" 9 -m churn -c 20 -n 4000
    row "32 busy beside 5000 idle" 5 -c 32 -i 5000 -n 30000
    row "bulk, 64 KiB writes" 9 -m bulk -c 1 -s 65536 -n 4000
    memory 10000 ;;
counts)
    count_row "ping-pong, 50 connections, 64 bytes" 1000 11000 -c 50
    count_row "ping-pong, 1 connection, 64 bytes" 1000 6000 -c 1
    count_row "connect, echo, close" 500 2500 -m churn -c 20 ;;
*)
    echo "usage: live.sh BUILD [short|full|counts]" >&2
    exit 2 ;;
esac
