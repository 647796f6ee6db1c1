# SPDX-License-Identifier: MIT
# cases.sh PROGRAM DIRECTORY [OPTION...]: plays each file of the table DIRECTORY/expected, whose
# lines are "file, exit status, last line", and compares. A file without a line there fails the test;
# lines of DIRECTORY/expected.WORD count too, for an OPTION that ends in =WORD.
set -eu
program=$1
directory=$2
shift 2
tables=$directory/expected
for option; do
    if [ -f "$directory/expected.${option##*=}" ]; then
        tables="$directory/expected.${option##*=} $tables"
    fi
done
failed=0
count=0

for file in "$directory"/*.jsonl; do
    name=${file##*/}
    status=0
    output=$("$program" "$@" "$file" 2>&1) || status=$?
    got="$name $status $(printf '%s\n' "$output" | tail -n 1)"
    count=$((count + 1))
    # shellcheck disable=SC2086 # a list of files
    if ! grep -hqxF "$got" $tables; then
        printf '%s\n' "$output"
        printf 'not in %s: %s\n\n' "$tables" "$got"
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
