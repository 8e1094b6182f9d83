// linear_int8 on Hopper, where outputs are whole eights; clusters of two blocks, a pair of blocks a pair of multiprocessors.
// linear/cuda.rs knows the shared memory they need.
#include "int8_hopper.cuh"

#define HOPPER_INT8 extern "C" __global__ void __cluster_dims__(INT8_CLUSTER, 1, 1) __launch_bounds__(INT8_THREADS, 1)

#define LINEAR(NAME, GELU, RESIDUAL)                                                                                  \
    HOPPER_INT8 NAME(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap w, const float* x_scale, \
                     const float* w_scale, const bf16* bias, const float* gate, const bf16* residual, bf16* out,      \
                     int rows, int outputs, int inputs) {                                                             \
        const Int8Shape shape{rows, outputs, inputs};                                                                 \
        int8_hopper(&x, &w, x_scale, w_scale, shape, [&](const float (&sum)[2][64], int row, int output) {            \
            int8_store<GELU, RESIDUAL>(sum, row, output, shape, bias, gate, residual, out);                           \
        });                                                                                                           \
    }
LINEAR(linear_int8_plain, false, false)
LINEAR(linear_int8_gelu, true, false)
LINEAR(linear_int8_residual, false, true)

// gelu(y) in int8, as the layer after it takes it.
HOPPER_INT8 linear_int8_gelu_quantised(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap w,
                                       const float* x_scale, const float* w_scale, const bf16* bias, signed char* values,
                                       float* scales, int rows, int outputs, int inputs) {
    __shared__ float scratch[8];
    const Int8Shape shape{rows, outputs, inputs};
    int8_hopper(&x, &w, x_scale, w_scale, shape, [&](float (&sum)[2][64], int row, int output) {
        int8_store_quantised(sum, row, output, shape, bias, values, scales, scratch);
    });
}
