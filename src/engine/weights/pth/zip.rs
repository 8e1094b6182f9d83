//! The zip archive around a checkpoint: where its entries lie. Stored entries only, as torch writes them; nothing is
//! ever unpacked, so an archive cannot grow.

use std::collections::HashMap;
use std::ops::Range;

use super::cursor::Cursor;
use crate::engine::weights::FormatError;

/// Names of an archive and the byte range of each in the file.
pub(super) struct Archive {
    entries: HashMap<String, Range<usize>>,
    /// The folder that torch names after the file, with its slash.
    folder: String,
}

const LOCAL_MAGIC: u32 = 0x0403_4b50;
const CENTRAL_MAGIC: u32 = 0x0201_4b50;
const END_MAGIC: u32 = 0x0605_4b50;
const END64_LOCATOR_MAGIC: u32 = 0x0706_4b50;
const END64_MAGIC: u32 = 0x0606_4b50;

/// Bytes of an end record without its comment.
const END_BYTES: usize = 22;
const END64_LOCATOR_BYTES: usize = 20;
/// The comment's length is a u16, so the end record starts at most this far from the end.
const MAX_COMMENT_BYTES: usize = u16::MAX as usize;
/// Bytes of a central directory row without its name: bounds the number of rows by the file.
const CENTRAL_ROW_BYTES: usize = 46;
/// Bytes of a local header without its name.
const LOCAL_HEADER_BYTES: usize = 30;
const ZIP64_FIELD: u16 = 1;
const METHOD_STORED: u16 = 0;
const FLAG_ENCRYPTED: u16 = 1;

/// What a legacy torch file begins with: a pickle of its magic number, as `torch.save` wrote before zip.
const LEGACY_MAGIC: [u8; 14] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// What any binary pickle begins with.
const PICKLE_PROTOCOL: u8 = 0x80;

impl Archive {
    /// Reads the central directory and checks that the entries lie inside the file and beside one another.
    pub(super) fn read(file: &[u8]) -> Result<Self, FormatError> {
        if !file.starts_with(&LOCAL_MAGIC.to_le_bytes()) {
            let legacy = file.starts_with(&LEGACY_MAGIC) || file.first() == Some(&PICKLE_PROTOCOL);
            return Err(if legacy { FormatError::Legacy } else { FormatError::NotZip });
        }
        let directory = Directory::find(file)?;
        let mut rows = directory.rows(file)?;
        rows.sort_by_key(|row| row.header);
        let mut entries = HashMap::with_capacity(rows.len());
        let mut free_from = 0u64;
        for row in rows {
            if row.header < free_from {
                return Err(FormatError::Entry { name: row.name, reason: "overlaps another entry" });
            }
            let range = row.locate(file, directory.start)?;
            free_from = range.end as u64;
            if entries.contains_key(&row.name) {
                return Err(FormatError::Entry { name: row.name, reason: "stands there twice" });
            }
            entries.insert(row.name, range);
        }
        let folder = torch_folder(&entries)?;
        let archive = Self { entries, folder };
        if archive.get("constants.pkl").is_some() {
            return Err(FormatError::Zip("a TorchScript program, not a state dict"));
        }
        if archive.get("byteorder").is_some_and(|range| &file[range] == b"big") {
            return Err(FormatError::Zip("written by a big-endian machine"));
        }
        Ok(archive)
    }

    /// The bytes of the one `data.pkl`.
    pub(super) fn pickle(&self) -> Result<Range<usize>, FormatError> {
        self.get("data.pkl").ok_or(FormatError::Zip("no data.pkl"))
    }

    /// The bytes of the storage `key`.
    pub(super) fn storage(&self, key: &str) -> Option<Range<usize>> {
        self.get(&format!("data/{key}"))
    }

    fn get(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(&format!("{}{name}", self.folder)).cloned()
    }
}

/// The folder of the one `data.pkl`.
fn torch_folder(entries: &HashMap<String, Range<usize>>) -> Result<String, FormatError> {
    let folder_of = |name: &String| {
        let folder = name.strip_suffix("data.pkl")?;
        (folder.is_empty() || folder.ends_with('/')).then(|| folder.to_owned())
    };
    let mut folders = entries.keys().filter_map(folder_of);
    match (folders.next(), folders.next()) {
        (Some(folder), None) => Ok(folder),
        (None, _) => Err(FormatError::Zip("no data.pkl")),
        (Some(_), Some(_)) => Err(FormatError::Zip("more than one data.pkl")),
    }
}

/// Where the central directory lies.
struct Directory {
    start: usize,
    bytes: usize,
    rows: usize,
}

impl Directory {
    fn find(file: &[u8]) -> Result<Self, FormatError> {
        let end = end_record(file).ok_or(FormatError::Truncated("the zip end record is missing"))?;
        let mut cursor = Cursor::at(file, end as u64 + 10).ok_or(FormatError::Truncated("zip end record"))?;
        let short = (|| Some((cursor.u16()?, cursor.u32()?, cursor.u32()?)))();
        let (rows, bytes, start) = short.ok_or(FormatError::Truncated("zip end record"))?;
        let needs_64 = rows == u16::MAX || bytes == u32::MAX || start == u32::MAX;
        let (rows, bytes, start) = match end_record_64(file, end) {
            Some(long) => long,
            None if needs_64 => return Err(FormatError::Zip("the zip64 end record is missing")),
            None => (u64::from(rows), u64::from(bytes), u64::from(start)),
        };
        let inside = start.checked_add(bytes).is_some_and(|stop| stop <= end as u64);
        if !inside || rows > bytes / CENTRAL_ROW_BYTES as u64 {
            return Err(FormatError::Zip("the central directory does not fit the file"));
        }
        Ok(Self { start: start as usize, bytes: bytes as usize, rows: rows as usize })
    }

    fn rows(&self, file: &[u8]) -> Result<Vec<Row>, FormatError> {
        let mut cursor = Cursor::new(&file[self.start..self.start + self.bytes]);
        (0..self.rows).map(|_| Row::read(&mut cursor)).collect()
    }
}

/// Offset of the end record: the last one in the file whose comment reaches the end.
fn end_record(file: &[u8]) -> Option<usize> {
    let last = file.len().checked_sub(END_BYTES)?;
    (last.saturating_sub(MAX_COMMENT_BYTES)..=last).rev().find(|&at| {
        file[at..].starts_with(&END_MAGIC.to_le_bytes())
            && usize::from(u16::from_le_bytes([file[at + 20], file[at + 21]])) == last - at
    })
}

/// Rows, bytes and offset of the directory, as the zip64 end record says them.
fn end_record_64(file: &[u8], end: usize) -> Option<(u64, u64, u64)> {
    let mut locator = Cursor::at(file, end.checked_sub(END64_LOCATOR_BYTES)? as u64)?;
    if locator.u32()? != END64_LOCATOR_MAGIC {
        return None;
    }
    locator.u32()?;
    let mut record = Cursor::at(file, locator.u64()?)?;
    if record.u32()? != END64_MAGIC {
        return None;
    }
    record.take(28)?;
    Some((record.u64()?, record.u64()?, record.u64()?))
}

/// A row of the central directory.
struct Row {
    name: String,
    bytes: u64,
    header: u64,
}

impl Row {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let truncated = || FormatError::Truncated("zip central directory");
        let magic = cursor.u32().ok_or_else(truncated)?;
        if magic != CENTRAL_MAGIC {
            return Err(FormatError::Zip("a directory row does not begin with its mark"));
        }
        let fixed = Fixed::read(cursor).ok_or_else(truncated)?;
        let name = cursor.take(fixed.name_bytes).ok_or_else(truncated)?;
        let extra = cursor.take(fixed.extra_bytes).ok_or_else(truncated)?;
        cursor.take(fixed.comment_bytes).ok_or_else(truncated)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| FormatError::Zip("a name is not UTF-8"))?;
        let bad = |reason| FormatError::Entry { name: name.clone(), reason };
        if fixed.flags & FLAG_ENCRYPTED != 0 {
            return Err(bad("is encrypted"));
        }
        if fixed.method != METHOD_STORED {
            return Err(bad("is compressed; torch stores its entries"));
        }
        let (packed, bytes, header) = fixed.widened(extra).ok_or_else(|| bad("has a broken zip64 field"))?;
        if packed != bytes {
            return Err(bad("has two different sizes"));
        }
        Ok(Self { name, bytes, header })
    }

    /// The range of the entry's bytes, which must end before the directory.
    fn locate(&self, file: &[u8], directory: usize) -> Result<Range<usize>, FormatError> {
        let bad = |reason| FormatError::Entry { name: self.name.clone(), reason };
        let mut local = Cursor::at(file, self.header).ok_or_else(|| bad("begins outside the file"))?;
        let header = local.take(LOCAL_HEADER_BYTES).ok_or_else(|| bad("begins outside the file"))?;
        if header[..4] != LOCAL_MAGIC.to_le_bytes() {
            return Err(bad("does not begin with its mark"));
        }
        let word = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let start = self.header + LOCAL_HEADER_BYTES as u64 + word(26) + word(28);
        let end = start.checked_add(self.bytes).filter(|end| *end <= directory as u64);
        let end = end.ok_or_else(|| bad("ends outside the file"))?;
        Ok(start as usize..end as usize)
    }
}

/// The fixed part of a central directory row.
struct Fixed {
    flags: u16,
    method: u16,
    packed: u32,
    bytes: u32,
    name_bytes: usize,
    extra_bytes: usize,
    comment_bytes: usize,
    header: u32,
}

impl Fixed {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.take(4)?; // versions
        let (flags, method) = (cursor.u16()?, cursor.u16()?);
        cursor.take(8)?; // time, date, crc32
        let (packed, bytes) = (cursor.u32()?, cursor.u32()?);
        let [name_bytes, extra_bytes, comment_bytes] =
            [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
        cursor.take(8)?; // disk, attributes
        let header = cursor.u32()?;
        Some(Self { flags, method, packed, bytes, name_bytes, extra_bytes, comment_bytes, header })
    }

    /// Packed size, size and header offset, taken from the zip64 field where the short one is all ones.
    fn widened(&self, extra: &[u8]) -> Option<(u64, u64, u64)> {
        let mut long = zip64_field(extra);
        let mut widen = |short: u32| match short {
            u32::MAX => long.as_mut()?.u64(),
            short => Some(u64::from(short)),
        };
        let bytes = widen(self.bytes)?; // the field keeps this order: size, packed size, offset
        let packed = widen(self.packed)?;
        let header = widen(self.header)?;
        Some((packed, bytes, header))
    }
}

fn zip64_field(extra: &[u8]) -> Option<Cursor<'_>> {
    let mut cursor = Cursor::new(extra);
    loop {
        let (id, bytes) = (cursor.u16()?, cursor.u16()?);
        let field = cursor.take(usize::from(bytes))?;
        if id == ZIP64_FIELD {
            return Some(Cursor::new(field));
        }
    }
}
