// Convolution over channels-last frames as a matrix product on Hopper. A tile is a rectangle of output pixels of one frame
// by N channels. A stage holds, for one tap in time and one in width, DEPTH channels of the pixels that the tile sees
// through V taps in height (neighbouring taps share rows), and the V weights. One thread asks the copy engine for stages,
// two groups of four warps multiply, 128 pixels each. What lies outside a frame arrives as zeros.
//
// A product of 64 pixels × N × 16 reads 32·(64 + N) bytes of shared memory in N / 2 cycles of the tensor cores.
#pragma once
#include "convert.cuh"
#include "gelu.cuh"
#include "product_channels.cuh"

struct ConvolutionShape {
    int before, remembered;              // frames in front of those given: zeros, the last of which are the cache's
    int channels;                        // in; a multiple of 8
    int out_frames, height, width;       // of the tiled grid: the output's, or that of one phase
    int out_channels;
    int taps_t, taps_y, taps_x;
    int stride_t, stride_s, pad_y, pad_x;
    int phases;                          // 4: output pixel (2y + phase / 2, 2x + phase % 2) has a filter of its own; else 1
    int width_log;                       // a tile is 8 or 16 pixels wide
};

constexpr int CONVOLUTION_THREADS = 384;
constexpr int CONVOLUTION_PIXELS = 256;   // of a tile
constexpr int CONVOLUTION_BLOCKS = 2;     // of 64 pixels, of each group of warps

// Where the parts of a stage stand; pixels with the rows that the taps in height add to a tile 16 wide.
template <int N, int V, int DEPTH> struct ConvolutionStage {
    static constexpr int ROW = 2 * DEPTH;
    static constexpr int WEIGHTS = ((CONVOLUTION_PIXELS + 16 * (V - 1)) * ROW + 1023) & ~1023;
    static constexpr int WEIGHTS_SPAN = (N * ROW + 1023) & ~1023;
    static constexpr int SIZE = WEIGHTS + V * WEIGHTS_SPAN;
};

// An operand in rows of ROW bytes, 16-byte chunks permuted by the copy engine's swizzle of that width, groups of eight
// rows one after another.
template <int ROW> __device__ __forceinline__ uint64_t rows_operand(uint32_t address) {
    static_assert(ROW == 64 || ROW == 128, "a swizzle of the copy engine");
    return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)(8 * ROW >> 4) << 32 |
           (uint64_t)(ROW == 128 ? 1 : 2) << 62;
}

__device__ __forceinline__ void copy_box3(uint32_t shared, const CUtensorMap* map, int x, int y, int z, uint32_t barrier) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];\n" ::"r"(
                     shared),
                 "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

__device__ __forceinline__ void copy_box4(uint32_t shared, const CUtensorMap* map, int x, int y, int z, int w,
                                          uint32_t barrier) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];\n" ::"r"(
            shared),
        "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(w)
        : "memory");
}

// Where a tile stands.
struct ConvolutionPlace {
    int channel, phase, x, t, y;
};

// Bands of rows come last, so that taps in time meet a band's frames while they are still in the cache.
template <int N>
__device__ __forceinline__ ConvolutionPlace convolution_place(const ConvolutionShape& c, int tile, int tile_height) {
    ConvolutionPlace p;
    const int channels = (c.out_channels + N - 1) / N, columns = (c.width + (1 << c.width_log) - 1) >> c.width_log;
    p.channel = tile % channels * N, tile /= channels;
    p.phase = tile % c.phases, tile /= c.phases;
    p.x = tile % columns << c.width_log, tile /= columns;
    p.t = tile % c.out_frames;
    p.y = tile / c.out_frames * tile_height;
    return p;
}

// The first tap in time that sees a frame; those before see zeros.
__device__ __forceinline__ int convolution_first_tap(const ConvolutionShape& c, int t) {
    return max(0, c.before - c.remembered - t * c.stride_t);
}

// What this lane of four adds to a row: eight channels of every fourth group.
template <int N> struct ResidualRow {
    uint4 words[(N + 31) / 32];

    // Asked for where this stands: the compiler would move it behind the wait for the products.
    __device__ __forceinline__ void load(const bf16* from, bool inside, int left, int q) {
#pragma unroll
        for (int j = 0; j < N / 32; ++j) {
            const int n = 32 * j + 8 * q;
            words[j] = make_uint4(0, 0, 0, 0);
            if (inside && n < left)
                asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];\n"
                             : "=r"(words[j].x), "=r"(words[j].y), "=r"(words[j].z), "=r"(words[j].w)
                             : "l"(from + n));
        }
    }
};

// One row of a thread's sums, with bias, residual and norm, to where it belongs. In `sum` eight channels are four numbers,
// of which this row has those at `half` and one further; lane q of four has channels 2q and 2q + 1 of the eight.
template <int N>
__device__ __forceinline__ void convolution_store(const float (&sum)[N / 2], int half, int q, long long to, bool inside,
                                                  int channel, const ConvolutionShape& c, const float* bias,
                                                  const bf16* residual, const ResidualRow<N>* held, bf16* out,
                                                  const float* gamma, bf16* activated) {
    const int left = c.out_channels - channel;
    if (N < 32 || (c.out_channels & 7)) {
        if (!inside) return;
#pragma unroll
        for (int j = 0; j < N / 8; ++j) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const int n = 8 * j + 2 * q + i;
                if (n >= left) continue;
                float value = sum[4 * j + half + i] + bias[channel + n];
                if (residual) value = rounded(value) + to_float(residual[to + n]);
                out[to + n] = from_float<bf16>(value);
            }
        }
        return;
    }
    if constexpr (N >= 32) {
        // Lane q ends with all eight channels of every fourth group.
        uint32_t words[N / 32][4];
        float squares = 0.0f;
#pragma unroll
        for (int j = 0; j < N / 32; ++j) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int n = 32 * j + 8 * i + 2 * q;
                float2 add = make_float2(0.0f, 0.0f);
                if (n < left) add = __ldg(reinterpret_cast<const float2*>(bias + channel + n));
                words[j][i] = pack(sum[16 * j + 4 * i + half] + add.x, sum[16 * j + 4 * i + half + 1] + add.y);
            }
            transpose_words(words[j], q);
            const int n = 32 * j + 8 * q;
            const bool here = inside && n < left;
            if (residual) {
                uint4 other = make_uint4(0, 0, 0, 0);
                if (held) other = held->words[j];
                else if (here) other = __ldg(reinterpret_cast<const uint4*>(residual + to + n));
                const uint32_t others[4] = {other.x, other.y, other.z, other.w};
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const float2 mine = unpack(words[j][i]), added = unpack(others[i]);
                    words[j][i] = pack(mine.x + added.x, mine.y + added.y);
                }
            }
            if (out && here)
                *reinterpret_cast<uint4*>(out + to + n) = make_uint4(words[j][0], words[j][1], words[j][2], words[j][3]);
            if (activated) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const float2 v = unpack(words[j][i]);
                    squares += v.x * v.x + v.y * v.y;
                }
            }
        }
        if (!activated) return;
        // All channels of the pixel lie in these four lanes.
        squares += __shfl_xor_sync(0xffffffffu, squares, 1);
        squares += __shfl_xor_sync(0xffffffffu, squares, 2);
        const float factor = sqrtf((float)c.out_channels) / fmaxf(sqrtf(squares), 1e-12f);
#pragma unroll
        for (int j = 0; j < N / 32; ++j) {
            const int n = 32 * j + 8 * q;
            if (!inside || n >= left) continue;
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float2 v = unpack(words[j][i]), g = __ldg(reinterpret_cast<const float2*>(gamma + n + 2 * i));
                words[j][i] = pack(silu_fast(v.x * factor * g.x), silu_fast(v.y * factor * g.y));
            }
            *reinterpret_cast<uint4*>(activated + to + n) = make_uint4(words[j][0], words[j][1], words[j][2], words[j][3]);
        }
    }
}

// out = conv(x) + bias + residual, and activated = silu(norm(out)); either may be null, and activated asks for all
// channels in one tile. `x`, `cache` and `weight` are maps of [frames, height, width, channels] and of
// [out channels, taps of all phases, channels].
template <int N, int V, int DEPTH, int STAGES>
__device__ __forceinline__ void convolution_hopper(const CUtensorMap* x, const CUtensorMap* cache, const CUtensorMap* weight,
                                                   const float* bias, const bf16* residual, bf16* out, const float* gamma,
                                                   bf16* activated, const ConvolutionShape& c) {
    using Stage = ConvolutionStage<N, V, DEPTH>;
    constexpr int M = CONVOLUTION_BLOCKS;
    // A residual's rows fit beside the sums, and are asked for before the last products are waited for.
    constexpr bool HELD = N >= 32 && N <= 96;
    extern __shared__ unsigned char raw[];
    const uint32_t base = (shared_address(raw) + 1023) & ~1023u;
    const uint32_t full = base + STAGES * Stage::SIZE, empty = full + 8 * STAGES;
    const int thread = threadIdx.x, group = thread >> 7;
    if (thread == 0) {
        for (int i = 0; i < STAGES; ++i) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, 8);
        }
        barrier_publish();
    }
    __syncthreads();

    const int tile_width = 1 << c.width_log, tile_height = CONVOLUTION_PIXELS >> c.width_log;
    const int tiles = (c.out_channels + N - 1) / N * c.phases * ((c.width + tile_width - 1) >> c.width_log) * c.out_frames *
                      ((c.height + tile_height - 1) / tile_height);
    const int chunks = (c.channels + DEPTH - 1) / DEPTH, taps = c.taps_t * c.taps_y * c.taps_x;
    RingPlace<STAGES> ring;

    if (group == 0) {
        give_registers<HELD ? 40 : 24>();
        if (thread != 0) return;
        const int bytes = Stage::ROW * (tile_width * (tile_height + V - 1) + V * N);
        for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            const ConvolutionPlace p = convolution_place<N>(c, tile, tile_height);
            const int top = p.y * c.stride_s - c.pad_y + (p.phase >> 1), left = p.x * c.stride_s - c.pad_x + (p.phase & 1);
            for (int kt = convolution_first_tap(c, p.t); kt < c.taps_t; ++kt) {
                const int frame = p.t * c.stride_t + kt - c.before;
                const CUtensorMap* frames = frame < 0 ? cache : x;
                const int at = frame < 0 ? frame + c.remembered : frame;
                for (int ky = 0; ky < c.taps_y; ky += V) {
                    for (int kx = 0; kx < c.taps_x; ++kx) {
                        const int tap = p.phase * taps + (kt * c.taps_y + ky) * c.taps_x + kx;
                        for (int chunk = 0; chunk < chunks; ++chunk) {
                            const uint32_t to = base + ring.stage * Stage::SIZE, ready = full + 8 * ring.stage;
                            barrier_wait(empty + 8 * ring.stage, ring.parity ^ 1);
                            barrier_expect(ready, bytes);
                            copy_box4(to, frames, chunk * DEPTH, left + kx, top + ky, at, ready);
#pragma unroll
                            for (int v = 0; v < V; ++v)
                                copy_box3(to + Stage::WEIGHTS + v * Stage::WEIGHTS_SPAN, weight, chunk * DEPTH,
                                          tap + v * c.taps_x, p.channel, ready);
                            ring.advance();
                        }
                    }
                }
            }
        }
        return;
    }

    take_registers<HELD ? 232 : 240>();
    const int lane = thread & 31, first = (group - 1) * M * 64;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const ConvolutionPlace p = convolution_place<N>(c, tile, tile_height);
        const int steps = (c.taps_t - convolution_first_tap(c, p.t)) * (c.taps_y / V) * c.taps_x * chunks;
        float sum[M][N / 2];
        int previous = 0;
        for (int step = 0; step < steps; ++step) {
            barrier_wait(full + 8 * ring.stage, ring.parity);
            const uint32_t at = base + ring.stage * Stage::SIZE;
            const uint64_t a = rows_operand<Stage::ROW>(at + first * Stage::ROW);
            const uint64_t b = rows_operand<Stage::ROW>(at + Stage::WEIGHTS);
            product_begin();
#pragma unroll
            for (int v = 0; v < V; ++v) {
#pragma unroll
                for (int k = 0; k < DEPTH / 16; ++k) {
#pragma unroll
                    for (int m = 0; m < M; ++m)
                        product(sum[m], a + (((m * 64 + (v << c.width_log)) * Stage::ROW + 32 * k) >> 4),
                                b + ((v * Stage::WEIGHTS_SPAN + 32 * k) >> 4), step | v | k);
                }
            }
            product_commit();
            // The stage before is read; this one may still be.
            product_wait<1>();
            if (step > 0 && lane == 0) barrier_arrive(empty + 8 * previous);
            previous = ring.stage;
            ring.advance();
        }
        const int scale = c.phases == 4 ? 2 : 1;
        auto row_of = [&](int i, bool& inside) {
            const int pixel = first + 64 * (i >> 1) + 16 * ((thread >> 5) & 3) + (lane >> 2) + 8 * (i & 1);
            const int y = p.y + (pixel >> c.width_log), px = p.x + (pixel & (tile_width - 1));
            const long long line = (long long)(p.t * c.height + y) * scale + (p.phase >> 1);
            inside = y < c.height && px < c.width;
            return ((line * c.width + px) * scale + (p.phase & 1)) * c.out_channels + p.channel;
        };
        bool inside;
        ResidualRow<N> held[HELD ? 2 * M : 1];
        // Other widths are not whole vectors, and are read where they are stored.
        if (HELD && residual && !(c.out_channels & 7)) {
#pragma unroll
            for (int i = 0; i < 2 * M; ++i) {
                const long long to = row_of(i, inside);
                held[i].load(residual + to, inside, c.out_channels - p.channel, lane & 3);
            }
        }
        product_wait<0>();
        if (lane == 0) barrier_arrive(empty + 8 * previous);
#pragma unroll
        for (int i = 0; i < 2 * M; ++i) {
            if (i % 2 == 0) settle(sum[i >> 1]);
            const long long to = row_of(i, inside);
            convolution_store<N>(sum[i >> 1], 2 * (i & 1), lane & 3, to, inside, p.channel, c, bias, residual,
                                 HELD ? &held[HELD ? i : 0] : nullptr, out, gamma, activated);
        }
    }
}
