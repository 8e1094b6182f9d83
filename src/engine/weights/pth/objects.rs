//! The values a checkpoint's pickle can make. Values are small and copied; what is shared lies in one arena, so that no
//! pickle can make more memory than it has bytes for, and nothing is ever walked by recursion.

use std::ops::Range;

use crate::engine::weights::WeightType;

/// The number format of a torch storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl ElementType {
    /// Every storage type that is understood.
    pub const ALL: [Self; 10] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U8,
        Self::Bool,
    ];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The format in the engine; `None` for those no network of ours has.
    pub fn weight_type(self) -> Option<WeightType> {
        match self {
            Self::F32 => Some(WeightType::F32),
            Self::F16 => Some(WeightType::F16),
            Self::BF16 => Some(WeightType::BF16),
            Self::I8 => Some(WeightType::I8),
            Self::F64 | Self::I64 | Self::I32 | Self::I16 | Self::U8 | Self::Bool => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "int8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// The class whose name torch writes for it.
    pub(super) fn storage_class(self) -> &'static str {
        match self {
            Self::F64 => "DoubleStorage",
            Self::F32 => "FloatStorage",
            Self::F16 => "HalfStorage",
            Self::BF16 => "BFloat16Storage",
            Self::I64 => "LongStorage",
            Self::I32 => "IntStorage",
            Self::I16 => "ShortStorage",
            Self::I8 => "CharStorage",
            Self::U8 => "ByteStorage",
            Self::Bool => "BoolStorage",
        }
    }
}

/// The few names a checkpoint may ask Python for. None of them runs here; each is only recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(ElementType),
}

impl Global {
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", class) => ElementType::ALL
                .into_iter()
                .find(|element| element.storage_class() == class)
                .map(Self::Storage),
            _ => None,
        }
    }
}

/// Bytes of the pickle that hold a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `None` when the range does not fit, which no pickle under its size limit can cause.
    pub(super) fn new(range: Range<usize>) -> Option<Self> {
        Some(Self { start: range.start.try_into().ok()?, end: range.end.try_into().ok()? })
    }

    /// The text in the pickle it was read from; it was checked to be UTF-8.
    pub(super) fn text(self, pickle: &[u8]) -> &str {
        std::str::from_utf8(&pickle[self.start as usize..self.end as usize]).unwrap_or_default()
    }
}

/// Place of an object in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectId(pub(super) u32);

/// What lies on the machine's stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    None,
    Bool,
    Int(i64),
    Float,
    Text(Span),
    Global(Global),
    Object(ObjectId),
}

/// What values share.
#[derive(Debug)]
pub(super) enum Object {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(Box<Tensor>),
}

/// A run of numbers in the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub(super) element: ElementType,
    /// Its entry is `data/<key>`.
    pub(super) key: Span,
    /// Number of elements the pickle claims.
    pub(super) elements: usize,
}

/// A view of a storage.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    /// First element in the storage.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// Elements from one index to the next, a number for each side of `shape`.
    pub(super) stride: Vec<usize>,
}
