//! Whether a source holds exactly the tensors of an architecture. Reads names, shapes and types, never numbers.

use std::collections::HashSet;

use super::{WeightError, WeightSource, WeightType};
use crate::engine::models::{ExpectedTensor, TensorKind};

/// The first fault, if there is one.
pub fn check(source: &dyn WeightSource, expected: &[ExpectedTensor]) -> Result<(), WeightError> {
    faults(source, expected).into_iter().next().map_or(Ok(()), Err)
}

/// Everything that is missing, of a wrong shape or type, or not expected.
pub fn faults(source: &dyn WeightSource, expected: &[ExpectedTensor]) -> Vec<WeightError> {
    let known: HashSet<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
    let wrong = expected.iter().filter_map(|tensor| fault(source, tensor));
    let extra = source.names().into_iter().filter(|name| !known.contains(name.as_str()));
    wrong.chain(extra.map(|name| WeightError::Unexpected { name })).collect()
}

fn fault(source: &dyn WeightSource, expected: &ExpectedTensor) -> Option<WeightError> {
    match source.tensor(&expected.name, &expected.shape) {
        Err(error) => Some(error),
        Ok(found) if allowed(expected.kind).contains(&found.dtype) => None,
        Ok(found) => Some(WeightError::Type { name: expected.name.clone(), found: found.dtype }),
    }
}

fn allowed(kind: TensorKind) -> &'static [WeightType] {
    match kind {
        TensorKind::Weight | TensorKind::Bias | TensorKind::Norm => {
            &[WeightType::F32, WeightType::F16, WeightType::BF16]
        }
        TensorKind::Int8 => &[WeightType::I8],
        TensorKind::Scale => &[WeightType::F32],
    }
}
