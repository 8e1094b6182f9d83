// causal_conv3d: out = conv(x) + bias (+ residual), channels-last, with frames remembered in front; also two-dimensional
// convolutions (one tap in time). Grid: (positions / 128, channels / N).
#include "channel_norm.cuh"
#include "implicit_gemm.cuh"

#define CONV_PARAMETERS                                                                                               \
    const bf16 *x, const bf16 *cache, const bf16 *weight, const float *bias, const bf16 *residual, bf16 *out,         \
        int in_frames, int in_height, int in_width, int in_channels, int before, int remembered, int out_frames,      \
        int out_height, int out_width, int out_channels, int taps_t, int taps_y, int taps_x, int stride_t,            \
        int stride_s, int pad_top, int pad_left, int magnify

#define CONV_KERNEL(N)                                                                                                \
    extern "C" __global__ void __launch_bounds__(CONV_THREADS, 2) causal_conv3d_##N(CONV_PARAMETERS) {                \
        const ConvShape shape{in_frames,  in_height, in_width,     in_channels, before, remembered, out_frames,       \
                              out_height, out_width, out_channels, taps_t,      taps_y, taps_x,     stride_t,         \
                              stride_s,   pad_top,   pad_left,     magnify};                                          \
        implicit_gemm<N>(x, cache, weight, bias, residual, out, shape);                                               \
    }

CONV_KERNEL(128)
CONV_KERNEL(96)
CONV_KERNEL(64)
CONV_KERNEL(32)

// silu(norm(x)).
extern "C" __global__ void __launch_bounds__(256) causal_conv3d_norm(const bf16* x, const float* gamma, bf16* out,
                                                                     long long positions, int channels, int lanes) {
    channel_norm<true>(x, gamma, out, positions, channels, lanes);
}
