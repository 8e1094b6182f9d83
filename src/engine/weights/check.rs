//! Whether a source holds exactly the tensors of an architecture. Reads names, shapes and types, never numbers.

use std::collections::HashSet;
use std::path::Path;

use super::{WeightError, WeightSource, WeightType};
use crate::engine::models::{ExpectedTensor, TensorKind};

/// The first fault, if there is one, and how many others there are.
pub fn check(source: &dyn WeightSource, expected: &[ExpectedTensor]) -> Result<(), WeightError> {
    let mut faults = faults(source, expected).into_iter();
    match (faults.next(), faults.count()) {
        (None, _) => Ok(()),
        (Some(only), 0) => Err(only),
        (Some(first), others) => Err(WeightError::Several { first: Box::new(first), others }),
    }
}

/// The same, naming the file that the source is.
pub(super) fn check_file(
    source: &dyn WeightSource,
    expected: &[ExpectedTensor],
    path: &Path,
) -> Result<(), WeightError> {
    check(source, expected).map_err(|error| error.of_file(path))
}

/// Everything that is missing, of a wrong shape or type, or not expected.
fn faults(source: &dyn WeightSource, expected: &[ExpectedTensor]) -> Vec<WeightError> {
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
