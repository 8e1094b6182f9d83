// The autoencoder's norm over channels: x / max(‖x‖, 1e-12)·√channels·gamma, then SiLU where asked.
#pragma once
#include "convert.cuh"
#include "gelu.cuh"
#include "reduce.cuh"

// `lanes` neighbouring threads share a position; with fewer than 32 each holds 24 channels, eight together, in registers.
template <bool ACTIVATE>
__device__ __forceinline__ void channel_norm(const bf16* x, const float* gamma, bf16* out, long long positions,
                                             int channels, int lanes) {
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long position = thread / lanes;
    const int lane = (int)(thread % lanes);
    const bool inside = position < positions;
    const bf16* from = x + (inside ? position : 0) * channels;
    bf16* to = out + position * channels;
    auto factor_of = [&](float squares) { return sqrtf((float)channels) / fmaxf(sqrtf(squares), 1e-12f); };
    auto finish = [&](float normed) { return ACTIVATE ? silu(normed) : normed; };
    if (lanes < 32) {
        float v[3][8], squares = 0.0f;
#pragma unroll
        for (int i = 0; i < 3; ++i) load8(from + 8 * (lane + i * lanes), v[i]);
#pragma unroll
        for (int i = 0; i < 3; ++i)
#pragma unroll
            for (int j = 0; j < 8; ++j) squares += v[i][j] * v[i][j];
        for (int step = lanes >> 1; step > 0; step >>= 1) squares += __shfl_xor_sync(0xffffffffu, squares, step);
        const float factor = factor_of(squares);
        if (!inside) return;
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            const int c = 8 * (lane + i * lanes);
            float g[8];
            load8(gamma + c, g);
#pragma unroll
            for (int j = 0; j < 8; ++j) v[i][j] = finish(v[i][j] * factor * g[j]);
            store8(to + c, v[i]);
        }
        return;
    }
    // Any other count of channels: read twice, the second time from the cache.
    if (!inside) return;
    float squares = 0.0f;
    for (int c = lane; c < channels; c += 32) squares += to_float(from[c]) * to_float(from[c]);
    const float factor = factor_of(warp_sum(squares));
    for (int c = lane; c < channels; c += 32) to[c] = from_float<bf16>(finish(to_float(from[c]) * factor * gamma[c]));
}
