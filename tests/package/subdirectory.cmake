include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

# Flags as they are in the build under test, and no word of the folder, so that ccache knows the
# objects.
set(ENV{CCACHE_NOHASHDIR} 1)
build_and_run_stranger(-D ASHLAR_FOLDER=${SOURCE} -D ASHLAR_WERROR=${WERROR})
file(REMOVE_RECURSE ${WORK})
