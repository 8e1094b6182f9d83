//! Normal noise from a seed, the same on every device and every machine.
//!
//! Philox4x32-10 with the seed as key. Its 128-bit counter is (block, stream): block `b` of a stream gives the elements
//! `4b` to `4b + 3`, so an element depends on the seed, its stream and its place only, never on how work was divided.
//! Each pair of 32-bit words `(a, b)` becomes two normals by Box–Muller in float64:
//! `r = √(−2 ln((a + 1)/2³²))`, `θ = 2π·b/2³²`, `(r·cos θ, r·sin θ)`, then rounded to float32.

use rayon::prelude::*;

/// The noise of one clip.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    key: [u32; 2],
}

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32] }
    }

    /// The first `count` elements of a stream.
    pub fn normal(&self, stream: u64, count: usize) -> Vec<f32> {
        let mut elements = vec![0.0; count];
        elements.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, elements)| {
            let first = (chunk * CHUNK / BLOCK) as u64;
            for (block, elements) in (first..).zip(elements.chunks_mut(BLOCK)) {
                let counter = [block as u32, (block >> 32) as u32, stream as u32, (stream >> 32) as u32];
                let [a, b, c, d] = philox(counter, self.key);
                let [[a, b], [c, d]] = [box_muller(a, b), box_muller(c, d)];
                elements.copy_from_slice(&[a, b, c, d][..elements.len()]);
            }
        });
        elements
    }
}

/// Elements of one word of the generator.
const BLOCK: usize = 4;

/// Elements that a thread makes at a time.
const CHUNK: usize = 1 << 14;

/// Rounds of Philox; ten pass every statistical test that its authors ran.
const ROUNDS: usize = 10;

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let first = u64::from(counter[0]) * 0xD251_1F53;
        let second = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

fn box_muller(a: u32, b: u32) -> [f32; 2] {
    const RANGE: f64 = 4_294_967_296.0;
    let radius = (-2.0 * ((f64::from(a) + 1.0) / RANGE).ln()).sqrt();
    let angle = std::f64::consts::TAU * f64::from(b) / RANGE;
    [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_vectors() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn noise_is_normal_repeats_and_grows_at_the_end() {
        let noise = Noise::new(42).normal(0, 100_001);
        let mean = noise.iter().map(|&v| f64::from(v)).sum::<f64>() / noise.len() as f64;
        let variance = noise.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / noise.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert_eq!(Noise::new(42).normal(0, 10), noise[..10]);
        assert_ne!(Noise::new(42).normal(1, 10), noise[..10]);
        assert_ne!(Noise::new(43).normal(0, 10), noise[..10]);
    }
}
