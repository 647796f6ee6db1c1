#!/bin/sh
# SPDX-License-Identifier: MIT
# netcat.sh NETCAT: two of them, megabytes in both directions at once over a UNIX socket and over
# TCP, an answer that comes after the end of the input, and what is wrong.
set -eu
netcat=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkfifo "$work/ready"
head -c 3000000 /dev/urandom >"$work/a"
head -c 2000000 /dev/urandom >"$work/b"

# meet SERVER CLIENT: each gets the other's file. The client's description ends in the server's
# port, if it has one, which is told on standard error.
meet() {
    "$netcat" -l "$1" <"$work/a" >"$work/from_client" 2>"$work/ready" &
    server=$!
    read -r line <"$work/ready"
    where=$2
    case $where in
    *:) where=$where${line##*:} ;;
    esac
    cat "$work/b" | "$netcat" "$where" | cat >"$work/from_server"
    wait "$server"
    cmp "$work/a" "$work/from_server"
    cmp "$work/b" "$work/from_client"
}
meet "unix:$work/socket" "unix:$work/socket"
meet tcp:0:interface=127.0.0.1 tcp:127.0.0.1:

fails() {
    status=0
    "$netcat" "$@" </dev/null 2>"$work/errors" || status=$?
    [ "$status" = "$expected" ] || { echo "netcat $*: exit status $status"; exit 1; }
    grep -q "^$text" "$work/errors" || { cat "$work/errors"; exit 1; }
}
expected=1 text='netcat: connecting failed' fails "unix:$work/nobody"
expected=2 text='netcat: nosuch:1: there is no client endpoint' fails nosuch:1
expected=2 text='usage: ' fails
