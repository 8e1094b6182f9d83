//! Writes checkpoints for tests, byte by byte as torch does (and as an attacker would). Test code only.

use super::objects::ElementType;

/// A tensor to store.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) element: ElementType,
    pub(crate) shape: Vec<usize>,
    pub(crate) stride: Vec<usize>,
    pub(crate) offset: usize,
    /// Elements that the pickle claims the storage has.
    pub(crate) claimed: usize,
    pub(crate) bytes: Vec<u8>,
    /// The tensor whose storage it uses instead of its own.
    pub(crate) shares: Option<usize>,
}

impl Stored {
    /// A row-major tensor with a storage of its own.
    pub(crate) fn contiguous(name: &str, element: ElementType, shape: &[usize], bytes: Vec<u8>) -> Self {
        let mut stride = vec![1; shape.len()];
        for side in (1..shape.len()).rev() {
            stride[side - 1] = stride[side] * shape[side];
        }
        let claimed = bytes.len() / element.size();
        Self {
            name: name.to_owned(),
            element,
            shape: shape.to_vec(),
            stride,
            offset: 0,
            claimed,
            bytes,
            shares: None,
        }
    }
}

/// A state dict to write.
#[derive(Debug, Default)]
pub(crate) struct Checkpoint {
    tensors: Vec<Stored>,
    device: String,
    metadata: bool,
}

impl Checkpoint {
    pub(crate) fn new() -> Self {
        Self { device: "cpu".to_owned(), ..Self::default() }
    }

    /// The location tag of every storage.
    pub(crate) fn on_device(self, device: &str) -> Self {
        Self { device: device.to_owned(), ..self }
    }

    /// An `OrderedDict` with the `_metadata` attribute that modules give it, instead of a plain dictionary.
    pub(crate) fn with_metadata(self) -> Self {
        Self { metadata: true, ..self }
    }

    pub(crate) fn push(&mut self, tensor: Stored) {
        self.tensors.push(tensor);
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut zip = Zip::default();
        zip.add("archive/data.pkl", &self.pickle());
        zip.add("archive/byteorder", b"little");
        for (key, tensor) in self.tensors.iter().enumerate() {
            if tensor.shares.is_none() {
                zip.add(&format!("archive/data/{key}"), &tensor.bytes);
            }
        }
        zip.finish()
    }

    fn pickle(&self) -> Vec<u8> {
        let mut out = Pickle::default();
        if self.metadata {
            out.raw(b"ccollections\nOrderedDict\n)Rq\x00")
        } else {
            out.raw(b"}q\x00")
        }
        out.raw(b"(");
        for (key, tensor) in self.tensors.iter().enumerate() {
            out.text(&tensor.name);
            out.raw(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            out.text("storage");
            out.raw(format!("ctorch\n{}\n", tensor.element.storage_class()).as_bytes());
            out.text(&tensor.shares.unwrap_or(key).to_string());
            out.text(&self.device);
            out.int(tensor.claimed);
            out.raw(b"tQ");
            out.int(tensor.offset);
            out.tuple(&tensor.shape);
            out.tuple(&tensor.stride);
            out.raw(b"\x89ccollections\nOrderedDict\n)RtR");
        }
        out.raw(b"u");
        if self.metadata {
            out.raw(b"}");
            out.text("_metadata");
            out.raw(b"ccollections\nOrderedDict\n)R(");
            out.text("");
            out.raw(b"}");
            out.text("version");
            out.raw(b"K\x01susb");
        }
        out.raw(b".");
        out.0
    }
}

/// A pickle being written.
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Default for Pickle {
    fn default() -> Self {
        Self(vec![0x80, 2])
    }
}

impl Pickle {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.raw(&(text.len() as u32).to_le_bytes());
        self.raw(text.as_bytes());
    }

    pub(crate) fn int(&mut self, number: usize) {
        self.raw(&[0x8a, 8]);
        self.raw(&number.to_le_bytes());
    }

    fn tuple(&mut self, numbers: &[usize]) {
        self.raw(b"(");
        numbers.iter().for_each(|number| self.int(*number));
        self.raw(b"t");
    }
}

/// A zip archive of stored entries being written.
#[derive(Default)]
pub(crate) struct Zip {
    file: Vec<u8>,
    directory: Vec<u8>,
    rows: u16,
}

impl Zip {
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        let header = self.file.len();
        self.hide(name, bytes);
        self.point(name, bytes.len(), header);
    }

    /// A directory row only, for an entry that lies (or does not) at `header`.
    pub(crate) fn point(&mut self, name: &str, bytes: usize, header: usize) {
        self.directory.extend_from_slice(&row(name, bytes, Some(header)));
        self.rows += 1;
    }

    /// A directory row whose three numbers stand in a zip64 field, as in files of over 4 GB.
    pub(crate) fn point_64(&mut self, name: &str, bytes: u64, header: u64) {
        let mut row = row(name, u32::MAX as usize, Some(u32::MAX as usize));
        row[30..32].copy_from_slice(&28u16.to_le_bytes()); // the length of what follows
        row.extend_from_slice(&[1, 0, 24, 0]);
        row.extend([bytes, bytes, header].iter().flat_map(|number| number.to_le_bytes()));
        self.directory.extend_from_slice(&row);
        self.rows += 1;
    }

    /// Bytes of the entries so far: where the next one's header will be.
    pub(crate) fn position(&self) -> u64 {
        self.file.len() as u64
    }

    /// An entry without a row in the directory.
    pub(crate) fn hide(&mut self, name: &str, bytes: &[u8]) {
        self.file.extend_from_slice(&row(name, bytes.len(), None));
        self.file.extend_from_slice(bytes);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut file = self.file;
        let start = file.len() as u32;
        file.extend_from_slice(&self.directory);
        file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        file.extend_from_slice(&self.rows.to_le_bytes());
        file.extend_from_slice(&self.rows.to_le_bytes());
        file.extend_from_slice(&(self.directory.len() as u32).to_le_bytes());
        file.extend_from_slice(&start.to_le_bytes());
        file.extend_from_slice(&[0, 0]);
        file
    }

    /// The same, with every number of the directory's place in a zip64 end record.
    pub(crate) fn finish_64(self) -> Vec<u8> {
        let mut file = self.file;
        let start = file.len() as u64;
        file.extend_from_slice(&self.directory);
        let record = file.len() as u64;
        file.extend_from_slice(b"PK\x06\x06");
        file.extend_from_slice(&44u64.to_le_bytes());
        file.extend_from_slice(&[0; 12]);
        file.extend_from_slice(&u64::from(self.rows).to_le_bytes());
        file.extend_from_slice(&u64::from(self.rows).to_le_bytes());
        file.extend_from_slice(&(self.directory.len() as u64).to_le_bytes());
        file.extend_from_slice(&start.to_le_bytes());
        file.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        file.extend_from_slice(&record.to_le_bytes());
        file.extend_from_slice(&1u32.to_le_bytes());
        file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        file.extend_from_slice(&[0xff; 12]);
        file.extend_from_slice(&[0, 0]);
        file
    }
}

/// A local header, or with an offset the row of the central directory.
fn row(name: &str, bytes: usize, header: Option<usize>) -> Vec<u8> {
    let size = (bytes as u32).to_le_bytes();
    let mut row = Vec::new();
    row.extend_from_slice(if header.is_some() { b"PK\x01\x02\0\0" } else { b"PK\x03\x04" });
    row.extend_from_slice(&[0; 14]); // version, flags, method, time, date, crc
    row.extend_from_slice(&[size, size].concat());
    row.extend_from_slice(&(name.len() as u16).to_le_bytes());
    row.extend_from_slice(&[0; 2]);
    if let Some(header) = header {
        row.extend_from_slice(&[0; 10]);
        row.extend_from_slice(&(header as u32).to_le_bytes());
    }
    row.extend_from_slice(name.as_bytes());
    row
}
