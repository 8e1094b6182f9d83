//! Pixels in memory: one picture, or a run of video frames, always 8-bit RGB rows without padding.

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

impl std::fmt::Debug for Picture {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Picture({}x{})", self.width, self.height)
    }
}
