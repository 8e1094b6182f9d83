// Changes of number format and of row length, elementwise.
#include "convert.cuh"

extern "C" __global__ void cast_bf16_f32(const bf16* x, float* out, long long count) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = to_float(x[i]);
}

extern "C" __global__ void cast_f32_bf16(const float* x, bf16* out, long long count) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = from_float<bf16>(x[i]);
}

// Rows of `from_channels` widened to `to_channels` with zeros.
extern "C" __global__ void widen_rows(const bf16* x, bf16* out, long long positions, int from_channels,
                                               int to_channels) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= positions * to_channels) return;
    const int c = (int)(i % to_channels);
    out[i] = c < from_channels ? x[i / to_channels * from_channels + c] : from_float<bf16>(0.0f);
}
