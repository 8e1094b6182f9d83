// sla_linear: out = sparse + φ(q)·(φ(k)ᵀv)·Wᵀ / (1e-5 + φ(q)·Σφ(k)) + b, per head; φ is the softmax over the
// channels of one token. The product is taken as φ(q)·((φ(k)ᵀv)·Wᵀ), so the projection costs one small matrix a head.
//
//   sum    k and v once: a partial φ(k)ᵀv and Σφ(k) for each chunk of tokens, added in a fixed order afterwards
//   fold   the chunks to one matrix a head, times Wᵀ
//   apply  q and sparse once, out once
#include "convert.cuh"
#include "reduce.cuh"
#include "tile.cuh"

constexpr int D = 128, SUM_TOKENS = 64, APPLY_TOKENS = 128;
constexpr float GUARD = 1e-5f;

// The softmax of one token's 128 channels, four a lane, rounded as it is stored.
__device__ __forceinline__ void channel_softmax(const bf16* from, float (&phi)[4]) {
    const uint2 raw = reinterpret_cast<const uint2*>(from)[threadIdx.x & 31];
    const float2 low = unpack(raw.x), high = unpack(raw.y);
    phi[0] = low.x, phi[1] = low.y, phi[2] = high.x, phi[3] = high.y;
    const float top = warp_max(fmaxf(fmaxf(phi[0], phi[1]), fmaxf(phi[2], phi[3])));
#pragma unroll
    for (int i = 0; i < 4; ++i) phi[i] = __expf(phi[i] - top);
    const float sum = warp_sum(phi[0] + phi[1] + phi[2] + phi[3]);
#pragma unroll
    for (int i = 0; i < 4; ++i) phi[i] = rounded(phi[i] / sum);
}

__device__ __forceinline__ void put_phi(const Tile<D>& tile, int row, const float (&phi)[4]) {
    const int lane = threadIdx.x & 31;
    store_shared(tile.address(row, 4 * lane), pack(phi[0], phi[1]), pack(phi[2], phi[3]));
}

// Grid (chunks, heads). partial: [heads, chunks, 128, 128]; phi_sums: [heads, chunks, 128].
extern "C" __global__ void __launch_bounds__(256) sla_linear_sum(const bf16* k, const bf16* v, float* partial,
                                                                 float* phi_sums, int tokens, int chunk, int width) {
    extern __shared__ __align__(128) unsigned char shared[];
    const Tile<D> phi_tile{shared_address(shared)}, v_tile{shared_address(shared) + 2 * D * SUM_TOKENS};
    const int head = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    k += head * D;
    v += head * D;
    const int first = blockIdx.x * chunk, last = min(first + chunk, tokens);
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f}, product[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) product[n][i] = 0.0f;

    for (int start = first; start < last; start += SUM_TOKENS) {
        v_tile.load(v + (long long)start * width, width, SUM_TOKENS, last - start);
        copy_commit();
#pragma unroll
        for (int i = 0; i < SUM_TOKENS / 8; ++i) {
            const int row = warp * (SUM_TOKENS / 8) + i;
            float phi[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            if (start + row < last) channel_softmax(k + (long long)(start + row) * width, phi);
#pragma unroll
            for (int j = 0; j < 4; ++j) sums[j] += phi[j];
            put_phi(phi_tile, row, phi);
        }
        copy_wait<0>();
        __syncthreads();
#pragma unroll
        for (int token = 0; token < SUM_TOKENS; token += 16) {
            uint32_t a[4];
            phi_tile.a_transposed(a, 16 * warp, token);
#pragma unroll
            for (int n = 0; n < D / 16; ++n) {
                uint32_t b[4];
                v_tile.b_transposed(b, 16 * n, token);
                mma_bf16(product[2 * n], a, b[0], b[1]);
                mma_bf16(product[2 * n + 1], a, b[2], b[3]);
            }
        }
        __syncthreads();
    }

    const long long at = (long long)head * gridDim.x + blockIdx.x;
    const int g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float* row = partial + (at * D + 16 * warp + g + 8 * half) * D + 8 * n + 2 * t;
            *reinterpret_cast<float2*>(row) = make_float2(product[n][2 * half], product[n][2 * half + 1]);
        }
    }
    float* per_warp = reinterpret_cast<float*>(shared);
#pragma unroll
    for (int j = 0; j < 4; ++j) per_warp[warp * D + 4 * lane + j] = sums[j];
    __syncthreads();
    if (threadIdx.x < D) {
        float total = 0.0f;
        for (int w = 0; w < 8; ++w) total += per_warp[w * D + threadIdx.x];
        phi_sums[at * D + threadIdx.x] = total;
    }
}

// Grid (8, heads), 128 threads: 16 rows each. folded: [heads, 128, 128]; totals: [heads, 128].
extern "C" __global__ void __launch_bounds__(128) sla_linear_fold(const float* partial, const float* phi_sums,
                                                                  const bf16* weight, bf16* folded, float* totals,
                                                                  int chunks) {
    __shared__ float kv[16][D];
    const long long head = blockIdx.y;
    const int first = blockIdx.x * 16, thread = threadIdx.x;
    for (int row = 0; row < 16; ++row) {
        float sum = 0.0f;
        for (int c = 0; c < chunks; ++c) sum += partial[((head * chunks + c) * D + first + row) * D + thread];
        kv[row][thread] = sum;
    }
    if (blockIdx.x == 0) {
        float sum = 0.0f;
        for (int c = 0; c < chunks; ++c) sum += phi_sums[(head * chunks + c) * D + thread];
        totals[head * D + thread] = sum;
    }
    __syncthreads();
    float out[16];
#pragma unroll
    for (int row = 0; row < 16; ++row) out[row] = 0.0f;
    for (int d = 0; d < D; d += 8) {
        float w[8];
        load8(weight + thread * D + d, w);
#pragma unroll
        for (int row = 0; row < 16; ++row)
#pragma unroll
            for (int i = 0; i < 8; ++i) out[row] += kv[row][d + i] * w[i];
    }
#pragma unroll
    for (int row = 0; row < 16; ++row) folded[(head * D + first + row) * D + thread] = from_float<bf16>(out[row]);
}

// Grid (tokens / 128, heads).
extern "C" __global__ void __launch_bounds__(256) sla_linear_apply(const bf16* q, const bf16* sparse, const bf16* folded,
                                                                   const float* totals, const float* bias, bf16* out,
                                                                   int tokens, int width) {
    extern __shared__ __align__(128) unsigned char shared[];
    __shared__ float factors[APPLY_TOKENS];
    const Tile<D> phi_tile{shared_address(shared)}, folded_tile{shared_address(shared) + 2 * D * APPLY_TOKENS};
    const int head = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const int start = blockIdx.x * APPLY_TOKENS;
    q += head * D;
    sparse += head * D;
    out += head * D;
    folded_tile.load(folded + (long long)head * D * D, D, D, D);
    copy_commit();
    float total[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) total[j] = totals[head * D + 4 * lane + j];
#pragma unroll
    for (int i = 0; i < 16; ++i) {
        const int row = 16 * warp + i;
        float phi[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (start + row < tokens) channel_softmax(q + (long long)(start + row) * width, phi);
        put_phi(phi_tile, row, phi);
        const float dot = warp_sum(phi[0] * total[0] + phi[1] * total[1] + phi[2] * total[2] + phi[3] * total[3]);
        if (lane == 0) factors[row] = 1.0f / (dot + GUARD);
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
    const int g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = 16 * warp + g + 8 * half;
        if (start + row >= tokens) continue;
        const float factor = factors[row];
        const bf16* add = sparse + (long long)(start + row) * width;
        bf16* to = out + (long long)(start + row) * width;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
            const int c = 8 * n + 2 * t;
            const float2 s = unpack(*reinterpret_cast<const uint32_t*>(add + c));
            const float b0 = bias ? bias[c] : 0.0f, b1 = bias ? bias[c + 1] : 0.0f;
            *reinterpret_cast<uint32_t*>(to + c) = pack(s.x + rounded(product[n][2 * half] * factor + b0),
                                                        s.y + rounded(product[n][2 * half + 1] * factor + b1));
        }
    }
}
