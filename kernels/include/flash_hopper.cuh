// flash.cuh for Hopper, heads of 128 channels, with the same numbers: one warp feeds tiles through the copy engine, one or two warpgroups of 64
// queries each multiply and keep the softmax, and while a warpgroup's weights meet the values its next scores are under
// way. A thread block walks over many blocks of queries, so that the first tiles of one are copied while the last of
// another are in use.
//
// Per step and 64 queries: 4·64·KEYS·128 operations; per step and block: 512·KEYS bytes of keys and values.
#pragma once
#include "attention_stages.cuh"
#include "product_channels.cuh"

struct HopperShape {
    int queries, keys, heads;
    int width;              // elements from one token to the next, of all four
    int list_count;         // blocks of keys listed for each block of queries; 0: all keys in order
    int list_block;         // keys of a listed block: 64, or 128
    float scale;            // of the scores, times log2 e
};

// WARPGROUPS·64 queries a block; PARTS·64 keys a step; STAGES steps of keys and of values in shared memory; TURNS: the
// two warpgroups give their products to the tensor cores by turns, so that one's softmax runs under the other's products.
template <int WARPGROUPS, int PARTS, int STAGES, bool TURNS>
struct HopperFlash : AttentionStages<WARPGROUPS * 64 * 256, PARTS * 64 * 256, STAGES, 4 * WARPGROUPS> {
    using Stages = typename HopperFlash::AttentionStages;
    using typename Stages::Place;
    using Stages::k_empty, Stages::k_full, Stages::k_tile, Stages::open, Stages::q_empty, Stages::q_full, Stages::q_tile,
        Stages::v_empty, Stages::v_full, Stages::v_tile;
    static constexpr int D = 128, QUERIES = 64 * WARPGROUPS, KEYS = 64 * PARTS;
    static constexpr int THREADS = 128 * (WARPGROUPS + 1);
    static constexpr int HALF = KEYS * 128, TILE = 2 * HALF, Q_HALF = QUERIES * 128;   // bytes; a half is 64 channels
    static constexpr int SHARED = 1024 + 2 * Q_HALF + 2 * STAGES * TILE + 8 * Stages::BARRIERS;
    static constexpr int AHEAD = 32 / PARTS;   // steps whose parts the feeding warp's lanes look up at once
    static constexpr float LOWEST = -INFINITY;

    // The keys that a block of queries walks over, in parts of 64.
    struct Walk {
        const int* list;
        int parts, per, keys;
        // First key of a part; past the last, a place where there are no keys.
        __device__ __forceinline__ int start(int part) const {
            if (part >= parts) return (keys + 63) & ~63;
            if (!list) return 64 * part;
            return per == 1 ? 64 * list[part] : 128 * list[part >> 1] + 64 * (part & 1);
        }
        __device__ __forceinline__ int steps() const { return (parts + PARTS - 1) / PARTS; }
    };

    __device__ __forceinline__ static Walk walk(const HopperShape& shape, const int* list, int block) {
        if (!shape.list_count) return {nullptr, (shape.keys + 63) / 64, 1, shape.keys};
        const int per = shape.list_block / 64;
        return {list + (long long)block * shape.list_count, shape.list_count * per, per, shape.keys};
    }

    __device__ __forceinline__ void run(const CUtensorMap* q, const CUtensorMap* k, const CUtensorMap* v, bf16* out,
                                        const int* list, const HopperShape& shape) {
        open();
        const int query_blocks = (shape.queries + QUERIES - 1) / QUERIES, blocks = query_blocks * shape.heads;
        if (threadIdx.x < 128) {
            give_registers<WARPGROUPS == 2 ? 24 : 40>();
            if (threadIdx.x < 32) feed(q, k, v, list, shape, query_blocks, blocks);
        } else {
            take_registers<WARPGROUPS == 2 ? 240 : 200>();
            multiply(out, list, shape, query_blocks, blocks);
        }
    }

    // The feeding warp: its first lane copies; all of them read the list ahead.
    __device__ __forceinline__ void feed(const CUtensorMap* q, const CUtensorMap* k, const CUtensorMap* v,
                                         const int* list, const HopperShape& shape, int query_blocks, int blocks) {
        const int lane = threadIdx.x & 31;
        Place k_place, v_place;
        uint32_t q_parity = 1;
        for (int block = blockIdx.x; block < blocks; block += gridDim.x) {
            const int column = block / query_blocks * D, first = block % query_blocks * QUERIES;
            const Walk walked = walk(shape, list, block);
            const int steps = walked.steps();
            if (lane == 0) {
                barrier_wait(q_empty(), q_parity);
                barrier_expect(q_full(), 2 * Q_HALF);
#pragma unroll
                for (int half = 0; half < 2; ++half)
#pragma unroll
                    for (int group = 0; group < WARPGROUPS; ++group)
                        copy_box(q_tile() + half * Q_HALF + group * 8192, q, column + 64 * half, first + 64 * group, q_full());
            }
            q_parity ^= 1;
            __syncwarp();
            int ahead = 0, rows[PARTS], last_rows[PARTS];
            for (int step = 0; step <= steps; ++step) {
                if (step < steps) {
                    if (step % AHEAD == 0) ahead = walked.start(step * PARTS + lane);
#pragma unroll
                    for (int part = 0; part < PARTS; ++part)
                        rows[part] = __shfl_sync(0xffffffffu, ahead, step % AHEAD * PARTS + part);
                    if (lane == 0) {
                        barrier_wait(k_empty(k_place.stage), k_place.parity ^ 1);
                        load(k, k_tile(k_place.stage), column, rows, k_full(k_place.stage));
                    }
                    k_place.advance();
                }
                if (step > 0) {
                    if (lane == 0) {
                        barrier_wait(v_empty(v_place.stage), v_place.parity ^ 1);
                        load(v, v_tile(v_place.stage), column, last_rows, v_full(v_place.stage));
                    }
                    v_place.advance();
                }
#pragma unroll
                for (int part = 0; part < PARTS; ++part) last_rows[part] = rows[part];
                __syncwarp();
            }
        }
    }

    __device__ __forceinline__ void load(const CUtensorMap* map, uint32_t tile, int column, const int (&rows)[PARTS],
                                         uint32_t barrier) const {
        barrier_expect(barrier, TILE);
#pragma unroll
        for (int half = 0; half < 2; ++half)
#pragma unroll
            for (int part = 0; part < PARTS; ++part)
                copy_box(tile + half * HALF + part * 8192, map, column + 64 * half, rows[part], barrier);
    }

    // Scores of one step: s = q·kᵀ.
    __device__ __forceinline__ void scores(float (&s)[8 * PARTS * 4], int group, int stage) const {
#pragma unroll
        for (int d = 0; d < D; d += 16) {
            const int inside = 2 * (d % 64);
            product(s, operand(q_tile() + d / 64 * Q_HALF + group * 8192 + inside, 0),
                    operand(k_tile(stage) + d / 64 * HALF + inside, 0), d > 0);
        }
    }

    // o (+)= weights·v.
    __device__ __forceinline__ void values(float (&o)[64], const uint32_t (&weights)[4 * PARTS][4], int stage,
                                           bool add) const {
#pragma unroll
        for (int key = 0; key < 4 * PARTS; ++key)
            product(o, weights[key], operand(v_tile(stage) + key * 16 * 128, HALF), add || key > 0);
    }

    // Scores become weights, relative to the highest so far; `shrink` is what older sums must be multiplied by.
    __device__ __forceinline__ static void softmax(float (&s)[32 * PARTS], float (&top)[2], float (&sum)[2],
                                                   float (&shrink)[2], float scale) {
        float reach[2] = {top[0], top[1]};
#pragma unroll
        for (int i = 0; i < 32 * PARTS; ++i) reach[(i >> 1) & 1] = fmaxf(reach[(i >> 1) & 1], s[i]);
        float base[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            reach[i] = fmaxf(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 1));
            reach[i] = fmaxf(reach[i], __shfl_xor_sync(0xffffffffu, reach[i], 2));
            shrink[i] = exp2_fast((top[i] - reach[i]) * scale);
            top[i] = reach[i];
            base[i] = reach[i] * scale;
            sum[i] *= shrink[i];
        }
#pragma unroll
        for (int i = 0; i < 32 * PARTS; ++i) {
            const int row = (i >> 1) & 1;
            s[i] = exp2_fast(s[i] * scale - base[row]);
            sum[row] += s[i];
        }
    }

    // Keys at and past the end weigh nothing.
    __device__ __forceinline__ static void mask(float (&s)[32 * PARTS], const Walk& walked, int step) {
        const int t = threadIdx.x & 3;
#pragma unroll
        for (int part = 0; part < PARTS; ++part) {
            const int inside = walked.keys - walked.start(step * PARTS + part);
            if (inside >= 64) continue;
#pragma unroll
            for (int i = 0; i < 32; ++i)
                if (8 * (i >> 2) + 2 * t + (i & 1) >= inside) s[32 * part + i] = LOWEST;
        }
    }

    __device__ __forceinline__ static void pack_weights(uint32_t (&weights)[4 * PARTS][4], const float (&s)[32 * PARTS]) {
#pragma unroll
        for (int key = 0; key < 4 * PARTS; ++key)
#pragma unroll
            for (int i = 0; i < 4; ++i) weights[key][i] = pack(s[8 * key + 2 * i], s[8 * key + 2 * i + 1]);
    }

    __device__ __forceinline__ void multiply(bf16* out, const int* list, const HopperShape& shape, int query_blocks,
                                             int blocks) {
        const int group = (threadIdx.x >> 7) - 1, lane = threadIdx.x & 31;
        const bool first_lane = lane == 0;
        Place k_place, v_place;
        uint32_t q_parity = 0;
        if (TURNS && group == 1) turn_pass(1, 256);
        for (int block = blockIdx.x; block < blocks; block += gridDim.x) {
            const Walk walked = walk(shape, list, block);
            const int steps = walked.steps();
            float s[32 * PARTS], o[64], top[2] = {LOWEST, LOWEST}, sum[2] = {0.0f, 0.0f}, shrink[2];
            uint32_t weights[4 * PARTS][4];

            barrier_wait(q_full(), q_parity);
            q_parity ^= 1;
            barrier_wait(k_full(k_place.stage), k_place.parity);
            product_begin();
            scores(s, group, k_place.stage);
            product_commit();
            product_wait<0>();
            settle(s);
            if (first_lane) barrier_arrive(k_empty(k_place.stage));
            k_place.advance();
            if (steps == 1) mask(s, walked, 0);
            softmax(s, top, sum, shrink, shape.scale);
            pack_weights(weights, s);

            for (int step = 1; step < steps; ++step) {
                barrier_wait(k_full(k_place.stage), k_place.parity);
                if (TURNS) turn_wait(1 + group, 256);
                product_begin();
                scores(s, group, k_place.stage);
                product_commit();
                barrier_wait(v_full(v_place.stage), v_place.parity);
                product_begin();
                values(o, weights, v_place.stage, step > 1);
                product_commit();
                if (TURNS) turn_pass(2 - group, 256);
                product_wait<1>();
                settle(s);
                if (first_lane) barrier_arrive(k_empty(k_place.stage));
                k_place.advance();
                if (step == steps - 1) mask(s, walked, step);
                softmax(s, top, sum, shrink, shape.scale);
                product_wait<0>();
                settle(o);
                if (first_lane) barrier_arrive(v_empty(v_place.stage));
                v_place.advance();
#pragma unroll
                for (int i = 0; i < 64; ++i) o[i] *= shrink[(i >> 1) & 1];
                pack_weights(weights, s);
            }
            if (first_lane) barrier_arrive(q_empty());
            barrier_wait(v_full(v_place.stage), v_place.parity);
            product_begin();
            values(o, weights, v_place.stage, steps > 1);
            product_commit();
            product_wait<0>();
            settle(o);
            if (first_lane) barrier_arrive(v_empty(v_place.stage));
            v_place.advance();
            store(out, o, sum, shape, block / query_blocks * D, block % query_blocks * QUERIES + 64 * group);
        }
    }

    __device__ __forceinline__ static void store(bf16* out, const float (&o)[64], float (&sum)[2], const HopperShape& shape,
                                                 int column, int first) {
        const int warp = (threadIdx.x >> 5) & 3, g = (threadIdx.x & 31) >> 2;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 1);
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 2);
            const float factor = 1.0f / sum[i];
            const int query = first + 16 * warp + g + 8 * i;
            uint32_t pairs[16];
#pragma unroll
            for (int n = 0; n < 16; ++n) pairs[n] = pack(o[4 * n + 2 * i] * factor, o[4 * n + 2 * i + 1] * factor);
            store_row(out + (long long)query * shape.width + column, pairs, query < shape.queries);
        }
    }
};
