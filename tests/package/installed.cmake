include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

run(${CMAKE_COMMAND} --build ${BUILD} --target help)
set(targets ashlar)
if(output MATCHES "ashlar_cli")
  list(APPEND targets ashlar_cli)
endif()
run(${CMAKE_COMMAND} --build ${BUILD} --target ${targets})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
# An install tree may be moved: nothing in it may name the place it was made in.
file(RENAME ${WORK}/first ${WORK}/prefix)
build_and_run_stranger(-D CMAKE_PREFIX_PATH=${WORK}/prefix)

if("ashlar_cli" IN_LIST targets)
  run(${WORK}/prefix/bin/ashlar --help)
endif()
file(REMOVE_RECURSE ${WORK})
