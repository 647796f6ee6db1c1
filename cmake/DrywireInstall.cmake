# SPDX-License-Identifier: MIT
# What an installed Drywire consists of besides libraries and headers: the CMake package with its
# version file, and one pkg-config file for each way to use it. Components: core real sim check fuzz.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/drywire)
install(EXPORT drywire-targets NAMESPACE drywire:: DESTINATION ${package_dir})
if(TARGET drywire_check)
  # Apart, for it names libcheck, which who only wants the library need not have.
  install(EXPORT drywire-check-targets NAMESPACE drywire:: DESTINATION ${package_dir})
endif()
configure_package_config_file(cmake/drywire-config.cmake.in drywire-config.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(drywire-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/drywire-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/drywire-config-version.cmake
  cmake/DrywireCoverage.cmake
  DESTINATION ${package_dir})
install(PROGRAMS cmake/drywire-coverage.sh DESTINATION ${package_dir})

# drywire.pc is what a program that ships needs; the others are for its tests. They say where they
# are by their own place, so an installed tree can be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
  set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
  file(RELATIVE_PATH pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  set(pc_prefix "\${pcfiledir}/${pc_up}")
  string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
function(drywire_install_pc name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DESCRIPTION;REQUIRES;LIBS;LIBS_PRIVATE" "")
  configure_file(cmake/drywire.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# The archives of a static build carry no list of what they need: then it stands in Libs.
get_property(needed GLOBAL PROPERTY DRYWIRE_REAL_LIBRARIES)
list(TRANSFORM needed PREPEND "-l")
list(JOIN needed " " needed)
string(STRIP "${needed} -pthread" needed)
if(BUILD_SHARED_LIBS)
  set(needed_public "")
  set(needed_private "${needed}")
else()
  set(needed_public " ${needed}")
  set(needed_private "")
endif()
drywire_install_pc(drywire DESCRIPTION "Network protocols, and the live wire to run them on"
  LIBS "-ldrywire_real -ldrywire_core${needed_public}" LIBS_PRIVATE "${needed_private}")
drywire_install_pc(drywire-sim DESCRIPTION "The simulated wire for Drywire protocols"
  LIBS "-ldrywire_sim -ldrywire_core")
drywire_install_pc(drywire-check DESCRIPTION "Drywire scenarios inside libcheck"
  REQUIRES "drywire-sim check")
drywire_install_pc(drywire-fuzz DESCRIPTION "Fuzz targets for Drywire protocols"
  REQUIRES "drywire-sim" LIBS "-ldrywire_fuzz")
