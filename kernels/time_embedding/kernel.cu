// time_embedding: out = W·x + b for one row in float32, weights of either format; a warp an output.
// Reads the weights once; nothing else counts.
#include "convert.cuh"
#include "gelu.cuh"
#include "reduce.cuh"

// `activate`: x is taken through SiLU first.
template <typename Weight>
__device__ __forceinline__ void row_times_matrix(const float* x, const Weight* weight, const float* bias, float* out,
                                                 int outputs, int inputs, int activate) {
    const int n = blockIdx.x * 8 + (threadIdx.x >> 5), lane = threadIdx.x & 31;
    if (n >= outputs) return;
    const Weight* row = weight + (long long)n * inputs;
    float sum = 0.0f;
    for (int k = lane; k < inputs; k += 32) sum += (activate ? silu(x[k]) : x[k]) * to_float(row[k]);
    sum = warp_sum(sum);
    if (lane == 0) out[n] = sum + (bias ? bias[n] : 0.0f);
}

extern "C" __global__ void __launch_bounds__(256) time_embedding_bf16(const float* x, const bf16* weight, const float* bias,
                                                                      float* out, int outputs, int inputs, int activate) {
    row_times_matrix(x, weight, bias, out, outputs, inputs, activate);
}

extern "C" __global__ void __launch_bounds__(256) time_embedding_f32(const float* x, const float* weight, const float* bias,
                                                                     float* out, int outputs, int inputs, int activate) {
    row_times_matrix(x, weight, bias, out, outputs, inputs, activate);
}
