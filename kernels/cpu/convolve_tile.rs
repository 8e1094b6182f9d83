//! The innermost loop of every convolution: a tile of adjacent output positions times a panel of output channels,
//! summed over the whole window in registers. Chooses the instructions once per call.

/// Channels of one vector register.
pub(super) const LANES: usize = 8;

/// The most vectors of a panel.
pub(super) const MAX_VECTORS: usize = 3;

/// Positions of a tile with three, two and one vectors of channels: 24, 24 and 12 sums stay in 32 registers.
const POSITIONS: [usize; MAX_VECTORS] = [12, 12, 8];

/// Where the window of a run of output positions lies in the padded input, and the panel that it meets.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// From the first position's first element on.
    pub(super) input: &'a [f32],
    /// Elements from one output position's window to the next one's.
    pub(super) step: usize,
    /// Where each contiguous run of the window starts, and its length.
    pub(super) runs: &'a [usize],
    pub(super) depth: usize,
    /// `[runs · depth, vectors · LANES]`.
    pub(super) panel: &'a [f32],
    pub(super) vectors: usize,
}

impl Tile<'_> {
    /// Gives `emit` every position's sums, `vectors · LANES` each.
    pub(super) fn run(&self, positions: usize, mut emit: impl FnMut(usize, &[f32])) {
        let width = self.vectors * LANES;
        let reach = (positions - 1) * self.step + self.runs.iter().max().copied().unwrap_or(0) + self.depth;
        assert!(reach <= self.input.len(), "window out of bounds");
        assert!(self.runs.len() * self.depth * width <= self.panel.len(), "panel out of bounds");
        let instructions = Instructions::detect();
        let mut sums = [0.0; POSITIONS[0] * MAX_VECTORS * LANES];
        let mut first = 0;
        while first < positions {
            let left = positions - first;
            let most = POSITIONS[self.vectors - 1];
            let count = [most, 8, 4, 2, 1].into_iter().find(|&c| c <= left.min(most)).unwrap_or(1);
            let tile = Self { input: &self.input[first * self.step..], ..*self };
            // SAFETY: the assertions above cover every element that the tile reads; `sums` holds the largest tile;
            // the instructions were detected.
            unsafe { tile.sum(instructions, count, &mut sums) };
            for (position, sums) in sums.chunks_exact(width).take(count).enumerate() {
                emit(first + position, sums);
            }
            first += count;
        }
    }

    unsafe fn sum(&self, instructions: Instructions, positions: usize, sums: &mut [f32]) {
        macro_rules! by_size {
            ($function:ident) => {
                // SAFETY: passed on from the caller.
                unsafe {
                    match (positions, self.vectors) {
                        (12, 2) => $function::<12, 2>(self, sums),
                        (12, 1) => $function::<12, 1>(self, sums),
                        (8, 3) => $function::<8, 3>(self, sums),
                        (8, 2) => $function::<8, 2>(self, sums),
                        (8, 1) => $function::<8, 1>(self, sums),
                        (4, 3) => $function::<4, 3>(self, sums),
                        (4, 2) => $function::<4, 2>(self, sums),
                        (4, 1) => $function::<4, 1>(self, sums),
                        (2, 3) => $function::<2, 3>(self, sums),
                        (2, 2) => $function::<2, 2>(self, sums),
                        (2, 1) => $function::<2, 1>(self, sums),
                        (_, 3) => $function::<1, 3>(self, sums),
                        (_, 2) => $function::<1, 2>(self, sums),
                        (_, _) => $function::<1, 1>(self, sums),
                    }
                }
            };
        }
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => by_size!(sum_avx512),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => by_size!(sum_avx2),
            Instructions::Portable => by_size!(sum_portable),
        }
    }
}

#[derive(Clone, Copy)]
enum Instructions {
    /// 256-bit vectors, but 32 registers of them.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Instructions {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

macro_rules! vector_sum {
    ($name:ident, $features:literal) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const POSITIONS: usize, const VECTORS: usize>(tile: &Tile, sums: &mut [f32]) {
            use std::arch::x86_64::{
                __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
            };
            // SAFETY: `Tile::run` checked the bounds of input and panel; `sums` holds the tile.
            unsafe {
                let mut totals: [[__m256; VECTORS]; POSITIONS] = [[_mm256_setzero_ps(); VECTORS]; POSITIONS];
                let mut panel = tile.panel.as_ptr();
                for &run in tile.runs {
                    let input = tile.input.as_ptr().add(run);
                    for element in 0..tile.depth {
                        let mut channels = [_mm256_setzero_ps(); VECTORS];
                        for vector in 0..VECTORS {
                            channels[vector] = _mm256_loadu_ps(panel.add(vector * LANES));
                        }
                        panel = panel.add(VECTORS * LANES);
                        for position in 0..POSITIONS {
                            let value = _mm256_set1_ps(*input.add(position * tile.step + element));
                            for vector in 0..VECTORS {
                                totals[position][vector] =
                                    _mm256_fmadd_ps(value, channels[vector], totals[position][vector]);
                            }
                        }
                    }
                }
                for position in 0..POSITIONS {
                    for vector in 0..VECTORS {
                        let at = (position * VECTORS + vector) * LANES;
                        _mm256_storeu_ps(sums.as_mut_ptr().add(at), totals[position][vector]);
                    }
                }
            }
        }
    };
}

vector_sum!(sum_avx512, "avx2,fma,avx512f,avx512vl");
vector_sum!(sum_avx2, "avx2,fma");

/// Unsafe only so that it can stand where its siblings stand.
unsafe fn sum_portable<const POSITIONS: usize, const VECTORS: usize>(tile: &Tile, sums: &mut [f32]) {
    let width = VECTORS * LANES;
    sums[..POSITIONS * width].fill(0.0);
    for (index, &run) in tile.runs.iter().enumerate() {
        for element in 0..tile.depth {
            let channels = &tile.panel[(index * tile.depth + element) * width..][..width];
            for position in 0..POSITIONS {
                let value = tile.input[run + position * tile.step + element];
                let sums = &mut sums[position * width..(position + 1) * width];
                sums.iter_mut().zip(channels).for_each(|(sum, channel)| *sum += value * channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_portable_sums() {
        let input: Vec<f32> = (0..400).map(|v| ((v * 37 % 101) as f32 - 50.0) * 0.01).collect();
        let panel: Vec<f32> = (0..2 * 5 * 24).map(|v| ((v * 53 % 97) as f32 - 48.0) * 0.01).collect();
        for vectors in 1..=MAX_VECTORS {
            let tile = Tile { input: &input, step: 3, runs: &[0, 90], depth: 5, panel: &panel, vectors };
            for positions in [1, 2, 3, 7, 8, 12, 29] {
                tile.run(positions, |position, sums| {
                    let mut expected = [0.0; MAX_VECTORS * LANES];
                    let single = Tile { input: &input[position * 3..], ..tile };
                    // SAFETY: the portable version checks its own bounds.
                    unsafe { single.sum(Instructions::Portable, 1, &mut expected) };
                    for (sum, expected) in sums.iter().zip(&expected) {
                        assert!((sum - expected).abs() < 1e-5);
                    }
                });
            }
        }
    }
}
