// rms_norm_rope: norm over the whole row, then each head's adjacent pairs turned by the token's angles; a block a row.
// Reads x twice, the second time from the cache; writes out once.
#include "convert.cuh"
#include "reduce.cuh"

// cos, sin: [tokens, pairs], or null. `width` is even where they are given.
extern "C" __global__ void __launch_bounds__(256) rms_norm_rope(const bf16* x, const float* weight, const float* cos,
                                                                const float* sin, bf16* out, int width, int pairs,
                                                                float epsilon) {
    __shared__ float scratch[32];
    const long long token = blockIdx.x;
    x += token * width;
    out += token * width;
    if (cos) cos += token * pairs, sin += token * pairs;
    float squares = 0.0f;
    const bool wide = width % 8 == 0;
    if (wide) {
        for (int c = threadIdx.x * 8; c < width; c += blockDim.x * 8) {
            float v[8];
            load8(x + c, v);
#pragma unroll
            for (int i = 0; i < 8; ++i) squares += v[i] * v[i];
        }
    } else {
        for (int c = threadIdx.x; c < width; c += blockDim.x) squares += to_float(x[c]) * to_float(x[c]);
    }
    const float factor = rsqrtf(block_sum(squares, scratch) / width + epsilon);
    auto turn = [&](float& a, float& b, int c) {
        a = rounded(a * factor * weight[c]);
        b = rounded(b * factor * weight[c + 1]);
        if (cos) {
            const int pair = (c >> 1) % pairs;
            const float turned = a * cos[pair] - b * sin[pair];
            b = b * cos[pair] + a * sin[pair];
            a = turned;
        }
    };
    if (wide) {
        for (int c = threadIdx.x * 8; c < width; c += blockDim.x * 8) {
            float v[8];
            load8(x + c, v);
#pragma unroll
            for (int i = 0; i < 8; i += 2) turn(v[i], v[i + 1], c + i);
            store8(out + c, v);
        }
    } else if (cos) {
        for (int c = threadIdx.x * 2; c < width; c += blockDim.x * 2) {
            float a = to_float(x[c]), b = to_float(x[c + 1]);
            turn(a, b, c);
            out[c] = from_float<bf16>(a);
            out[c + 1] = from_float<bf16>(b);
        }
    } else {
        for (int c = threadIdx.x; c < width; c += blockDim.x)
            out[c] = from_float<bf16>(to_float(x[c]) * factor * weight[c]);
    }
}
