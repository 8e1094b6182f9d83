// Convolution over channels-last frames as a matrix product whose left side is never written down: row m is an output
// position, column k is (tap, input channel), and each 16-byte chunk of it is copied straight from the frame it lies in.
// Tiles of 128 positions × N channels × 32 of k, four stages deep; bfloat16 products, float32 sums.
#pragma once
#include "convert.cuh"
#include "tile.cuh"

struct ConvShape {
    int in_frames, in_height, in_width, in_channels;   // of the frames given; channels a multiple of 8
    int before, remembered;                            // frames in front of them: zeros, the last ones `cache`
    int out_frames, out_height, out_width, out_channels;
    int taps_t, taps_y, taps_x;
    int stride_t, stride_s;
    int pad_top, pad_left;
    int magnify;                                       // 2: each input pixel is seen as 2×2
};

constexpr int CONV_ROWS = 128, CONV_DEPTH = 32, CONV_STAGES = 4, CONV_THREADS = 256;

template <int N> constexpr int conv_shared_bytes() { return 2 * CONV_STAGES * CONV_DEPTH * (CONV_ROWS + N); }

template <int N>
__device__ __forceinline__ void implicit_gemm(const bf16* x, const bf16* cache, const bf16* weight, const float* bias,
                                              const bf16* residual, bf16* out, const ConvShape& c) {
    extern __shared__ __align__(128) unsigned char shared[];
    const uint32_t base = shared_address(shared);
    constexpr int STAGE = 2 * CONV_DEPTH * (CONV_ROWS + N);
    auto a_tile = [&](int stage) { return Tile<CONV_DEPTH>{base + stage * STAGE}; };
    auto b_tile = [&](int stage) { return Tile<CONV_DEPTH>{base + stage * STAGE + 2 * CONV_DEPTH * CONV_ROWS}; };

    const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
    const long long positions = (long long)c.out_frames * c.out_height * c.out_width;
    const long long first_row = (long long)blockIdx.x * CONV_ROWS;
    const int first_channel = blockIdx.y * N;
    const int chunks_per_tap = c.in_channels >> 3;
    const int taps = c.taps_t * c.taps_y * c.taps_x;
    const int depth = taps * c.in_channels;
    const int steps = (depth + CONV_DEPTH - 1) / CONV_DEPTH;
    const int high = c.in_height * c.magnify, wide = c.in_width * c.magnify, shift = c.magnify >> 1;
    const long long frame = (long long)c.in_height * c.in_width * c.in_channels;

    // This thread copies chunk `thread & 3` of rows `thread / 4` and `thread / 4 + 64`.
    const int column = thread & 3;
    int row_t[2], row_y[2], row_x[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const long long m = first_row + (thread >> 2) + 64 * i;
        if (m < positions) {
            const int plane = c.out_height * c.out_width;
            const int t = (int)(m / plane), rest = (int)(m % plane);
            row_t[i] = t * c.stride_t;
            row_y[i] = rest / c.out_width * c.stride_s - c.pad_top;
            row_x[i] = rest % c.out_width * c.stride_s - c.pad_left;
        } else {
            row_t[i] = 0;
            row_y[i] = -(1 << 28);   // outside whatever the tap
            row_x[i] = 0;
        }
    }
    int chunk = column, tap_t = 0, tap_y = 0, tap_x = 0, tap = 0;
    auto carry = [&]() {
        while (chunk >= chunks_per_tap) {
            chunk -= chunks_per_tap;
            ++tap;
            if (++tap_x == c.taps_x) {
                tap_x = 0;
                if (++tap_y == c.taps_y) {
                    tap_y = 0;
                    ++tap_t;
                }
            }
        }
    };
    carry();

    auto load = [&](int step) {
        if (step < steps) {
            const int stage = step % CONV_STAGES;
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const int t = row_t[i] + tap_t, y = row_y[i] + tap_y, px = row_x[i] + tap_x;
                bool inside = tap < taps && y >= 0 && y < high && px >= 0 && px < wide;
                const bf16* frames = x;
                int at = t - c.before;
                if (at < 0) {
                    frames = cache;
                    at += c.remembered;
                    inside = inside && at >= 0;
                } else {
                    inside = inside && at < c.in_frames;
                }
                const long long offset =
                    at * frame + ((long long)(y >> shift) * c.in_width + (px >> shift)) * c.in_channels + chunk * 8;
                copy16(a_tile(stage).address((thread >> 2) + 64 * i, column * 8), inside ? frames + offset : x, inside);
            }
            const int k = step * CONV_DEPTH + column * 8;
            for (int n = thread >> 2; n < N; n += CONV_THREADS / 4) {
                const bool inside = k < depth && first_channel + n < c.out_channels;
                const bf16* from = inside ? weight + (long long)(first_channel + n) * depth + k : weight;
                copy16(b_tile(stage).address(n, column * 8), from, inside);
            }
            chunk += CONV_DEPTH / 8;
            carry();
        }
        copy_commit();
    };

    // Warps stand four along the positions and two along the channels.
    constexpr int COLUMNS = N / 2;
    const int warp_row = (warp >> 1) * 32, warp_column = (warp & 1) * COLUMNS;
    float sum[2][COLUMNS / 8][4];
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[m][n][i] = 0.0f;

#pragma unroll
    for (int step = 0; step < CONV_STAGES - 1; ++step) load(step);
    for (int step = 0; step < steps; ++step) {
        copy_wait<CONV_STAGES - 2>();
        __syncthreads();
        load(step + CONV_STAGES - 1);
        const int stage = step % CONV_STAGES;
#pragma unroll
        for (int k = 0; k < CONV_DEPTH; k += 16) {
            uint32_t a[2][4];
            a_tile(stage).a(a[0], warp_row, k);
            a_tile(stage).a(a[1], warp_row + 16, k);
#pragma unroll
            for (int n = 0; n < COLUMNS / 16; ++n) {
                uint32_t b[4];
                b_tile(stage).b(b, warp_column + 16 * n, k);
#pragma unroll
                for (int m = 0; m < 2; ++m) {
                    mma_bf16(sum[m][2 * n], a[m], b[0], b[1]);
                    mma_bf16(sum[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }
    copy_wait<0>();

    const int g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const long long row = first_row + warp_row + 16 * m + 8 * half + g;
            if (row >= positions) continue;
#pragma unroll
            for (int n = 0; n < COLUMNS / 8; ++n) {
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    const int channel = first_channel + warp_column + 8 * n + 2 * t + i;
                    if (channel >= c.out_channels) continue;
                    float value = sum[m][n][2 * half + i] + (bias ? bias[channel] : 0.0f);
                    const long long to = row * c.out_channels + channel;
                    if (residual) value = rounded(value) + to_float(residual[to]);
                    out[to] = from_float<bf16>(value);
                }
            }
        }
    }
}
