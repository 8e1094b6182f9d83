// frame_attention: the softmax between the two matrix products of one frame's attention.
#include "convert.cuh"
#include "reduce.cuh"

constexpr float LOG2E = 1.4426950408889634f;

// Rows of float32 scores to bfloat16 weights: out = softmax(scale·scores) over `columns` of a row of `row_length`. One block a row.
extern "C" __global__ void __launch_bounds__(256) frame_attention_softmax(const float* scores, bf16* out, int columns,
                                                                         int row_length, float scale) {
    __shared__ float scratch[32];
    const long long row = blockIdx.x;
    const float* from = scores + row * row_length;
    float top = -INFINITY;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) top = fmaxf(top, from[i]);
    top = block_max(top, scratch);
    const float factor = scale * LOG2E;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += exp2_fast((from[i] - top) * factor);
    sum = block_sum(sum, scratch);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        out[row * row_length + i] = from_float<bf16>(exp2_fast((from[i] - top) * factor) / sum);
}
