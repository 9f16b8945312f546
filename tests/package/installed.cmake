include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

run(${CMAKE_COMMAND} --build ${BUILD} --target ashlar ashlar_cli)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
# An install tree may be moved: nothing in it may name the place it was made in.
file(RENAME ${WORK}/first ${WORK}/prefix)
set(flags "")
if(SANITIZE)
  set(flags -D CMAKE_CXX_FLAGS=-fsanitize=${SANITIZE})
endif()
build_and_run_stranger(-D CMAKE_PREFIX_PATH=${WORK}/prefix ${flags})
run(${WORK}/prefix/bin/ashlar --help)
file(REMOVE_RECURSE ${WORK})
