// modulation: out[n, d] = table[n, d] + embedding[n, d], or embedding[d] for every row; float32.
extern "C" __global__ void modulation(const float* table, const float* embedding, float* out, int count, int period) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = table[i] + embedding[i % period];
}
