// layer_norm_modulate: out = norm(x)·(offset + scale) + shift. Rows of the published widths are a warp's and stay in its
// registers; any other is a block's and stays in shared memory.
// Reads x once and writes out once; the norm is rounded to bfloat16 before it is scaled, as it is published, unless x is a
// stream in float32.
#include "e4m3.cuh"
#include "row.cuh"

template <typename In, typename Out>
__device__ __forceinline__ void layer_norm(const In* x, const float* shift, const float* scale, Out* out, int width,
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
        const float norm = (row[c] - mean) * factor;
        return (sizeof(In) == sizeof(float) ? norm : rounded(norm)) * (offset + scale[c]) + shift[c];
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

// Of a stream in float32.
extern "C" __global__ void __launch_bounds__(256) layer_norm_modulate_of_f32(const float* x, const float* shift,
                                                                             const float* scale, bf16* out, int width,
                                                                             float offset, float epsilon) {
    layer_norm(x, shift, scale, out, width, offset, epsilon);
}

extern "C" __global__ void __launch_bounds__(256) layer_norm_modulate_f32_of_f32(const float* x, const float* shift,
                                                                                 const float* scale, float* out, int width,
                                                                                 float offset, float epsilon) {
    layer_norm(x, shift, scale, out, width, offset, epsilon);
}

// For the head, whose product runs in float32.
extern "C" __global__ void __launch_bounds__(256) layer_norm_modulate_f32(const bf16* x, const float* shift,
                                                                          const float* scale, float* out, int width,
                                                                          float offset, float epsilon) {
    layer_norm(x, shift, scale, out, width, offset, epsilon);
}

// Rows of 256·CHUNKS elements, a warp each. `store` gets (i, v): the outcome at the lane's columns of chunk i.
template <int CHUNKS, typename Store>
__device__ __forceinline__ void layer_norm_in_registers(const WarpRow<CHUNKS>& row, const float* shift, const float* scale,
                                                        float offset, float epsilon, Store&& store) {
    const float mean = row.sum([](float v) { return v; }) / row.WIDTH;
    const float factor = rsqrtf(row.sum([&](float v) { return (v - mean) * (v - mean); }) / row.WIDTH + epsilon);
    row.each([&](int i, float (&v)[8]) {
        float a[8], b[8];
        load8(scale + row.first() + 256 * i, a);
        load8(shift + row.first() + 256 * i, b);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] = rounded((v[j] - mean) * factor) * (offset + a[j]) + b[j];
        store(i, v);
    });
}

// Rows as they are, and rows in e4m3 with a factor each, as `quantize_fp8` would make of them.
#define LAYER_NORM_IN_REGISTERS(WIDTH)                                                                               \
    extern "C" __global__ void __launch_bounds__(256) layer_norm_modulate_##WIDTH(                                    \
        const bf16* x, const float* shift, const float* scale, bf16* out, int rows, float offset, float epsilon) {    \
        WarpRow<WIDTH / 256> row;                                                                                     \
        if (row.index() >= rows) return;                                                                              \
        row.load(x);                                                                                                  \
        bf16* to = row.of(out);                                                                                       \
        layer_norm_in_registers(row, shift, scale, offset, epsilon,                                                   \
                                [&](int i, const float (&v)[8]) { store8(to + 256 * i, v); });                        \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(256) layer_norm_modulate_fp8_##WIDTH(                                \
        const bf16* x, const float* shift, const float* scale, unsigned char* values, float* scales, int rows,        \
        float offset, float epsilon) {                                                                                \
        WarpRow<WIDTH / 256> row;                                                                                     \
        if (row.index() >= rows) return;                                                                              \
        row.load(x);                                                                                                  \
        layer_norm_in_registers(row, shift, scale, offset, epsilon,                                                   \
                                [&](int i, const float (&v)[8]) { row.raw[i] = pack8(v); });                          \
        quantise_row(row, row.of(values), scales + row.index());                                                      \
    }
LAYER_NORM_IN_REGISTERS(1536)
LAYER_NORM_IN_REGISTERS(5120)
