// linear: what the matrix library cannot do in its own epilogue.
#include "convert.cuh"
#include "gelu.cuh"

// out = residual + gate·y, `gate` a number a column or null; y and the gate are rounded as they are published.
extern "C" __global__ void __launch_bounds__(256) linear_gated_residual(const bf16* y, const float* gate,
                                                                        const bf16* residual, bf16* out, long long count,
                                                                        int width) {
    const long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= count) return;
    if (width % 8 == 0) {
        const int c = (int)(i % width);
        float a[8], r[8];
        load8(y + i, a);
        load8(residual + i, r);
#pragma unroll
        for (int j = 0; j < 8; ++j) r[j] += gate ? rounded(a[j] * rounded(gate[c + j])) : a[j];
        store8(out + i, r);
    } else {
        for (long long j = i; j < min(i + 8, count); ++j)
            out[j] = from_float<bf16>(
                to_float(residual[j]) +
                (gate ? rounded(to_float(y[j]) * rounded(gate[j % width])) : to_float(y[j])));
    }
}

// The same of a stream that stays float32.
extern "C" __global__ void __launch_bounds__(256) linear_gated_residual_f32(const float* y, const float* gate,
                                                                            const float* residual, float* out,
                                                                            long long count, int width) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = residual[i] + (gate ? y[i] * gate[i % width] : y[i]);
}

// What a product's factors and bias become when its columns are gated.
extern "C" __global__ void __launch_bounds__(256) linear_gate(const float* gate, const float* scale, const bf16* bias,
                                                              float* gated_scale, bf16* gated_bias, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float g = rounded(gate[i]);
    gated_scale[i] = scale[i] * g;
    if (bias) gated_bias[i] = from_float<bf16>(to_float(bias[i]) * g);
}

// out = gelu(x), which a product of 8-bit floats, or in float32, leaves to a pass of its own.
template <typename T> __device__ __forceinline__ void gelu_of(const T* x, T* out, long long count) {
    const long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= count) return;
    if (i + 8 <= count) {
        float v[8];
        load8(x + i, v);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] = gelu_tanh(v[j]);
        store8(out + i, v);
    } else {
        for (long long j = i; j < count; ++j) out[j] = from_float<T>(gelu_tanh(to_float(x[j])));
    }
}

extern "C" __global__ void __launch_bounds__(256) linear_gelu(const bf16* x, bf16* out, long long count) {
    gelu_of(x, out, count);
}

extern "C" __global__ void __launch_bounds__(256) linear_gelu_f32(const float* x, float* out, long long count) {
    gelu_of(x, out, count);
}

// e4m3 as bfloat16, which holds each of them exactly: the bits of exponent and mantissa moved into a float32, whose exponent
// counts from 120 further down. `count` is a multiple of eight.
extern "C" __global__ void __launch_bounds__(256) linear_widen(const unsigned char* x, bf16* out, long long count) {
    const long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= count) return;
    const uint2 raw = *reinterpret_cast<const uint2*>(x + i);
    float v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
        const uint32_t code = (j < 4 ? raw.x : raw.y) >> 8 * (j & 3);
        v[j] = __uint_as_float((code & 0x80) << 24 | (code & 0x7f) << 20) * __uint_as_float((127 + 120) << 23);
    }
    store8(out + i, v);
}

// out = sum·(a factor a row)·(a factor a column) + bias + residual, the last two null where there is none. Rows are of
// whole eights.
extern "C" __global__ void __launch_bounds__(256) linear_scaled(const float* sum, const float* row_scale,
                                                                const float* column_scale, const bf16* bias,
                                                                const bf16* residual, bf16* out, long long count, int width) {
    const long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8;
    if (i >= count) return;
    const int c = (int)(i % width);
    const float factor = row_scale[i / width];
    float v[8], scale[8], other[8];
    load8(sum + i, v);
    load8(column_scale + c, scale);
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] *= factor * scale[j];
    if (bias) {
        load8(bias + c, other);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] += other[j];
    }
    if (residual) {
        load8(residual + i, other);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] += other[j];
    }
    store8(out + i, v);
}
