// quantize_int8: blocks of 128×128 to int8 and one float32 scale each; a thread block a block. Where rows are of whole eights the
// block stays in registers and is read once, all loads under way at once; else twice, the second time from the cache.
#include "convert.cuh"
#include "reduce.cuh"

__device__ __forceinline__ int int8_of(float x, float factor) {
    return (int)fminf(fmaxf(rintf(x * factor), -128.0f), 127.0f) & 0xff;
}

extern "C" __global__ void __launch_bounds__(256) quantize_int8(const bf16* x, signed char* values, float* scales, int rows,
                                                                int columns) {
    // Eights of a thread, sixteen rows apart.
    constexpr int HELD = 8;
    __shared__ float scratch[8];
    const int first_row = blockIdx.y * 128, first_column = blockIdx.x * 128;
    const int high = min(128, rows - first_row), wide = min(128, columns - first_column);
    const bf16* from = x + (long long)first_row * columns + first_column;
    signed char* to = values + (long long)first_row * columns + first_column;
    const bool whole = (columns & 7) == 0;
    const int c = 8 * (threadIdx.x & 15), r = threadIdx.x >> 4;
    uint4 held[HELD];
    float top = 0.0f;
    if (whole) {
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            const int row = r + 16 * i;
            held[i] = make_uint4(0, 0, 0, 0);
            if (row < high && c < wide)
                held[i] = *reinterpret_cast<const uint4*>(from + (long long)row * columns + c);
        }
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            float v[8];
            unpack8(held[i], v);
            top = largest8(v, top);
        }
    } else {
        for (int i = threadIdx.x; i < high * 128; i += 256) {
            const int column = i & 127;
            if (column < wide) top = fmaxf(top, fabsf(to_float(from[(long long)(i >> 7) * columns + column])));
        }
    }
    top = warp_max(top);
    if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = top;
    __syncthreads();
    for (int w = 0; w < 8; ++w) top = fmaxf(top, scratch[w]);
    top = fmaxf(top, 1e-8f);
    const float factor = 128.0f / top;
    if (threadIdx.x == 0) scales[(long long)blockIdx.y * gridDim.x + blockIdx.x] = top / 128.0f;
    if (whole) {
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            const int row = r + 16 * i;
            if (row >= high || c >= wide) continue;
            float v[8];
            unpack8(held[i], v);
            uint32_t words[2] = {};
#pragma unroll
            for (int j = 0; j < 8; ++j) words[j >> 2] |= (uint32_t)int8_of(v[j], factor) << 8 * (j & 3);
            *reinterpret_cast<uint2*>(to + (long long)row * columns + c) = make_uint2(words[0], words[1]);
        }
    } else {
        for (int i = threadIdx.x; i < high * 128; i += 256) {
            const int column = i & 127;
            if (column >= wide) continue;
            const long long at = (long long)(i >> 7) * columns + column;
            to[at] = (signed char)int8_of(to_float(from[at]), factor);
        }
    }
}
