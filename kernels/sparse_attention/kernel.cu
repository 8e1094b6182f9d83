// sparse_attention: out = softmax(q·kᵀ·scale over the listed key blocks)·v, per head and block of queries.
//
// Grid: (query blocks, heads). `list` is [heads, query blocks, count]: the key blocks to visit.
#include "flash.cuh"

#define SPARSE_PARAMETERS                                                                                            \
    const bf16 *q, const bf16 *k, const bf16 *v, bf16 *out, const int *list, int count, int query_block,             \
        int key_block, int queries, int keys, int width, int head_length, float scale
#define SPARSE_ARGUMENTS                                                                                             \
    q, k, v, out, list, count, query_block, key_block, queries, keys, width, head_length, scale

template <int D, int WARPS> __device__ __forceinline__ void sparse_attention(SPARSE_PARAMETERS) {
    const int offset = blockIdx.y * D;
    const FlashShape shape{queries, keys, width, width, width, width, scale * LOG2E};
    const long long row = (long long)blockIdx.y * gridDim.x + blockIdx.x;
    flash<D, WARPS>(q + offset, k + offset, v + offset, out + offset, shape,
                    ListedKeys{list + row * count, count, key_block}, NoBias{}, blockIdx.x * 16 * WARPS);
}

extern "C" __global__ void __launch_bounds__(256, 1) sparse_attention_128x128(SPARSE_PARAMETERS) {
    sparse_attention<128, 8>(SPARSE_ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128) sparse_attention_128x64(SPARSE_PARAMETERS) {
    sparse_attention<128, 4>(SPARSE_ARGUMENTS);
}

// Any head length up to 256 and any block sizes; grid: (queries / 4, heads), a warp a query.
extern "C" __global__ void __launch_bounds__(128) sparse_attention_any(SPARSE_PARAMETERS) {
    const int offset = blockIdx.y * head_length, query = blockIdx.x * 4 + (threadIdx.x >> 5);
    if (query >= queries) return;
    const FlashShape shape{queries, keys, width, width, width, width, scale * LOG2E};
    const int blocks = (queries + query_block - 1) / query_block;
    list += ((long long)blockIdx.y * blocks + query / query_block) * count;
    auto listed = [&](int n) { return list[n / key_block] * key_block + n % key_block; };
    plain_attention(q + offset, k + offset, v + offset, out + offset, shape, head_length, count * key_block, listed,
                    NoBias{}, query);
}
