// float32 to the 8-bit float of 4 exponent and 3 mantissa bits: nearest even, saturated at ±448.
#pragma once
#include <stdint.h>

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
