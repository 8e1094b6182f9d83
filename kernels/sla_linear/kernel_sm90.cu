// sla_linear's sums on Hopper: partial φ(k)ᵀv and Σφ(k) for each chunk of tokens. Two groups of four warps, each with 64 of the
// channels of φ and all of v. While one tile is multiplied the maps of the next are computed; values are asked for two tiles
// ahead, keys one.
#include "channel_softmax.cuh"
#include "hopper.cuh"

constexpr int TOKENS = 64;
// A tile is two halves of 64 channels side by side, rows of 128 bytes in each.
constexpr int HALF = TOKENS * 128, TILE_BYTES = 2 * HALF;
constexpr int MAPS = 2, VALUES = 3;

// sum[64, 128] (+)= a[16, 64]ᵀ·b[16, 128], both in shared memory in rows of k.
__device__ __forceinline__ void product_of_columns(float (&sum)[64], uint64_t a, uint64_t b, bool add) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES64 "}, %64, %65, p, 1, 1, 1, 1;\n}\n"
                 : SUMS32(sum, 0), SUMS32(sum, 32)
                 : "l"(a), "l"(b), "r"((int)add));
}

// The same with eight columns in rows of n.
__device__ __forceinline__ void product_of_columns(float (&sum)[4], uint64_t a, uint64_t b, bool add) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %6, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %5, p, 1, 1, 1, 0;\n}\n"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "l"(a), "l"(b), "r"((int)add));
}

// Where 16-byte chunk `e` of a row stands in a half, as the products expect it.
__device__ __forceinline__ uint32_t chunk_address(uint32_t half, int row, int e) {
    return half + 128 * row + 16 * (e ^ (row & 7));
}

// Grid (chunks, heads). partial: [heads, chunks, 128, 128]; phi_sums: [heads, chunks, 128].
extern "C" __global__ void __launch_bounds__(256, 2) sla_linear_sum_hopper(const bf16* k, const bf16* v, float* partial,
                                                                           float* phi_sums, int tokens, int chunk,
                                                                           int width) {
    extern __shared__ unsigned char raw[];
    const uint32_t base = (shared_address(raw) + 1023) & ~1023u;
    const uint32_t ones = base + (MAPS + VALUES) * TILE_BYTES;
    const int head = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, e = lane & 7, group = threadIdx.x >> 7;
    k += head * D;
    v += head * D;
    const int first = blockIdx.x * chunk, last = min(first + chunk, tokens);
    // Rows of a tile that this lane has a part of: this one and the one 32 further.
    const int own = 4 * warp + (lane >> 3);

    Part parts[2];
    auto fetch_keys = [&](int start) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int token = start + own + 32 * i;
            parts[i] = load_part(k + (long long)token * width, token < last);
        }
    };
    auto fetch_values = [&](int start, int tile) {
        if (start < last) {
            const uint32_t to = base + (MAPS + tile % VALUES) * TILE_BYTES;
#pragma unroll
            for (int i = 0; i < TILE_BYTES / 16 / 256; ++i) {
                const int at = threadIdx.x + 256 * i, row = at >> 4, c = at & 15;
                const bool inside = start + row < last;
                const bf16* from = v + (long long)(inside ? start + row : first) * width + 8 * c;
                copy16(chunk_address(to + (c >> 3) * HALF, row, c & 7), from, inside);
            }
        }
        copy_commit();
    };

    fetch_keys(first);
    fetch_values(first, 0);
    fetch_values(first + TOKENS, 1);
    if (threadIdx.x < 64) {
        const uint32_t pair = pack(1.0f, 1.0f);
        store_shared(ones + 16 * threadIdx.x, make_uint4(pair, pair, pair, pair));
    }
    float sum[64], phi_sum[4];
    int tile = 0;
    for (int start = first; start < last; start += TOKENS, ++tile) {
        const uint32_t maps = base + (tile % MAPS) * TILE_BYTES;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int row = own + 32 * i;
            float low[8], high[8];
            channel_softmax(parts[i], low, high);
            const bool inside = start + row < last;
            const uint4 zero = make_uint4(0, 0, 0, 0);
            store_shared(chunk_address(maps, row, e), inside ? pack8(low) : zero);
            store_shared(chunk_address(maps + HALF, row, e), inside ? pack8(high) : zero);
        }
        fetch_keys(start + TOKENS);
        // This tile's values are there, all but the latest fetch; the products before are over, so what they read is free.
        copy_wait<1>();
        product_wait<0>();
        settle(sum);
        settle(phi_sum);
        asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
        __syncthreads();
        fetch_values(start + 2 * TOKENS, tile + 2);
        const uint64_t a = operand(maps + group * HALF, HALF);
        const uint64_t b = operand(base + (MAPS + tile % VALUES) * TILE_BYTES, HALF);
        product_begin();
#pragma unroll
        for (int step = 0; step < TOKENS / 16; ++step) {
            const int further = 16 * 128 * step >> 4;
            product_of_columns(sum, a + further, b + further, tile | step);
            product_of_columns(phi_sum, a + further, operand(ones, 0), tile | step);
        }
        product_commit();
    }
    product_wait<0>();
    settle(sum);
    settle(phi_sum);

    const long long at = (long long)head * gridDim.x + blockIdx.x;
    const int t = lane & 3, top = 64 * group + 16 * (warp & 3) + (lane >> 2);
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float* row = partial + (at * D + top + 8 * half) * D + 8 * n + 2 * t;
            *reinterpret_cast<float2*>(row) = make_float2(sum[4 * n + 2 * half], sum[4 * n + 2 * half + 1]);
        }
    }
    if (t == 0) {
        phi_sums[at * D + top] = phi_sum[0];
        phi_sums[at * D + top + 8] = phi_sum[2];
    }
}
