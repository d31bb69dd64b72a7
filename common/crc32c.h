/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as record batches and producer snapshots carry it; the SSE4.2 instruction where the
 * machine has it. */
#ifndef COMMON_CRC32C_H
#define COMMON_CRC32C_H

#include "common/base.h"

/* The checksum of `data`, or, with the checksum of what came before as `seed`, of both. First seed: 0. */
uint32_t crc32c(uint32_t seed, const void *data, size_t length);
/* The same by table, on any machine (the tests compare both). */
uint32_t crc32c_portable(uint32_t seed, const void *data, size_t length);

#endif
