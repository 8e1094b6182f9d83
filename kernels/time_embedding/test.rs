//! cuda against cpu over small, odd, ragged and real shapes.

use super::{TimeEmbedding, time_embedding};
use crate::cuda::testing::Gpu;
use crate::linear::Linear;
use crate::{Matrix, Tensor};

/// Float32 throughout; only the order of sums differs.
const BOUND: f64 = 1e-5;

#[test]
fn cuda_agrees_with_the_definition() {
    let Some(mut gpu) = Gpu::for_test("time_embedding") else { return };
    for (frequencies, width) in [(8, 5), (64, 256), (256, 1536)] {
        let mut layers = || {
            let mut layer = |inputs: usize, outputs: usize| {
                let (weight, bias) = (gpu.tensor(&[outputs, inputs], 0.2), gpu.tensor(&[outputs], 0.5));
                let layer = |weight: Tensor, bias| Linear::new(Matrix::Plain(weight), Some(bias)).unwrap();
                (layer(weight.cpu, bias.cpu), layer(weight.cuda, bias.cuda))
            };
            let (first, second, third) =
                (layer(frequencies, width), layer(width, width), layer(width, 6 * width));
            let layers = |first, second, projection| TimeEmbedding { first, second, projection };
            (layers(first.0, second.0, third.0), layers(first.1, second.1, third.1))
        };
        let (cpu, cuda) = layers();
        let (cpu, cuda) = (time_embedding(988.0, &cpu).unwrap(), time_embedding(988.0, &cuda).unwrap());
        gpu.check(&format!("{frequencies} to {width}"), &cpu.embedding, &cuda.embedding, BOUND);
        gpu.check(&format!("{frequencies} to 6x{width}"), &cpu.rows, &cuda.rows, BOUND);
    }
}
