// patchify: latent to tokens and back, one thread an element. Latents are [channels, T, H, W] of float32, tokens rows of
// features; in a token the channel is slowest on the way in and fastest on the way out.
#include "convert.cuh"

struct Place {
    int t, h, w;   // of the patch
    int dt, dh, dw;   // in the patch
};

__device__ __forceinline__ Place place(long long token, int inside, int height, int width, int pt, int ph, int pw) {
    const int across = width / pw, down = height / ph;
    Place p;
    p.w = (int)(token % across);
    p.h = (int)(token / across % down);
    p.t = (int)(token / across / down);
    p.dw = inside % pw;
    p.dh = inside / pw % ph;
    p.dt = inside / pw / ph;
    return p;
}

__device__ __forceinline__ long long pixel(const Place& p, int channel, int frames, int height, int width, int pt, int ph,
                                           int pw) {
    return (((long long)channel * frames + p.t * pt + p.dt) * height + p.h * ph + p.dh) * width + p.w * pw + p.dw;
}

// Writes the `channels` of one part into features `first`·volume.. of every token of `features` numbers.
template <typename T>
__device__ __forceinline__ void tokens_of(const float* part, T* tokens, long long count, int channels, int first, int features,
                                          int frames, int height, int width, int pt, int ph, int pw) {
    const int volume = pt * ph * pw, mine = channels * volume;
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count * mine) return;
    const long long token = i / mine;
    const int feature = (int)(i % mine), channel = feature / volume;
    const Place p = place(token, feature % volume, height, width, pt, ph, pw);
    tokens[token * features + first * volume + feature] =
        from_float<T>(part[pixel(p, channel, frames, height, width, pt, ph, pw)]);
}

#define PATCHIFY(NAME, T)                                                                                            \
    extern "C" __global__ void NAME(const float* part, T* tokens, long long count, int channels, int first,           \
                                    int features, int frames, int height, int width, int pt, int ph, int pw) {        \
        tokens_of(part, tokens, count, channels, first, features, frames, height, width, pt, ph, pw);                 \
    }
PATCHIFY(patchify, bf16)
PATCHIFY(patchify_f32, float)

extern "C" __global__ void unpatchify(const float* tokens, float* latent, long long count, int channels, int frames,
                                      int height, int width, int pt, int ph, int pw) {
    const int features = channels * pt * ph * pw;
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count * features) return;
    const long long token = i / features;
    const int feature = (int)(i % features), channel = feature % channels;
    const Place p = place(token, feature / channels, height, width, pt, ph, pw);
    latent[pixel(p, channel, frames, height, width, pt, ph, pw)] = tokens[i];
}
