// layer_norm_modulate: out = norm(x)·(offset + scale) + shift, one block a row, the row kept in shared memory.
// Reads x once and writes out once; the norm is rounded to bfloat16 before it is scaled, as it is published.
#include "convert.cuh"
#include "reduce.cuh"

template <typename Out>
__device__ __forceinline__ void layer_norm(const bf16* x, const float* shift, const float* scale, Out* out, int width,
                                           float offset, float epsilon) {
    extern __shared__ __align__(16) float row[];
    __shared__ float scratch[32];
    x += (long long)blockIdx.x * width;
    out += (long long)blockIdx.x * width;
    const bool wide = width % 8 == 0;
    float sum = 0.0f;
    if (wide) {
        for (int c = threadIdx.x * 8; c < width; c += blockDim.x * 8) {
            float v[8];
            load8(x + c, v);
            store8(row + c, v);
#pragma unroll
            for (int i = 0; i < 8; ++i) sum += v[i];
        }
    } else {
        for (int c = threadIdx.x; c < width; c += blockDim.x) sum += row[c] = to_float(x[c]);
    }
    // Each thread reads back only what it wrote itself, so no barrier is needed for the row.
    const float mean = block_sum(sum, scratch) / width;
    float squares = 0.0f;
    auto each = [&](auto&& body) {
        if (wide) {
            for (int c = threadIdx.x * 8; c < width; c += blockDim.x * 8)
#pragma unroll
                for (int i = 0; i < 8; ++i) body(c + i);
        } else {
            for (int c = threadIdx.x; c < width; c += blockDim.x) body(c);
        }
    };
    each([&](int c) {
        const float d = row[c] - mean;
        squares += d * d;
    });
    const float factor = rsqrtf(block_sum(squares, scratch) / width + epsilon);
    auto finish = [&](int c) {
        return rounded((row[c] - mean) * factor) * (offset + scale[c]) + shift[c];
    };
    if (wide) {
        for (int c = threadIdx.x * 8; c < width; c += blockDim.x * 8) {
            float v[8];
#pragma unroll
            for (int i = 0; i < 8; ++i) v[i] = finish(c + i);
            store8(out + c, v);
        }
    } else {
        for (int c = threadIdx.x; c < width; c += blockDim.x) out[c] = from_float<Out>(finish(c));
    }
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_modulate(const bf16* x, const float* shift, const float* scale,
                                                                      bf16* out, int width, float offset, float epsilon) {
    layer_norm(x, shift, scale, out, width, offset, epsilon);
}

// For the head, whose product runs in float32.
extern "C" __global__ void __launch_bounds__(256) layer_norm_modulate_f32(const bf16* x, const float* shift,
                                                                          const float* scale, float* out, int width,
                                                                          float offset, float epsilon) {
    layer_norm(x, shift, scale, out, width, offset, epsilon);
}
