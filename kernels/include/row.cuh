// A row of 256·CHUNKS bfloat16 in the registers of one warp: each lane holds eight neighbours of every 256. All loads are under
// way before the first is used.
#pragma once
#include "convert.cuh"
#include "reduce.cuh"

template <int CHUNKS> struct WarpRow {
    static constexpr int WIDTH = 256 * CHUNKS;
    uint4 raw[CHUNKS];

    // The row of this warp. The last rows are the first blocks': the operator before wrote them last, so that they are still in the
    // cache, and the one after begins with those that are written last here.
    static __device__ __forceinline__ long long index() {
        return (long long)(gridDim.x - 1 - blockIdx.x) * (blockDim.x >> 5) + (threadIdx.x >> 5);
    }

    // The first of this lane's columns in every 256.
    static __device__ __forceinline__ int first() { return (threadIdx.x & 31) * 8; }

    // Where this lane's part of the row begins.
    template <typename T> static __device__ __forceinline__ T* of(T* matrix) { return matrix + index() * WIDTH + first(); }

    __device__ __forceinline__ void load(const bf16* matrix) {
        const bf16* from = of(matrix);
#pragma unroll
        for (int i = 0; i < CHUNKS; ++i) raw[i] = *reinterpret_cast<const uint4*>(from + 256 * i);
    }

    // Σ term(value) over the whole row.
    template <typename Term> __device__ __forceinline__ float sum(Term&& term) const {
        float total = 0.0f, v[8];
#pragma unroll
        for (int i = 0; i < CHUNKS; ++i) {
            unpack8(raw[i], v);
#pragma unroll
            for (int j = 0; j < 8; ++j) total += term(v[j]);
        }
        return warp_sum(total);
    }

    // Calls body(i, v) with the eight values at column first() + 256·i, each of which it may change.
    template <typename Body> __device__ __forceinline__ void each(Body&& body) const {
#pragma unroll
        for (int i = 0; i < CHUNKS; ++i) {
            float v[8];
            unpack8(raw[i], v);
            body(i, v);
        }
    }
};
