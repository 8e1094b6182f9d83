//! The tensors that an architecture consists of. Only says what must be there; whoever reads files checks it.

/// One tensor that a checkpoint of an architecture must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// As published.
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: TensorKind,
}

/// What a tensor is for, and hence the number formats in which it may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// Weights, tables and embeddings of floating point, in any format; the last axes are the fan-in.
    Weight,
    /// Added after a matrix, convolution or norm; floating point, any format.
    Bias,
    /// Factors near one of a norm: bf16 or f32, even in one file with weights of the other format.
    Norm,
    /// int8 values of a quantised matrix.
    Int8,
    /// float32 factors of the 128×128 blocks of a quantised matrix.
    Scale,
}

impl ExpectedTensor {
    pub(super) fn new(name: impl Into<String>, shape: &[usize], kind: TensorKind) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), kind }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}
