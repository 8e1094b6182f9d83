// sla_linear: out = sparse + φ(q)·(φ(k)ᵀv)·Wᵀ / (1e-5 + φ(q)·Σφ(k)) + b, per head; φ is the softmax over the
// channels of one token. The product is taken as φ(q)·((φ(k)ᵀv)·Wᵀ), so the projection costs one small matrix a head.
//
//   sum    k and v once: a partial φ(k)ᵀv and Σφ(k) for each chunk of tokens, added in a fixed order afterwards
//   fold   the chunks to one matrix a head, times Wᵀ
//   apply  q and sparse once, out once
#include "channel_softmax.cuh"
#include "tile.cuh"

constexpr int SUM_TOKENS = 64, APPLY_TOKENS = 128, FOLD_ROWS = 4;
constexpr float GUARD = 1e-5f;

__device__ __forceinline__ void put_phi(const Tile<D>& tile, int row, const float (&low)[8], const float (&high)[8]) {
    const int e = threadIdx.x & 7;
    store_shared(tile.address(row, 8 * e), pack8(low));
    store_shared(tile.address(row, 64 + 8 * e), pack8(high));
}

// Grid (chunks, heads). partial: [heads, chunks, 128, 128]; phi_sums: [heads, chunks, 128]. While one tile is multiplied
// the next is on its way: v by asynchronous copies, k in registers.
extern "C" __global__ void __launch_bounds__(256, 2) sla_linear_sum(const bf16* k, const bf16* v, float* partial,
                                                                    float* phi_sums, int tokens, int chunk, int width) {
    extern __shared__ __align__(128) unsigned char shared[];
    const uint32_t base = shared_address(shared);
    const Tile<D> phi_tile{base};
    auto v_tile = [&](int tile) { return Tile<D>{base + 2 * D * SUM_TOKENS * (1 + (tile & 1))}; };
    const int head = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    k += head * D;
    v += head * D;
    const int first = blockIdx.x * chunk, last = min(first + chunk, tokens);
    // Rows of a tile that this lane has a part of.
    const int rows[2] = {8 * warp + (lane >> 3), 8 * warp + 4 + (lane >> 3)};
    float low_sums[8] = {}, high_sums[8] = {}, product[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) product[n][i] = 0.0f;
    Part parts[2];
    auto fetch = [&](int start, int tile) {
        if (start < last) {
            v_tile(tile).load(v + (long long)start * width, width, SUM_TOKENS, last - start);
#pragma unroll
            for (int i = 0; i < 2; ++i)
                parts[i] = load_part(k + (long long)(start + rows[i]) * width, start + rows[i] < last);
        }
        copy_commit();
    };

    fetch(first, 0);
    int tile = 0;
    for (int start = first; start < last; start += SUM_TOKENS, ++tile) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            float low[8], high[8];
            channel_softmax(parts[i], low, high);
            const bool inside = start + rows[i] < last;
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                if (!inside) low[j] = high[j] = 0.0f;
                low_sums[j] += low[j];
                high_sums[j] += high[j];
            }
            put_phi(phi_tile, rows[i], low, high);
        }
        fetch(start + SUM_TOKENS, tile + 1);
        copy_wait<1>();
        __syncthreads();
#pragma unroll
        for (int token = 0; token < SUM_TOKENS; token += 16) {
            uint32_t a[4];
            phi_tile.a_transposed(a, 16 * warp, token);
#pragma unroll
            for (int n = 0; n < D / 16; ++n) {
                uint32_t b[4];
                v_tile(tile).b_transposed(b, 16 * n, token);
                mma_bf16(product[2 * n], a, b[0], b[1]);
                mma_bf16(product[2 * n + 1], a, b[2], b[3]);
            }
        }
        __syncthreads();
    }
    copy_wait<0>();

    const long long at = (long long)head * gridDim.x + blockIdx.x;
    const int g = lane >> 2, t = lane & 3, e = lane & 7;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float* row = partial + (at * D + 16 * warp + g + 8 * half) * D + 8 * n + 2 * t;
            *reinterpret_cast<float2*>(row) = make_float2(product[n][2 * half], product[n][2 * half + 1]);
        }
    }
    // A row for each of the 32 groups of eight lanes.
    float* sums = reinterpret_cast<float*>(shared) + (4 * warp + (lane >> 3)) * D;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
        sums[8 * e + j] = low_sums[j];
        sums[64 + 8 * e + j] = high_sums[j];
    }
    __syncthreads();
    if (threadIdx.x < D) {
        float total = 0.0f;
        for (int row = 0; row < 32; ++row) total += reinterpret_cast<float*>(shared)[row * D + threadIdx.x];
        phi_sums[at * D + threadIdx.x] = total;
    }
}

// Grid (128 / FOLD_ROWS, heads), 128 threads. folded: [heads, 128, 128]; totals: [heads, 128].
extern "C" __global__ void __launch_bounds__(128) sla_linear_fold(const float* partial, const float* phi_sums,
                                                                  const bf16* weight, bf16* folded, float* totals,
                                                                  int chunks) {
    __shared__ float kv[FOLD_ROWS][D];
    const long long head = blockIdx.y;
    const int first = blockIdx.x * FOLD_ROWS, thread = threadIdx.x;
    float sums[FOLD_ROWS] = {};
#pragma unroll 4
    for (int c = 0; c < chunks; ++c)
#pragma unroll
        for (int row = 0; row < FOLD_ROWS; ++row)
            sums[row] += partial[((head * chunks + c) * D + first + row) * D + thread];
#pragma unroll
    for (int row = 0; row < FOLD_ROWS; ++row) kv[row][thread] = sums[row];
    if (blockIdx.x == 0) {
        float sum = 0.0f;
        for (int c = 0; c < chunks; ++c) sum += phi_sums[(head * chunks + c) * D + thread];
        totals[head * D + thread] = sum;
    }
    __syncthreads();
    float out[FOLD_ROWS];
#pragma unroll
    for (int row = 0; row < FOLD_ROWS; ++row) out[row] = 0.0f;
    for (int d = 0; d < D; d += 8) {
        float w[8];
        load8(weight + thread * D + d, w);
#pragma unroll
        for (int row = 0; row < FOLD_ROWS; ++row)
#pragma unroll
            for (int i = 0; i < 8; ++i) out[row] += kv[row][d + i] * w[i];
    }
#pragma unroll
    for (int row = 0; row < FOLD_ROWS; ++row) folded[(head * D + first + row) * D + thread] = from_float<bf16>(out[row]);
}

// Grid (tokens / 128, heads), from the last to the first, which the sparse branch wrote last. A warp's 16 tokens are its own from
// the first load to the last store.
extern "C" __global__ void __launch_bounds__(256, 2) sla_linear_apply(const bf16* q, const bf16* sparse,
                                                                      const bf16* folded, const float* totals,
                                                                      const float* bias, bf16* out, int tokens,
                                                                      int width) {
    extern __shared__ __align__(128) unsigned char shared[];
    __shared__ float factors[APPLY_TOKENS];
    const uint32_t base = shared_address(shared);
    const Tile<D> phi_tile{base}, folded_tile{base + 2 * D * APPLY_TOKENS};
    const int head = gridDim.y - 1 - blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, e = lane & 7;
    const int start = (gridDim.x - 1 - blockIdx.x) * APPLY_TOKENS, own = 16 * warp + (lane >> 3);
    q += head * D;
    sparse += head * D;
    out += head * D;
    Part parts[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = own + 4 * i;
        parts[i] = load_part(q + (long long)(start + row) * width, start + row < tokens);
    }
    folded_tile.load(folded + (long long)head * D * D, D, D, D);
    copy_commit();
    float low_totals[8], high_totals[8];
    load8(totals + head * D + 8 * e, low_totals);
    load8(totals + head * D + 64 + 8 * e, high_totals);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float low[8], high[8], dot = 0.0f;
        channel_softmax(parts[i], low, high);
#pragma unroll
        for (int j = 0; j < 8; ++j) dot += low[j] * low_totals[j] + high[j] * high_totals[j];
        dot = sum_of_eight(dot);
        if (e == 0) factors[own + 4 * i] = 1.0f / (dot + GUARD);
        put_phi(phi_tile, own + 4 * i, low, high);
    }
    copy_wait<0>();
    __syncthreads();
    float product[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) product[n][i] = 0.0f;
#pragma unroll
    for (int d = 0; d < D; d += 16) {
        uint32_t a[4];
        phi_tile.a(a, 16 * warp, d);
#pragma unroll
        for (int n = 0; n < D / 16; ++n) {
            uint32_t b[4];
            folded_tile.b_transposed(b, 16 * n, d);
            mma_bf16(product[2 * n], a, b[0], b[1]);
            mma_bf16(product[2 * n + 1], a, b[2], b[3]);
        }
    }
    // The branch, rounded as it is published, takes the place of the maps, to be met by whole rows of the sparse one.
    __syncwarp();
    auto word = [&](int row, int column) {
        return reinterpret_cast<uint32_t*>(shared + (phi_tile.address(row, column) - base));
    };
    const int g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = 16 * warp + g + 8 * half;
        const float factor = factors[row];
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
            const int c = 8 * n + 2 * t;
            const float b0 = bias ? bias[c] : 0.0f, b1 = bias ? bias[c + 1] : 0.0f;
            *word(row, c) = pack(product[n][2 * half] * factor + b0, product[n][2 * half + 1] * factor + b1);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = own + 4 * i;
        parts[i] = load_part(sparse + (long long)(start + row) * width, start + row < tokens);
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = own + 4 * i;
        if (start + row >= tokens) continue;
        bf16* to = out + (long long)(start + row) * width;
        const uint4 sparse_part[2] = {parts[i].low, parts[i].high};
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            float linear[8], sum[8];
            unpack8(*reinterpret_cast<uint4*>(word(row, 64 * h + 8 * e)), linear);
            unpack8(sparse_part[h], sum);
#pragma unroll
            for (int j = 0; j < 8; ++j) sum[j] += linear[j];
            store8(to + 64 * h + 8 * e, sum);
        }
    }
}
