// A tile of bfloat16 rows in shared memory whose 16-byte chunks are permuted so that ldmatrix meets no bank conflict,
// and the addresses from which the fragments of mma.cuh are loaded.
#pragma once
#include "mma.cuh"

// ROW elements a row: 64 or more (a power of two), or 32.
template <int ROW> struct Tile {
    uint32_t base;

    __device__ __forceinline__ uint32_t address(int row, int column) const {
        const int chunk = column >> 3;
        const int swizzle = ROW >= 64 ? (row & 7) : ((row >> 1) & 3);
        return base + 2 * (row * ROW + (((chunk ^ swizzle) << 3) | (column & 7)));
    }

    // A, 16 rows × 16 of k, stored as rows of k.
    __device__ __forceinline__ void a(uint32_t (&r)[4], int row, int k) const {
        const int lane = threadIdx.x & 31;
        ldmatrix(r, address(row + (lane & 15), k + ((lane >> 4) << 3)));
    }

    // A, stored the other way: rows are k, columns are the product's rows.
    __device__ __forceinline__ void a_transposed(uint32_t (&r)[4], int row, int k) const {
        const int lane = threadIdx.x & 31;
        ldmatrix_transposed(r, address(k + (lane & 7) + ((lane >> 4) << 3), row + (((lane >> 3) & 1) << 3)));
    }

    // Two neighbouring B of 8 columns × 16 of k, stored as rows of k: r[0], r[1] and r[2], r[3].
    __device__ __forceinline__ void b(uint32_t (&r)[4], int column, int k) const {
        const int lane = threadIdx.x & 31;
        ldmatrix(r, address(column + (lane & 7) + ((lane >> 4) << 3), k + (((lane >> 3) & 1) << 3)));
    }

    // Two neighbouring B, stored as rows of the product's columns.
    __device__ __forceinline__ void b_transposed(uint32_t (&r)[4], int column, int k) const {
        const int lane = threadIdx.x & 31;
        ldmatrix_transposed(r, address(k + (lane & 15), column + ((lane >> 4) << 3)));
    }

    // Starts copying `rows` rows of ROW elements, `stride` elements apart, `inside` of them; the others become zero.
    __device__ __forceinline__ void load(const __nv_bfloat16* from, long long stride, int rows, int inside) const {
        constexpr int CHUNKS = ROW / 8;
        for (int i = threadIdx.x; i < rows * CHUNKS; i += blockDim.x) {
            const int row = i / CHUNKS, column = (i % CHUNKS) * 8;
            const bool valid = row < inside;
            copy16(address(row, column), from + (valid ? row * stride : 0) + column, valid);
        }
    }
};
