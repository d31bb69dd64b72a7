/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file fuzz_<decoder>.c with the function that libFuzzer calls. With clang and
 * -DBARNABAS_FUZZER=ON it is linked with libFuzzer; else with driver.c, which feeds it the corpus, mutations
 * of it and random bytes from a fixed seed, so that it is an ordinary test with any compiler.
 */
#ifndef TESTS_FUZZ_DRIVER_H
#define TESTS_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the bytes, which are exactly as long as their allocation. Returns 0; aborts on a broken rule. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
