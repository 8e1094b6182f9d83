// The autoencoder's norm over channels, a warp a position: x / max(‖x‖, 1e-12)·√channels·gamma, then SiLU where asked.
#pragma once
#include "convert.cuh"
#include "gelu.cuh"
#include "reduce.cuh"

template <bool ACTIVATE>
__device__ __forceinline__ void channel_norm(const bf16* x, const float* gamma, bf16* out, long long positions,
                                             int channels) {
    const long long position = (long long)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (position >= positions) return;
    const int lane = threadIdx.x & 31;
    const bf16* from = x + position * channels;
    bf16* to = out + position * channels;
    float squares = 0.0f;
    const bool wide = channels % 8 == 0;
    if (wide) {
        for (int c = lane * 8; c < channels; c += 256) {
            float v[8];
            load8(from + c, v);
#pragma unroll
            for (int i = 0; i < 8; ++i) squares += v[i] * v[i];
        }
    } else {
        for (int c = lane; c < channels; c += 32) squares += to_float(from[c]) * to_float(from[c]);
    }
    const float factor = sqrtf((float)channels) / fmaxf(sqrtf(warp_sum(squares)), 1e-12f);
    auto finish = [&](float v, int c) {
        const float normed = v * factor * gamma[c];
        return ACTIVATE ? silu(normed) : normed;
    };
    if (wide) {
        for (int c = lane * 8; c < channels; c += 256) {
            float v[8];
            load8(from + c, v);
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] = finish(v[i], c + i);
            store8(to + c, v);
        }
    } else {
        for (int c = lane; c < channels; c += 32) to[c] = from_float<bf16>(finish(to_float(from[c]), c));
    }
}
