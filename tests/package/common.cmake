cmake_minimum_required(VERSION 3.25)

# What both package tests do: run a command or say why not, configure, build and run a stranger.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

function(build_and_run_stranger)
  # Built from a copy, so that nothing is found by lying next to our sources.
  file(COPY ${STRANGER}/ DESTINATION ${WORK}/source)
  run(${CMAKE_COMMAND} -S ${WORK}/source -B ${WORK}/build -G ${GENERATOR}
      -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
      -D CMAKE_BUILD_TYPE=${BUILD_TYPE} -D CMAKE_C_FLAGS_DEBUG=${FLAGS_DEBUG}
      -D CMAKE_CXX_FLAGS_DEBUG=${FLAGS_DEBUG} ${ARGV})
  run(${CMAKE_COMMAND} --build ${WORK}/build)
  run(${WORK}/build/stranger)
  if(NOT output MATCHES "the sum is 12\n")
    message(FATAL_ERROR "the stranger printed: ${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
