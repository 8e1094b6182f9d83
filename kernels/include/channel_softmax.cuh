// The softmax over the 128 channels of a token's head, which the linear branch of sparse attention takes of queries and keys.
#pragma once
#include "convert.cuh"

constexpr int D = 128;

// A token's 128 channels are eight neighbouring lanes': a lane has the eight from 8·e on and those from 64 + 8·e on.
struct Part {
    uint4 low, high;
};

__device__ __forceinline__ Part load_part(const bf16* row, bool inside) {
    const int e = threadIdx.x & 7;
    const uint4 zero = {0, 0, 0, 0};
    const uint4* from = reinterpret_cast<const uint4*>(row);
    return inside ? Part{from[e], from[8 + e]} : Part{zero, zero};
}

__device__ __forceinline__ float sum_of_eight(float x) {
#pragma unroll
    for (int step = 4; step > 0; step >>= 1) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// The softmax over a token's channels, rounded as it is stored.
__device__ __forceinline__ void channel_softmax(const Part& part, float (&low)[8], float (&high)[8]) {
    unpack8(part.low, low);
    unpack8(part.high, high);
    float top = low[0], sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; ++i) top = fmaxf(top, fmaxf(low[i], high[i]));
#pragma unroll
    for (int step = 4; step > 0; step >>= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, step));
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        low[i] = __expf(low[i] - top);
        high[i] = __expf(high[i] - top);
        sum += low[i] + high[i];
    }
    const float factor = 1.0f / sum_of_eight(sum);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        low[i] = rounded(low[i] * factor);
        high[i] = rounded(high[i] * factor);
    }
}
