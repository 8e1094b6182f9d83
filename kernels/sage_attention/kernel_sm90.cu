// sage_attention on Hopper, blocks of 64 queries and 128 keys. Grid: as many blocks as fit the card.
// `list` is [heads, query blocks, count], ascending: only the last block listed may reach past the last key.
#include "sage_hopper.cuh"

extern "C" __global__ void __launch_bounds__(256, 2)
    sage_attention_hopper(const unsigned char* q, const unsigned char* k, const unsigned char* v, const float* q_scale,
                          const float* k_scale, const float* v_scale, bf16* out, const int* list, int tokens, int heads,
                          int count, float scale) {
    HopperSage{}.run({q, k, v, q_scale, k_scale, v_scale}, out, list, {tokens, heads, count, scale * 1.4426950408889634f});
}
