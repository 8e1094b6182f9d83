// sage_attention: sparse attention with 8-bit operands, heads of 128 channels.
//
//   channels   k and v once: the mean of each channel of k, the scale of each of v; sums of chunks are added in a fixed order
//   quantise   q, k, v once: tiles of sage.cuh, their scales, and the means of the blocks of q and centred k for sla_mask
//   attend     per head and block of queries: softmax(scores of the listed blocks)·v; Hopper has its own, kernel_sm90.cu
//
// Rows of q, k, v and out hold all heads: `width` = heads · 128 channels. Blocks: 128 queries × 64 keys, 64 × 128.
#include "convert.cuh"
#include "e4m3.cuh"
#include "reduce.cuh"
#include "sage.cuh"
#include "tile.cuh"

constexpr int D = 128;

// ---- channels -------------------------------------------------------------------------------------------------------

// Grid (chunks, width / 256, 2): sums of k, then the largest sizes in v. partial: [2, chunks, width].
extern "C" __global__ void __launch_bounds__(256) sage_channels_part(const bf16* k, const bf16* v, float* partial, int tokens,
                                                                     int chunk, int width) {
    __shared__ float part[8][256];
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, c = blockIdx.y * 256 + 8 * lane;
    const bool of_keys = blockIdx.z == 0;
    const int first = blockIdx.x * chunk, last = min(first + chunk, tokens);
    float all[8] = {};
    if (c < width) {
        const bf16* from = (of_keys ? k : v) + c;
#pragma unroll 8
        for (int token = first + group; token < last; token += 8) {
            float x[8];
            load8(from + (long long)token * width, x);
#pragma unroll
            for (int i = 0; i < 8; ++i) all[i] = of_keys ? all[i] + x[i] : fmaxf(all[i], fabsf(x[i]));
        }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) part[group][8 * lane + i] = all[i];
    __syncthreads();
    const int own = blockIdx.y * 256 + threadIdx.x;
    if (own >= width) return;
    float total = 0.0f;
#pragma unroll
    for (int g = 0; g < 8; ++g) total = of_keys ? total + part[g][threadIdx.x] : fmaxf(total, part[g][threadIdx.x]);
    partial[((long long)blockIdx.z * gridDim.x + blockIdx.x) * width + own] = total;
}

// Grid (width / 32, 2). channels: [2, width], the means of k and the scales of v.
extern "C" __global__ void __launch_bounds__(256) sage_channels(const float* partial, float* channels, int tokens, int chunks,
                                                                int width) {
    __shared__ float part[8][32];
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, c = blockIdx.x * 32 + lane;
    const bool of_keys = blockIdx.y == 0;
    float total = 0.0f;
#pragma unroll 4
    for (int i = group; i < chunks; i += 8) {
        const float x = partial[((long long)blockIdx.y * chunks + i) * width + c];
        total = of_keys ? total + x : fmaxf(total, x);
    }
    part[group][lane] = total;
    __syncthreads();
    if (group) return;
#pragma unroll
    for (int g = 1; g < 8; ++g) total = of_keys ? total + part[g][lane] : fmaxf(total, part[g][lane]);
    // A channel of zeros keeps its zeros.
    channels[blockIdx.y * width + c] = of_keys ? total / tokens : total > 0.0f ? total / SAGE_RANGE : 1.0f;
}

// ---- quantise -------------------------------------------------------------------------------------------------------

// Halves go away from zero.
__device__ __forceinline__ uint32_t int8x4(float a, float b, float c, float d) {
    auto one = [](float x) { return (uint32_t)(uint8_t)(int8_t)(int)(x + copysignf(0.5f, x)); };
    return one(a) | one(b) << 8 | one(c) << 16 | one(d) << 24;
}

// A block of q, or of k where there is a mean: a thread has 8 channels of every 16th row.
template <int BLOCK>
__device__ __forceinline__ void quantise_rows(const bf16* x, const float* mean, unsigned char* tiles, float* scales,
                                              float* pooled, int block, int blocks, int tokens, int width) {
    constexpr int PASSES = BLOCK / 16;
    __shared__ float sums[8][D], tops[8];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, e = threadIdx.x & 15, r = threadIdx.x >> 4;
    const int head = blockIdx.y, first = block * BLOCK, rows = min(BLOCK, tokens - first);
    const bf16* from = x + (long long)(first + r) * width + head * D + 8 * e;
    uint4 raw[PASSES];
#pragma unroll
    for (int p = 0; p < PASSES; ++p) {
        const uint4 zero = {0, 0, 0, 0};
        raw[p] = r + 16 * p < rows ? *reinterpret_cast<const uint4*>(from + (long long)16 * p * width) : zero;
    }
    float centre[8] = {}, sum[8] = {}, top = 0.0f;
    if (mean) load8(mean + head * D + 8 * e, centre);
#pragma unroll
    for (int p = 0; p < PASSES; ++p) {
        if (r + 16 * p >= rows) continue;
        float value[8];
        unpack8(raw[p], value);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            value[i] -= centre[i];
            sum[i] += value[i];
            top = fmaxf(top, fabsf(value[i]));
        }
    }
    top = warp_max(top);
    if (lane == 0) tops[warp] = top;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 16);
        if (lane < 16) sums[warp][8 * e + i] = sum[i];
    }
    __syncthreads();
#pragma unroll
    for (int w = 0; w < 8; ++w) top = fmaxf(top, tops[w]);
    const float scale = top / 127.0f + 1e-7f, inverse = 1.0f / scale;
    if (threadIdx.x == 0) scales[head * blocks + block] = scale;
    if (threadIdx.x < D) {
        float total = 0.0f;
#pragma unroll
        for (int w = 0; w < 8; ++w) total += sums[w][threadIdx.x];
        pooled[(long long)block * width + head * D + threadIdx.x] = total / rows;
    }
    unsigned char* to = tiles + ((long long)head * blocks + block) * BLOCK * D + r * D + (((e >> 1) ^ (r & 7)) << 4) + 8 * (e & 1);
#pragma unroll
    for (int p = 0; p < PASSES; ++p) {
        const bool inside = r + 16 * p < rows;
        float value[8];
        unpack8(raw[p], value);
#pragma unroll
        for (int i = 0; i < 8; ++i) value[i] = inside ? (value[i] - centre[i]) * inverse : 0.0f;
        const uint2 bytes = {int8x4(value[0], value[1], value[2], value[3]), int8x4(value[4], value[5], value[6], value[7])};
        *reinterpret_cast<uint2*>(to + 16 * D * p) = bytes;
    }
}

// 128 keys of v, turned: a thread has 8 channels of four keys that become neighbours, twice.
template <int KEYS>
__device__ __forceinline__ void quantise_values(const bf16* v, const float* scales, unsigned char* tiles, int block,
                                                int key_blocks, int tokens, int width) {
    constexpr int PITCH = 33;   // words; one more than a row, against bank conflicts
    __shared__ uint32_t turned[D * PITCH];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, head = blockIdx.y, first = block * 128;
    uint4 raw[2][4];
    int quads[2], chunks[2];
#pragma unroll
    for (int u = 0; u < 2; ++u) {
        const int unit = 2 * warp + u;
        quads[u] = 8 * (unit & 3) + (lane >> 2);
        chunks[u] = 4 * (unit >> 2) + (lane & 3);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int token = first + 16 * (quads[u] >> 2) + 2 * (quads[u] & 3) + (j & 1) + 8 * (j >> 1);
            const uint4 zero = {0, 0, 0, 0};
            const bf16* from = v + (long long)token * width + head * D + 8 * chunks[u];
            raw[u][j] = token < tokens ? *reinterpret_cast<const uint4*>(from) : zero;
        }
    }
#pragma unroll
    for (int u = 0; u < 2; ++u) {
        float scale[8], x[4][8];
        load8(scales + head * D + 8 * chunks[u], scale);
#pragma unroll
        for (int j = 0; j < 4; ++j) unpack8(raw[u][j], x[j]);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            const float inverse = 1.0f / scale[i];
            turned[(8 * chunks[u] + i) * PITCH + quads[u]] =
                e4m3x4(x[0][i] * inverse, x[1][i] * inverse, x[2][i] * inverse, x[3][i] * inverse);
        }
    }
    __syncthreads();
#pragma unroll
    for (int p = 0; p < 4; ++p) {
        const int channel = 32 * p + (threadIdx.x >> 3), part = threadIdx.x & 7, tile = block * (128 / KEYS) + 16 * part / KEYS;
        if (tile >= key_blocks) continue;
        const int chunk = part % (KEYS / 16), turn = KEYS == 128 ? channel & 7 : (channel >> 1) & 3;
        const uint32_t* from = turned + channel * PITCH + 4 * part;
        const uint4 bytes = {from[0], from[1], from[2], from[3]};
        unsigned char* to = tiles + ((long long)head * key_blocks + tile) * D * KEYS + channel * KEYS + ((chunk ^ turn) << 4);
        *reinterpret_cast<uint4*>(to) = bytes;
    }
}

#define QUANTISE_PARAMETERS                                                                                          \
    const bf16 *q, const bf16 *k, const bf16 *v, const float *channels, unsigned char *q_tiles, unsigned char *k_tiles, \
        unsigned char *v_tiles, float *q_scales, float *k_scales, float *pooled_q, float *pooled_k, int tokens, int width

template <int QUERIES, int KEYS> __device__ __forceinline__ void quantise(QUANTISE_PARAMETERS) {
    const int query_blocks = (tokens + QUERIES - 1) / QUERIES, key_blocks = (tokens + KEYS - 1) / KEYS;
    int block = blockIdx.x;
    if (block < query_blocks)
        return quantise_rows<QUERIES>(q, nullptr, q_tiles, q_scales, pooled_q, block, query_blocks, tokens, width);
    block -= query_blocks;
    if (block < key_blocks) return quantise_rows<KEYS>(k, channels, k_tiles, k_scales, pooled_k, block, key_blocks, tokens, width);
    quantise_values<KEYS>(v, channels + width, v_tiles, block - key_blocks, key_blocks, tokens, width);
}

// Grid (blocks of q, then blocks of k, then, where there are tiles for them, blocks of 128 of v; heads).
// pooled_q, pooled_k: [blocks, width].
extern "C" __global__ void __launch_bounds__(256) sage_quantise_128x64(QUANTISE_PARAMETERS) {
    quantise<128, 64>(q, k, v, channels, q_tiles, k_tiles, v_tiles, q_scales, k_scales, pooled_q, pooled_k, tokens, width);
}
extern "C" __global__ void __launch_bounds__(256) sage_quantise_64x128(QUANTISE_PARAMETERS) {
    quantise<64, 128>(q, k, v, channels, q_tiles, k_tiles, v_tiles, q_scales, k_scales, pooled_q, pooled_k, tokens, width);
}

// ---- attend ---------------------------------------------------------------------------------------------------------

// 16·WARPS queries, KEYS keys a step, two steps in shared memory. EIGHT: weights and values are e4m3; otherwise they are
// bfloat16, for generations that cannot multiply e4m3, and `values` is [tokens, width] as it came.
template <int WARPS, int KEYS, bool EIGHT>
__device__ __forceinline__ void attend(const SageOperands& operands, const bf16* values, bf16* out, const int* list,
                                       const SageShape& shape) {
    constexpr int QUERIES = 16 * WARPS, K_BYTES = KEYS * D, V_BYTES = EIGHT ? K_BYTES : 2 * K_BYTES;
    extern __shared__ __align__(128) unsigned char shared[];
    const uint32_t base = shared_address(shared);
    const Tile<64> q_tile{base};
    auto k_tile = [&](int step) { return Tile<64>{base + QUERIES * D + (step & 1) * K_BYTES}; };
    auto v_place = [&](int step) { return base + QUERIES * D + 2 * K_BYTES + (step & 1) * V_BYTES; };
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int head = blockIdx.y, width = shape.heads * D;
    const int block = head * gridDim.x + blockIdx.x, first_tile = head * ((shape.tokens + KEYS - 1) / KEYS);
    list += (long long)block * shape.count;

    auto copy = [&](uint32_t to, const unsigned char* from, int bytes) {
        for (int i = 16 * threadIdx.x; i < bytes; i += 16 * blockDim.x) copy16(to + i, from + i, true);
    };
    auto load_keys = [&](int step) {
        if (step < shape.count) copy(k_tile(step).base, operands.k + (long long)(first_tile + list[step]) * K_BYTES, K_BYTES);
        copy_commit();
    };
    auto load_values = [&](int step) {
        if (step < shape.count) {
            if (EIGHT) {
                copy(v_place(step), operands.v + (long long)(first_tile + list[step]) * K_BYTES, K_BYTES);
            } else {
                const int start = list[step] * KEYS;
                Tile<D>{v_place(step)}.load(values + (long long)start * width + head * D, width, KEYS, shape.tokens - start);
            }
        }
        copy_commit();
    };
    copy(base, operands.q + (long long)block * QUERIES * D, QUERIES * D);
    load_keys(0);
    load_values(0);

    const float of_queries = operands.q_scale[block] * shape.scale;
    uint32_t q_part[4][4];
    float o[D / 8][4] = {}, top[2] = {SAGE_LOWEST, SAGE_LOWEST}, sum[2] = {0.0f, 0.0f};
    for (int step = 0; step < shape.count; ++step) {
        copy_wait<1>();
        __syncthreads();
        if (step == 0) {
#pragma unroll
            for (int d = 0; d < 4; ++d) q_tile.a(q_part[d], 16 * warp, 16 * d);
        }
        load_keys(step + 1);
        int s[KEYS / 8][4] = {};
#pragma unroll
        for (int d = 0; d < 4; ++d) {
#pragma unroll
            for (int n = 0; n < KEYS / 16; ++n) {
                uint32_t b[4];
                k_tile(step).b(b, 16 * n, 16 * d);
                mma_s8(s[2 * n], q_part[d], b[0], b[1]);
                mma_s8(s[2 * n + 1], q_part[d], b[2], b[3]);
            }
        }

        const float factor = of_queries * operands.k_scale[first_tile + list[step]];
        const int inside = shape.tokens - list[step] * KEYS;
        float weight[KEYS / 8][4], reach[2] = {top[0], top[1]}, shrink[2];
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                weight[n][i] = 8 * n + 2 * t + (i & 1) < inside ? (float)s[n][i] * factor : -INFINITY;
                reach[i >> 1] = fmaxf(reach[i >> 1], weight[n][i]);
            }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            reach[i] = fmaxf(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 1));
            reach[i] = fmaxf(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 2));
            shrink[i] = exp2_fast(top[i] - reach[i]);
            top[i] = reach[i];
            sum[i] *= shrink[i];
        }
#pragma unroll
        for (int n = 0; n < KEYS / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                weight[n][i] = exp2_fast(weight[n][i] - top[i >> 1] + SAGE_OFFSET);
                sum[i >> 1] += weight[n][i];
            }
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) o[n][i] *= shrink[i >> 1];

        copy_wait<1>();
        __syncthreads();
        load_values(step + 1);
        if (EIGHT) {
            uint32_t a[KEYS / 32][4];
#pragma unroll
            for (int key = 0; key < KEYS / 32; ++key)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const int n = 4 * key + 2 * (i >> 1), row = 2 * (i & 1);
                    a[key][i] = e4m3x4(weight[n][row], weight[n][row + 1], weight[n + 1][row], weight[n + 1][row + 1]);
                }
            // A block's sums by themselves: tensor cores keep those of e4m3 with 14 bits, in which those of all blocks would lose
            // what they have in common.
#pragma unroll
            for (int n = 0; n < D / 16; ++n) {
                float part[2][4] = {};
#pragma unroll
                for (int key = 0; key < KEYS / 32; ++key) {
                    uint32_t b[4];
                    Tile<KEYS / 2>{v_place(step)}.b(b, 16 * n, 16 * key);
                    mma_e4m3(part[0], a[key], b[0], b[1]);
                    mma_e4m3(part[1], a[key], b[2], b[3]);
                }
#pragma unroll
                for (int i = 0; i < 8; ++i) o[2 * n + (i >> 2)][i & 3] += part[i >> 2][i & 3];
            }
        } else {
#pragma unroll
            for (int key = 0; key < KEYS / 16; ++key) {
                uint32_t a[4];
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    a[i] = pack(weight[2 * key + (i >> 1)][2 * (i & 1)], weight[2 * key + (i >> 1)][2 * (i & 1) + 1]);
#pragma unroll
                for (int n = 0; n < D / 16; ++n) {
                    uint32_t b[4];
                    Tile<D>{v_place(step)}.b_transposed(b, 16 * n, 16 * key);
                    mma_bf16(o[2 * n], a, b[0], b[1]);
                    mma_bf16(o[2 * n + 1], a, b[2], b[3]);
                }
            }
        }
    }
    copy_wait<0>();

#pragma unroll
    for (int i = 0; i < 2; ++i) {
        sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 1);
        sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 2);
        const int query = blockIdx.x * QUERIES + 16 * warp + g + 8 * i;
        if (query >= shape.tokens) continue;
        bf16* row = out + (long long)query * width + head * D;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
            const int c = 8 * n + 2 * t;
            const float low = EIGHT ? operands.v_scale[head * D + c] : 1.0f, high = EIGHT ? operands.v_scale[head * D + c + 1] : 1.0f;
            *reinterpret_cast<uint32_t*>(row + c) = pack(o[n][2 * i] / sum[i] * low, o[n][2 * i + 1] / sum[i] * high);
        }
    }
}

#define ATTEND_PARAMETERS                                                                                            \
    const unsigned char *q, const unsigned char *k, const unsigned char *v, const float *q_scale, const float *k_scale, \
        const float *v_scale, const bf16 *values, bf16 *out, const int *list, int tokens, int heads, int count, float scale
#define ATTEND_ARGUMENTS                                                                                             \
    {q, k, v, q_scale, k_scale, v_scale}, values, out, list, {tokens, heads, count, scale * 1.4426950408889634f}

// Grid (query blocks, heads). list: [heads, query blocks, count].
extern "C" __global__ void __launch_bounds__(256, 1) sage_attention_128x64(ATTEND_PARAMETERS) {
    attend<8, 64, true>(ATTEND_ARGUMENTS);
}
extern "C" __global__ void __launch_bounds__(128) sage_attention_64x128(ATTEND_PARAMETERS) {
    attend<4, 128, true>(ATTEND_ARGUMENTS);
}
extern "C" __global__ void __launch_bounds__(256, 1) sage_attention_128x64_bf16(ATTEND_PARAMETERS) {
    attend<8, 64, false>(ATTEND_ARGUMENTS);
}
extern "C" __global__ void __launch_bounds__(128) sage_attention_64x128_bf16(ATTEND_PARAMETERS) {
    attend<4, 128, false>(ATTEND_ARGUMENTS);
}
