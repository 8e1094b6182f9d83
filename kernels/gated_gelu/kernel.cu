// gated_gelu: out = up·gelu(gate), elementwise; two reads and one write.
#include "convert.cuh"
#include "gelu.cuh"

// The activation is rounded first, as it is published, but for float32.
extern "C" __global__ void gated_gelu(const bf16* gate, const bf16* up, bf16* out, long long count) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = from_float<bf16>(to_float(up[i]) * rounded(gelu_tanh(to_float(gate[i]))));
}

extern "C" __global__ void gated_gelu_f32(const float* gate, const float* up, float* out, long long count) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = up[i] * gelu_tanh(gate[i]);
}
