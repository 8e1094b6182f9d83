// sla_mask: which key blocks a block of queries attends to.
//
//   mean   over all tokens of each channel of k, in chunks that are added in a fixed order
//   pool   the mean of each block of tokens, of k less that mean, and of q
//   top    scores of one query block against all key blocks, rounded to bfloat16; the `count` highest, the lower index
//          first among equals, written in ascending order
//
// Rows hold all heads: `width` = heads · head_length channels. q and k are read once for pool, k once more for mean.
#include "convert.cuh"
#include "reduce.cuh"

// Grid (chunks, width / 256). partial: [chunks, width].
extern "C" __global__ void __launch_bounds__(256) sla_mask_mean_part(const bf16* x, float* partial, int tokens, int chunk,
                                                                     int width) {
    const int c = blockIdx.y * 256 + threadIdx.x;
    if (c >= width) return;
    const bf16* from = x + c;
    const int first = blockIdx.x * chunk, last = min(first + chunk, tokens);
    float sum = 0.0f;
    for (int token = first; token < last; ++token) sum += to_float(from[(long long)token * width]);
    partial[(long long)blockIdx.x * width + c] = sum;
}

// Grid (width / 256). mean: [width].
extern "C" __global__ void __launch_bounds__(256) sla_mask_mean(const float* partial, float* mean, int tokens, int chunks,
                                                                int width) {
    const int c = blockIdx.x * 256 + threadIdx.x;
    if (c >= width) return;
    float sum = 0.0f;
    for (int i = 0; i < chunks; ++i) sum += partial[(long long)i * width + c];
    mean[c] = rounded(sum / tokens);
}

// Grid (blocks, width / 256). pooled: [blocks, width]; `mean` may be null.
extern "C" __global__ void __launch_bounds__(256) sla_mask_pool(const bf16* x, const float* mean, float* pooled, int tokens,
                                                                int block, int width) {
    const int c = blockIdx.y * 256 + threadIdx.x;
    if (c >= width) return;
    const bf16* from = x + c;
    const int first = blockIdx.x * block, last = min(first + block, tokens);
    const float centre = mean ? mean[c] : 0.0f;
    float sum = 0.0f;
    for (int token = first; token < last; ++token) {
        const float value = to_float(from[(long long)token * width]);
        sum += mean ? rounded(value - centre) : value;
    }
    pooled[(long long)blockIdx.x * width + c] = rounded(sum / (last - first));
}

// Order of the float as an unsigned integer.
__device__ __forceinline__ uint32_t ordered(float x) {
    const uint32_t bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Grid (query blocks, heads), 256 threads; `slots` is the power of two at or above `key_blocks`, and shared
// memory holds as many 8-byte keys. list: [heads, query blocks, count].
extern "C" __global__ void __launch_bounds__(256) sla_mask_top(const float* pooled_q, const float* pooled_k, int* list,
                                                               int key_blocks, int slots, int count, int width,
                                                               int head_length) {
    extern __shared__ unsigned long long keys[];
    const int head = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const float* q = pooled_q + (long long)blockIdx.x * width + head * head_length;
    const float* k = pooled_k + head * head_length;
    for (int block = warp; block < slots; block += 8) {
        unsigned long long key = 0;
        if (block < key_blocks) {
            float dot = 0.0f;
            for (int d = lane; d < head_length; d += 32) dot += q[d] * k[(long long)block * width + d];
            dot = rounded(warp_sum(dot));
            key = (unsigned long long)ordered(dot) << 32 | (0xffffffffu - block);
        }
        if (lane == 0) keys[block] = key;
    }
    __syncthreads();
    // Bitonic sort, highest first.
    for (int size = 2; size <= slots; size <<= 1) {
        for (int step = size >> 1; step > 0; step >>= 1) {
            for (int i = threadIdx.x; i < slots / 2; i += blockDim.x) {
                const int low = 2 * i - (i & (step - 1)), high = low + step;
                const bool descending = (low & size) == 0;
                const unsigned long long a = keys[low], b = keys[high];
                if ((a < b) == descending) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
            __syncthreads();
        }
    }
    // Place of each chosen block among the chosen: how many of them lie before it.
    int* to = list + ((long long)head * gridDim.x + blockIdx.x) * count;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const uint32_t mine = (uint32_t)keys[i];
        int place = 0;
        for (int j = 0; j < count; ++j) place += (uint32_t)keys[j] > mine;
        to[place] = (int)(0xffffffffu - mine);
    }
}
