// embedding: out[i] = table[ids[i]]; a block a row.
#include "convert.cuh"

extern "C" __global__ void embedding(const bf16* table, const int* ids, bf16* out, int width) {
    const bf16* from = table + (long long)ids[blockIdx.x] * width;
    bf16* to = out + (long long)blockIdx.x * width;
    for (int c = threadIdx.x; c < width; c += blockDim.x) to[c] = from[c];
}
