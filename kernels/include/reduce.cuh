// Sums and maxima of a thread's numbers, over a warp and over a block.
#pragma once

// The largest size of eight values, at least `top`.
__device__ __forceinline__ float largest8(const float (&v)[8], float top) {
#pragma unroll
    for (int j = 0; j < 8; ++j) top = fmaxf(top, fabsf(v[j]));
    return top;
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

// Every thread of the block gets what `over_warp` makes of all numbers; `nothing` changes no outcome. At most 32 warps. `scratch`
// holds 32 floats and may be used again at once.
template <typename Fold>
__device__ __forceinline__ float over_block(float x, float* scratch, float nothing, Fold&& over_warp) {
    x = over_warp(x);
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    __syncthreads();
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    return over_warp(lane < warps ? scratch[lane] : nothing);
}

__device__ __forceinline__ float block_sum(float x, float* scratch) {
    return over_block(x, scratch, 0.0f, [](float v) { return warp_sum(v); });
}

__device__ __forceinline__ float block_max(float x, float* scratch) {
    return over_block(x, scratch, -INFINITY, [](float v) { return warp_max(v); });
}
