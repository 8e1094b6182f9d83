// Attention without the score matrix: each block of 16·WARPS queries walks over tiles of 64 keys and keeps a running
// maximum, sum and output per query. Scores and sums are float32; the weights are rounded to bfloat16 before they
// meet the values. Which tiles are walked, and what is added to a score, are template parameters.
//
// Per tile and block: 4·16·WARPS·64·D operations for 2·64·D·2 bytes of keys and values, two copies in flight.
#pragma once
#include "convert.cuh"
#include "tile.cuh"

struct FlashShape {
    int queries, keys;               // rows; keys at and past `keys` weigh nothing
    long long q_row, k_row, v_row;   // elements from one token to the next
    long long out_row;
    float scale;                     // of the scores, times log2 e
};

constexpr int KEY_TILE = 64;
constexpr float LOG2E = 1.4426950408889634f;

// All keys in order.
struct AllKeys {
    int keys;
    __device__ __forceinline__ int tiles() const { return (keys + KEY_TILE - 1) / KEY_TILE; }
    __device__ __forceinline__ int start(int tile) const { return tile * KEY_TILE; }
};

// The blocks of a list, each `block` keys long (a multiple of the tile).
struct ListedKeys {
    const int* list;
    int count, block;
    __device__ __forceinline__ int tiles() const { return count * (block / KEY_TILE); }
    __device__ __forceinline__ int start(int tile) const {
        const int per = block / KEY_TILE;
        return list[tile / per] * block + (tile % per) * KEY_TILE;
    }
};

// Nothing is added to a score.
struct NoBias {
    __device__ __forceinline__ float operator()(int, int) const { return 0.0f; }
    static constexpr bool PRESENT = false;
};

// A table [queries, keys] of this head is added.
struct TableBias {
    const float* table;
    int keys;
    __device__ __forceinline__ float operator()(int query, int key) const { return table[(long long)query * keys + key]; }
    static constexpr bool PRESENT = true;
};

template <int D, int WARPS> constexpr int flash_shared_bytes() { return 2 * D * (16 * WARPS + 4 * KEY_TILE); }

// `q`, `k`, `v`, `out` point at this batch's and head's first token.
template <int D, int WARPS, typename Keys, typename Bias>
__device__ __forceinline__ void flash(const bf16* q, const bf16* k, const bf16* v, bf16* out, const FlashShape& shape,
                                      const Keys& keys, const Bias& bias, int first_query) {
    extern __shared__ __align__(128) unsigned char shared[];
    constexpr int QUERIES = 16 * WARPS;
    const uint32_t base = shared_address(shared);
    const Tile<D> q_tile{base};
    auto k_tile = [&](int tile) { return Tile<D>{base + 2 * D * (QUERIES + (tile & 1) * KEY_TILE)}; };
    auto v_tile = [&](int tile) { return Tile<D>{base + 2 * D * (QUERIES + (2 + (tile & 1)) * KEY_TILE)}; };
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int tiles = keys.tiles();

    auto load_keys = [&](int tile) {
        if (tile < tiles) {
            const int start = keys.start(tile);
            k_tile(tile).load(k + start * shape.k_row, shape.k_row, KEY_TILE, shape.keys - start);
        }
        copy_commit();
    };
    auto load_values = [&](int tile) {
        if (tile < tiles) {
            const int start = keys.start(tile);
            v_tile(tile).load(v + start * shape.v_row, shape.v_row, KEY_TILE, shape.keys - start);
        }
        copy_commit();
    };

    q_tile.load(q + first_query * shape.q_row, shape.q_row, QUERIES, shape.queries - first_query);
    load_keys(0);
    load_values(0);

    uint32_t q_part[D / 16][4];
    float o[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) o[n][i] = 0.0f;
    float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};

    for (int tile = 0; tile < tiles; ++tile) {
        copy_wait<1>();
        __syncthreads();
        if (tile == 0) {
#pragma unroll
            for (int d = 0; d < D / 16; ++d) q_tile.a(q_part[d], 16 * warp, 16 * d);
        }
        load_keys(tile + 1);

        float s[KEY_TILE / 8][4];
#pragma unroll
        for (int n = 0; n < KEY_TILE / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) s[n][i] = 0.0f;
#pragma unroll
        for (int d = 0; d < D / 16; ++d) {
#pragma unroll
            for (int n = 0; n < KEY_TILE / 16; ++n) {
                uint32_t b[4];
                k_tile(tile).b(b, 16 * n, 16 * d);
                mma_bf16(s[2 * n], q_part[d], b[0], b[1]);
                mma_bf16(s[2 * n + 1], q_part[d], b[2], b[3]);
            }
        }

        const int start = keys.start(tile);
        const bool partial = start + KEY_TILE > shape.keys;
        float reach[2] = {top[0], top[1]};
#pragma unroll
        for (int n = 0; n < KEY_TILE / 8; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                s[n][i] *= shape.scale;
                if (partial || Bias::PRESENT) {
                    const int key = start + 8 * n + 2 * t + (i & 1);
                    const int query = first_query + 16 * warp + g + 8 * (i >> 1);
                    if (key >= shape.keys) s[n][i] = -INFINITY;
                    else if (Bias::PRESENT && query < shape.queries) s[n][i] += bias(query, key) * LOG2E;
                }
                reach[i >> 1] = fmaxf(reach[i >> 1], s[n][i]);
            }
        }
        float shrink[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            reach[i] = fmaxf(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 1));
            reach[i] = fmaxf(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 2));
            // A row whose keys are all masked so far keeps −∞; taking 0 for it keeps NaN out.
            if (reach[i] == -INFINITY) reach[i] = 0.0f;
            shrink[i] = exp2_fast(top[i] - reach[i]);
            top[i] = reach[i];
            sum[i] *= shrink[i];
        }
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) o[n][i] *= shrink[i >> 1];
        uint32_t weights[KEY_TILE / 16][4];
#pragma unroll
        for (int n = 0; n < KEY_TILE / 8; ++n) {
            float w[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                w[i] = exp2_fast(s[n][i] - top[i >> 1]);
                sum[i >> 1] += w[i];
            }
            weights[n >> 1][2 * (n & 1)] = pack(w[0], w[1]);
            weights[n >> 1][2 * (n & 1) + 1] = pack(w[2], w[3]);
        }

        copy_wait<1>();
        __syncthreads();
        load_values(tile + 1);
#pragma unroll
        for (int key = 0; key < KEY_TILE / 16; ++key) {
#pragma unroll
            for (int n = 0; n < D / 16; ++n) {
                uint32_t b[4];
                v_tile(tile).b_transposed(b, 16 * n, 16 * key);
                mma_bf16(o[2 * n], weights[key], b[0], b[1]);
                mma_bf16(o[2 * n + 1], weights[key], b[2], b[3]);
            }
        }
    }
    copy_wait<0>();

#pragma unroll
    for (int i = 0; i < 2; ++i) {
        sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 1);
        sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 2);
        const int query = first_query + 16 * warp + g + 8 * i;
        if (query >= shape.queries) continue;
        const float factor = sum[i] > 0.0f ? 1.0f / sum[i] : 0.0f;
        bf16* row = out + query * shape.out_row;
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
            *reinterpret_cast<uint32_t*>(row + 8 * n + 2 * t) = pack(o[n][2 * i] * factor, o[n][2 * i + 1] * factor);
    }
}

// The same for any head length up to 256, one warp a query, on the ordinary cores: small and odd shapes only.
// `keys_of(i)` gives the i-th key of `count`; those at and past shape.keys are passed over.
template <typename T, typename KeyOf, typename Bias>
__device__ __forceinline__ void plain_attention(const T* q, const T* k, const T* v, T* out,
                                                const FlashShape& shape, int head_length, int count, const KeyOf& key_of,
                                                const Bias& bias, int query) {
    constexpr int SLOTS = 8;
    const int lane = threadIdx.x & 31;
    float x[SLOTS], o[SLOTS];
#pragma unroll
    for (int i = 0; i < SLOTS; ++i) {
        const int d = lane + 32 * i;
        x[i] = d < head_length ? to_float(q[query * shape.q_row + d]) : 0.0f;
        o[i] = 0.0f;
    }
    float top = -INFINITY, sum = 0.0f;
    for (int n = 0; n < count; ++n) {
        const int key = key_of(n);
        if (key >= shape.keys) continue;
        float dot = 0.0f;
#pragma unroll
        for (int i = 0; i < SLOTS; ++i) {
            const int d = lane + 32 * i;
            if (d < head_length) dot += x[i] * to_float(k[key * shape.k_row + d]);
        }
#pragma unroll
        for (int step = 16; step > 0; step >>= 1) dot += __shfl_xor_sync(0xffffffffu, dot, step);
        const float s = dot * shape.scale + (Bias::PRESENT ? bias(query, key) * LOG2E : 0.0f);
        if (s == -INFINITY) continue;
        const float reach = fmaxf(top, s);
        const float shrink = exp2_fast(top - reach), weight = exp2_fast(s - reach);
        top = reach;
        sum = sum * shrink + weight;
#pragma unroll
        for (int i = 0; i < SLOTS; ++i) {
            const int d = lane + 32 * i;
            if (d < head_length) o[i] = o[i] * shrink + weight * to_float(v[key * shape.v_row + d]);
        }
    }
#pragma unroll
    for (int i = 0; i < SLOTS; ++i) {
        const int d = lane + 32 * i;
        if (d < head_length) out[query * shape.out_row + d] = from_float<T>(sum > 0.0f ? o[i] / sum : 0.0f);
    }
}
