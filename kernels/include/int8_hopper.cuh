// Products of int8 with a factor for each block of 128×128 on Hopper. A tile is 256 rows by 128 outputs; a stage holds its
// 128 inputs of one step. One thread asks the copy engine for stages, two groups of four warps multiply 128 rows each, 64 at a
// time: the integers of a step are complete before they are scaled and added to the float sums, and meanwhile the other
// group multiplies. Two thread blocks of a cluster share the rows of x: each copies half of them to both.
#pragma once
#include "convert.cuh"
#include "gelu.cuh"
#include "hopper.cuh"
#include "reduce.cuh"

constexpr int INT8_BLOCK = 128;          // a block of scales, a step of inputs, and the outputs of a tile
constexpr int INT8_ROWS = 256;           // of a tile
constexpr int INT8_THREADS = 384;
constexpr int INT8_STAGES = 4;
constexpr int INT8_CLUSTER = 2;
constexpr int INT8_BAND = 8;             // row tiles that share the weights in the cache
constexpr int INT8_X_BYTES = INT8_ROWS * INT8_BLOCK;
constexpr int INT8_STAGE_BYTES = INT8_X_BYTES + INT8_BLOCK * INT8_BLOCK;

struct Int8Shape {
    int rows, outputs, inputs;
};

#define WORDS8(s, i) "+r"(s[i]), "+r"(s[i + 1]), "+r"(s[i + 2]), "+r"(s[i + 3]), "+r"(s[i + 4]), "+r"(s[i + 5]), "+r"(s[i + 6]), "+r"(s[i + 7])
#define WORDS32(s, i) WORDS8(s, i), WORDS8(s, i + 8), WORDS8(s, i + 16), WORDS8(s, i + 24)

// sum[64, 128] (+)= a[64, 32]·b[128, 32]ᵀ of int8, both in shared memory in rows of k.
__device__ __forceinline__ void product(int (&sum)[64], uint64_t a, uint64_t b, bool add) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" NAMES64 "}, %64, %65, p;\n}\n"
                 : WORDS32(sum, 0), WORDS32(sum, 32)
                 : "l"(a), "l"(b), "r"((int)add));
}

struct Int8Place {
    int row, output;
};

// Bands of row tiles, in which the rows go round first.
__device__ __forceinline__ Int8Place int8_place(const Int8Shape& shape, int unit, int rank) {
    const int row_tiles = (shape.rows + INT8_ROWS - 1) / INT8_ROWS;
    const int columns = (shape.outputs + INT8_CLUSTER * INT8_BLOCK - 1) / (INT8_CLUSTER * INT8_BLOCK);
    const int first = unit / (INT8_BAND * columns) * INT8_BAND, high = min(INT8_BAND, row_tiles - first);
    const int within = unit % (INT8_BAND * columns);
    return {(first + within % high) * INT8_ROWS, (within / high * INT8_CLUSTER + rank) * INT8_BLOCK};
}

// y = Σ over steps of integers·scale for the tiles of this block; `store` gets the sums of 128 rows by 128 outputs: as those
// of mma.cuh, of the rows 16·warp + … of each 64.
template <typename Store>
__device__ __forceinline__ void int8_hopper(const CUtensorMap* x, const CUtensorMap* w, const float* x_scale,
                                            const float* w_scale, const Int8Shape& shape, Store&& store) {
    extern __shared__ unsigned char raw[];
    const uint32_t base = (shared_address(raw) + 1023) & ~1023u;
    const uint32_t full = base + INT8_STAGES * INT8_STAGE_BYTES, empty = full + 8 * INT8_STAGES;
    const int thread = threadIdx.x, group = thread >> 7, rank = cluster_rank();
    if (thread == 0) {
        for (int i = 0; i < INT8_STAGES; ++i) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, 8 * INT8_CLUSTER);
        }
        barrier_publish();
    }
    cluster_meet();

    const int steps = shape.inputs / INT8_BLOCK;
    const int units = (shape.rows + INT8_ROWS - 1) / INT8_ROWS *
                      ((shape.outputs + INT8_CLUSTER * INT8_BLOCK - 1) / (INT8_CLUSTER * INT8_BLOCK));
    RingPlace<INT8_STAGES> ring;

    if (group == 0) {
        give_registers<24>();
        if (thread == 0) {
            constexpr int SHARE = INT8_ROWS / INT8_CLUSTER;
            for (int unit = blockIdx.x / INT8_CLUSTER; unit < units; unit += gridDim.x / INT8_CLUSTER) {
                const Int8Place p = int8_place(shape, unit, rank);
                for (int step = 0; step < steps; ++step) {
                    const uint32_t to = base + ring.stage * INT8_STAGE_BYTES, ready = full + 8 * ring.stage;
                    // Read by both blocks of the cluster, and in either.
                    barrier_wait(empty + 8 * ring.stage, ring.parity ^ 1);
                    barrier_expect(ready, INT8_STAGE_BYTES);
                    copy_box_to_all(to + rank * SHARE * INT8_BLOCK, x, step * INT8_BLOCK / 2, p.row + rank * SHARE, ready,
                                    (1 << INT8_CLUSTER) - 1);
                    copy_box(to + INT8_X_BYTES, w, step * INT8_BLOCK / 2, p.output, ready);
                    ring.advance();
                }
            }
        }
    } else {
        take_registers<240>();
        const int lane = thread & 31;
        const int row_blocks = (shape.rows + INT8_BLOCK - 1) / INT8_BLOCK;
        const int output_blocks = (shape.outputs + INT8_BLOCK - 1) / INT8_BLOCK;
        for (int unit = blockIdx.x / INT8_CLUSTER; unit < units; unit += gridDim.x / INT8_CLUSTER) {
            const Int8Place p = int8_place(shape, unit, rank);
            const int row = p.row + (group - 1) * INT8_BLOCK;
            const int row_scale = min(row / INT8_BLOCK, row_blocks - 1) * steps;
            const int output_scale = min(p.output / INT8_BLOCK, output_blocks - 1) * steps;
            float sum[2][64];
#pragma unroll
            for (int m = 0; m < 2; ++m)
#pragma unroll
                for (int i = 0; i < 64; ++i) sum[m][i] = 0.0f;
            float left = __ldg(x_scale + row_scale), right = __ldg(w_scale + output_scale);
            for (int step = 0; step < steps; ++step) {
                const float scale = left * right;
                const int next = min(step + 1, steps - 1);
                left = __ldg(x_scale + row_scale + next), right = __ldg(w_scale + output_scale + next);
                barrier_wait(full + 8 * ring.stage, ring.parity);
                const uint32_t at = base + ring.stage * INT8_STAGE_BYTES;
                const uint64_t a = operand(at + (group - 1) * INT8_BLOCK * INT8_BLOCK, 16);
                const uint64_t b = operand(at + INT8_X_BYTES, 16);
#pragma unroll
                for (int m = 0; m < 2; ++m) {
                    int part[64];
                    product_begin();
#pragma unroll
                    for (int k = 0; k < 4; ++k)
                        product(part, a + ((m * 64 * INT8_BLOCK + 32 * k) >> 4), b + ((32 * k) >> 4), k);
                    product_commit();
                    product_wait<0>();
                    settle(part);
                    if (m == 1 && lane < INT8_CLUSTER) barrier_arrive_at(empty + 8 * ring.stage, lane);
#pragma unroll
                    for (int i = 0; i < 64; ++i) sum[m][i] += (float)part[i] * scale;
                }
                ring.advance();
            }
            store(sum, row, p.output);
        }
    }
    // A block's shared memory is written and its barriers are reached by the other until both are done.
    cluster_meet();
}

// To the nearest integer, ties to even, at most 127; the low byte of what is returned. `x` is not below −128.5.
__device__ __forceinline__ uint32_t int8_bits(float x) {
    constexpr float WHOLE = 12582912.0f;  // from here on floats are whole numbers
    return __float_as_uint(fminf(x, 127.0f) + WHOLE) & 0xff;
}

// A row's neighbouring columns of a layer's bias, or zeros.
__device__ __forceinline__ float2 int8_bias(const bf16* bias, int output, bool inside) {
    return bias && inside ? unpack(__ldg(reinterpret_cast<const uint32_t*>(bias + output))) : make_float2(0.0f, 0.0f);
}

// A sum as it leaves the layer: rounded, with bias, rounded, and through the activation.
template <bool GELU> __device__ __forceinline__ float int8_finish(float sum, float bias) {
    const float y = rounded(rounded(sum) + bias);
    return GELU ? gelu_fast(y) : y;
}

// Where a lane's sums of 128 rows by 128 outputs go: once the four lanes of a row have exchanged theirs, it has of each row
// 64·m + 8·half further the eight outputs from 32·j on.
struct Int8Lane {
    int rows, outputs, left;   // of the matrix; outputs from this tile's first on
    int row, q;
    long long start;

    __device__ __forceinline__ Int8Lane(const Int8Shape& shape, int first, int output)
        : rows(shape.rows), outputs(shape.outputs), left(shape.outputs - output),
          row(first + 16 * ((threadIdx.x >> 5) & 3) + ((threadIdx.x & 31) >> 2)), q(threadIdx.x & 3),
          start((long long)row * outputs + output + 8 * q) {}

    __device__ __forceinline__ bool inside(int j, int m, int half) const {
        return row + 64 * m + 8 * half < rows && 32 * j + 8 * q < left;
    }
    __device__ __forceinline__ long long place(int j, int m, int half) const {
        return start + (long long)(64 * m + 8 * half) * outputs + 32 * j;
    }

    // begin(j) before each 32 outputs; word(m, i, at) makes a word of two sums, outputs 8·i + 2·q and the next; end(j, m,
    // half, words) gets the lane's eight outputs.
    template <typename Begin, typename Word, typename End>
    __device__ __forceinline__ void store(Begin&& begin, Word&& word, End&& end) const {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            begin(j);
#pragma unroll
            for (int m = 0; m < 2; ++m) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    uint32_t words[4];
#pragma unroll
                    for (int i = 0; i < 4; ++i) words[i] = word(m, i, 16 * j + 4 * i + 2 * half);
                    transpose_words(words, q);
                    end(j, m, half, words);
                }
            }
        }
    }
};

// out = y, gelu(y), or residual + gate·y where no gate is a gate of one. Outputs are whole eights.
template <bool GELU, bool RESIDUAL>
__device__ __forceinline__ void int8_store(const float (&sum)[2][64], int row, int output, const Int8Shape& shape,
                                           const bf16* bias, const float* gate, const bf16* residual, bf16* out) {
    const Int8Lane lane(shape, row, output);
    // Asked for a group of columns ahead.
    uint4 added[2][2][2];
    auto ask = [&](int j) {
#pragma unroll
        for (int m = 0; m < 2; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                added[j & 1][m][half] = make_uint4(0, 0, 0, 0);
                if (RESIDUAL && lane.inside(j, m, half))
                    added[j & 1][m][half] = __ldg(reinterpret_cast<const uint4*>(residual + lane.place(j, m, half)));
            }
    };
    ask(0);
    float2 b[4], g[4];
    auto begin = [&](int j) {
        if (j < 3) ask(j + 1);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int n = 32 * j + 8 * i + 2 * lane.q;
            b[i] = int8_bias(bias, output + n, n < lane.left);
            g[i] = make_float2(1.0f, 1.0f);
            if (RESIDUAL && gate && n < lane.left) g[i] = __ldg(reinterpret_cast<const float2*>(gate + output + n));
            g[i] = make_float2(rounded(g[i].x), rounded(g[i].y));
        }
    };
    auto word = [&](int m, int i, int at) {
        float2 y = make_float2(int8_finish<GELU>(sum[m][at], b[i].x), int8_finish<GELU>(sum[m][at + 1], b[i].y));
        if (RESIDUAL) y.x *= g[i].x, y.y *= g[i].y;
        return pack(y.x, y.y);
    };
    lane.store(begin, word, [&](int j, int m, int half, uint32_t (&words)[4]) {
        if (RESIDUAL) {
            const uint4 other = added[j & 1][m][half];
            const uint32_t others[4] = {other.x, other.y, other.z, other.w};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float2 mine = unpack(words[i]), more = unpack(others[i]);
                words[i] = pack(mine.x + more.x, mine.y + more.y);
            }
        }
        if (lane.inside(j, m, half))
            *reinterpret_cast<uint4*>(out + lane.place(j, m, half)) = make_uint4(words[0], words[1], words[2], words[3]);
    });
}

// gelu(y) brought into int8 by the factor of its block of 128×128, which the sums are. `scratch` holds a float a warp.
__device__ __forceinline__ void int8_store_quantised(float (&sum)[2][64], int row, int output, const Int8Shape& shape,
                                                     const bf16* bias, signed char* values, float* scales, float* scratch) {
    const Int8Lane lane(shape, row, output);
    const int warp = (threadIdx.x >> 5) & 3, group = threadIdx.x >> 7;
    float top = 0.0f;
#pragma unroll
    for (int j = 0; j < 16; ++j) {
        const int n = 8 * j + 2 * lane.q;
        const float2 b = int8_bias(bias, output + n, n < lane.left);
#pragma unroll
        for (int m = 0; m < 2; ++m) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const bool inside = lane.row + 64 * m + 8 * half < shape.rows && n < lane.left;
                float& y = sum[m][4 * j + 2 * half];
                float& z = sum[m][4 * j + 2 * half + 1];
                y = inside ? rounded(int8_finish<true>(y, b.x)) : 0.0f;
                z = inside ? rounded(int8_finish<true>(z, b.y)) : 0.0f;
                top = fmaxf(top, fmaxf(fabsf(y), fabsf(z)));
            }
        }
    }
    top = warp_max(top);
    turn_wait(group, 128);  // the maxima of the tile before are read
    if ((threadIdx.x & 31) == 0) scratch[4 * (group - 1) + warp] = top;
    turn_wait(group, 128);
#pragma unroll
    for (int i = 0; i < 4; ++i) top = fmaxf(top, scratch[4 * (group - 1) + i]);
    top = fmaxf(top, 1e-8f);
    const float factor = 128.0f / top;
    if ((threadIdx.x & 127) == 0 && row < shape.rows && lane.left > 0)
        scales[(long long)(row / INT8_BLOCK) * ((shape.outputs + INT8_BLOCK - 1) / INT8_BLOCK) + output / INT8_BLOCK] =
            top / 128.0f;
    auto word = [&](int m, int, int at) {
        return int8_bits(sum[m][at] * factor) | int8_bits(sum[m][at + 1] * factor) << 8;
    };
    lane.store([](int) {}, word, [&](int j, int m, int half, const uint32_t (&words)[4]) {
        if (lane.inside(j, m, half))
            *reinterpret_cast<uint2*>(values + lane.place(j, m, half)) =
                make_uint2(words[0] | words[1] << 16, words[2] | words[3] << 16);
    });
}
