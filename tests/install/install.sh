#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs a build tree to a prefix of its own and builds a small outside project against it, once
# with CMake's find_package and once with pkg-config and plain cc, and runs what comes out. Also
# each installed header by itself, in C and in C++:
#     install.sh SOURCE BUILD WORK
set -eu
source=$1 build=$2 work=$3
project=$source/tests/install/project
prefix=$work/prefix
rm -rf "$work"
mkdir -p "$work/plain"

# Ninja is what ./dev has; a bare machine has no make.
CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}
export CMAKE_GENERATOR

fail() { echo "install: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$prefix" >"$work/install.log" || fail "cmake --install"
pc=$(dirname "$(find "$prefix" -name drywire.pc)")
[ -e "$pc/drywire.pc" ] || fail "no drywire.pc was installed"
LD_LIBRARY_PATH=$(dirname "$pc")
export LD_LIBRARY_PATH

run_all() {
    "$1/live" || fail "$1/live"
    "$1/scenario" --seeds 20 --jobs 1 >"$1/scenario.log" 2>&1 || { cat "$1/scenario.log"; fail "$1/scenario"; }
    "$1/unit" || fail "$1/unit"
}

# The tree must work wherever it is put: move it before it is used.
mv "$prefix" "$work/moved"
prefix=$work/moved
pc=$(dirname "$(find "$prefix" -name drywire.pc)")
LD_LIBRARY_PATH=$(dirname "$pc")

cmake -S "$project" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" >"$work/configure.log" 2>&1 ||
    { cat "$work/configure.log"; fail "find_package"; }
cmake --build "$work/cmake" >"$work/build.log" 2>&1 || { cat "$work/build.log"; fail "the CMake build"; }
run_all "$work/cmake"

# A wrong version must be refused.
sed 's/find_package(drywire 0.1/find_package(drywire 9.9/' "$project/CMakeLists.txt" >"$work/CMakeLists.txt"
if cmake -S "$work" -B "$work/wrong" -DCMAKE_PREFIX_PATH="$prefix" >"$work/wrong.log" 2>&1; then
    fail "version 9.9 was found"
fi
grep -q 'version' "$work/wrong.log" || fail "version 9.9 was refused for another reason"

PKG_CONFIG_PATH=$pc
export PKG_CONFIG_PATH
# plain NAME PACKAGE
plain() {
    # shellcheck disable=SC2046 # words
    cc -std=c11 -o "$work/plain/$1" "$project/$1.c" "$project/hello.c" \
        $(pkg-config --cflags --libs "$2") || fail "cc with pkg-config $2"
}
plain live drywire
plain scenario drywire-sim
plain unit drywire-check
run_all "$work/plain"

# Each header stands by itself and may come twice, in C11 and, where there is a compiler, in C++.
# check_headers LANGUAGE COMPILER...
check_headers() {
    language=$1
    shift
    for header in "$prefix"/include/drywire/*.h; do
        name=drywire/${header##*/}
        # shellcheck disable=SC2046 # words
        printf '#include <%s>\n#include <%s>\n' "$name" "$name" |
            "$@" -x "$language" -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror - \
                $(pkg-config --cflags drywire drywire-check drywire-fuzz) ||
            fail "$name does not stand by itself in $language"
    done
}
check_headers c cc -std=c11
if command -v c++ >/dev/null; then
    check_headers c++ c++ -std=c++11
    # shellcheck disable=SC2046 # words
    c++ -std=c++20 -o "$work/plain/cxx" "$project/cxx.cc" \
        $(pkg-config --cflags --libs drywire-sim) || fail "c++ with pkg-config drywire-sim"
    "$work/plain/cxx" --jobs 1 >"$work/plain/cxx.log" 2>&1 ||
        { cat "$work/plain/cxx.log"; fail "the scenario in C++"; }
else
    echo "left out: no C++ compiler here"
fi

# The example in README.md, as a reader would copy it.
sed -n '/^```c$/,/^```$/{/^```/d;p;}' "$source/README.md" >"$work/plain/readme.c"
# shellcheck disable=SC2046 # words
cc -std=c11 -o "$work/plain/readme" "$work/plain/readme.c" \
    $(pkg-config --cflags --libs drywire-sim) || fail "README's example does not build"
"$work/plain/readme" --seeds 200 --out "$work/plain" >"$work/plain/readme.log" 2>&1 ||
    { cat "$work/plain/readme.log"; fail "README's example fails"; }

[ "$(pkg-config --modversion drywire)" = "$(sed -n 's/^project(drywire VERSION \([0-9.]*\).*/\1/p' \
    "$source/CMakeLists.txt")" ] || fail "drywire.pc names another version"
echo "install: live, scenario and unit run, built with CMake and with pkg-config"
