// quantize_fp8: rows to e4m3 and one float32 scale each; a thread block a row. x is read twice, the second time from the
// cache; a whole number of eights is taken sixteen bytes at a time.
#include "convert.cuh"
#include "e4m3.cuh"
#include "reduce.cuh"

extern "C" __global__ void __launch_bounds__(256) quantize_fp8(const bf16* x, unsigned char* values, float* scales,
                                                               int columns) {
    __shared__ float scratch[8];
    const bf16* from = x + (long long)blockIdx.x * columns;
    unsigned char* to = values + (long long)blockIdx.x * columns;
    const bool wide = (columns & 7) == 0;
    float top = 0.0f;
    if (wide) {
        for (int c = 8 * threadIdx.x; c < columns; c += 8 * 256) {
            float v[8];
            load8(from + c, v);
#pragma unroll
            for (int i = 0; i < 8; ++i) top = fmaxf(top, fabsf(v[i]));
        }
    } else {
        for (int c = threadIdx.x; c < columns; c += 256) top = fmaxf(top, fabsf(to_float(from[c])));
    }
    top = warp_max(top);
    if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = top;
    __syncthreads();
    for (int w = 0; w < 8; ++w) top = fmaxf(top, scratch[w]);
    top = fmaxf(top, 1e-12f);
    const float factor = 448.0f / top;
    if (threadIdx.x == 0) scales[blockIdx.x] = top / 448.0f;
    if (wide) {
        for (int c = 8 * threadIdx.x; c < columns; c += 8 * 256) {
            float v[8];
            load8(from + c, v);
            uint2 packed;
            packed.x = e4m3x4(v[0] * factor, v[1] * factor, v[2] * factor, v[3] * factor);
            packed.y = e4m3x4(v[4] * factor, v[5] * factor, v[6] * factor, v[7] * factor);
            *reinterpret_cast<uint2*>(to + c) = packed;
        }
    } else {
        for (int c = threadIdx.x; c < columns; c += 256) to[c] = e4m3(to_float(from[c]) * factor);
    }
}
