// text_attention: out = softmax(q·kᵀ + bias)·v per head; the bias depends on head and distance, keys that are padding
// are left out. Grid: (query blocks, heads).
#include "flash.cuh"

// by_distance: 2·positions − 1 numbers of this head; is_text: one byte a key, or null where all within `keys` are text.
struct DistanceBias {
    const float* by_distance;
    const unsigned char* is_text;
    int last;   // positions − 1
    __device__ __forceinline__ float operator()(int query, int key) const {
        return is_text && !is_text[key] ? -INFINITY : by_distance[key - query + last];
    }
    static constexpr bool PRESENT = true;
};

#define TEXT_PARAMETERS(T)                                                                                           \
    const T *q, const T *k, const T *v, T *out, const float *by_distance, const unsigned char *is_text, int positions, \
        int keys, int width, int head_length

// Head length 64; `keys` is the number of positions up to the last that is text.
extern "C" __global__ void __launch_bounds__(128) text_attention_64(TEXT_PARAMETERS(bf16)) {
    const int offset = blockIdx.y * 64;
    const FlashShape shape{positions, keys, width, width, width, width, LOG2E};
    const DistanceBias bias{by_distance + blockIdx.y * (2 * positions - 1), is_text, positions - 1};
    flash<64, 4>(q + offset, k + offset, v + offset, out + offset, shape, AllKeys{keys}, bias, blockIdx.x * 64);
}

// Any head length up to 256; grid: (queries / 4, heads), a warp a query.
template <typename T> __device__ __forceinline__ void a_warp_a_query(TEXT_PARAMETERS(T)) {
    const int offset = blockIdx.y * head_length, query = blockIdx.x * 4 + (threadIdx.x >> 5);
    if (query >= positions) return;
    const FlashShape shape{positions, keys, width, width, width, width, LOG2E};
    const DistanceBias bias{by_distance + blockIdx.y * (2 * positions - 1), is_text, positions - 1};
    auto in_order = [](int n) { return n; };
    plain_attention(q + offset, k + offset, v + offset, out + offset, shape, head_length, keys, in_order, bias, query);
}

extern "C" __global__ void __launch_bounds__(128) text_attention_any(TEXT_PARAMETERS(bf16)) {
    a_warp_a_query(q, k, v, out, by_distance, is_text, positions, keys, width, head_length);
}

extern "C" __global__ void __launch_bounds__(128) text_attention_f32(TEXT_PARAMETERS(float)) {
    a_warp_a_query(q, k, v, out, by_distance, is_text, positions, keys, width, head_length);
}
