# SPDX-License-Identifier: MIT
# recorded.sh PROGRAM DIRECTORY: plays all in-memory vectors of the directory. Those of section 2,
# lifecycle_*.jsonl, are for other programs. Exit status 77 (skipped) when there are none.
set -eu
program=$1
directory=$2

set --
for file in "$directory"/*.jsonl; do
    case ${file##*/} in
    lifecycle_*) ;;
    *) if [ -f "$file" ]; then set -- "$@" "$file"; fi ;;
    esac
done
if [ $# -eq 0 ]; then
    echo "no vectors in $directory"
    exit 77
fi
exec "$program" "$@"
