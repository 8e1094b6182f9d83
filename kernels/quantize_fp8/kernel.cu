// quantize_fp8: rows to e4m3 and one float32 scale each, with GELU before where asked. Rows of the published widths are a
// warp's; any other, and all with GELU, are a thread block's. Rows of whole eights stay in registers and are read once; others
// are read twice, the second time from the cache.
#include "e4m3.cuh"
#include "gelu.cuh"

// Eights of a thread; 256 threads hold 14336 columns.
constexpr int HELD = 7;

template <bool GELU> __device__ __forceinline__ float before(float x) { return GELU ? rounded(gelu_fast(x)) : x; }

template <bool GELU>
__device__ __forceinline__ void quantise(const bf16* x, unsigned char* values, float* scales, int columns) {
    __shared__ float scratch[8];
    const bf16* from = x + (long long)blockIdx.x * columns;
    unsigned char* to = values + (long long)blockIdx.x * columns;
    const bool wide = (columns & 7) == 0 && columns <= 8 * 256 * HELD;
    uint4 held[HELD];
    float top = 0.0f;
    if (wide) {
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            const int c = 8 * (threadIdx.x + 256 * i);
            if (c < columns) held[i] = *reinterpret_cast<const uint4*>(from + c);
        }
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            if (8 * (threadIdx.x + 256 * i) >= columns) continue;
            float v[8];
            unpack8(held[i], v);
#pragma unroll
            for (int j = 0; j < 8; ++j) v[j] = before<GELU>(v[j]);
            if (GELU) held[i] = pack8(v);
            top = largest8(v, top);
        }
    } else {
        for (int c = threadIdx.x; c < columns; c += 256) top = fmaxf(top, fabsf(before<GELU>(to_float(from[c]))));
    }
    top = warp_max(top);
    if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = top;
    __syncthreads();
    for (int w = 0; w < 8; ++w) top = fmaxf(top, scratch[w]);
    const float factor = e4m3_factor(top);
    if (threadIdx.x == 0) scales[blockIdx.x] = top / 448.0f;
    if (wide) {
#pragma unroll
        for (int i = 0; i < HELD; ++i) {
            const int c = 8 * (threadIdx.x + 256 * i);
            if (c >= columns) continue;
            float v[8];
            unpack8(held[i], v);
            *reinterpret_cast<uint2*>(to + c) = e4m3x8(v, factor);
        }
    } else {
        for (int c = threadIdx.x; c < columns; c += 256) to[c] = e4m3(before<GELU>(to_float(from[c])) * factor);
    }
}

extern "C" __global__ void __launch_bounds__(256) quantize_fp8(const bf16* x, unsigned char* values, float* scales,
                                                               int columns) {
    quantise<false>(x, values, scales, columns);
}

extern "C" __global__ void __launch_bounds__(256) quantize_gelu_fp8(const bf16* x, unsigned char* values, float* scales,
                                                                    int columns) {
    quantise<true>(x, values, scales, columns);
}

#define QUANTIZE_FP8_ROWS(WIDTH)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256) quantize_fp8_##WIDTH(const bf16* x, unsigned char* values,       \
                                                                           float* scales, int rows) {                 \
        WarpRow<WIDTH / 256> row;                                                                                     \
        if (row.index() >= rows) return;                                                                              \
        row.load(x);                                                                                                  \
        quantise_row(row, row.of(values), scales + row.index());                                                      \
    }
QUANTIZE_FP8_ROWS(1536)
QUANTIZE_FP8_ROWS(5120)
