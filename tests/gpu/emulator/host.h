// CUDA C++ as a host compiler sees it: keywords, types and warp functions, as far as the kernels use them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

using std::max;
using std::min;

struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// What the stand-in for the driver offers to kernels.
struct Index { unsigned x, y, z; };
enum WarpOperation { SHUFFLE = 1, VOTE, MMA_BF16, MMA_S8, MMA_E4M3, LDMATRIX, LDMATRIX_TRANSPOSED };
extern "C" {
extern Index emulated_thread, emulated_block, emulated_grid, emulated_threads;
extern unsigned char* emulated_shared;
void emulated_barrier();
// Returns once all 32 lanes are here and the operation has been done on their slots.
void emulated_warp(int operation, void* slot);
void emulated_copy16(uint32_t shared, const void* global, bool inside);
void emulated_commit();
void emulated_wait(int groups);
}

#define threadIdx emulated_thread
#define blockIdx emulated_block
#define blockDim emulated_threads
#define gridDim emulated_grid
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n)
// Blocks run one at a time, so a block's memory may be the library's.
#define __shared__ static
inline void __syncthreads() { emulated_barrier(); }

struct Shuffle { float value; int step; float result; };
inline float __shfl_xor_sync(unsigned, float value, int step) {
    Shuffle slot{value, step, 0.0f};
    emulated_warp(SHUFFLE, &slot);
    return slot.result;
}
struct Vote { unsigned value, ballot, sum; };
inline unsigned __ballot_sync(unsigned, bool value) {
    Vote slot{value, 0, 0};
    emulated_warp(VOTE, &slot);
    return slot.ballot;
}
inline unsigned __reduce_add_sync(unsigned, unsigned value) {
    Vote slot{value, 0, 0};
    emulated_warp(VOTE, &slot);
    return slot.sum;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline void __syncwarp() { __shfl_xor_sync(0xffffffffu, 0.0f, 0); }

struct __nv_bfloat16 { uint16_t bits; };
struct __nv_bfloat162 { __nv_bfloat16 x, y; };
inline float __bfloat162float(__nv_bfloat16 value) {
    const uint32_t bits = (uint32_t)value.bits << 16;
    float wide;
    memcpy(&wide, &bits, 4);
    return wide;
}
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (value != value) return {0x7fff};
    return {(uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)}; }
inline float2 __bfloat1622float2(__nv_bfloat162 pair) { return {__bfloat162float(pair.x), __bfloat162float(pair.y)}; }

inline float __expf(float x) { return expf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline uint32_t __float_as_uint(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
inline float __uint_as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
