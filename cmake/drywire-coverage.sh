#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the tests of an instrumented build tree and reports what they covered; the build target
# `coverage` of DrywireCoverage.cmake calls it:
#     drywire-coverage.sh BUILD SOURCE GCOV 'NAME|DIRECTORY|LINES|BRANCHES'...
# Exit status: 0, or 1 when a test failed or a part is below its floor.
set -eu

build=$1 source=$2 gcov=$3
shift 3
out=$build/coverage
rm -rf "$out"
mkdir -p "$out"

# lcov 2 renamed the switch for branches; both know the expression for lines to leave out.
case $(lcov --version) in
*"version 1."*) branches=lcov_branch_coverage=1 ;;
*) branches=branch_coverage=1 ;;
esac
skip='lcov_excl_br_line=LCOV_EXCL_BR_LINE|DW_ASSERT|dw_contract\(|assert\('
case $gcov in
*' '*) # lcov wants one program, not a command with arguments.
    printf '#!/bin/sh\nexec %s "$@"\n' "$gcov" >"$out/gcov"
    chmod +x "$out/gcov"
    gcov=$out/gcov
    ;;
esac

lcov --quiet --zerocounters --directory "$build"
tests=0
(cd "$build" && ctest --output-on-failure -j "$(getconf _NPROCESSORS_ONLN)") || tests=1

# capture FILE [OPTION]: --initial gives every line a count of 0, so that what no test links shows too.
capture() {
    lcov --quiet --capture ${2:+"$2"} --directory "$build" --base-directory "$source" \
        --gcov-tool "$gcov" --rc "$branches" --rc "$skip" --output-file "$1" 2>>"$out/lcov.log" ||
        { cat "$out/lcov.log" >&2; exit 1; }
}
capture "$out/none.info" --initial
capture "$out/run.info"
lcov --quiet --add-tracefile "$out/none.info" --add-tracefile "$out/run.info" --rc "$branches" \
    --output-file "$out/all.info"

# Keep the parts' own files: pattern after pattern, one for each part.
patterns=$(for part; do echo "$part" | awk -F'|' '{ print $2 "/*" }'; done)
set -f
IFS='
'
# shellcheck disable=SC2086 # split at newlines, not globbed
lcov --quiet --extract "$out/all.info" $patterns --rc "$branches" --output-file "$out/parts.info"
unset IFS
set +f
genhtml --quiet --ignore-errors source --branch-coverage --prefix "$source" --output-directory "$out/html" "$out/parts.info"

for part; do echo "part|$part"; done >"$out/parts.txt"
awk -F'|' '
    FILENAME == ARGV[1] { n++; name[n] = $2; dir[n] = $3 "/"; floor_l[n] = $4; floor_b[n] = $5; next }
    /^SF:/ {
        file = substr($0, 4); p = 0; longest = 0
        for (i = 1; i <= n; i++)
            if (index(file, dir[i]) == 1 && length(dir[i]) > longest) { p = i; longest = length(dir[i]) }
    }
    /^LF:/ { lf[p] += substr($0, 4) }
    /^LH:/ { lh[p] += substr($0, 4) }
    /^BRF:/ { bf[p] += substr($0, 5) }
    /^BRH:/ { bh[p] += substr($0, 5) }
    function percent(hit, found) { return found ? int(1000 * hit / found) / 10 : 0 }
    END {
        printf "%-16s %16s %22s\n", "part", "lines", "branches"
        for (i = 1; i <= n; i++) {
            l = percent(lh[i], lf[i]); b = percent(bh[i], bf[i])
            low = (l < floor_l[i] || b < floor_b[i])
            printf "%-16s %5d/%-5d %5.1f%% %9d/%-5d %5.1f%%%s\n", name[i], lh[i], lf[i], l, bh[i], bf[i], b, \
                low ? sprintf("   below the floor of %d%% and %d%%", floor_l[i], floor_b[i]) : ""
            bad += low
        }
        exit bad > 0
    }' "$out/parts.txt" "$out/parts.info" || tests=1
echo "report: $out/html/index.html"
exit $tests
