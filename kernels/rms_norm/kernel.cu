// rms_norm: out = x / √(mean(x²) + ε)·weight, a block a row. The norm is rounded before it is weighted, as
// published, but for float32.
#include "convert.cuh"
#include "reduce.cuh"

template <typename T>
__device__ __forceinline__ void norm_a_row(const T* x, const float* weight, T* out, int width, float epsilon) {
    __shared__ float scratch[32];
    x += (long long)blockIdx.x * width;
    out += (long long)blockIdx.x * width;
    float squares = 0.0f;
    for (int c = threadIdx.x; c < width; c += blockDim.x) squares += to_float(x[c]) * to_float(x[c]);
    const float factor = rsqrtf(block_sum(squares, scratch) / width + epsilon);
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        const float norm = to_float(x[c]) * factor;
        out[c] = from_float<T>((sizeof(T) < sizeof(float) ? rounded(norm) : norm) * weight[c]);
    }
}

extern "C" __global__ void __launch_bounds__(256) rms_norm(const bf16* x, const float* weight, bf16* out, int width,
                                                           float epsilon) {
    norm_a_row(x, weight, out, width, epsilon);
}

extern "C" __global__ void __launch_bounds__(256) rms_norm_f32(const float* x, const float* weight, float* out, int width,
                                                               float epsilon) {
    norm_a_row(x, weight, out, width, epsilon);
}
