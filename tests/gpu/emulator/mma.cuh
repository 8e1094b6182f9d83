// Stands in for `kernels/include/mma.cuh`: the same functions, done by the stand-in for the driver.
#pragma once
#include <stdint.h>

struct MmaBf16 { float* c; const uint32_t* a; uint32_t b[2]; };
struct MmaS8 { int* c; const uint32_t* a; uint32_t b[2]; };
struct MmaE4m3 { float* c; const uint32_t* a; uint32_t b[2]; };
struct Ldmatrix { uint32_t* r; uint32_t address; };

inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    MmaBf16 slot{c, a, {b0, b1}};
    emulated_warp(MMA_BF16, &slot);
}
inline void mma_s8(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    MmaS8 slot{c, a, {b0, b1}};
    emulated_warp(MMA_S8, &slot);
}
inline void mma_e4m3(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    MmaE4m3 slot{c, a, {b0, b1}};
    emulated_warp(MMA_E4M3, &slot);
}
inline uint32_t shared_address(const void* p) { return (uint32_t)((const unsigned char*)p - emulated_shared); }
inline void ldmatrix(uint32_t (&r)[4], uint32_t address) {
    Ldmatrix slot{r, address};
    emulated_warp(LDMATRIX, &slot);
}
inline void ldmatrix_transposed(uint32_t (&r)[4], uint32_t address) {
    Ldmatrix slot{r, address};
    emulated_warp(LDMATRIX_TRANSPOSED, &slot);
}
inline void copy16(uint32_t shared, const void* global, bool inside) { emulated_copy16(shared, global, inside); }
inline void copy_commit() { emulated_commit(); }
template <int N> inline void copy_wait() { emulated_wait(N); }
inline void store_shared(uint32_t address, uint32_t low, uint32_t high) {
    const uint32_t words[2] = {low, high};
    memcpy(emulated_shared + address, words, 8);
}
inline void store_shared(uint32_t address, const uint4& words) { memcpy(emulated_shared + address, &words, 16); }
