// float32 to the 8-bit float of 4 exponent and 3 mantissa bits: nearest even, saturated at ±448.
#pragma once
#include "row.cuh"

// By arithmetic: a value is a whole number of eighths of its power of two, and the code counts those.
__device__ __forceinline__ unsigned char e4m3(float x) {
    const float size = fminf(fabsf(x), 448.0f);
    const int exponent = max((int)(__float_as_uint(size) >> 23) - 127, -6);
    const int eighths = (int)rintf(size * __uint_as_float((uint32_t)(130 - exponent) << 23));
    return (unsigned char)((x < 0.0f ? 0x80 : 0) | ((exponent + 6) * 8 + eighths));
}

// Four, the first in the lowest byte.
__device__ __forceinline__ uint32_t e4m3x4(float a, float b, float c, float d) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    uint16_t low, high;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(low) : "f"(b), "f"(a));
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(high) : "f"(d), "f"(c));
    return (uint32_t)low | ((uint32_t)high << 16);
#else
    return (uint32_t)e4m3(a) | ((uint32_t)e4m3(b) << 8) | ((uint32_t)e4m3(c) << 16) | ((uint32_t)e4m3(d) << 24);
#endif
}

// Eight neighbours as they are stored.
__device__ __forceinline__ uint2 e4m3x8(const float (&v)[8], float factor) {
    return make_uint2(e4m3x4(v[0] * factor, v[1] * factor, v[2] * factor, v[3] * factor),
                      e4m3x4(v[4] * factor, v[5] * factor, v[6] * factor, v[7] * factor));
}

// A factor for a row whose largest size is `top`: what it is stored with. Keeps that of an empty row finite.
__device__ __forceinline__ float e4m3_factor(float& top) {
    top = fmaxf(top, 1e-12f);
    return 448.0f / top;
}

// A warp's row with its own factor; `to` is where this lane's part of it begins.
template <int CHUNKS>
__device__ __forceinline__ void quantise_row(const WarpRow<CHUNKS>& row, unsigned char* to, float* scale) {
    float top = 0.0f;
    row.each([&](int, const float (&v)[8]) { top = largest8(v, top); });
    top = warp_max(top);
    const float factor = e4m3_factor(top);
    if ((threadIdx.x & 31) == 0) *scale = top / 448.0f;
    row.each([&](int i, const float (&v)[8]) { *reinterpret_cast<uint2*>(to + 256 * i) = e4m3x8(v, factor); });
}
