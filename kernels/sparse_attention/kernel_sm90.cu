// sparse_attention on Hopper, heads of 128 channels, blocks of 64 or 128 keys. Grid: as many blocks as fit the card.
// `list` is [heads, query blocks, count], ascending: only the last block listed may reach past the last key.
#include "flash_hopper.cuh"

#define SPARSE_PARAMETERS                                                                                            \
    const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,                                     \
        const __grid_constant__ CUtensorMap v, bf16 *out, const int *list, int count, int key_block, int tokens,      \
        int heads, float scale
#define SPARSE_SHAPE {tokens, tokens, heads, 128 * heads, count, key_block, scale * 1.4426950408889634f}

// Blocks of 128 queries: two warpgroups share the keys.
extern "C" __global__ void __launch_bounds__(384, 1) sparse_attention_hopper_128(SPARSE_PARAMETERS) {
    HopperFlash<2, 3, 2, true>{}.run(&q, &k, &v, out, list, SPARSE_SHAPE);
}

// Blocks of 64 queries, each with keys of its own: two thread blocks a multiprocessor.
extern "C" __global__ void __launch_bounds__(256, 2) sparse_attention_hopper_64(SPARSE_PARAMETERS) {
    HopperFlash<1, 1, 2, false>{}.run(&q, &k, &v, out, list, SPARSE_SHAPE);
}
