// rms_norm: out = x / √(mean(x²) + ε)·weight, a block a row. The norm is rounded before it is weighted, as published.
#include "convert.cuh"
#include "reduce.cuh"

extern "C" __global__ void __launch_bounds__(256) rms_norm(const bf16* x, const float* weight, bf16* out, int width,
                                                           float epsilon) {
    __shared__ float scratch[32];
    x += (long long)blockIdx.x * width;
    out += (long long)blockIdx.x * width;
    float squares = 0.0f;
    for (int c = threadIdx.x; c < width; c += blockDim.x) squares += to_float(x[c]) * to_float(x[c]);
    const float factor = rsqrtf(block_sum(squares, scratch) / width + epsilon);
    for (int c = threadIdx.x; c < width; c += blockDim.x)
        out[c] = from_float<bf16>(rounded(to_float(x[c]) * factor) * weight[c]);
}
