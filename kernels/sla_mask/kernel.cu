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
extern "C" __global__ void __launch_bounds__(256) sla_mask_pool(const bf16* x, const float* mean, bf16* pooled, int tokens,
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
    pooled[(long long)blockIdx.x * width + c] = from_float<bf16>(sum / (last - first));
}

// Order of the float as an unsigned integer.
__device__ __forceinline__ uint32_t ordered(float x) {
    const uint32_t bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Blocks of queries that are scored together, so that the keys' means are read once for all of them.
constexpr int TOGETHER = 4;

// Scores of `ROWS` blocks of queries from `first` on against all blocks of keys; a key is eight lanes' work.
struct AnyHead {
    static constexpr int ROWS = 1;
    const bf16* q;
    int head_length;
    __device__ __forceinline__ void operator()(const bf16* k, float (&dot)[ROWS]) const {
        for (int d = threadIdx.x & 7; d < head_length; d += 8) dot[0] += to_float(q[d]) * to_float(k[d]);
    }
};

struct Head128 {
    static constexpr int ROWS = TOGETHER;
    float q[ROWS][16];
    __device__ __forceinline__ void load(const bf16* from, int row) {
        const int e = 8 * (threadIdx.x & 7);
        float half[8];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            load8(from + 64 * h + e, half);
#pragma unroll
            for (int i = 0; i < 8; ++i) q[row][8 * h + i] = half[i];
        }
    }
    __device__ __forceinline__ void operator()(const bf16* k, float (&dot)[ROWS]) const {
        const int e = 8 * (threadIdx.x & 7);
        float half[8];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            load8(k + 64 * h + e, half);
#pragma unroll
            for (int row = 0; row < ROWS; ++row)
#pragma unroll
                for (int i = 0; i < 8; ++i) dot[row] += q[row][8 * h + i] * half[i];
        }
    }
};

// `slots` is the power of two at or above `key_blocks`; shared memory holds as many 8-byte keys for each row.
template <typename Scores>
__device__ __forceinline__ void choose(const Scores& scores, const bf16* k, int* list, int rows, int key_blocks, int slots,
                                       int count, int width) {
    extern __shared__ unsigned long long keys[];
    constexpr int ROWS = Scores::ROWS;
    for (int first = 0; first < slots; first += 32) {
        const int block = first + (threadIdx.x >> 3), e = threadIdx.x & 7;
        float dot[ROWS] = {};
        if (block < key_blocks) scores(k + (long long)block * width, dot);
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
#pragma unroll
            for (int step = 4; step > 0; step >>= 1) dot[row] += __shfl_xor_sync(0xffffffffu, dot[row], step);
            if (e != row || block >= slots) continue;
            keys[row * slots + block] = block < key_blocks ? (unsigned long long)ordered(rounded(dot[row])) << 32 |
                                                                 (0xffffffffu - block)
                                                           : 0;
        }
    }
    __syncthreads();
    // Bitonic sorts, highest first, of all rows side by side.
    for (int size = 2; size <= slots; size <<= 1) {
        for (int step = size >> 1; step > 0; step >>= 1) {
            for (int i = threadIdx.x; i < ROWS * slots / 2; i += blockDim.x) {
                // A row is a power of two of pairs, so that a pair's place in its row is that in all of them.
                const int low = 2 * i - (i & (step - 1)), high = low + step;
                const bool descending = (low & (slots - 1) & size) == 0;
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
    for (int i = threadIdx.x; i < rows * count; i += blockDim.x) {
        const unsigned long long* chosen = keys + i / count * slots;
        const uint32_t mine = (uint32_t)chosen[i % count];
        int place = 0;
        for (int j = 0; j < count; ++j) place += (uint32_t)chosen[j] > mine;
        list[i / count * count + place] = (int)(0xffffffffu - mine);
    }
}

#define TOP_PARAMETERS                                                                                               \
    const bf16 *pooled_q, const bf16 *pooled_k, int *list, int query_blocks, int key_blocks, int slots, int count,   \
        int width, int head_length

// Grid (query blocks / 4, heads), heads of 128. list: [heads, query blocks, count].
extern "C" __global__ void __launch_bounds__(256, 2) sla_mask_top_128(TOP_PARAMETERS) {
    const int head = blockIdx.y, first = blockIdx.x * TOGETHER;
    Head128 scores;
#pragma unroll
    for (int row = 0; row < TOGETHER; ++row)
        scores.load(pooled_q + (long long)min(first + row, query_blocks - 1) * width + head * 128, row);
    choose(scores, pooled_k + head * 128, list + ((long long)head * query_blocks + first) * count,
           min(TOGETHER, query_blocks - first), key_blocks, slots, count, width);
}

// Grid (query blocks, heads), heads of any length.
extern "C" __global__ void __launch_bounds__(256) sla_mask_top(TOP_PARAMETERS) {
    const int head = blockIdx.y, offset = head * head_length;
    const AnyHead scores{pooled_q + (long long)blockIdx.x * width + offset, head_length};
    choose(scores, pooled_k + offset, list + ((long long)head * query_blocks + blockIdx.x) * count, 1, key_blocks, slots,
           count, width);
}
