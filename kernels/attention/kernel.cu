// attention: out = softmax(q·kᵀ·scale)·v per head; tokens are rows of `heads` heads side by side.
//
// Grid: (query blocks, heads). Queries and outputs pass through memory once; every query block reads keys and values
// again, from the L2 cache.
#include "flash.cuh"
#include "reduce.cuh"

#define ATTENTION_PARAMETERS                                                                                         \
    const bf16 *q, const bf16 *k, const bf16 *v, bf16 *out, int queries, int keys, int width, int head_length, float scale
#define ATTENTION_ARGUMENTS q, k, v, out, queries, keys, width, head_length, scale

template <int D, int WARPS> __device__ __forceinline__ void attention(ATTENTION_PARAMETERS) {
    const int offset = blockIdx.y * D;
    const FlashShape shape{queries, keys, width, width, width, width, scale * LOG2E};
    flash<D, WARPS>(q + offset, k + offset, v + offset, out + offset, shape, AllKeys{keys}, NoBias{},
                    blockIdx.x * 16 * WARPS);
}

extern "C" __global__ void __launch_bounds__(256, 1) attention_128(ATTENTION_PARAMETERS) {
    attention<128, 8>(ATTENTION_ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(128) attention_64(ATTENTION_PARAMETERS) {
    attention<64, 4>(ATTENTION_ARGUMENTS);
}

// Any head length up to 256; grid: (queries / 4, heads), a warp a query.
extern "C" __global__ void __launch_bounds__(128) attention_any(ATTENTION_PARAMETERS) {
    const int offset = blockIdx.y * head_length, query = blockIdx.x * 4 + (threadIdx.x >> 5);
    if (query >= queries) return;
    const FlashShape shape{queries, keys, width, width, width, width, scale * LOG2E};
    auto in_order = [](int n) { return n; };
    plain_attention(q + offset, k + offset, v + offset, out + offset, shape, head_length, keys, in_order, NoBias{},
                    query);
}

// softmax over the first `columns` of rows of `row_length` float32, in place; one block a row.
extern "C" __global__ void __launch_bounds__(256) attention_softmax_f32(float* scores, int columns, int row_length) {
    __shared__ float scratch[32];
    float* row = scores + (long long)blockIdx.x * row_length;
    float top = -INFINITY;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) top = fmaxf(top, row[i]);
    top = block_max(top, scratch);
    float sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += row[i] = expf(row[i] - top);
    const float factor = 1.0f / block_sum(sum, scratch);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) row[i] *= factor;
}
