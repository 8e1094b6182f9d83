//! cuda against cpu over small, odd, ragged and real shapes.

use super::frame_bytes;
use crate::Tensor;
use crate::cuda::testing::Gpu;

#[test]
fn cuda_gives_the_definitions_bytes() {
    let Some(mut gpu) = Gpu::for_test("frame_bytes") else { return };
    let cases: [([usize; 4], &[usize]); 5] = [
        ([1, 2, 2, 3], &[0]),
        ([3, 6, 10, 3], &[2, 0]),
        ([2, 34, 62, 3], &[]),
        ([5, 128, 224, 3], &[0, 3, 4]),
        ([2, 480, 832, 3], &[1]),
    ];
    for (shape, pictures) in cases {
        let x = gpu.tensor(&shape, 1.3);
        let bytes = |x: &Tensor| {
            let bytes = frame_bytes(x, pictures).unwrap();
            let (planes, of_pictures) = bytes.wait().unwrap();
            assert_eq!((planes.len(), of_pictures.len()), (shape[0], pictures.len()));
            let all = planes.chain(of_pictures).flatten();
            all.map(|&byte| f32::from(byte)).collect::<Vec<_>>()
        };
        let (cpu, cuda) = (bytes(&x.cpu), bytes(&x.cuda));
        gpu.check_numbers(&format!("{shape:?}, pictures {pictures:?}"), &cpu, &cuda, 0.0);
    }
}
