// What attention on Hopper keeps in shared memory: a tile of queries, a ring of tiles of keys and one of values, and the
// barriers that say whether each is filled or read.
#pragma once
#include "convert.cuh"
#include "hopper.cuh"

// READERS arrive when a tile of queries or keys is read, VALUE_READERS when one of values is.
template <int QUERY_BYTES, int TILE_BYTES, int STAGES, int READERS, int VALUE_READERS = READERS> struct AttentionStages {
    using Place = RingPlace<STAGES>;
    static constexpr int BARRIERS = 2 + 4 * STAGES;

    uint32_t base;
    __device__ __forceinline__ uint32_t q_tile() const { return base; }
    __device__ __forceinline__ uint32_t k_tile(int stage) const { return base + QUERY_BYTES + stage * TILE_BYTES; }
    __device__ __forceinline__ uint32_t v_tile(int stage) const { return k_tile(STAGES + stage); }
    __device__ __forceinline__ uint32_t barrier(int i) const { return k_tile(2 * STAGES) + 8 * i; }
    __device__ __forceinline__ uint32_t q_full() const { return barrier(0); }
    __device__ __forceinline__ uint32_t q_empty() const { return barrier(1); }
    __device__ __forceinline__ uint32_t k_full(int stage) const { return barrier(2 + stage); }
    __device__ __forceinline__ uint32_t k_empty(int stage) const { return barrier(2 + STAGES + stage); }
    __device__ __forceinline__ uint32_t v_full(int stage) const { return barrier(2 + 2 * STAGES + stage); }
    __device__ __forceinline__ uint32_t v_empty(int stage) const { return barrier(2 + 3 * STAGES + stage); }

    // Finds the memory and makes its barriers; the whole block calls it.
    __device__ __forceinline__ void open() {
        extern __shared__ unsigned char shared[];
        base = (shared_address(shared) + 1023) & ~1023u;
        if (threadIdx.x == 0) {
            barrier_init(q_full(), 1);
            barrier_init(q_empty(), READERS);
            for (int stage = 0; stage < STAGES; ++stage) {
                barrier_init(k_full(stage), 1);
                barrier_init(v_full(stage), 1);
                barrier_init(k_empty(stage), READERS);
                barrier_init(v_empty(stage), VALUE_READERS);
            }
            barrier_publish();
        }
        __syncthreads();
    }
};
