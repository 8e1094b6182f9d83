// interleave_frames: out[2t + half, p, c] = x[t, p, half·C + c]; one read and one write. A thread moves `grain`
// neighbouring channels, 8 or 1; `count` and `channels` are counted in grains.
#include "convert.cuh"

extern "C" __global__ void interleave_frames(const bf16* x, bf16* out, long long count, int positions, int channels, int grain) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const int c = (int)(i % channels);
    const long long p = i / channels % positions, frame = i / channels / positions;
    const long long from = ((frame >> 1) * positions + p) * 2 * channels + (frame & 1) * channels + c;
    if (grain == 8) reinterpret_cast<uint4*>(out)[i] = reinterpret_cast<const uint4*>(x)[from];
    else out[i] = x[from];
}
