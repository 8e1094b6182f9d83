// The warp-wide operations, done at once for 32 lanes from their slots.
#pragma once
#include <cstdio>
#include <cstdlib>

#include "host.h"
#include "mma.cuh"

[[noreturn]] inline void give_up(const char* why) {
    fprintf(stderr, "emulated GPU: %s\n", why);
    abort();
}

inline float bf16_at(uint32_t word, int half) { return __bfloat162float({(uint16_t)(word >> 16 * half)}); }

inline void shuffle(void* const (&slots)[32]) {
    float values[32];
    for (int lane = 0; lane < 32; ++lane) values[lane] = ((Shuffle*)slots[lane])->value;
    for (int lane = 0; lane < 32; ++lane) {
        auto* slot = (Shuffle*)slots[lane];
        slot->result = values[lane ^ slot->step];
    }
}

// Lane l gives the address of row l % 8 of matrix l / 8, and gets two neighbours of row l / 4 (column l / 4, transposed).
inline void ldmatrix_all(void* const (&slots)[32], bool transposed, size_t shared_bytes) {
    for (int matrix = 0; matrix < 4; ++matrix) {
        uint16_t m[8][8];
        for (int row = 0; row < 8; ++row) {
            const uint32_t address = ((Ldmatrix*)slots[8 * matrix + row])->address;
            if (address % 16 || address + 16 > shared_bytes) give_up("ldmatrix at a bad address");
            memcpy(m[row], emulated_shared + address, 16);
        }
        for (int lane = 0; lane < 32; ++lane) {
            const int g = lane / 4, t = 2 * (lane % 4);
            const uint32_t low = transposed ? m[t][g] : m[g][t], high = transposed ? m[t + 1][g] : m[g][t + 1];
            ((Ldmatrix*)slots[lane])->r[matrix] = low | high << 16;
        }
    }
}

inline void mma_bf16_all(void* const (&slots)[32]) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto* slot = (MmaBf16*)slots[lane];
        const int g = lane / 4, t = 2 * (lane % 4);
        for (int i = 0; i < 4; ++i)
            for (int half = 0; half < 2; ++half) a[g + 8 * (i & 1)][t + 8 * (i >> 1) + half] = bf16_at(slot->a[i], half);
        for (int i = 0; i < 2; ++i)
            for (int half = 0; half < 2; ++half) b[t + 8 * i + half][g] = bf16_at(slot->b[i], half);
    }
    for (int lane = 0; lane < 32; ++lane) {
        auto* slot = (MmaBf16*)slots[lane];
        for (int i = 0; i < 4; ++i)
            for (int k = 0; k < 16; ++k)
                slot->c[i] += a[lane / 4 + 8 * (i >> 1)][k] * b[k][2 * (lane % 4) + (i & 1)];
    }
}

inline void vote(void* const (&slots)[32]) {
    unsigned ballot = 0, sum = 0;
    for (int lane = 0; lane < 32; ++lane) {
        const unsigned value = ((Vote*)slots[lane])->value;
        ballot |= (unsigned)(value != 0) << lane, sum += value;
    }
    for (int lane = 0; lane < 32; ++lane) ((Vote*)slots[lane])->ballot = ballot, ((Vote*)slots[lane])->sum = sum;
}

inline int from_s8(uint8_t byte) { return (int8_t)byte; }
inline float from_e4m3(uint8_t byte) {
    const int exponent = byte >> 3 & 15, eighths = byte & 7;
    const float size = exponent ? ldexpf(8 + eighths, exponent - 10) : ldexpf(eighths, -9);
    return byte & 0x80 ? -size : size;
}

// m16n8k32 of bytes.
template <typename Slot, typename Value> inline void mma_bytes_all(void* const (&slots)[32], Value (*value)(uint8_t)) {
    Value a[16][32], b[32][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto* slot = (Slot*)slots[lane];
        const int g = lane / 4, t = 4 * (lane % 4);
        for (int byte = 0; byte < 4; ++byte) {
            for (int i = 0; i < 4; ++i) a[g + 8 * (i & 1)][t + 16 * (i >> 1) + byte] = value(slot->a[i] >> 8 * byte);
            for (int i = 0; i < 2; ++i) b[t + 16 * i + byte][g] = value(slot->b[i] >> 8 * byte);
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        auto* slot = (Slot*)slots[lane];
        for (int i = 0; i < 4; ++i)
            for (int k = 0; k < 32; ++k)
                slot->c[i] += a[lane / 4 + 8 * (i >> 1)][k] * b[k][2 * (lane % 4) + (i & 1)];
    }
}

inline void warp_operation(int operation, void* const (&slots)[32], size_t shared_bytes) {
    switch (operation) {
    case SHUFFLE: return shuffle(slots);
    case MMA_BF16: return mma_bf16_all(slots);
    case VOTE: return vote(slots);
    case MMA_S8: return mma_bytes_all<MmaS8>(slots, from_s8);
    case MMA_E4M3: return mma_bytes_all<MmaE4m3>(slots, from_e4m3);
    case LDMATRIX: return ldmatrix_all(slots, false, shared_bytes);
    case LDMATRIX_TRANSPOSED: return ldmatrix_all(slots, true, shared_bytes);
    default: give_up("an unknown operation");
    }
}
