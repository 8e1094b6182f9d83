// Loads and stores of bfloat16 and float32 as float32, one or eight at a time.
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

using bf16 = __nv_bfloat16;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }

template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }

__device__ __forceinline__ uint32_t pack(float low, float high) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&pair);
}

// The value after a trip through bfloat16: the networks store between operations. As the high half of a pair, which is one
// fast instruction; the conversion of a single number is a slow one.
__device__ __forceinline__ float rounded(float x) { return __uint_as_float(pack(0.0f, x)); }

__device__ __forceinline__ float2 unpack(uint32_t pair) {
    return __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&pair));
}

// Eight neighbours as they are stored.
__device__ __forceinline__ void unpack8(const uint4& raw, float (&to)[8]) {
    uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float2 pair = unpack(words[i]);
        to[2 * i] = pair.x;
        to[2 * i + 1] = pair.y;
    }
}

// Eight neighbours; the address must be a multiple of 16 bytes.
__device__ __forceinline__ void load8(const bf16* from, float (&to)[8]) {
    unpack8(*reinterpret_cast<const uint4*>(from), to);
}

__device__ __forceinline__ void load8(const float* from, float (&to)[8]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float4 raw = reinterpret_cast<const float4*>(from)[i];
        to[4 * i] = raw.x;
        to[4 * i + 1] = raw.y;
        to[4 * i + 2] = raw.z;
        to[4 * i + 3] = raw.w;
    }
}

__device__ __forceinline__ uint4 pack8(const float (&from)[8]) {
    uint4 raw;
    raw.x = pack(from[0], from[1]);
    raw.y = pack(from[2], from[3]);
    raw.z = pack(from[4], from[5]);
    raw.w = pack(from[6], from[7]);
    return raw;
}

__device__ __forceinline__ void store8(bf16* to, const float (&from)[8]) { *reinterpret_cast<uint4*>(to) = pack8(from); }

__device__ __forceinline__ void store8(float* to, const float (&from)[8]) {
    reinterpret_cast<float4*>(to)[0] = make_float4(from[0], from[1], from[2], from[3]);
    reinterpret_cast<float4*>(to)[1] = make_float4(from[4], from[5], from[6], from[7]);
}

// 2^x; exact to two units in the last place, and 0 for −∞.
__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
