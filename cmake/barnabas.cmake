# SPDX-License-Identifier: Apache-2.0
#
# Compiler settings and the three verbs that the rooms' CMakeLists.txt files use:
#
#   barnabas_library(<name> SOURCES a.c b.c USES <libraries>)   a static library, one room
#   barnabas_program(<name> SOURCES main.c USES <libraries>)    an executable in <build>/bin
#   barnabas_test(<name> SOURCES x_test.c USES <libraries>)     a cmocka test, known to ctest

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Python3 COMPONENTS Interpreter REQUIRED)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent_core)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)
# Without cmocka there are no tests to build; tests/run says so.
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
find_library(SNAPPY_LIBRARY snappy REQUIRED)
find_library(ZOOKEEPER_LIBRARY zookeeper_st REQUIRED)

option(BARNABAS_WERROR "Treat warnings as errors" ON)
option(BARNABAS_MUTANTS "Let the environment's BARNABAS_MUTANT switch a rule off; for tests/faults/mutants alone" OFF)
set(BARNABAS_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wpointer-arith -Wwrite-strings -Wvla -Wundef -fno-strict-aliasing -fno-omit-frame-pointer)
if(BARNABAS_WERROR)
    add_compile_options(-Werror)
endif()
if(BARNABAS_SANITIZE)
    add_compile_options(-fsanitize=${BARNABAS_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${BARNABAS_SANITIZE})
    add_compile_definitions(BARNABAS_SANITIZED=1)
endif()
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)

function(barnabas_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC ${ARG_USES})
endfunction()

function(barnabas_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE ${ARG_USES})
endfunction()

function(barnabas_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${name} PRIVATE ${ARG_USES} PkgConfig::CMOCKA)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()
