// quantize_int8: blocks of 128×128 to int8 and one float32 scale each; a thread block a block. x is read twice, the
// second time from the cache.
#include "convert.cuh"
#include "reduce.cuh"

extern "C" __global__ void __launch_bounds__(256) quantize_int8(const bf16* x, signed char* values, float* scales, int rows,
                                                                int columns) {
    __shared__ float scratch[32];
    const int first_row = blockIdx.y * 128, first_column = blockIdx.x * 128;
    const int high = min(128, rows - first_row), wide = min(128, columns - first_column);
    const bf16* from = x + (long long)first_row * columns + first_column;
    signed char* to = values + (long long)first_row * columns + first_column;
    float top = 0.0f;
    for (int i = threadIdx.x; i < high * 128; i += 256) {
        const int c = i & 127;
        if (c < wide) top = fmaxf(top, fabsf(to_float(from[(long long)(i >> 7) * columns + c])));
    }
    top = warp_max(top);
    if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = top;
    __syncthreads();
    for (int w = 0; w < 8; ++w) top = fmaxf(top, scratch[w]);
    top = fmaxf(top, 1e-8f);
    const float factor = 128.0f / top;
    if (threadIdx.x == 0) scales[(long long)blockIdx.y * gridDim.x + blockIdx.x] = top / 128.0f;
    for (int i = threadIdx.x; i < high * 128; i += 256) {
        const int c = i & 127;
        if (c >= wide) continue;
        const long long at = (long long)(i >> 7) * columns + c;
        const float q = rintf(to_float(from[at]) * factor);
        to[at] = (signed char)fminf(fmaxf(q, -128.0f), 127.0f);
    }
}
