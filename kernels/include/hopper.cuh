// What only Hopper has: matrix products of a warpgroup (four warps) on operands in shared memory, copies of whole tiles
// by the copy engine, and the barriers in shared memory that count their bytes.
#pragma once
#include "mma.cuh"
#include <cuda.h>

// ---- barriers -------------------------------------------------------------------------------------------------------

__device__ __forceinline__ void barrier_init(uint32_t barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes fresh barriers known to the copy engine.
__device__ __forceinline__ void barrier_publish() { asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory"); }

__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(barrier) : "memory");
}

// Arrives, and lets the phase end only once `bytes` have been copied.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(barrier), "r"(bytes) : "memory");
}

// Waits for the end of the phase of this parity.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
    uint32_t done;
    do {
        asm volatile("{\n.reg .pred p;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, p;\n}\n"
                     : "=r"(done)
                     : "r"(barrier), "r"(parity)
                     : "memory");
    } while (!done);
}

// Barriers of the thread block by number: `threads` of it, those that wait and those that only arrive.
__device__ __forceinline__ void turn_wait(int number, int threads) {
    asm volatile("bar.sync %0, %1;\n" ::"r"(number), "r"(threads) : "memory");
}
__device__ __forceinline__ void turn_pass(int number, int threads) {
    asm volatile("bar.arrive %0, %1;\n" ::"r"(number), "r"(threads) : "memory");
}

// ---- the copy engine ------------------------------------------------------------------------------------------------

// The map's box at (column, row) into shared memory; what lies outside the matrix becomes zero.
__device__ __forceinline__ void copy_box(uint32_t shared, const CUtensorMap* map, int column, int row, uint32_t barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];\n" ::"r"(
                     shared),
                 "l"(map), "r"(barrier), "r"(column), "r"(row)
                 : "memory");
}

// `bytes` that lie together; both addresses are multiples of 16.
__device__ __forceinline__ void copy_bytes(uint32_t shared, const void* from, int bytes, uint32_t barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(shared),
                 "l"(from), "r"(bytes), "r"(barrier)
                 : "memory");
}

// The same into the same place of every block of the cluster whose bit is in `blocks`, and to its barrier there.
__device__ __forceinline__ void copy_box_to_all(uint32_t shared, const CUtensorMap* map, int column, int row,
                                                uint32_t barrier, int blocks) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], "
                 "[%2], %5;\n" ::"r"(shared),
                 "l"(map), "r"(barrier), "r"(column), "r"(row), "h"((uint16_t)blocks)
                 : "memory");
}

// A place in a ring of stages, and whether the ring was gone round an odd number of times.
template <int STAGES> struct RingPlace {
    int stage = 0;
    uint32_t parity = 0;
    __device__ __forceinline__ void advance() {
        if (++stage == STAGES) stage = 0, parity ^= 1;
    }
};

// ---- clusters of thread blocks --------------------------------------------------------------------------------------

__device__ __forceinline__ int cluster_rank() {
    int rank;
    asm("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank));
    return rank;
}

// All threads of all blocks; what they wrote to shared memory before is seen by all after.
__device__ __forceinline__ void cluster_meet() {
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;\n" ::: "memory");
}

// Arrives at the barrier that stands at the same place in block `rank`. Tells of reads that are over, not of writes: with the
// whole cluster as its scope this would wait a thousand cycles for all earlier stores.
__device__ __forceinline__ void barrier_arrive_at(uint32_t barrier, int rank) {
    asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
                 "mbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::"r"(barrier),
                 "r"(rank)
                 : "memory");
}

// ---- registers ------------------------------------------------------------------------------------------------------

template <int COUNT> __device__ __forceinline__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(COUNT));
}

// Word i of lane q of each four lanes becomes word q of lane i.
__device__ __forceinline__ void transpose_words(uint32_t (&w)[4], int lane) {
    const bool odd = lane & 1, high = lane & 2;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        const uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? w[i] : w[i + 1], 1);
        if (odd) w[i] = other;
        else w[i + 1] = other;
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const uint32_t other = __shfl_xor_sync(0xffffffffu, high ? w[i] : w[i + 2], 2);
        if (high) w[i] = other;
        else w[i + 2] = other;
    }
}

// ---- products -------------------------------------------------------------------------------------------------------

// An operand in rows of 128 bytes, 16-byte chunks permuted by the copy engine's 128-byte swizzle, groups of eight rows
// one after another. `side` is the distance in bytes of the next 64 columns, where rows are those of k.
__device__ __forceinline__ uint64_t operand(uint32_t address, int side) {
    return (uint64_t)((address & 0x3ffff) >> 4) | (uint64_t)(side >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

__device__ __forceinline__ void product_begin() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ __forceinline__ void product_commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
template <int N> __device__ __forceinline__ void product_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(N) : "memory");
}

// Keeps the compiler from touching sums before the wait above it.
template <int COUNT> __device__ __forceinline__ void settle(float (&sum)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) asm volatile("" : "+f"(sum[i])::"memory");
}
template <int COUNT> __device__ __forceinline__ void settle(int (&sum)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) asm volatile("" : "+r"(sum[i])::"memory");
}

#define SUMS8(s, i) "+f"(s[i]), "+f"(s[i + 1]), "+f"(s[i + 2]), "+f"(s[i + 3]), "+f"(s[i + 4]), "+f"(s[i + 5]), "+f"(s[i + 6]), "+f"(s[i + 7])
#define SUMS32(s, i) SUMS8(s, i), SUMS8(s, i + 8), SUMS8(s, i + 16), SUMS8(s, i + 24)
#define WHOLE8(s, i) "+r"(s[i]), "+r"(s[i + 1]), "+r"(s[i + 2]), "+r"(s[i + 3]), "+r"(s[i + 4]), "+r"(s[i + 5]), "+r"(s[i + 6]), "+r"(s[i + 7])
#define WHOLE32(s, i) WHOLE8(s, i), WHOLE8(s, i + 8), WHOLE8(s, i + 16), WHOLE8(s, i + 24)
#define NAMES32                                                                                                       \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,"  \
    "%30,%31"
#define NAMES64                                                                                                       \
    NAMES32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,"   \
            "%57,%58,%59,%60,%61,%62,%63"

// sum[64, N] (+)= a[64, 16]·b[N, 16]ᵀ, both in shared memory in rows of k; N is 64 or 128. Sums of a thread lie as those
// of mma.cuh: four for every eight columns.
__device__ __forceinline__ void product(float (&sum)[32], uint64_t a, uint64_t b, bool add) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" NAMES32 "}, %32, %33, p, 1, 1, 0, 0;\n}\n"
                 : SUMS32(sum, 0)
                 : "l"(a), "l"(b), "r"((int)add));
}
__device__ __forceinline__ void product(float (&sum)[64], uint64_t a, uint64_t b, bool add) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES64 "}, %64, %65, p, 1, 1, 0, 0;\n}\n"
                 : SUMS32(sum, 0), SUMS32(sum, 32)
                 : "l"(a), "l"(b), "r"((int)add));
}

// sum[64, 128] (+)= a[64, 16]·b[16, 128], a in registers as fragments of mma.cuh, b in shared memory in rows of k.
__device__ __forceinline__ void product(float (&sum)[64], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES64 "}, {%64,%65,%66,%67}, %68, p, 1, 1, 1;\n}\n"
                 : SUMS32(sum, 0), SUMS32(sum, 32)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add));
}

// 8-bit: sum[64, 128] (+)= a[64, 32]·b[128, 32]ᵀ, a in registers as fragments of mma.cuh, b in shared memory in rows of k.
__device__ __forceinline__ void product_s8(int (&sum)[64], const uint32_t (&a)[4], uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" NAMES64 "}, {%64,%65,%66,%67}, %68, 1;\n"
                 : WHOLE32(sum, 0), WHOLE32(sum, 32)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void product_e4m3(float (&sum)[64], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" NAMES64 "}, {%64,%65,%66,%67}, %68, p, 1, 1;\n}\n"
                 : SUMS32(sum, 0), SUMS32(sum, 32)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add));
}

// ---- what leaves ----------------------------------------------------------------------------------------------------

// A row of 128 results, of which this lane has the pairs at 8n + 2·(lane % 4): neighbours exchange theirs, so that each
// writes 16 bytes at a time.
__device__ __forceinline__ void store_row(__nv_bfloat16* row, const uint32_t (&pairs)[16], bool inside) {
    const int t = threadIdx.x & 3;
#pragma unroll
    for (int n = 0; n < 16; n += 4) {
        uint32_t words[4] = {pairs[n], pairs[n + 1], pairs[n + 2], pairs[n + 3]};
        transpose_words(words, t);
        if (inside) *reinterpret_cast<uint4*>(row + 8 * (n + t)) = make_uint4(words[0], words[1], words[2], words[3]);
    }
}
