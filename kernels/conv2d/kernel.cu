// conv2d: out = conv(x) + bias frame by frame, channels-last; magnified on the way in, or strided.
// Grid: (positions / 128, channels / N).
#include "implicit_gemm.cuh"

#define CONV_KERNEL(N)                                                                                                \
    extern "C" __global__ void __launch_bounds__(CONV_THREADS, 2)                                                     \
        conv2d_##N(const bf16* x, const bf16* weight, const float* bias, bf16* out, int frames, int in_height,        \
                   int in_width, int in_channels, int out_height, int out_width, int out_channels, int stride,        \
                   int pad, int magnify) {                                                                            \
        const ConvShape shape{frames,    in_height,    in_width, in_channels, 0, 0, frames, out_height,               \
                              out_width, out_channels, 1,        3,           3, 1, stride, pad, pad, magnify};       \
        implicit_gemm<N>(x, nullptr, weight, bias, nullptr, out, shape);                                              \
    }

CONV_KERNEL(128)
CONV_KERNEL(96)
CONV_KERNEL(64)
CONV_KERNEL(32)
