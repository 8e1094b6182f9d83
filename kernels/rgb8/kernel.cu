// rgb8: trunc(255·(1 + clamp(x, −1, 1))/2 + 0.5); what is not a number becomes 0.
#include "convert.cuh"

extern "C" __global__ void rgb8(const bf16* x, unsigned char* out, long long count) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float value = to_float(x[i]);
    const float level = 255.0f * (1.0f + fminf(fmaxf(value, -1.0f), 1.0f)) / 2.0f + 0.5f;
    out[i] = value == value ? (unsigned char)level : 0;
}
