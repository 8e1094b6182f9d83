//! The convolutions on Hopper: which tile suits a shape, and the maps through which its kernel reads. Both operators
//! describe what they want as a [`Convolution`].

use super::{Argument, BoxRow, Device, Grid, PackedFilter, TensorMap, address, empty, optional, pointer};
use crate::{DType, Result, Tensor};

/// Input channels of a stage, a row of the copy engine's box; as in `kernel_convolution_sm90.cu`.
const DEPTH: usize = 32;
const ROW: usize = DEPTH * 2;
const BOX_ROW: BoxRow = BoxRow::Bytes64;
/// Output pixels of a tile.
const PIXELS: usize = 256;
/// A tile's width in pixels, as powers of two; its height follows.
const WIDTHS: [usize; 2] = [4, 3];
const WIDEST: usize = 16;
/// What a tile costs besides its channels, in channels.
const OVERHEAD: usize = 16;
const THREADS: usize = 384;
/// Channels that one tile holds whole; narrower tiles store channel by channel and know no norm.
const NORMED: std::ops::RangeInclusive<usize> = 32..=192;
/// The border on which stages begin, and the bytes of a stage's two barriers.
const BORDER: usize = 1024;
const BARRIERS: usize = 16;

/// One convolution of channels-last frames.
pub(crate) struct Convolution<'a> {
    pub(crate) operator: &'static str,
    /// `[T, H, W, C]`.
    pub(crate) x: &'a Tensor,
    /// The last of the `before` frames in front of `x`, `[n, H, W, C]`; zeros stand for the others.
    pub(crate) cache: Option<&'a Tensor>,
    pub(crate) before: usize,
    pub(crate) filter: &'a PackedFilter,
    /// In time, height, width; of one phase.
    pub(crate) taps: [usize; 3],
    /// In time, and in both directions of space.
    pub(crate) stride: [usize; 2],
    /// Zeros above and to the left.
    pub(crate) padding: [usize; 2],
    /// 4 where each of the 2×2 output pixels over an input pixel has a filter of its own, else 1.
    pub(crate) phases: usize,
    /// Frames, height, width of the output, or of one phase.
    pub(crate) size: [usize; 3],
    pub(crate) outputs: usize,
    /// Of the output's shape.
    pub(crate) residual: Option<&'a Tensor>,
    /// Factors `[outputs]` float32 of a norm with SiLU over the result.
    pub(crate) then: Option<&'a Tensor>,
}

/// A kernel of `kernel_convolution_sm90.cu`.
#[derive(Debug)]
struct Tile {
    name: &'static str,
    channels: usize,
    /// Taps in height that share a stage.
    shared_taps: usize,
    stages: usize,
}

const TILES: [Tile; 12] = [
    Tile { name: "convolution_192_3", channels: 192, shared_taps: 3, stages: 4 },
    Tile { name: "convolution_192_2", channels: 192, shared_taps: 2, stages: 5 },
    Tile { name: "convolution_192_1", channels: 192, shared_taps: 1, stages: 7 },
    Tile { name: "convolution_128_3", channels: 128, shared_taps: 3, stages: 5 },
    Tile { name: "convolution_128_1", channels: 128, shared_taps: 1, stages: 8 },
    Tile { name: "convolution_96_3", channels: 96, shared_taps: 3, stages: 5 },
    Tile { name: "convolution_96_2", channels: 96, shared_taps: 2, stages: 6 },
    Tile { name: "convolution_96_1", channels: 96, shared_taps: 1, stages: 8 },
    Tile { name: "convolution_32_3", channels: 32, shared_taps: 3, stages: 8 },
    Tile { name: "convolution_32_1", channels: 32, shared_taps: 1, stages: 8 },
    Tile { name: "convolution_8_3", channels: 8, shared_taps: 3, stages: 8 },
    Tile { name: "convolution_8_1", channels: 8, shared_taps: 1, stages: 8 },
];

/// A tile and its width in pixels, as a power of two.
#[derive(Debug, Clone, Copy)]
struct Cover {
    tile: &'static Tile,
    width_log: usize,
    tiles: usize,
}

impl Cover {
    /// What covers the output in the least time on `processors` multiprocessors: each takes its tiles one after another,
    /// and a tile's time goes with its channels.
    fn of(wanted: &Wanted, processors: usize) -> Self {
        let [frames, height, width] = wanted.size;
        let covers = TILES.iter().filter(|tile| wanted.fits(tile)).flat_map(|tile| {
            WIDTHS.map(|width_log| {
                let places = height.div_ceil(PIXELS >> width_log) * width.div_ceil(1 << width_log);
                Self { tile, width_log, tiles: wanted.outputs.div_ceil(tile.channels) * frames * places }
            })
        });
        let time = |cover: &Self| cover.tiles.div_ceil(processors) * (cover.tile.channels + OVERHEAD);
        let cost = |cover: &Self| (time(cover), usize::MAX - cover.tile.shared_taps, cover.tiles);
        covers.min_by_key(cost).expect("a tile of one tap fits everything")
    }
}

/// What decides which tiles fit.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// Frames of all phases, height, width.
    size: [usize; 3],
    outputs: usize,
    /// Taps in height.
    rows: usize,
    /// In space.
    stride: usize,
    /// All channels in one tile.
    whole: bool,
}

impl Wanted {
    fn fits(&self, tile: &Tile) -> bool {
        self.rows.is_multiple_of(tile.shared_taps)
            && (self.stride == 1 || tile.shared_taps == 1)
            && (!self.whole || self.outputs <= tile.channels)
    }
}

impl Tile {
    /// Bytes of shared memory.
    fn shared(&self) -> usize {
        let aligned = |bytes: usize| bytes.next_multiple_of(BORDER);
        let pixels = PIXELS + WIDEST * (self.shared_taps - 1);
        let stage = aligned(pixels * ROW) + self.shared_taps * aligned(self.channels * ROW);
        BORDER + self.stages * (stage + BARRIERS)
    }
}

impl Convolution<'_> {
    /// Whether the norm over the result can be computed with it: all channels in one tile, eight at a time.
    pub(crate) fn norms(outputs: usize) -> bool {
        NORMED.contains(&outputs) && outputs.is_multiple_of(8)
    }

    /// Computes it on `device`.
    pub(crate) fn run(&self, device: &Device) -> Result<Tensor> {
        let Self { operator, size: [frames, height, width], stride: [stride_t, stride_s], .. } = *self;
        let [in_frames, in_height, in_width, channels] = self.x.axes(operator, "x")?;
        let [taps_t, taps_y, taps_x] = self.taps;
        let side = if self.phases == 4 { 2 } else { 1 };
        let out = empty(device, &[frames, side * height, side * width, self.outputs], DType::BF16)?;
        if out.count() == 0 {
            return Ok(out);
        }
        let processors = device.multiprocessors()?;
        let wanted = Wanted {
            size: [self.phases * frames, height, width],
            outputs: self.outputs,
            rows: taps_y,
            stride: stride_s,
            whole: self.then.is_some(),
        };
        let Cover { tile, width_log, tiles } = Cover::of(&wanted, processors);
        let (wide, high) = (1 << width_log, PIXELS >> width_log);
        let frames_of = |tensor: &Tensor, count: usize| -> Result<Argument> {
            let at = address(operator, tensor, DType::BF16)?;
            let extents = [channels, in_width, in_height, count];
            let count = [DEPTH, wide, high + tile.shared_taps - 1, 1];
            Ok(Argument::Map(TensorMap::new(at, extents, count, [1, stride_s, stride_s, 1], BOX_ROW)?))
        };
        let remembered = self.cache.map_or(0, |cache| cache.dim(0));
        let x = frames_of(self.x, in_frames)?;
        let weight = TensorMap::new(
            address(operator, &self.filter.weight, DType::BF16)?,
            [channels, self.phases * taps_t * taps_y * taps_x, self.outputs],
            [DEPTH, 1, tile.channels],
            [1; 3],
            BOX_ROW,
        )?;
        let result = pointer(operator, &out, DType::BF16)?;
        let (plain, activated) = if self.then.is_some() { (NULL, result) } else { (result, NULL) };
        let mut arguments = vec![
            x,
            self.cache.map_or(Ok(x), |cache| frames_of(cache, remembered))?,
            Argument::Map(weight),
            pointer(operator, &self.filter.bias, DType::F32)?,
            optional(operator, self.residual, DType::BF16)?,
            plain,
            optional(operator, self.then, DType::F32)?,
            activated,
        ];
        let [pad_y, pad_x] = self.padding;
        arguments.extend([self.before, remembered, channels, frames, height, width].map(Argument::int));
        arguments.extend([self.outputs, taps_t, taps_y, taps_x, stride_t, stride_s].map(Argument::int));
        arguments.extend([pad_y, pad_x, self.phases, width_log].map(Argument::int));
        let blocks = tiles.min(processors);
        let grid = Grid { blocks: (blocks, 1, 1), threads: THREADS, shared: tile.shared() };
        // SAFETY: the maps stay inside x, the cache and the filter; the output has the extents given, and so has the
        // residual; bias and factors hold a number for each output channel.
        unsafe { device.launch("cuda/kernel_convolution_sm90", tile.name, grid, &arguments)? };
        Ok(out)
    }
}

const NULL: Argument = Argument::Pointer(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_waste_neither_channels_nor_multiprocessors() {
        let name = |size, outputs, rows, stride| {
            Cover::of(&Wanted { size, outputs, rows, stride, whole: false }, 132).tile.name
        };
        assert_eq!(name([4, 480, 832], 96, 3, 1), "convolution_96_3");
        assert_eq!(name([4, 240, 416], 192, 3, 1), "convolution_192_3");
        // Ten rounds of 128 channels against seven of 192; one against two.
        assert_eq!(name([4, 120, 208], 384, 3, 1), "convolution_128_3");
        assert_eq!(name([2, 60, 104], 384, 3, 1), "convolution_192_3");
        assert_eq!(name([16, 240, 416], 96, 2, 1), "convolution_96_2");
        assert_eq!(name([4, 480, 832], 96, 3, 2), "convolution_96_1");
        assert_eq!(name([4, 480, 832], 3, 3, 1), "convolution_8_3");
        let whole = Wanted { size: [1, 60, 104], outputs: 192, rows: 3, stride: 1, whole: true };
        assert_eq!(Cover::of(&whole, 132).tile.name, "convolution_192_3");
    }

    #[test]
    fn every_tile_fits_a_multiprocessor() {
        const SHARED: usize = 227 * 1024;
        assert!(TILES.iter().all(|tile| tile.shared() <= SHARED));
    }
}
