# SPDX-License-Identifier: MIT
# lifecycle.sh PROGRAM DIRECTORY BACKEND: plays all life-cycle situations of the directory on one
# backend. Exit status 77 (skipped) when there are none, or when this system has no such backend.
set -eu
program=$1
directory=$2
backend=$3

set --
for file in "$directory"/lifecycle_*.jsonl; do
    if [ -f "$file" ]; then set -- "$@" "$file"; fi
done
if [ $# -eq 0 ]; then
    echo "no life-cycle vectors in $directory"
    exit 77
fi
status=0
output=$("$program" "--backend=$backend" "$@") || status=$?
printf '%s\n' "$output"
if [ "$status" -eq 0 ] && printf '%s\n' "$output" | grep -q '^0 passed, 0 failed, '; then
    exit 77
fi
exit $status
