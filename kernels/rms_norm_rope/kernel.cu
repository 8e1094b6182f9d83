// rms_norm_rope: norm over the whole row, then each head's adjacent pairs turned by the token's angles. Rows of the
// published widths are a warp's and stay in its registers; any other is a block's and read twice. Of bfloat16 the norm is
// rounded before it is turned, as it is published.
#include "row.cuh"

// cos, sin: [tokens, pairs], or null. `width` is even where they are given.
template <typename T>
__device__ __forceinline__ void norm_in_turns(const T* x, const float* weight, const float* cos, const float* sin, T* out,
                                              int width, int pairs, float epsilon) {
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
        a = a * factor * weight[c];
        b = b * factor * weight[c + 1];
        if (sizeof(T) < sizeof(float)) a = rounded(a), b = rounded(b);
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
            out[c] = from_float<T>(a);
            out[c + 1] = from_float<T>(b);
        }
    } else {
        for (int c = threadIdx.x; c < width; c += blockDim.x)
            out[c] = from_float<T>(to_float(x[c]) * factor * weight[c]);
    }
}

extern "C" __global__ void __launch_bounds__(256) rms_norm_rope(const bf16* x, const float* weight, const float* cos,
                                                                const float* sin, bf16* out, int width, int pairs,
                                                                float epsilon) {
    norm_in_turns(x, weight, cos, sin, out, width, pairs, epsilon);
}

extern "C" __global__ void __launch_bounds__(256) rms_norm_rope_f32(const float* x, const float* weight, const float* cos,
                                                                    const float* sin, float* out, int width, int pairs,
                                                                    float epsilon) {
    norm_in_turns(x, weight, cos, sin, out, width, pairs, epsilon);
}

// Rows of 256·CHUNKS elements, a warp each. Heads divide 256 elements and hold whole groups of eight, so that a lane turns
// all its elements by the same four angles.
template <int CHUNKS>
__device__ __forceinline__ void norm_in_registers(const bf16* x, const float* weight, const float* cos, const float* sin,
                                                  bf16* out, int rows, int pairs, float epsilon) {
    WarpRow<CHUNKS> row;
    if (row.index() >= rows) return;
    row.load(x);
    float c[4] = {1.0f, 1.0f, 1.0f, 1.0f}, s[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (cos) {
        const long long at = row.index() * pairs + (row.first() >> 1) % pairs;
#pragma unroll
        for (int j = 0; j < 4; ++j) c[j] = cos[at + j], s[j] = sin[at + j];
    }
    bf16* to = row.of(out);
    const float factor = rsqrtf(row.sum([](float v) { return v * v; }) / row.WIDTH + epsilon);
    row.each([&](int i, float (&v)[8]) {
        float w[8];
        load8(weight + row.first() + 256 * i, w);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const float a = rounded(v[2 * j] * factor * w[2 * j]), b = rounded(v[2 * j + 1] * factor * w[2 * j + 1]);
            v[2 * j] = a * c[j] - b * s[j];
            v[2 * j + 1] = b * c[j] + a * s[j];
        }
        store8(to + 256 * i, v);
    });
}

#define NORM_IN_REGISTERS(WIDTH)                                                                                     \
    extern "C" __global__ void __launch_bounds__(256) rms_norm_rope_##WIDTH(                                          \
        const bf16* x, const float* weight, const float* cos, const float* sin, bf16* out, int rows, int pairs,       \
        float epsilon) {                                                                                              \
        norm_in_registers<WIDTH / 256>(x, weight, cos, sin, out, rows, pairs, epsilon);                               \
    }
NORM_IN_REGISTERS(1536)
NORM_IN_REGISTERS(5120)
