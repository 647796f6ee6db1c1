# SPDX-License-Identifier: MIT
# drywire_add_coverage(TARGET [DIRECTORY dir] [LINES percent] [BRANCHES percent])
#
# Counts which lines and branches of TARGET's sources the tests run, with gcov and lcov. It does
# nothing unless the variable DRYWIRE_COVERAGE is on. Then it instruments TARGET, and the build
# target `coverage` runs CTest, writes an HTML report to coverage/html in the build tree, prints a
# summary with one line for each TARGET, and fails when one is below its floor. What is reported
# are the files below DIRECTORY; default: the directory that defines TARGET. Branches inside
# assertions are left out: a test cannot reach their other side.
#
# Installed with Drywire, so that a user's protocol is measured the same way:
#
#     find_package(drywire REQUIRED COMPONENTS sim)
#     drywire_add_coverage(my_protocol LINES 90)

set(DRYWIRE_COVERAGE_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/drywire-coverage.sh)

function(drywire_add_coverage target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DIRECTORY;LINES;BRANCHES" "")
  if(NOT DRYWIRE_COVERAGE OR NOT TARGET ${target})
    return()
  endif()
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    message(FATAL_ERROR "drywire_add_coverage: ${target} has no sources of its own")
  endif()
  if(NOT arg_DIRECTORY)
    get_target_property(arg_DIRECTORY ${target} SOURCE_DIR)
  endif()
  foreach(floor LINES BRANCHES)
    if(NOT arg_${floor})
      set(arg_${floor} 0)
    endif()
  endforeach()
  target_compile_options(${target} PRIVATE --coverage -O0 -g -fprofile-update=atomic)
  # The runner's worker processes end by _exit and write their counts themselves, with __gcov_dump:
  # which must be taken out of libgcov's archive for them.
  target_link_options(${target} PUBLIC --coverage LINKER:-u,__gcov_dump)

  if(NOT TARGET coverage)
    find_program(DRYWIRE_LCOV lcov REQUIRED)
    find_program(DRYWIRE_GENHTML genhtml REQUIRED)
    set(gcov gcov)
    if(CMAKE_C_COMPILER_ID MATCHES "Clang")
      set(gcov "llvm-cov gcov")
    endif()
    add_custom_target(coverage
      COMMAND sh ${DRYWIRE_COVERAGE_SCRIPT} ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR} ${gcov}
              "$<TARGET_PROPERTY:coverage,DRYWIRE_PARTS>"
      COMMAND_EXPAND_LISTS VERBATIM USES_TERMINAL
      COMMENT "Running the tests and counting coverage")
  endif()
  string(REGEX REPLACE "^drywire_" "" name ${target})
  set_property(TARGET coverage APPEND PROPERTY
    DRYWIRE_PARTS "${name}|${arg_DIRECTORY}|${arg_LINES}|${arg_BRANCHES}")
endfunction()
