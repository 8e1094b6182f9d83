//! cuda against cpu over small, odd, ragged and real shapes.

use super::{patchify, unpatchify};
use crate::DType;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_numbers() {
    let Some(mut gpu) = Gpu::for_test("patchify") else { return };
    for ([frames, height, width], patch) in
        [([1, 2, 2], [1, 2, 2]), ([3, 6, 4], [1, 2, 2]), ([4, 6, 9], [2, 2, 3])]
    {
        let a = gpu.float(&[16, frames, height, width], 1.0);
        let b = gpu.float(&[20, frames, height, width], 1.0);
        let cpu = patchify(&[&a.cpu, &b.cpu], patch, DType::F32).unwrap();
        for dtype in [DType::BF16, DType::F32] {
            let cuda = patchify(&[&a.cuda, &b.cuda], patch, dtype).unwrap();
            assert_eq!(cuda.dtype(), dtype);
            gpu.check(&format!("{frames}x{height}x{width} as {dtype:?}"), &cpu, &cuda, 0.0);
        }
        let volume: usize = patch.iter().product();
        let tokens = gpu.float(&[frames * height * width / volume, 16 * volume], 1.0);
        let cpu = unpatchify(&tokens.cpu, [frames, height, width], patch).unwrap();
        let cuda = unpatchify(&tokens.cuda, [frames, height, width], patch).unwrap();
        gpu.check(&format!("{frames}x{height}x{width} back"), &cpu, &cuda, 0.0);
    }
}
