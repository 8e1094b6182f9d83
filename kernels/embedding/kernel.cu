// embedding: out[i] = table[ids[i]]; a block a row.
#include "convert.cuh"

template <typename T> __device__ __forceinline__ void copy_row(const T* table, const int* ids, T* out, int width) {
    const T* from = table + (long long)ids[blockIdx.x] * width;
    T* to = out + (long long)blockIdx.x * width;
    for (int c = threadIdx.x; c < width; c += blockDim.x) to[c] = from[c];
}

extern "C" __global__ void embedding(const bf16* table, const int* ids, bf16* out, int width) {
    copy_row(table, ids, out, width);
}

extern "C" __global__ void embedding_f32(const float* table, const int* ids, float* out, int width) {
    copy_row(table, ids, out, width);
}
