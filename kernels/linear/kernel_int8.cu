// linear_int8: y = Σ over blocks of 128 inputs of float(x8·w8ᵀ)·(scale of x's block · scale of w's block), rounded, plus
// bias, rounded again, then GELU where asked. Tiles of 128×128, one block of inputs a stage, two stages.
// Grid: (outputs / 128, rows / 128).
#include "convert.cuh"
#include "gelu.cuh"
#include "tile.cuh"

constexpr int BLOCK = 128, STAGES = 2, STAGE_BYTES = 2 * BLOCK * BLOCK;

extern "C" __global__ void __launch_bounds__(256, 1) linear_int8(const signed char* x, const float* x_scale,
                                                                 const signed char* w, const float* w_scale,
                                                                 const bf16* bias, bf16* out, int rows, int outputs,
                                                                 int inputs, int gelu) {
    extern __shared__ __align__(128) unsigned char shared[];
    const uint32_t base = shared_address(shared);
    // A row of 128 int8 has the bytes of 64 bfloat16, and the fragments of m16n8k32.s8 those of m16n8k16.
    auto x_tile = [&](int step) { return Tile<64>{base + (step % STAGES) * STAGE_BYTES}; };
    auto w_tile = [&](int step) { return Tile<64>{base + (step % STAGES) * STAGE_BYTES + BLOCK * BLOCK}; };
    const int first_row = blockIdx.y * BLOCK, first_output = blockIdx.x * BLOCK, steps = inputs / BLOCK;
    const bf16* x_pairs = reinterpret_cast<const bf16*>(x + (long long)first_row * inputs);
    const bf16* w_pairs = reinterpret_cast<const bf16*>(w + (long long)first_output * inputs);
    auto load = [&](int step) {
        if (step < steps) {
            x_tile(step).load(x_pairs + step * 64, inputs / 2, BLOCK, rows - first_row);
            w_tile(step).load(w_pairs + step * 64, inputs / 2, BLOCK, outputs - first_output);
        }
        copy_commit();
    };
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const int warp_row = (warp >> 1) * 32, warp_column = (warp & 1) * 64;
    float sum[2][8][4];
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[m][n][i] = 0.0f;

    load(0);
    for (int step = 0; step < steps; ++step) {
        load(step + 1);
        copy_wait<1>();
        __syncthreads();
        int part[2][8][4] = {};
#pragma unroll
        for (int k = 0; k < 64; k += 16) {
            uint32_t a[2][4];
            x_tile(step).a(a[0], warp_row, k);
            x_tile(step).a(a[1], warp_row + 16, k);
#pragma unroll
            for (int n = 0; n < 4; ++n) {
                uint32_t b[4];
                w_tile(step).b(b, warp_column + 16 * n, k);
#pragma unroll
                for (int m = 0; m < 2; ++m) {
                    mma_s8(part[m][2 * n], a[m], b[0], b[1]);
                    mma_s8(part[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
        const float scale = x_scale[(long long)blockIdx.y * steps + step] * w_scale[(long long)blockIdx.x * steps + step];
#pragma unroll
        for (int m = 0; m < 2; ++m)
#pragma unroll
            for (int n = 0; n < 8; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) sum[m][n][i] += (float)part[m][n][i] * scale;
        __syncthreads();
    }
    copy_wait<0>();

    const int g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 8; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int row = first_row + warp_row + 16 * m + g + 8 * (i >> 1);
                const int output = first_output + warp_column + 8 * n + 2 * t + (i & 1);
                if (row >= rows || output >= outputs) continue;
                float y = rounded(sum[m][n][i]);
                if (bias) y = rounded(y + to_float(bias[output]));
                out[(long long)row * outputs + output] = from_float<bf16>(gelu ? gelu_tanh(y) : y);
            }
        }
    }
}
