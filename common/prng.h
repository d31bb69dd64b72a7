/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo-random numbers from a seed (splitmix64): passed in, never global, the same on every machine. */
#ifndef COMMON_PRNG_H
#define COMMON_PRNG_H

#include "common/base.h"

struct prng {
    uint64_t state;
};

static inline void prng_init(struct prng *prng, uint64_t seed)
{
    prng->state = seed;
}

static inline uint64_t prng_next(struct prng *prng)
{
    uint64_t z = (prng->state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* A number in [0, bound); bound > 0. */
static inline uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)prng_next(prng) * bound) >> 64);
}

/* A number in [low, high], both included. */
static inline int64_t prng_between(struct prng *prng, int64_t low, int64_t high)
{
    return low + (int64_t)prng_below(prng, (uint64_t)(high - low) + 1);
}

/* True once in `n` times. */
static inline bool prng_one_in(struct prng *prng, uint64_t n)
{
    return prng_below(prng, n) == 0;
}

/* Fills `bytes` from the kernel's generator: for seeds, ids and nonces of a real process. Not for
 * simulations. */
void random_bytes(void *bytes, size_t length);
uint64_t random_u64(void);

#endif
