// interleave_frames: out[2t + half, p, c] = x[t, p, half·C + c]; one read and one write.
#include "convert.cuh"

extern "C" __global__ void interleave_frames(const bf16* x, bf16* out, long long count, int positions, int channels) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const int c = (int)(i % channels);
    const long long p = i / channels % positions, frame = i / channels / positions;
    out[i] = x[((frame >> 1) * positions + p) * 2 * channels + (frame & 1) * channels + c];
}
