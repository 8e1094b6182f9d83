// Activation functions in float32.
#pragma once

// Tanh form of GELU: 0.5·(1 + tanh u) is 1 / (1 + e^−2u), without the slow tanh and exact division.
__device__ __forceinline__ float gelu_tanh(float x) {
    return __fdividef(x, 1.0f + __expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + __expf(-x)); }
