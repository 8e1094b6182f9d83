// Activation functions in float32.
#pragma once

// Tanh form of GELU: 0.5·(1 + tanh u) is 1 / (1 + e^−2u), without the slow tanh and exact division.
__device__ __forceinline__ float gelu_tanh(float x) {
    return __fdividef(x, 1.0f + __expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
}

// The hardware's, off by 5e-4 at most: a quarter of a rounding to bfloat16.
__device__ __forceinline__ float tanh_fast(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// For what is rounded to 8 bits, or computed where the slow instructions of the others would be waited for.
__device__ __forceinline__ float gelu_fast(float x) {
    const float half = 0.5f * x;
    return half + half * tanh_fast(x * (0.7978845608028654f + 0.035677408136300125f * x * x));
}

__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

// As x/2·(1 + tanh(x/2)).
__device__ __forceinline__ float silu_fast(float x) {
    const float half = 0.5f * x;
    return half + half * tanh_fast(half);
}
