//! Pixels in memory, rows without padding: a picture in 8-bit RGB, and a frame of a video as its planes.

/// An 8-bit RGB picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    /// `height · width · 3` bytes, row by row.
    rgb: Vec<u8>,
}

/// The byte count does not fit the sides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{width}x{height} RGB needs {} bytes, got {bytes}", *width as usize * *height as usize * 3)]
pub struct BadPicture {
    width: u32,
    height: u32,
    bytes: usize,
}

impl Picture {
    /// Takes `height · width · 3` bytes.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, BadPicture> {
        if rgb.is_empty() || rgb.len() != width as usize * height as usize * 3 {
            return Err(BadPicture { width, height, bytes: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// `height · width · 3` bytes, row by row.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

/// Luma and chroma of a frame as the video has them: I420, BT.709, limited range.
#[derive(Clone, PartialEq, Eq)]
pub struct Planes {
    width: u32,
    height: u32,
    /// `height · width` of luma, then a quarter as much of each chroma.
    bytes: Vec<u8>,
}

/// The sides are odd or the byte count does not fit them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no I420 of {width}x{height}")]
pub struct BadPlanes {
    width: u32,
    height: u32,
    bytes: usize,
}

impl Planes {
    /// Takes `height · width · 3 / 2` bytes: Y, then U, then V.
    pub fn new(width: u32, height: u32, bytes: Vec<u8>) -> Result<Self, BadPlanes> {
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        if !even || bytes.is_empty() || bytes.len() != width as usize * height as usize / 2 * 3 {
            return Err(BadPlanes { width, height, bytes: bytes.len() });
        }
        Ok(Self { width, height, bytes })
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// `[height, width]`.
    pub fn y(&self) -> &[u8] {
        &self.bytes[..self.pixels()]
    }

    /// `[height / 2, width / 2]`.
    pub fn u(&self) -> &[u8] {
        &self.bytes[self.pixels()..self.pixels() / 4 * 5]
    }

    /// `[height / 2, width / 2]`.
    pub fn v(&self) -> &[u8] {
        &self.bytes[self.pixels() / 4 * 5..]
    }

    fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl std::fmt::Debug for Planes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Planes({}x{})", self.width, self.height)
    }
}

/// A frame of a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub planes: Planes,
    /// The same in RGB, where that was wanted.
    pub picture: Option<Picture>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Picture({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_lie_behind_one_another() {
        let planes = Planes::new(4, 2, (0..12).collect()).unwrap();
        assert_eq!((planes.y().len(), planes.u(), planes.v()), (8, [8, 9].as_slice(), [10, 11].as_slice()));
        for (width, height, bytes) in [(4, 2, 11), (3, 2, 9), (2, 3, 9), (0, 0, 0)] {
            assert!(Planes::new(width, height, vec![0; bytes]).is_err(), "{width}x{height}");
        }
    }
}
