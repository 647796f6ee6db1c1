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

# Planted bugs: bug, most deviations after shrinking, where and how it is searched for.
foreach(planted
    "retry 3 counter several_clients kill_and_restart --seeds 500"
    "split 1 pipelines several_clients --sweep cut")
  separate_arguments(planted UNIX_COMMAND "${planted}")
  list(POP_FRONT planted bug deviations)
  if(TARGET kv_scenarios_bug_${bug})
    drywire_add_script(planted.${bug} 240 planted/planted.sh
      $<TARGET_FILE:kv_scenarios_bug_${bug}> $<TARGET_FILE:kv_scenarios> ${deviations}
      ${CMAKE_CURRENT_BINARY_DIR}/planted-${bug} ${planted})
  endif()
endforeach()

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
