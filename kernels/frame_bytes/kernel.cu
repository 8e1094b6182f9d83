// Decoded frames to bytes: trunc(255·(1 + clamp(x, −1, 1))/2 + 0.5), 0 for what is not a number; and I420 of such bytes.
#include "convert.cuh"

__device__ int level(bf16 x) {
    const float value = to_float(x);
    const float level = 255.0f * (1.0f + fminf(fmaxf(value, -1.0f), 1.0f)) / 2.0f + 0.5f;
    return value == value ? (int)level : 0;
}

extern "C" __global__ void rgb8(const bf16* x, unsigned char* out, long long count) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    out[i] = (unsigned char)level(x[i]);
}

// A thread makes the chroma of four pixels and the luma of each. A frame's planes are Y, U, V; the shifts round down.
extern "C" __global__ void i420(const bf16* x, unsigned char* out, int height, int width, long long squares) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= squares) return;
    const long long pixels = (long long)height * width;
    const long long frame = i / (pixels / 4), square = i % (pixels / 4);
    const long long row = square / (width / 2) * 2, column = square % (width / 2) * 2;
    unsigned char* luma = out + frame * (pixels / 2 * 3);
    int sum[3] = {0, 0, 0};
    for (int corner = 0; corner < 4; ++corner) {
        const long long place = (row + corner / 2) * width + column + corner % 2;
        const bf16* pixel = x + (frame * pixels + place) * 3;
        const int red = level(pixel[0]), green = level(pixel[1]), blue = level(pixel[2]);
        luma[place] = (unsigned char)(16 + ((11966 * red + 40254 * green + 4064 * blue + (1 << 15)) >> 16));
        sum[0] += red;
        sum[1] += green;
        sum[2] += blue;
    }
    unsigned char* chroma = luma + pixels + square;
    chroma[0] = (unsigned char)(128 + ((-6596 * sum[0] - 22188 * sum[1] + 28784 * sum[2] + (1 << 17)) >> 18));
    chroma[pixels / 4] = (unsigned char)(128 + ((28784 * sum[0] - 26145 * sum[1] - 2639 * sum[2] + (1 << 17)) >> 18));
}
