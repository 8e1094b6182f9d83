// sage_attention on Hopper: blocks of 64 queries, listed blocks of 128 keys, heads of 128 channels, all in 8 bits. One
// warp feeds whole tiles through the copy engine, one warpgroup multiplies and keeps the softmax; two thread blocks share
// a multiprocessor, and each walks over many blocks of queries. While weights meet the values, the next scores are under
// way.
//
// Per step: 4·64·128·128 operations; 32 KiB of keys and values.
#pragma once
#include "attention_stages.cuh"
#include "e4m3.cuh"
#include "sage.cuh"
#include "tile.cuh"

// Every lane reads queries and the note beside keys, and says so itself; only products read values, for which a warp's first lane
// speaks.
struct HopperSage : AttentionStages<64 * 128, 128 * 128, 2, 128, 4> {
    static constexpr int D = 128, QUERIES = 64, KEYS = 128;
    static constexpr int Q_BYTES = QUERIES * D, TILE = KEYS * D;
    // Scores start at the integer whose bits are the float 3·2²²: a sum of 128 products of ±127 then moves the float by
    // just itself, and no conversion is needed.
    static constexpr int START_BITS = 0x4b400000;
    static constexpr float START = 12582912.0f;
    static constexpr int NOTHING = (int)0xff800000;   // the bits of −∞, below all scores as an integer too

    // Beside the keys of a stage: their scale, and how many of them there are.
    __device__ __forceinline__ uint32_t note(int stage) const { return barrier(BARRIERS + stage); }

    __device__ __forceinline__ void run(const SageOperands& operands, bf16* out, const int* list, const SageShape& shape) {
        open();
        const int query_blocks = (shape.tokens + QUERIES - 1) / QUERIES, key_blocks = (shape.tokens + KEYS - 1) / KEYS;
        if (threadIdx.x < 128) {
            give_registers<24>();
            if (threadIdx.x < 32) feed(operands, list, shape, query_blocks, key_blocks);
        } else {
            take_registers<232>();
            multiply(operands, out, shape, query_blocks);
        }
    }

    __device__ __forceinline__ static void bring(uint32_t to, const void* from, int bytes, uint32_t barrier) {
        barrier_expect(barrier, bytes);
        copy_bytes(to, from, bytes, barrier);
    }

    // The feeding warp: its first lane copies; all of them read the list and the scales ahead.
    __device__ __forceinline__ void feed(const SageOperands& operands, const int* list, const SageShape& shape,
                                         int query_blocks, int key_blocks) {
        const int lane = threadIdx.x & 31;
        Place k_place, v_place;
        uint32_t q_parity = 1;
        for (int block = blockIdx.x; block < query_blocks * shape.heads; block += gridDim.x) {
            const int first_tile = block / query_blocks * key_blocks;
            const int* listed = list + (long long)block * shape.count;
            if (lane == 0) {
                barrier_wait(q_empty(), q_parity);
                bring(q_tile(), operands.q + (long long)block * Q_BYTES, Q_BYTES, q_full());
            }
            q_parity ^= 1;
            __syncwarp();
            int ahead = 0, tile = 0, last_tile = 0;
            float ahead_scale = 0.0f;
            for (int step = 0; step <= shape.count; ++step) {
                if (step < shape.count) {
                    if (step % 32 == 0) {
                        ahead = listed[min(step + lane, shape.count - 1)];
                        ahead_scale = operands.k_scale[first_tile + ahead];
                    }
                    tile = __shfl_sync(0xffffffffu, ahead, step & 31);
                    const float scale = __shfl_sync(0xffffffffu, ahead_scale, step & 31);
                    if (lane == 0) {
                        const int stage = k_place.stage;
                        barrier_wait(k_empty(stage), k_place.parity ^ 1);
                        store_shared(note(stage), __float_as_uint(scale), shape.tokens - tile * KEYS);
                        bring(k_tile(stage), operands.k + (long long)(first_tile + tile) * TILE, TILE, k_full(stage));
                    }
                    k_place.advance();
                }
                if (step > 0) {
                    if (lane == 0) {
                        const int stage = v_place.stage;
                        barrier_wait(v_empty(stage), v_place.parity ^ 1);
                        bring(v_tile(stage), operands.v + (long long)(first_tile + last_tile) * TILE, TILE, v_full(stage));
                    }
                    v_place.advance();
                }
                last_tile = tile;
                __syncwarp();
            }
        }
    }

    __device__ __forceinline__ void scores(int (&s)[64], const uint32_t (&q)[4][4], int stage) const {
#pragma unroll
        for (int i = 0; i < 64; ++i) s[i] = START_BITS;
        product_begin();
#pragma unroll
        for (int d = 0; d < 4; ++d) product_s8(s, q[d], operand(k_tile(stage) + 32 * d, 0));
        product_commit();
    }

    // Of one block of keys: the tensor cores keep sums of e4m3 with 14 bits, in which those of all blocks would lose what they
    // have in common.
    __device__ __forceinline__ void values(float (&part)[64], const uint32_t (&weights)[4][4], int stage) const {
        product_begin();
#pragma unroll
        for (int key = 0; key < 4; ++key)
            product_e4m3(part, weights[key], operand(v_tile(stage) + 32 * key, 0), key > 0);
        product_commit();
    }

    // The scale of a stage's keys; those past the last one get no weight.
    __device__ __forceinline__ static void mask(int (&s)[64], int inside) {
        if (inside >= KEYS) return;
        const int t = threadIdx.x & 3;
#pragma unroll
        for (int i = 0; i < 64; ++i)
            if (8 * (i >> 2) + 2 * t + (i & 1) >= inside) s[i] = NOTHING;
    }

    // Scores become weights up to 448, relative to the highest so far, as bits of floats; `shrink` is what older sums must
    // be multiplied by.
    __device__ __forceinline__ static void softmax(int (&s)[64], float (&top)[2], float (&sum)[2], float (&shrink)[2],
                                                   float factor) {
        int reach[2] = {s[0], s[2]};
#pragma unroll
        for (int i = 1; i < 64; ++i) reach[(i >> 1) & 1] = max(reach[(i >> 1) & 1], s[i]);
        float base[2], more[2] = {0.0f, 0.0f};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            reach[i] = max(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 1));
            reach[i] = max(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 2));
            const float next = fmaxf(top[i], (__int_as_float(reach[i]) - START) * factor);
            shrink[i] = exp2_fast(top[i] - next);
            top[i] = next;
            base[i] = SAGE_OFFSET - next - START * factor;
            sum[i] *= shrink[i];
        }
#pragma unroll
        for (int i = 0; i < 64; ++i) {
            const int row = (i >> 1) & 1;
            const float weight = exp2_fast(__int_as_float(s[i]) * factor + base[row]);
            if (i & 1) more[row] += weight;
            else sum[row] += weight;
            s[i] = __float_as_int(weight);
        }
        sum[0] += more[0];
        sum[1] += more[1];
    }

    __device__ __forceinline__ static void pack_weights(uint32_t (&weights)[4][4], const int (&s)[64]) {
        auto weight = [&](int i) { return __int_as_float(s[i]); };
#pragma unroll
        for (int key = 0; key < 4; ++key)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int n = 16 * key + 8 * (i >> 1) + 2 * (i & 1);
                weights[key][i] = e4m3x4(weight(n), weight(n + 1), weight(n + 4), weight(n + 5));
            }
    }

    __device__ __forceinline__ void multiply(const SageOperands& operands, bf16* out, const SageShape& shape,
                                             int query_blocks) {
        const int warp = (threadIdx.x >> 5) & 3;
        const bool first_lane = (threadIdx.x & 31) == 0;
        Place k_place, v_place;
        uint32_t q_parity = 0;
        for (int block = blockIdx.x; block < query_blocks * shape.heads; block += gridDim.x) {
            const float of_queries = operands.q_scale[block] * shape.scale;
            int s[64];
            float o[64] = {}, part[64], top[2] = {SAGE_LOWEST, SAGE_LOWEST}, sum[2] = {0.0f, 0.0f}, shrink[2];
            uint32_t weights[4][4], q[4][4];
            barrier_wait(q_full(), q_parity);
            q_parity ^= 1;
#pragma unroll
            for (int d = 0; d < 4; ++d) Tile<64>{q_tile()}.a(q[d], 16 * warp, 16 * d);
            barrier_arrive(q_empty());

            auto begin_scores = [&](float& factor, int& inside) {
                barrier_wait(k_full(k_place.stage), k_place.parity);
                uint32_t scale;
                load_shared(note(k_place.stage), scale, inside);
                factor = of_queries * __uint_as_float(scale);
                scores(s, q, k_place.stage);
            };
            auto end_scores = [&](float factor, int inside) {
                settle(s);
                barrier_arrive(k_empty(k_place.stage));
                k_place.advance();
                mask(s, inside);
                softmax(s, top, sum, shrink, factor);
            };
            auto end_values = [&] {
                product_wait<0>();
                settle(part);
                if (first_lane) barrier_arrive(v_empty(v_place.stage));
                v_place.advance();
#pragma unroll
                for (int i = 0; i < 64; ++i) o[i] += part[i];
            };
            float factor;
            int inside;
            begin_scores(factor, inside);
            product_wait<0>();
            end_scores(factor, inside);
            pack_weights(weights, s);
            for (int step = 1; step < shape.count; ++step) {
                begin_scores(factor, inside);
                barrier_wait(v_full(v_place.stage), v_place.parity);
                values(part, weights, v_place.stage);
                product_wait<1>();
                end_scores(factor, inside);
                end_values();
#pragma unroll
                for (int i = 0; i < 64; ++i) o[i] *= shrink[(i >> 1) & 1];
                pack_weights(weights, s);
            }
            barrier_wait(v_full(v_place.stage), v_place.parity);
            values(part, weights, v_place.stage);
            end_values();
            store(out, o, sum, operands.v_scale, shape, block / query_blocks * D, block % query_blocks * QUERIES);
        }
    }

    __device__ __forceinline__ static void store(bf16* out, const float (&o)[64], float (&sum)[2], const float* v_scale,
                                                 const SageShape& shape, int column, int first) {
        const int warp = (threadIdx.x >> 5) & 3, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 1);
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 2);
            const float factor = 1.0f / sum[i];
            const int query = first + 16 * warp + g + 8 * i;
            uint32_t pairs[16];
#pragma unroll
            for (int n = 0; n < 16; ++n) {
                const float2 scale = *reinterpret_cast<const float2*>(v_scale + column + 8 * n + 2 * t);
                pairs[n] = pack(o[4 * n + 2 * i] * factor * scale.x, o[4 * n + 2 * i + 1] * factor * scale.y);
            }
            store_row(out + (long long)query * shape.heads * D + column, pairs, query < shape.tokens);
        }
    }
};
