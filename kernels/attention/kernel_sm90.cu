// attention on Hopper, heads of 128 channels. Grid: as many blocks as fit the card, one a multiprocessor.
#include "flash_hopper.cuh"

extern "C" __global__ void __launch_bounds__(384, 1)
    attention_hopper(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,
                     const __grid_constant__ CUtensorMap v, bf16* out, int queries, int keys, int heads, float scale) {
    const HopperShape shape{queries, keys, heads, 128 * heads, 0, 64, scale * 1.4426950408889634f};
    HopperFlash<2, 2, 2, true>{}.run(&q, &k, &v, out, nullptr, shape);
}
