# SPDX-License-Identifier: MIT
# The tests that are no Check executables. Included by tests/CMakeLists.txt.

# drywire_add_script(NAME SECONDS script arguments...): a POSIX sh test; exit status 77 skips it.
function(drywire_add_script name seconds script)
  add_test(NAME ${name} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${seconds} SKIP_RETURN_CODE 77)
endfunction()

if(TARGET kv_server AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/kv/live.sh)
  drywire_add_script(kv.live 120 kv/live.sh $<TARGET_FILE:kv_server>)
endif()

# The same replies as a real redis-server gives; skipped where there is none.
if(TARGET kv_server AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/kv/compare_with_redis.c)
  add_executable(compare_with_redis kv/compare_with_redis.c)
  drywire_target_settings(compare_with_redis)
  drywire_add_script(kv.compare_with_redis 120 kv/compare_with_redis.sh
    $<TARGET_FILE:kv_server> $<TARGET_FILE:compare_with_redis>)
endif()

# tests/runs/PROGRAM/*.run: each bug fixed left one; played with the fixed program for ever.
file(GLOB runs CONFIGURE_DEPENDS runs/*/*.run)
foreach(run IN LISTS runs)
  get_filename_component(directory ${run} DIRECTORY)
  get_filename_component(program ${directory} NAME)
  get_filename_component(name ${run} NAME_WE)
  if(TARGET ${program})
    add_test(NAME runs.${program}.${name} COMMAND ${program} --replay ${run})
    set_tests_properties(runs.${program}.${name} PROPERTIES TIMEOUT 60)
  endif()
endforeach()

# The scenarios of the examples: seeds, and sweeps over every reset, cut and failing allocation.
# The slow reader's megabytes have 400,000 places to cut, which take a minute: not here.
set(kv_scenarios_cut counter several_clients pipelines kill_and_restart crash_and_restart expiry)
foreach(program kv_scenarios echo_scenario)
  if(TARGET ${program})
    foreach(search "seeds 300" "sweep reset" "sweep cut" "sweep alloc")
      separate_arguments(search UNIX_COMMAND "${search}")
      list(JOIN search "." name)
      set(names "")
      if(search STREQUAL "sweep;cut")
        set(names ${${program}_cut})
      endif()
      add_test(NAME ${program}.${name} COMMAND ${program} ${names} --${search} --jobs 1 --quiet
               WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
      set_tests_properties(${program}.${name} PROPERTIES TIMEOUT 240)
    endforeach()
  endif()
endforeach()

if(TARGET netcat)
  drywire_add_script(examples.netcat 60 examples/netcat.sh $<TARGET_FILE:netcat>)
endif()

# Connections by the hundred, at random, on each poller; ./dev soak has ten thousand.
if(TARGET soak)
  foreach(poller poll epoll uring)
    add_test(NAME soak.${poller} COMMAND soak 2 500 ${poller})
    set_tests_properties(soak.${poller} PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77)
  endforeach()
endif()

# Worlds whose runs can be counted by hand.
if(TARGET drywire_sim)
  add_executable(orders exhaustive/orders.c)
  drywire_target_settings(orders)
  target_link_libraries(orders PRIVATE drywire::sim)
  drywire_add_script(exhaustive 60 exhaustive/exhaustive.sh $<TARGET_FILE:orders>
    ${CMAKE_CURRENT_BINARY_DIR}/exhaustive)
endif()

# Planted bugs: bug, most deviations after shrinking, where and how it is searched for. Whatever the
# source, few are left.
foreach(planted
    "retry 3 counter several_clients kill_and_restart --seeds 500"
    "retry 3 counter several_clients --sweep reset,close,latency"
    "retry 3 counter --weather flaky-wifi --seeds 500"
    "split 1 pipelines several_clients --sweep cut"
    "split 3 counter --seeds 2000")
  separate_arguments(planted UNIX_COMMAND "${planted}")
  list(POP_FRONT planted bug deviations)
  if(planted MATCHES "weather")
    set(source weather)
  elseif(planted MATCHES "sweep")
    set(source sweep)
  else()
    set(source seeds)
  endif()
  if(TARGET kv_scenarios_bug_${bug})
    drywire_add_script(planted.${bug}.${source} 240 planted/planted.sh
      $<TARGET_FILE:kv_scenarios_bug_${bug}> $<TARGET_FILE:kv_scenarios> ${deviations}
      ${CMAKE_CURRENT_BINARY_DIR}/planted-${bug}-${source} ${planted})
  endif()
endforeach()

# Failures that need a few deviations of ten thousand.
if(TARGET drywire_sim)
  add_executable(storms planted/storms.c)
  drywire_target_settings(storms)
  target_link_libraries(storms PRIVATE drywire::sim)
  drywire_add_script(planted.storms 120 planted/storms.sh $<TARGET_FILE:storms>
    ${CMAKE_CURRENT_BINARY_DIR}/planted-storms)
endif()

# A bug for each oracle and promise: with it, with it and the oracle switched off, without it. The
# receiver whose bug is looked for is core's own, with one line changed.
# drywire_add_planted(PROGRAM [MUTANT]): tests/planted/PROGRAM.c in its three forms.
function(drywire_add_planted program)
  foreach(form planted off clean)
    set(target ${program}_${form})
    add_executable(${target} planted/${program}.c)
    drywire_target_settings(${target})
    target_link_libraries(${target} PRIVATE drywire::sim)
    set_target_properties(${target} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/planted)
    if(NOT form STREQUAL "clean")
      target_compile_definitions(${target} PRIVATE PLANTED)
      target_sources(${target} PRIVATE ${ARGN})
      target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/core/src)
    endif()
  endforeach()
  target_compile_definitions(${program}_off PRIVATE OFF)
endfunction()

if(TARGET drywire_sim)
  set(mutant ${CMAKE_CURRENT_BINARY_DIR}/planted/line_mutant.c)
  set(good "view + (from > before ? from : before)")
  file(READ ${PROJECT_SOURCE_DIR}/core/src/line.c text)
  string(FIND "${text}" "${good}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "planted: core/src/line.c has changed: where does its search begin?")
  endif()
  string(REPLACE "${good}" "view + from + before" text "${text}")
  file(CONFIGURE OUTPUT ${mutant} CONTENT "${text}" @ONLY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/core/src/line.c)
  drywire_add_planted(promises)
  drywire_add_planted(oracles ${mutant})

  # Program, scenario, oracle, and a word that it must say.
  foreach(case
      "oracles crash crash" "oracles hang hang" "oracles livelock livelock oracles.c"
      "oracles contract contract" "oracles dead_transport dead-transport"
      "oracles leak_memory leak 77" "oracles leak_call leak delayed"
      "oracles leak_attempt leak attempts" "oracles leak_child leak child"
      "oracles memory_unsent memory flood" "oracles memory_host memory oracles.c"
      "oracles segmentation segmentation" "oracles libc libc rand"
      "oracles determinism none" "oracles liveness always waits:"
      "promises segment_invariant segment-invariant" "promises window_invariant window-invariant"
      "promises pipeline_invariant pipeline-invariant"
      "promises replies_after_eof replies-after-eof" "promises framed framed"
      "promises fresh_reconnect fresh-reconnect"
      "promises duplicate_invariant duplicate-invariant" "promises memory_limit memory-limit"
      "promises deadline deadline" "promises attempts attempts"
      "promises well_formed well-formed")
    separate_arguments(case UNIX_COMMAND "${case}")
    list(POP_FRONT case program scenario oracle)
    drywire_add_script(planted.${scenario} 120 planted/oracle.sh
      ${CMAKE_CURRENT_BINARY_DIR}/planted ${program} ${scenario} ${oracle}
      ${CMAKE_CURRENT_BINARY_DIR}/planted-${scenario} ${case})
  endforeach()
endif()

# These two build everything again by themselves: once is enough.
if(NOT DRYWIRE_SANITIZE AND NOT DRYWIRE_COVERAGE)
  if(TARGET kv_scenarios)
    drywire_add_script(determinism 300 determinism/determinism.sh
      ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_BINARY_DIR}/determinism)
  endif()
  if(TARGET drywire_real AND TARGET drywire_sim)
    drywire_add_script(install 240 install/install.sh
      ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR}/install)
  endif()
endif()
