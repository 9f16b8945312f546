include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

# Warnings as they are in the build under test, so that ccache knows the objects.
build_and_run_stranger(-D ASHLAR_FOLDER=${SOURCE} -D ASHLAR_WERROR=${WERROR})
file(REMOVE_RECURSE ${WORK})
