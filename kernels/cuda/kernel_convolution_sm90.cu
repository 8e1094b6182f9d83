// The convolutions on Hopper; a block a multiprocessor walks over tiles. The names say channels of a tile and taps in
// height that share a stage; cuda/convolution_hopper.rs knows the shared memory each needs.
#include "convolution_hopper.cuh"

#define CONVOLUTION(N, V, DEPTH, STAGES)                                                                              \
    extern "C" __global__ void __launch_bounds__(CONVOLUTION_THREADS, 1) convolution_##N##_##V(                       \
        const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap cache,                             \
        const __grid_constant__ CUtensorMap weight, const float* bias, const bf16* residual, bf16* out,               \
        const float* gamma, bf16* activated, int before, int remembered, int channels, int out_frames, int height,    \
        int width, int out_channels, int taps_t, int taps_y, int taps_x, int stride_t, int stride_s, int pad_y,       \
        int pad_x, int phases, int width_log) {                                                                       \
        const ConvolutionShape shape{before, remembered, channels, out_frames, height,   width,  out_channels, taps_t, \
                                     taps_y, taps_x,     stride_t, stride_s,   pad_y,    pad_x,  phases,       width_log}; \
        convolution_hopper<N, V, DEPTH, STAGES>(&x, &cache, &weight, bias, residual, out, gamma, activated, shape); \
    }

CONVOLUTION(192, 3, 32, 4)
CONVOLUTION(192, 2, 32, 5)
CONVOLUTION(192, 1, 32, 7)
CONVOLUTION(128, 3, 32, 5)
CONVOLUTION(128, 1, 32, 8)
CONVOLUTION(96, 3, 32, 5)
CONVOLUTION(96, 2, 32, 6)
CONVOLUTION(96, 1, 32, 8)
CONVOLUTION(32, 3, 32, 8)
CONVOLUTION(32, 1, 32, 8)
CONVOLUTION(8, 3, 32, 8)
CONVOLUTION(8, 1, 32, 8)
