# SPDX-License-Identifier: MIT
# How Drywire's own targets are compiled, in two functions: drywire_target_settings for any target,
# drywire_add_part for one part of the library. Not installed: users choose their own flags.

# Assertions stay on in release builds.
foreach(kind RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${kind} "${CMAKE_C_FLAGS_${kind}}")
endforeach()

# Findings name places in the source; they are the same wherever it was built.
add_compile_options(-ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/=)

# Optimised across files, for whoever links with gcc, and an ordinary library for everybody else.
if(CMAKE_INTERPROCEDURAL_OPTIMIZATION AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-ffat-lto-objects)
endif()

if(DRYWIRE_SANITIZE)
  list(JOIN DRYWIRE_SANITIZE "," sanitizers)
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${sanitizers})
endif()
if(DRYWIRE_FUZZ AND NOT DEFINED ENV{LIB_FUZZING_ENGINE})
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

function(drywire_target_settings target)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${DRYWIRE_WERROR}>:-Werror>
    # gcc's default for -fPIC, alone among compilers, keeps functions of one file from being inlined
    # because a program might replace them. Nobody replaces ours.
    $<$<C_COMPILER_ID:GNU>:-fno-semantic-interposition>)
endfunction()

# drywire_add_part(NAME [STATIC] [LINK library...] [EXCLUDE regex])
# The library drywire_NAME, alias drywire::NAME, of all of src/*.c with include/ for its users.
function(drywire_add_part part)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STATIC" "EXCLUDE" "LINK")
  file(GLOB sources CONFIGURE_DEPENDS src/*.c)
  if(arg_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${arg_EXCLUDE}")
  endif()
  if(NOT sources)
    message(STATUS "drywire: ${part} has no sources")
    return()
  endif()
  set(type "")
  if(arg_STATIC)
    set(type STATIC)
  endif()
  set(target drywire_${part})
  add_library(${target} ${type} ${sources})
  add_library(drywire::${part} ALIAS ${target})
  drywire_target_settings(${target})
  if(DRYWIRE_FUZZ AND part MATCHES "sim|fuzz")
    # The engine steers by the program's coverage, not by its own simulator's.
    target_compile_options(${target} PRIVATE
      -fno-sanitize-coverage=trace-pc-guard,inline-8bit-counters,pc-table,trace-cmp,indirect-calls)
  endif()
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    PRIVATE src)
  target_link_libraries(${target} PUBLIC ${arg_LINK})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${part}
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    POSITION_INDEPENDENT_CODE ON)
  install(TARGETS ${target} EXPORT drywire-targets
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          FILES_MATCHING PATTERN "*.h")
endfunction()

# drywire_add_program(NAME SOURCES source... LINK library... [DEFINE definition...])
# A program, put in the top of the build tree, where people look for it.
function(drywire_add_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK;DEFINE")
  add_executable(${name} ${arg_SOURCES})
  drywire_target_settings(${name})
  target_link_libraries(${name} PRIVATE ${arg_LINK})
  target_compile_definitions(${name} PRIVATE ${arg_DEFINE})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
