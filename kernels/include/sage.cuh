// What the kernels of sage_attention share: 8-bit operands in tiles, and the constants of the definition.
//
// A tile holds the rows of one block of one head as shared memory wants them, 16-byte chunks permuted as in tile.cuh:
//   q, k   rows of 128 channels, int8, a row a token; rows past the last token are zero
//   v      rows of the block's keys, e4m3, a row a channel; in each 16 keys the order 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15,
//          that of the scores in a lane, which become the other operand
#pragma once
#include <stdint.h>

struct SageOperands {
    const unsigned char *q, *k, *v;             // [heads, blocks] tiles
    const float *q_scale, *k_scale, *v_scale;   // [heads, blocks], [heads, blocks], [heads, 128]
};

struct SageShape {
    int tokens, heads;
    int count;     // blocks of keys listed for each block of queries, ascending
    float scale;   // of the scores, times log2 e
};

constexpr float SAGE_OFFSET = 8.807f;   // log2 448: weights use the whole range of e4m3
constexpr float SAGE_LOWEST = -5e6f;    // start of the running maximum
constexpr float SAGE_RANGE = 2.25f;     // bound of e4m3 values
