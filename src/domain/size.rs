//! Picture sizes: the table of named resolutions, aspect ratios, and the size that fits a picture.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Sides are multiples of this: the VAE divides by 8 and the patches by 2.
pub const SIDE_MULTIPLE: u32 = 16;

/// Width and height in pixels, each a positive multiple of [`SIDE_MULTIPLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    width: u32,
    height: u32,
}

/// A width and height that cannot be a [`Size`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a size is WIDTHxHEIGHT with sides that are multiples of {SIDE_MULTIPLE}, at most {MAX_SIDE}")]
pub struct BadSize;

/// The rotary table has 128 positions a side, in patches of 16 pixels.
pub const MAX_SIDE: u32 = 2048;

impl Size {
    /// Fails unless both sides are multiples of 16 in `16..=2048`.
    pub fn new(width: u32, height: u32) -> Result<Self, BadSize> {
        let good =
            |side: u32| (SIDE_MULTIPLE..=MAX_SIDE).contains(&side) && side.is_multiple_of(SIDE_MULTIPLE);
        if good(width) && good(height) { Ok(Self { width, height }) } else { Err(BadSize) }
    }

    /// Pixels across.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(self) -> u32 {
        self.height
    }

    /// The size of about `self`'s area with the shape of a `width` × `height` picture:
    /// `W = 16·round(√(A/r)/16)`, `H = 16·round(√(A·r)/16)`, `r = height/width`, halves to even, as upstream.
    pub fn fitted_to(self, width: u32, height: u32) -> Result<Self, BadSize> {
        let area = f64::from(self.width) * f64::from(self.height);
        let ratio = f64::from(height) / f64::from(width);
        let snap = |side: f64| (side / f64::from(SIDE_MULTIPLE)).round_ties_even() as u32 * SIDE_MULTIPLE;
        Self::new(snap((area / ratio).sqrt()), snap((area * ratio).sqrt()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let (width, height) = text.split_once('x').ok_or(BadSize)?;
        let side = |digits: &str| {
            let plain = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().ok_or(BadSize)
        };
        Self::new(side(width)?, side(height)?)
    }
}

impl TryFrom<String> for Size {
    type Error = BadSize;

    fn try_from(text: String) -> Result<Self, BadSize> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

/// A named row of the size table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resolution {
    /// Of the bundled small model.
    #[serde(rename = "128p")]
    P128,
    #[serde(rename = "480p")]
    P480,
    #[serde(rename = "720p")]
    P720,
}

/// A named column of the size table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AspectRatio {
    #[serde(rename = "16:9")]
    Wide,
    #[serde(rename = "9:16")]
    Tall,
    #[serde(rename = "4:3")]
    Landscape,
    #[serde(rename = "3:4")]
    Portrait,
    #[serde(rename = "1:1")]
    Square,
}

impl Resolution {
    /// Every row, smallest first.
    pub const ALL: [Self; 3] = [Self::P128, Self::P480, Self::P720];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P128 => "128p",
            Self::P480 => "480p",
            Self::P720 => "720p",
        }
    }

    /// The entry of the table (upstream's for 480p and 720p).
    pub fn size(self, aspect: AspectRatio) -> Size {
        let (long, short, four, three, side) = match self {
            Self::P128 => (224, 128, 192, 144, 160),
            Self::P480 => (832, 480, 640, 480, 640),
            Self::P720 => (1280, 720, 960, 720, 960),
        };
        let (width, height) = match aspect {
            AspectRatio::Wide => (long, short),
            AspectRatio::Tall => (short, long),
            AspectRatio::Landscape => (four, three),
            AspectRatio::Portrait => (three, four),
            AspectRatio::Square => (side, side),
        };
        Size { width, height }
    }
}

impl AspectRatio {
    /// Every column, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Wide, Self::Tall, Self::Landscape, Self::Portrait, Self::Square];

    /// As written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wide => "16:9",
            Self::Tall => "9:16",
            Self::Landscape => "4:3",
            Self::Portrait => "3:4",
            Self::Square => "1:1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptive_sizes_are_those_of_the_contract() {
        let cases = [
            ((1080, 1350), "864x1072", "560x704"),
            ((1080, 1920), "720x1280", "480x848"),
            ((1920, 1080), "1280x720", "848x480"),
            ((1000, 1000), "960x960", "624x624"),
            ((3000, 1000), "1664x560", "1088x368"),
            ((4032, 3024), "1104x832", "736x544"),
        ];
        for ((width, height), at_720, at_480) in cases {
            for (row, expected) in [(Resolution::P720, at_720), (Resolution::P480, at_480)] {
                let size = row.size(AspectRatio::Wide).fitted_to(width, height).unwrap();
                assert_eq!(size.to_string(), expected, "{width}x{height}");
            }
        }
    }

    #[test]
    fn the_table_holds_only_valid_sizes() {
        for row in Resolution::ALL {
            for column in AspectRatio::ALL {
                let size = row.size(column);
                assert_eq!(size.to_string().parse(), Ok(size));
            }
        }
    }

    #[test]
    fn odd_texts_are_not_sizes() {
        for bad in [
            "", "x", "224", "224x", "224x120", "0x128", "-16x16", "+224x128", "224X128", "224x128 ",
            "4096x16",
        ] {
            assert_eq!(bad.parse::<Size>(), Err(BadSize), "{bad:?}");
        }
    }
}
