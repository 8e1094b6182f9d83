//! cuda against cpu over small, odd, ragged and real shapes.

use super::rgb8;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_bytes() {
    let Some(mut gpu) = Gpu::for_test("rgb8") else { return };
    for shape in [[1, 1, 1, 3], [2, 7, 9, 3]] {
        let x = gpu.tensor(&shape, 1.3);
        let bytes = |bytes: Vec<u8>| bytes.into_iter().map(f32::from).collect::<Vec<_>>();
        let (cpu, cuda) = (bytes(rgb8(&x.cpu).unwrap()), bytes(rgb8(&x.cuda).unwrap()));
        gpu.check_numbers(&format!("{shape:?}"), &cpu, &cuda, 0.0);
    }
}
