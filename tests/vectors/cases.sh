# SPDX-License-Identifier: MIT
# cases.sh PROGRAM DIRECTORY: plays each file of the table DIRECTORY/expected, whose lines are
# "file, exit status, last line", and compares. A file without a line there fails the test.
set -eu
program=$1
directory=$2
failed=0
count=0

for file in "$directory"/*.jsonl; do
    name=${file##*/}
    status=0
    output=$("$program" "$file" 2>&1) || status=$?
    got="$name $status $(printf '%s\n' "$output" | tail -n 1)"
    count=$((count + 1))
    if ! grep -qxF "$got" "$directory/expected"; then
        printf '%s\n' "$output"
        printf 'not in %s: %s\n\n' "$directory/expected" "$got"
        failed=1
    fi
done

status=0
"$program" >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || { echo "without arguments: exit status $status, not 2"; failed=1; }
status=0
"$program" "$directory/there-is-none" >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || { echo "a file that is not there: exit status $status, not 2"; failed=1; }

echo "$count files"
exit $failed
