// attention on Hopper, heads of 128 channels. Grid: as many blocks as fit the card, one a multiprocessor. The names say keys a
// step.
#include "flash_hopper.cuh"

#define ATTENTION(NAME, PARTS)                                                                                        \
    extern "C" __global__ void __launch_bounds__(384, 1)                                                              \
        NAME(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,                            \
             const __grid_constant__ CUtensorMap v, bf16* out, int queries, int keys, int heads, float scale) {       \
        const HopperShape shape{queries, keys, heads, 128 * heads, 0, 64, scale * 1.4426950408889634f};               \
        HopperFlash<2, PARTS, 2, true>{}.run(&q, &k, &v, out, nullptr, shape);                                        \
    }
ATTENTION(attention_hopper_192, 3)
ATTENTION(attention_hopper_128, 2)
