// sla_mask: which key blocks a block of queries attends to.
//
//   pool    the mean of each block of tokens, in float32
//   centre  takes from the keys' means the mean over all tokens, which follows from them: the choice would be the same
//           without, but the scores are then as small as their differences and lose nothing to rounding
//   choose  scores of a few query blocks against all key blocks, in float32; the `count` highest, the lower index first among
//           equals, written in ascending order
//
// Rows hold all heads: `width` = heads · head_length channels. q and k are read once.
#include "convert.cuh"

// Grid (blocks, width / 256), from the last block, which was written last. pooled: [blocks, width]. A lane has eight channels, a
// warp every eighth token.
extern "C" __global__ void __launch_bounds__(256) sla_mask_pool(const bf16* x, float* pooled, int tokens, int block, int width) {
    __shared__ float part[8][256];
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, c = blockIdx.y * 256 + 8 * lane;
    const int own_block = gridDim.x - 1 - blockIdx.x, first = own_block * block, last = min(first + block, tokens);
    float sum[8] = {};
    if (width % 8 == 0 && c < width) {
#pragma unroll 8
        for (int token = first + group; token < last; token += 8) {
            float value[8];
            load8(x + (long long)token * width + c, value);
#pragma unroll
            for (int i = 0; i < 8; ++i) sum[i] += value[i];
        }
    } else {
        for (int token = first + group; token < last; token += 8)
            for (int i = 0; i < 8; ++i)
                if (c + i < width) sum[i] += to_float(x[(long long)token * width + c + i]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) part[group][8 * lane + i] = sum[i];
    __syncthreads();
    const int own = blockIdx.y * 256 + threadIdx.x;
    if (own >= width) return;
    float total = 0.0f;
#pragma unroll
    for (int g = 0; g < 8; ++g) total += part[g][threadIdx.x];
    pooled[(long long)own_block * width + own] = total / (last - first);
}

// Grid (width / 32).
extern "C" __global__ void __launch_bounds__(256) sla_mask_centre(float* pooled, int tokens, int block, int blocks, int width) {
    __shared__ float part[8][32];
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, c = blockIdx.x * 32 + lane;
    float total = 0.0f;
    if (c < width)
#pragma unroll 4
        for (int i = group; i < blocks; i += 8) total += pooled[(long long)i * width + c] * min(block, tokens - i * block);
    part[group][lane] = total;
    __syncthreads();
    total = 0.0f;
#pragma unroll
    for (int g = 0; g < 8; ++g) total += part[g][lane];
    if (c < width)
        for (int i = group; i < blocks; i += 8) pooled[(long long)i * width + c] -= total / tokens;
}

// Order of the float as an unsigned integer, above 0; what is no number comes before all.
__device__ __forceinline__ uint32_t ordered(float x) {
    const uint32_t bits = __float_as_uint(x);
    if (x != x) return 1;
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Blocks of queries that a thread block takes: a warp chooses for each.
constexpr int ROWS = 8;
// A warp looks at this many scores of its row at a time; rows are whole such stretches, zeros at their end.
constexpr int STRETCH = 256;

// The scores of a row are in shared memory: writes its `count` best.
__device__ __forceinline__ void choose(const uint32_t* scores, int slots, int count, int* list) {
    const int lane = threadIdx.x & 31;
    auto reached = [&](uint32_t least) {
        int mine = 0;
        for (int start = lane; start < slots; start += STRETCH)
#pragma unroll
            for (int i = 0; i < STRETCH; i += 32) mine += scores[start + i] >= least;
        return (int)__reduce_add_sync(0xffffffffu, (unsigned)mine);
    };
    // The highest threshold that at least `count` scores reach, a bit at a time.
    uint32_t threshold = 0;
#pragma unroll 1
    for (uint32_t bit = 0x80000000u; bit; bit >>= 1)
        if (reached(threshold | bit) >= count) threshold |= bit;
    // Of those equal to the threshold only the first are wanted.
    int wanted = count - reached(threshold + 1);
    const uint32_t before = (1u << lane) - 1;
    for (int i = lane; i < slots; i += 32) {
        const uint32_t score = scores[i];
        const uint32_t equal = __ballot_sync(0xffffffffu, score == threshold);
        const bool chosen = score > threshold || (score == threshold && __popc(equal & before) < wanted);
        const uint32_t all = __ballot_sync(0xffffffffu, chosen);
        if (chosen) list[__popc(all & before)] = i;
        list += __popc(all);
        wanted -= min(wanted, __popc(equal));
    }
}

#define CHOOSE_PARAMETERS                                                                                            \
    const float *pooled_q, const float *pooled_k, int *list, int query_blocks, int key_blocks, int slots, int count, \
        int width, int head_length

// Grid (query blocks / 8, heads), heads of 128. list: [heads, query blocks, count]. Half of the warps take four rows and
// the other half the other four; a key block is eight lanes' work.
extern "C" __global__ void __launch_bounds__(256, 2) sla_mask_choose_128(CHOOSE_PARAMETERS) {
    extern __shared__ unsigned scores[];   // [ROWS, slots]
    constexpr int HALF = ROWS / 2, STEP = 128 / 8;
    const int offset = blockIdx.y * 128, first = blockIdx.x * ROWS, e = threadIdx.x & 7, half = threadIdx.x >> 7;
    float q[HALF][16];
#pragma unroll
    for (int row = 0; row < HALF; ++row) {
        const float* from = pooled_q + (long long)min(first + HALF * half + row, query_blocks - 1) * width + offset + 4 * e;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const float4 x = *reinterpret_cast<const float4*>(from + 32 * j);
            q[row][4 * j] = x.x, q[row][4 * j + 1] = x.y, q[row][4 * j + 2] = x.z, q[row][4 * j + 3] = x.w;
        }
    }
    auto fetch = [&](int block, float4(&x)[4]) {
        const float* from = pooled_k + (long long)min(block, key_blocks - 1) * width + offset + 4 * e;
#pragma unroll
        for (int j = 0; j < 4; ++j) x[j] = *reinterpret_cast<const float4*>(from + 32 * j);
    };
    const int own = (threadIdx.x & 127) >> 3;
    float4 x[4], next[4];
    fetch(own, x);
    for (int start = 0; start < slots; start += STEP) {
        const int block = start + own;
        fetch(block + STEP, next);
        float dot[HALF] = {};
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int row = 0; row < HALF; ++row)
                dot[row] += q[row][4 * j] * x[j].x + q[row][4 * j + 1] * x[j].y + q[row][4 * j + 2] * x[j].z +
                            q[row][4 * j + 3] * x[j].w;
        // Eight lanes add up four rows: after one exchange a lane is left with two of them, after another with one.
        const bool upper = e & 4, odd = e & 2;
        float a = upper ? dot[2] : dot[0], b = upper ? dot[3] : dot[1];
        a += __shfl_xor_sync(0xffffffffu, upper ? dot[0] : dot[2], 4);
        b += __shfl_xor_sync(0xffffffffu, upper ? dot[1] : dot[3], 4);
        float sum = odd ? b : a;
        sum += __shfl_xor_sync(0xffffffffu, odd ? a : b, 2);
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        if (!(e & 1)) scores[(HALF * half + (e >> 1)) * slots + block] = block < key_blocks ? ordered(sum) : 0;
#pragma unroll
        for (int j = 0; j < 4; ++j) x[j] = next[j];
    }
    __syncthreads();
    const int row = threadIdx.x >> 5;
    if (first + row >= query_blocks) return;
    choose(scores + row * slots, slots, count, list + ((long long)blockIdx.y * query_blocks + first + row) * count);
}

// The same for heads of any length, a thread a score.
extern "C" __global__ void __launch_bounds__(256) sla_mask_choose(CHOOSE_PARAMETERS) {
    extern __shared__ unsigned scores[];
    const int offset = blockIdx.y * head_length, first = blockIdx.x * ROWS;
    for (int i = threadIdx.x; i < ROWS * slots; i += 256) {
        const int row = min(first + i / slots, query_blocks - 1), block = i % slots;
        float dot = 0.0f;
        if (block < key_blocks)
            for (int d = 0; d < head_length; ++d)
                dot += pooled_q[(long long)row * width + offset + d] * pooled_k[(long long)block * width + offset + d];
        scores[i] = block < key_blocks ? ordered(dot) : 0;
    }
    __syncthreads();
    const int row = threadIdx.x >> 5;
    if (first + row >= query_blocks) return;
    choose(scores + row * slots, slots, count, list + ((long long)blockIdx.y * query_blocks + first + row) * count);
}
