# The library that programs link, ashlar::ashlar: the objects of all modules in one archive, with
# nothing of what they were built from in its interface but the public headers.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Not in the library: engines under virtual time are for tests and programs, apps are programs.
set(left_out simulate apps)

# What modules link, and the package a consumer of the static library must find for it.
# Header-only packages (marked "-") are needed for building Ashlar alone.
set(package_of_Threads::Threads Threads)
set(package_of_CapnProto::capnp CapnProto)
set(package_of_CapnProto::kj CapnProto)
set(package_of_spdlog::spdlog spdlog)
set(package_of_OpenSSL::SSL OpenSSL)
set(package_of_OpenSSL::Crypto OpenSSL)
foreach(headers IN ITEMS Boost::headers Boost::boost Eigen3::Eigen nlohmann_json::nlohmann_json
                         cereal::cereal CLI11::CLI11)
  set(package_of_${headers} -)
endforeach()

set(objects "")
set(link Threads::Threads)
set(packages Threads)
foreach(module IN LISTS ASHLAR_MODULES)
  if(module IN_LIST left_out)
    continue()
  endif()
  get_target_property(type ashlar_${module} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND objects $<TARGET_OBJECTS:ashlar_${module}>)
  endif()
  get_target_property(libraries ashlar_${module} INTERFACE_LINK_LIBRARIES)
  foreach(library IN LISTS libraries)
    if(library MATCHES "^ashlar_" OR NOT library)
      continue()
    elseif(library MATCHES "^(BLAS::BLAS|LAPACK::LAPACK)$")
      # By path, so that a program gets the BLAS that Ashlar was built and measured with.
      string(REGEX REPLACE "::.*" "" kind ${library})
      list(APPEND link ${${kind}_LIBRARIES} ${${kind}_LINKER_FLAGS})
    elseif(DEFINED package_of_${library})
      if(NOT package_of_${library} STREQUAL "-")
        list(APPEND link ${library})
        list(APPEND packages ${package_of_${library}})
      endif()
    elseif(library MATCHES "::")
      message(FATAL_ERROR "module ${module} links ${library}: say in cmake/AshlarPackage.cmake "
                          "which package a consumer finds it in")
    else()
      list(APPEND link ${library})
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES link)
list(REMOVE_DUPLICATES packages)

add_library(ashlar ${objects})
add_library(ashlar::ashlar ALIAS ashlar)
set_target_properties(ashlar PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
                                        SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_compile_features(ashlar PUBLIC cxx_std_20)
target_include_directories(ashlar PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                         $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(ashlar PRIVATE ${link})
if(ASHLAR_SANITIZE)
  target_link_options(ashlar PUBLIC -fsanitize=${ASHLAR_SANITIZE})
endif()

if(NOT ASHLAR_INSTALL)
  return()
endif()

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/ashlar)
set(ASHLAR_FIND_DEPENDENCIES "")
foreach(package IN LISTS packages)
  string(APPEND ASHLAR_FIND_DEPENDENCIES "find_dependency(${package})\n")
endforeach()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ashlarConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/ashlarConfig.cmake
                              INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ashlarConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ashlarConfig.cmake
              ${PROJECT_BINARY_DIR}/ashlarConfigVersion.cmake DESTINATION ${config_folder})
install(TARGETS ashlar EXPORT ashlar)
install(TARGETS ashlar_cli)
install(EXPORT ashlar NAMESPACE ashlar:: FILE ashlarTargets.cmake DESTINATION ${config_folder})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ashlar DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ashlar)
