//! The operators that take most of a clip's time on the CPU, at the shapes of the bundled model.
//! Throughput is in arithmetic: one element is one floating-point operation, so `Gelem/s` reads as GFLOP/s.

use std::hint::black_box;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use kernels::attention::attention;
use kernels::causal_conv3d::{Around, Conv3d, causal_conv3d};
use kernels::conv2d::{Conv2d, Resample, conv2d};
use kernels::linear::{Epilogue, Linear, linear};
use kernels::sla_linear::{SlaLinear, sla_linear};
use kernels::sla_mask::{BlockSize, sla_mask};
use kernels::sparse_attention::sparse_attention;
use kernels::{DType, Device, Matrix, Tensor};

/// Tokens of a 224×128 clip of 33 frames.
const TOKENS: usize = 1008;

/// Width, heads and feed-forward width of the bundled transformer.
const WIDTH: usize = 256;
const HEADS: usize = 2;
const FEED_FORWARD: usize = 768;

fn operators(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernels");
    group.measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500)).sample_size(20);
    linears(&mut group);
    attentions(&mut group);
    convolutions(&mut group);
    group.finish();
}

fn linears(group: &mut BenchmarkGroup<WallTime>) {
    // The second is the product whose rate the CPU's share is stated against.
    for (rows, inputs, outputs) in [(TOKENS, WIDTH, FEED_FORWARD), (1560, 1536, 1536)] {
        let x = numbers(&[rows, inputs]);
        let layer = Linear::new(Matrix::Plain(numbers(&[outputs, inputs])), None).expect("a matrix");
        group.throughput(Throughput::Elements(2 * (rows * inputs * outputs) as u64));
        group.bench_function(format!("linear/{rows}x{inputs}x{outputs}"), |bencher| {
            bencher.iter(|| black_box(linear(&x, &layer, Epilogue::None).expect("a product")));
        });
    }
}

fn attentions(group: &mut BenchmarkGroup<WallTime>) {
    let [q, k, v] = [numbers(&[TOKENS, WIDTH]), numbers(&[TOKENS, WIDTH]), numbers(&[TOKENS, WIDTH])];
    let pairs = |keys: usize| Throughput::Elements(4 * (TOKENS * keys * WIDTH) as u64);
    group.throughput(pairs(TOKENS));
    group.bench_function("attention", |bencher| {
        bencher.iter(|| black_box(attention(&q, &k, &v, HEADS).expect("attention")));
    });
    let blocks = BlockSize { queries: 128, keys: 64 };
    let map = sla_mask(&q, &k, HEADS, blocks, 0.5).expect("a map");
    group.throughput(pairs(map.chosen.dim(2) * blocks.keys));
    group.bench_function("sparse_attention", |bencher| {
        bencher.iter(|| black_box(sparse_attention(&q, &k, &v, &map).expect("attention")));
    });
    let head = WIDTH / HEADS;
    let (weight, bias) = (&numbers(&[head, head]), &numbers(&[head]));
    group.throughput(Throughput::Elements(3 * 2 * (TOKENS * head * WIDTH) as u64));
    group.bench_function("sla_linear", |bencher| {
        let branch = SlaLinear { q: &q, k: &k, v: &v, sparse: &v, weight, bias };
        bencher.iter(|| black_box(sla_linear(&branch).expect("a branch")));
    });
}

fn convolutions(group: &mut BenchmarkGroup<WallTime>) {
    // The two largest resolutions of the decoder, eight frames at a time.
    for (height, width, channels) in [(64, 112, 32), (128, 224, 16)] {
        let x = numbers(&[8, height, width, channels]);
        let gamma = numbers(&[channels]);
        let shape = [channels, channels, 3, 3, 3];
        let (weight, bias) = (values(&shape), vec![0.0; channels]);
        let filter = Conv3d::new(&weight, shape, &bias, &Device::Cpu).expect("a filter");
        let around = Around { norm: Some(&gamma), residual: Some(&x), ..Around::NOTHING };
        group.throughput(Throughput::Elements((2 * 27 * channels * x.count()) as u64));
        group.bench_function(format!("causal_conv3d/{height}x{width}x{channels}"), |bencher| {
            bencher.iter(|| black_box(causal_conv3d(&x, &filter, &around).expect("frames")));
        });
    }
    let (x, shape) = (numbers(&[8, 64, 112, 32]), [16, 32, 3, 3]);
    let filter =
        Conv2d::new(&values(&shape), shape, &[0.0; 16], Resample::Up, &Device::Cpu).expect("a filter");
    // Counted as the plain formula would need it; four of nine taps are really computed.
    group.throughput(Throughput::Elements((2 * 9 * 16 * 4 * x.count()) as u64));
    group.bench_function("conv2d/up/64x112x32", |bencher| {
        bencher.iter(|| black_box(conv2d(&x, &filter).expect("frames")));
    });
}

fn numbers(shape: &[usize]) -> Tensor {
    Tensor::from_f32(values(shape), shape, DType::F32, &Device::Cpu)
        .expect("as many numbers as the shape has")
}

fn values(shape: &[usize]) -> Vec<f32> {
    (0..shape.iter().product()).map(|at: usize| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5).collect()
}

criterion_group!(benches, operators);
criterion_main!(benches);
