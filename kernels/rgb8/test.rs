//! cuda against cpu over small, odd, ragged and real shapes.

use super::rgb8;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_bytes() {
    let Some(mut gpu) = Gpu::for_test("rgb8") else { return };
    for shape in [[1, 1, 1, 3], [2, 7, 9, 3]] {
        let x = gpu.tensor(&shape, 1.3);
        let bytes =
            |x| rgb8(x).unwrap().wait().unwrap().iter().map(|&byte| f32::from(byte)).collect::<Vec<_>>();
        let (cpu, cuda) = (bytes(&x.cpu), bytes(&x.cuda));
        gpu.check_numbers(&format!("{shape:?}"), &cpu, &cuda, 0.0);
    }
}
